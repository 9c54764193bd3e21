//! The real process, killed at random points of a drain, again and again: nothing is missing,
//! nothing doubled, and the tables are the simulated centre's own truth.
//!
//! Before each kill the process is frozen (SIGSTOP) and the destination is asked whether a batch is
//! open there, so that it is known, not guessed, how many kills fell between the first byte sent
//! and the acknowledgement. `THRIO_EDGE_KILLS` sets how many kills there are, `THRIO_EDGE_SEED`
//! replays their points.

mod commands;
mod postgres;
#[path = "../support/postgres_server.rs"]
#[allow(dead_code, reason = "the PostgreSQL tests use more of it")]
mod postgres_server;
mod prepared;
mod rig;
mod sqlite;
mod truth;

use std::fs;

use postgres_server::{PASSWORD, PostgresServer};
use rig::{Rig, kills, seed};
use rusqlite::Connection;
use truth::{Expected, assert_delivered};

/// More than a life lasts, so that a backlog remains until the last kill.
const RECORDS_PER_KILL: usize = 1_200;

#[test]
fn killed_in_the_middle_of_batches_to_sqlite_nothing_is_missing_and_nothing_doubled() {
    let seed = seed();
    let rig = Rig::new(seed, "kind = \"sqlite\"\npath = \"wfm.db\"\n");
    let kills = kills(50);
    let expected = prepared::fill(&rig, 0, kills * RECORDS_PER_KILL);
    let observer = sqlite::WriteLock::of(&rig.folder().join("wfm.db"));
    let inside = rig.kill_again_and_again(kills, &observer);
    rig.finish();
    check_sqlite(&rig, &expected);
    println!("sqlite: {inside}");
    assert!(inside.is_fair(), "{inside}");
}

#[test]
fn killed_in_the_middle_of_batches_to_postgresql_nothing_is_missing_and_nothing_doubled() {
    let server = PostgresServer::start();
    let name = server.new_database();
    let url = server.url(&name);
    let rig = Rig::new(
        seed(),
        &format!("kind = \"postgres\"\nurl = \"{url}\"\npassword = \"{PASSWORD}\"\n"),
    );
    let kills = kills(50);
    let expected = prepared::fill(&rig, 0, kills * RECORDS_PER_KILL);
    let activity = postgres::Activity(server.admin(&name));
    let inside = rig.kill_again_and_again(kills, &activity);
    rig.finish();
    let journal = rig.journal();
    let database = &activity.0;
    assert_delivered(
        &journal,
        &expected,
        &postgres::transactions(database),
        &postgres::volumes(database),
    );
    assert_eq!(postgres::receipt(database), [(1, journal.head)]);
    println!("postgresql: {inside}");
    assert!(inside.is_fair(), "{inside}");
}

/// A backup of the state directory comes back, as after a failed upgrade: the destination knows
/// more than the journal does. What is collected from then on must not pass for sent already.
#[test]
fn a_state_directory_of_yesterday_loses_nothing_of_today() {
    let rig = Rig::new(seed(), "kind = \"sqlite\"\npath = \"wfm.db\"\n");
    let mut expected = prepared::fill(&rig, 0, 3_000);
    rig.finish();
    let yesterday = rig.folder().join("yesterday");
    copy_folder(&rig.state_dir(), &yesterday);

    // A day that the backup knows nothing of.
    expected.extend(prepared::fill(&rig, 1, 2_000));
    rig.finish();
    let former_id = rig.open_store().store_id();

    fs::remove_dir_all(rig.state_dir()).unwrap();
    fs::rename(&yesterday, rig.state_dir()).unwrap();
    // Another day gets the seqs that the destination has already.
    expected.extend(prepared::fill(&rig, 2, 1_000));
    rig.finish();
    assert_ne!(rig.open_store().store_id(), former_id, "it was rolled back");

    let database = Connection::open(rig.folder().join("wfm.db")).unwrap();
    expected.assert_within(
        &sqlite::transactions(&database),
        &sqlite::volumes(&database),
    );
}

fn check_sqlite(rig: &Rig, expected: &Expected) {
    let database = Connection::open(rig.folder().join("wfm.db")).unwrap();
    let journal = rig.journal();
    assert_delivered(
        &journal,
        expected,
        &sqlite::transactions(&database),
        &sqlite::volumes(&database),
    );
    assert_eq!(sqlite::receipt(&database), [(1, journal.head)]);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
