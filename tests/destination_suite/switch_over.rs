//! From an old collector to a box (`facts_from`), in the same tables: what the old one wrote of the
//! time before stays as it is, and at the quarter hour between them nothing is missing or doubled.

use std::sync::Arc;

use thrio_edge::clock::SystemClock;
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::record::{Origin, Record, RevisionReason, Run, StateTransaction};
use thrio_edge::forwarder::ForwardCommand;

use super::forwarding_box::{ForwardingBox, START};
use super::records::{self, batch, coverage, interval, seq, source};
use super::{Cells, Kind, Place, TestClock, writer};

const MINUTE_MS: i64 = 60_000;
/// The quarter hours on either side of the switch that are looked at.
const QUARTERS: i64 = 6;

fn switch() -> IntervalStart {
    records::start(0)
}

/// So many minutes after the switch.
fn minute(n: i64) -> i64 {
    switch().start().ms() + n * MINUTE_MS
}

fn change(agent: &str, at_minute: i64, state: &str) -> Record {
    Record::Transaction(records::transaction(agent, minute(at_minute), state))
}

/// The old collector's tables: it went on until ten minutes after the switch.
fn old_collector(place: &dyn Place) {
    let mut old = place.destination(TestClock::at(minute(10)));
    old.open(&writer("old", 9, &[source()])).expect("claimed");
    let mut records: Vec<Record> = (-QUARTERS..1)
        .map(|n| Record::Interval(interval("q-1", n, 1, minute(0))))
        .collect();
    records.extend((-QUARTERS..1).map(|n| Record::Coverage(coverage(n, None))));
    records.push(change("a-1", -30, "Ready"));
    records.push(change("a-2", -3, "Lunch"));
    old.send(&batch(1, &records)).expect("sent");
}

/// What the box has collected of the same time by itself, a backfill of the days before included.
fn of_the_box() -> Vec<Record> {
    let mut records: Vec<Record> = (-QUARTERS..QUARTERS)
        .map(|n| Record::Interval(interval("q-1", n, 3, minute(90))))
        .collect();
    records.extend((-QUARTERS..QUARTERS).map(|n| Record::Coverage(coverage(n, Some(minute(90))))));
    records.extend([
        change("a-1", -20, "Busy"),
        change("a-1", -10, "Wrapup"),
        change("a-3", -5, "Ready"),
        change("a-4", 2, "Ready"),
        change("a-1", 7, "Ready"),
    ]);
    records
}

/// The facts before the switch, by table.
fn before(place: &dyn Place) -> Vec<(&'static str, Vec<Cells>)> {
    let tables = [
        ("wfm_queue_interval", "interval_start"),
        ("wfm_queue_interval_revision", "interval_start"),
        ("wfm_interval_coverage", "interval_start"),
        ("wfm_agent_state_transaction", "started_at"),
    ];
    tables
        .map(|(table, at)| {
            let mut rows = place.table(table);
            rows.retain(|row| moment(row, at) < minute(0));
            rows.sort();
            (table, rows)
        })
        .into()
}

fn moment(row: &Cells, column: &str) -> i64 {
    row[column]
        .as_ref()
        .expect("a key")
        .parse()
        .expect("a moment")
}

/// Start, end, state and origin of an agent's spans, in minutes after the switch.
fn spans(place: &dyn Place, agent: &str) -> Vec<(i64, Option<i64>, String, String)> {
    let rows = place.rows("wfm_agent_state_span", &format!("agent_id = '{agent}'"));
    let in_minutes = |ms: i64| (ms - minute(0)) / MINUTE_MS;
    let text = |row: &Cells, column: &str| row[column].clone().unwrap_or_default();
    let mut spans: Vec<_> = rows
        .iter()
        .map(|row| {
            let end = row["ended_at"]
                .as_ref()
                .map(|_| in_minutes(moment(row, "ended_at")));
            let start = in_minutes(moment(row, "started_at"));
            (start, end, text(row, "state"), text(row, "origin"))
        })
        .collect();
    spans.sort();
    spans
}

