//! The journal block: a run of records as one self-describing value.
//!
//! Invariants: a block can be decoded from its own bytes alone, wherever they are found; bytes
//! that are not exactly what was encoded are an error, never another record and never a panic.
//! `docs/format.md` draws the layout; a change of it is a new [`BLOCK_VERSION`].

pub(crate) mod bytes;
mod column;
mod facts;
mod groups;
mod interner;
mod lazy;
pub(crate) mod names;
pub(crate) mod rows;
mod words;

pub(crate) use bytes::{BadBytes, Reader, Writer};
pub(crate) use facts::interval_start;
pub(crate) use interner::Interner;
pub(crate) use lazy::LazyBlock;

use std::collections::HashMap;

use groups::Groups;
use words::Words;

use crate::domain::ids::{AgentId, QueueId, RecordSeq, SeqRange, SourceName, StateText, StoreId};
use crate::domain::record::{
    AgentChange, CoverageEntry, IntervalRecord, QueueChange, Record, StateCode, StateTransaction,
};
use crate::domain::timestamp::WallTime;

/// A map that each record passes. Its keys are the customer's own ids, and its hash is seeded.
pub(crate) type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// How every block begins.
pub(crate) const MAGIC: [u8; 4] = *b"TEjb";
/// The layout that this program writes.
pub(crate) const BLOCK_VERSION: u8 = 1;
/// Bytes before the payload: magic 4, version 1, flags 1, `store_id` 16, first seq 8, count 4,
/// length 4, journaled at 8, CRC 4.
pub(crate) const HEADER_BYTES: usize = 50;
const CRC_AT: usize = 46;
/// More records than this in one block are not believed.
pub(crate) const BLOCK_RECORDS_MAX: usize = 5_000;
/// Longer blocks are not believed: the longest that can be encoded are 5,000 roster changes.
pub(crate) const BLOCK_BYTES_MAX: usize = 32 << 20;

/// What stands at one seq of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A record.
    Record(Record),
    /// One that was given up for want of room.
    Expired,
    /// One whose bytes were damaged.
    Damaged,
}

const KIND_EXPIRED: u64 = 0;
const KIND_INTERVAL: u64 = 1;
const KIND_TRANSACTION: u64 = 2;
const KIND_AGENT: u64 = 3;
const KIND_QUEUE: u64 = 4;
const KIND_COVERAGE: u64 = 5;
const KIND_STATE_CODE: u64 = 6;
const KIND_DAMAGED: u64 = 7;

/// A block's own description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store_id: StoreId,
    pub(crate) first: RecordSeq,
    pub(crate) count: u32,
    /// The whole block, this header included.
    pub(crate) len: u32,
    pub(crate) journaled_at: WallTime,
}

impl Header {
    /// The seqs that the block stands for.
    pub(crate) fn range(&self) -> SeqRange {
        SeqRange::new(self.first, self.first.plus(u64::from(self.count) - 1))
    }

    /// Reads the description; the CRC is not checked.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut reader = Reader::new(bytes);
        if reader.bytes(4)? != MAGIC {
            return Err(BadBytes("no block begins here"));
        }
        if reader.u8()? != BLOCK_VERSION || reader.u8()? != 0 {
            return Err(BadBytes("a block of an unknown version"));
        }
        let header = Self {
            store_id: StoreId::from_bits(reader.u128_fixed()?),
            first: RecordSeq::new(reader.u64_fixed()?),
            count: reader.u32_fixed()?,
            len: reader.u32_fixed()?,
            journaled_at: WallTime::from_ms(reader.u64_fixed()?.cast_signed()),
        };
        let count_ok = (1..=BLOCK_RECORDS_MAX).contains(&(header.count as usize));
        let len_ok = (HEADER_BYTES..=BLOCK_BYTES_MAX).contains(&(header.len as usize));
        let seq_ok = header.first > RecordSeq::ZERO && header.first.get() < u64::MAX / 2;
        if count_ok && len_ok && seq_ok {
            Ok(header)
        } else {
            Err(BadBytes("a block's header makes no sense"))
        }
    }

    /// Reads the description and checks the CRC over all of the block's bytes, of which `bytes`
    /// may hold more than its length.
    pub(crate) fn check(bytes: &[u8]) -> Result<Self, BadBytes> {
        let header = Self::read(bytes)?;
        let whole = bytes
            .get(..header.len as usize)
            .ok_or(BadBytes("a block ends too early"))?;
        let mut stored = Reader::new(&whole[CRC_AT..HEADER_BYTES]);
        if stored.u32_fixed()? == crc(whole) {
            Ok(header)
        } else {
            Err(BadBytes("a block's checksum does not match its bytes"))
        }
    }
}

