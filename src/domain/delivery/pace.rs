//! How fast a destination takes records, and whether its backlog grows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::timestamp::MonoTime;

/// How far back it looks: long enough to be calm, short enough to tell of this minute.
const WINDOW: Duration = Duration::from_mins(1);
/// Looks are at least this far apart, so that a window holds at most 31 of them.
const SPACING: Duration = Duration::from_secs(2);

/// Where the backlog goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// More is journaled than taken.
    Growing,
    /// More is taken than journaled.
    Shrinking,
    /// Neither by more than a hundredth of the backlog.
    Steady,
}

impl Trend {
    /// The word in `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Shrinking => "shrinking",
            Self::Steady => "steady",
        }
    }
}

/// What happened over the last while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// How long it was watched.
    pub over: Duration,
    /// Positions that became done meanwhile.
    pub done: u64,
    /// The backlog when it began.
    pub backlog_before: u64,
    /// The backlog now.
    pub backlog: u64,
}

impl Pace {
    /// Positions that become done in a second; none where nothing was watched yet.
    pub fn done_per_s(&self) -> Option<f64> {
        (!self.over.is_zero()).then(|| lossy(self.done) / self.over.as_secs_f64())
    }

    /// Where the backlog goes.
    pub fn trend(&self) -> Trend {
        let slack = (self.backlog / 100).max(1);
        if self.backlog > self.backlog_before + slack {
            Trend::Growing
        } else if self.backlog + slack < self.backlog_before {
            Trend::Shrinking
        } else {
            Trend::Steady
        }
    }

    /// When the backlog will be gone if it goes on like this; none where it does not shrink.
    pub fn time_left(&self) -> Option<Duration> {
        if self.backlog == 0 {
            return Some(Duration::ZERO);
        }
        if self.over.is_zero() || self.trend() != Trend::Shrinking {
            return None;
        }
        let shrunk = lossy(self.backlog_before - self.backlog);
        let seconds = self.over.as_secs_f64() * lossy(self.backlog) / shrunk;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: MonoTime,
    done: u64,
    backlog: u64,
}

/// Watches the backlog and what is done.
#[derive(Debug, Clone, Default)]
pub(super) struct PaceMeter(VecDeque<Look>);

impl PaceMeter {
    /// Looks, where the last look is long enough ago.
    pub(super) fn note(&mut self, at: MonoTime, done: u64, backlog: u64) {
        let is_due = |last: &Look| at.since(last.at) >= SPACING;
        if !self.0.back().is_none_or(is_due) {
            return;
        }
        // One look older than the window stays, so that the window is always whole.
        while self.0.get(1).is_some_and(|next| at.since(next.at) > WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back(Look { at, done, backlog });
    }

    /// What happened from the oldest look until the last one.
    pub(super) fn pace(&self) -> Pace {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return Pace::default();
        };
        Pace {
            over: last.at.since(first.at),
            done: last.done.saturating_sub(first.done),
            backlog_before: first.backlog,
            backlog: last.backlog,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate; digits beyond 2^52 do not matter"
)]
fn lossy(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute of looks each second, with what is done and journaled in it.
    fn watched(backlog: u64, done_per_s: u64, journaled_per_s: u64) -> Pace {
        let mut meter = PaceMeter::default();
        for second in 0..=60 {
            let at = MonoTime::new(Duration::from_secs(second));
            let (done, journaled) = (second * done_per_s, second * journaled_per_s);
            meter.note(at, done, (backlog + journaled).saturating_sub(done));
        }
        meter.pace()
    }

    #[test]
    fn a_drain_tells_its_rate_and_its_end() {
        let pace = watched(100_000, 1_000, 100);
        assert_eq!(pace.done_per_s(), Some(1_000.0));
        assert_eq!(pace.trend(), Trend::Shrinking);
        // 46,000 are left, and they shrink by 900 a second.
        assert_eq!(pace.time_left().unwrap().as_secs(), 51);
    }

    #[test]
    fn an_outage_grows_and_has_no_end() {
        let pace = watched(50, 0, 30);
        assert_eq!(pace.done_per_s(), Some(0.0));
        assert_eq!((pace.trend(), pace.time_left()), (Trend::Growing, None));
    }

    #[test]
    fn nothing_to_send_is_steady_and_over() {
        let pace = watched(0, 0, 0);
        assert_eq!(pace.trend(), Trend::Steady);
        assert_eq!(pace.time_left(), Some(Duration::ZERO));
        assert_eq!(Pace::default().done_per_s(), None);
    }

    #[test]
    fn what_lies_before_the_window_is_forgotten() {
        let mut meter = PaceMeter::default();
        for second in 0..600 {
            let done = if second < 300 { 0 } else { second * 10 };
            meter.note(MonoTime::new(Duration::from_secs(second)), done, 5);
        }
        let pace = meter.pace();
        assert!(pace.over <= WINDOW + 2 * SPACING, "{pace:?}");
        assert_eq!(pace.done_per_s(), Some(10.0));
    }
}
