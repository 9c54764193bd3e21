//! Outages, refusals, wrong clocks and a store that fails.

use std::time::Duration;

use super::rig::*;
use crate::domain::call::{Do, FailureKind};
use crate::domain::historical::{HistoricalOptions, HistoricalPhase, QueueFrom};
use crate::domain::interval::Window;
use crate::domain::record::{CoverageStatus, RevisionReason, Run};
use crate::domain::timestamp::{MonoTime, WallTime};

#[test]
fn an_outage_is_a_gap_at_once_and_heals_when_thrio_is_back() {
    let mut rig = box_with(week());
    let (from, to) = (at("2026-03-10T12:00:00Z"), at("2026-03-10T18:00:00Z"));
    rig.fails(move |now, _| (from <= now && now < to).then_some(FailureKind::Unavailable));
    rig.run_until("2026-03-10T17:59:00Z");
    let lost = interval("2026-03-10T12:00:00Z");
    let entry = &rig.coverage[&lost];
    assert_eq!(entry.status, CoverageStatus::Missing);
    assert_eq!(entry.last_error.as_deref(), Some("Unavailable"));
    assert!(entry.attempts >= 1);
    let status = rig.machine.status(rig.now);
    assert_eq!(status.phase, HistoricalPhase::BackingOff);
    assert_eq!(
        status.coverage.oldest_missing,
        Some(interval("2026-03-10T11:45:00Z"))
    );
    assert!(status.lag_s >= 6 * 3_600 - 900, "{}", status.lag_s);
    rig.run_until("2026-03-10T18:10:00Z");
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
    assert_eq!(rig.machine.status(rig.now).lag_s, 0);
    assert_eq!(
        rig.revisions("sales", lost)[0].reason,
        RevisionReason::First
    );
}

#[test]
fn while_thrio_is_down_calls_keep_to_the_backoff() {
    let mut rig = box_with(week());
    rig.fails(|_, _| Some(FailureKind::Unavailable));
    rig.run_for(3 * HOUR);
    // By the backoff's mean about one in 2.5 minutes, and some quick ones at the beginning.
    assert!(rig.calls.len() < 130, "{} calls", rig.calls.len());
    assert!(rig.calls.len() > 40, "{} calls", rig.calls.len());
    assert!(rig.calls.iter().all(|made| made.call.run == Run::Live));
}

#[test]
fn a_box_that_was_off_for_days_marks_them_missing_and_heals_the_oldest_first() {
    let mut rig = box_with(week());
    rig.run_until("2026-03-12T12:00:00Z");
    rig.off_for(3 * DAY);
    let calls = rig.calls.len();
    rig.run_for(MINUTE / 2);
    assert_eq!(rig.calls[calls].call.run, Run::Live);
    let missing = interval("2026-03-13T00:00:00Z");
    assert!(
        rig.journal
            .iter()
            .any(|r| matches!(r, crate::domain::record::Record::Coverage(c)
        if c.interval_start == missing && c.status == CoverageStatus::Missing))
    );
    rig.run_for(10 * MINUTE);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
    rig.assert_knows_the_truth(rig.expected(7 * DAY));
}

#[test]
fn what_lies_beyond_max_backfill_is_given_up_and_said() {
    let mut rig = box_with(week());
    rig.run_until("2026-03-11T12:00:00Z");
    rig.off_for(10 * DAY);
    rig.run_for(HOUR);
    let lost = rig.coverage[&interval("2026-03-12T00:00:00Z")].clone();
    assert_eq!(lost.status, CoverageStatus::Failed);
    assert_eq!(lost.last_error.as_deref(), Some("older than max_backfill"));
    let asked = Window::new(
        interval("2026-03-14T13:00:00Z"),
        interval("2026-03-21T12:00:00Z"),
    );
    assert_eq!(rig.not_fetched(asked), []);
    let without_entry = rig
        .expected(7 * DAY)
        .starts()
        .filter(|s| rig.status(*s).is_none());
    assert_eq!(
        without_entry.count(),
        0,
        "every expected interval has an entry"
    );
}

