//! What an operator changes on a running box: what a state means, a refused record, a day read
//! again; and what the page says when the box is gone.

use rusqlite::Connection;
use serde_json::json;

use crate::browser::{Browser, LOOKS};
use crate::demo::target;
use crate::site::Site;
use crate::views::{assert_accessible, axe};

fn log_in(browser: &Browser, token: &str) {
    browser.click("#login");
    browser.fill("Admin token", token);
    browser.click("#login-dialog button.primary");
    browser.wait("the login", || {
        browser.text_of("#login").filter(|text| text == "Log out")
    });
}

#[test]
fn a_state_is_mapped_on_the_page_and_the_board_follows() {
    let mut site = Site::collecting();
    let token = site.admin_token();
    site.start();
    let browser = Browser::open();
    browser.go(&format!("{}/#/agents", site.url));
    browser.wait_for_text("States without a meaning");
    browser.wait_for_text(site.custom_state);
    browser.screenshot(&target("page-screenshots/agents-unmapped.png"));
    log_in(&browser, &token);
    let select = format!("select[aria-label=\"What {} means\"]", site.custom_state);
    browser.choose(&select, "AUX");
    browser.press_beside(&select, "Map");
    browser.wait("the text to be gone from what has no meaning", || {
        let listed = browser.text_of(".card.attention").unwrap_or_default();
        (!listed.contains(site.custom_state)).then_some(())
    });
    browser.wait_for_text(&format!("{} is Aux from now on.", site.custom_state));
    // What was said stays while the board goes on: it once vanished with the next second.
    for _ in 0..2 {
        let clock = browser.text_of(".column .since");
        browser.wait("the board's clock to move", || {
            (browser.text_of(".column .since") != clock).then_some(())
        });
    }
    assert!(browser.text().contains("is Aux from now on."));
    let meant = browser.text_of(".column.aux").unwrap_or_default();
    assert!(meant.contains(site.custom_state), "{meant}");
    assert!(site.saved_settings().contains(site.custom_state));
}

#[test]
fn a_refused_record_is_looked_at_and_sent_once_more() {
    let mut site = Site::collecting();
    let token = site.admin_token();
    // The destination's own rule refuses one kind of record.
    site.start();
    let browser = Browser::open();
    browser.go(&site.url);
    browser.wait_for_text("everything is delivered");
    let database = Connection::open(site.database()).unwrap();
    database
        .busy_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER no_busy BEFORE INSERT ON wfm_agent_state_transaction
             WHEN NEW.category = 'BUSY'
             BEGIN SELECT RAISE(ABORT, 'nobody may be <b>busy</b>'); END",
        )
        .unwrap();
    browser.go(&format!("{}/#/quarantine", site.url));
    browser.wait_for_text("nobody may be <b>busy</b>");
    browser.screenshot(&target("page-screenshots/quarantine-refused.png"));
    assert_accessible(&browser, &axe(), "the quarantine");
    browser.go(&format!("{}/#/overview", site.url));
    browser.wait_for_text("were refused and are kept");
    database.execute_batch("DROP TRIGGER no_busy").unwrap();
    log_in(&browser, &token);
    browser.press("Open the quarantine");
    browser.click(".card button.primary");
    browser.wait_for_text("Sent once more");
    browser.wait_for_text("No destination has refused a record.");
    let count = "SELECT count(*) FROM wfm_agent_state_transaction WHERE category = 'BUSY'";
    let busy: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
    assert!(busy > 0);
}

#[test]
fn a_refused_record_is_given_up_only_after_it_was_asked_twice() {
    let mut site = Site::collecting();
    let token = site.admin_token();
    site.start();
    let browser = Browser::open();
    browser.go(&site.url);
    browser.wait_for_text("everything is delivered");
    let database = Connection::open(site.database()).unwrap();
    database
        .busy_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER no_busy BEFORE INSERT ON wfm_agent_state_transaction
             WHEN NEW.category = 'BUSY' BEGIN SELECT RAISE(ABORT, 'no busy'); END",
        )
        .unwrap();
    browser.go(&format!("{}/#/quarantine", site.url));
    log_in(&browser, &token);
    browser.wait_for_text("no busy");
    database.execute_batch("DROP TRIGGER no_busy").unwrap();
    let button = "button[aria-label^=\"Discard record\"]";
    let record = "return document.querySelector(arguments[0]).ariaLabel";
    let record = browser.run(record, &json!([button]));
    let record = format!("button[aria-label=\"{}\"]", record.as_str().unwrap());
    browser.click(&record);
    browser.wait_for_text("This cannot be taken back.");
    browser.click("dialog.dialog button[value=no]");
    browser.wait("the record, still there", || browser.text_of(&record));
    browser.click(&record);
    browser.wait_for_text("This cannot be taken back.");
    browser.click("dialog.dialog button[value=yes]");
    browser.wait_for_text("Discarded");
    browser.wait("the record to be gone", || {
        browser.text_of(&record).is_none().then_some(())
    });
    if browser.text_of(button).is_some() {
        browser.press("Discard all");
        browser.click("dialog.dialog button[value=yes]");
    }
    browser.wait_for_text("No destination has refused a record.");
}

