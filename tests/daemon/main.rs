//! The real binary as a process: what it collects and delivers against the simulated Thrio, how it
//! stops, what it survives, and what its exit codes say (architecture §7).

mod alarms;
#[allow(
    dead_code,
    reason = "each of the two test programs uses its own part of it"
)]
mod life;
#[path = "../support/receiver.rs"]
mod receiver;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use life::{Life, Site, bare, delivered_all, feed};
use rusqlite::Connection;
use thrio_edge::control::Request;
use thrio_edge::control::status::Problem;
use thrio_edge::store::{ReadLimit, Store, StoreOptions};

#[test]
fn it_collects_delivers_tells_and_stops_in_order() {
    let site = Site::new();
    let mut life = site.start();
    let status = life.wait_for("every feed and the backlog", |status| {
        status.feeds.iter().all(|feed| feed.counts.rows_changed > 0) && delivered_all(status)
    });
    assert_eq!(status.feeds.len(), 3);
    assert!(
        status.ready && status.destinations[0].balanced,
        "{status:?}"
    );
    let text = site.command(&["status"]);
    assert_eq!(text.code, 0);
    for part in [
        "main/realtime",
        "local (sqlite)",
        "ready",
        "records journaled",
    ] {
        assert!(text.stdout.contains(part), "no {part} in {}", text.stdout);
    }
    life.signal_report();
    life.wait_for_log("\"box_id\":\"test-box\"");
    let (code, log) = life.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped; ") && log.contains("local"), "{log}");
    assert_journal_equals_destination(&site);
    let at_rest = site.command(&["status", "--json"]);
    assert_eq!(at_rest.code, 69);
    assert!(at_rest.stdout.contains("not_running"), "{}", at_rest.stdout);
}

#[test]
fn a_second_process_on_the_store_exits_75_and_disturbs_nobody() {
    let site = Site::new();
    let life = site.start();
    let before = life.wait_for("the first poll", |s| feed(s, "realtime").counts.answers > 0);
    let second = site.command(&["run"]);
    assert_eq!(second.code, 75, "{}", second.stderr);
    assert!(
        second.stderr.contains("in use by another process"),
        "{}",
        second.stderr
    );
    let after = life.wait_for("another poll", |status| {
        feed(status, "realtime").counts.answers > feed(&before, "realtime").counts.answers
    });
    assert_eq!(after.pid, before.pid);
}

#[test]
fn a_bad_configuration_exits_78_with_every_problem_and_no_secret() {
    let site = Site::new();
    let broken = site.config_text().replace(
        "transaction_collection_interval_s = 1",
        "transaction_collection_interval_s = 0\ncolour = \"blue\"",
    );
    fs::write(site.config_file(), broken).unwrap();
    let run = site.command(&["run"]);
    assert_eq!(run.code, 78, "{}", run.stderr);
    for part in ["transaction_collection_interval_s", "colour"] {
        assert!(run.stderr.contains(part), "no {part} in {}", run.stderr);
    }
    assert!(!run.stderr.contains(life::PASSWORD), "{}", run.stderr);
    fs::remove_file(site.config_file()).unwrap();
    assert_eq!(site.command(&["run"]).code, 78);
}

#[test]
fn wrong_usage_exits_64_and_help_exits_0() {
    assert_eq!(bare(&["run", "--no-such-option"]).code, 64);
    assert_eq!(bare(&["no-such-command"]).code, 64);
    assert_eq!(bare(&[]).code, 64);
    assert_eq!(bare(&["run", "--pid-file", "x"]).code, 64);
    assert_eq!(bare(&["--help"]).code, 0);
    assert_eq!(bare(&["--version"]).code, 0);
}

