//! Every view, at each width and in each scheme: whole, readable, and asking nobody but its box.

use std::fs;

use serde_json::{Value, json};
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::domain::timestamp::WallTime;

use crate::browser::{Browser, LOOKS, Look};
use crate::demo::{Demo, target};

/// A view, and words that a person reads on it once it is filled.
const VIEWS: [(&str, &[&str]); 7] = [
    (
        "overview",
        &[
            "Feeds",
            "Agent states",
            "Contact volume",
            "local",
            "Clock against Thrio",
        ],
    ),
    ("agents", &["Available", "Busy", "Logged out"]),
    (
        "volume",
        &[
            "Contacts by quarter hour",
            "Average handle time",
            "Download CSV",
            "Per handled",
        ],
    ),
    ("coverage", &["Contact volume", "Agent states", "fetched"]),
    (
        "configuration",
        &[
            "Real-time adherence integration",
            "Transaction Collection Interval (seconds)",
            "Historical contact volume data collection",
            "UserName",
            "managed in the file",
        ],
    ),
    ("quarantine", &["No destination has refused a record."]),
    ("journal", &["State transaction", "As it was stored"]),
];

#[test]
fn every_view_is_readable_at_each_width_and_in_each_scheme() {
    let demo = Demo::start();
    let browser = Browser::open();
    let axe = axe();
    for look in LOOKS {
        browser.look(look);
        for (view, words) in VIEWS {
            browser.go(&format!("{}/#/{}", demo.url, address(view)));
            for word in words {
                browser.wait_for_text(word);
            }
            let name = format!("{view}-{}-{}", look.width, look.scheme);
            browser.screenshot(&target(&format!("page-screenshots/{name}.png")));
            assert_fits(&browser, look, &name);
            assert_accessible(&browser, &axe, &name);
        }
    }
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let asked = browser.asked();
    assert!(asked.len() > 10, "the log of requests is kept: {asked:?}");
    for url in asked {
        // A data address carries its bytes with it: the browser draws its own controls with some.
        let stays = url.starts_with(&demo.url) || url.starts_with("data:");
        assert!(stays, "asked elsewhere: {url}");
    }
}

/// The volume of a whole day; the present one may have just begun.
fn address(view: &str) -> String {
    let now_s = SystemClock::new().now().wall.s();
    let yesterday = WallTime::from_s(now_s - 86_400).to_string();
    let yesterday = &yesterday[..10];
    match view {
        "volume" => format!("volume?day={yesterday}"),
        other => other.to_owned(),
    }
}

/// Nothing is cut off at the side: a wide table scrolls in its own frame.
fn assert_fits(browser: &Browser, look: Look, name: &str) {
    let width = browser.run("return document.documentElement.scrollWidth", &json!([]));
    assert!(
        width.as_u64().unwrap() <= u64::from(look.width),
        "{name} is {width} px wide"
    );
}

pub(crate) fn axe() -> String {
    let file = target("node/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&file).expect("axe-core, which scripts/test installs under target/node")
}

/// axe-core finds nothing serious: contrast, names, labels, landmarks, order.
pub(crate) fn assert_accessible(browser: &Browser, axe: &str, name: &str) {
    browser.run(axe, &json!([]));
    let report = browser.run_async(
        "const report = await axe.run(document, {resultTypes: ['violations']});
         return report.violations.map((v) => ({id: v.id, impact: v.impact, help: v.help,
           nodes: v.nodes.slice(0, 3).map((n) => n.html + ' ' + (n.any[0]?.message ?? ''))}));",
    );
    let is_serious =
        |finding: &&Value| finding["impact"] == "serious" || finding["impact"] == "critical";
    let findings = report
        .as_array()
        .unwrap_or_else(|| panic!("{name}: {report}"));
    let serious: Vec<_> = findings.iter().filter(is_serious).collect();
    assert!(serious.is_empty(), "{name}: {serious:#?}");
}
