//! Every expected interval has an entry (domain rule 2), also those that nobody has asked for.

use std::collections::HashSet;

use super::super::coverage::{Cover, Horizon};
use super::super::health::{FeedCounts, FeedState};
use super::super::interval::{INTERVALS_PER_DAY, IntervalStart, Window};
use super::super::record::{CoverageStatus, Record};
use super::commits::Commits;
use super::machine::{HistoricalMachine, progress_mut};

/// Intervals that a box missed are listed one by one at most this far back: a year.
const ACCOUNTED_MAX: i64 = 366 * INTERVALS_PER_DAY;
/// Why an interval is given up.
const TOO_OLD: &str = "older than max_backfill";

impl HistoricalMachine {
    /// Gives every expected interval an entry, up to where the 15-minute run sees to them.
    pub(super) fn account(
        &self,
        settled_to: IntervalStart,
        commits: &mut Commits,
        covers: &mut Vec<(IntervalStart, Cover)>,
        state: &mut FeedState,
    ) {
        let horizon = self.horizon(settled_to);
        let answered: HashSet<IntervalStart> = covers.iter().map(|(start, _)| *start).collect();
        let mut write = |start: IntervalStart, cover: Cover, commits: &mut Commits| {
            let counts = FeedCounts {
                coverage: 1,
                ..FeedCounts::default()
            };
            let record = Record::Coverage(cover.entry(&self.source, start));
            commits.add(&mut vec![record], counts);
            covers.push((start, cover));
        };
        for start in self.coverage.given_up(&horizon) {
            let old = self.coverage.get(start).cloned();
            let mut cover = old.unwrap_or_else(|| Cover::new(CoverageStatus::Failed));
            cover.status = CoverageStatus::Failed;
            cover.last_error.get_or_insert_with(|| TOO_OLD.into());
            write(start, cover, commits);
        }
        let to = horizon.live_from;
        for start in Window::new(self.accounted_to(&horizon), to).starts() {
            if answered.contains(&start) || self.coverage.get(start).is_some() {
                continue;
            }
            let mut cover = Cover::new(if horizon.is_beyond(start) {
                CoverageStatus::Failed
            } else if start < horizon.installed {
                CoverageStatus::Expected
            } else {
                CoverageStatus::Missing
            });
            if cover.status == CoverageStatus::Failed {
                cover.last_error = Some(TOO_OLD.into());
            }
            write(start, cover, commits);
        }
        let progress = progress_mut(state);
        progress.accounted_to = Some(to);
        // The first start has nothing that a night would have to make up for.
        let night = self.nightly.as_ref().filter(|t| t.is_done());
        if let (None, Some(night)) = (progress.last_nightly, night) {
            progress.last_nightly = Some(night.slot);
        }
    }

    /// Where the intervals without an entry begin.
    pub(super) fn accounted_to(&self, horizon: &Horizon) -> IntervalStart {
        let from = match self.progress().accounted_to {
            Some(accounted_to) => accounted_to,
            // Of a store that lost its progress only what can still be asked for is looked at.
            None => self.history_start().max(horizon.history_from),
        };
        from.max(horizon.live_from.plus(-ACCOUNTED_MAX))
    }
}
