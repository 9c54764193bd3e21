//! What the tables say, in a form that can be compared over kinds.

use std::collections::BTreeMap;

use super::Place;

/// The tables that hold facts and the columns of their keys, as `docs/tables.md` names them.
pub(crate) const FACTS: [(&str, &[&str]); 8] = [
    ("wfm_queue", &["source", "queue_id", "valid_from"]),
    ("wfm_agent", &["source", "agent_id", "valid_from"]),
    (
        "wfm_queue_interval",
        &["source", "queue_id", "interval_start"],
    ),
    (
        "wfm_queue_interval_revision",
        &[
            "source",
            "queue_id",
            "interval_start",
            "claim_no",
            "revision",
        ],
    ),
    (
        "wfm_agent_state_transaction",
        &["source", "agent_id", "started_at"],
    ),
    ("wfm_agent_state_current", &["source", "agent_id"]),
    ("wfm_state_code", &["source", "state"]),
    (
        "wfm_interval_coverage",
        &["source", "feed", "interval_start"],
    ),
];

/// Every fact, without `applied_no`, which tells the order of arrival and nothing else.
pub(crate) fn facts(place: &dyn Place) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, _) in FACTS {
        for mut row in place.table(table) {
            row.remove("applied_no");
            lines.push(format!("{table} {row:?}"));
        }
    }
    lines.sort();
    lines
}

/// Compares, and shows the first lines that differ.
pub(crate) fn assert_same(found: &[String], expected: &[String], about: &str) {
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    let at = differs.unwrap_or(found.len().min(expected.len()));
    assert!(
        found == expected,
        "{about}: {} against {} facts; first difference:\n found    {:?}\n expected {:?}",
        found.len(),
        expected.len(),
        found.get(at),
        expected.get(at),
    );
}

/// What a reader knows that only ever asks for `applied_no` past its last.
#[derive(Default)]
pub(crate) struct Copy {
    seen: i64,
    rows: BTreeMap<String, String>,
}

impl Copy {
    /// A reader that has just come and reads everything.
    pub(crate) fn whole(place: &dyn Place) -> Self {
        let mut copy = Self::default();
        copy.catch_up(place);
        copy
    }

    pub(crate) fn catch_up(&mut self, place: &dyn Place) {
        let mut newest = self.seen;
        for (table, key) in FACTS {
            for row in place.rows(table, &format!("applied_no > {}", self.seen)) {
                let applied_no = row["applied_no"].as_deref().expect("never NULL");
                newest = newest.max(applied_no.parse().expect("a number"));
                let key: Vec<_> = key.iter().map(|name| &row[*name]).collect();
                self.rows
                    .insert(format!("{table} {key:?}"), format!("{row:?}"));
            }
        }
        self.seen = newest;
    }

    pub(crate) fn rows(&self) -> &BTreeMap<String, String> {
        &self.rows
    }
}
