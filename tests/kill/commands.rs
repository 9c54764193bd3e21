//! What a person asks about destinations, of a running process and of a state directory at rest.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::postgres_server::{PASSWORD, PostgresServer};
use crate::rig::{Rig, seed};
use crate::tables::Tables;
use crate::truth::{Expected, VolumeKey};
use crate::{prepared, sqlite};

const SQLITE: &str = "kind = \"sqlite\"\npath = \"wfm.db\"\n";
const DAY: [&str; 4] = [
    "--from",
    "2026-03-02T00:00:00Z",
    "--to",
    "2026-03-03T00:00:00Z",
];

fn reconcile(rig: &Rig, more: &[&str]) -> (i32, Value) {
    let mut arguments = vec!["reconcile", "--json"];
    arguments.extend(DAY);
    arguments.extend(more);
    let (code, text) = rig.command(&arguments);
    (
        code,
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{code} {text}")),
    )
}

fn database(rig: &Rig) -> Connection {
    Connection::open(rig.folder().join("wfm.db")).unwrap()
}

#[test]
fn reconcile_finds_what_was_lost_and_altered_in_sqlite_and_repair_sends_just_that_again() {
    let rig = Rig::new(seed(), SQLITE);
    let tables = sqlite::Database(rig.folder().join("wfm.db"));
    finds_and_mends_what_was_lost_and_altered(&rig, &tables);
}

#[test]
fn reconcile_finds_what_was_lost_and_altered_in_postgresql_and_repair_sends_just_that_again() {
    let server = PostgresServer::start();
    let name = server.new_database();
    let url = server.url(&name);
    let destination = format!("kind = \"postgres\"\nurl = \"{url}\"\npassword = \"{PASSWORD}\"\n");
    let rig = Rig::new(seed(), &destination);
    finds_and_mends_what_was_lost_and_altered(&rig, &server.admin(&name));
}

/// A hand deletes an agent's rows and an interval, and alters another queue's interval.
fn finds_and_mends_what_was_lost_and_altered(rig: &Rig, tables: &dyn Tables) {
    let expected = prepared::fill(rig, 0, 3_000);
    rig.finish();
    let (code, found) = reconcile(rig, &[]);
    assert_eq!(
        (code, &found["differences_count"]),
        (0, &Value::from(0)),
        "{found}"
    );
    assert!(found["compared"].as_u64() > Some(100), "{found}");

    let agent = busiest(&expected);
    let [altered, bereft] = two_queues(&expected);
    let written = tables.column("SELECT CAST(MAX(last_applied_no) AS text) FROM wfm_source");
    let one_of = |order: &str, queue: &str| {
        format!(
            "queue_id = '{queue}' AND interval_start =
               (SELECT {order}(interval_start) FROM wfm_queue_interval WHERE queue_id = '{queue}')"
        )
    };
    tables.run(&format!(
        "DELETE FROM wfm_agent_state_transaction WHERE agent_id = '{agent}';
         UPDATE wfm_queue_interval SET entered = entered + 1 WHERE {};
         DELETE FROM wfm_queue_interval WHERE {};",
        one_of("MIN", &altered),
        one_of("MAX", &bereft)
    ));
    let (code, found) = reconcile(rig, &[]);
    assert_eq!(
        (code, &found["differences_count"]),
        (74, &Value::from(3)),
        "{found}"
    );
    assert_eq!(kinds(&found), ["transactions", "volumes", "volumes"]);
    let (code, text) = rig.command(&[&["reconcile"], &DAY[..]].concat());
    assert!(
        code == 74 && text.contains(&agent) && text.contains("3 differ"),
        "{text}"
    );

    let mut life = rig.start();
    life.wait_for("readiness", |status| status.ready);
    let (code, found) = reconcile(rig, &["--repair"]);
    assert_eq!(code, 0, "{found}");
    let of_queue = |(queue, _): &&VolumeKey| *queue == altered || *queue == bereft;
    let wanted = by_agent(&expected)[&agent] + expected.volumes.keys().filter(of_queue).count();
    assert_eq!(found["resent"], Value::from(wanted), "{found}");
    life.wait_until_so("the repair", || {
        let (code, found) = reconcile(rig, &[]);
        code == 0 && found["differences_count"] == 0
    });
    let status = life.wait_for("the result in the status", |status| {
        status.destinations[0].last_reconcile.is_some()
    });
    let last = status.destinations[0].last_reconcile.clone().unwrap();
    assert_eq!((last.differences, last.error), (0, None));
    assert_eq!(life.terminate(), Some(0));
    expected.assert_within(&tables.transactions(), &tables.volumes());

    // Of what was there before, nothing else was written.
    let anew = |column: &str, table: &str| {
        let sql = format!(
            "SELECT DISTINCT {column} FROM {table} WHERE record_seq <= {} AND applied_no > {}",
            expected.records(),
            written[0]
        );
        tables.column(&sql)
    };
    assert_eq!(anew("agent_id", "wfm_agent_state_transaction"), [agent]);
    assert_eq!(anew("queue_id", "wfm_queue_interval"), [altered, bereft]);
}

fn kinds(found: &Value) -> Vec<&str> {
    let differences = found["differences"].as_array().unwrap().iter();
    let kinds = differences.map(|difference| difference["kind"].as_str().unwrap());
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort_unstable();
    kinds
}

