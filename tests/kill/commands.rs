//! What a person asks about destinations, of a running process and of a state directory at rest.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::rig::{Rig, seed};
use crate::truth::Expected;
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
fn reconcile_finds_what_was_lost_and_altered_and_repair_sends_just_that_again() {
    let rig = Rig::new(seed(), SQLITE);
    let expected = prepared::fill(&rig, 0, 3_000);
    rig.finish();
    let (code, found) = reconcile(&rig, &[]);
    assert_eq!(
        (code, &found["differences_count"]),
        (0, &Value::from(0)),
        "{found}"
    );
    assert!(found["compared"].as_u64() > Some(100), "{found}");

    let agent = busiest(&expected);
    let damage = format!(
        "DELETE FROM wfm_agent_state_transaction WHERE agent_id = '{agent}';
         UPDATE wfm_queue_interval SET entered = entered + 1 WHERE (queue_id, interval_start) IN (
           SELECT queue_id, interval_start FROM wfm_queue_interval LIMIT 1);"
    );
    database(&rig).execute_batch(&damage).unwrap();
    let (code, found) = reconcile(&rig, &[]);
    assert_eq!(
        (code, &found["differences_count"]),
        (74, &Value::from(2)),
        "{found}"
    );
    let kinds: Vec<&str> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["volumes", "transactions"]);
    let (code, text) = rig.command(&[&["reconcile"], &DAY[..]].concat());
    assert!(
        code == 74 && text.contains(&agent) && text.contains("2 differ"),
        "{text}"
    );

    let mut life = rig.start();
    life.wait_for("readiness", |status| status.ready);
    let (code, found) = reconcile(&rig, &["--repair"]);
    assert_eq!(code, 0, "{found}");
    let resent = found["resent"].as_u64().unwrap();
    assert!((1..1_000).contains(&resent), "{found}");
    life.wait_until_so("the repair", || {
        let (code, found) = reconcile(&rig, &[]);
        code == 0 && found["differences_count"] == 0
    });
    let status = life.wait_for("the result in the status", |status| {
        status.destinations[0].last_reconcile.is_some()
    });
    let last = status.destinations[0].last_reconcile.clone().unwrap();
    assert_eq!((last.differences, last.error), (0, None));
    assert_eq!(life.terminate(), Some(0));
    expected.assert_within(
        &sqlite::transactions(&database(&rig)),
        &sqlite::volumes(&database(&rig)),
    );
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