#[test]
fn killed_again_and_again_it_loses_and_doubles_nothing() {
    let site = Site::new();
    let mut seen = 0;
    for _ in 0..4 {
        let mut life = site.start();
        let status = life.wait_for("more records", |status| status.store.last_seq > seen);
        seen = status.store.last_seq;
        life.kill();
    }
    let mut life = site.start();
    let status = life.wait_for("the rest", |s| delivered_all(s) && s.store.last_seq > seen);
    assert!(status.store.last_seq >= seen);
    assert_eq!(life.terminate().0, Some(0));
    assert_journal_equals_destination(&site);
    let verified = site.command(&["store", "verify", "--json"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn an_upstream_that_is_unplugged_gets_all_when_it_is_back() {
    let site = Site::new();
    let mut life = site.start();
    life.wait_for("the first delivery", |s| s.destinations[0].acknowledged > 0);
    let held = Connection::open(site.database()).unwrap();
    held.busy_timeout(Duration::from_secs(20)).unwrap();
    held.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let request = Request::Import {
        source: None,
        dry_run: false,
        confirm: false,
    };
    life.ask(&request);
    life.wait_for("a failing destination with a backlog", |status| {
        let destination = &status.destinations[0];
        destination.backlog > 0 && destination.last_error.is_some() && status.ready
    });
    held.execute_batch("ROLLBACK").unwrap();
    drop(held);
    life.wait_for("an empty backlog", delivered_all);
    assert_eq!(life.terminate().0, Some(0));
    assert_journal_equals_destination(&site);
}

#[test]
fn a_thrio_that_is_unplugged_is_polled_again_when_it_is_back() {
    let mut site = Site::new();
    let life = site.start();
    life.wait_for("the first poll", |s| feed(s, "realtime").counts.answers > 0);
    site.unplug();
    let status = life.wait_for("failures", |s| feed(s, "realtime").consecutive_failures > 0);
    assert!(
        status.ready,
        "a Thrio that is down does not make the box unready"
    );
    site.plug_in();
    life.wait_for("polls again", |status| {
        let realtime = feed(status, "realtime");
        realtime.consecutive_failures == 0 && realtime.last_error.is_none()
    });
}

#[test]
fn a_wrong_password_is_held_with_its_remedy_and_a_corrected_one_is_taken() {
    let site = Site::new();
    site.write_password("not-the-password");
    let life = site.start();
    let status = life.wait_for("a hold", |status| {
        let held =
            |problem: &Problem| problem.code == "feed_held" && problem.subject == "main/realtime";
        status.problems.iter().any(held)
    });
    let held = feed(&status, "realtime").held.clone().unwrap_or_default();
    assert!(held.contains("401"), "{held}");
    assert!(status.ready, "a hold is not the box's fault");
    let text = serde_json::to_string(&status).unwrap();
    assert!(!text.contains("not-the-password"), "{text}");
    site.write_password(life::PASSWORD);
    assert_eq!(site.command(&["reload", "--wait"]).code, 0);
    life.wait_for("polls", |s| feed(s, "realtime").counts.answers > 0);
}

#[test]
fn a_reload_with_a_bad_file_changes_nothing_and_says_why() {
    let site = Site::new();
    let mut life = site.start();
    life.wait_for("the first poll", |s| feed(s, "realtime").counts.answers > 0);
    fs::write(site.config_file(), site.config_text() + "\n[surprise]\n").unwrap();
    life.signal_reload();
    let status = life.wait_for("the reason", |s| s.configuration.reload_error.is_some());
    let why = status.configuration.reload_error.clone().unwrap();
    assert!(why.contains("surprise"), "{why}");
    let answers = feed(&status, "realtime").counts.answers;
    life.wait_for("polls that go on", |s| {
        feed(s, "realtime").counts.answers > answers
    });
    assert_eq!(site.command(&["reload"]).code, 78);
    fs::write(site.config_file(), site.config_text()).unwrap();
    assert_eq!(site.command(&["reload"]).code, 0);
    life.wait_for("no reason", |s| s.configuration.reload_error.is_none());
    assert_eq!(life.terminate().0, Some(0));
}

#[test]
fn a_reload_starts_what_is_new_and_leaves_the_rest_alone() {
    let site = Site::new();
    let life = site.start();
    life.wait_for("the first delivery", |s| s.destinations[0].acknowledged > 0);
    let second = site.folder().join("second.db");
    let more = format!(
        "{}\n[[destination]]\nname = \"second\"\nkind = \"sqlite\"\npath = \"{}\"\n",
        site.config_text(),
        second.display()
    );
    fs::write(site.config_file(), more).unwrap();
    let reload = site.command(&["reload", "--wait", "--json"]);
    assert_eq!(reload.code, 0, "{}", reload.stderr);
    let done: serde_json::Value = serde_json::from_str(&reload.stdout).unwrap();
    assert_eq!(done["started"], serde_json::json!(["second"]));
    assert_eq!(done["untouched"], serde_json::json!(["local", "main"]));
    life.wait_for("both", |s| s.destinations.len() == 2 && delivered_all(s));
}

#[test]
fn import_and_backfill_answer_through_the_daemon() {
    let site = Site::new();
    let life = site.start();
    life.wait_for("the first import", |s| {
        feed(s, "configuration").counts.rows_changed > 0
    });
    let import = site.command(&["import", "--dry-run", "--json"]);
    assert_eq!(import.code, 0, "{}", import.stderr);
    let plan: serde_json::Value = serde_json::from_str(&import.stdout).unwrap();
    assert_eq!(plan["main"]["dry_run"], true);
    assert!(
        plan["main"]["agents"]["listed"].as_u64() > Some(0),
        "{plan}"
    );
    let status = life.status().expect("it runs");
    let (from, to) = (
        (status.at.s() - 7_200).to_string(),
        (status.at.s() - 3_600).to_string(),
    );
    let backfill = site.command(&[
        "backfill",
        "--from",
        &from,
        "--to",
        &to,
        "--dry-run",
        "--json",
    ]);
    assert_eq!(backfill.code, 0, "{}", backfill.stderr);
    let report: serde_json::Value = serde_json::from_str(&backfill.stdout).unwrap();
    assert!(
        report["main"]["tally"]["rows"].as_u64() > Some(0),
        "{report}"
    );
    let copy = site.folder().join("copy.redb");
    let backup = site.command(&["store", "backup", copy.to_str().unwrap()]);
    assert_eq!(backup.code, 0, "{}", backup.stderr);
    let again = site.command(&["store", "backup", copy.to_str().unwrap()]);
    assert_eq!(again.code, 74, "{}", again.stderr);
    assert!(
        again.stderr.contains("is there already"),
        "{}",
        again.stderr
    );
    // The daemon writes in its own folder only; the command brings the copy, also to another disk.
    let elsewhere = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let other = elsewhere.path().join("copy.redb");
    let backup = site.command(&["store", "backup", other.to_str().unwrap()]);
    assert_eq!(backup.code, 0, "{}", backup.stderr);
    for file in [&copy, &other] {
        assert!(
            fs::metadata(file).is_ok_and(|about| about.len() > 0),
            "{file:?}"
        );
    }
    let nowhere = site.command(&["store", "backup", "/proc/copy.redb"]);
    assert_ne!(nowhere.code, 0);
    assert!(
        nowhere.stderr.contains("/proc/copy.redb"),
        "{}",
        nowhere.stderr
    );
    let left = fs::read_dir(site.state_dir()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("backup-")),
        "{left:?}"
    );
}

#[test]
fn without_a_daemon_import_and_backfill_do_it_themselves() {
    let site = Site::new();
    let import = site.command(&["import", "--json"]);
    assert_eq!(import.code, 0, "{}", import.stderr);
    let plan: serde_json::Value = serde_json::from_str(&import.stdout).unwrap();
    assert!(
        plan["main"]["queues"]["listed"].as_u64() > Some(0),
        "{plan}"
    );
    let (from, to) = ("2026-01-05T10:00:00Z", "2026-01-05T12:00:00Z");
    let backfill = site.command(&["backfill", "--from", from, "--to", to, "--json"]);
    assert_eq!(backfill.code, 0, "{}", backfill.stderr);
    let stats = site.command(&["store", "stats", "--json"]);
    assert_eq!(stats.code, 0, "{}", stats.stderr);
    let stats: serde_json::Value = serde_json::from_str(&stats.stdout).unwrap();
    assert!(stats["last"].as_u64() > Some(0), "{stats}");
}

#[test]
fn systemd_is_told_ready_alive_and_stopping() {
    let site = Site::new();
    let socket = site.folder().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let hear = |wanted: &str| {
        let mut heard = String::new();
        while !heard.contains(wanted) {
            let mut buffer = [0; 4096];
            let length = systemd.recv(&mut buffer).expect(wanted);
            heard = String::from_utf8_lossy(&buffer[..length]).into_owned();
        }
    };
    let path = socket.to_str().unwrap();
    let mut life = site.start_with(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "1000000")]);
    hear("READY=1");
    hear("WATCHDOG=1");
    assert_eq!(life.terminate().0, Some(0));
    hear("STOPPING=1");
}

