//! Cutting the next batch out of the journal's pages.

use std::collections::BTreeSet;

use super::{Batch, DeliveryFilter};
use crate::domain::ids::{RecordSeq, SeqRange};
use crate::domain::record::{Record, SequencedRecord};

/// Pages that one cut looks through at most: a filter that lets nothing pass must not turn one
/// step into a walk over the whole journal.
const PAGES_MAX: u32 = 16;

/// Which part of the journal a batch belongs to (architecture §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// From the journal's head of the moment when the destination came back.
    Live,
    /// What lies before the live lane; the only one where there is none.
    Backlog,
    /// Sent again on purpose.
    Replay,
}

/// What to cut: where it begins, where it ends at the latest, and how much it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The lane.
    pub lane: Lane,
    /// The positions to choose from; the batch begins with the first of them.
    pub within: SeqRange,
    /// The most records.
    pub records: usize,
    /// About the most bytes, as JSON.
    pub bytes: usize,
}

/// A batch with what became of the positions in its range that it does not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The lane.
    pub lane: Lane,
    /// What is sent.
    pub batch: Batch,
    /// The rest of its range.
    pub counts: ParcelCounts,
}

/// Positions of a batch's range that carry no record, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParcelCounts {
    /// Held back by the destination's filter.
    pub filtered: u64,
    /// In quarantine.
    pub quarantined: u64,
    /// Unreadable in the journal.
    pub damaged: u64,
    /// Given up by the store.
    pub expired: u64,
}

/// Puts a batch together from pages of the journal.
#[derive(Debug)]
pub struct Builder<'a> {
    cut: Cut,
    filter: &'a DeliveryFilter,
    quarantined: &'a BTreeSet<RecordSeq>,
    /// The first position that was not looked at yet.
    next: RecordSeq,
    records: Vec<SequencedRecord>,
    /// Records that belong into it, those of the page that is being taken too.
    taken: usize,
    bytes: usize,
    counts: ParcelCounts,
    pages: u32,
    full: bool,
}

impl<'a> Builder<'a> {
    /// An empty batch. `first_kept` is the oldest record that the journal still holds: what lies
    /// before it has expired.
    pub fn new(
        cut: Cut,
        first_kept: RecordSeq,
        filter: &'a DeliveryFilter,
        quarantined: &'a BTreeSet<RecordSeq>,
    ) -> Self {
        let next = first_kept.clamp(cut.within.first, cut.within.last.next());
        Self {
            cut,
            filter,
            quarantined,
            next,
            records: Vec::new(),
            taken: 0,
            bytes: 0,
            counts: ParcelCounts {
                expired: next.since(cut.within.first),
                ..ParcelCounts::default()
            },
            pages: 0,
            full: false,
        }
    }

    /// Where to read the next page and how much of it is useful; none where the batch is done.
    pub fn wants(&self) -> Option<(RecordSeq, usize, usize)> {
        let open = !self.full && self.next <= self.cut.within.last && self.pages < PAGES_MAX;
        let records = self.cut.records.saturating_sub(self.taken);
        let bytes = self.cut.bytes.saturating_sub(self.bytes);
        (open && records > 0 && bytes > 0).then_some((self.next, records, bytes))
    }

    /// Takes over the page that was read at [`Self::wants`]: its records, and the ranges that it
    /// calls expired and damaged, all ascending. A position that none of them names is not passed:
    /// the batch ends before it, or the next page tells of it.
    pub fn take(
        &mut self,
        mut records: Vec<SequencedRecord>,
        expired: &[SeqRange],
        damaged: &[SeqRange],
    ) {
        self.pages += 1;
        let before = self.next;
        let mut is_open = true;
        // They stay where they are: a backlog of millions passes here.
        records.retain_mut(|entry| {
            if !is_open {
                return false;
            }
            self.pass_holes(expired, damaged);
            let (seq, next) = (entry.seq, self.next);
            assert!(seq >= next, "record {seq} came after {next}");
            let is_next = seq == next && seq <= self.cut.within.last;
            let is_taken = is_next && self.takes(entry);
            is_open = is_next && !self.full;
            is_taken
        });
        if self.records.is_empty() {
            self.records = records;
        } else {
            self.records.append(&mut records);
        }
        if !self.full {
            self.pass_holes(expired, damaged);
        }
        // A page without progress would be read for ever.
        self.full |= self.next == before;
    }

    /// Whether the record of the next position belongs into the batch; passes the position, unless
    /// the batch is full before it.
    fn takes(&mut self, entry: &mut SequencedRecord) -> bool {
        let is_quarantined = self.quarantined.contains(&entry.seq);
        let is_taken = !is_quarantined && self.filter.narrowed(&mut entry.record);
        if is_taken {
            let bytes = approx_json_bytes(&entry.record);
            let fits = self.taken < self.cut.records
                && (self.taken == 0 || self.bytes + bytes <= self.cut.bytes);
            if !fits {
                self.full = true;
                return false;
            }
            self.bytes += bytes;
            self.taken += 1;
        } else if is_quarantined {
            self.counts.quarantined += 1;
        } else {
            self.counts.filtered += 1;
        }
        self.next = entry.seq.next();
        is_taken
    }

    /// Accounts for positions that no record stands for, as far as the page names them.
    fn pass_holes(&mut self, expired: &[SeqRange], damaged: &[SeqRange]) {
        loop {
            if let Some(passed) = self.pass(expired) {
                self.counts.expired += passed;
            } else if let Some(passed) = self.pass(damaged) {
                self.counts.damaged += passed;
            } else {
                return;
            }
        }
    }

    /// Passes the range that the next position lies in; answers how many positions that were.
    fn pass(&mut self, ranges: &[SeqRange]) -> Option<u64> {
        if self.next > self.cut.within.last {
            return None;
        }
        let at = ranges.partition_point(|range| range.last < self.next);
        let range = ranges.get(at).filter(|range| range.contains(self.next))?;
        let passed_to = range.last.min(self.cut.within.last).next();
        let passed = passed_to.since(self.next);
        self.next = passed_to;
        Some(passed)
    }

    /// The batch; none where not a single position could be looked at.
    pub fn finish(self) -> Option<Parcel> {
        let first = self.cut.within.first;
        (self.next > first).then(|| Parcel {
            lane: self.cut.lane,
            batch: Batch {
                range: SeqRange::new(first, RecordSeq::new(self.next.get() - 1)),
                records: self.records,
            },
            counts: self.counts,
        })
    }
}

/// About how many bytes a record takes as JSON: its texts, and what its kind needs beside them.
pub fn approx_json_bytes(record: &Record) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    record.source().as_str().len()
        + match record {
            Record::Interval(r) => 220 + r.queue.as_str().len(),
            Record::Transaction(r) => {
                let previous = r.previous_state.as_ref().map_or(0, |s| s.as_str().len());
                260 + r.agent.as_str().len() + r.state.as_str().len() + previous
            }
            Record::Agent(r) => {
                let d = &r.details;
                let texts = [
                    &d.username,
                    &d.first_name,
                    &d.last_name,
                    &d.display_name,
                    &d.email,
                    &d.time_zone,
                ];
                280 + r.agent.as_str().len() + texts.into_iter().map(text).sum::<usize>()
            }
            Record::Queue(r) => {
                let texts = text(&r.details.name) + text(&r.details.description);
                220 + r.queue.as_str().len() + texts
            }
            Record::Coverage(r) => 240 + text(&r.last_error),
            Record::StateCode(r) => 120 + r.state.as_str().len(),
        }
}

#[cfg(test)]
mod tests;