/// The first and the last of the queues.
fn two_queues(expected: &Expected) -> [String; 2] {
    let mut queues = expected.volumes.keys().map(|(queue, _)| queue.clone());
    let first = queues.next().unwrap();
    [first, queues.next_back().unwrap()]
}

fn busiest(expected: &Expected) -> String {
    by_agent(expected)
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .unwrap()
        .0
}

fn by_agent(expected: &Expected) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (agent, _) in expected.transactions.keys() {
        *counts.entry(agent.clone()).or_default() += 1;
    }
    counts
}

fn quarantined(rig: &Rig) -> Vec<u64> {
    let (code, text) = rig.command(&["quarantine", "list", "--json"]);
    assert_eq!(code, 0, "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    let entries = list["quarantine"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect()
}

#[test]
fn what_a_destination_refused_is_shown_retried_and_discarded() {
    let rig = Rig::new(seed(), SQLITE);
    prepared::fill(&rig, 0, 100);
    rig.finish();
    // The site's own rule refuses an agent.
    let expected = prepared::fill(&rig, 1, 2_000);
    let counts = by_agent(&expected);
    let (agent, count) = counts
        .iter()
        .find(|(_, n)| (3..=10).contains(*n))
        .expect("one");
    let rule = format!(
        "CREATE TRIGGER refuses BEFORE INSERT ON wfm_agent_state_transaction
         WHEN NEW.agent_id = '{agent}' BEGIN SELECT RAISE(ABORT, 'not of this team'); END"
    );
    database(&rig).execute_batch(&rule).unwrap();
    rig.finish();

    // At rest.
    let seqs = quarantined(&rig);
    assert_eq!(seqs.len(), *count);
    let first = seqs[0].to_string();
    let (code, text) = rig.command(&["quarantine", "show", &first]);
    assert!(
        code == 0 && text.contains("not of this team") && text.contains(agent),
        "{text}"
    );
    let (code, text) = rig.command(&["quarantine", "list"]);
    assert!(code == 0 && text.contains("not of this team"), "{text}");
    let (code, text) = rig.command(&["quarantine", "discard", &first]);
    assert!(code == 0 && text.contains("1 record thrown away"), "{text}");
    assert_eq!(quarantined(&rig), seqs[1..]);
    let (code, text) = rig.command(&["quarantine", "discard", &first]);
    assert!(code == 64 && text.contains("has no record"), "{text}");

    // Of the running process.
    database(&rig)
        .execute_batch("DROP TRIGGER refuses")
        .unwrap();
    let mut life = rig.start();
    life.wait_for("readiness", |status| status.ready);
    let (code, text) = rig.command(&["quarantine", "retry", "--all"]);
    assert!(code == 0 && text.contains("to be sent once more"), "{text}");
    life.wait_for("the retries", |status| {
        status.destinations[0].quarantined == 1
    });
    assert_eq!(quarantined(&rig), [0_u64; 0]);
    assert_eq!(life.terminate(), Some(0));
    let there = sqlite::transactions(&database(&rig));
    let missing = expected
        .transactions
        .keys()
        .filter(|key| !there.contains_key(*key));
    assert_eq!(missing.count(), 1, "the discarded one");
}

#[test]
fn a_replay_fills_a_table_that_was_lost_and_a_claim_takes_a_source_over() {
    let rig = Rig::new(seed(), SQLITE);
    let expected = prepared::fill(&rig, 0, 2_000);
    rig.finish();
    database(&rig)
        .execute_batch("DELETE FROM wfm_agent_state_transaction")
        .unwrap();
    let (code, text) = rig.command(&["replay", "--from-seq", "1"]);
    assert!(code == 0 && text.contains("are sent once more"), "{text}");
    // Another box takes the source meanwhile; this one is held, and loses nothing.
    let theft = "UPDATE wfm_source SET box_id = 'other', claim_no = 99";
    database(&rig).execute_batch(theft).unwrap();
    let mut life = rig.start();
    let status = life.wait_for("the hold", |s| s.destinations[0].held.is_some());
    let destination = &status.destinations[0];
    assert!(destination.held_since.is_some(), "{destination:?}");
    assert!(
        destination
            .remedy
            .as_ref()
            .unwrap()
            .contains("thrio-edge claim")
    );
    let (code, text) = rig.command(&["claim", "--source", "main"]);
    assert!(code == 0 && text.contains("is this box's"), "{text}");
    let status = life.wait_for("the end of the replay", |status| {
        let destination = &status.destinations[0];
        destination.replay.is_none() && destination.backlog == 0
    });
    assert_eq!(status.destinations[0].held_since, None);
    assert!(status.destinations[0].last_acknowledged_at.is_some());
    assert_eq!(life.terminate(), Some(0));
    let there = sqlite::transactions(&database(&rig));
    expected.assert_within(&there, &sqlite::volumes(&database(&rig)));
    for wrong in [
        &["claim", "--source", "nobody"][..],
        &["replay", "--destination", "nobody", "--stop"],
        &["replay"],
        &["quarantine", "retry"],
    ] {
        assert_eq!(rig.command(wrong).0, 64, "{wrong:?}");
    }
}
