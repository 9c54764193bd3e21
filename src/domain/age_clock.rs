//! The time by which stored things grow old.
//!
//! Deleting by age trusts the wall clock, and a wall clock may leap (domain rule 12): set ahead by
//! two months for five minutes, it would take the whole history with it. And what is written while
//! a box without a battery believes in 1970 would be half a century old a minute later. So a leap
//! either way counts only after it has stood for a day; until then time goes on from where it was,
//! as the monotonic clock counts it.

use std::time::Duration;

use super::timestamp::{MonoTime, Now, WallTime};

/// More than this between what was expected and what the wall clock says is a leap; clocks that
/// are set by hand or by NTP after a start without network are off by less.
const LEAP_MS: i64 = 3_600_000;
/// A wall clock that says the same for so long is right.
const STOOD: Duration = Duration::from_hours(24);

/// Follows the wall clock, but for leaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgeClock {
    /// The last moment that was trusted; none before the first.
    trusted: Option<(WallTime, MonoTime)>,
    /// Since when the wall clock stands elsewhere than is expected.
    leapt_at: Option<MonoTime>,
}

impl AgeClock {
    /// A clock that goes on from the newest moment that is known to have been written.
    pub fn after(newest: Option<WallTime>, now: Now) -> Self {
        Self {
            trusted: newest.map(|at| (at, now.mono)),
            leapt_at: None,
        }
    }

    /// The moment by which age is counted.
    pub fn read(&mut self, now: Now) -> WallTime {
        let expected = self
            .trusted
            .map_or(now.wall, |(wall, mono)| wall.plus(now.mono.since(mono)));
        if now.wall.ms_since(expected).abs() > LEAP_MS {
            let leapt_at = *self.leapt_at.get_or_insert(now.mono);
            if now.mono.since(leapt_at) < STOOD {
                return expected;
            }
        }
        self.leapt_at = None;
        self.trusted = Some((now.wall, now.mono));
        now.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_785_000_000;
    const DAY: i64 = 86_400;

    fn now(wall_s: i64, mono_s: u64) -> Now {
        Now {
            wall: WallTime::from_s(wall_s),
            mono: MonoTime::new(Duration::from_secs(mono_s)),
        }
    }

    fn check(clock: &mut AgeClock, wall_s: i64, mono_s: u64, expected_s: i64) {
        assert_eq!(
            clock.read(now(wall_s, mono_s)),
            WallTime::from_s(expected_s)
        );
    }

    #[test]
    fn it_follows_a_wall_clock_that_walks() {
        let mut clock = AgeClock::default();
        check(&mut clock, NOON, 0, NOON);
        check(&mut clock, NOON + 60, 60, NOON + 60);
        // Set right by half an hour, either way.
        check(&mut clock, NOON + 1_920, 120, NOON + 1_920);
        check(&mut clock, NOON + 180, 180, NOON + 180);
    }

    #[test]
    fn a_leap_ahead_ages_nothing_unless_it_stands_for_a_day() {
        let mut clock = AgeClock::default();
        check(&mut clock, NOON, 0, NOON);
        check(&mut clock, NOON + 60 * DAY, 60, NOON + 60);
        check(&mut clock, NOON + 120, 120, NOON + 120);
        // Another one, and it stays: it was the former time that was wrong.
        check(&mut clock, NOON + 60 * DAY, 180, NOON + 180);
        let stands = NOON + 61 * DAY;
        check(&mut clock, stands, 180 + 86_399, NOON + 180 + 86_399);
        check(&mut clock, stands + 1, 180 + 86_400, stands + 1);
        check(&mut clock, stands + 2, 180 + 86_401, stands + 2);
    }

    #[test]
    fn a_leap_back_makes_nothing_older_than_it_is() {
        let mut clock = AgeClock::default();
        check(&mut clock, NOON, 0, NOON);
        check(&mut clock, 0, 10, NOON + 10);
        check(&mut clock, 20, 30, NOON + 30);
        check(&mut clock, NOON + 40, 40, NOON + 40);
    }

    #[test]
    fn a_start_goes_on_from_what_was_written_last() {
        let mut clock = AgeClock::after(Some(WallTime::from_s(NOON)), now(0, 5));
        check(&mut clock, NOON + 90 * DAY, 15, NOON + 10);
        check(&mut clock, NOON + 30, 30, NOON + 30);
    }
}