#[test]
fn the_volume_of_a_day_is_downloaded_as_the_api_has_it() {
    let mut site = Site::collecting();
    site.start();
    let browser = Browser::open();
    let folder = tempfile::tempdir().unwrap();
    browser.keep_downloads(folder.path());
    browser.go(&format!("{}/#/volume", site.url));
    browser.wait_for_text("Contacts by quarter hour");
    let link = "a.button[download]";
    let asked = browser.wait("the link", || {
        let href = browser.run(
            "return document.querySelector(arguments[0])?.href",
            &json!([link]),
        );
        href.as_str().map(str::to_owned)
    });
    browser.click(link);
    let text = browser.wait("the file", || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut names = files.map(|file| file.unwrap().path());
        let file = names.find(|file| file.extension().is_some_and(|e| e == "csv"))?;
        std::fs::read_to_string(file)
            .ok()
            .filter(|text| !text.is_empty())
    });
    let mut lines = text.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("source,queue_id,queue_name,interval_start")
    );
    // Rows are only added or restated meanwhile.
    let now = ureq::get(&asked)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let queues: std::collections::BTreeSet<&str> =
        lines.filter_map(|l| l.split(',').nth(1)).collect();
    assert!(!queues.is_empty(), "{text}");
    for queue in queues {
        assert!(
            now.contains(&format!("main,{queue},")),
            "{queue} is not in {now}"
        );
    }
}

