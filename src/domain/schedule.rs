//! When which intervals are read (domain rule 3), reckoned in UTC intervals alone: no day has 92 or
//! 100 of them here (rule 1).
//!
//! An interval is *settled* once its end lies the settle delay back. Nothing here ever names an
//! interval that is not settled, so the open one is never asked for.

use std::time::Duration;

use super::interval::{INTERVAL_S, IntervalStart, Window};
use super::timestamp::{WallTime, millis};

/// Intervals in an hour.
const INTERVALS_PER_HOUR: i64 = 4;
const DAY_MS: i64 = 86_400_000;

/// The fixed timetable of one historical feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From an interval's end to when it may be asked for.
    pub settle: Duration,
    /// Closed intervals that each 15-minute run reads.
    pub live_intervals: i64,
    /// Intervals that each hourly run reads.
    pub hourly_intervals: i64,
    /// Intervals that each nightly run reads.
    pub nightly_intervals: i64,
    /// When the night is, after midnight UTC.
    pub night_at: Duration,
}

/// How many whole intervals a span holds; at least one.
pub fn intervals_in(span: Duration) -> i64 {
    (i64::try_from(span.as_secs()).unwrap_or(i64::MAX) / INTERVAL_S).max(1)
}

impl Schedule {
    /// The end of what is settled: every interval before it may be asked for.
    pub fn settled_to(&self, at: WallTime) -> IntervalStart {
        IntervalStart::containing(at.minus(self.settle))
    }

    /// When the next interval is settled.
    pub fn next_settled_at(&self, at: WallTime) -> WallTime {
        self.settled_to(at).end().plus(self.settle)
    }

    /// The hour since the epoch whose hourly run is due with this much settled.
    pub fn hour(settled_to: IntervalStart) -> i64 {
        settled_to.index().div_euclid(INTERVALS_PER_HOUR)
    }

    /// The night since the epoch whose nightly run is due.
    pub fn night(&self, at: WallTime) -> i64 {
        (at.ms() - millis(self.night_at)).div_euclid(DAY_MS)
    }

    /// When the next night begins.
    pub fn next_night_at(&self, at: WallTime) -> WallTime {
        WallTime::from_ms((self.night(at) + 1) * DAY_MS + millis(self.night_at))
    }

    /// What the 15-minute run reads.
    pub fn live_window(&self, settled_to: IntervalStart) -> Window {
        Window::new(settled_to.plus(-self.live_intervals), settled_to)
    }

    /// What the hourly run reads. It begins where the hour's run begins, also when it runs late,
    /// so that no interval is passed over between two of them.
    pub fn hourly_window(&self, settled_to: IntervalStart) -> Window {
        let hour_start = Self::hour_start(Self::hour(settled_to));
        Window::new(hour_start.plus(-self.hourly_intervals), settled_to)
    }

    /// What the nightly run reads.
    pub fn nightly_window(&self, settled_to: IntervalStart) -> Window {
        Window::new(settled_to.plus(-self.nightly_intervals), settled_to)
    }

    /// The first interval that hourly runs still come back to: a good answer for an earlier one,
    /// given while this much is settled, makes it final.
    pub fn provisional_from(&self, settled_to: IntervalStart) -> IntervalStart {
        Self::hour_start(Self::hour(settled_to) + 1).plus(-self.hourly_intervals)
    }

    /// The first interval that this hour's run reads: an earlier one that is not final yet was
    /// passed over, and no scheduled run but the nightly comes back to it.
    pub fn hourly_from(&self, settled_to: IntervalStart) -> IntervalStart {
        self.hourly_window(settled_to).from
    }

