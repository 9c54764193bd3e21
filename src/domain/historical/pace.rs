//! How much one call asks for, and how soon the next one may follow.

use std::time::Duration;

use fastrand::Rng;

use super::super::backoff::Backoff;
use super::super::schedule::intervals_in;
use super::super::timestamp::MonoTime;
use super::options::{HistoricalOptions, IntervalFrom};

/// Windows are sized by queues x intervals to what one answer should hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizing {
    /// The most rows that an interval had so far: the roster may not know all queues.
    rows_per_interval: u32,
    /// A window this long was too large.
    too_large: Option<i64>,
}

impl Sizing {
    /// The longest window, where a call asks for `queues` queues.
    pub(super) fn len_max(&self, options: &HistoricalOptions, queues: usize) -> i64 {
        if options.interval_from == IntervalFrom::Request {
            return 1;
        }
        let rows = i64::try_from(queues).unwrap_or(i64::MAX);
        let rows = rows.max(i64::from(self.rows_per_interval)).max(1);
        let by_rows = i64::from(options.window_rows_max) / rows;
        let by_answer = self.too_large.map_or(i64::MAX, |len| len / 2);
        by_rows
            .min(by_answer)
            .clamp(1, intervals_in(options.window_max))
    }

    pub(super) fn saw(&mut self, rows_per_interval: u32) {
        self.rows_per_interval = self.rows_per_interval.max(rows_per_interval);
    }

    /// An answer of this many intervals was too large; remembered until the night.
    pub(super) fn was_too_large(&mut self, len: i64) {
        self.too_large = Some(self.too_large.map_or(len, |known| known.min(len)));
    }

    /// Each night it is tried anew how much fits.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// When the next call may leave: a failure of a bulk run never delays the live one.
#[derive(Debug, Clone)]
pub(super) struct Gates {
    /// Any call.
    pub(super) any: MonoTime,
    /// Calls of all runs but the live one.
    pub(super) bulk: MonoTime,
    backoff_live: Backoff,
    backoff_bulk: Backoff,
}

impl Gates {
    pub(super) fn new(options: &HistoricalOptions) -> Self {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        Self {
            any: MonoTime::ZERO,
            bulk: MonoTime::ZERO,
            backoff_live: backoff.clone(),
            backoff_bulk: backoff,
        }
    }

    /// After a good answer: calls in a row keep their distance.
    pub(super) fn space(&mut self, now: MonoTime, any: Duration, bulk: Duration) {
        self.any = now.plus(any);
        self.bulk = self.bulk.max(now.plus(bulk.max(any)));
    }

    pub(super) fn succeeded(&mut self, live: bool) {
        if live {
            self.backoff_live.reset();
        } else {
            self.backoff_bulk.reset();
        }
    }

    /// Whether the last live call failed.
    pub(super) fn live_fails(&self) -> bool {
        self.backoff_live.failures() > 0
    }

    /// After a failure that says nothing of how long it will last.
    pub(super) fn back_off(&mut self, now: MonoTime, live: bool, rng: &mut Rng) {
        if live {
            self.any = now.plus(self.backoff_live.next(rng, None));
        } else {
            self.bulk = now.plus(self.backoff_bulk.next(rng, None));
        }
    }

    /// After 429 or 503: nothing is asked before what the source said, or its guess.
    pub(super) fn throttle(
        &mut self,
        now: MonoTime,
        retry_after: Option<Duration>,
        options: &HistoricalOptions,
        rng: &mut Rng,
    ) {
        let asked = retry_after
            .filter(|d| !d.is_zero())
            .map(|d| d.min(options.retry_after_max));
        let wait = self.backoff_live.next(rng, asked);
        self.any = now.plus(wait.max(options.backoff_min));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_at_most_a_day_and_20_000_expected_rows() {
        let options = HistoricalOptions::default();
        let mut sizing = Sizing::default();
        let len = |sizing: &Sizing, queues| sizing.len_max(&options, queues);
        assert_eq!(len(&sizing, 0), 96);
        assert_eq!(len(&sizing, 200), 96);
        assert_eq!(len(&sizing, 500), 40);
        assert_eq!(len(&sizing, 2_000), 10);
        assert_eq!(len(&sizing, 100_000), 1);
        sizing.saw(1_000);
        assert_eq!(len(&sizing, 10), 20);
        sizing.was_too_large(10);
        sizing.was_too_large(20);
        assert_eq!(len(&sizing, 10), 5);
        sizing.forget();
        assert_eq!(len(&sizing, 10), 96);
    }
}
