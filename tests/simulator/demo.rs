//! The demo as a person runs it: the program, its folder, its end.

use std::path::Path;
use std::process::{Command, Output};

fn demo(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thrio-edge"))
        .arg("demo")
        .arg("--dir")
        .arg(folder)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn a_demo_ends_by_itself_and_leaves_neutral_tables_with_sensible_data() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("demo-data");
    let ended = demo(&folder, &["--for", "12s", "--speed", "120"]);
    let said = String::from_utf8_lossy(&ended.stdout);
    let log = std::fs::read_to_string(folder.join("demo.log")).unwrap_or_default();
    assert!(ended.status.success(), "{ended:?}\n{log}");
    assert!(said.contains("local has all"), "{said}");

    let database = rusqlite::Connection::open(folder.join("wfm.db")).unwrap();
    let one = |sql: &str| {
        database
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    // A week of ten queues; a third of the queue-intervals or more has no contacts.
    assert!(one("SELECT count(*) FROM wfm_queue_interval") > 2_000);
    let days = "SELECT (max(interval_start) - min(interval_start)) / 86400 FROM wfm_queue_interval";
    assert!((6..=7).contains(&one(days)), "{}", one(days));
    assert_eq!(one("SELECT count(*) FROM wfm_agent_state_current"), 60);
    let working = "SELECT count(*) FROM wfm_agent_state_current WHERE category <> 'LOGGED_OUT'";
    assert!(one(working) > 10, "{} agents at work", one(working));
    let named = "SELECT count(*) FROM wfm_queue WHERE name IS NOT NULL AND valid_to IS NULL";
    assert!(one(named) >= 10);
    // No word on gaps: at this speed two periods are a quarter of a second, and a busy machine
    // that sleeps so long has honestly seen nothing meanwhile.
}

#[test]
fn a_demo_touches_no_folder_that_holds_other_things() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("thesis.txt"), "years of work").unwrap();
    let refused = demo(parent.path(), &["--for", "1s"]);
    assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    assert!(parent.path().join("thesis.txt").exists());
}
