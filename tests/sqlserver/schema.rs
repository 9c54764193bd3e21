//! Tables that several boxes, and programs of neighbouring versions, share.

use std::thread;

use thrio_edge::destination::sqlserver::{MIGRATIONS, Migration, SqlServerDestination};
use thrio_edge::destination::{Destination, SendError};
use thrio_edge::domain::ids::SourceName;
use thrio_edge::domain::record::Record;

use crate::destination_suite::facts::{assert_same, facts};
use crate::destination_suite::records::{self, batch, source};
use crate::destination_suite::sqlite::Sqlite;
use crate::destination_suite::{Kind as _, Place as _, TestClock, writer};
use crate::is_named;
use crate::own::{clock, held, says};
use crate::place::Database;

/// A version to come: it adds, and lets the program of today write on.
static NEXT: [Migration; 2] = [
    MIGRATIONS[0],
    Migration {
        sql: "ALTER TABLE {t}agent ADD team nvarchar(128) NULL;
              ALTER TABLE {t}agent_state_transaction
                ADD channel nvarchar(64) NOT NULL DEFAULT N'';
              CREATE TABLE {t}team (source nvarchar(32) NOT NULL, team nvarchar(128) NOT NULL);",
        writable_from: 1,
    },
];

/// A version to come that changes what a row means.
static INCOMPATIBLE: [Migration; 2] = [
    MIGRATIONS[0],
    Migration {
        sql: "ALTER TABLE {t}agent ADD team nvarchar(128) NULL;",
        writable_from: 2,
    },
];

fn named(name: &str) -> SourceName {
    SourceName::new(name).expect("a name")
}

fn open(to: &mut SqlServerDestination, box_id: &str, source: SourceName) {
    to.open(&writer(box_id, 1, &[source]))
        .unwrap_or_else(|error| panic!("{error}"));
}

fn versions(database: &Database) -> Vec<Option<String>> {
    let mut versions: Vec<_> = database
        .table("wfm_schema")
        .into_iter()
        .map(|row| row["version"].clone())
        .collect();
    versions.sort();
    versions
}

fn known(numbers: &[&str]) -> Vec<Option<String>> {
    numbers.iter().map(|n| Some((*n).to_owned())).collect()
}

#[test]
fn boxes_that_start_at_once_make_the_tables_once() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    thread::scope(|scope| {
        for n in 0..4 {
            let mut to = database.open(clock());
            scope.spawn(move || open(&mut to, &format!("box-{n}"), named(&format!("s-{n}"))));
        }
    });
    assert_eq!(versions(&database), known(&["1"]));
    let claims = "SELECT COUNT(DISTINCT claim_no) AS n FROM {s}.wfm_source";
    assert_eq!(database.one(claims), "4");
}

#[test]
fn an_older_program_writes_on_beside_a_newer_one_and_both_end_in_the_same_facts() {
    if !is_named() {
        return;
    }
    let records = records::history();
    let (first, second) = records.split_at(records.len() / 2);
    let reference = Sqlite.place();
    let mut to = reference.destination(TestClock::at(1));
    to.open(&writer("box-1", 1, &[source()])).expect("opened");
    to.send(&batch(1, &records)).expect("sent");
    let database = Database::new();
    let mut older = database.open(clock());
    open(&mut older, "box-1", source());
    older.send(&batch(1, first)).expect("sent");

    let mut newer = database.open(clock()).with_migrations(&NEXT);
    open(&mut newer, "box-2", named("other"));
    assert_eq!(versions(&database), known(&["1", "2"]));
    // The connection that was open before writes on, and so does the next one.
    let (third, fourth) = second.split_at(second.len() / 2);
    let at = first.len() as u64 + 1;
    older.send(&batch(at, third)).expect("sent on");
    open(&mut older, "box-1", source());
    older
        .send(&batch(at + third.len() as u64, fourth))
        .expect("sent after opening anew");
    assert_same(
        &without_news(&database),
        &facts(reference.as_ref()),
        "older",
    );

    let mut theirs = records::transaction("a-1", 10, "Ready");
    theirs.source = named("other");
    newer
        .send(&batch(1, &[Record::Transaction(theirs)]))
        .expect("the newer one too");
    assert_eq!(
        versions(&database),
        known(&["1", "2"]),
        "nobody takes it back"
    );
}

/// The facts without the columns that only the newer program knows.
fn without_news(database: &Database) -> Vec<String> {
    let known = |line: String| {
        line.replace("\"team\": None, ", "")
            .replace("\"channel\": Some(\"\"), ", "")
    };
    let mut facts: Vec<_> = facts(database).into_iter().map(known).collect();
    facts.sort();
    facts
}

#[test]
fn tables_that_an_older_program_would_spoil_hold_it_untouched() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut newer = database.open(clock()).with_migrations(&INCOMPATIBLE);
    open(&mut newer, "box-1", source());
    let mut older = database.open(clock());
    let text = held(older.open(&writer("box-2", 2, &[named("other")])));
    says(&text, &["install the newer program"]);
    says(&held(older.probe()), &["version 2"]);
    assert_eq!(
        database.one("SELECT COUNT(*) AS n FROM {s}.wfm_source"),
        "1"
    );
}

#[test]
fn where_it_may_not_make_tables_it_shows_the_statements_and_they_work() {
    if !is_named() {
        return;
    }
    let mut database = Database::new();
    database.options.manage_schema = false;
    let mut to = database.open(clock());
    let Err(SendError::Held { reason, remedy }) = to.open(&writer("box-1", 1, &[source()])) else {
        panic!("it has no tables");
    };
    says(&reason, &["manage_schema is off"]);
    assert!(!database.has_tables());
    let (_, statements) = remedy.split_once("run this:\n").expect("statements");
    // The tests log in as the database's owner, who has every right and can be given none.
    let statements: Vec<&str> = statements
        .lines()
        .filter(|line| !line.starts_with("GRANT"))
        .collect();
    database.run(&statements.join("\n"));
    to.probe().unwrap_or_else(|error| panic!("{error}"));
    open(&mut to, "box-1", source());
    to.send(&batch(1, &records::history())).expect("sent");
    assert_eq!(versions(&database), known(&["1"]));
}
