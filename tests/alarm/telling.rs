//! The worker against a real receiver and real programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use thrio_edge::alarm::{
    AlarmSettings, AlarmWays, Alarms, CommandOptions, SecretUrl, Tellers, TokenProvider, Trial,
    WebhookOptions,
};
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::domain::alarm::{AlarmOptions, Condition, Severity};
use thrio_edge::domain::ids::BoxId;
use thrio_edge::domain::timestamp::WallTime;

use crate::receiver::{Heard, Receiver, wait_for};
use crate::rig::{error, warning};

const TOKEN: &str = "token-0123456789";
const KEY: &str = "/hook/T0/B0-very-secret-key";

fn at_once() -> AlarmOptions {
    AlarmOptions {
        raise_after: Duration::ZERO,
        clear_after: Duration::ZERO,
        group: Duration::ZERO,
        rest: Duration::ZERO,
        heartbeat_period: Duration::from_secs(1),
        ..AlarmOptions::default()
    }
}

fn to(url: &str) -> AlarmWays {
    AlarmWays {
        webhook: Some(WebhookOptions {
            url: SecretUrl::parse(url).unwrap(),
        }),
        call_timeout: Duration::from_secs(20),
        ..AlarmWays::default()
    }
}

fn running(line: &[&str], timeout_s: u64) -> AlarmWays {
    AlarmWays {
        command: Some(CommandOptions {
            line: line.iter().map(|&part| part.to_owned()).collect(),
            timeout: Duration::from_secs(timeout_s),
        }),
        ..to("http://127.0.0.1:1/").without_webhook()
    }
}

trait WithoutWebhook {
    fn without_webhook(self) -> Self;
}

impl WithoutWebhook for AlarmWays {
    fn without_webhook(self) -> Self {
        Self {
            webhook: None,
            ..self
        }
    }
}

fn token() -> TokenProvider {
    Arc::new(|| Ok(SecretString::from(TOKEN)))
}

fn box_id() -> BoxId {
    BoxId::new("front-desk").unwrap()
}

fn start(folder: &Path, ways: AlarmWays) -> Alarms {
    let settings = AlarmSettings {
        options: at_once(),
        ways,
        token: Some(token()),
    };
    let alarms = Alarms::open(&settings, box_id(), folder, Arc::new(SystemClock::new()));
    alarms.start(&settings).unwrap();
    alarms
}

/// Tries the ways once.
fn trial(folder: &TempDir, ways: AlarmWays) -> Trial {
    let tellers = Tellers::new(ways, Some(token()), box_id(), folder.path().to_owned());
    let mut trials = tellers.try_all(WallTime::from_s(1_785_000_000));
    assert_eq!(trials.len(), 1, "{trials:?}");
    trials.pop().unwrap()
}

fn program(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("tell");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[test]
fn a_webhook_hears_what_is_raised_and_cleared_with_all_that_a_person_needs() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let alarms = start(folder.path(), to(&receiver.url(KEY)));
    let held = Condition {
        by: Some(WallTime::from_s(1_785_000_000)),
        ..error("feed_held")
    };
    alarms.observe(vec![held], true);
    let first = receiver.wait_for("the raise", |heard| heard.first().cloned());
    assert_eq!(first.line, format!("POST {KEY} HTTP/1.1"));
    assert_eq!(first.authorization, Some(format!("Bearer {TOKEN}")));
    let message = first.json();
    assert_eq!(
        (&message["kind"], &message["box_id"]),
        (&"change".into(), &"front-desk".into())
    );
    let raised = &message["raised"][0];
    for (field, value) in [
        ("severity", "error"),
        ("code", "feed_held"),
        ("subject", "main/realtime"),
        ("message", "feed_held of main/realtime"),
        ("remedy", "mend it"),
        ("at_risk", "something"),
        ("by", "2026-07-25T17:20:00Z"),
    ] {
        assert_eq!(raised[field], value, "{message}");
    }
    assert_eq!(message["standing"].as_array().unwrap().len(), 1);
    let text = message["text"].as_str().unwrap();
    assert!(
        text.starts_with("front-desk: 1 raised, 1 stands\n"),
        "{text}"
    );
    assert!(text.contains("mend it"), "{text}");
    alarms.observe(Vec::new(), true);
    alarms.observe(Vec::new(), true);
    let second = receiver
        .wait_for("the clear", |heard| heard.get(1).cloned())
        .json();
    assert_eq!(second["cleared"][0]["id"], raised["id"]);
    assert_eq!(second["standing_count"], 0);
    assert!(second["cleared"][0]["cleared_at"].is_string(), "{second}");
}

