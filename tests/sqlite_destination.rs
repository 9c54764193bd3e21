//! The SQLite destination: the same tables in whatever order, after whatever crash, and a clear
//! word for whatever stands in its way.

#[path = "support/check.rs"]
mod check;
mod destination_suite;
#[path = "sqlite_destination/whole_way.rs"]
mod whole_way;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use check::check_connect;
use destination_suite::document::{self, Column};
use destination_suite::records::{self, batch, source};
use rusqlite::Connection;
use thrio_edge::clock::SystemClock;
use thrio_edge::destination::sqlite::{SCHEMA_VERSION, SqliteDestination, SqliteOptions};
use thrio_edge::destination::{Destination, Receipt, SendError, Writer};
use thrio_edge::domain::ids::{BoxId, StoreId};
use thrio_edge::domain::record::Record;

destination_suite::suite!(destination_suite::sqlite::Sqlite);

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

fn held_reason(result: Result<impl std::fmt::Debug, SendError>) -> String {
    match result {
        Err(SendError::Held { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("{other:?}"),
    }
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

/// Sends so many batches of changes of random agents, as polls bring them; the bytes of the log that
/// each added.
fn bytes_of_live_batches(path: &Path, agents: u32) -> u64 {
    let (mut written, _) = opened(path);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut next = 1;
    let mut send = |n: i64, changes: u32| {
        let records = (0..changes).map(|_| {
            let agent = format!("{:024x}", rng.u32(0..agents));
            let at = 1_764_000_000_000 + n * 5_000 + i64::from(rng.u16(0..5_000));
            let mut record =
                records::transaction(&agent, at, ["Available", "Busy"][rng.usize(0..2)]);
            record.previous_state = Some(record.state.clone());
            Record::Transaction(record)
        });
        let records: Vec<_> = records.collect();
        written.send(&batch(next, &records)).expect("sent");
        next += u64::from(changes);
    };
    for n in 0..20 {
        send(n, 200);
    }
    let log = path.with_extension("db-wal");
    let size = || std::fs::metadata(&log).expect("there").len();
    let before = size();
    for n in 20..120 {
        send(n, 8);
    }
    (size() - before) / 100
}

/// A day of preset M is 17,280 such batches: with pages of 4 KiB, 125 KiB each, and 2.1 GB a day.
#[test]
fn a_few_changes_write_a_few_small_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let each = bytes_of_live_batches(&path, 325);
    assert!((8_000..48_000).contains(&each), "{each} bytes a batch");
    assert_eq!(query_one::<i64>(&path, "PRAGMA page_size"), 1_024);
}

#[test]
fn a_file_that_was_made_with_other_pages_keeps_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let connection = Connection::open(&path).expect("opened");
    connection
        .execute_batch("PRAGMA page_size = 4096; CREATE TABLE theirs (n INTEGER)")
        .expect("made");
    drop(connection);
    let (mut written, _) = opened(&path);
    let record = [Record::Transaction(records::transaction("a-1", 1, "Ready"))];
    written.send(&batch(1, &record)).expect("sent");
    assert_eq!(query_one::<i64>(&path, "PRAGMA page_size"), 4_096);
    let rows = "SELECT COUNT(*) FROM wfm_agent_state_transaction";
    assert_eq!(query_one::<i64>(&path, rows), 1);
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

fn schema(connection: &Connection) -> document::Schema {
    let columns = "SELECT s.name, c.name, c.type, c.\"notnull\", s.type = 'view'
         FROM sqlite_schema s JOIN pragma_table_info(s.name) c WHERE s.type IN ('table', 'view')";
    let mut statement = connection.prepare(columns).expect("prepared");
    let mut rows = statement.query([]).expect("queried");
    let mut schema = document::Schema::new();
    while let Some(row) = rows.next().expect("read") {
        let read = |n| row.get::<_, String>(n).expect("a text");
        let is_view: bool = row.get(4).expect("a truth value");
        let not_null: bool = row.get(3).expect("a truth value");
        let column = Column {
            kind: Some(read(2)).filter(|kind| !kind.is_empty()),
            may_be_null: (!is_view).then_some(!not_null),
        };
        schema.entry(read(0)).or_default().insert(read(1), column);
    }
    schema
}

#[test]
fn every_table_view_and_column_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    drop(opened(&path));
    let connection = Connection::open(&path).expect("opened");
    document::assert_described(&schema(&connection), "SQLite");
    for query in document::queries("sql") {
        connection
            .prepare(&query)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
    }
}

#[test]
fn check_connect_makes_no_file_and_leaves_one_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = || check_connect(folder.path(), "kind = \"sqlite\"\npath = \"wfm.db\"\n");
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    let (mut to, _) = opened(&folder.path().join("wfm.db"));
    to.send(&batch(1, &records::history())).expect("sent");
    // While the box has it open, and at rest.
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    drop(to);
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
}
