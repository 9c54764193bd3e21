//! Which intervals of a source are there, which are missing, and which missing one is asked for
//! next (domain rules 2 and 4).
//!
//! One small entry per interval of the last `max_backfill`, never per queue: a few thousand in all.
//! What is journaled of an entry changes only when its status, its rows or its finality change;
//! attempts and errors in between are held here and ride along then.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ids::{Feed, SourceName};
use super::interval::{IntervalStart, Window};
use super::record::{CoverageEntry, CoverageStatus};
use super::timestamp::{MonoTime, WallTime};

/// What is known of one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// Whether the data are there.
    pub status: CoverageStatus,
    /// How often it was asked for.
    pub attempts: u32,
    /// Rows of the last good answer.
    pub rows: u32,
    /// When the last good answer that changed the entry was received.
    pub fetched_at: Option<WallTime>,
    /// When the interval became final.
    pub final_at: Option<WallTime>,
    /// Why the last attempt failed, if it did; shared by the intervals of one call.
    pub last_error: Option<Arc<str>>,
    /// Failures since the last good answer in this process: each halves the next window.
    pub failed_in_a_row: u32,
    /// Healing leaves it alone until then.
    pub retry_at: Option<MonoTime>,
}

impl Cover {
    /// An interval of which nothing but this is known.
    pub fn new(status: CoverageStatus) -> Self {
        Self {
            status,
            attempts: 0,
            rows: 0,
            fetched_at: None,
            final_at: None,
            last_error: None,
            failed_in_a_row: 0,
            retry_at: None,
        }
    }

    fn restored(entry: &CoverageEntry) -> Self {
        Self {
            attempts: entry.attempts,
            rows: entry.rows,
            fetched_at: entry.fetched_at,
            final_at: entry.final_at,
            last_error: entry.last_error.as_deref().map(Arc::from),
            ..Self::new(entry.status)
        }
    }

    /// Whether a good answer was had.
    pub fn is_fetched(&self) -> bool {
        matches!(
            self.status,
            CoverageStatus::Fetched | CoverageStatus::EmptyConfirmed
        )
    }

    /// Whether it waits to be asked for.
    pub fn is_gap(&self) -> bool {
        matches!(
            self.status,
            CoverageStatus::Expected | CoverageStatus::Missing
        )
    }

    /// Whether the journal must learn of it, given what it holds.
    pub fn differs_from(&self, journaled: Option<&Self>) -> bool {
        journaled.is_none_or(|old| {
            old.status != self.status || old.rows != self.rows || old.final_at != self.final_at
        })
    }

    /// The record.
    pub fn entry(&self, source: &SourceName, interval_start: IntervalStart) -> CoverageEntry {
        CoverageEntry {
            source: source.clone(),
            feed: Feed::Historical,
            interval_start,
            status: self.status,
            attempts: self.attempts,
            last_error: self.last_error.as_deref().map(str::to_owned),
            rows: self.rows,
            fetched_at: self.fetched_at,
            final_at: self.final_at,
            polls_expected: None,
            polls_made: None,
            unknown_s: None,
        }
    }
}

/// The bounds that a search for gaps keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The first interval after the installation: those from here on heal first.
    pub installed: IntervalStart,
    /// Intervals since the installation are asked for from here on.
    pub ask_from: IntervalStart,
    /// Those before the installation from here on.
    pub history_from: IntervalStart,
    /// The 15-minute run sees to the intervals from here on.
    pub live_from: IntervalStart,
    /// A fetched interval before this one that is not final was passed over by the hourly runs.
    pub final_before: IntervalStart,
}

impl Horizon {
    /// Whether the interval lies too far back to be asked for.
    pub fn is_beyond(&self, start: IntervalStart) -> bool {
        let from = if start < self.installed {
            self.history_from
        } else {
            self.ask_from
        };
        start < from
    }
}

/// How much is missing, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoverageSummary {
    /// Intervals since the installation that wait to be asked for again.
    pub missing: u64,
    /// Intervals before the installation that wait to be asked for.
    pub history: u64,
    /// Intervals that were given up.
    pub failed: u64,
    /// Intervals that are fetched and not final.
    pub provisional: u64,
    /// The oldest missing interval since the installation.
    pub oldest_missing: Option<IntervalStart>,
}

/// The coverage of one historical feed.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    entries: BTreeMap<IntervalStart, Cover>,
}

