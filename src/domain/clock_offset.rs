//! How far the box's wall clock lies from Thrio's, and which of the two labels data (domain
//! rule 12, thrio-api.md §5).
//!
//! Each answer's `Date` header ties Thrio's time to the box's *monotonic* clock, which never
//! jumps. So a jump of the wall clock shows at once, before the next answer, and a box that boots
//! in 1970 knows the time after its first one. The estimate is as good as `Date` is: about half a
//! second, and half the round trip.

use std::collections::VecDeque;
use std::time::Duration;

use super::call::Timing;
use super::timestamp::{Now, WallTime, millis};

/// `Date` is cut down to whole seconds: on average it is half a second late.
const DATE_CUT_MS: i64 = 500;
/// How many answers the median is taken over.
const SAMPLES_MAX: usize = 9;
/// Older answers count no more (but the newest always does): a quartz may drift 0.2 s an hour.
const SAMPLE_AGE_MAX: Duration = Duration::from_hours(1);
/// Answers this much slower than the quickest say little about when `Date` was written.
const ROUND_TRIP_SLACK_MS: i64 = 500;
/// Above this, due times follow Thrio's clock too (thrio-api.md §5).
const DUE_TIMES_FOLLOW_MS: i64 = 60_000;
/// Before this moment (2024-01-01) no wall clock is right: the box has just booted without one.
const PLAUSIBLE_FROM: WallTime = WallTime::from_s(1_704_067_200);

/// How much the box's clock is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockOptions {
    /// Up to this offset the box's own clock labels data (default 2 s); beyond it, Thrio's.
    pub offset_max: Duration,
}

impl Default for ClockOptions {
    fn default() -> Self {
        Self {
            offset_max: Duration::from_secs(2),
        }
    }
}

/// Which clock labels data now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelledBy {
    /// The box's, and its offset is known to be small.
    Box,
    /// The box's, because Thrio never said its time.
    BoxUnchecked,
    /// Thrio's, because the box's is off.
    Source,
}

/// Estimates Thrio's clock from the answers' `Date` headers.
#[derive(Debug, Clone)]
pub struct OffsetEstimator {
    options: ClockOptions,
    samples: VecDeque<Sample>,
    /// Thrio's time at the monotonic clock's zero, and how unsure that is.
    zero: Option<Zero>,
    /// Whether the last answer found the box's clock to be off: then it must come well inside the
    /// limit before it is trusted again, so that labels do not swing between two clocks.
    distrusted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Thrio's time at the monotonic clock's zero, by this answer.
    zero_ms: i64,
    round_trip_ms: i64,
    at: Now,
}

#[derive(Debug, Clone, Copy)]
struct Zero {
    ms: i64,
    unsure_ms: i64,
}

impl OffsetEstimator {
    /// An estimator that has heard nothing yet.
    pub fn new(options: ClockOptions) -> Self {
        Self {
            options,
            samples: VecDeque::with_capacity(SAMPLES_MAX),
            zero: None,
            distrusted: false,
        }
    }

    /// Takes other options, keeping what was heard.
    pub fn set_options(&mut self, options: ClockOptions) {
        self.options = options;
    }

    /// Listens to one answer (also to one that was an error, where it had a `Date`).
    pub fn observe(&mut self, timing: &Timing) {
        let Some(date) = timing.server_date else {
            return;
        };
        let round_trip = timing.received.mono.since(timing.sent.mono);
        let middle = timing.sent.mono.plus(round_trip / 2).since_start();
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            zero_ms: date.ms() + DATE_CUT_MS - millis(middle),
            round_trip_ms: millis(round_trip),
            at: timing.received,
        });
        while self.samples.len() > 1
            && timing.received.mono.since(self.samples[0].at.mono) > SAMPLE_AGE_MAX
        {
            self.samples.pop_front();
        }
        self.zero = Some(median(&self.samples));
        self.distrusted = self.is_off(timing.received);
    }

    /// Thrio's clock minus the box's, in milliseconds; `None` until an answer had a `Date`.
    pub fn offset_ms(&self, now: Now) -> Option<i64> {
        Some(self.source_time(now)?.ms_since(now.wall))
    }

    /// What Thrio's clock says now, as far as known.
    pub fn source_time(&self, now: Now) -> Option<WallTime> {
        let zero = self.zero?;
        Some(WallTime::from_ms(zero.ms).plus(now.mono.since_start()))
    }

    /// The time that labels data at this moment: the box's wall clock while it is known to be
    /// right (or nothing better is known), else Thrio's.
    pub fn label(&self, now: Now) -> WallTime {
        match self.labelled_by(now) {
            LabelledBy::Source => self.source_time(now).unwrap_or(now.wall),
            LabelledBy::Box | LabelledBy::BoxUnchecked => now.wall,
        }
    }

    /// Which clock [`Self::label`] goes by.
    pub fn labelled_by(&self, now: Now) -> LabelledBy {
        match self.zero {
            None => LabelledBy::BoxUnchecked,
            Some(_) if self.is_off(now) => LabelledBy::Source,
            Some(_) => LabelledBy::Box,
        }
    }

    /// Whether a label can be believed: Thrio's time is known, or the box's clock at least shows
    /// a year in which this program existed. Data without such a label must not be stored.
    pub fn is_credible(&self, now: Now) -> bool {
        self.zero.is_some() || now.wall >= PLAUSIBLE_FROM
    }

    /// The time that due times are reckoned by: Thrio's where the box's is off by over a minute.
    pub fn due_time(&self, now: Now) -> WallTime {
        match self.source_time(now) {
            Some(source) if source.ms_since(now.wall).abs() > DUE_TIMES_FOLLOW_MS => source,
            _ => now.wall,
        }
    }

    fn is_off(&self, now: Now) -> bool {
        let (Some(zero), Some(offset_ms)) = (self.zero, self.offset_ms(now)) else {
            return false;
        };
        let limit_ms = millis(self.options.offset_max);
        let limit_ms = if self.distrusted {
            limit_ms / 2
        } else {
            limit_ms
        };
        offset_ms.abs() > limit_ms + zero.unsure_ms
    }
}

