//! 15-minute reporting windows: half-open, aligned in UTC, named by their start (domain rule 1).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::timestamp::WallTime;

/// The length of an interval in seconds.
pub const INTERVAL_S: i64 = 900;
/// Intervals in a UTC day.
pub const INTERVALS_PER_DAY: i64 = 96;

/// The start of an interval: always a multiple of 900 s since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct IntervalStart(i64);

impl IntervalStart {
    /// The interval that starts exactly there, or none where the moment is not aligned.
    pub const fn aligned_s(s: i64) -> Option<Self> {
        if s.rem_euclid(INTERVAL_S) == 0 {
            Some(Self(s))
        } else {
            None
        }
    }

    /// The interval that the moment lies in.
    pub const fn containing(at: WallTime) -> Self {
        let s = at.s();
        Self(s - s.rem_euclid(INTERVAL_S))
    }

    /// The start in seconds since the epoch.
    pub const fn s(self) -> i64 {
        self.0
    }

    /// The start as a moment.
    pub const fn start(self) -> WallTime {
        WallTime::from_s(self.0)
    }

    /// The first moment after the interval.
    pub const fn end(self) -> WallTime {
        WallTime::from_s(self.0 + INTERVAL_S)
    }

    /// The interval `count` later (earlier where negative).
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0 + count * INTERVAL_S)
    }

    /// The number of intervals since the epoch.
    pub const fn index(self) -> i64 {
        self.0 / INTERVAL_S
    }
}

impl TryFrom<i64> for IntervalStart {
    type Error = String;
    fn try_from(s: i64) -> Result<Self, String> {
        Self::aligned_s(s).ok_or_else(|| format!("{s} is not the start of a 15-minute interval"))
    }
}

impl From<IntervalStart> for i64 {
    fn from(start: IntervalStart) -> i64 {
        start.0
    }
}

impl fmt::Display for IntervalStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start().fmt(f)
    }
}

/// A run of whole intervals, half-open; may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first interval.
    pub from: IntervalStart,
    /// The interval after the last.
    pub to: IntervalStart,
}

impl Window {
    /// The intervals from `from` until before `to`; an inverted pair is an empty window.
    pub fn new(from: IntervalStart, to: IntervalStart) -> Self {
        Self {
            from,
            to: to.max(from),
        }
    }

    /// How many intervals it holds.
    pub const fn len(self) -> i64 {
        (self.to.0 - self.from.0) / INTERVAL_S
    }

    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the interval lies in it.
    pub const fn contains(self, start: IntervalStart) -> bool {
        self.from.0 <= start.0 && start.0 < self.to.0
    }

    /// Its intervals, oldest first.
    pub fn starts(self) -> impl DoubleEndedIterator<Item = IntervalStart> {
        (0..self.len()).map(move |n| self.from.plus(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_contains_its_start_but_not_its_end() {
        let start = IntervalStart::aligned_s(900).unwrap();
        assert_eq!(IntervalStart::containing(WallTime::from_s(900)), start);
        assert_eq!(
            IntervalStart::containing(WallTime::from_ms(1_799_999)),
            start
        );
        assert_eq!(IntervalStart::containing(start.end()), start.plus(1));
        assert_eq!(IntervalStart::aligned_s(901), None);
    }

    #[test]
    fn before_the_epoch_intervals_are_aligned_too() {
        assert_eq!(IntervalStart::containing(WallTime::from_s(-1)).s(), -900);
    }

    #[test]
    fn a_window_is_half_open_and_a_utc_day_has_96() {
        let from = IntervalStart::aligned_s(86_400 * 20_000).unwrap();
        let day = Window::new(from, from.plus(INTERVALS_PER_DAY));
        assert_eq!(day.starts().count(), 96);
        assert!(day.contains(from) && !day.contains(day.to));
        assert!(Window::new(day.to, day.from).is_empty());
    }
}