    fn hour_start(hour: i64) -> IntervalStart {
        IntervalStart::aligned_s(hour * INTERVALS_PER_HOUR * INTERVAL_S)
            .expect("an hour is four intervals")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::interval::INTERVALS_PER_DAY;

    const MINUTE: Duration = Duration::from_mins(1);

    fn schedule() -> Schedule {
        Schedule {
            settle: 5 * MINUTE,
            live_intervals: 9,
            hourly_intervals: 96,
            nightly_intervals: 672,
            night_at: 150 * MINUTE,
        }
    }

    fn at(text: &str) -> WallTime {
        let time = chrono::DateTime::parse_from_rfc3339(text).expect("a test's own time");
        WallTime::from_ms(time.timestamp_millis())
    }

    #[test]
    fn an_interval_is_asked_for_five_minutes_after_its_end_and_not_before() {
        let schedule = schedule();
        let before = at("2026-03-10T10:04:59.999Z");
        assert_eq!(
            schedule.settled_to(before).to_string(),
            "2026-03-10T09:45:00Z"
        );
        assert_eq!(schedule.next_settled_at(before), at("2026-03-10T10:05:00Z"));
        let after = at("2026-03-10T10:05:00Z");
        assert_eq!(
            schedule.settled_to(after).to_string(),
            "2026-03-10T10:00:00Z"
        );
    }

    #[test]
    fn the_live_run_reads_two_and_a_quarter_hours() {
        let window = schedule().live_window(schedule().settled_to(at("2026-03-10T10:05:00Z")));
        assert_eq!(window.from.to_string(), "2026-03-10T07:45:00Z");
        assert_eq!(window.len(), 9);
    }

    #[test]
    fn a_late_hourly_run_passes_no_interval_over() {
        let schedule = schedule();
        let on_time = schedule.settled_to(at("2026-03-10T10:05:00Z"));
        let late = schedule.settled_to(at("2026-03-10T10:52:00Z"));
        assert_eq!(
            schedule.hourly_window(on_time).from,
            schedule.hourly_window(late).from
        );
        assert_eq!(
            schedule.provisional_from(on_time),
            schedule.provisional_from(late)
        );
        let next = schedule.settled_to(at("2026-03-10T11:05:00Z"));
        assert_eq!(
            schedule.provisional_from(late),
            schedule.hourly_window(next).from
        );
    }

    #[test]
    fn the_night_begins_at_half_past_two() {
        let schedule = schedule();
        let night = schedule.night(at("2026-03-10T02:30:00Z"));
        assert_eq!(schedule.night(at("2026-03-10T02:29:59Z")), night - 1);
        assert_eq!(schedule.night(at("2026-03-11T02:29:59Z")), night);
        assert_eq!(
            schedule.next_night_at(at("2026-03-10T02:30:00Z")),
            at("2026-03-11T02:30:00Z")
        );
    }

    /// Berlin's day of 2026-03-29 has 92 quarter hours, that of 2026-10-25 has 100. Here every
    /// UTC day has 96, and 24 hourly and 96 live runs, whatever local clocks do.
    #[test]
    fn daylight_saving_changes_nothing() {
        let schedule = schedule();
        for day in [
            "2026-03-29T00:05:00Z",
            "2026-10-25T00:05:00Z",
            "2026-06-10T00:05:00Z",
        ] {
            let (mut lives, mut hours, mut nights) = (0, 0, 0);
            let mut time = at(day);
            let end = time.plus_ms(DAY_MS);
            let (mut settled, mut night) =
                (schedule.settled_to(time).plus(-1), schedule.night(time));
            while time < end {
                let now_settled = schedule.settled_to(time);
                lives += i32::from(now_settled != settled);
                hours += i32::from(Schedule::hour(now_settled) != Schedule::hour(settled));
                nights += i32::from(schedule.night(time) != night);
                (settled, night) = (now_settled, schedule.night(time));
                time = time.plus(MINUTE);
            }
            assert_eq!((lives, hours, nights), (96, 24, 1), "{day}");
            let midnight = IntervalStart::containing(at(day));
            assert_eq!(
                Window::new(midnight, midnight.plus(INTERVALS_PER_DAY)).len(),
                96
            );
        }
    }
}
