//! The SQLite destination: the same tables in whatever order, after whatever crash, and a clear
//! word for whatever stands in its way.

#[path = "sqlite_destination/records.rs"]
mod records;
#[path = "sqlite_destination/tables.rs"]
mod tables;
#[path = "sqlite_destination/whole_way.rs"]
mod whole_way;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use records::{batch, seq, source};
use rusqlite::Connection;
use thrio_edge::clock::SystemClock;
use thrio_edge::destination::sqlite::{SCHEMA_VERSION, SqliteDestination, SqliteOptions};
use thrio_edge::destination::{Destination, Receipt, SendError, Writer};
use thrio_edge::domain::batch::{Batch, CurrentState};
use thrio_edge::domain::health::{FeedHealth, Heartbeat};
use thrio_edge::domain::ids::{AgentId, BoxId, Feed, SeqRange, StateText, StoreId};
use thrio_edge::domain::record::{Category, Origin, Record, SequencedRecord};
use thrio_edge::domain::timestamp::WallTime;

fn writer(box_id: &str, store: u128) -> Writer {
    Writer {
        box_id: BoxId::new(box_id).expect("an id"),
        store_id: StoreId::from_bits(store),
        sources: vec![source()],
        take_over: Vec::new(),
    }
}

fn destination(path: &Path) -> SqliteDestination {
    let options = SqliteOptions {
        path: path.to_path_buf(),
        busy_timeout: Duration::from_millis(50),
        ..SqliteOptions::default()
    };
    SqliteDestination::new(options, Arc::new(SystemClock::new()))
}

fn opened(path: &Path) -> (SqliteDestination, Receipt) {
    let mut destination = destination(path);
    let receipt = destination.open(&writer("box-1", 1)).expect("opened");
    (destination, receipt)
}

fn query_one<T: rusqlite::types::FromSql>(path: &Path, sql: &str) -> T {
    let connection = Connection::open(path).expect("opened");
    connection
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn any_order_of_lanes_replays_and_duplicates_ends_in_the_same_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = records::history();
    let path = folder.path().join("in-order.db");
    let (mut in_order, _) = opened(&path);
    in_order.send(&batch(1, &history)).expect("sent");
    let expected = tables::facts(&path);
    for run in 0..25_u64 {
        let seed = 7_000 + run;
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let path = folder.path().join(format!("{seed}.db"));
        let (mut shuffled, _) = opened(&path);
        let mut batches = Vec::new();
        let mut from = 0;
        while from < history.len() {
            let to = (from + rng.usize(1..9)).min(history.len());
            let piece = batch(from as u64 + 1, &history[from..to]);
            for _ in 0..=rng.usize(0..2) {
                batches.push(piece.clone());
            }
            from = to;
        }
        rng.shuffle(&mut batches);
        for piece in &batches {
            shuffled.send(piece).expect("sent");
            if rng.u8(0..8) == 0 {
                shuffled.open(&writer("box-1", 1)).expect("opened");
            }
        }
        assert_eq!(tables::facts(&path), expected, "seed {seed}");
        let receipt = shuffled.open(&writer("box-1", 1)).expect("opened");
        let all = SeqRange::new(seq(1), seq(history.len() as u64));
        assert_eq!(receipt.applied, [all]);
    }
}

#[test]
fn a_reader_that_asks_by_applied_no_misses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let history = records::history();
    let mut rng = fastrand::Rng::with_seed(3);
    let mut pieces: Vec<(u64, &[Record])> = Vec::new();
    for (n, piece) in history.chunks(4).enumerate() {
        pieces.push((n as u64 * 4 + 1, piece));
    }
    rng.shuffle(&mut pieces);
    let mut copy = tables::Copy::default();
    for (first, piece) in pieces {
        written.send(&batch(first, piece)).expect("sent");
        copy.catch_up(&path);
    }
    assert_eq!(copy.rows(), tables::Copy::whole(&path).rows());
}

#[test]
fn the_status_of_an_interval_follows_from_its_coverage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let status = || query_one::<String>(&path, "SELECT status FROM wfm_queue_interval");
    let interval = |revision, at| Record::Interval(records::interval("q-1", 0, revision, at));
    let final_at = |at| Record::Coverage(records::coverage(0, Some(at)));
    written.send(&batch(1, &[interval(1, 100)])).expect("sent");
    assert_eq!(status(), "provisional");
    written.send(&batch(2, &[final_at(5_000)])).expect("sent");
    assert_eq!(status(), "final");
    written
        .send(&batch(3, &[interval(2, 9_000)]))
        .expect("sent");
    assert_eq!(status(), "restated");
}

