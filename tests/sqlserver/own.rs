//! What is SQL Server's own: login, names, characters, sizes, and the words for what stands in the
//! way.

use std::fs;
use std::net::ToSocketAddrs as _;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use secrecy::SecretString;
use thrio_edge::clock::SystemClock;
use thrio_edge::destination::sqlserver::{
    Protection, RECORDS_MAX, SqlName, SqlServerDestination, SqlServerOptions,
};
use thrio_edge::destination::{Destination, Secret, SendError, Writer};
use thrio_edge::domain::batch::CurrentState;
use thrio_edge::domain::ids::{AgentId, SeqRange, StateText};
use thrio_edge::domain::reconcile::Day;
use thrio_edge::domain::record::{Category, Origin, Record};
use thrio_edge::domain::timestamp::WallTime;

use crate::destination_suite::records::{self, batch, seq, source};
use crate::destination_suite::{Place as _, writer};
use crate::place::Database;
use crate::{is_named, server};

pub(crate) fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

fn box_1() -> Writer {
    writer("box-1", 1, &[source()])
}

pub(crate) fn held(result: Result<impl std::fmt::Debug, SendError>) -> String {
    match result {
        Err(SendError::Held { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing in: {text}");
    }
}

fn transaction(state: &str) -> Record {
    Record::Transaction(records::transaction("a-1", 10, state))
}

#[test]
fn a_wrong_password_is_held_until_the_file_is_replaced() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    fs::write(&file, "wrong").expect("written");
    let path = file.clone();
    let right = server().password().read().expect("read");
    let secret = Secret::new(Arc::new(move || {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        if text == "right" {
            return Ok(right.clone());
        }
        Ok(SecretString::from(text))
    }));
    let mut to = SqlServerDestination::new(database.options.clone(), Some(secret), clock());
    let text = held(to.open(&box_1()));
    says(
        &text,
        &["18456", "check login and password", "next attempt"],
    );
    assert!(!text.contains("wrong"), "{text}");
    fs::write(&file, "right").expect("written");
    to.open(&box_1()).expect("the hold is over");
    fs::remove_file(&file).expect("removed");
    says(&held(to.open(&box_1())), &["No such file", "readable"]);
}

#[test]
fn a_certificate_must_come_from_an_authority_and_bear_the_hosts_name() {
    let ours =
        |protection: &Protection| matches!(protection, Protection::Verified { ca_file: Some(_) });
    if !is_named() || !ours(&server().options().protection) {
        return;
    }
    let open = |options: SqlServerOptions| {
        SqlServerDestination::new(options, Some(server().password()), clock()).open(&box_1())
    };
    let database = Database::new();
    open(database.options.clone()).expect("by the site's authority");
    let mut options = database.options.clone();
    options.protection = Protection::Verified { ca_file: None };
    says(&held(open(options)), &["TLS", "ca_file"]);
    let mut options = database.options.clone();
    let address = (options.server.host.as_str(), options.server.port)
        .to_socket_addrs()
        .expect("an address")
        .next();
    options.server.host = address.expect("one at least").ip().to_string();
    says(&held(open(options.clone())), &["not valid for name"]);
    options.protection = Protection::TrustingAnyone;
    open(options).expect("whoever it is");
}

#[test]
fn a_database_that_is_not_there_is_named_with_a_remedy() {
    if !is_named() {
        return;
    }
    let mut options = Database::new().options.clone();
    options.server.database = "no_such_database".to_owned();
    let mut to = SqlServerDestination::new(options, Some(server().password()), clock());
    says(
        &held(to.open(&box_1())),
        &["no_such_database", "make the database"],
    );
}

#[test]
fn a_table_that_was_altered_is_named_with_a_remedy() {
    // The number of this error is SQL Server's own.
    if !is_named() || !server().is_genuine("a table that was altered") {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    database.run("ALTER TABLE {s}.wfm_agent_state_transaction DROP COLUMN is_tied");
    says(
        &held(to.send(&batch(1, &[transaction("Ready")]))),
        &["is_tied", "docs/tables.md"],
    );
    database.run("ALTER TABLE {s}.wfm_agent_state_transaction ADD is_tied bit NOT NULL DEFAULT 0");
    to.open(&box_1()).expect("opened anew");
    to.send(&batch(1, &[transaction("Ready")])).expect("sent");
}

#[test]
fn keys_that_differ_in_case_or_in_a_blank_at_their_end_are_different() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    let agents = ["a-1", "A-1", "a-1 ", "a-1  ", "ä-1"];
    let states = ["Break", "break", "Break ", "Pause", "昼休み 🙂 '\"\\"];
    let records: Vec<_> = agents
        .iter()
        .zip(states)
        .map(|(agent, state)| Record::Transaction(records::transaction(agent, 10, state)))
        .collect();
    for _ in 0..2 {
        to.send(&batch(1, &records)).expect("sent");
    }
    let rows = database.table("wfm_agent_state_transaction");
    let mut found: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |column: &str| row[column].clone().expect("never NULL");
            (text("agent_id"), text("state"))
        })
        .collect();
    found.sort();
    let mut expected: Vec<_> = agents
        .map(|agent| {
            agent
                .strip_suffix(' ')
                .map_or_else(|| agent.to_owned(), |a| format!("{a}␠"))
        })
        .into_iter()
        .zip(states.map(|state| state.replace("Break ", "Break␠")))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    let day = Day::containing(WallTime::from_ms(10));
    let held = to.holdings(&source(), day).expect("read").expect("a count");
    let counted: Vec<&str> = held.transactions.keys().map(AgentId::as_str).collect();
    let mut agents = agents;
    agents.sort_unstable();
    assert_eq!(counted, agents, "as the box knows them");
}

