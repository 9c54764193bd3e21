//! What is set up on the page.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::site::{PASSWORD, Site, poll};

fn second(site: &Site, password: &str) -> Value {
    json!({
        "name": "second",
        "time_zone": "Europe/Berlin",
        "realtime": {
            "base_url": site.thrio.base_url(),
            "account": "wfm@example.com",
            "password": password,
            "transaction_collection_interval_s": 1,
        },
        "historical": null,
    })
}

#[test]
fn a_saved_source_runs_at_once_survives_a_restart_and_keeps_its_password() {
    let mut site = Site::new();
    site.wait_for_data();
    let saved = site.post("/api/v1/sources", &second(&site, PASSWORD)).ok();
    assert_eq!(saved["reloaded"]["started"], json!(["second"]));
    assert_eq!(saved["reloaded"]["untouched"], json!(["main"]));
    let polled = |status: &thrio_edge::control::Status| {
        let feed = status
            .feeds
            .iter()
            .find(|f| f.source == "second" && f.feed == "realtime");
        feed.is_some_and(|feed| feed.counts.rows_changed > 0)
    };
    site.wait_for("its first poll", polled);

    // The password stays when the field is left empty.
    let mut slower = second(&site, "");
    slower["realtime"]["transaction_collection_interval_s"] = 2.into();
    let saved = site.post("/api/v1/sources", &slower).ok();
    assert_eq!(saved["reloaded"]["restarted"], json!(["second"]));
    let shown = site.get("/api/v1/sources").ok();
    let row = shown["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["name"] == "second")
        .unwrap();
    assert_eq!(row["managed"], "page");
    assert_eq!(row["settings"]["realtime"]["password_is_set"], true);
    assert!(!shown.to_string().contains(PASSWORD));

    site.restart();
    let answers = |site: &Site| {
        let status = site.status();
        let feed = status.feeds.iter().find(|f| f.source == "second").cloned();
        feed.map_or(0, |feed| feed.counts.answers)
    };
    let before = answers(&site);
    poll("polls after the restart", || {
        (answers(&site) > before).then_some(())
    });

    let removed = site
        .post("/api/v1/sources/remove", &json!({"name": "second"}))
        .ok();
    assert_eq!(removed["reloaded"]["stopped"], json!(["second"]));
    assert!(site.status().feeds.iter().all(|feed| feed.source == "main"));
}

#[test]
fn wrong_settings_change_nothing_and_name_every_field() {
    let site = Site::new();
    let mut wrong = second(&site, "x");
    wrong["realtime"]["transaction_collection_interval_s"] = 0.into();
    wrong["time_zone"] = "Mars/Olympus".into();
    let refused = site.post("/api/v1/sources", &wrong);
    assert_eq!(
        (refused.status, refused.code()),
        (422, "invalid".to_owned())
    );
    let fields: Vec<String> = refused.json()["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["field"].as_str().unwrap().to_owned())
        .collect();
    for field in [
        "source.realtime.transaction_collection_interval_s",
        "source.time_zone",
    ] {
        assert!(fields.iter().any(|found| found == field), "{fields:?}");
    }
    assert!(!site.state_dir().join("settings.toml").exists());
    let checked = site.post("/api/v1/sources/check", &wrong).ok();
    assert_eq!(checked["valid"], false);

    let mut taken = second(&site, "x");
    taken["name"] = "main".into();
    let refused = site.post("/api/v1/sources", &taken);
    assert_eq!(
        (refused.status, refused.code()),
        (409, "conflict".to_owned())
    );
}

#[test]
fn a_connection_is_tested_before_it_is_saved() {
    let site = Site::new();
    let ask = |settings: &Value, feed: &str| {
        let body = json!({"settings": settings, "feed": feed, "polls": 1});
        site.post("/api/v1/sources/probe", &body).ok()
    };
    let good = ask(&second(&site, PASSWORD), "realtime");
    assert_eq!(good["ok"], true, "{good}");
    assert!(
        !good["report"]["rows"].as_array().unwrap().is_empty(),
        "{good}"
    );
    assert!(good["report"]["suggested"].is_object());
    let wrong = ask(&second(&site, "wrong-horse"), "realtime");
    assert_eq!(wrong["ok"], false);
    assert!(wrong["report"].is_null());
    assert!(!wrong.to_string().contains("wrong-horse"), "{wrong}");
    let queues = ask(&second(&site, PASSWORD), "queues");
    assert_eq!(queues["report"]["feed"], "queues", "{queues}");
    assert!(!site.state_dir().join("settings.toml").exists());
}

#[test]
fn an_unmapped_state_is_mapped_and_reaches_the_destination() {
    let site = Site::new();
    let state = poll("a state that nobody mapped", || {
        let page = site.get("/api/v1/state-codes?source=main").ok();
        let rows = page["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["mapped"] == false)
    });
    let text = state["state"].as_str().unwrap();
    assert_eq!(state["managed"], "nowhere");
    let mapping = json!({"source": "main", "state": text, "category": "AUX"});
    let done = site.post("/api/v1/state-mapping", &mapping).ok();
    assert_eq!(done["reloaded"]["restarted"], json!(["main"]));
    let category = || -> Option<String> {
        let database = Connection::open(site.database()).ok()?;
        let sql = "SELECT category FROM wfm_state_code WHERE source = 'main' AND state = ?1";
        database.query_row(sql, [text], |row| row.get(0)).ok()
    };
    poll("the state code in the destination", || {
        category().filter(|c| c == "AUX")
    });
    let page = site.get("/api/v1/state-codes?source=main").ok();
    let rows = page["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["state"] == text).unwrap();
    assert_eq!(
        (&row["category"], &row["managed"]),
        (&json!("AUX"), &json!("page"))
    );

    let back = json!({"source": "main", "state": text, "category": null});
    site.post("/api/v1/state-mapping", &back).ok();
    poll("it is unmapped again", || {
        category().filter(|c| c == "UNMAPPED")
    });
}