#[test]
fn spans_end_where_the_next_transaction_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let change = |at, state| Record::Transaction(records::transaction("a-1", at, state));
    written
        .send(&batch(2, &[change(20, "Busy")]))
        .expect("sent");
    written
        .send(&batch(1, &[change(10, "Ready")]))
        .expect("sent");
    let ends = "SELECT group_concat(started_at || '-' || COALESCE(ended_at, 'open'), ' ')
                FROM (SELECT * FROM wfm_agent_state_span ORDER BY started_at)";
    assert_eq!(query_one::<String>(&path, ends), "10-20 20-open");
    let now = "SELECT state FROM wfm_agent_state_live";
    assert_eq!(query_one::<String>(&path, now), "Busy");
}

#[test]
fn fresh_states_are_shown_at_once_and_never_set_back_by_the_backlog() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let fresh = CurrentState {
        source: source(),
        agent: AgentId::new("a-1").expect("an id"),
        state: StateText::new("Break").expect("a state"),
        category: Category::Aux,
        since: WallTime::from_ms(90),
        origin: Origin::Observed,
        record_seq: seq(9),
    };
    written.send_current(&[fresh]).expect("sent");
    let old = Record::Transaction(records::transaction("a-1", 10, "Ready"));
    written.send(&batch(1, &[old])).expect("sent");
    let state = "SELECT state FROM wfm_agent_state_current";
    assert_eq!(query_one::<String>(&path, state), "Break");
    let receipt = written.open(&writer("box-1", 1)).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(1), seq(1))]);
}

fn beat(at_ms: i64, polled_at_ms: i64) -> Heartbeat {
    Heartbeat {
        box_id: BoxId::new("box-1").expect("an id"),
        version: "0.1.0".to_owned(),
        started_at: WallTime::from_ms(1),
        at: WallTime::from_ms(at_ms),
        backlog: 5,
        oldest_unsent_at: None,
        alarms: vec!["unmapped_state".to_owned()],
        feeds: vec![FeedHealth {
            source: source(),
            feed: Feed::Realtime,
            last_success_at: Some(WallTime::from_ms(polled_at_ms)),
            last_complete_poll_at: Some(WallTime::from_ms(polled_at_ms)),
            last_data_at: None,
            lag_s: 0,
            consecutive_failures: 0,
            last_error: None,
            clock_offset_ms: Some(-12),
            is_stale: false,
        }],
    }
}

#[test]
fn a_quiet_agent_is_told_from_a_dead_box() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let change = Record::Transaction(records::transaction("a-1", 10, "Ready"));
    written.send(&batch(1, &[change])).expect("sent");
    let is_stale = || query_one::<bool>(&path, "SELECT is_stale FROM wfm_agent_state_live");
    assert!(is_stale(), "nobody has confirmed it yet");
    let now = query_one::<i64>(&path, "SELECT unixepoch() * 1000");
    written.heartbeat(&beat(now, now - 5_000)).expect("sent");
    assert!(!is_stale());
    let confirmed = "SELECT last_confirmed_at FROM wfm_agent_state_live";
    assert_eq!(query_one::<i64>(&path, confirmed), now - 5_000);
    written
        .heartbeat(&beat(now - 600_000, now - 600_000))
        .expect("sent");
    assert!(is_stale(), "the last heartbeat is ten minutes old");
    let backlog = "SELECT backlog FROM wfm_box WHERE alarms = '[\"unmapped_state\"]'";
    assert_eq!(query_one::<i64>(&path, backlog), 5);
}

fn held_reason(result: Result<impl std::fmt::Debug, SendError>) -> String {
    match result {
        Err(SendError::Held { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_source_belongs_to_one_box_until_a_person_says_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut first, receipt) = opened(&path);
    assert_eq!(receipt.roster_wanted, [source()]);
    let agent = records::agent("a-1", 10, "Kim");
    first
        .send(&batch(1, &[Record::Agent(agent.clone())]))
        .expect("sent");
    first
        .send_roster(&source(), std::slice::from_ref(&agent), &[])
        .expect("sent");

    let mut second = destination(&path);
    let reason = held_reason(second.open(&writer("box-2", 2)));
    assert!(
        reason.contains("box \"box-1\"") && reason.contains("claim --source main"),
        "{reason}"
    );

    let mut taking = writer("box-2", 2);
    taking.take_over = vec![source()];
    let receipt = second.open(&taking).expect("taken over");
    assert_eq!(receipt.roster_wanted, [source()]);
    let open_versions = "SELECT COUNT(*) FROM wfm_agent WHERE valid_to IS NULL";
    assert_eq!(
        query_one::<i64>(&path, open_versions),
        0,
        "the former claim's end"
    );
    second.send_roster(&source(), &[agent], &[]).expect("sent");
    assert_eq!(query_one::<i64>(&path, open_versions), 1, "opened again");

    let late = Record::Agent(records::agent("a-1", 20, "Old name"));
    let reason = held_reason(first.send(&batch(2, &[late])));
    assert!(reason.contains("box \"box-2\""), "{reason}");
    assert_eq!(query_one::<i64>(&path, "SELECT COUNT(*) FROM wfm_agent"), 1);
}

#[test]
fn a_new_store_of_the_same_box_goes_on_and_its_elder_twin_is_held() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut elder, _) = opened(&path);
    let record = |state| [Record::Transaction(records::transaction("a-1", 10, state))];
    elder.send(&batch(500, &record("Ready"))).expect("sent");
    let mut younger = destination(&path);
    let receipt = younger.open(&writer("box-1", 2)).expect("opened");
    assert!(receipt.applied.is_empty());
    // The new journal counts from 1 again, and its word is newer all the same.
    younger.send(&batch(1, &record("Busy"))).expect("sent");
    let state = "SELECT state FROM wfm_agent_state_transaction";
    assert_eq!(query_one::<String>(&path, state), "Busy");
    held_reason(elder.open(&writer("box-1", 1)));
}

