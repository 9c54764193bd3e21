//! Small blocks become large ones: the texts that each block repeats are then stored once, and no
//! page is left half empty.
//!
//! A block keeps its seqs and its records; only the cut between blocks changes, in one
//! transaction.

use std::ops::ControlFlow;

use super::StoreError;
use super::codec::{self, BLOCK_RECORDS_MAX, Slot, SlotRef};
use super::engine::{Engine, lock};
use super::journal;
use super::live::Live;
use super::tables::JOURNAL;
use crate::domain::ids::RecordSeq;
use crate::domain::timestamp::{Now, WallTime};

/// The engine gives a value a run of pages in powers of two: this and its own few bytes fill eight.
const PACKED_BYTES_MAX: usize = 32 * 1024 - 64;
/// How much of that a packed block should fill.
const PACKED_BYTES_MIN: usize = PACKED_BYTES_MAX / 16 * 13;
/// Packings in one call, so that the writer is never blocked for long.
const PACKS_MAX: usize = 8;

/// Guesses at the number of blocks that fit; each is better than the one before.
const ENCODINGS_MAX: usize = 4;

/// Blocks of the tail, decoded.
struct Tail {
    /// Whether it reaches to the journal's end.
    is_all: bool,
    slots: Vec<Slot>,
    /// Number of slots and bytes up to the end of each block, and when it was journaled.
    ends: Vec<(usize, usize, WallTime)>,
    /// Bytes on disk by then.
    allocated: Vec<u64>,
}

impl Engine {
    /// Packs while the tail is long enough.
    pub(super) fn pack(&self, live: &mut Live, now: Now) -> Result<(), StoreError> {
        for _ in 0..PACKS_MAX {
            let ratio = lock(&self.upkeep).pack_ratio.unwrap_or(1.0);
            if lossy(live.position.tail_bytes) * ratio < lossy(PACKED_BYTES_MIN as u64) {
                break;
            }
            if !self.pack_once(live, now)? {
                break;
            }
        }
        Ok(())
    }

    fn pack_once(&self, live: &mut Live, now: Now) -> Result<bool, StoreError> {
        let first = live.position.packed.next().max(live.position.first);
        let Some(tail) = self.read_tail(live, first)? else {
            return Ok(false);
        };
        let encode = |blocks: usize| {
            let (count, _, at) = tail.ends[blocks - 1];
            let slots: Vec<SlotRef<'_>> =
                tail.slots[..count].iter().map(Slot::as_slot_ref).collect();
            codec::encode(live.store_id, first, at, &slots)
        };
        let Some((fits, block)) = self.best_cut(&tail, encode) else {
            return Ok(false);
        };
        let (count, bytes, _) = tail.ends[fits - 1];
        let last = RecordSeq::new(first.get() + count as u64 - 1);
        self.write(live, now, |txn, live| {
            let mut table = txn.open_table(JOURNAL)?;
            if fits > 1 {
                table.retain_in(first.get()..=last.get(), |_, _| false)?;
                table.insert(first.get(), block.as_slice())?;
                live.position.live_bytes += journal::allocated(block.len());
                let before = tail.allocated[fits - 1];
                live.position.live_bytes = live.position.live_bytes.saturating_sub(before);
            }
            live.position.packed = last;
            live.position.tail_bytes = live.position.tail_bytes.saturating_sub(bytes as u64);
            super::beside::put_position(&mut table, &live.position)
        })?;
        Ok(true)
    }

    /// How many whole blocks fill a packed one, and that block; `None` where the tail is too short.
    fn best_cut(&self, tail: &Tail, encode: impl Fn(usize) -> Vec<u8>) -> Option<(usize, Vec<u8>)> {
        let bytes_of = |blocks: usize| lossy(tail.ends[blocks - 1].1 as u64);
        let mut ratio = lock(&self.upkeep).pack_ratio.unwrap_or(1.0);
        let mut best: Option<(usize, Vec<u8>)> = None;
        for _ in 0..ENCODINGS_MAX {
            let goal = lossy(PACKED_BYTES_MAX as u64) * 0.97 / ratio;
            let blocks = tail
                .ends
                .partition_point(|end| lossy(end.1 as u64) <= goal)
                .max(1);
            let block = encode(blocks);
            ratio = lossy(block.len() as u64) / bytes_of(blocks);
            let fits = block.len() <= PACKED_BYTES_MAX || blocks == 1;
            let is_whole = blocks == tail.ends.len();
            let fills = block.len() >= PACKED_BYTES_MIN || (is_whole && !tail.is_all);
            if fits && best.as_ref().is_none_or(|(known, _)| *known < blocks) {
                best = Some((blocks, block));
            }
            if fits && (fills || is_whole) {
                lock(&self.upkeep).pack_ratio = Some(ratio);
                return best.filter(|_| fills);
            }
        }
        lock(&self.upkeep).pack_ratio = Some(ratio);
        best
    }

    /// As many blocks behind the packed ones as one block may hold records of; `None` where a
    /// damaged one comes first, which is then passed over.
    fn read_tail(&self, live: &mut Live, first: RecordSeq) -> Result<Option<Tail>, StoreError> {
        let mut tail = Tail {
            is_all: true,
            slots: Vec::new(),
            ends: Vec::new(),
            allocated: Vec::new(),
        };
        let mut pass = None;
        self.read(|txn| {
            journal::for_each_block(txn, first, live.position.last, |found| {
                let fits = tail.slots.len() as u64 + found.span.count() <= BLOCK_RECORDS_MAX as u64;
                let block = if fits {
                    found.decode(&mut lock(&self.interner))
                } else {
                    None
                };
                let Some(block) = block else {
                    tail.is_all = false;
                    if tail.ends.is_empty() {
                        pass = Some(found.span.last);
                    }
                    return Ok(ControlFlow::Break(()));
                };
                let bytes = tail.ends.last().map_or(0, |end| end.1) + found.bytes.len();
                let before = tail.allocated.last().copied().unwrap_or(0);
                tail.slots.extend(block.slots);
                tail.ends
                    .push((tail.slots.len(), bytes, block.header.journaled_at));
                tail.allocated
                    .push(before + journal::allocated(found.bytes.len()));
                // Twice what is aimed at, even where packing makes it four times smaller.
                if bytes < 8 * PACKED_BYTES_MAX {
                    return Ok(ControlFlow::Continue(()));
                }
                tail.is_all = false;
                Ok(ControlFlow::Break(()))
            })
        })?;
        if let Some(last) = pass {
            live.position.packed = last;
        }
        Ok((!tail.ends.is_empty()).then_some(tail))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of sizes; digits beyond 2^52 do not matter"
)]
fn lossy(bytes: u64) -> f64 {
    bytes as f64
}