impl Coverage {
    /// What the store holds.
    pub fn restored(entries: &[CoverageEntry]) -> Self {
        let entries = entries
            .iter()
            .filter(|e| e.feed == Feed::Historical)
            .map(|e| (e.interval_start, Cover::restored(e)))
            .collect();
        Self { entries }
    }

    /// What is known of an interval.
    pub fn get(&self, start: IntervalStart) -> Option<&Cover> {
        self.entries.get(&start)
    }

    /// Replaces what is known of an interval.
    pub fn set(&mut self, start: IntervalStart, cover: Cover) {
        self.entries.insert(start, cover);
    }

    /// The newest interval that is there.
    pub fn newest_fetched(&self) -> Option<IntervalStart> {
        let mut newest_first = self.entries.iter().rev();
        newest_first.find(|(_, c)| c.is_fetched()).map(|(s, _)| *s)
    }

    /// Forgets what lies before `from`, and entries from `to` on: a clock that stood wrong.
    pub fn prune(&mut self, from: IntervalStart, to: IntervalStart) {
        if self
            .entries
            .first_key_value()
            .is_some_and(|(s, _)| *s < from)
        {
            self.entries = self.entries.split_off(&from);
        }
        if self.entries.last_key_value().is_some_and(|(s, _)| *s >= to) {
            drop(self.entries.split_off(&to));
        }
    }

    /// Lets every gap be asked for at once: the source is back, or the night has come.
    pub fn retry_all(&mut self) {
        for cover in self.entries.values_mut() {
            cover.retry_at = None;
        }
    }

    /// Marks fetched intervals as missing, because their records were lost or given up.
    pub fn lose(&mut self, window: Window) {
        for (_, cover) in self.entries.range_mut(window.from..window.to) {
            if cover.is_fetched() {
                *cover = Cover::new(CoverageStatus::Missing);
            }
        }
    }

    /// Gaps that lie too far back to be asked for.
    pub fn given_up(&self, horizon: &Horizon) -> Vec<IntervalStart> {
        let last = horizon.ask_from.max(horizon.history_from);
        self.entries
            .range(..last)
            .filter(|(start, cover)| cover.is_gap() && horizon.is_beyond(**start))
            .map(|(start, _)| *start)
            .collect()
    }

    /// The gap that is asked for next, at most `len_max` intervals of it: of the time since the
    /// installation the oldest, of the history before it the newest. A window that failed comes
    /// back in halves, so that one interval that Thrio cannot answer for is found alone.
    pub fn next_gap(&self, horizon: &Horizon, now: MonoTime, len_max: i64) -> Option<Window> {
        let is_due = |start: IntervalStart, cover: &Cover| {
            Self::is_wanted(horizon, start, cover) && cover.retry_at.is_none_or(|at| at <= now)
        };
        let mut since = self.entries.range(horizon.installed..);
        if let Some((first, cover)) = since.find(|(s, c)| is_due(**s, c)) {
            let len = Self::len_after_failures(cover, len_max);
            let run = self.entries.range(*first..first.plus(len));
            let count = run
                .zip(0..)
                .take_while(|((s, c), n)| **s == first.plus(*n) && is_due(**s, c))
                .count();
            return Some(Window::new(*first, first.plus(count_i64(count))));
        }
        let mut before = self.entries.range(..horizon.installed).rev();
        let (last, cover) = before.find(|(s, c)| is_due(**s, c))?;
        let len = Self::len_after_failures(cover, len_max);
        let run = self.entries.range(last.plus(1 - len)..=*last).rev();
        let count = run
            .zip(0..)
            .take_while(|((s, c), n)| **s == last.plus(-*n) && is_due(**s, c))
            .count();
        Some(Window::new(last.plus(1 - count_i64(count)), last.plus(1)))
    }

    /// When the next gap may be asked for again, where all that are left wait.
    pub fn next_retry_at(&self, horizon: &Horizon) -> Option<MonoTime> {
        self.entries
            .iter()
            .filter(|(start, cover)| Self::is_wanted(horizon, **start, cover))
            .filter_map(|(_, cover)| cover.retry_at)
            .min()
    }

    /// How much is missing.
    pub fn summary(&self, installed: IntervalStart) -> CoverageSummary {
        let mut summary = CoverageSummary::default();
        for (start, cover) in &self.entries {
            if cover.is_gap() && *start >= installed {
                summary.missing += 1;
                summary.oldest_missing.get_or_insert(*start);
            } else if cover.is_gap() {
                summary.history += 1;
            } else if cover.status == CoverageStatus::Failed {
                summary.failed += 1;
            } else if cover.final_at.is_none() {
                summary.provisional += 1;
            }
        }
        summary
    }