#[test]
fn on_an_address_of_the_network_nothing_is_shown_before_the_login() {
    let mut site = Site::collecting();
    let token = site.admin_token();
    site.open_to_the_network();
    site.start();
    let browser = Browser::open();
    browser.go(&site.url);
    browser.wait("the dialog", || browser.text_of("#login-dialog h2"));
    let shown = browser.text();
    for hidden in ["test-box", "Agent states", "delivered"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    browser.screenshot(&target("page-screenshots/login-network.png"));
    assert_accessible(&browser, &axe(), "the login of a box on the network");
    browser.fill("Admin token", "a-wrong-token");
    browser.click("#login-dialog button.primary");
    browser.wait("a refusal", || {
        let text = browser.text_of("#login-dialog .notice.error")?;
        (!text.is_empty()).then_some(())
    });
    browser.fill("Admin token", &token);
    browser.click("#login-dialog button.primary");
    browser.wait_for_text("Agent states");
    browser.wait_for_text("test-box");
    browser.click("#login");
    browser.go(&format!("{}/#/journal", site.url));
    browser.post("/refresh", &json!({}));
    browser.wait("the dialog again", || browser.text_of("#login-dialog h2"));
    assert!(!browser.text().contains("State transaction"));
}

#[test]
fn a_quarter_hour_is_chosen_by_keys_and_asked_for_again() {
    let mut site = Site::collecting();
    let token = site.admin_token();
    site.start();
    let browser = Browser::open();
    browser.look(LOOKS[0]);
    browser.go(&format!("{}/#/coverage", site.url));
    log_in(&browser, &token);
    let calendar = "[data-key=\"main/historical\"] .calendar";
    browser.wait("a calendar", || browser.text_of(calendar));
    browser.run(
        "document.querySelector(arguments[0] + ' button[tabindex=\"0\"]').focus()",
        &json!([calendar]),
    );
    let before = browser.run("return document.activeElement.ariaLabel", &json!([]));
    // Down to the day before, right to the next quarter hour, and take it.
    browser.keys("\u{e015}\u{e014}\u{e007}");
    let chosen = browser.run("return document.activeElement.ariaLabel", &json!([]));
    assert_ne!(before, chosen);
    assert!(chosen.as_str().unwrap().contains("00:15 UTC"), "{chosen}");
    browser.wait("the details", || browser.text_of(".details h3"));
    browser.screenshot(&target("page-screenshots/coverage-chosen.png"));
    assert_accessible(&browser, &axe(), "the calendar's details");
    browser.press("Ask Thrio again for this quarter hour");
    browser.wait_for_text("Queued: Thrio is asked again");
    browser.wait_for_text("Asked again by hand");
}

#[test]
fn a_blind_feed_marks_the_board_as_no_longer_true() {
    let mut site = Site::collecting();
    site.start();
    let browser = Browser::open();
    browser.go(&format!("{}/#/agents", site.url));
    browser.wait("the board", || browser.text_of(".column li"));
    assert_eq!(browser.text_of(".column li .pill"), None);
    site.unplug();
    browser.wait_for_text("Nobody sees the agents' states at present.");
    let marked = browser.text_of(".column li .pill.error");
    assert_eq!(marked.as_deref(), Some("stale"));
    browser.screenshot(&target("page-screenshots/agents-stale.png"));
    assert_accessible(&browser, &axe(), "the blind board");
    browser.press("See why");
    browser.wait_for_text("nobody sees the agents' states");
    browser.wait("the feed's mark", || browser.text_of("td .pill.error"));
}

#[test]
fn a_test_message_is_sent_from_the_page_and_what_came_of_it_is_said() {
    let mut site = Site::collecting();
    let token = site.admin_token();
    // One way works, nobody listens at the other.
    let heard = site.file("heard");
    site.configure(&format!(
        "[alarm]\nwebhook_url = \"http://127.0.0.1:9/hook-key\"\n\
         command = [\"/bin/cp\", \"/dev/stdin\", \"{}\"]\n",
        heard.display()
    ));
    site.start();
    let browser = Browser::open();
    browser.go(&site.url);
    browser.wait_for_text("nothing told yet");
    log_in(&browser, &token);
    browser.press("Send a test message");
    browser.wait_for_text("command (");
    let said = browser.text();
    assert!(
        said.contains("arrived") && said.contains("failed"),
        "{said}"
    );
    assert!(!said.contains("hook-key"), "{said}");
    let message = std::fs::read_to_string(&heard).unwrap();
    assert!(message.contains("\"test\""), "{message}");
    browser.press("Show all 4");
    browser.wait_for_text("source main: realtime password");
    browser.screenshot(&target("page-screenshots/overview-told.png"));
    assert_accessible(&browser, &axe(), "the overview with who is told");
}

#[test]
fn a_box_that_is_gone_is_said_to_be_gone() {
    let mut site = Site::collecting();
    site.start();
    let browser = Browser::open();
    browser.go(&site.url);
    browser.wait_for_text("Agent states");
    site.stop();
    browser.wait_for_text("Nothing heard since");
    browser.wait_for_text("The box does not answer.");
    assert_eq!(browser.text_of("#health").as_deref(), Some("No answer"));
    browser.screenshot(&target("page-screenshots/overview-gone.png"));
    assert_accessible(&browser, &axe(), "the overview of a box that is gone");
}

#[test]
fn the_frame_works_by_keyboard_on_a_phone() {
    let mut site = Site::fresh();
    site.start();
    let browser = Browser::open();
    browser.look(LOOKS[2]);
    browser.go(&site.url);
    browser.wait_for_text("Nothing is collected yet.");
    // The first stop skips to the content.
    browser.run("document.body.focus()", &json!([]));
    browser.tab();
    assert_eq!(browser.focused(), "Skip to the content");
    browser.keys("\u{e007}");
    assert_eq!(
        browser.run("return document.activeElement.id", &json!([])),
        "main"
    );
    // The menu says whether it is open, and Escape closes it and gives the focus back.
    let expanded = || {
        browser.run(
            "return document.getElementById('menu').ariaExpanded",
            &json!([]),
        )
    };
    assert_eq!(expanded(), "false");
    browser.click("#menu");
    assert_eq!(expanded(), "true");
    browser.keys("\u{e00c}");
    assert_eq!(expanded(), "false");
    assert_eq!(
        browser.run("return document.activeElement.id", &json!([])),
        "menu"
    );
    browser.click("#menu");
    browser.click("#nav a[href='#/journal']");
    browser.wait_for_text("The journal is empty.");
    assert_eq!(expanded(), "false", "a chosen view closes the menu");
}
