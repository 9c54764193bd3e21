//! Reading the journal by pages, and finding a place in it by time.

use std::ops::ControlFlow;

use super::beside;
use super::codec::{Header, Slot, names};
use super::engine::{Engine, lock};
use super::journal::{self, Found};
use super::rows;
use super::tables::{JOURNAL, SourceNumber, TIME_INDEX, hour_key, hour_of_key};
use super::{Page, ReadLimit, StoreError};
use crate::domain::ids::{Feed, RecordSeq, SeqRange};
use crate::domain::record::{Record, SequencedRecord};
use crate::domain::timestamp::WallTime;

/// Holes that one page may hold: a journal that is all holes is still read in bounded steps.
const HOLES_MAX: usize = 1_000;

impl Engine {
    /// See [`super::Store::read`].
    pub(super) fn read_page(&self, from: RecordSeq, limit: ReadLimit) -> Result<Page, StoreError> {
        self.read_page_into(from, limit, Vec::new())
    }

    /// See [`super::Store::read_into`].
    pub(super) fn read_page_into(
        &self,
        from: RecordSeq,
        limit: ReadLimit,
        records: Vec<SequencedRecord>,
    ) -> Result<Page, StoreError> {
        let from = from.max(RecordSeq::new(1));
        let known = self.head();
        let mut pages = PageBuilder::new(from, limit, records);
        if from > known {
            return Ok(pages.page);
        }
        self.read(|txn| {
            // Appending, packing and deleting go on meanwhile: blocks fit the position of their
            // own transaction, and no other.
            let position = beside::position(txn)?;
            let head = position.last.min(known);
            if from < position.first {
                let last = RecordSeq::new(position.first.get() - 1).min(head);
                pages.hole(Hole::Expired, SeqRange::new(from, last));
            }
            if pages.page.next > head {
                return Ok(());
            }
            journal::for_each_block(txn, pages.page.next, position.last, |found| {
                Ok(self.read_block(found, head, &mut pages))
            })
        })?;
        Ok(pages.page)
    }

    fn read_block(
        &self,
        found: &Found<'_>,
        head: RecordSeq,
        pages: &mut PageBuilder,
    ) -> ControlFlow<()> {
        let start = found.first.max(pages.page.next);
        if start > head {
            return ControlFlow::Break(());
        }
        if start > pages.page.next {
            // Seqs that no block holds, although they lie behind the first.
            let last = RecordSeq::new(start.get() - 1);
            pages.hole(Hole::Damaged, SeqRange::new(pages.page.next, last));
        }
        let block = found.decode_cached(&mut lock(&self.cache), &mut lock(&self.interner));
        let Some(block) = block else {
            let span = found.span;
            lock(&self.found_damaged).insert(span.first.get(), span);
            pages.hole(Hole::Damaged, SeqRange::new(start, span.last.min(head)));
            return pages.more();
        };
        let skip = usize::try_from(start.since(found.first)).unwrap_or(usize::MAX);
        pages.expect(block.len().saturating_sub(skip));
        for n in skip..block.len() {
            if pages.page.next > head || !pages.push(block.slot(n)) {
                return ControlFlow::Break(());
            }
        }
        pages.more()
    }

    /// See [`super::Store::journaled_at`].
    pub(super) fn journaled_at(&self, seq: RecordSeq) -> Result<Option<WallTime>, StoreError> {
        if seq < self.first() || seq > self.head() {
            return Ok(None);
        }
        let is_packed = seq <= self.lock_live().position.packed;
        let page = self.read_page(seq, ReadLimit::ONE)?;
        let record = page.records.first().filter(|_| is_packed);
        let learned = record.and_then(|entry| entry.record.learned_at());
        let (before, label) = self.read(|txn| {
            let table = txn.open_table(JOURNAL)?;
            let mut blocks = table.range(..=seq.get())?.rev().map(|entry| {
                let header = Header::check(entry?.1.value()).ok();
                Ok::<_, StoreError>(header.map(|header| header.journaled_at))
            });
            let label = blocks.next().transpose()?.flatten();
            Ok((blocks.next().transpose()?.flatten(), label))
        })?;
        Ok(label.map(|label| {
            let learned = learned.unwrap_or(label);
            before
                .map_or(learned, |before| learned.max(before))
                .min(label)
        }))
    }

