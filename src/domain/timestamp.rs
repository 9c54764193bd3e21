//! The two clocks: wall time labels data, monotonic time drives waiting (domain rule 12).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// The moment `ms` milliseconds after the epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// The moment `s` seconds after the epoch.
    pub const fn from_s(s: i64) -> Self {
        Self(s * 1000)
    }

    /// Milliseconds since the epoch.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved by a signed number of milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This moment moved forward.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        self.plus_ms(millis(by))
    }

    /// This moment moved backward.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        self.plus_ms(-millis(by))
    }

    /// Signed milliseconds from `earlier` to this moment.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment halfway between two, rounded down: the estimate of rule 5 for a change that two
    /// polls bound.
    #[must_use]
    pub const fn midpoint(self, other: Self) -> Self {
        Self(self.0 + (other.0 - self.0) / 2)
    }
}

/// RFC 3339 in UTC with milliseconds, or the raw number where chrono has no such date.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A reading of the monotonic clock: time since an arbitrary start within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonoTime(Duration);

impl MonoTime {
    /// The start of the clock.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The reading `since_start` after the clock's start.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since the clock's start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// This reading moved forward.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// What the box's wall clock says; it may be wrong and may jump.
    pub wall: WallTime,
    /// What the monotonic clock says; it never goes back.
    pub mono: MonoTime,
}

/// A duration in whole milliseconds, capped at what an `i64` holds.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_before_the_epoch_too() {
        assert_eq!(WallTime::from_ms(-1).s(), -1);
        assert_eq!(WallTime::from_ms(1999).s(), 1);
    }

    #[test]
    fn the_text_form_is_rfc_3339_in_utc() {
        assert_eq!(
            WallTime::from_ms(1_785_000_000_500).to_string(),
            "2026-07-25T17:20:00.500Z"
        );
    }

    #[test]
    fn monotonic_differences_never_turn_negative() {
        let early = MonoTime::ZERO;
        let late = early.plus(Duration::from_secs(2));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
