//! What an answer changes: revisions where figures differ, coverage where an interval's entry
//! does, provisional roster entries for queues that nobody has heard of.
//!
//! Reads what is known and changes none of it.

use std::collections::{BTreeMap, HashSet};

use super::super::backfill::{BackfillChange, BackfillTally};
use super::super::call::{HistoricalAnswer, HistoricalRow};
use super::super::coverage::{Cover, Coverage};
use super::super::health::FeedCounts;
use super::super::ids::{QueueId, SourceName};
use super::super::interval::{IntervalStart, Window};
use super::super::interval_revision::{Circumstances, revise, suspect};
use super::super::queue::QueueDetails;
use super::super::record::{
    CoverageStatus, Figures, IntervalRecord, QueueChange, Record, RosterChange, Run,
};
use super::super::timestamp::WallTime;
use super::KnownIntervals;
use super::commits::Commits;

/// The figures of a queue about which silence means that it had no contacts.
const ZERO: Figures = Figures {
    entered: Some(0),
    abandoned: Some(0),
    handle_time_s: Some(0),
};

/// What was asked, and what is known.
pub(super) struct Reading<'a> {
    pub(super) source: &'a SourceName,
    pub(super) run: Run,
    pub(super) window: Window,
    /// Only rows of this queue count.
    pub(super) only: Option<&'a QueueId>,
    /// Compare and report, but write nothing.
    pub(super) dry_run: bool,
    /// The queues whose silence means zero.
    pub(super) silent_means_zero: &'a [QueueId],
    /// Every queue that the roster knows, open or closed.
    pub(super) roster: &'a HashSet<QueueId>,
    pub(super) coverage: &'a Coverage,
    /// This answer completes the reading of its intervals: their coverage entries are due.
    pub(super) completes: bool,
    /// Rows per interval of the earlier answers of the same piece.
    pub(super) rows_before: &'a [u32],
    /// Intervals before this one become final by this answer.
    pub(super) final_before: IntervalStart,
    /// Earlier intervals are not held in memory: only a backfill by hand comes there.
    pub(super) remembered_from: IntervalStart,
    pub(super) known: &'a KnownIntervals,
    /// When the answer was received.
    pub(super) answered_at: WallTime,
}

/// What an answer means.
#[derive(Default)]
pub(super) struct Reaction {
    pub(super) commits: Commits,
    pub(super) covers: Vec<(IntervalStart, Cover)>,
    /// Rows per interval of this answer.
    pub(super) rows: Vec<u32>,
    pub(super) new_queues: HashSet<QueueId>,
    pub(super) changes: Vec<BackfillChange>,
    pub(super) tally: BackfillTally,
    pub(super) data_changed: bool,
}

