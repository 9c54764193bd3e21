//! When polls are made, what failures do, and what coverage says of both.

use std::time::Duration;

use super::scenario::{BASE_S, Scenario, now, wall};
use crate::domain::call::{FailureKind, Snapshot, Timing};
use crate::domain::realtime::{FeedPhase, RealtimeOptions};
use crate::domain::record::{CoverageStatus, Record};
use crate::domain::timestamp::{MonoTime, Now, WallTime};

const A: [(&str, &str); 1] = [("a", "Available")];

#[test]
fn the_first_poll_comes_within_half_a_period_and_the_next_lie_on_a_grid() {
    let mut scenario = Scenario::new();
    let jitter = scenario.next_poll_s(0.0);
    assert!(jitter < 7.5);
    let start = jitter;
    let mut scenario = scenario.poll_at(start, &A);
    for late in [0.0, 0.4, 3.0] {
        // However late or slow a poll was, the next one keeps the grid.
        scenario.latency_s = late;
        let before = scenario.stored.counts.answers;
        let due = start + 15.0;
        let next = scenario.next_poll_s(due - 5.0);
        assert!((next - 5.0).abs() < 1e-6 || before > 1, "{next}");
    }
    scenario.latency_s = 4.0;
    let mut scenario = scenario.poll_at(start + 15.0, &A);
    assert!((scenario.next_poll_s(start + 19.0) - 11.0).abs() < 1e-6);
    // An answer that takes longer than a period skips the polls that it covers.
    scenario.latency_s = 20.0;
    let mut scenario = scenario.poll_at(start + 30.0, &A);
    assert!((scenario.next_poll_s(start + 50.0) - 10.0).abs() < 1e-6);
}

#[test]
fn failures_are_followed_by_a_growing_drawn_wait() {
    let mut scenario = Scenario::new().poll_at(0.0, &A);
    for n in 1..12 {
        let s = f64::from(n) * 100.0;
        scenario = scenario.fail_at(s, FailureKind::Unavailable);
        let bound = 60.0_f64.min(2.0_f64.powi(n - 1));
        assert!(scenario.next_poll_s(s) <= bound);
    }
    assert_eq!(scenario.stored.consecutive_failures, 11);
    assert_eq!(scenario.stored.last_error.as_deref(), Some("no answer"));
    let scenario = scenario.poll_at(2_000.0, &A);
    assert_eq!(scenario.stored.consecutive_failures, 0);
    assert_eq!(scenario.counts().failures, 11);
}

#[test]
fn a_servers_retry_after_is_heeded_up_to_five_minutes() {
    let wait = |retry_after: u64| {
        let kind = FailureKind::Throttled {
            retry_after: Some(Duration::from_secs(retry_after)),
        };
        Scenario::new().fail_at(0.0, kind).next_poll_s(0.0)
    };
    assert!((120.0..=121.0).contains(&wait(120)));
    assert!((300.0..=301.0).contains(&wait(86_400)));
    assert!((1.0..=2.0).contains(&wait(0)), "zero means the minimum");
}

#[test]
fn a_held_feed_and_a_held_connection_wait_and_say_why() {
    let mut scenario = Scenario::new().fail_at(0.0, FailureKind::FeedHeld);
    let phase = scenario.machine.status(now(0.0)).phase;
    assert_eq!(phase, FeedPhase::FeedHeld("no answer".to_owned()));
    assert!((scenario.next_poll_s(0.0) - 300.0).abs() < 1e-6);
    scenario.machine.poll_now(now(10.0));
    assert!(scenario.next_poll_s(10.0).abs() < 1e-6);

    let until = now(777.0).mono;
    let mut scenario = scenario.fail_at(10.0, FailureKind::ConnectionHeld { until });
    assert!((scenario.next_poll_s(10.0) - 767.0).abs() < 1e-6);
    let scenario = scenario.poll_at(777.0, &A);
    assert_eq!(
        scenario.machine.status(now(777.0)).phase,
        FeedPhase::Running
    );
}

#[test]
fn the_stop_of_the_process_is_no_failure() {
    let scenario = Scenario::new().fail_at(0.0, FailureKind::Stopped);
    assert_eq!(scenario.counts().failures, 0);
}

#[test]
fn a_stale_feed_says_so() {
    let scenario = Scenario::new().poll_at(0.0, &A);
    assert!(!scenario.machine.is_stale(now(30.0)));
    assert!(scenario.machine.is_stale(now(31.0)));
}

