//! Cuts a decision's records into transactions, none of which splits an interval (architecture
//! §2.1).

use super::super::call::{COMMIT_RECORDS_MAX, Decision};
use super::super::health::FeedCounts;
use super::super::record::Record;

/// Collects records, interval by interval.
#[derive(Debug, Default)]
pub(super) struct Commits {
    parts: Vec<Vec<Record>>,
    split: Vec<FeedCounts>,
    /// Counts that stand for no record: they ride with the last commit.
    loose: FeedCounts,
}

impl Commits {
    /// Adds what belongs together, emptying `group`, with what it counts.
    pub(super) fn add(&mut self, group: &mut Vec<Record>, counts: FeedCounts) {
        if group.is_empty() {
            self.loose = self.loose.plus(counts);
            return;
        }
        let fits = self
            .parts
            .last()
            .is_some_and(|last| last.len() + group.len() <= COMMIT_RECORDS_MAX);
        if !fits {
            self.parts.push(Vec::new());
            self.split.push(FeedCounts::default());
        }
        let last = self.parts.len() - 1;
        self.parts[last].append(group);
        self.split[last] = self.split[last].plus(counts);
    }

    /// Counts that stand for no record.
    pub(super) fn count(&mut self, counts: FeedCounts) {
        self.loose = self.loose.plus(counts);
    }

    pub(super) fn into_decision(mut self, import_wanted: bool) -> Decision {
        if let Some(last) = self.split.last_mut() {
            *last = last.plus(self.loose);
            self.loose = FeedCounts::default();
        }
        let counts = self.split.iter().fold(self.loose, |sum, c| sum.plus(*c));
        Decision {
            commits: self.parts,
            counts,
            split: self.split,
            import_wanted,
        }
    }
}