impl Reading<'_> {
    pub(super) fn react(&self, answer: &HistoricalAnswer) -> Reaction {
        let mut reaction = Reaction::default();
        let mut rejected = answer.rejected.count;
        let mut by_interval: BTreeMap<IntervalStart, Vec<&HistoricalRow>> = BTreeMap::new();
        for row in &answer.rows {
            if !self.window.contains(row.interval_start) {
                rejected += 1;
            } else if self.only.is_none_or(|only| *only == row.queue) {
                by_interval.entry(row.interval_start).or_default().push(row);
            }
        }
        let mut group = Vec::new();
        for (start, before) in self.window.starts().zip(self.rows_before) {
            let rows = by_interval.get(&start).map_or(&[][..], Vec::as_slice);
            let mut counts = FeedCounts::default();
            self.react_to_interval(start, rows, &mut group, &mut counts, &mut reaction);
            let row_count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            reaction.rows.push(row_count);
            if self.completes {
                self.cover(
                    start,
                    before + row_count,
                    &mut group,
                    &mut counts,
                    &mut reaction,
                );
            }
            if !self.dry_run {
                reaction.commits.add(&mut group, counts);
            }
        }
        reaction.tally.answers = 1;
        reaction.tally.rejected = rejected;
        reaction.commits.count(FeedCounts {
            answers: 1,
            rows_received: if self.dry_run { 0 } else { rejected },
            rows_rejected: if self.dry_run { 0 } else { rejected },
            ..FeedCounts::default()
        });
        reaction
    }

    fn react_to_interval(
        &self,
        start: IntervalStart,
        rows: &[&HistoricalRow],
        group: &mut Vec<Record>,
        counts: &mut FeedCounts,
        reaction: &mut Reaction,
    ) {
        for row in rows {
            counts.rows_received += 1;
            reaction.tally.rows += 1;
            if self.revise(start, &row.queue, row.figures, group, reaction) {
                counts.rows_changed += 1;
            } else {
                counts.rows_unchanged += 1;
                reaction.tally.unchanged += 1;
            }
            self.meet(&row.queue, group, counts, reaction);
        }
        if !rows.is_empty() {
            let oldest = reaction.tally.oldest_row.get_or_insert(start);
            *oldest = start.min(*oldest);
        }
        if self.silent_means_zero.is_empty() {
            return;
        }
        // A zero that silence stands for counts as a received row where it says something new.
        let spoken: HashSet<&QueueId> = rows.iter().map(|row| &row.queue).collect();
        for queue in self.silent_means_zero {
            if !spoken.contains(queue) && self.revise(start, queue, ZERO, group, reaction) {
                counts.rows_received += 1;
                counts.rows_changed += 1;
            }
        }
    }

    /// Writes a revision where the figures are new; tells whether they are.
    fn revise(
        &self,
        start: IntervalStart,
        queue: &QueueId,
        figures: Figures,
        group: &mut Vec<Record>,
        reaction: &mut Reaction,
    ) -> bool {
        let known = self.known.get(&(queue.clone(), start));
        let cover = self.coverage.get(start);
        let circumstances = Circumstances {
            run: self.run,
            was_final: cover.is_some_and(|c| c.final_at.is_some()),
            was_gap: !cover.is_some_and(Cover::is_fetched),
        };
        let Some((revision, reason)) = revise(known, figures, circumstances) else {
            return false;
        };
        reaction.data_changed |= !self.dry_run;
        if known.is_some() {
            reaction.tally.changed += 1;
        } else {
            reaction.tally.new += 1;
        }
        if self.run == Run::Manual {
            reaction.changes.push(BackfillChange {
                queue: queue.clone(),
                interval_start: start,
                old: known.map(|k| k.figures),
                new: figures,
                revision,
            });
        }
        if !self.dry_run {
            group.push(Record::Interval(IntervalRecord {
                source: self.source.clone(),
                queue: queue.clone(),
                interval_start: start,
                figures,
                revision,
                answered_at: self.answered_at,
                run: self.run,
                reason,
                suspect: suspect(&figures),
            }));
        }
        true
    }

    /// A queue that no import has listed appears in the roster at once.
    fn meet(
        &self,
        queue: &QueueId,
        group: &mut Vec<Record>,
        counts: &mut FeedCounts,
        reaction: &mut Reaction,
    ) {
        // The source's total stands for no queue of the roster.
        let is_known = self.roster.contains(queue)
            || reaction.new_queues.contains(queue)
            || *queue == QueueId::all();
        if is_known || self.dry_run {
            return;
        }
        reaction.new_queues.insert(queue.clone());
        counts.roster += 1;
        group.push(Record::Queue(QueueChange {
            source: self.source.clone(),
            queue: queue.clone(),
            change: RosterChange::Added,
            details: QueueDetails {
                is_active: true,
                ..QueueDetails::default()
            },
            valid_from: self.answered_at,
            first_seen: self.answered_at,
            provisional: true,
        }));
    }

    fn cover(
        &self,
        start: IntervalStart,
        rows: u32,
        group: &mut Vec<Record>,
        counts: &mut FeedCounts,
        reaction: &mut Reaction,
    ) {
        reaction.tally.intervals_empty += u64::from(rows == 0);
        // One queue's answer proves nothing of the others.
        if self.dry_run || self.only.is_some() {
            return;
        }
        // Where figures are known beyond what memory holds, the journal has an entry, with its
        // time of becoming final; it stays.
        if start < self.remembered_from && self.known.keys().any(|(_, s)| *s == start) {
            return;
        }
        let old = self.coverage.get(start);
        let silence_is_zero = rows == 0 && !self.silent_means_zero.is_empty();
        let is_final = start < self.final_before;
        let mut cover = Cover {
            rows,
            attempts: old.map_or(0, |c| c.attempts) + 1,
            fetched_at: Some(self.answered_at),
            final_at: old
                .and_then(|c| c.final_at)
                .or(is_final.then_some(self.answered_at)),
            ..Cover::new(if silence_is_zero {
                CoverageStatus::EmptyConfirmed
            } else {
                CoverageStatus::Fetched
            })
        };
        if cover.differs_from(old) {
            counts.coverage += 1;
            group.push(Record::Coverage(cover.entry(self.source, start)));
        } else {
            // So that memory and journal hold the same entry.
            cover.fetched_at = old.and_then(|c| c.fetched_at);
        }
        reaction.covers.push((start, cover));
    }
}
