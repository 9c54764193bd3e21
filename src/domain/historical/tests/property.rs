//! Random outages, restarts, failed commits and late figures: in the end the box knows the truth.

use fastrand::Rng;

use super::rig::*;
use crate::domain::call::FailureKind;
use crate::domain::historical::HistoricalOptions;
use crate::domain::ids::QueueId;
use crate::domain::interval::IntervalStart;
use crate::domain::record::{Figures, Run};
use crate::domain::timestamp::WallTime;

const SEEDS: u64 = 8;
const DAYS: u32 = 6;

/// Figures that settle as real ones do: sparse, growing for up to three hours, now and then
/// restated a day and a half later.
fn settling(queue: &QueueId, start: IntervalStart, now: WallTime) -> Option<Figures> {
    let name = queue
        .as_str()
        .bytes()
        .fold(0_u64, |sum, b| sum * 31 + u64::from(b));
    let mut rng = Rng::with_seed(name ^ start.s().unsigned_abs());
    if rng.f64() < 0.3 {
        return None;
    }
    let age_s = now.ms_since(start.end()) / 1_000;
    let (entered, whole_s) = (rng.u64(1..60), rng.u64(60..9_000));
    let grown_by_s = rng.i64(0..10_800);
    let seen_s = if age_s >= grown_by_s {
        whole_s
    } else {
        whole_s / 2
    };
    let restated = rng.f64() < 0.02 && age_s > 36 * 3_600;
    Some(figures(entered + u64::from(restated), 1, seen_s))
}

fn a_box_in_bad_weather(seed: u64) -> Rig {
    let mut weather = Rng::with_seed(seed);
    let mut rig = box_with(HistoricalOptions {
        max_backfill: 3 * DAY,
        window_rows_max: weather.u32(20..400),
        ..week()
    });
    rig.queues.push(queue("unlisted"));
    rig.says(settling);
    let mut faults = weather.fork();
    let mut outage_until = WallTime::default();
    let kinds = [
        FailureKind::Unavailable,
        FailureKind::Unusable,
        FailureKind::TooLarge,
        FailureKind::FeedHeld,
        FailureKind::Throttled { retry_after: None },
    ];
    let mut kind = kinds[0];
    rig.fails(move |now, _| {
        if now < outage_until {
            return Some(kind);
        }
        if faults.f64() < 0.01 {
            kind = kinds[faults.usize(..kinds.len())];
            let length_s = faults.u32(1..4 * 3_600);
            outage_until = now.plus(length_s * SECOND);
        }
        None
    });
    let end = rig.now.wall.plus(DAYS * DAY);
    while rig.now.wall < end {
        rig.run_for(weather.u32(1..600) * MINUTE);
        rig.commits_left = (weather.f64() < 0.2).then(|| weather.u32(0..40));
        if weather.f64() < 0.3 {
            rig.off_for(weather.u32(0..900) * MINUTE);
        }
    }
    rig
}

#[test]
fn in_the_end_the_box_knows_the_truth() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut rig = a_box_in_bad_weather(seed);
        rig.fails(|_, _| None);
        rig.commits_left = None;
        rig.off_for(MINUTE);
        // Two nights of calm: the second finds the restatements of the last stormy day.
        rig.run_for(2 * DAY + 12 * HOUR);
        let settled = rig.expected(3 * DAY);
        assert_eq!(rig.not_fetched(settled), [], "seed {seed}");
        for start in settled.starts() {
            for queue in &rig.queues {
                let known = rig.known.get(&(queue.clone(), start)).map(|k| k.figures);
                let last_read = rig.now.wall;
                let age_s = last_read.ms_since(start.end()) / 1_000;
                // Younger figures may still grow between two reads.
                if age_s > 60 * 3_600 || known.is_none() {
                    assert_eq!(
                        known,
                        settling(queue, start, last_read),
                        "seed {seed}: {queue} at {start}"
                    );
                }
            }
        }
        let status = rig.machine.status(rig.now);
        assert_eq!(
            (status.coverage.missing, status.coverage.history),
            (0, 0),
            "seed {seed}"
        );
        assert_live_on_time(&rig, seed);
    }
}

/// Of the calm days at the end: each live call leaves when it is due, or after the one call that
/// was under way.
fn assert_live_on_time(rig: &Rig, seed: u64) {
    let calm = rig.now.wall.minus(2 * DAY);
    let live = rig
        .calls
        .iter()
        .filter(|m| m.call.run == Run::Live && m.sent.wall > calm);
    for made in live.filter(|m| m.call.window.to.start().plus(20 * MINUTE) > m.sent.wall) {
        let due = made.call.window.to.start().plus(rig.options.settle_delay);
        let whole = made.call.window.len() == i64::from(rig.options.live_intervals);
        let late = made.sent.wall.ms_since(due);
        assert!(
            !whole || late <= 1_000,
            "seed {seed}: {late} ms late at {}",
            made.sent.wall
        );
    }
}