fn crc(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..CRC_AT]);
    hasher.update(&block[HEADER_BYTES..]);
    hasher.finalize()
}

/// A decoded block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) slots: Vec<Slot>,
}

/// The texts of a block, by kind, with their positions.
struct Lexicon<'a> {
    sources: Words<'a>,
    agents: Words<'a>,
    queues: Words<'a>,
    states: Words<'a>,
}

/// The texts of a block, decoded.
struct Meanings {
    sources: Vec<SourceName>,
    agents: Vec<AgentId>,
    queues: Vec<QueueId>,
    states: Vec<StateText>,
}

/// The records of a block by kind, in their order.
#[derive(Default)]
struct Sorted<'a> {
    intervals: Vec<&'a IntervalRecord>,
    transactions: Vec<&'a StateTransaction>,
    agents: Vec<&'a AgentChange>,
    queues: Vec<&'a QueueChange>,
    coverage: Vec<&'a CoverageEntry>,
    codes: Vec<&'a StateCode>,
}

/// What a block is made from; `None` with the kind of hole.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SlotRef<'a> {
    Record(&'a Record),
    Expired,
    Damaged,
}

impl Slot {
    pub(crate) const fn as_slot_ref(&self) -> SlotRef<'_> {
        match self {
            Self::Record(record) => SlotRef::Record(record),
            Self::Expired => SlotRef::Expired,
            Self::Damaged => SlotRef::Damaged,
        }
    }
}