#[test]
fn figures_that_grew_while_the_box_was_off_are_read_again() {
    let mut rig = box_with(week());
    rig.says(|_, start, now| {
        Some(figures(
            7,
            0,
            if now.ms_since(start.end()) < 7_200_000 {
                100
            } else {
                200
            },
        ))
    });
    rig.run_until("2026-03-10T20:00:00Z");
    rig.off_for(30 * HOUR);
    rig.run_for(HOUR);
    let start = interval("2026-03-10T19:00:00Z");
    let revisions = rig.revisions("sales", start);
    assert_eq!(revisions.len(), 2);
    assert_eq!(
        revisions[1].reason,
        RevisionReason::Late,
        "it was fetched, so it is no backfill"
    );
    assert!(rig.coverage[&start].final_at.is_some());
}

#[test]
fn an_answer_that_is_too_large_is_asked_for_in_halves() {
    let mut rig = box_with(week());
    rig.fails(|_, call| (call.window.len() > 10).then_some(FailureKind::TooLarge));
    rig.run_for(30 * MINUTE);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
    let refused = rig.calls.iter().filter(|made| !made.answered).count();
    assert!(refused <= 6, "{refused} calls to learn the size");
    assert!(rig.machine.state.counts.failures == refused as u64);
}

#[test]
fn one_interval_that_thrio_cannot_answer_for_is_found_alone() {
    let mut rig = box_with(week());
    let poison = interval("2026-03-07T13:15:00Z");
    rig.fails(move |_, call| {
        call.window
            .contains(poison)
            .then_some(FailureKind::Unusable)
    });
    rig.run_for(12 * HOUR);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), [poison]);
    assert!(rig.coverage[&poison].attempts >= 1);
    let live = rig.calls_of(Run::Live).len();
    assert_eq!(live, 12 * 4 + 1, "the live feed goes on");
}

#[test]
fn a_poisoned_live_window_costs_that_interval_alone() {
    let mut rig = box_with(week());
    let poison = interval("2026-03-10T11:00:00Z");
    rig.fails(move |now, call| {
        (call.window.contains(poison) && now < at("2026-03-10T20:00:00Z"))
            .then_some(FailureKind::Unusable)
    });
    rig.run_until("2026-03-10T13:04:00Z");
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), [poison]);
    rig.run_until("2026-03-11T03:00:00Z");
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
}

#[test]
fn a_missing_authority_holds_the_feed_and_it_is_tried_slowly() {
    let mut rig = box_with(week());
    rig.fails(|now, _| (now < at("2026-03-10T12:00:00Z")).then_some(FailureKind::FeedHeld));
    rig.run_until("2026-03-10T11:59:00Z");
    assert_eq!(rig.calls.len(), 8, "one in 15 minutes");
    let status = rig.machine.status(rig.now);
    assert_eq!(status.phase, HistoricalPhase::Held);
    assert_eq!(status.held.as_deref(), Some("FeedHeld"));
    rig.run_until("2026-03-10T12:19:00Z");
    assert_eq!(rig.machine.status(rig.now).held, None);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
}

#[test]
fn a_held_connection_is_left_alone_until_its_time() {
    let mut rig = box_with(week());
    let until = MonoTime::new(HOUR).plus(40 * MINUTE);
    rig.fails(move |now, _| {
        (now < at("2026-03-10T10:30:00Z")).then_some(FailureKind::ConnectionHeld { until })
    });
    rig.run_until("2026-03-10T11:00:00Z");
    assert!(rig.calls[1].sent.mono >= until);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
}

#[test]
fn retry_after_is_honoured_up_to_an_hour_and_zero_means_the_least_wait() {
    let waits = |retry_after: Option<Duration>| {
        let mut rig = box_with(week());
        let mut first = true;
        rig.fails(move |_, _| {
            std::mem::take(&mut first).then_some(FailureKind::Throttled { retry_after })
        });
        rig.run_for(3 * HOUR);
        rig.calls[1].sent.mono.since(rig.calls[0].sent.mono)
    };
    let asked = waits(Some(20 * MINUTE));
    assert!((20 * MINUTE..21 * MINUTE).contains(&asked), "{asked:?}");
    let capped = waits(Some(5 * HOUR));
    assert!((HOUR..HOUR + MINUTE).contains(&capped), "{capped:?}");
    for zero in [waits(Some(Duration::ZERO)), waits(None)] {
        assert!((5 * SECOND..MINUTE).contains(&zero), "{zero:?}");
    }
}

