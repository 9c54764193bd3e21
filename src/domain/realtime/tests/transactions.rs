//! Rule 5: what changed, when, and how it is known.

use scenario::{Scenario, tx, wall};

use super::scenario;
use crate::domain::category::StateMap;
use crate::domain::realtime::{RealtimeOptions, SnapshotKind};
use crate::domain::record::Origin::{Gap, Observed, Resync, Source};
use crate::domain::record::{Category, Record};

#[test]
fn the_first_poll_is_a_resync_without_an_earliest_time() {
    let mut scenario = Scenario::new().poll_at(0.0, &[("a", "Available")]);
    let first = scenario.new_transactions().remove(0);
    assert_eq!(first.origin, Resync);
    assert_eq!((first.earliest_at, first.previous_state), (None, None));
    assert_eq!(first.started_at, wall(0.0));
    assert_eq!(scenario.counts().rows_changed, 1);
}

#[test]
fn a_change_lies_midway_between_the_polls_that_bound_it() {
    let mut scenario = Scenario::new();
    scenario.latency_s = 1.0;
    let mut scenario = scenario
        .poll_at(0.0, &[("a", "Available"), ("b", "Busy")])
        .whatever()
        .poll_at(15.0, &[("a", "Busy"), ("b", "Busy")]);
    let change = scenario.new_transactions().remove(0);
    assert_eq!(change.origin, Observed);
    assert_eq!(change.previous_state.unwrap().as_str(), "Available");
    assert_eq!(change.earliest_at, Some(wall(0.0)), "sent");
    assert_eq!(change.observed_at, wall(16.0), "received");
    assert_eq!(change.started_at, wall(8.0));
    assert_eq!(scenario.counts().rows_unchanged, 1);
}

#[test]
fn the_sources_own_time_is_taken_and_cut_to_the_bounds() {
    let scenario = Scenario::new()
        .poll_with_times_at(0.0, &[("a", "Busy", Some(-40.0)), ("b", "Busy", None)])
        .writes(&[tx("a", "Busy", Resync, -40.0), tx("b", "Busy", Resync, 0.0)])
        .poll_with_times_at(
            15.0,
            &[("a", "Working", Some(4.0)), ("b", "Working", Some(-7.0))],
        )
        .writes(&[
            tx("a", "Working", Source, 4.0),
            tx("b", "Working", Source, 0.001),
        ]);
    assert_eq!(scenario.counts().clamped, 1);
}

#[test]
fn an_unchanged_poll_writes_nothing() {
    let scenario = Scenario::new()
        .poll_at(0.0, &[("a", "Available"), ("b", "Lunch")])
        .whatever()
        .poll_at(15.0, &[("a", "Available"), ("b", "Lunch")]);
    assert_eq!(scenario.counts().rows_unchanged, 2);
    let records = scenario.journal.len();
    let scenario = scenario.poll_at(30.0, &[("b", "Lunch"), ("a", "Available")]);
    assert_eq!(scenario.journal.len(), records);
    assert_eq!(scenario.stored.last_complete_poll_at, Some(wall(30.0)));
}

#[test]
fn a_state_left_and_entered_again_shows_by_the_sources_time() {
    Scenario::new()
        .poll_with_times_at(0.0, &[("a", "Available", Some(-40.0))])
        .whatever()
        // A source that reckons `since` from whole seconds may waver by one.
        .poll_with_times_at(15.0, &[("a", "Available", Some(-39.0))])
        .writes(&[])
        .poll_with_times_at(30.0, &[("a", "Available", Some(22.0))])
        .writes(&[tx("a", "Available", Source, 22.0)]);
}

#[test]
fn more_than_two_periods_without_an_answer_are_unknown() {
    let scenario = Scenario::new()
        .poll_at(0.0, &[("a", "Available"), ("b", "Busy")])
        .whatever()
        .poll_at(31.0, &[("a", "Available"), ("b", "Working"), ("c", "Busy")])
        .writes(&[
            tx("a", "(unknown)", Gap, 0.001),
            tx("a", "Available", Resync, 31.0),
            tx("b", "(unknown)", Gap, 0.001),
            tx("b", "Working", Resync, 31.0),
            tx("c", "Busy", Resync, 31.0),
        ]);
    let counts = scenario.counts();
    assert_eq!(
        (counts.gap, counts.resync),
        (2, 1),
        "b's row is a changed one"
    );
}

