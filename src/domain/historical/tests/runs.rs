//! Which run asks for what, and what an answer changes.

use super::rig::*;
use crate::domain::historical::{HistoricalOptions, IntervalFrom, QueueFrom};
use crate::domain::interval::Window;
use crate::domain::record::{
    CoverageStatus, Figures, Record, RevisionReason, RosterChange, Run, Suspect,
};

#[test]
fn a_new_box_reads_the_last_quarter_hours_then_the_day_then_its_history_newest_first() {
    let mut rig = box_with(week());
    rig.run_for(3 * MINUTE);
    assert_eq!(
        rig.calls_of(Run::Live),
        [Window::new(
            interval("2026-03-10T07:45:00Z"),
            interval("2026-03-10T10:00:00Z")
        )]
    );
    assert_eq!(
        rig.calls_of(Run::Hourly),
        [Window::new(
            interval("2026-03-09T10:00:00Z"),
            interval("2026-03-10T10:00:00Z")
        )]
    );
    let heals = rig.calls_of(Run::Heal);
    assert_eq!(
        heals[0].to,
        interval("2026-03-09T10:00:00Z"),
        "where the hourly run began"
    );
    assert!(
        heals.windows(2).all(|pair| pair[1].to == pair[0].from),
        "{heals:?}"
    );
    assert_eq!(rig.calls[0].call.run, Run::Live);
    assert_eq!(rig.not_fetched(rig.expected(7 * DAY)), []);
    assert_eq!(rig.machine.status(rig.now).coverage.history, 0);
    assert!(rig.calls_of(Run::Nightly).is_empty());
}

#[test]
fn each_quarter_hour_the_live_run_reads_the_last_nine_closed_intervals() {
    let mut rig = box_with(week());
    rig.run_until("2026-03-10T10:20:01Z");
    assert_eq!(rig.calls_of(Run::Live).len(), 2);
    let last = rig.calls.last().expect("a live call");
    assert_eq!(last.sent.wall, at("2026-03-10T10:20:00Z"));
    assert_eq!(
        last.call.window,
        Window::new(
            interval("2026-03-10T08:00:00Z"),
            interval("2026-03-10T10:15:00Z")
        )
    );
}

#[test]
fn equal_figures_write_nothing_and_an_interval_is_final_once() {
    let mut rig = box_with(week());
    rig.run_until("2026-03-13T10:04:00Z");
    let intervals = 10 * 96 - 1;
    let rows = rig
        .journal
        .iter()
        .filter(|r| matches!(r, Record::Interval(_)))
        .count();
    assert_eq!(rows, 2 * intervals);
    let start = interval("2026-03-11T12:00:00Z");
    let entries: Vec<_> = rig
        .journal
        .iter()
        .filter_map(|r| match r {
            Record::Coverage(c) if c.interval_start == start => Some(c),
            _ => None,
        })
        .collect();
    assert_eq!(entries.len(), 2, "fetched, and final: {entries:?}");
    assert_eq!(entries[0].fetched_at, Some(at("2026-03-11T12:20:01Z")));
    assert_eq!(entries[0].final_at, None);
    let final_at = entries[1].final_at.expect("the re-read passed over it");
    assert_eq!(
        final_at,
        at("2026-03-12T12:05:07Z"),
        "the hourly run that reads it last"
    );
    assert_eq!(rig.machine.status(rig.now).coverage.missing, 0);
}

#[test]
fn handle_time_that_grows_late_is_a_revision_and_after_the_day_a_restatement() {
    let mut rig = box_with(week());
    let start = interval("2026-03-10T12:00:00Z");
    rig.says(move |_, interval, now| {
        let age = now.ms_since(interval.end());
        let restated = age > 40 * 3_600_000 && interval == start;
        let handle_time_s = if age < 1_800_000 { 300 } else { 420 };
        Some(figures(if restated { 8 } else { 7 }, 0, handle_time_s))
    });
    rig.run_until("2026-03-13T03:00:00Z");
    let revisions = rig.revisions("sales", start);
    let told: Vec<_> = revisions
        .iter()
        .map(|r| (r.revision, r.run, r.reason))
        .collect();
    assert_eq!(
        told,
        [
            (1, Run::Live, RevisionReason::First),
            (2, Run::Live, RevisionReason::Late),
            (3, Run::Nightly, RevisionReason::Restated),
        ]
    );
    let final_at = rig.coverage[&start].final_at.expect("final");
    assert!(revisions[1].answered_at < final_at && final_at < revisions[2].answered_at);
}

