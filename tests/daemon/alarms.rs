//! The whole way of an alarm: from a wrong password to the webhook and back, and what the commands
//! and the tables say of it.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;

use crate::life::{self, Site, delivered_all, feed};
use crate::receiver::{Heard, Receiver};

/// Three periods of the heartbeat.
const THREE_BEATS: Duration = Duration::from_secs(3);

fn section(receiver: &Receiver) -> String {
    format!(
        "[alarm]\nwebhook_url = \"{}\"\nheartbeat_url = \"{}\"\nheartbeat_period_s = 1\n\
         severity = \"error\"\nraise_after_s = 1\nclear_after_s = 1\ngroup_s = 0\nrest_s = 1\n",
        receiver.url("/hook-key"),
        receiver.url("/beat-key"),
    )
}

/// The first message that has this code in this list, for the realtime feed.
fn told(heard: &[Heard], list: &str, code: &str) -> Option<serde_json::Value> {
    let mut messages = heard.iter().filter(|h| !h.body.is_empty()).map(Heard::json);
    messages.find(|message| {
        let alarms = message[list].as_array().expect("a list");
        alarms
            .iter()
            .any(|a| a["code"] == code && a["subject"] == "main/realtime")
    })
}

fn beats(receiver: &Receiver) -> usize {
    let heard = receiver.heard();
    heard
        .iter()
        .filter(|h| h.line.starts_with("GET /beat-key "))
        .count()
}

#[test]
fn a_wrong_password_is_told_to_the_webhook_and_its_correction_too() {
    let receiver = Receiver::start();
    let site = Site::new();
    fs::write(site.config_file(), site.config_text() + &section(&receiver)).unwrap();
    site.write_password("not-the-password");
    let mut life = site.start();
    let message = receiver.wait_for("the raise", |heard| told(heard, "raised", "feed_held"));
    assert_eq!(message["box_id"], "test-box");
    assert!(
        !message.to_string().contains("not-the-password"),
        "{message}"
    );
    let list = site.command(&["alarm", "list"]);
    assert_eq!(list.code, 0, "{}", list.stderr);
    for part in [
        "error feed_held main/realtime",
        "raised at ",
        "remedy: ",
        "webhook: works",
    ] {
        assert!(list.stdout.contains(part), "no {part} in {}", list.stdout);
    }
    let since = life.wait_for("a raised problem", |status| {
        status
            .problems
            .iter()
            .any(|p| p.code == "feed_held" && p.raised_at.is_some())
    });
    let held = since
        .problems
        .iter()
        .find(|p| p.code == "feed_held")
        .unwrap();
    assert!(held.since.unwrap() <= held.raised_at.unwrap() && !held.at_risk.is_empty());
    let beaten = beats(&receiver);

    // One beat may have been on its way when the error was raised.
    life.wait_for("three periods", |status| {
        status.at > since.at.plus(THREE_BEATS)
    });
    assert!(beats(&receiver) <= beaten + 1, "{beaten} and more");

    // A restart neither repeats the raise nor forgets that its clear is owed.
    assert_eq!(life.terminate().0, Some(0));
    let known = site.command(&["alarm", "list", "--json"]);
    assert_eq!(known.code, 69, "{}", known.stderr);
    for part in ["not_running", "feed_held"] {
        assert!(known.stdout.contains(part), "{}", known.stdout);
    }
    site.write_password(life::PASSWORD);
    let mut life = site.start();
    let message = receiver.wait_for("the clear", |heard| told(heard, "cleared", "feed_held"));
    assert_eq!(message["cleared"][0]["severity"], "error", "{message}");
    receiver.wait_for("a heartbeat", |heard| {
        heard
            .iter()
            .find(|h| h.line.starts_with("GET /beat-key "))
            .cloned()
    });
    let raised = |heard: &[Heard]| {
        let messages = heard.iter().filter(|h| !h.body.is_empty()).map(Heard::json);
        let raised = messages.flat_map(|m| m["raised"].as_array().unwrap().clone());
        raised
            .filter(|a| a["code"] == "feed_held" && a["subject"] == "main/realtime")
            .count()
    };
    assert_eq!(raised(&receiver.heard()), 1);
    life.wait_for("polls and their delivery", |status| {
        feed(status, "realtime").counts.answers > 0 && delivered_all(status)
    });
    let (code, log) = life.terminate();
    assert_eq!(code, Some(0));
    for word in ["alarm raised", "alarm cleared"] {
        let lines = log.lines().filter(|line| {
            line.contains(word) && line.contains("feed_held") && line.contains("main/realtime")
        });
        assert_eq!(lines.count(), 1, "{word}: {log}");
    }
    for secret in ["hook-key", "beat-key"] {
        assert!(!log.contains(secret), "{log}");
    }
    handbook_queries_run_on(&site);
}

/// The handbook's SQL on a real destination: it finds a box that is made to look dead and blind.
fn handbook_queries_run_on(site: &Site) {
    let handbook = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alarms.md");
    let handbook = fs::read_to_string(handbook).unwrap();
    let database = Connection::open(site.database()).unwrap();
    let rows = |query: &str| {
        let mut statement = database
            .prepare(query)
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        let mut rows = statement.query([]).unwrap();
        let mut count = 0;
        while rows.next().unwrap().is_some() {
            count += 1;
        }
        count
    };
    let worse = "UPDATE wfm_box SET last_seen_at = 0, oldest_unsent_at = 0, \
                 alarms = '[\"feed_held\",\"gaps\"]'; UPDATE wfm_feed_health SET is_stale = 1";
    database.execute_batch(worse).unwrap();
    let blocks = handbook.split("```sql\n").skip(1);
    let found: Vec<usize> = blocks
        .map(|rest| rows(rest.split("```").next().unwrap()))
        .collect();
    let [silent, alarms, blind, backlog, _missing] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((silent, alarms, backlog), (&1, &2, &1), "{found:?}");
    assert_eq!(*blind, 3, "{found:?}");
}

#[test]
fn a_test_message_says_what_came_of_each_way() {
    let receiver = Receiver::start();
    let site = Site::new();
    assert_eq!(
        site.command(&["alarm", "test"]).code,
        78,
        "nothing is set up"
    );
    fs::write(site.config_file(), site.config_text() + &section(&receiver)).unwrap();
    // Without a daemon.
    let test = site.command(&["alarm", "test"]);
    assert_eq!(test.code, 0, "{}{}", test.stdout, test.stderr);
    assert!(
        test.stdout.contains("heartbeat (127.0.0.1:"),
        "{}",
        test.stdout
    );
    let kinds: Vec<_> = receiver.heard().iter().map(|h| h.line.clone()).collect();
    assert_eq!(kinds, ["POST /hook-key HTTP/1.1", "GET /beat-key HTTP/1.1"]);
    assert_eq!(receiver.heard()[0].json()["kind"], "test");
    // By the daemon, and with a receiver that refuses.
    let life = site.start();
    receiver.answers("401 Unauthorized", "");
    let test = site.command(&["alarm", "test", "--json"]);
    assert_eq!(test.code, 69, "{}{}", test.stdout, test.stderr);
    let trials: serde_json::Value = serde_json::from_str(&test.stdout).unwrap();
    assert_eq!(trials["ok"], false);
    let error = trials["trials"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("401") && !error.contains("hook-key"),
        "{error}"
    );
    drop(life);
}