#[test]
fn two_periods_exactly_are_no_gap() {
    Scenario::new()
        .poll_at(0.0, &[("a", "Available")])
        .whatever()
        .poll_at(30.0, &[("a", "Busy")])
        .writes(&[tx("a", "Busy", Observed, 15.0)]);
}

#[test]
fn after_a_gap_the_sources_time_counts_only_if_it_lies_in_the_gap() {
    Scenario::new()
        .poll_at(0.0, &[("a", "Available"), ("b", "Available")])
        .poll_at(15.0, &[("a", "Available"), ("b", "Available")])
        .whatever()
        .poll_with_times_at(
            100.0,
            &[("a", "Busy", Some(60.0)), ("b", "Available", Some(-5.0))],
        )
        .writes(&[
            tx("a", "(unknown)", Gap, 15.0),
            tx("a", "Busy", Resync, 60.0),
            tx("b", "(unknown)", Gap, 15.0),
            tx("b", "Available", Resync, 100.0),
        ]);
}

#[test]
fn a_gap_starts_after_the_agents_last_transaction_even_on_a_tie() {
    // The change was placed at the receipt of the last poll; the gap begins there too.
    let mut scenario = Scenario::new()
        .poll_with_times_at(0.0, &[("a", "Available", None)])
        .poll_with_times_at(15.0, &[("a", "Busy", Some(15.0))])
        .whatever()
        .poll_at(60.0, &[("a", "Busy")]);
    let written = scenario.new_transactions();
    assert_eq!(written[0].started_at, wall(15.001));
    assert!(written[0].tied && !written[1].tied);
}

#[test]
fn a_restart_within_two_periods_is_no_gap() {
    Scenario::new()
        .poll_at(0.0, &[("a", "Available")])
        .whatever()
        .restart()
        .poll_at(20.0, &[("a", "Busy")])
        .writes(&[tx("a", "Busy", Observed, 10.0)]);
}

#[test]
fn a_gap_is_found_after_a_restart_too() {
    Scenario::new()
        .poll_at(0.0, &[("a", "Available")])
        .poll_at(15.0, &[("a", "Available")])
        .whatever()
        .restart()
        .poll_at(600.0, &[("a", "Available")])
        .writes(&[
            tx("a", "(unknown)", Gap, 15.0),
            tx("a", "Available", Resync, 600.0),
        ]);
}

#[test]
fn an_incomplete_answer_after_a_gap_speaks_for_those_it_lists() {
    Scenario::new()
        .poll_at(0.0, &[("a", "Available"), ("b", "Busy")])
        .poll_at(15.0, &[("a", "Available"), ("b", "Busy")])
        .whatever()
        .incomplete_poll_at(100.0, &[("a", "Available")])
        .writes(&[
            tx("a", "(unknown)", Gap, 15.0),
            tx("a", "Available", Resync, 100.0),
        ])
        .poll_at(115.0, &[("a", "Available"), ("b", "Busy")])
        .writes(&[
            tx("b", "(unknown)", Gap, 15.0),
            tx("b", "Busy", Resync, 115.0),
        ]);
}

#[test]
fn rows_of_an_incomplete_poll_bound_the_next_change() {
    Scenario::new()
        .poll_at(0.0, &[("a", "Available"), ("b", "Available")])
        .incomplete_poll_at(15.0, &[("a", "Available")])
        .whatever()
        .poll_at(30.0, &[("a", "Busy"), ("b", "Busy")])
        .writes(&[
            tx("a", "Busy", Observed, 22.5),
            tx("b", "Busy", Observed, 15.0),
        ]);
}

