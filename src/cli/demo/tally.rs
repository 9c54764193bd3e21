//! What the journal holds, counted while it grows.

use crate::domain::ids::RecordSeq;
use crate::domain::record::{Origin, Record};
use crate::store::{ReadLimit, Store};

/// Records by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    last: RecordSeq,
    /// First figures of a queue and interval.
    pub(super) intervals: u64,
    /// Figures that replaced others.
    pub(super) revisions: u64,
    /// Changes of agents' states.
    pub(super) transactions: u64,
    /// Of them, those that say that nobody saw.
    pub(super) gaps: u64,
    /// Versions of agents and queues.
    pub(super) roster: u64,
    /// Coverage entries and state codes.
    pub(super) others: u64,
}

/// Records of one reading.
const PAGE: ReadLimit = ReadLimit {
    records: 5_000,
    bytes: 4 << 20,
};

impl Tally {
    /// Reads what is new. What cannot be read is left for the next time.
    pub(super) fn read_on(&mut self, store: &Store) {
        while self.last < store.head() {
            let Ok(page) = store.read(self.last.next(), PAGE) else {
                return;
            };
            if page.next <= self.last.next() {
                return;
            }
            page.records
                .iter()
                .for_each(|entry| self.count(&entry.record));
            self.last = RecordSeq::new(page.next.get() - 1);
        }
    }

    fn count(&mut self, record: &Record) {
        match record {
            Record::Interval(interval) if interval.revision > 1 => self.revisions += 1,
            Record::Interval(_) => self.intervals += 1,
            Record::Transaction(transaction) => {
                self.transactions += 1;
                self.gaps += u64::from(transaction.origin == Origin::Gap);
            }
            Record::Agent(_) | Record::Queue(_) => self.roster += 1,
            Record::Coverage(_) | Record::StateCode(_) => self.others += 1,
        }
    }
}