/// The median of the answers that came about as quickly as the quickest.
fn median(samples: &VecDeque<Sample>) -> Zero {
    let quickest = samples.iter().map(|s| s.round_trip_ms).min().unwrap_or(0);
    let mut quick: Vec<i64> = samples
        .iter()
        .filter(|s| s.round_trip_ms <= quickest + ROUND_TRIP_SLACK_MS)
        .map(|s| s.zero_ms)
        .collect();
    quick.sort_unstable();
    Zero {
        ms: quick[quick.len() / 2],
        unsure_ms: quickest / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::MonoTime;

    const NOON: i64 = 1_785_000_000_000;

    /// A box whose wall clock is `off_ms` behind Thrio's, asking at monotonic second `at_s`.
    fn answer(at_s: u64, off_ms: i64, round_trip_ms: u64) -> Timing {
        let moment = |ms: u64| Now {
            wall: WallTime::from_ms(NOON - off_ms).plus(Duration::from_millis(ms)),
            mono: MonoTime::new(Duration::from_millis(ms)),
        };
        let sent_ms = at_s * 1000;
        let stamped =
            WallTime::from_ms(NOON).plus(Duration::from_millis(sent_ms + round_trip_ms / 2));
        Timing {
            sent: moment(sent_ms),
            received: moment(sent_ms + round_trip_ms),
            server_date: Some(WallTime::from_s(stamped.s())),
        }
    }

    fn estimator() -> OffsetEstimator {
        OffsetEstimator::new(ClockOptions::default())
    }

    #[test]
    fn without_a_date_the_box_labels_unchecked() {
        let mut estimator = estimator();
        let mut timing = answer(1, 0, 100);
        timing.server_date = None;
        estimator.observe(&timing);
        assert_eq!(estimator.offset_ms(timing.received), None);
        assert_eq!(
            estimator.labelled_by(timing.received),
            LabelledBy::BoxUnchecked
        );
        assert_eq!(estimator.label(timing.received), timing.received.wall);
    }

    #[test]
    fn a_small_offset_leaves_the_label_to_the_box() {
        let mut estimator = estimator();
        for n in 0..20 {
            // Off by 7 ms a period, so that `Date` is cut at different places.
            estimator.observe(&answer(n * 15, 1_000, 130 + n * 7));
        }
        let now = answer(400, 1_000, 0).sent;
        let offset_ms = estimator.offset_ms(now).unwrap();
        assert!((offset_ms - 1_000).abs() <= 600, "{offset_ms}");
        assert_eq!(estimator.labelled_by(now), LabelledBy::Box);
        assert_eq!(estimator.label(now), now.wall);
    }

    #[test]
    fn a_box_that_boots_in_1970_labels_by_thrio_after_its_first_answer() {
        let mut estimator = estimator();
        let first = answer(3, NOON, 200);
        assert!(!estimator.is_credible(first.sent));
        estimator.observe(&first);
        assert!(estimator.is_credible(first.received));
        assert_eq!(estimator.labelled_by(first.received), LabelledBy::Source);
        let label = estimator.label(first.received);
        assert!((label.ms_since(WallTime::from_ms(NOON + 3_200))).abs() <= 600);
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_seen_before_the_next_answer() {
        let mut estimator = estimator();
        estimator.observe(&answer(0, 0, 100));
        let before = answer(10, 0, 0).sent;
        assert_eq!(estimator.labelled_by(before), LabelledBy::Box);
        let jumped = Now {
            wall: before.wall.plus(Duration::from_hours(1)),
            mono: before.mono,
        };
        assert_eq!(estimator.labelled_by(jumped), LabelledBy::Source);
        assert!(estimator.label(jumped).ms_since(before.wall).abs() <= 600);
        assert_eq!(estimator.due_time(jumped), estimator.label(jumped));
    }

    #[test]
    fn a_slow_first_answer_does_not_discredit_a_good_clock() {
        // `Date` was written at the end of a round trip of 20 s: the middle is 10 s wrong.
        let mut timing = answer(0, 0, 20_000);
        timing.server_date = Some(WallTime::from_ms(NOON + 20_000));
        let mut estimator = estimator();
        estimator.observe(&timing);
        assert_eq!(estimator.labelled_by(timing.received), LabelledBy::Box);
        // And the next, quick one puts the offset right.
        let quick = answer(30, 0, 100);
        estimator.observe(&quick);
        assert!(estimator.offset_ms(quick.received).unwrap().abs() <= 600);
    }

    #[test]
    fn trust_returns_only_well_inside_the_limit() {
        let mut estimator = estimator();
        for n in 0..9 {
            estimator.observe(&answer(n, 2_800, 100));
        }
        let at = |off_ms| answer(20, off_ms, 0).sent;
        assert_eq!(estimator.labelled_by(at(2_800)), LabelledBy::Source);
        assert_eq!(estimator.labelled_by(at(1_800)), LabelledBy::Source);
        assert_eq!(estimator.labelled_by(at(400)), LabelledBy::Box);
    }
}