#[test]
fn a_poll_whose_commit_failed_was_not_made() {
    let scenario = Scenario::new()
        .poll_at(0.0, &[("a", "Available")])
        .whatever()
        .lost_poll_at(15.0, &[("a", "Busy"), ("b", "Busy")])
        .poll_at(30.0, &[("a", "Busy"), ("b", "Busy")])
        .writes(&[
            tx("a", "Busy", Observed, 15.0),
            tx("b", "Busy", Observed, 15.0),
        ]);
    assert_eq!(scenario.counts().answers, 2);
    assert_eq!(scenario.codes().len(), 2);
}

#[test]
fn of_two_rows_of_one_agent_the_last_counts() {
    let scenario = Scenario::new()
        .poll_at(0.0, &[("a", "Available"), ("a", "Busy"), ("b", "Busy")])
        .writes(&[tx("a", "Busy", Resync, 0.0), tx("b", "Busy", Resync, 0.0)]);
    assert_eq!(scenario.counts().rows_rejected, 1);
    assert_eq!(scenario.stored.last_complete_poll_at, None, "not complete");
    let scenario = scenario
        .poll_at(15.0, &[("a", "Busy"), ("b", "Busy"), ("a", "Available")])
        .writes(&[tx("a", "Available", Observed, 7.5)]);
    assert_eq!(scenario.counts().rows_rejected, 2);
}

#[test]
fn a_row_without_a_usable_state_is_rejected_and_the_others_taken() {
    let long = "x".repeat(501);
    let scenario = Scenario::new()
        .poll_at(0.0, &[("a", ""), ("b", &long), ("c", "Busy")])
        .writes(&[tx("c", "Busy", Resync, 0.0)]);
    assert_eq!(scenario.counts().rows_rejected, 2);
    let samples = scenario.machine.status(scenario::now(0.0)).rejected.samples;
    assert_eq!(samples.len(), 2);
}

#[test]
fn unmapped_states_travel_whole_and_are_listed_until_they_are_mapped() {
    let scenario = Scenario::new().poll_at(0.0, &[("a", "Mittags pause"), ("b", "Busy")]);
    let codes = scenario.codes();
    assert_eq!(codes[0].category, Category::Unmapped);
    assert!(!codes[0].mapped && codes[1].mapped);
    let before = scenario.machine.status(scenario::now(1.0));
    assert_eq!(before.unmapped[0].state.as_str(), "Mittags pause");
    assert_eq!(before.unmapped[0].first_seen, Some(wall(0.0)));

    let mut states = StateMap::default();
    states.insert("mittagspause", Category::Aux).unwrap();
    let mut scenario = scenario;
    let options = RealtimeOptions {
        states,
        ..RealtimeOptions::default()
    };
    scenario.machine.set_options(options, scenario::now(1.0));
    let scenario = scenario
        .whatever()
        .poll_at(15.0, &[("a", "Mittags pause"), ("b", "Busy")])
        .writes(&[]);
    let Some(Record::StateCode(code)) = scenario.journal.last() else {
        panic!("the new meaning was not journaled");
    };
    assert_eq!((code.category, code.mapped), (Category::Aux, true));
    assert_eq!(code.first_seen, wall(0.0));
    assert!(
        scenario
            .machine
            .status(scenario::now(16.0))
            .unmapped
            .is_empty()
    );
}

#[test]
fn a_list_of_changes_confirms_whom_it_does_not_list() {
    let options = RealtimeOptions {
        snapshot: SnapshotKind::Delta,
        ..RealtimeOptions::default()
    };
    Scenario::with(options)
        .poll_at(0.0, &[("a", "Available"), ("b", "Busy")])
        .whatever()
        .poll_at(15.0, &[])
        .poll_at(30.0, &[("a", "Busy")])
        .writes(&[tx("a", "Busy", Observed, 22.5)])
        .poll_at(100.0, &[("a", "Available")])
        .writes(&[
            tx("a", "(unknown)", Gap, 30.0),
            tx("a", "Available", Resync, 100.0),
            tx("b", "(unknown)", Gap, 30.0),
            tx("b", "Busy", Resync, 100.0),
        ]);
}