/// Encodes a block.
///
/// # Panics
/// Where there is no slot or more than [`BLOCK_RECORDS_MAX`]: callers cut their runs.
pub(crate) fn encode(
    store_id: StoreId,
    first: RecordSeq,
    journaled_at: WallTime,
    slots: &[SlotRef<'_>],
) -> Vec<u8> {
    assert!(
        (1..=BLOCK_RECORDS_MAX).contains(&slots.len()),
        "a block of {} records at {first}",
        slots.len()
    );
    let mut writer = Writer::default();
    // More than most records take; a vector that grows is copied.
    writer.bytes.reserve(HEADER_BYTES + 24 * slots.len());
    writer.bytes.extend_from_slice(&MAGIC);
    writer.u8(BLOCK_VERSION);
    writer.u8(0);
    writer.u128_fixed(store_id.bits());
    writer.u64_fixed(first.get());
    writer.u32_fixed(u32::try_from(slots.len()).expect("bounded above"));
    writer.u32_fixed(0);
    writer.u64_fixed(journaled_at.ms().cast_unsigned());
    writer.u32_fixed(0);
    write_payload(&mut writer, slots);
    let mut block = writer.bytes;
    let len = u32::try_from(block.len()).expect("a block of 5,000 records is far below 4 GiB");
    block[34..38].copy_from_slice(&len.to_le_bytes());
    let crc = crc(&block);
    block[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    block
}

fn write_payload(writer: &mut Writer, slots: &[SlotRef<'_>]) {
    let mut sorted = Sorted::default();
    let mut kinds = Vec::with_capacity(slots.len());
    for slot in slots {
        kinds.push(sorted.push(*slot));
    }
    let groups = Groups::of(&sorted.transactions);
    let mut lexicon = sorted.lexicon(&groups.first);
    column::write(writer, &kinds);
    for words in [
        &lexicon.sources,
        &lexicon.agents,
        &lexicon.queues,
        &lexicon.states,
    ] {
        words.write(writer);
    }
    if !sorted.transactions.is_empty() {
        facts::write_transactions(writer, &mut lexicon, &sorted.transactions, &groups);
    }
    if !sorted.intervals.is_empty() {
        facts::write_intervals(writer, &mut lexicon, &sorted.intervals);
    }
    sorted.write_rows(writer, &mut lexicon);
}

impl<'a> Sorted<'a> {
    fn push(&mut self, slot: SlotRef<'a>) -> u64 {
        match slot {
            SlotRef::Expired => KIND_EXPIRED,
            SlotRef::Damaged => KIND_DAMAGED,
            SlotRef::Record(Record::Interval(r)) => {
                self.intervals.push(r);
                KIND_INTERVAL
            }
            SlotRef::Record(Record::Transaction(r)) => {
                self.transactions.push(r);
                KIND_TRANSACTION
            }
            SlotRef::Record(Record::Agent(r)) => {
                self.agents.push(r);
                KIND_AGENT
            }
            SlotRef::Record(Record::Queue(r)) => {
                self.queues.push(r);
                KIND_QUEUE
            }
            SlotRef::Record(Record::Coverage(r)) => {
                self.coverage.push(r);
                KIND_COVERAGE
            }
            SlotRef::Record(Record::StateCode(r)) => {
                self.codes.push(r);
                KIND_STATE_CODE
            }
        }
    }

    /// The texts, each kind collected in the order in which the records are written; of the
    /// transactions with the same source and states, these are the first ones.
    fn lexicon(&self, transactions: &[&'a StateTransaction]) -> Lexicon<'a> {
        let intervals = self.intervals.iter();
        let sources = transactions
            .iter()
            .map(|r| &r.source)
            .chain(intervals.clone().map(|r| &r.source))
            .chain(self.agents.iter().map(|r| &r.source))
            .chain(self.queues.iter().map(|r| &r.source))
            .chain(self.coverage.iter().map(|r| &r.source))
            .chain(self.codes.iter().map(|r| &r.source));
        let agents = self.transactions.iter().map(|r| &r.agent);
        let queues = intervals.map(|r| &r.queue);
        let states = transactions
            .iter()
            .flat_map(|r| std::iter::once(&r.state).chain(r.previous_state.as_ref()))
            .chain(self.codes.iter().map(|r| &r.state));
        Lexicon {
            sources: Words::collect(sources.map(SourceName::as_str)),
            agents: Words::collect_different(
                agents
                    .chain(self.agents.iter().map(|r| &r.agent))
                    .map(AgentId::as_str),
            ),
            queues: Words::collect(
                queues
                    .chain(self.queues.iter().map(|r| &r.queue))
                    .map(QueueId::as_str),
            ),
            states: Words::collect(states.map(StateText::as_str)),
        }
    }

    fn write_rows(&self, writer: &mut Writer, lexicon: &mut Lexicon<'a>) {
        for change in &self.agents {
            writer.varint(lexicon.sources.next());
            writer.varint(lexicon.agents.next());
            rows::write_agent(writer, change);
        }
        for change in &self.queues {
            writer.varint(lexicon.sources.next());
            writer.varint(lexicon.queues.next());
            rows::write_queue(writer, change);
        }
        for entry in &self.coverage {
            writer.varint(lexicon.sources.next());
            writer.u8(names::feed_number(entry.feed));
            rows::write_interval(writer, entry.interval_start);
            rows::write_coverage(writer, entry);
        }
        for code in &self.codes {
            writer.varint(lexicon.sources.next());
            writer.varint(lexicon.states.next());
            rows::write_state_code(writer, code);
        }
    }
}

/// Checks and decodes a block; `bytes` may hold more than its length.
pub(crate) fn decode(bytes: &[u8], interner: &mut Interner) -> Result<Block, BadBytes> {
    LazyBlock::decode(bytes, interner).map(LazyBlock::into_block)
}

#[cfg(test)]
mod tests;