#[test]
fn each_quarter_hour_has_a_coverage_entry() {
    let scenario = (0..=60).fold(Scenario::new(), |s, n| s.poll_at(f64::from(n) * 15.0, &A));
    let [entry] = scenario.coverage()[..] else {
        panic!("one quarter hour has ended");
    };
    assert_eq!(entry.interval_start.s(), BASE_S);
    assert_eq!(entry.status, CoverageStatus::Fetched);
    assert_eq!(
        (entry.polls_expected, entry.polls_made),
        (Some(60), Some(60))
    );
    assert_eq!((entry.unknown_s, entry.rows), (Some(0), 1));
}

#[test]
fn a_restart_forgets_no_poll_of_the_quarter_hour() {
    let half = |s: Scenario, from: i32| {
        (from..from + 30).fold(s, |s, n| s.poll_at(f64::from(n) * 15.0, &A))
    };
    let scenario = half(half(Scenario::new(), 0).restart(), 30).poll_at(900.0, &A);
    assert_eq!(scenario.coverage()[0].polls_made, Some(60));
}

#[test]
fn an_outage_shows_as_unknown_seconds_while_it_lasts_and_after() {
    let scenario = Scenario::new()
        .poll_at(0.0, &A)
        .poll_at(600.0 - 15.0, &A)
        .fail_at(900.0, FailureKind::Unavailable)
        .fail_at(1_800.0, FailureKind::Unavailable)
        .poll_at(2_000.0, &A);
    let coverage = scenario.coverage();
    let unknown: Vec<_> = coverage.iter().map(|entry| entry.unknown_s).collect();
    // The first gap (0 to 585) ended inside its quarter hour, the second began at 585.
    assert_eq!(unknown, [Some(900), Some(900)]);
    assert_eq!(coverage[1].status, CoverageStatus::Failed);
    assert_eq!(coverage[1].last_error.as_deref(), Some("no answer"));
    assert_eq!(scenario.stored.quarter.unwrap().unknown_ms, 200_000);
}

#[test]
fn a_box_of_1970_stores_nothing_under_a_false_label() {
    let mut scenario = Scenario::with(RealtimeOptions::default());
    let moment = |s: u64| Now {
        wall: WallTime::from_s(i64::try_from(s).unwrap()),
        mono: MonoTime::new(Duration::from_secs(s)),
    };
    let mut timing = Timing {
        sent: moment(10),
        received: moment(10),
        server_date: None,
    };
    let mut snapshot = Snapshot::default();
    snapshot.push(crate::domain::call::AgentState {
        agent: "a",
        by_username: false,
        state: "Busy",
        since: None,
    });
    let decision = scenario
        .machine
        .finish(&timing, Ok(&snapshot), &scenario.roster);
    assert!(decision.commits.is_empty());
    assert_eq!(decision.counts.failures, 1);
    // With a `Date`, data are labelled by Thrio's clock.
    timing.server_date = Some(wall(0.0));
    let decision = scenario
        .machine
        .finish(&timing, Ok(&snapshot), &scenario.roster);
    let started = decision.commits[0].iter().find_map(|record| match record {
        Record::Transaction(t) => Some(t.started_at),
        _ => None,
    });
    assert_eq!(started, Some(wall(0.5)));
}

#[test]
fn a_wall_clock_that_jumps_back_makes_no_gap_and_turns_no_time_around() {
    let mut scenario = Scenario::new().poll_at(3_600.0, &A).whatever();
    let mut snapshot = Snapshot::default();
    snapshot.push(crate::domain::call::AgentState {
        agent: "a",
        by_username: false,
        state: "Busy",
        since: None,
    });
    // Fifteen seconds later by the monotonic clock, an hour earlier by the wall.
    let moment = Now {
        wall: wall(15.0),
        mono: now(3_615.0).mono,
    };
    let timing = Timing {
        sent: moment,
        received: moment,
        server_date: None,
    };
    let decision = scenario
        .machine
        .finish(&timing, Ok(&snapshot), &scenario.roster);
    scenario.commit(&decision);
    let change = scenario.new_transactions().remove(0);
    assert_eq!(change.origin, crate::domain::record::Origin::Observed);
    assert!(change.started_at > wall(3_600.0));
}
