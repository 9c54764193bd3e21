//! The real process, killed at random points of a drain, again and again: nothing is missing,
//! nothing doubled, and the tables are the simulated centre's own truth.
//!
//! Before each kill the process is frozen (SIGSTOP) and the destination is asked whether a batch is
//! open there, so that it is known, not guessed, how many kills fell between the first byte sent
//! and the acknowledgement. Where none is open it goes on and is frozen again; every eighth kill
//! takes the moment that comes. `THRIO_EDGE_KILLS` sets how many kills there are,
//! `THRIO_EDGE_SEED` replays their points.

mod commands;
mod http;
mod line;
mod nats;
#[path = "../support/nats_server.rs"]
#[allow(dead_code, reason = "the JetStream tests use more of it")]
mod nats_server;
mod postgres;
#[path = "../support/postgres_server.rs"]
#[allow(dead_code, reason = "the PostgreSQL tests use more of it")]
mod postgres_server;
mod prepared;
mod rig;
mod sqlite;
mod tables;
mod truth;

use std::fs;
use std::path::Path;

use async_nats::ConnectOptions;
use line::{Line, Protocol};
use nats_server::{Servers, admin, assert_once, messages, seqs};
use postgres_server::{PASSWORD, PostgresServer};
use rig::{Kills, Rig, kills, seed};
use rusqlite::Connection;
use truth::{Expected, assert_delivered};

/// How often the receiver is killed beside.
const RECEIVER_KILLS: usize = 10;
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
    check_sqlite(&rig, &rig.folder().join("wfm.db"), &expected);
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

/// The box is killed as above, then the receiver, while the box lives on.
#[test]
fn killed_at_either_end_of_http_nothing_is_missing_and_nothing_doubled() {
    let mut receiver = http::Receiver::start();
    let (url, token) = (receiver.url(), http::TOKEN);
    let rig = Rig::new(
        seed(),
        &format!("kind = \"http\"\nurl = \"{url}\"\ntoken = \"{token}\"\nbackoff_max_s = 1\n"),
    );
    let kills = kills(50);
    let expected = prepared::fill(&rig, 0, (kills + RECEIVER_KILLS) * RECORDS_PER_KILL);
    let inside = rig.kill_again_and_again(kills, &receiver.line);
    let mut of_receiver = Kills {
        all: RECEIVER_KILLS,
        inside: 0,
    };
    let life = rig.start();
    for kill in 1..=RECEIVER_KILLS {
        let wait = |at: &Line| life.wait_for_calls(1 + kill % 3, at);
        of_receiver.inside += usize::from(receiver.kill(kill % 8 == 0, wait));
    }
    drop(life);
    rig.finish();
    check_sqlite(&rig, &receiver.database(), &expected);
    println!("http: {inside}; of the receiver: {of_receiver}");
    assert!(inside.is_fair(), "{inside}");
    assert!(of_receiver.is_fair(), "of the receiver: {of_receiver}");
}

#[test]
fn killed_in_the_middle_of_messages_to_jetstream_nothing_is_missing_and_nothing_doubled() {
    let servers = Servers::one("");
    let address = servers.single().address();
    let line = Line::start(Protocol::Nats);
    line.lead_to(address.parse().unwrap());
    let rig = Rig::new(
        seed(),
        &format!(
            "kind = \"jetstream\"\nurls = [\"nats://{}\"]\nbackoff_max_s = 1\n",
            line.near_end()
        ),
    );
    let kills = kills(25);
    let expected = prepared::fill(&rig, 0, kills * RECORDS_PER_KILL);
    let inside = rig.kill_again_and_again(kills, &line);
    rig.finish();
    let journal = rig.journal();
    let messages = messages(&admin(ConnectOptions::new(), vec![address]), "wfm");
    assert_once(&seqs(&messages), 1..=journal.head);
    let there = nats::read(&messages);
    assert_delivered(&journal, &expected, &there.transactions, &there.volumes);
    println!("jetstream: {inside}");
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

fn check_sqlite(rig: &Rig, file: &Path, expected: &Expected) {
    let database = Connection::open(file).unwrap();
    let journal = rig.journal();
    assert_delivered(
        &journal,
        expected,
        &sqlite::transactions(&database),
        &sqlite::volumes(&database),
    );
    assert_eq!(sqlite::receipt(&database), [(1, journal.head)]);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