#[test]
fn a_receiver_that_fails_hears_everything_later_and_the_process_may_end_meanwhile() {
    let receiver = Receiver::start();
    receiver.answers("503 Service Unavailable", "Retry-After: 0\r\n");
    let folder = tempfile::tempdir().unwrap();
    let alarms = start(folder.path(), to(&receiver.url(KEY)));
    alarms.observe(vec![error("feed_held")], true);
    receiver.wait_for("an attempt", |heard| heard.first().cloned());
    wait_for("the failure", || {
        let (ways, _) = alarms.ways();
        match &ways[0].1.last_error {
            Some(why) if why.contains("503") && !why.contains("secret") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    drop(alarms);
    receiver.answers("200 OK", "");
    let before = receiver.heard().len();
    let alarms = start(folder.path(), to(&receiver.url(KEY)));
    alarms.observe(vec![error("feed_held"), warning("gaps")], true);
    let codes: Vec<String> = receiver.wait_for("both", |heard| {
        let messages = heard[before..].iter().map(Heard::json);
        let codes: Vec<String> = messages
            .flat_map(|m| m["raised"].as_array().unwrap().clone())
            .map(|alarm| alarm["code"].as_str().unwrap().to_owned())
            .collect();
        (codes.len() >= 2).then_some(codes)
    });
    assert_eq!(codes, ["feed_held", "gaps"], "each once");
    let mode = fs::metadata(folder.path().join("alarms.json")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_refusal_names_the_host_and_neither_key_nor_token() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let echo = format!(
        "Content-Length: 200\r\n\r\n{:200}",
        format!("no {TOKEN} at {KEY}")
    );
    receiver.answers("403 Forbidden", &echo);
    let why = trial(&folder, to(&receiver.url(KEY))).error.unwrap();
    assert!(why.contains("127.0.0.1") && why.contains("403"), "{why}");
    assert!(!why.contains(TOKEN) && !why.contains("secret"), "{why}");
    assert!(!format!("{:?}", to(&receiver.url(KEY))).contains("secret"));
}

#[test]
fn a_redirect_is_not_followed_and_sees_no_token() {
    let (receiver, elsewhere) = (Receiver::start(), Receiver::start());
    let folder = tempfile::tempdir().unwrap();
    let target = format!("Location: {}\r\n", elsewhere.url("/"));
    receiver.answers("307 Temporary Redirect", &target);
    let why = trial(&folder, to(&receiver.url("/"))).error.unwrap();
    assert!(why.contains("redirect"), "{why}");
    assert_eq!(elsewhere.heard(), []);
}

#[test]
fn a_receiver_that_never_answers_costs_its_time_out_and_no_stop() {
    let receiver = Receiver::start();
    receiver.answers("", "");
    let folder = tempfile::tempdir().unwrap();
    let short = AlarmWays {
        call_timeout: Duration::from_secs(1),
        ..to(&receiver.url("/"))
    };
    let why = trial(&folder, short).error.unwrap();
    assert!(why.contains("timed out"), "{why}");
    let long = AlarmWays {
        call_timeout: Duration::from_hours(1),
        ..to(&receiver.url("/"))
    };
    let alarms = start(folder.path(), long);
    alarms.observe(vec![error("feed_held")], true);
    receiver.wait_for("the call", |heard| heard.get(1).cloned());
    // Only the stop can end this call.
    drop(alarms);
}

#[test]
fn a_program_gets_the_message_and_nothing_of_the_services_environment() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = "cat > \"$1.json\"; env > \"$1.new\"; mv \"$1.new\" \"$1.env\"";
    let tell = program(&folder, text);
    let line = [tell.to_str().unwrap(), out.to_str().unwrap()];
    let alarms = start(folder.path(), running(&line, 60));
    alarms.observe(vec![error("feed_held"), warning("gaps")], true);
    let environment = wait_for("the program", || {
        fs::read_to_string(out.with_extension("env")).map_err(|e| e.to_string())
    });
    for line in [
        "THRIO_EDGE_ALARM_BOX=front-desk",
        "THRIO_EDGE_ALARM_KIND=change",
        "THRIO_EDGE_ALARM_SEVERITY=error",
        "THRIO_EDGE_ALARM_RAISED=feed_held,gaps",
        "THRIO_EDGE_ALARM_CLEARED=",
        "THRIO_EDGE_ALARM_TEXT=front-desk: 2 raised, 2 stand",
    ] {
        assert!(
            environment.lines().any(|l| l == line),
            "no {line} in {environment}"
        );
    }
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some(),
        "something to inherit"
    );
    assert!(!environment.contains("CARGO"), "{environment}");
    let json = fs::read_to_string(out.with_extension("json")).unwrap();
    let message: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(message["raised"].as_array().unwrap().len(), 2);
    assert!(!folder.path().join("alarm-message").exists());
}

#[test]
fn a_program_that_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let tell = program(&folder, "echo 'no such room' >&2; exit 3");
    let trial_of = |line: &[&str]| trial(&folder, running(line, 60));
    let failed = trial_of(&[tell.to_str().unwrap()]);
    let why = failed.error.unwrap();
    assert!(
        why.contains("exit status: 3") && why.contains("no such room"),
        "{why}"
    );
    let missing = trial_of(&["/no/such/program"]).error.unwrap();
    assert!(missing.contains("/no/such/program"), "{missing}");
    let deaf = program(&folder, "exit 0");
    assert_eq!(trial_of(&[deaf.to_str().unwrap()]).error, None);
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let text = "sleep 3600 & echo $! $$ > \"$1\"; yes >&2 & wait";
    let tell = program(&folder, text);
    let line = [tell.to_str().unwrap(), pids.to_str().unwrap()];
    let why = trial(&folder, running(&line, 5)).error.unwrap();
    assert!(why.contains("killed after 5 s"), "{why}");
    let pids = fs::read_to_string(pids).unwrap();
    for pid in pids.split_whitespace() {
        wait_for("its end", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A killed process may wait for its foster parent to take notice.
            match stat.split(") ").nth(1) {
                Some(state) if !state.starts_with('Z') => Err(stat),
                _ => Ok(()),
            }
        });
    }
}