    fn is_wanted(horizon: &Horizon, start: IntervalStart, cover: &Cover) -> bool {
        let passed_over =
            cover.is_fetched() && cover.final_at.is_none() && start < horizon.final_before;
        start < horizon.live_from && !horizon.is_beyond(start) && (cover.is_gap() || passed_over)
    }

    fn len_after_failures(cover: &Cover, len_max: i64) -> i64 {
        (len_max >> cover.failed_in_a_row.min(32)).max(1)
    }
}

fn count_i64(count: usize) -> i64 {
    i64::try_from(count).expect("a window holds at most a day's intervals")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> IntervalStart {
        IntervalStart::aligned_s(n * 900).expect("a multiple of 900")
    }

    fn window(from: i64, to: i64) -> Window {
        Window::new(at(from), at(to))
    }

    /// Installed at 100, live from 190 on, the last 150 are asked for.
    fn horizon() -> Horizon {
        Horizon {
            installed: at(100),
            ask_from: at(50),
            history_from: at(40),
            live_from: at(190),
            final_before: at(110),
        }
    }

    fn coverage(gaps: &[i64]) -> Coverage {
        let mut coverage = Coverage::default();
        for n in 0..200 {
            let mut cover = Cover::new(CoverageStatus::Fetched);
            cover.final_at = Some(WallTime::from_s(1));
            if gaps.contains(&n) {
                cover = Cover::new(CoverageStatus::Missing);
            }
            coverage.set(at(n), cover);
        }
        coverage
    }

    fn next(coverage: &Coverage) -> Option<Window> {
        coverage.next_gap(&horizon(), MonoTime::ZERO, 96)
    }

    #[test]
    fn the_oldest_gap_since_the_installation_heals_first_and_history_newest_first() {
        let mut coverage = coverage(&[60, 61, 70, 71, 120, 121, 150, 195]);
        let mut healed = Vec::new();
        while let Some(gap) = next(&coverage) {
            healed.push(gap);
            for start in gap.starts() {
                let mut cover = Cover::new(CoverageStatus::Fetched);
                cover.final_at = Some(WallTime::from_s(1));
                coverage.set(start, cover);
            }
        }
        let expected = [
            window(120, 122),
            window(150, 151),
            window(70, 72),
            window(60, 62),
        ];
        assert_eq!(healed, expected, "195 is the live run's");
    }

    #[test]
    fn a_failed_window_comes_back_in_halves_and_not_before_its_time() {
        let gaps: Vec<i64> = (120..136).collect();
        let mut coverage = coverage(&gaps);
        for start in window(120, 136).starts() {
            let mut cover = Cover::new(CoverageStatus::Missing);
            cover.failed_in_a_row = 4;
            cover.retry_at = Some(MonoTime::new(std::time::Duration::from_secs(9)));
            coverage.set(start, cover);
        }
        assert_eq!(next(&coverage), None);
        let later = coverage.next_retry_at(&horizon()).expect("they wait");
        assert_eq!(
            coverage.next_gap(&horizon(), later, 96),
            Some(window(120, 126))
        );
        coverage.retry_all();
        assert_eq!(next(&coverage), Some(window(120, 126)));
    }

    #[test]
    fn what_the_hourly_runs_passed_over_is_read_again() {
        let mut coverage = coverage(&[]);
        coverage.set(at(105), Cover::new(CoverageStatus::Fetched));
        coverage.set(at(111), Cover::new(CoverageStatus::Fetched));
        assert_eq!(next(&coverage), Some(window(105, 106)));
    }

    #[test]
    fn gaps_beyond_the_horizon_are_given_up_and_not_asked_for() {
        let mut coverage = coverage(&[39, 41]);
        assert_eq!(coverage.given_up(&horizon()), [at(39)]);
        assert_eq!(next(&coverage), Some(window(41, 42)));
        coverage.prune(at(40), at(150));
        assert!(coverage.get(at(39)).is_none() && coverage.get(at(150)).is_none());
        assert!(coverage.get(at(40)).is_some());
    }

    #[test]
    fn the_summary_tells_missing_from_history_not_fetched_yet() {
        let summary = coverage(&[41, 42, 120, 130]).summary(at(100));
        assert_eq!((summary.missing, summary.history), (2, 2));
        assert_eq!(summary.oldest_missing, Some(at(120)));
    }
}