#[test]
fn what_stands_in_its_way_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("not-there").join("wfm.db");
    let reason = held_reason(destination(&missing).open(&writer("box-1", 1)));
    assert!(
        reason.contains("not-there") && reason.contains("make it"),
        "{reason}"
    );

    let no_database = folder.path().join("letter.txt");
    std::fs::write(&no_database, "Dear Sir or Madam, ".repeat(100)).expect("written");
    let reason = held_reason(destination(&no_database).open(&writer("box-1", 1)));
    assert!(reason.contains("no SQLite file"), "{reason}");
    assert!(
        std::fs::read(&no_database)
            .expect("read")
            .starts_with(b"Dear")
    );

    let bare = folder.path().join("bare.db");
    let mut unmanaged = SqliteDestination::new(
        SqliteOptions {
            path: bare,
            manage_schema: false,
            ..SqliteOptions::default()
        },
        Arc::new(SystemClock::new()),
    );
    let reason = held_reason(unmanaged.open(&writer("box-1", 1)));
    assert!(reason.contains("manage_schema"), "{reason}");
}

#[test]
fn a_file_that_may_not_be_written_is_held() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    drop(opened(&path));
    Connection::open(&path)
        .expect("opened")
        .execute_batch("PRAGMA journal_mode = DELETE")
        .expect("left WAL");
    let mut permissions = std::fs::metadata(&path).expect("there").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).expect("set");
    // A superuser may write it all the same, and then there is nothing to see.
    if std::fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return;
    }
    let reason = held_reason(destination(&path).open(&writer("box-1", 1)));
    assert!(reason.contains("write"), "{reason}");
}

#[test]
fn a_full_disk_holds_and_nothing_is_half_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    // SQLite's own page limit stands for the disk's: the same error, from the same places.
    let pages: i64 = query_one(&path, "PRAGMA page_count");
    written.limit_pages(pages + 2);
    let many: Vec<_> = (0..4_000)
        .map(|n| Record::Transaction(records::transaction("a-1", n, "Ready")))
        .collect();
    let reason = held_reason(written.send(&batch(1, &many)));
    assert!(
        reason.contains("full") && reason.contains("room"),
        "{reason}"
    );
    let rows = "SELECT COUNT(*) FROM wfm_agent_state_transaction";
    assert_eq!(query_one::<i64>(&path, rows), 0);
    written.limit_pages(1 << 20);
    written.send(&batch(1, &many)).expect("sent");
    assert_eq!(query_one::<i64>(&path, rows), 4_000);
}

#[test]
fn a_file_of_a_newer_program_is_held_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    Connection::open(&path)
        .expect("opened")
        .execute_batch(&format!(
            "CREATE TABLE wfm_schema (version INTEGER, applied_at INTEGER);
             INSERT INTO wfm_schema VALUES ({}, 0)",
            SCHEMA_VERSION + 1
        ))
        .expect("made");
    let before = std::fs::read(&path).expect("read");
    let reason = held_reason(destination(&path).open(&writer("box-1", 1)));
    assert!(reason.contains("newer program"), "{reason}");
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

#[test]
fn another_writer_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let other = Connection::open(&path).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let record = [Record::Transaction(records::transaction("a-1", 1, "Ready"))];
    let error = written.send(&batch(1, &record)).expect_err("locked");
    assert!(
        matches!(
            error,
            SendError::Retry {
                unreachable: false,
                ..
            }
        ),
        "{error:?}"
    );
    other.execute_batch("ROLLBACK").expect("unlocked");
    written.send(&batch(1, &record)).expect("sent");
}

