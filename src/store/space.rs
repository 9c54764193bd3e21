//! Room on the disk: what is used, the reserve, and what goes first (invariant 7).

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;

use super::append::BLOCK_BYTES_GOAL;
use super::codec::{self, Slot, SlotRef};
use super::engine::{Engine, lock};
use super::journal;
use super::live::Live;
use super::loss::{Blind, missing_interval};
use super::maintain::Upkeep;
use super::rows;
use super::tables::{COVERAGE, INTERVALS, JOURNAL, body, interval_key};
use super::{StoreError, WhenFull};
use crate::domain::ids::{DestinationName, RecordSeq, SeqRange};
use crate::domain::record::Record;
use crate::domain::retention::{self, Budget, Compaction, Pressure, Usage};
use crate::domain::timestamp::{Now, WallTime};

/// The reserve: a copy-on-write store needs pages even to delete.
pub(super) const RESERVE_BYTES: u64 = 8 << 20;
const RESERVE: &str = "reserve";
/// Blocks that one call deletes at most, so that the writer is never blocked for long.
const DELETE_BLOCKS_MAX: usize = 20_000;
/// Blocks that one call gives up (decoded, told as coverage) at most.
const GIVE_UP_BLOCKS_MAX: usize = 64;

/// A block without its interval records: header, length before, slots, and these.
type Emptied = (codec::Header, usize, Vec<Slot>, Vec<(RecordSeq, Record)>);