#[test]
fn each_night_the_last_seven_days_are_read() {
    let mut rig = box_with(week());
    rig.run_until("2026-03-12T02:29:59Z");
    let before = rig.calls_of(Run::Nightly);
    rig.run_until("2026-03-12T03:00:00Z");
    let nightly = rig.calls_of(Run::Nightly);
    let night = &nightly[before.len()..];
    assert_eq!(night.len(), 7);
    assert_eq!(night[0].from, interval("2026-03-05T02:15:00Z"));
    assert_eq!(night[6].to, interval("2026-03-12T02:15:00Z"));
}

#[test]
fn a_night_that_the_box_slept_through_is_made_up_for_once() {
    let mut rig = box_with(week());
    rig.run_until("2026-03-11T12:00:00Z");
    let nights = rig.calls_of(Run::Nightly).len();
    assert_eq!(nights, 7);
    rig.off_for(20 * HOUR);
    rig.run_for(HOUR);
    assert_eq!(rig.calls_of(Run::Nightly).len(), 14);
    rig.off_for(MINUTE);
    rig.run_for(HOUR);
    assert_eq!(rig.calls_of(Run::Nightly).len(), 14);
}

#[test]
fn missing_is_not_zero() {
    let mut rig = box_with(week());
    rig.says(|_, _, _| None);
    rig.run_for(10 * MINUTE);
    let start = interval("2026-03-10T09:00:00Z");
    assert_eq!(rig.status(start), Some(CoverageStatus::Fetched));
    assert_eq!(rig.coverage[&start].rows, 0);
    assert!(rig.known.is_empty());
    assert_eq!(
        rig.machine.status(rig.now).coverage.missing,
        0,
        "silence is no gap"
    );
}

#[test]
fn where_silence_means_zero_the_roster_says_for_whom() {
    let mut rig = box_with(HistoricalOptions {
        missing_means_zero: true,
        ..week()
    });
    let spoken = interval("2026-03-10T09:00:00Z");
    rig.says(move |q, start, _| {
        (start == spoken && q.as_str() == "sales").then(|| figures(4, 0, 60))
    });
    rig.run_for(10 * MINUTE);
    assert_eq!(rig.status(spoken), Some(CoverageStatus::Fetched));
    assert_eq!(
        rig.known[&(queue("sales"), spoken)].figures,
        figures(4, 0, 60)
    );
    assert_eq!(
        rig.known[&(queue("support"), spoken)].figures,
        figures(0, 0, 0)
    );
    let silent = spoken.plus(1);
    assert_eq!(rig.status(silent), Some(CoverageStatus::EmptyConfirmed));
    assert_eq!(rig.coverage[&silent].rows, 0);
    assert_eq!(
        rig.known[&(queue("sales"), silent)].figures,
        figures(0, 0, 0)
    );
    rig.run_until("2026-03-10T11:00:00Z");
    assert_eq!(
        rig.revisions("sales", silent).len(),
        1,
        "a zero again is no news"
    );
}

#[test]
fn a_queue_that_nobody_listed_is_kept_and_enters_the_roster_provisionally() {
    let mut rig = box_with(week());
    rig.queues.push(queue("brand-new"));
    rig.run_for(10 * MINUTE);
    assert!(rig.import_wanted);
    let met: Vec<_> = rig
        .journal
        .iter()
        .filter_map(|r| match r {
            Record::Queue(q) => Some((q.queue.as_str(), q.change, q.provisional)),
            _ => None,
        })
        .collect();
    assert_eq!(met, [("brand-new", RosterChange::Added, true)]);
    rig.assert_knows_the_truth(rig.expected(DAY));
}

#[test]
fn doubtful_figures_are_stored_and_marked() {
    let mut rig = box_with(week());
    rig.says(|_, _, _| {
        Some(Figures {
            handle_time_s: None,
            ..figures(10, 60, 0)
        })
    });
    rig.run_for(MINUTE);
    let revisions = rig.revisions("sales", interval("2026-03-10T09:00:00Z"));
    assert_eq!(revisions[0].suspect, Some(Suspect::AbandonedOverEntered));
    assert_eq!(revisions[0].figures.handle_time_s, None);
}