#[test]
fn a_queue_that_thrio_does_not_answer_for_does_not_keep_the_others_back() {
    let mut rig = box_with(HistoricalOptions {
        queue_from: QueueFrom::Request,
        max_backfill: DAY,
        ..week()
    });
    rig.fails(|_, call| (call.queue == Some(queue("sales"))).then_some(FailureKind::Unusable));
    rig.run_for(HOUR);
    let start = interval("2026-03-10T10:00:00Z");
    assert!(rig.known.contains_key(&(queue("support"), start)));
    assert_eq!(
        rig.status(start),
        Some(CoverageStatus::Missing),
        "it is not whole"
    );
    assert_eq!(rig.coverage[&start].last_error.as_deref(), Some("Unusable"));
}

#[test]
fn a_decision_that_the_store_did_not_take_is_forgotten() {
    let mut rig = box_with(week());
    rig.commits_left = Some(0);
    rig.run_for(2 * MINUTE);
    assert!(rig.journal.is_empty());
    assert!(
        rig.calls.len() <= 24,
        "neither store nor Thrio is hammered: {}",
        rig.calls.len()
    );
    rig.commits_left = None;
    rig.run_for(20 * MINUTE);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
}

#[test]
fn a_call_whose_answer_could_not_be_compared_is_not_repeated_at_once() {
    let mut rig = box_with(week());
    assert!(matches!(rig.machine.begin(rig.now), Do::Call(_)));
    let Do::WaitUntil(until) = rig.machine.begin(rig.now) else {
        panic!("the store needs a moment");
    };
    assert_eq!(until.since(rig.now.mono), 5 * SECOND);
    rig.run_for(10 * MINUTE);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
}

#[test]
fn a_box_that_boots_in_1970_asks_again_by_thrios_clock() {
    let mut rig = box_with(week());
    let boot = WallTime::from_s(1_000);
    rig.thrio_ahead = Duration::from_millis(rig.now.wall.ms_since(boot).unsigned_abs());
    rig.now.wall = boot;
    rig.run_for(MINUTE);
    assert!(rig.calls.len() > 2);
    assert!(
        rig.calls[1..]
            .iter()
            .all(|made| made.call.window.from > interval("2026-03-01T00:00:00Z"))
    );
    assert!(
        rig.coverage
            .keys()
            .all(|s| *s > interval("2026-03-01T00:00:00Z"))
    );
    let record = &rig.revisions("sales", interval("2026-03-10T09:45:00Z"))[0];
    assert!(
        record.answered_at > at("2026-03-10T10:00:00Z"),
        "labelled by Thrio's clock"
    );
}

#[test]
fn a_clock_set_back_by_a_day_does_not_stop_the_feed() {
    let mut rig = box_with(week());
    rig.run_for(HOUR);
    rig.now.wall = rig.now.wall.minus(DAY);
    rig.thrio_ahead = DAY;
    let calls = rig.calls.len();
    rig.run_for(HOUR);
    let live = rig.calls[calls..]
        .iter()
        .filter(|made| made.call.run == Run::Live);
    assert_eq!(live.count(), 4, "due times follow Thrio's clock");
}

#[test]
fn a_stop_is_no_failure() {
    let mut rig = box_with(week());
    rig.fails(|_, _| Some(FailureKind::Stopped));
    let Do::Call(call) = rig.machine.begin(rig.now) else {
        panic!("a new box asks at once");
    };
    rig.perform(call);
    assert_eq!(rig.machine.feed_state().counts.failures, 0);
    assert_eq!(rig.machine.feed_state().consecutive_failures, 0);
}

#[test]
fn lost_records_are_a_gap_that_heals() {
    let mut rig = box_with(week());
    rig.run_for(HOUR);
    let lost = Window::new(
        interval("2026-03-06T00:00:00Z"),
        interval("2026-03-06T06:00:00Z"),
    );
    // The store says so in its records, and tells the machine.
    for start in lost.starts() {
        let entry = rig.coverage.get_mut(&start).expect("it was fetched");
        entry.status = CoverageStatus::Missing;
        entry.final_at = None;
    }
    rig.machine.lose(lost);
    assert_eq!(rig.machine.status(rig.now).coverage.history, 24);
    let calls = rig.calls.len();
    rig.run_for(5 * MINUTE);
    assert!(
        rig.calls[calls..]
            .iter()
            .any(|made| made.call.window == lost)
    );
}
