//! Every view, at each width and in each scheme: whole, readable, and asking nobody but its box.

use std::fs;

use serde_json::{Value, json};

use crate::browser::{Browser, LOOKS, Look};
use crate::demo::{Demo, target};

/// A view, and words that a person reads on it once it is filled.
const VIEWS: [(&str, &[&str]); 1] = [(
    "overview",
    &[
        "Feeds",
        "Agent states",
        "Contact volume",
        "local",
        "Clock against Thrio",
    ],
)];

#[test]
fn every_view_is_readable_at_each_width_and_in_each_scheme() {
    let demo = Demo::start();
    let browser = Browser::open();
    let axe = axe();
    for look in LOOKS {
        browser.look(look);
        for (view, words) in VIEWS {
            browser.go(&format!("{}/#/{view}", demo.url));
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
        assert!(url.starts_with(&demo.url), "asked elsewhere: {url}");
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

fn axe() -> String {
    let file = target("node/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&file).expect("axe-core, which scripts/test installs under target/node")
}

/// axe-core finds nothing serious: contrast, names, labels, landmarks, order.
fn assert_accessible(browser: &Browser, axe: &str, name: &str) {
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