#[test]
fn a_refused_record_does_not_break_the_connection() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    database.run(
        "ALTER TABLE {s}.wfm_agent_state_transaction
         ADD CONSTRAINT no_lunch CHECK (state <> 'Lunch')",
    );
    let error = to
        .send(&batch(1, &[transaction("Lunch")]))
        .expect_err("refused");
    let SendError::Refused { message, records } = error else {
        panic!("{error:?}");
    };
    says(&message, &["no_lunch", "547"]);
    assert!(records.is_empty(), "which one is found by bisecting");
    to.send(&batch(2, &[transaction("Dinner")])).expect("sent");
    let receipt = to.open(&box_1()).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(2), seq(2))]);
}

#[test]
fn a_key_that_is_there_already_is_tried_once_more_and_then_the_contents_fault() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    database.run(
        "CREATE UNIQUE INDEX one_at_a_time ON {s}.wfm_agent_state_transaction (source, started_at)",
    );
    let records =
        ["a-1", "a-2"].map(|agent| Record::Transaction(records::transaction(agent, 10, "Ready")));
    to.send(&batch(1, &records[..1])).expect("sent");
    let second = batch(2, &records[1..]);
    let error = to.send(&second).expect_err("the first time");
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
    let error = to.send(&second).expect_err("the second time");
    let SendError::Refused { message, .. } = error else {
        panic!("{error:?}");
    };
    says(&message, &["one_at_a_time"]);
    assert!(!message.contains("a-2"), "no row is shown: {message}");
    to.send(&batch(3, &[transaction("Busy")])).expect("sent");
}

#[test]
fn a_batch_is_cut_to_what_one_transaction_takes_and_longer_lists_go_in_portions() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    let agents = i64::try_from(RECORDS_MAX).expect("few") + 1;
    let records: Vec<_> = (0..agents)
        .map(|n| Record::Transaction(records::transaction(&format!("a-{n}"), 10, "Ready")))
        .collect();
    let error = to.send(&batch(1, &records)).expect_err("too many");
    assert!(matches!(error, SendError::TooLarge { .. }), "{error:?}");
    to.send(&batch(1, &records[..RECORDS_MAX])).expect("sent");

    let states: Vec<_> = (0..agents)
        .map(|n| CurrentState {
            source: source(),
            agent: AgentId::new(&format!("a-{n}")).expect("an id"),
            state: StateText::new("Break").expect("a state"),
            category: Category::Aux,
            since: WallTime::from_ms(90),
            origin: Origin::Observed,
            record_seq: seq(9_999),
        })
        .collect();
    to.send_current(&states).expect("sent");
    let count = "SELECT COUNT(*) AS n FROM {s}.wfm_agent_state_current WHERE state = 'Break'";
    assert_eq!(database.one(count), agents.to_string());

    let roster: Vec<_> = (0..agents)
        .map(|n| records::agent(&format!("a-{n}"), 10, "Kim"))
        .collect();
    to.send_roster(&source(), &roster, &[]).expect("sent");
    let count = "SELECT COUNT(*) AS n FROM {s}.wfm_agent";
    assert_eq!(database.one(count), agents.to_string());
    let receipt = to.open(&box_1()).expect("opened");
    assert!(receipt.roster_wanted.is_empty(), "all of it was sent");
}

#[test]
fn tables_can_lie_under_another_prefix_beside_others() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut options: SqlServerOptions = database.options.clone();
    options.table_prefix = SqlName::new("edge_").expect("a name");
    let mut elsewhere = SqlServerDestination::new(options, Some(server().password()), clock());
    elsewhere.open(&box_1()).expect("opened");
    elsewhere
        .send(&batch(1, &records::history()))
        .expect("sent");
    let count = "SELECT COUNT(*) AS n FROM {s}.edge_agent_state_transaction";
    assert_eq!(database.one(count), "60");
    let mut usual = database.open(clock());
    let receipt = usual.open(&box_1()).expect("opened");
    assert!(receipt.applied.is_empty());
}

