//! Walking the journal's blocks.

use std::ops::ControlFlow;
use std::sync::Arc;

use redb::ReadTransaction;

use super::StoreError;
use super::beside::BESIDE;
use super::cache::{BlockCache, Identity};
use super::codec::{self, Block, HEADER_BYTES, Header, Interner, LazyBlock};
use super::tables::JOURNAL;
use crate::domain::ids::{RecordSeq, SeqRange};

/// A block as the table has it.
pub(super) struct Found<'a> {
    /// Its key.
    pub(super) first: RecordSeq,
    /// The seqs from its key to before the next block (or the journal's last seq).
    pub(super) span: SeqRange,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
}

impl Found<'_> {
    /// The description, where the CRC is right and it is the block of this key and span.
    pub(super) fn header(&self) -> Option<Header> {
        let header = Header::check(self.bytes).ok()?;
        self.is_mine(&header).then_some(header)
    }

    fn is_mine(&self, header: &Header) -> bool {
        header.len as usize == self.bytes.len() && header.range() == self.span
    }

    /// The records; `None` = damaged.
    pub(super) fn decode(&self, interner: &mut Interner) -> Option<Block> {
        let block = codec::decode(self.bytes, interner).ok()?;
        self.is_mine(&block.header).then_some(block)
    }

    /// The same through the cache. A cached block was checked when it was read; the bytes of the
    /// header tell that it is the same one.
    pub(super) fn decode_cached(
        &self,
        cache: &mut BlockCache,
        interner: &mut Interner,
    ) -> Option<Arc<LazyBlock>> {
        let identity: Identity = self.bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if let Some(block) = cache.get(&identity) {
            return Some(block);
        }
        let block = LazyBlock::decode(self.bytes, interner).ok()?;
        let block = Arc::new(self.is_mine(&block.header).then_some(block)?);
        cache.put(identity, Arc::clone(&block));
        Some(block)
    }
}

/// Calls `each` with every block that holds a seq from `from` on, in order, until it breaks off.
pub(super) fn for_each_block(
    txn: &ReadTransaction,
    from: RecordSeq,
    last: RecordSeq,
    mut each: impl FnMut(&Found<'_>) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let table = txn.open_table(JOURNAL)?;
    let before = table.range(..=from.get())?.next_back().transpose()?;
    let start = before.map_or(from.get(), |(key, _)| key.value());
    let mut blocks = table.range(start..BESIDE)?.peekable();
    while let Some(entry) = blocks.next() {
        let (key, value) = entry?;
        let first = RecordSeq::new(key.value());
        let end = match blocks.peek() {
            Some(Ok((next, _))) => RecordSeq::new(next.value() - 1),
            // The error itself comes with the next step.
            Some(Err(_)) => first,
            None => last,
        };
        if end < first {
            return Err(StoreError::Damaged(format!(
                "a block at seq {first} behind the journal's end {last}"
            )));
        }
        if end < from {
            continue;
        }
        let found = Found {
            first,
            span: SeqRange::new(first, end),
            bytes: value.value(),
        };
        if each(&found)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// What a block of so many bytes takes on disk: redb gives a value of more than about a page a
/// run of pages of its own, in powers of two; smaller ones share a page.
pub(super) fn allocated(block_bytes: usize) -> u64 {
    const PAGE: usize = 4096;
    /// Page header, offsets and key beside a single value.
    const BESIDE: usize = 32;
    let bytes = block_bytes + BESIDE;
    if bytes * 3 < PAGE * 2 {
        bytes as u64
    } else {
        bytes.next_power_of_two().max(PAGE) as u64
    }
}