impl Engine {
    /// What the disk and the counters say.
    pub(super) fn usage(&self, live: &Live) -> Usage {
        let (allocated, free) = match &self.place {
            super::place::Place::Simulated(disk) => (disk.len() as u64, disk.free()),
            super::place::Place::Folder(folder) | super::place::Place::LookedAt(folder) => {
                let allocated = fs::metadata(self.place.path()).map_or(0, |f| f.blocks() * 512);
                let free = rustix::fs::statvfs(folder).ok();
                (
                    allocated,
                    free.map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)),
                )
            }
        };
        Usage {
            live: live.position.live_bytes,
            allocated,
            free,
        }
    }

    pub(super) fn pressure(&self, live: &Live) -> Pressure {
        let budget = Budget {
            max_bytes: self.options.max_bytes,
            min_free: self.options.min_free,
        };
        retention::pressure(self.usage(live), budget)
    }

    /// Makes the reserve where it is missing and there is room for it.
    pub(super) fn keep_reserve(&self, live: &Live) {
        let Some(folder) = self.place.folder() else {
            return;
        };
        let path = folder.join(RESERVE);
        let free = self.usage(live).free.unwrap_or(u64::MAX);
        let is_whole = fs::metadata(&path).is_ok_and(|f| f.blocks() * 512 >= RESERVE_BYTES);
        if is_whole || free < self.options.min_free.saturating_add(2 * RESERVE_BYTES) {
            return;
        }
        // Bytes that no file system can leave out. Without a reserve the store works too.
        let piece: Vec<u8> = (0..=255u8).cycle().take(64 * 1024).collect();
        let _ = fs::File::create(&path).and_then(|mut file| {
            for _ in 0..RESERVE_BYTES / piece.len() as u64 {
                file.write_all(&piece)?;
            }
            file.sync_all()
        });
    }

    /// Gives the reserve back to the file system, for the transaction that cleans up.
    pub(super) fn release_reserve(&self) {
        if let Some(folder) = self.place.folder() {
            let _ = fs::remove_file(folder.join(RESERVE));
        }
    }

    /// Deletes acknowledged blocks that are too old or in the way. Says how many records went.
    pub(super) fn expire_acknowledged(
        &self,
        live: &mut Live,
        configured: &[DestinationName],
        pressure: Pressure,
        aged: WallTime,
        now: Now,
    ) -> Result<u64, StoreError> {
        let acknowledged = acknowledged_to(live, configured);
        let oldest = aged.minus(self.options.retention);
        // Agent states are a fold from the checkpoint on.
        let keep_from = acknowledged.min(live.position.checkpoint).next();
        let mut upto = live.position.first;
        let mut bytes = 0;
        let mut blocks = 0;
        let goal = self.surplus(live, pressure);
        self.read(|txn| {
            journal::for_each_block(txn, upto, live.position.last, |found| {
                let in_reach = found.span.last < keep_from && blocks < DELETE_BLOCKS_MAX;
                let is_old = found
                    .header()
                    .is_none_or(|header| header.journaled_at < oldest);
                if !in_reach || !(is_old || bytes < goal) {
                    return Ok(ControlFlow::Break(()));
                }
                bytes += journal::allocated(found.bytes.len());
                blocks += 1;
                upto = found.span.last.next();
                Ok(ControlFlow::Continue(()))
            })
        })?;
        let records = upto.since(live.position.first);
        if records > 0 {
            self.write(live, now, |txn, live| {
                let mut table = txn.open_table(JOURNAL)?;
                table.retain_in(..upto.get(), |_, _| false)?;
                forget_to(live, upto, bytes);
                super::beside::put_position(&mut table, &live.position)
            })?;
        }
        Ok(records)
    }

    /// When the newest block was journaled; none where the journal is empty or its end damaged.
    pub(super) fn newest_block_at(&self, live: &Live) -> Result<Option<WallTime>, StoreError> {
        let mut at = None;
        self.read(|txn| {
            journal::for_each_block(txn, live.position.last, live.position.last, |found| {
                at = found.header().map(|header| header.journaled_at);
                Ok(ControlFlow::Break(()))
            })
        })?;
        Ok(at)
    }

    /// Bytes that must go until the pressure is low again (half of the budget).
    fn surplus(&self, live: &Live, pressure: Pressure) -> u64 {
        if pressure == Pressure::Low {
            return 0;
        }
        let budget = Budget {
            max_bytes: self.options.max_bytes,
            min_free: self.options.min_free,
        };
        let half = retention::budget_bytes(self.usage(live), budget) / 2;
        live.position.live_bytes.saturating_sub(half / 5 * 4)
    }

    /// The budget is used up by what nobody acknowledged: interval records first, which Thrio can
    /// be asked for again, then transactions by policy. Says how many records went.
    pub(super) fn give_up(&self, live: &mut Live, now: Now) -> Result<u64, StoreError> {
        let given = self.give_up_intervals(live, now)?;
        if given > 0 || self.options.when_full == WhenFull::StopCollecting {
            return Ok(given);
        }
        self.drop_oldest(live, now)
    }

    /// Empties the oldest blocks with interval records of these.
    fn give_up_intervals(&self, live: &mut Live, now: Now) -> Result<u64, StoreError> {
        let from = lock(&self.upkeep).hollow_to.max(live.position.first);
        let reason = "given up for want of room in the journal";
        let mut emptied: Vec<Emptied> = Vec::new();
        let mut next = from;
        self.read(|txn| {
            journal::for_each_block(txn, from, live.position.checkpoint, |found| {
                next = found.span.last.next();
                if let Some(block) = found.decode(&mut lock(&self.interner)) {
                    let (slots, gone) = without_intervals(block.slots, block.header.first);
                    if !gone.is_empty() {
                        emptied.push((block.header, found.bytes.len(), slots, gone));
                    }
                }
                Ok(if emptied.len() < GIVE_UP_BLOCKS_MAX {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            })
        })?;
        let count: usize = emptied.iter().map(|(_, _, _, gone)| gone.len()).sum();
        if count > 0 {
            let missing = self.read(|txn| {
                let coverage = COVERAGE.read(txn)?;
                let mut keys: Vec<_> = emptied
                    .iter()
                    .flat_map(|(_, _, _, gone)| gone)
                    .filter_map(|(_, record)| match record {
                        Record::Interval(r) => Some((r.source.clone(), r.interval_start)),
                        _ => None,
                    })
                    .collect();
                keys.sort();
                keys.dedup();
                keys.iter()
                    .map(|(source, start)| {
                        missing_interval(&coverage, live, source, *start, reason)
                    })
                    .collect::<Result<Vec<_>, _>>()
            })?;
            self.append_own(live, &missing, now, |txn, table, live| {
                let mut intervals = INTERVALS.write(txn)?;
                for (header, len, slots, gone) in &emptied {
                    let slots: Vec<SlotRef<'_>> = slots.iter().map(Slot::as_slot_ref).collect();
                    let block =
                        codec::encode(header.store_id, header.first, header.journaled_at, &slots);
                    table.insert(header.first.get(), block.as_slice())?;
                    live.position.live_bytes += journal::allocated(block.len());
                    let before = journal::allocated(*len);
                    live.position.live_bytes = live.position.live_bytes.saturating_sub(before);
                    for (seq, record) in gone {
                        mark_given_up(&mut intervals, live, *seq, record)?;
                    }
                }
                live.position.expired += count as u64;
                Ok(())
            })?;
        }
        lock(&self.upkeep).hollow_to = next;
        Ok(count as u64)
    }

    /// Deletes the oldest blocks; what they held is told as coverage, and what is still the last
    /// word on something is journaled again.
    fn drop_oldest(&self, live: &mut Live, now: Now) -> Result<u64, StoreError> {
        let mut upto = live.position.first;
        let (mut bytes, mut blocks, mut expired) = (0, 0, 0);
        let mut blind = Blind::default();
        let (again, lost) = self.read(|txn| {
            let mut again = Vec::new();
            journal::for_each_block(txn, upto, live.position.checkpoint, |found| {
                let enough = blocks >= GIVE_UP_BLOCKS_MAX || bytes >= 16 * BLOCK_BYTES_GOAL as u64;
                if enough || found.span.last > live.position.checkpoint {
                    return Ok(ControlFlow::Break(()));
                }
                if let Some(block) = found.decode(&mut lock(&self.interner)) {
                    for slot in block.slots {
                        expired += u64::from(matches!(slot, Slot::Record(_)));
                        if let Slot::Record(Record::Transaction(change)) = slot {
                            blind.transaction(&change.source, change.started_at);
                        }
                    }
                }
                bytes += journal::allocated(found.bytes.len());
                blocks += 1;
                upto = found.span.last.next();
                Ok(ControlFlow::Continue(()))
            })?;
            if upto > live.position.first {
                let gone = SeqRange::new(live.position.first, RecordSeq::new(upto.get() - 1));
                again = super::damage::told_again(txn, live, gone)?;
                again.retain(|record| !matches!(record, Record::Interval(_)));
            }
            let reason = "given up for want of room in the journal";
            let lost = std::mem::take(&mut blind).entries(&COVERAGE.read(txn)?, live, reason)?;
            Ok((again, lost))
        })?;
        if upto == live.position.first {
            return Ok(0);
        }
        let records = [again, lost].concat();
        self.append_own(live, &records, now, |_, table, live| {
            table.retain_in(..upto.get(), |_, _| false)?;
            forget_to(live, upto, bytes);
            live.position.expired += expired;
            Ok(())
        })?;
        Ok(expired)
    }

    /// Whether so much of the file is free pages that moving the rest pays.
    pub(super) fn compaction_due(&self, live: &Live, upkeep: &Upkeep, now: Now) -> bool {
        let last = upkeep.compacted.map(|(at, live)| Compaction {
            ago: now.mono.since(at),
            live,
        });
        retention::wants_compaction(self.usage(live), last)
    }
}

/// The last seq up to which every configured destination is done with everything.
pub(super) fn acknowledged_to(live: &Live, configured: &[DestinationName]) -> RecordSeq {
    let done_to = |name: &DestinationName| {
        let Some(cursor) = live.cursors.get(name) else {
            return RecordSeq::ZERO;
        };
        let mut next = live.position.first;
        for range in &cursor.progress.done {
            if range.first > next {
                break;
            }
            next = next.max(range.last.next());
        }
        // A replay that is under way pins what it still has to send.
        if let Some(replay) = &cursor.progress.replay {
            next = next.min(replay.remaining.first);
        }
        RecordSeq::new(next.get() - 1)
    };
    configured
        .iter()
        .map(done_to)
        .min()
        .unwrap_or(live.position.last)
}

/// The journal begins at `upto` from now on.
fn forget_to(live: &mut Live, upto: RecordSeq, bytes: u64) {
    live.position.first = upto;
    live.position.live_bytes = live.position.live_bytes.saturating_sub(bytes);
    if live.position.packed.next() < upto {
        live.position.packed = RecordSeq::new(upto.get() - 1);
        // Some of the tail is gone with it; the estimate is made anew by the next packing.
        live.position.tail_bytes /= 2;
    }
}

/// The slots with holes for interval records, and these.
fn without_intervals(slots: Vec<Slot>, first: RecordSeq) -> (Vec<Slot>, Vec<(RecordSeq, Record)>) {
    let mut gone = Vec::new();
    let slots = slots
        .into_iter()
        .zip(0..)
        .map(|(slot, n)| match slot {
            Slot::Record(record @ Record::Interval(_)) => {
                gone.push((first.plus(n), record));
                Slot::Expired
            }
            other => other,
        })
        .collect();
    (slots, gone)
}

/// The row keeps its revision but no figures count, so that the next answer is a new revision.
fn mark_given_up(
    table: &mut super::tables::WriteTable<'_>,
    live: &mut Live,
    seq: RecordSeq,
    record: &Record,
) -> Result<(), StoreError> {
    let Record::Interval(r) = record else {
        return Ok(());
    };
    let source = live.dictionary.source(&r.source);
    let key = interval_key(source, r.interval_start, live.dictionary.queue(&r.queue));
    let Some(value) = table.get(&key)? else {
        return Ok(());
    };
    let row = rows::read_interval(&value, r.source.clone(), r.queue.clone(), r.interval_start)
        .map_err(|error| INTERVALS.damaged(&key, error))?;
    if row.seq == seq {
        let grown = table.put(&key, body(|w| rows::write_interval(w, r, seq, true)))?;
        live.position.grow(grown);
    }
    Ok(())
}