#[test]
fn a_row_that_somebody_else_holds_is_waited_for_and_then_tried_again() {
    if !is_named() {
        return;
    }
    let mut database = Database::new();
    database.open(clock()).open(&box_1()).expect("tables");
    database.options.statement_timeout = Duration::from_secs(5);
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    let (holds, is_held) = mpsc::channel();
    let (release, is_released) = mpsc::channel::<()>();
    let lock = format!(
        "BEGIN TRANSACTION; UPDATE [{}].wfm_source SET confirmed_at = confirmed_at",
        database.options.schema
    );
    let holder = thread::spawn(move || {
        let mut other = server().session();
        other.run(&lock);
        holds.send(()).expect("awaited");
        is_released.recv().expect("released");
        other.run("ROLLBACK TRANSACTION");
    });
    is_held.recv().expect("held");
    let error = to
        .send(&batch(1, &[transaction("Ready")]))
        .expect_err("somebody holds the source's row");
    assert!(matches!(error, SendError::Retry { .. }), "{error:?}");
    release.send(()).expect("waiting");
    holder.join().expect("ended");
    to.open(&box_1()).expect("opened");
    to.send(&batch(1, &[transaction("Ready")])).expect("sent");
}

/// Waits until a send has locked the source's row: then it cannot be had within a millisecond.
fn wait_until_the_source_is_locked(database: &Database) {
    let look = format!(
        "SET LOCK_TIMEOUT 1; UPDATE [{}].wfm_source SET confirmed_at = confirmed_at",
        database.options.schema
    );
    let mut other = server().session();
    let is_locked = (0..100_000).any(|_| other.try_run(&look).is_err());
    assert!(is_locked, "nothing is sent");
}

#[test]
fn of_two_transactions_that_lock_each_other_out_one_gives_way_and_is_sent_again() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    to.send(&batch(1, &[transaction("Ready")])).expect("sent");
    let mut other = server().session();
    let schema = &database.options.schema;
    other.run(&format!(
        "BEGIN TRANSACTION; UPDATE [{schema}].wfm_agent_state_transaction SET origin = origin"
    ));
    let sending = thread::spawn(move || {
        // Locks the source's row, and then waits for the other's.
        let sent = to.send(&batch(2, &[transaction("Busy")]));
        (to, sent)
    });
    wait_until_the_source_is_locked(&database);
    let theirs = other.try_run(&format!(
        "UPDATE [{schema}].wfm_source SET confirmed_at = confirmed_at;
         COMMIT TRANSACTION"
    ));
    // Ours has the lower priority, which only SQL Server itself looks at.
    if let Err(error) = &theirs {
        assert_eq!(error.code(), Some(1205), "{error}");
        drop(other);
    }
    let (mut to, sent) = sending.join().expect("sent or not");
    if let Err(error) = sent {
        assert!(theirs.is_ok(), "one of the two goes on: {error:?}");
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
        says(&error.to_string(), &["1205"]);
        to.send(&batch(2, &[transaction("Busy")]))
            .expect("sent again");
    } else {
        assert!(theirs.is_err(), "both waited for each other");
    }
    let receipt = to.open(&box_1()).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(1), seq(2))]);
}

#[test]
fn rows_that_were_altered_or_lost_are_written_once_more() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&box_1()).expect("opened");
    let records = [
        Record::Interval(records::interval("q-1", 0, 1, 100)),
        Record::Interval(records::interval("q-2", 0, 1, 100)),
    ];
    to.send(&batch(1, &records)).expect("sent");
    database.run("UPDATE {s}.wfm_queue_interval SET entered = 99 WHERE queue_id = 'q-1'");
    database.run("DELETE FROM {s}.wfm_queue_interval WHERE queue_id = 'q-2'");
    let day = Day::containing(records::start(0).start());
    let tallies = |to: &mut SqlServerDestination| {
        let held = to.holdings(&source(), day).expect("read").expect("a count");
        let tallies = held.volumes.iter();
        tallies
            .map(|(queue, tally)| (queue.to_string(), tally.intervals, tally.entered))
            .collect::<Vec<_>>()
    };
    assert_eq!(tallies(&mut to), [("q-1".to_owned(), 1, 99)]);
    to.send(&batch(1, &records)).expect("sent");
    assert_eq!(
        tallies(&mut to)[0].2,
        99,
        "what came before wins nothing by coming again"
    );
    to.resend(&batch(1, &records)).expect("sent");
    let right = ["q-1", "q-2"].map(|queue| (queue.to_owned(), 1, 10));
    assert_eq!(tallies(&mut to), right);
}
