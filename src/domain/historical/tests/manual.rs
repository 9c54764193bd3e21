//! Backfills by hand.

use super::rig::*;
use crate::domain::call::FailureKind;
use crate::domain::interval::Window;
use crate::domain::record::{CoverageStatus, RevisionReason, Run};

fn settled(rig: &mut Rig) {
    rig.run_for(10 * MINUTE);
}

#[test]
fn a_backfill_is_not_bounded_by_max_backfill_and_says_where_thrios_history_begins() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let begins = interval("2025-12-04T08:00:00Z");
    rig.says(move |_, start, _| (start >= begins).then(|| figures(7, 1, 900)));
    let window = Window::new(
        interval("2025-12-01T00:00:00Z"),
        interval("2025-12-10T00:00:00Z"),
    );
    let id = rig.machine.request_backfill(window, None, false);
    settled(&mut rig);
    let report = rig.machine.backfill_report(id).expect("it is kept");
    assert!(report.state.is_finished());
    assert_eq!(report.history_begins(), Some(begins));
    assert_eq!(report.state.tally.intervals_empty, 3 * 96 + 32);
    assert_eq!(report.state.tally.new, 2 * (6 * 96 - 32));
    assert_eq!(rig.not_fetched(window), []);
    assert!(rig.coverage[&begins].final_at.is_some());
}

#[test]
fn a_backfill_reports_old_and_new_figures_and_replaces_them() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let start = interval("2026-03-08T08:00:00Z");
    rig.says(move |q, s, _| {
        let differs = s == start && q.as_str() == "sales";
        Some(figures(if differs { 9 } else { 7 }, 1, 900))
    });
    let id = rig
        .machine
        .request_backfill(Window::new(start.plus(-4), start.plus(4)), None, false);
    settled(&mut rig);
    let report = rig.machine.backfill_report(id).expect("it is kept");
    assert_eq!(
        (report.state.tally.changed, report.state.tally.unchanged),
        (1, 15)
    );
    let change = &report.changes[0];
    assert_eq!(
        (change.old, change.new),
        (Some(figures(7, 1, 900)), figures(9, 1, 900))
    );
    let last = rig.revisions("sales", start).pop().expect("a revision");
    assert_eq!(
        (last.run, last.reason),
        (Run::Manual, RevisionReason::Backfill)
    );
    assert_eq!(report.history_begins(), None);
}

#[test]
fn a_dry_run_reports_and_writes_nothing() {
    let mut rig = box_with(week());
    settled(&mut rig);
    rig.says(|_, _, _| Some(figures(9, 1, 900)));
    let before = rig.journal.len();
    let start = interval("2026-03-08T08:00:00Z");
    let id = rig
        .machine
        .request_backfill(Window::new(start, start.plus(8)), None, true);
    rig.run_for(MINUTE);
    let report = rig.machine.backfill_report(id).expect("it is kept");
    assert_eq!((report.state.tally.changed, report.changes.len()), (16, 16));
    assert_eq!(rig.journal.len(), before);
}

#[test]
fn a_backfill_of_one_queue_leaves_the_others_and_the_coverage_alone() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let window = Window::new(
        interval("2026-01-05T00:00:00Z"),
        interval("2026-01-06T00:00:00Z"),
    );
    let id = rig
        .machine
        .request_backfill(window, Some(queue("support")), false);
    settled(&mut rig);
    let report = rig.machine.backfill_report(id).expect("it is kept");
    assert_eq!(report.state.tally.new, 96);
    assert!(
        rig.known
            .keys()
            .all(|(q, s)| *s >= window.to || *q == queue("support"))
    );
    assert!(rig.coverage.keys().all(|s| !window.contains(*s)));
}

#[test]
fn a_backfill_goes_on_after_a_restart_without_reading_anything_twice() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let window = Window::new(
        interval("2025-12-01T00:00:00Z"),
        interval("2025-12-21T00:00:00Z"),
    );
    let id = rig.machine.request_backfill(window, None, false);
    rig.stored = Some(rig.machine.feed_state());
    rig.run_for(MINUTE / 2);
    let under_way = rig.machine.backfill_report(id).expect("under way");
    assert!(!under_way.state.is_finished() && under_way.state.next > window.from);
    rig.off_for(HOUR);
    settled(&mut rig);
    let report = rig.machine.backfill_report(id).expect("it is kept");
    assert!(report.state.is_finished());
    assert_eq!(report.state.tally.new, 2 * 20 * 96);
    let read = rig.calls_of(Run::Manual);
    assert_eq!(read.len(), 20);
    assert!(read.windows(2).all(|pair| pair[0].to == pair[1].from));
    assert_eq!(rig.not_fetched(window), []);
}

#[test]
fn windows_that_thrio_refuses_are_passed_over_and_counted() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let begins = interval("2025-12-03T00:00:00Z");
    rig.fails(move |_, call| (call.window.from < begins).then_some(FailureKind::Unusable));
    let window = Window::new(
        interval("2025-12-01T00:00:00Z"),
        interval("2025-12-05T00:00:00Z"),
    );
    let id = rig.machine.request_backfill(window, None, false);
    settled(&mut rig);
    let report = rig.machine.backfill_report(id).expect("it is kept");
    assert!(report.state.is_finished());
    assert_eq!(report.state.tally.intervals_failed, 2 * 96);
    assert_eq!(report.history_begins(), Some(begins));
    assert_eq!(rig.not_fetched(Window::new(begins, window.to)), []);
}

#[test]
fn the_open_interval_and_the_future_are_cut_off() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let window = Window::new(
        interval("2026-03-10T09:00:00Z"),
        interval("2026-03-12T00:00:00Z"),
    );
    let id = rig.machine.request_backfill(window, None, false);
    let future = Window::new(window.to, window.to.plus(9));
    let later = rig.machine.request_backfill(future, None, false);
    settled(&mut rig);
    let report = |id| rig.machine.backfill_report(id).expect("it is kept");
    assert!(report(id).state.is_finished() && report(later).state.is_finished());
    assert_eq!(report(id).state.window.to, interval("2026-03-10T10:00:00Z"));
    assert_eq!(report(later).state.tally.answers, 0);
}

#[test]
fn a_backfill_can_be_cancelled() {
    let mut rig = box_with(week());
    settled(&mut rig);
    let window = Window::new(
        interval("2025-12-01T00:00:00Z"),
        interval("2025-12-21T00:00:00Z"),
    );
    let id = rig.machine.request_backfill(window, None, false);
    rig.run_for(MINUTE / 2);
    assert!(rig.machine.cancel_backfill(id));
    assert!(!rig.machine.cancel_backfill(id) && !rig.machine.cancel_backfill(99));
    let calls = rig.calls_of(Run::Manual).len();
    settled(&mut rig);
    assert_eq!(rig.calls_of(Run::Manual).len(), calls);
}

#[test]
fn gaps_heal_while_a_long_backfill_runs() {
    let mut rig = box_with(week());
    let window = Window::new(
        interval("2025-01-01T00:00:00Z"),
        interval("2026-01-01T00:00:00Z"),
    );
    rig.machine.request_backfill(window, None, false);
    rig.run_for(5 * MINUTE);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
    assert_eq!(
        rig.status(window.to.plus(-1)),
        None::<CoverageStatus>,
        "the year goes on"
    );
}