fn span(
    start: i64,
    end: Option<i64>,
    state: &str,
    origin: Origin,
) -> (i64, Option<i64>, String, String) {
    (start, end, state.to_owned(), origin.as_str().to_owned())
}

fn assert_switched(place: &dyn Place) {
    // Each quarter hour once, and the box's word from the switch on.
    let mut quarters: Vec<_> = place
        .table("wfm_queue_interval")
        .iter()
        .map(|row| {
            let from_switch = (moment(row, "interval_start") - minute(0)) / (15 * MINUTE_MS);
            (from_switch, row["entered"].clone().expect("a figure"))
        })
        .collect();
    quarters.sort();
    let whose = |n: i64| if n < 0 { "10" } else { "30" };
    let expected = (-QUARTERS..QUARTERS).map(|n| (n, whose(n).to_owned()));
    assert_eq!(quarters, expected.collect::<Vec<_>>());
    // No hole and no overlap: each span ends where the next begins.
    assert_eq!(
        spans(place, "a-1"),
        [
            span(-30, Some(0), "Ready", Origin::Observed),
            span(0, Some(7), "Wrapup", Origin::Resync),
            span(7, None, "Ready", Origin::Observed),
        ]
    );
    // Known to the old collector only: nothing says that it ended.
    assert_eq!(
        spans(place, "a-2"),
        [span(-3, None, "Lunch", Origin::Observed)]
    );
    assert_eq!(
        spans(place, "a-3"),
        [span(0, None, "Ready", Origin::Resync)]
    );
    assert_eq!(
        spans(place, "a-4"),
        [span(2, None, "Ready", Origin::Observed)]
    );
    let mut current = place.table("wfm_agent_state_current");
    current.retain(|row| row["agent_id"].as_deref() != Some("a-2"));
    assert!(
        current.iter().all(|row| moment(row, "since") >= minute(0)),
        "{current:#?}"
    );
}

pub(crate) fn a_switch_over_leaves_no_hole_and_counts_nothing_twice(kind: &dyn Kind) {
    let place = kind.place();
    old_collector(place.as_ref());
    let untouched = before(place.as_ref());
    assert!(untouched.iter().all(|(_, rows)| !rows.is_empty()));

    let options = DeliveryOptions {
        facts_from: Some(switch()),
        // A backlog that takes several batches, with a live lane beside it.
        batch_records: 4,
        ..DeliveryOptions::default()
    };
    assert_eq!(START, switch().start());
    let to = place.destination(Arc::new(SystemClock::new()));
    let mut edge = ForwardingBox::with_options(options, to);
    edge.claim(source().as_str());
    edge.journal(&of_the_box());
    edge.run_until_delivered();
    assert_switched(place.as_ref());
    assert_eq!(before(place.as_ref()), untouched);

    // The days before are read again, by night and by a person, and states of then come late.
    let reread = (-QUARTERS..0).flat_map(|n| {
        [(4, Run::Nightly), (5, Run::Manual)].map(|(revision, run)| {
            let mut again = interval("q-1", n, revision, minute(600));
            (again.run, again.reason) = (run, RevisionReason::Backfill);
            Record::Interval(again)
        })
    });
    let gap = StateTransaction {
        origin: Origin::Gap,
        ..records::transaction("a-3", minute(-4), "(unknown)")
    };
    let back = StateTransaction {
        origin: Origin::Resync,
        ..records::transaction("a-3", minute(-2), "Ready")
    };
    let mut late: Vec<Record> = reread.collect();
    late.extend([Record::Transaction(gap), Record::Transaction(back)]);
    edge.journal(&late);
    edge.run_until_delivered();
    assert_switched(place.as_ref());
    assert_eq!(before(place.as_ref()), untouched);

    // Everything once more.
    edge.send(ForwardCommand::ReplayFromSeq(seq(1)));
    edge.step();
    edge.run_until("the replay's end", |status| {
        status.replay.is_none() && status.balance.counts.replayed > 0
    });
    assert_switched(place.as_ref());
    assert_eq!(before(place.as_ref()), untouched);
}
