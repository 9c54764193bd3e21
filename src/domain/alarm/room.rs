//! How long the disk budget lasts for a destination that takes nothing: reckoned from what was
//! journaled in the last hour, as `alarm` tells by when data would be given up.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::timestamp::MonoTime;

/// The span that the rate is taken over.
const SPAN: Duration = Duration::from_hours(1);
/// A shorter span says nothing about a day.
const SPAN_MIN: Duration = Duration::from_mins(10);
/// Samples are this far apart.
const SAMPLE_PERIOD: Duration = Duration::from_mins(1);
/// What a live entry takes on the disk, as the store reckons, in quarters.
const PAGES_PER_ENTRY: (u128, u128) = (5, 4);
/// The part of the budget that is left for giving up the rest, as the store reckons.
const KEPT_FREE: u128 = 16;

/// How many records are journaled in an hour.
#[derive(Debug, Default)]
pub struct GrowthMeter {
    samples: VecDeque<(MonoTime, u64)>,
}

impl GrowthMeter {
    /// Takes in the journal's last seq.
    pub fn observe(&mut self, now: MonoTime, last_seq: u64) {
        let newest = self.samples.back().map(|(at, _)| *at);
        if newest.is_some_and(|at| now.since(at) < SAMPLE_PERIOD) {
            return;
        }
        self.samples.push_back((now, last_seq));
        while self
            .samples
            .front()
            .is_some_and(|(at, _)| now.since(*at) > SPAN)
        {
            self.samples.pop_front();
        }
    }

    /// The rate, once it has been watched for long enough.
    pub fn records_per_h(&self) -> Option<u64> {
        let (from, first) = self.samples.front()?;
        let (to, last) = self.samples.back()?;
        let span = to.since(*from);
        let grown = last.saturating_sub(*first);
        (span >= SPAN_MIN).then(|| grown * 3_600 / span.as_secs())
    }
}

/// The journal's room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of all entries that are kept.
    pub live_bytes: u64,
    /// Records that are kept.
    pub records: u64,
    /// Bytes that may be used in all.
    pub budget_bytes: u64,
    /// Records journaled in an hour.
    pub records_per_h: u64,
}

impl Room {
    /// How long it lasts for a destination with this backlog that takes nothing; none where that
    /// cannot be said, or nothing grows.
    pub fn time_left(&self, backlog: u64) -> Option<Duration> {
        if self.records == 0 || self.records_per_h == 0 || self.live_bytes == 0 {
            return None;
        }
        // Records that fit in all; what is acknowledged everywhere gives way first.
        let budget = u128::from(self.budget_bytes);
        let usable = budget - budget / KEPT_FREE;
        let fit = usable * u128::from(self.records) * PAGES_PER_ENTRY.1
            / (u128::from(self.live_bytes) * PAGES_PER_ENTRY.0);
        let left = fit.saturating_sub(u128::from(backlog));
        let s = left * 3_600 / u128::from(self.records_per_h);
        Some(Duration::from_secs(u64::try_from(s).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: Duration = Duration::from_mins(1);

    #[test]
    fn a_rate_is_told_after_ten_minutes_and_follows_the_last_hour() {
        let mut meter = GrowthMeter::default();
        for minute in 0..10 {
            meter.observe(MonoTime::new(minute * M), u64::from(minute) * 100);
            assert_eq!(meter.records_per_h(), None);
        }
        meter.observe(MonoTime::new(10 * M), 1_000);
        assert_eq!(meter.records_per_h(), Some(6_000));
        for minute in 11..200 {
            meter.observe(MonoTime::new(minute * M), 1_000);
            assert!(meter.samples.len() <= 61);
        }
        assert_eq!(meter.records_per_h(), Some(0));
    }

    #[test]
    fn the_time_left_shrinks_with_the_backlog_and_ends_at_nothing() {
        let room = Room {
            live_bytes: 2_000_000,
            records: 100_000,
            budget_bytes: 64_000_000,
            records_per_h: 10_000,
        };
        // 60 MB at 25 bytes a record are 2.4 million records.
        let hours = |backlog| room.time_left(backlog).unwrap().as_secs() / 3_600;
        assert_eq!(hours(0), 240);
        assert_eq!(hours(100_000), 230);
        assert_eq!(hours(5_000_000), 0);
        let still = Room {
            records_per_h: 0,
            ..room
        };
        assert_eq!(still.time_left(0), None);
    }
}