#[test]
fn one_bad_record_is_named_and_the_rest_can_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    let mut bad = records::interval("q-1", 0, 1, 100);
    bad.figures.entered = Some(u64::MAX);
    let good = records::interval("q-2", 0, 1, 100);
    let both = [Record::Interval(bad), Record::Interval(good.clone())];
    let SendError::Refused { records, .. } = written.send(&batch(1, &both)).expect_err("refused")
    else {
        panic!("it names the record");
    };
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0, seq(1));
    let rest = Batch {
        range: SeqRange::new(seq(1), seq(2)),
        records: vec![SequencedRecord {
            seq: seq(2),
            record: Record::Interval(good),
        }],
    };
    written.send(&rest).expect("sent");
}

#[test]
fn a_file_that_is_deleted_while_open_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let (mut written, _) = opened(&path);
    std::fs::remove_file(&path).expect("removed");
    let record = [Record::Transaction(records::transaction("a-1", 1, "Ready"))];
    let error = written.send(&batch(1, &record)).expect_err("gone");
    assert!(
        matches!(
            error,
            SendError::Retry {
                unreachable: true,
                ..
            }
        ),
        "{error:?}"
    );
}

/// The variable that turns this test binary into the writer that is killed.
const CHILD: &str = "THRIO_EDGE_TEST_SQLITE_CHILD";
const CHILD_BATCHES: u64 = 400;
const CHILD_BATCH: u32 = 25;

fn child_record(n: u64) -> Record {
    let agent = format!("a-{}", n % 13);
    let at = i64::try_from(n).expect("few");
    Record::Transaction(records::transaction(&agent, at, "Ready"))
}

/// Not a check by itself: the process that `a_writer_killed_anywhere...` kills.
#[test]
fn child_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let (mut written, receipt) = opened(Path::new(&path));
    let next = receipt.highest().get() + 1;
    let all = CHILD_BATCHES * u64::from(CHILD_BATCH);
    for n in 0..CHILD_BATCHES {
        let first = n * u64::from(CHILD_BATCH) + 1;
        if first < next {
            continue;
        }
        let last = (first + u64::from(CHILD_BATCH) - 1).min(all);
        let records: Vec<_> = (first..=last).map(child_record).collect();
        written.send(&batch(first, &records)).expect("sent");
    }
}

#[test]
fn a_writer_killed_anywhere_loses_nothing_and_doubles_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let mut kills = 0;
    for _ in 0..60 {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        wait_a_little(rng.u64(5..60));
        let finished = child.try_wait().expect("asked").is_some();
        if !finished {
            child.kill().expect("killed");
            kills += 1;
        }
        child.wait().expect("reaped");
        check_after_kill(&path);
        if finished {
            break;
        }
    }
    assert!(
        kills >= 10,
        "only {kills} kills: the child is too quick for this test"
    );
    finish_and_check(&path);
}

fn wait_a_little(ms: u64) {
    let (_never, wait) = std::sync::mpsc::channel::<()>();
    let _timeout = wait.recv_timeout(Duration::from_millis(ms));
}

/// Rows and receipt agree after each kill: what the receipt names is there, once, and no more.
fn check_after_kill(path: &Path) {
    let Ok(connection) = Connection::open(path) else {
        return;
    };
    let there = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'wfm_delivery'";
    if connection.query_row(there, [], |row| row.get(0)) == Ok(0) {
        return;
    }
    let count = |sql: &str| -> i64 {
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("counted")
    };
    let received = count("SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM wfm_delivery");
    let rows = count("SELECT COUNT(*) FROM wfm_agent_state_transaction");
    let distinct = count("SELECT COUNT(DISTINCT record_seq) FROM wfm_agent_state_transaction");
    assert_eq!((rows, distinct), (received, received));
}

fn finish_and_check(path: &Path) {
    let (mut written, receipt) = opened(path);
    let all = CHILD_BATCHES * u64::from(CHILD_BATCH);
    let first = receipt.highest().get() + 1;
    if first <= all {
        let records: Vec<_> = (first..=all).map(child_record).collect();
        written.send(&batch(first, &records)).expect("sent");
    }
    check_after_kill(path);
    let rows = "SELECT COUNT(*) FROM wfm_agent_state_transaction";
    assert_eq!(
        query_one::<i64>(path, rows),
        i64::try_from(all).expect("few")
    );
}

#[test]
fn every_table_view_and_column_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    drop(opened(&path));
    let text = include_str!("../docs/tables.md");
    assert_eq!(tables::described(text), tables::columns(&path));
    let connection = Connection::open(&path).expect("opened");
    let examples = tables::example_queries(text);
    assert!(examples.len() >= 5, "{}", examples.len());
    for query in examples {
        connection
            .prepare(&query)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
    }
}
