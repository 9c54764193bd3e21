//! A new box is set up wholly on the page.

use std::fs;

use serde_json::json;

use crate::browser::Browser;
use crate::demo::target;
use crate::site::{ACCOUNT, PASSWORD, Site};
use crate::views::{assert_accessible, axe};

#[test]
fn a_new_box_is_set_up_on_the_page() {
    let mut site = Site::fresh();
    let token = site.admin_token();
    site.start();
    let browser = Browser::open();
    browser.go(&site.url);
    browser.wait_for_text("Nothing is collected yet.");
    browser.press("Set up the source");
    browser.wait_for_text("Real-time adherence integration");
    let usual = browser.value_of("#new-realtime-base_url");
    assert_eq!(usual, "https://login.thrio.com");
    fill_connections(&browser, &site.thrio_url(), "not-the-password");

    // Nobody is logged in: the first change asks for the token, and a wrong one is refused.
    browser.press("Test connection");
    browser.fill("Admin token", "a-wrong-token");
    assert_accessible(&browser, &axe(), "the login");
    browser.click("#login-dialog button.primary");
    browser.wait("a refusal", || {
        let text = browser.text_of("#login-dialog .notice.error")?;
        (!text.is_empty()).then_some(())
    });
    browser.fill("Admin token", &token);
    browser.click("#login-dialog button.primary");

    // The wrong password is named for what it is, and nothing of it is shown.
    let said = browser.wait("what the test found", || {
        browser.text_of(".probe .notice.error")
    });
    assert!(said.contains("401"), "{said}");
    assert!(!browser.text().contains("not-the-password"));

    browser.fill_in("Real-time adherence integration", "Password", PASSWORD);
    browser.fill_in(
        "Historical contact volume data collection",
        "Password",
        PASSWORD,
    );
    browser.press("Test connection");
    browser.wait("a good answer", || browser.text_of(".probe .notice.ok"));
    browser.wait_for_text("The first rows as they would be stored");
    browser.screenshot(&target("page-screenshots/configuration-tested.png"));
    assert_accessible(&browser, &axe(), "the tested connection");

    browser.press("Save");
    browser.wait_for_text("Saved, and it runs.");
    let saved = site.saved_settings();
    assert!(saved.contains(&site.thrio_url()), "{saved}");
    let mode = fs::metadata(site.settings_file()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);

    // What is saved is not given back.
    browser.go(&format!("{}/#/configuration", site.url));
    browser.wait_for_text("Source main");
    assert_eq!(browser.value_of("#main-realtime-account"), ACCOUNT);
    assert_eq!(browser.value_of("#main-realtime-password"), "");
    let html = browser.run("return document.documentElement.outerHTML", &json!([]));
    assert!(!html.as_str().unwrap().contains(PASSWORD));

    // It collects at once, and the import shows what it would do before it does it.
    browser.press("Import queues and agents");
    browser.wait_for_text("What an import would change");
    browser.wait_for_text("10 queues");
    browser.screenshot(&target("page-screenshots/configuration-import.png"));
    assert_accessible(&browser, &axe(), "the import's preview");
    browser.press("Import now");
    browser.wait_for_text("Imported");
    browser.go(&format!("{}/#/journal", site.url));
    browser.wait_for_text("State transaction");
    browser.go(&format!("{}/#/overview", site.url));
    browser.wait_for_text("everything is delivered");
}

#[test]
fn a_mistake_is_marked_where_it_was_made_and_nothing_is_saved() {
    let mut site = Site::fresh();
    let token = site.admin_token();
    site.start();
    let browser = Browser::open();
    browser.go(&format!("{}/#/configuration", site.url));
    browser.wait_for_text("New source");
    fill_connections(&browser, "no address at all", PASSWORD);
    browser.press("Save");
    browser.fill("Admin token", &token);
    browser.click("#login-dialog button.primary");
    browser.wait("the mark", || {
        browser
            .text_of(".field.invalid .problem")
            .filter(|text| !text.is_empty())
    });
    let said = browser.text_of(".field.invalid .problem").unwrap();
    assert!(said.contains("https://login.thrio.com"), "{said}");
    let marked = browser.run(
        "return document.querySelector('#new-realtime-base_url').getAttribute('aria-invalid')",
        &json!([]),
    );
    assert_eq!(marked, "true");
    assert_eq!(site.saved_settings(), "");
    browser.screenshot(&target("page-screenshots/configuration-mistake.png"));
    assert_accessible(&browser, &axe(), "the form with a mistake");
}

/// What the form and the box say of one setting.
const UNIT: &str = "handle_time_unit = \"milliseconds\"";

#[test]
fn a_suggestion_is_taken_over_and_a_source_that_was_saved_is_removed_again() {
    let mut site = Site::fresh_beside_milliseconds();
    let token = site.admin_token();
    site.start();
    let browser = Browser::open();
    browser.go(&format!("{}/#/configuration", site.url));
    browser.wait_for_text("New source");
    fill_connections(&browser, &site.thrio_url(), PASSWORD);
    browser.press_in(
        "Historical contact volume data collection",
        "Test connection",
    );
    browser.fill("Admin token", &token);
    browser.click("#login-dialog button.primary");
    let suggested = "[data-key=\"probe historical\"] .suggested";
    let says = browser.wait("a suggestion", || browser.text_of(suggested));
    assert!(says.contains(UNIT), "{says}");
    browser.click(&format!("{suggested} button"));
    browser.wait_for_text("The suggestion stands in the fields below.");
    let field = "#new-api-historical-handle_time_unit";
    assert_eq!(browser.value_of(field), "milliseconds");
    browser.screenshot(&target("page-screenshots/configuration-applied.png"));
    assert_eq!(site.saved_settings(), "", "nothing is saved by looking");
    browser.press("Save");
    browser.wait_for_text("Saved, and it runs.");
    assert!(
        site.saved_settings().contains(UNIT),
        "{}",
        site.saved_settings()
    );

    // To think better of it changes nothing.
    browser.press("Remove");
    browser.wait_for_text("Remove this source?");
    browser.click("dialog.dialog button[value=no]");
    assert!(site.saved_settings().contains(UNIT));
    browser.press("Remove");
    browser.wait_for_text("Remove this source?");
    browser.click("dialog.dialog button[value=yes]");
    browser.wait("no source in the file", || {
        (!site.saved_settings().contains("[[source]]")).then_some(())
    });
    browser.go(&format!("{}/#/overview", site.url));
    browser.wait_for_text("Nothing is collected yet.");
}

fn fill_connections(browser: &Browser, url: &str, password: &str) {
    let (realtime, historical) = (
        "Real-time adherence integration",
        "Historical contact volume data collection",
    );
    browser.fill_in(realtime, "Base URL", url);
    browser.fill_in(realtime, "Account", ACCOUNT);
    browser.fill_in(realtime, "Password", password);
    browser.fill_in(realtime, "Transaction Collection Interval (seconds)", "1");
    browser.fill_in(historical, "Base URL", url);
    browser.fill_in(historical, "UserName", ACCOUNT);
    browser.fill_in(historical, "Password", password);
}
