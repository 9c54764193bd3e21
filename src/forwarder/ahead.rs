//! Reading the journal ahead: while a call is out, the page that the next batch will begin with is
//! read, so that in a drain the destination and the journal work at the same time.
//!
//! What was read is a copy of what the journal held then. It is used only where the next batch
//! begins exactly there and the store is still the same one.

use crate::domain::ids::RecordSeq;
use crate::store::{Page, ReadLimit, Store};

/// What to read; it is read on a thread of its own.
#[derive(Debug)]
pub(super) struct ReadAhead {
    pub(super) store: Store,
    pub(super) epoch: u64,
    pub(super) from: RecordSeq,
    pub(super) limit: ReadLimit,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) epoch: u64,
    pub(super) from: RecordSeq,
    pub(super) page: Page,
}

impl ReadAhead {
    /// None where the journal cannot be read now: the worker meets the reason when it reads itself.
    pub(super) fn read(self) -> Option<Ahead> {
        let page = self.store.read(self.from, self.limit).ok()?;
        Some(Ahead {
            epoch: self.epoch,
            from: self.from,
            page,
        })
    }
}
