//! Coverage of the realtime feed: one entry per quarter hour with the polls that were due and
//! made, and the seconds that nobody saw (domain rules 2 and 5).
//!
//! A quarter hour is closed when it is settled: by an answer after its end, or once the feed is
//! blind for certain. Before that a gap that began in it could still be found.

use std::time::Duration;

use crate::domain::health::QuarterPolls;
use crate::domain::ids::{Feed, SourceName};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::record::{CoverageEntry, CoverageStatus};
use crate::domain::timestamp::{WallTime, millis};

/// After an outage at most this many quarter hours are accounted for: 35 days, as `max_backfill`.
const CLOSED_MAX: i64 = 35 * 96;

/// What an attempt adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// When it was sent.
    pub sent: WallTime,
    /// When it ended.
    pub ended: WallTime,
    pub answered: bool,
    /// The span that nobody saw, if the feed was blind until now.
    pub blind_from: Option<WallTime>,
}

/// Counts an attempt; returns the quarter hours that are closed by it, oldest first, and the open
/// one.
pub(super) fn count(
    open: Option<QuarterPolls>,
    attempt: &Attempt,
) -> (Vec<QuarterPolls>, QuarterPolls) {
    let mut open = open.unwrap_or_else(|| fresh(attempt.sent));
    let settled = attempt.answered || attempt.blind_from.is_some();
    let mut closed = Vec::new();
    if settled {
        let current = IntervalStart::containing(attempt.ended);
        let skipped = (current.index() - open.start.index() - CLOSED_MAX).max(0);
        while open.start < current {
            let next = open.start.plus(1);
            let skip = closed.is_empty() && skipped > 0;
            open.unknown_ms += blind_ms(&open, attempt, open.start.end());
            closed.push(open);
            open = fresh(next.plus(if skip { skipped } else { 0 }).start());
        }
    }
    open.attempts += 1;
    if attempt.answered {
        open.made += 1;
        // What is blind still is counted when it ends, or when the quarter hour does.
        open.unknown_ms += blind_ms(&open, attempt, attempt.ended);
    }
    (closed, open)
}

fn fresh(since: WallTime) -> QuarterPolls {
    QuarterPolls {
        start: IntervalStart::containing(since),
        since,
        attempts: 0,
        made: 0,
        unknown_ms: 0,
    }
}

/// How much of the open quarter hour, up to `until`, lies in the blind span.
fn blind_ms(open: &QuarterPolls, attempt: &Attempt, until: WallTime) -> u32 {
    let Some(from) = attempt.blind_from else {
        return 0;
    };
    let until = until.min(open.start.end());
    let ms = until.ms_since(from.max(open.start.start())).max(0);
    u32::try_from(ms).expect("a quarter hour has 900,000 ms")
}

/// The coverage entry of a closed quarter hour.
pub(super) fn entry(
    source: &SourceName,
    quarter: &QuarterPolls,
    period: Duration,
    rows: u32,
    last_error: Option<&str>,
    answered_at: Option<WallTime>,
) -> CoverageEntry {
    let watched_ms = quarter.start.end().ms_since(quarter.since);
    let period_ms = millis(period).max(1);
    let expected = (watched_ms + period_ms / 2) / period_ms;
    let seen = quarter.made > 0;
    let unknown_s = quarter.unknown_ms.div_ceil(1000);
    CoverageEntry {
        source: source.clone(),
        feed: Feed::Realtime,
        interval_start: quarter.start,
        // Thrio cannot be asked for states of the past: what nobody saw stays unseen.
        status: if seen {
            CoverageStatus::Fetched
        } else {
            CoverageStatus::Failed
        },
        attempts: quarter.attempts,
        last_error: last_error
            .filter(|_| quarter.attempts > quarter.made || !seen)
            .map(str::to_owned),
        rows: if seen { rows } else { 0 },
        fetched_at: answered_at.filter(|_| seen),
        final_at: None,
        polls_expected: Some(u32::try_from(expected).unwrap_or(u32::MAX)),
        polls_made: Some(quarter.made),
        unknown_s: Some(unknown_s.min(u32::try_from(INTERVAL_S).expect("900"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> WallTime {
        WallTime::from_s(s)
    }

    fn attempt(s: i64, answered: bool, blind_from: Option<i64>) -> Attempt {
        Attempt {
            sent: at(s),
            ended: at(s),
            answered,
            blind_from: blind_from.map(at),
        }
    }

    #[test]
    fn a_quarter_hour_closes_with_the_first_answer_after_it() {
        let (closed, open) = count(None, &attempt(450, true, None));
        assert!(closed.is_empty());
        let (closed, open) = count(Some(open), &attempt(890, false, None));
        assert!(closed.is_empty());
        // A failure does not settle it: nobody knows yet whether a gap began.
        let (closed, open) = count(Some(open), &attempt(905, false, None));
        assert!(closed.is_empty());
        let (closed, open) = count(Some(open), &attempt(910, true, None));
        assert_eq!((closed[0].attempts, closed[0].made), (3, 1));
        assert_eq!((open.start.s(), open.made, open.unknown_ms), (900, 1, 0));
        let source = SourceName::new("main").unwrap();
        let entry = entry(&source, &closed[0], Duration::from_secs(15), 7, None, None);
        assert_eq!(
            (entry.polls_expected, entry.polls_made, entry.unknown_s),
            (Some(30), Some(1), Some(0))
        );
    }

    #[test]
    fn unseen_seconds_fall_to_the_quarter_hours_that_they_lie_in() {
        let (_, open) = count(None, &attempt(0, true, None));
        let (closed, open) = count(Some(open), &attempt(2_000, true, Some(600)));
        let unknown: Vec<u32> = closed.iter().map(|q| q.unknown_ms / 1000).collect();
        assert_eq!(unknown, [300, 900]);
        assert_eq!(open.unknown_ms, 200_000);
    }

    #[test]
    fn a_blind_feed_closes_quarter_hours_and_counts_nothing_twice() {
        let (_, open) = count(None, &attempt(0, true, None));
        let (closed, open) = count(Some(open), &attempt(1_000, false, Some(600)));
        assert_eq!(closed[0].unknown_ms, 300_000);
        assert_eq!(open.unknown_ms, 0);
        let (closed, open) = count(Some(open), &attempt(1_200, true, Some(600)));
        assert!(closed.is_empty());
        assert_eq!(open.unknown_ms, 300_000);
    }

    #[test]
    fn a_year_of_silence_is_accounted_for_by_its_last_weeks() {
        let (_, open) = count(None, &attempt(0, true, None));
        let (closed, open) = count(Some(open), &attempt(86_400 * 365, true, Some(0)));
        assert_eq!(closed.len(), 1 + 35 * 96 - 1);
        assert_eq!(open.start.s(), 86_400 * 365);
    }
}