#[test]
fn rows_that_carry_no_interval_are_asked_for_one_interval_a_call() {
    let mut rig = box_with(HistoricalOptions {
        interval_from: IntervalFrom::Request,
        max_backfill: 2 * DAY,
        ..week()
    });
    rig.run_for(3 * HOUR);
    assert!(rig.calls.iter().all(|made| made.call.window.len() == 1));
    let newest = rig.calls[0].call.window.from;
    assert_eq!(newest, interval("2026-03-10T09:45:00Z"), "the newest first");
    let apart = |pair: &[Made]| pair[1].sent.mono.since(pair[0].sent.mono);
    assert!(
        rig.calls
            .windows(2)
            .all(|pair| apart(pair) >= rig.latency + rig.options.request_spacing)
    );
    assert_eq!(rig.not_fetched(rig.expected(2 * DAY)), []);
    rig.assert_knows_the_truth(rig.expected(2 * DAY));
}

#[test]
fn rows_that_carry_no_queue_are_asked_for_one_queue_a_call() {
    let mut rig = box_with(HistoricalOptions {
        queue_from: QueueFrom::Request,
        max_backfill: 2 * DAY,
        ..week()
    });
    rig.run_for(HOUR);
    let live = rig.calls.iter().filter(|made| made.call.run == Run::Live);
    let asked: Vec<_> = live
        .take(2)
        .filter_map(|made| made.call.queue.clone())
        .collect();
    assert_eq!(asked, rig.queues);
    assert_eq!(rig.not_fetched(rig.expected(2 * DAY)), []);
    assert_eq!(rig.coverage[&interval("2026-03-10T09:00:00Z")].rows, 2);
    rig.assert_knows_the_truth(rig.expected(2 * DAY));
}

#[test]
fn without_a_roster_calls_that_must_name_queues_wait_for_it() {
    let mut rig = box_with(HistoricalOptions {
        queue_from: QueueFrom::Request,
        ..week()
    });
    rig.machine.set_queues([]);
    rig.run_for(5 * MINUTE);
    assert!(rig.calls.is_empty());
    rig.machine
        .set_queues([(queue("sales"), true), (queue("old"), false)]);
    rig.run_for(2 * MINUTE);
    assert!(
        rig.calls
            .iter()
            .all(|made| made.call.queue == Some(queue("sales")))
    );
    assert!(!rig.calls.is_empty());
}

#[test]
fn a_template_with_queues_gets_all_active_ones() {
    let mut rig = box_with(HistoricalOptions {
        name_queues: true,
        ..week()
    });
    rig.run_for(MINUTE);
    assert_eq!(rig.calls[0].call.queues, rig.queues);
    assert_eq!(rig.calls[0].call.queue, None);
}

#[test]
fn two_thousand_queues_are_asked_for_in_windows_of_twenty_thousand_rows() {
    let mut rig = box_with(HistoricalOptions {
        max_backfill: DAY,
        ..week()
    });
    rig.queues = (0..2_000).map(|n| queue(&format!("q{n}"))).collect();
    rig.roster.clone_from(&rig.queues);
    let roster = rig
        .queues
        .iter()
        .map(|q| (q.clone(), true))
        .collect::<Vec<_>>();
    rig.machine.set_queues(roster);
    rig.run_for(2 * MINUTE);
    assert_eq!(rig.calls[0].call.window.len(), 9);
    assert!(rig.calls.iter().all(|made| made.call.window.len() <= 10));
}

/// Healing 35 days of a big centre takes half an hour; the live run waits for one call at most.
#[test]
fn the_live_run_is_never_later_than_one_call_while_history_is_fetched() {
    let mut rig = box_with(HistoricalOptions {
        max_backfill: 35 * DAY,
        window_rows_max: 18,
        ..week()
    });
    rig.latency = 20 * SECOND;
    rig.run_for(2 * HOUR);
    assert!(
        rig.machine.status(rig.now).coverage.history > 0,
        "still healing"
    );
    let live: Vec<_> = rig
        .calls
        .iter()
        .filter(|made| made.call.run == Run::Live)
        .collect();
    assert_eq!(live.len(), 8 + 1);
    for made in &live[1..] {
        let late_ms = made
            .sent
            .wall
            .ms_since(made.call.window.to.start().plus(5 * MINUTE));
        assert!(late_ms <= 20_000, "{late_ms} ms late at {}", made.sent.wall);
    }
}
