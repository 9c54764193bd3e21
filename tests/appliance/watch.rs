//! What changes under a running box, and how it ends.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use rusqlite::Connection;
use thrio_edge::control::status::{Problem, Status};

use crate::life::{PASSWORD, Site, feed, wait_until};

fn problem<'a>(status: &'a Status, code: &str) -> Option<&'a Problem> {
    status.problems.iter().find(|problem| problem.code == code)
}

#[test]
fn a_replaced_password_file_ends_the_hold_without_a_reload() {
    let site = Site::new();
    site.write_password("not-the-password");
    let life = site.start();
    let held = life.wait_for("a hold", |status| problem(status, "feed_held").is_some());
    let remedy = &problem(&held, "feed_held").unwrap().remedy;
    assert!(remedy.contains("noticed within a minute"), "{remedy}");
    site.write_password(PASSWORD);
    life.wait_for("polls", |s| feed(s, "realtime").counts.answers > 0);
    life.wait_for("no hold", |s| problem(s, "feed_held").is_none());
}

#[test]
fn a_held_credential_asks_for_a_restart() {
    let site = Site::new();
    let credentials = site.folder().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("realtime-password"), "not-the-password").unwrap();
    let text = site.config_text().replacen(
        "password_file = \"password\"",
        "password_credential = \"realtime-password\"",
        1,
    );
    fs::write(site.config_file(), text).unwrap();
    let life = site.start_with(&[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]);
    let held = life.wait_for("a hold", |status| problem(status, "feed_held").is_some());
    let held = problem(&held, "feed_held").unwrap();
    assert_eq!(held.subject, "main/realtime");
    assert!(
        held.remedy.contains("systemctl restart thrio-edge"),
        "{}",
        held.remedy
    );
}

#[test]
fn a_file_on_disk_that_is_wrong_or_other_than_what_runs_is_an_alarm() {
    let site = Site::new();
    let life = site.start();
    fs::write(site.config_file(), site.config_text() + "\n[surprise]\n").unwrap();
    let status = life.wait_for("the alarm", |s| {
        problem(s, "configuration_invalid").is_some()
    });
    let message = &problem(&status, "configuration_invalid").unwrap().message;
    assert!(message.contains("surprise"), "{message}");
    assert!(status.ready, "what runs is not touched");

    fs::write(
        site.config_file(),
        site.config_text() + "\n[log]\nlevel = \"debug\"\n",
    )
    .unwrap();
    let status = life.wait_for("the other alarm", |s| {
        problem(s, "configuration_differs").is_some()
    });
    let message = &problem(&status, "configuration_differs").unwrap().message;
    assert!(message.ends_with(": [log]"), "{message}");
    assert!(problem(&status, "configuration_invalid").is_none());
    let reload = site.command(&["reload", "--wait"]);
    assert_eq!(reload.code, 78, "{}", reload.stderr);
    let told = "only a restart can change [log]";
    assert!(reload.stderr.contains(told), "{}", reload.stderr);
    let status = life.wait_for("why", |s| s.configuration.reload_error.is_some());
    let why = &problem(&status, "reload_failed").unwrap().message;
    assert!(why.contains(told), "{why}");

    fs::write(site.config_file(), site.config_text()).unwrap();
    assert_eq!(site.command(&["reload", "--wait"]).code, 0);
    life.wait_for("no alarm", |status| {
        let codes = [
            "configuration_differs",
            "configuration_invalid",
            "reload_failed",
        ];
        codes.iter().all(|code| problem(status, code).is_none())
    });
}

#[test]
fn a_box_without_a_source_runs_and_waits_to_be_told() {
    let site = Site::new();
    let text = site.config_text();
    let (before, rest) = text.split_once("[[source]]").unwrap();
    let destination = &rest[rest.find("[[destination]]").unwrap()..];
    fs::write(site.config_file(), format!("{before}{destination}")).unwrap();
    let check = site.command(&["check"]);
    assert_eq!(check.code, 0, "{}{}", check.stdout, check.stderr);
    let mut life = site.start();
    let status = life.wait_for("a problem", |s| problem(s, "configuration").is_some());
    assert!(status.ready && status.feeds.is_empty(), "{status:?}");
    fs::write(site.config_file(), text).unwrap();
    assert_eq!(site.command(&["reload", "--wait"]).code, 0);
    life.wait_for("polls", |s| feed(s, "realtime").counts.answers > 0);
    assert_eq!(life.terminate().0, Some(0));
}

#[test]
fn a_stop_does_not_wait_for_a_thrio_that_hangs() {
    let site = Site::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let text = site.config_text();
    let thrio = text.split("base_url = \"http://").nth(1).unwrap();
    let thrio = thrio.split('"').next().unwrap();
    let text = text.replace(thrio, &address).replace(
        "[box]\n",
        // Shorter than the 30 s after which the call would end by itself.
        "[box]\nstop_timeout_s = 10\n",
    );
    fs::write(site.config_file(), text).unwrap();
    let mut life = site.start();
    let (call, _) = silent.accept().unwrap();
    let (code, log) = life.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped; "), "{log}");
    assert!(!log.contains("cut off"), "{log}");
    drop(call);
}

#[test]
fn a_second_signal_ends_at_once() {
    let site = Site::new();
    let text = site.config_text() + "busy_timeout_s = 60\n";
    let text = text.replace("[box]\n", "[box]\nstop_timeout_s = 120\n");
    fs::write(site.config_file(), text).unwrap();
    let mut life = site.start();
    life.wait_for("the first delivery", |s| s.destinations[0].acknowledged > 0);
    // A destination that does not answer holds the ordered stop up for a minute.
    let held = Connection::open(site.database()).unwrap();
    held.busy_timeout(Duration::from_secs(20)).unwrap();
    held.execute_batch("BEGIN EXCLUSIVE").unwrap();
    life.wait_for("a backlog", |s| s.destinations[0].backlog > 0);
    life.signal_stop();
    life.wait_for_log("stopping; a second signal ends at once");
    let socket = site.state_dir().join("control.sock");
    wait_until("the stop to begin", || {
        let status = life.status();
        match status {
            Some(status) if status.ready => Err(format!("{}", socket.display())),
            _ => Ok(()),
        }
    });
    life.signal_stop();
    let (code, log) = life.wait_for_end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("told to stop a second time"), "{log}");
    assert!(
        !log.contains("stopped; "),
        "the ordered stop was awaited: {log}"
    );
}