    /// See [`super::Store::seq_at`].
    pub(super) fn seq_at(&self, at: WallTime) -> Result<RecordSeq, StoreError> {
        let sources = self.sources();
        let hour = i32::try_from(at.ms().div_euclid(3_600_000)).unwrap_or(i32::MAX);
        let mut earliest = self.head().next();
        self.read(|txn| {
            let table = TIME_INDEX.read(txn)?;
            for source in 0..sources {
                for feed in Feed::ALL.map(names::feed_number) {
                    let from = hour_key(source, feed, hour);
                    table.scan(&from, &[], |key, value| {
                        if key[..3] != from[..3] {
                            return Ok(false);
                        }
                        let seq = rows::split_seq(value)
                            .and_then(|(seq, _)| hour_of_key(key).map(|_| seq))
                            .map_err(|error| TIME_INDEX.damaged(key, error))?;
                        earliest = earliest.min(seq);
                        Ok(true)
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(earliest.max(self.first()))
    }

    fn sources(&self) -> SourceNumber {
        let count = self.lock_live().dictionary.sources().len();
        SourceNumber::try_from(count).expect("source numbers are 16 bits")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hole {
    Expired,
    Damaged,
}

struct PageBuilder {
    page: Page,
    limit: ReadLimit,
    bytes: usize,
}

impl PageBuilder {
    fn new(from: RecordSeq, limit: ReadLimit, mut records: Vec<SequencedRecord>) -> Self {
        records.clear();
        Self {
            page: Page {
                records,
                next: from,
                ..Page::default()
            },
            limit,
            bytes: 0,
        }
    }

    /// Makes room for so many more, or as many of them as the page may hold.
    fn expect(&mut self, records: usize) {
        let free = self.limit.records.saturating_sub(self.page.records.len());
        self.page.records.reserve(records.min(free));
    }

    /// Adds what stands at the page's next seq; false where the page is full before it.
    fn push(&mut self, slot: Slot) -> bool {
        let seq = self.page.next;
        match slot {
            Slot::Expired => self.hole(Hole::Expired, SeqRange::new(seq, seq)),
            Slot::Damaged => self.hole(Hole::Damaged, SeqRange::new(seq, seq)),
            Slot::Record(record) => {
                let bytes = json_bytes(&record);
                let is_first = self.page.records.is_empty();
                let fits = self.page.records.len() < self.limit.records
                    && self.bytes + bytes <= self.limit.bytes;
                if !fits && !is_first {
                    return false;
                }
                self.bytes += bytes;
                self.page.records.push(SequencedRecord { seq, record });
                self.page.next = seq.next();
            }
        }
        true
    }

    fn hole(&mut self, hole: Hole, range: SeqRange) {
        let list = match hole {
            Hole::Expired => &mut self.page.expired,
            Hole::Damaged => &mut self.page.damaged,
        };
        match list.last_mut() {
            Some(before) if before.last.next() == range.first => before.last = range.last,
            _ => list.push(range),
        }
        self.page.next = range.last.next();
    }

    fn more(&self) -> ControlFlow<()> {
        let full = self.page.records.len() >= self.limit.records
            || self.bytes >= self.limit.bytes
            || self.page.expired.len() + self.page.damaged.len() >= HOLES_MAX;
        if full {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// About what a record takes as JSON: field names and times, and its own texts.
fn json_bytes(record: &Record) -> usize {
    let texts = match record {
        Record::Interval(r) => r.queue.as_str().len(),
        Record::Transaction(r) => {
            r.agent.as_str().len()
                + r.state.as_str().len()
                + r.previous_state
                    .as_ref()
                    .map_or(0, |state| state.as_str().len())
        }
        Record::Agent(r) => r.agent.as_str().len() + 200,
        Record::Queue(r) => {
            r.queue.as_str().len() + r.details.description.as_ref().map_or(0, String::len)
        }
        Record::Coverage(r) => r.last_error.as_ref().map_or(0, String::len),
        Record::StateCode(r) => r.state.as_str().len(),
    };
    260 + texts
}