#[test]
fn the_heartbeat_is_called_while_all_is_well_and_falls_silent_with_an_error() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let ways = AlarmWays {
        heartbeat_url: Some(SecretUrl::parse(&receiver.url("/beat")).unwrap()),
        ..to(&receiver.url("/hook"))
    };
    let alarms = start(folder.path(), ways);
    alarms.observe(Vec::new(), true);
    let beats = |heard: &[Heard]| {
        heard
            .iter()
            .filter(|h| h.line == "GET /beat HTTP/1.1")
            .count()
    };
    receiver.wait_for("two beats", |heard| (beats(heard) >= 2).then_some(()));
    alarms.observe(vec![error("feed_held")], true);
    receiver.wait_for("the alarm", |heard| {
        heard.iter().find(|h| !h.body.is_empty()).cloned()
    });
    let silent_from = beats(&receiver.heard());
    let clock = SystemClock::new();
    wait_for("three periods", || {
        let passed = clock.now().mono.since_start();
        if passed > Duration::from_secs(3) {
            Ok(())
        } else {
            Err(String::new())
        }
    });
    // One may have been on its way.
    assert!(beats(&receiver.heard()) <= silent_from + 1);
    alarms.observe(Vec::new(), true);
    alarms.observe(Vec::new(), true);
    let again = beats(&receiver.heard()) + 2;
    receiver.wait_for("beats again", |heard| (beats(heard) >= again).then_some(()));
}

#[test]
fn other_settings_tell_from_where_the_former_ones_ended() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let folder = tempfile::tempdir().unwrap();
    let alarms = start(folder.path(), to(&first.url("/")));
    alarms.observe(vec![error("feed_held")], true);
    first.wait_for("the raise", |heard| heard.first().cloned());
    wait_for("that it was told", || match alarms.ways().0[0].1.waiting {
        0 => Ok(()),
        waiting => Err(waiting.to_string()),
    });
    let settings = AlarmSettings {
        options: AlarmOptions {
            least: Severity::Error,
            ..at_once()
        },
        ways: to(&second.url("/")),
        token: None,
    };
    alarms.reconfigure(&settings).unwrap();
    alarms.observe(vec![error("feed_held"), error("store_full")], true);
    let message = second.wait_for("the next", |heard| heard.first().cloned());
    assert_eq!(message.authorization, None);
    let message = message.json();
    assert_eq!(message["raised"].as_array().unwrap().len(), 1, "{message}");
    assert_eq!(message["raised"][0]["code"], "store_full");
    assert_eq!(message["standing_count"], 2);
    assert_eq!(first.heard().len(), 1);
}