#[test]
fn in_the_background_the_parent_ends_when_the_child_is_ready() {
    let site = Site::new();
    let pid_file = site.folder().join("edge.pid");
    let pid_text = pid_file.to_str().unwrap().to_owned();
    let parent = site.command(&["run", "--daemonize", "--pid-file", &pid_text]);
    assert_eq!(parent.code, 0, "{}", parent.stderr);
    // Ready means ready: the socket answers at once.
    let life = Life::of_background(&site, &pid_file);
    assert!(life.status().is_some());
    let second = site.command(&["run", "--daemonize"]);
    assert_eq!(second.code, 75, "{}", second.stderr);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    let under_systemd = site.command_with(&["run", "--daemonize"], &[("NOTIFY_SOCKET", "/none")]);
    assert_ne!(under_systemd.code, 0);
    assert!(
        under_systemd.stderr.contains("service manager"),
        "{}",
        under_systemd.stderr
    );
    drop(life);
    site.wait_until_free();
}

/// What the journal holds is in the destination, once.
fn assert_journal_equals_destination(site: &Site) {
    let options = StoreOptions::new(site.state_dir(), life::box_id());
    let store = Store::open(&options, life::now()).unwrap().store;
    let limit = ReadLimit {
        records: 10_000,
        bytes: usize::MAX,
    };
    let (mut transactions, mut revisions, mut seq) = (0, 0, store.first());
    while seq <= store.head() {
        let page = store.read(seq, limit).unwrap();
        assert!(page.damaged.is_empty() && page.expired.is_empty());
        for record in &page.records {
            match record.record {
                thrio_edge::domain::record::Record::Transaction(_) => transactions += 1,
                thrio_edge::domain::record::Record::Interval(_) => revisions += 1,
                _ => {}
            }
        }
        seq = page.next;
    }
    let database = Connection::open(site.database()).unwrap();
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert!(transactions > 0 && revisions > 0);
    assert_eq!(count("wfm_agent_state_transaction"), transactions);
    assert_eq!(count("wfm_queue_interval_revision"), revisions);
    let applied: i64 = database
        .query_row(
            "SELECT sum(last_seq - first_seq + 1) FROM wfm_delivery",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(u64::try_from(applied).unwrap(), store.head().get());
}
