//! Every view, at each width and in each scheme: whole, readable, and asking nobody but its box.

use std::fs;

use serde_json::{Value, json};
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::domain::timestamp::WallTime;

use crate::browser::{Browser, LOOKS, Look};
use crate::demo::{Demo, target};
use crate::site::Site;

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

/// The board once drew a line for each of them, each second.
#[test]
fn a_board_of_thousands_is_a_page_and_not_a_flood() {
    let mut site = Site::collecting_from_many();
    site.start();
    let browser = Browser::open();
    browser.go(&format!("{}/#/agents", site.url));
    let agents = u64::from(Site::many().shape().agents);
    let count = "const chips = [...document.querySelectorAll('.chip b')];
        return chips.reduce((sum, chip) => sum + Number(chip.textContent.replaceAll(',', '')), 0)";
    browser.wait("all of them", || {
        let listed = browser.run(count, &json!([])).as_u64().unwrap_or(0);
        (listed >= agents).then_some(())
    });
    let nodes = || {
        let count = browser.run("return document.querySelectorAll('*').length", &json!([]));
        count.as_u64().unwrap()
    };
    assert!(nodes() < 3_000, "{} elements", nodes());
    browser.screenshot(&target("page-screenshots/agents-many.png"));
    let listed = "return document.querySelectorAll('.column.available li').length";
    let before = browser.run(listed, &json!([])).as_u64().unwrap();
    browser.click(".column.available > button");
    browser.wait("more lines", || {
        let now = browser.run(listed, &json!([])).as_u64().unwrap();
        (now > before).then_some(())
    });
    assert_accessible(&browser, &axe(), "the board of many");

    // How long a redraw takes is said, not judged: the machine may be busy.
    let redraw = browser.run_async(
        "const search = document.querySelector('#agent-search'); const times = [];
         for (const text of ['a', 'ab', '', 'b', '']) {
           const start = performance.now(); search.value = text; search.oninput({target: search});
           times.push(performance.now() - start);
           await new Promise((wait) => setTimeout(wait, 0));
         }
         return times.map((ms) => Math.round(ms))",
    );
    println!("a redraw after each letter of a search: {redraw} ms");
    // A message that comes and goes above it takes nothing from who types.
    let kept = browser.run(
        "const search = document.querySelector('#agent-search'); search.focus();
         search.closest('.toolbar').before(document.createElement('div'));
         search.oninput({target: search});
         return search.isConnected && document.activeElement === search",
        &json!([]),
    );
    assert_eq!(kept, json!(true));
    let last = browser.run(
        "return document.querySelector('details.gone li .who')?.textContent ?? ''",
        &json!([]),
    );
    let last = last.as_str().unwrap().to_owned();
    assert!(!last.is_empty());
    browser.fill("Search by name, id or state", &last);
    browser.wait("the one who is searched", || {
        let found = browser.text_of(".board li .who")?;
        (found == last).then_some(())
    });
    assert!(browser.complaints().is_empty());
}

/// When the first words stand on the page, from the browser's own record.
#[test]
fn the_first_paint_does_not_wait_for_data() {
    let mut site = Site::collecting();
    site.start();
    let browser = Browser::open();
    let mut painted = Vec::new();
    for _ in 0..5 {
        browser.go("about:blank");
        browser.go(&site.url);
        let paint = browser.wait("the first paint", || {
            let at = browser.run(
                "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null",
                &json!([]),
            );
            at.as_f64()
        });
        painted.push(paint.round());
    }
    println!("first contentful paint, five loads: {painted:?} ms");
    // It is there although the API is not asked yet: the frame is the file itself.
    let html = ureq::get(&site.url)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    for part in ["<h1", "Overview", "Agents", "Journal"] {
        assert!(
            html.contains(part) || part == "<h1",
            "{part} is not in the frame"
        );
    }
}
