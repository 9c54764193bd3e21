//! A backfill by hand: what it has been asked, how far it is, and what it found.
//!
//! Its state rides in the feed's state with each commit, so that it goes on after a restart from
//! the window after the last one that is in the journal. The list of single changes is held in
//! memory only and bounded; after a restart it starts anew, the tallies do not.

use serde::{Deserialize, Serialize};

use super::ids::QueueId;
use super::interval::{INTERVALS_PER_DAY, IntervalStart, Window};
use super::record::Figures;

/// Changes that a report lists one by one; beyond these they are only counted.
pub const CHANGES_LISTED_MAX: usize = 1_000;
/// Finished backfills whose report is kept.
pub const FINISHED_KEPT_MAX: usize = 8;

/// One backfill, as much of it as a restart needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillState {
    /// Its number within the store.
    pub id: u64,
    /// The intervals that were asked for, closed ones only.
    pub window: Window,
    /// The one queue whose rows count; `None` = all.
    pub queue: Option<QueueId>,
    /// Compare and report, but write nothing.
    pub dry_run: bool,
    /// The first interval that has not been read yet; the window's end where all are.
    pub next: IntervalStart,
    /// What it found.
    #[serde(default)]
    pub tally: BackfillTally,
}

impl BackfillState {
    /// Whether nothing is left to read.
    pub fn is_finished(&self) -> bool {
        self.next >= self.window.to
    }
}

/// What a backfill found, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BackfillTally {
    /// Calls that brought a usable answer.
    pub answers: u64,
    /// Rows that the answers held.
    pub rows: u64,
    /// Figures of queues and intervals that were not known before.
    pub new: u64,
    /// Figures that replace others.
    pub changed: u64,
    /// Figures that were known already.
    pub unchanged: u64,
    /// Rows that were not taken.
    pub rejected: u64,
    /// Intervals that a usable answer had no row for.
    pub intervals_empty: u64,
    /// Intervals that Thrio would not answer for, after repeated attempts.
    pub intervals_failed: u64,
    /// The oldest interval with a row: where many empty ones lie before it, Thrio's own history
    /// most likely begins here.
    pub oldest_row: Option<IntervalStart>,
    /// Intervals before the oldest row (or all that were read), empty or refused.
    pub intervals_before: u64,
    /// Why the last call failed, if it did.
    pub last_error: Option<String>,
}

impl BackfillTally {
    /// Adds what one answer or failure found.
    pub fn add(&mut self, more: &Self) {
        self.answers += more.answers;
        self.rows += more.rows;
        self.new += more.new;
        self.changed += more.changed;
        self.unchanged += more.unchanged;
        self.rejected += more.rejected;
        self.intervals_empty += more.intervals_empty;
        self.intervals_failed += more.intervals_failed;
        self.oldest_row = match (self.oldest_row, more.oldest_row) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_error.clone_from(&more.last_error);
    }
}

/// One queue and interval whose figures the backfill changed (or, dry, would change).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackfillChange {
    /// The queue.
    pub queue: QueueId,
    /// The interval.
    pub interval_start: IntervalStart,
    /// The figures before, where some were known.
    pub old: Option<Figures>,
    /// The figures that Thrio gives now.
    pub new: Figures,
    /// The number of the new revision.
    pub revision: u32,
}

/// A backfill with what it found so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackfillReport {
    /// What was asked, how far it is, and the numbers.
    #[serde(flatten)]
    pub state: BackfillState,
    /// The first [`CHANGES_LISTED_MAX`] changes since the process started.
    pub changes: Vec<BackfillChange>,
}

impl BackfillReport {
    /// Where Thrio's own history begins, as far as this backfill can tell: the first interval with
    /// a row after at least a day without (a night without contacts proves nothing).
    pub fn history_begins(&self) -> Option<IntervalStart> {
        (self.state.tally.intervals_before >= INTERVALS_PER_DAY.unsigned_abs())
            .then_some(self.state.tally.oldest_row)
            .flatten()
    }
}
