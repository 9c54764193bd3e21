//! A block that is decoded as far as all of its records need, and makes each when it is asked for.

use super::facts::Transactions;
use super::words::read as read_words;
use super::{
    BadBytes, Block, HEADER_BYTES, Header, Interner, KIND_AGENT, KIND_COVERAGE, KIND_DAMAGED,
    KIND_EXPIRED, KIND_INTERVAL, KIND_QUEUE, KIND_STATE_CODE, KIND_TRANSACTION, Meanings, Reader,
    Slot, column, facts, names, rows,
};
use crate::domain::record::Record;

/// A checked block: every slot of it can be made, whatever its bytes were.
#[derive(Debug)]
pub(crate) struct LazyBlock {
    pub(crate) header: Header,
    places: Vec<Place>,
    transactions: Transactions,
    /// Records of the other kinds, in their order.
    others: Vec<Record>,
}

/// Where the record of a slot is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Expired,
    Damaged,
    /// Of the transactions.
    Transaction(u32),
    /// Of the others.
    Other(u32),
}

impl LazyBlock {
    /// Checks and decodes a block; `bytes` may hold more than its length.
    pub(crate) fn decode(bytes: &[u8], interner: &mut Interner) -> Result<Self, BadBytes> {
        let header = Header::check(bytes)?;
        let mut reader = Reader::new(&bytes[HEADER_BYTES..header.len as usize]);
        let kinds = column::read(&mut reader, header.count as usize)?;
        let words = Meanings {
            sources: read_words(&mut reader, |text| interner.source(text))?,
            agents: read_words(&mut reader, |text| interner.agent(text))?,
            queues: read_words(&mut reader, |text| interner.queue(text))?,
            states: read_words(&mut reader, |text| interner.state(text))?,
        };
        let transactions = count(&kinds, KIND_TRANSACTION);
        let mut transactions = Transactions::read(&mut reader, &words, transactions)?;
        let (places, others) = read_others(&mut reader, &words, &kinds)?;
        if !reader.is_empty() {
            return Err(BadBytes("bytes are left after a block's records"));
        }
        transactions.name(words.agents);
        Ok(Self {
            header,
            places,
            transactions,
            others,
        })
    }

    /// How many slots it has.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// What stands at a place.
    ///
    /// # Panics
    /// Where there is none.
    #[inline]
    pub(crate) fn slot(&self, n: usize) -> Slot {
        match self.places[n] {
            Place::Expired => Slot::Expired,
            Place::Damaged => Slot::Damaged,
            Place::Transaction(at) => {
                Slot::Record(Record::Transaction(self.transactions.get(at as usize)))
            }
            Place::Other(at) => Slot::Record(self.others[at as usize].clone()),
        }
    }

    pub(super) fn into_block(self) -> Block {
        let mut others = self.others.into_iter();
        let slot = |place: &Place| match *place {
            Place::Expired => Slot::Expired,
            Place::Damaged => Slot::Damaged,
            Place::Transaction(at) => {
                Slot::Record(Record::Transaction(self.transactions.get(at as usize)))
            }
            Place::Other(_) => Slot::Record(others.next().expect("each has its place")),
        };
        Block {
            header: self.header,
            slots: self.places.iter().map(slot).collect(),
        }
    }
}

fn count(kinds: &[u64], kind: u64) -> usize {
    kinds.iter().filter(|k| **k == kind).count()
}

/// Where each slot's record is, and those that are no transactions.
fn read_others(
    reader: &mut Reader<'_>,
    words: &Meanings,
    kinds: &[u64],
) -> Result<(Vec<Place>, Vec<Record>), BadBytes> {
    let mut intervals = match count(kinds, KIND_INTERVAL) {
        0 => Vec::new(),
        some => facts::read_intervals(reader, words, some)?,
    }
    .into_iter();
    let mut agents = read_rows(reader, count(kinds, KIND_AGENT), |reader| {
        let (source, agent) = (word(reader, &words.sources)?, word(reader, &words.agents)?);
        rows::read_agent(reader, source, agent)
    })?;
    let mut queues = read_rows(reader, count(kinds, KIND_QUEUE), |reader| {
        let (source, queue) = (word(reader, &words.sources)?, word(reader, &words.queues)?);
        rows::read_queue(reader, source, queue)
    })?;
    let mut coverage = read_rows(reader, count(kinds, KIND_COVERAGE), |reader| {
        let source = word(reader, &words.sources)?;
        let feed = names::feed_from(reader.u8()?)?;
        let start = rows::read_interval(reader)?;
        rows::read_coverage(reader, source, feed, start)
    })?;
    let mut codes = read_rows(reader, count(kinds, KIND_STATE_CODE), |reader| {
        let (source, state) = (word(reader, &words.sources)?, word(reader, &words.states)?);
        rows::read_state_code(reader, source, state)
    })?;
    let mut places = Vec::with_capacity(kinds.len());
    let mut others = Vec::new();
    let mut transactions = 0..;
    for &kind in kinds {
        let record = match kind {
            KIND_EXPIRED => {
                places.push(Place::Expired);
                continue;
            }
            KIND_DAMAGED => {
                places.push(Place::Damaged);
                continue;
            }
            KIND_TRANSACTION => {
                places.extend(transactions.next().map(Place::Transaction));
                continue;
            }
            KIND_INTERVAL => intervals.next().map(Record::Interval),
            KIND_AGENT => agents.next().map(Record::Agent),
            KIND_QUEUE => queues.next().map(Record::Queue),
            KIND_COVERAGE => coverage.next().map(Record::Coverage),
            KIND_STATE_CODE => codes.next().map(Record::StateCode),
            _ => return Err(BadBytes("unknown kind of record")),
        };
        places.push(Place::Other(position_of(others.len())));
        others.push(record.ok_or(BadBytes("a record is short"))?);
    }
    Ok((places, others))
}

/// A block holds 5,000 records at most.
fn position_of(n: usize) -> u32 {
    u32::try_from(n).expect("a block's records are few")
}

fn read_rows<'a, T>(
    reader: &mut Reader<'a>,
    count: usize,
    mut one: impl FnMut(&mut Reader<'a>) -> Result<T, BadBytes>,
) -> Result<std::vec::IntoIter<T>, BadBytes> {
    let rows: Result<Vec<T>, BadBytes> = (0..count).map(|_| one(reader)).collect();
    rows.map(Vec::into_iter)
}

fn word<T: Clone>(reader: &mut Reader<'_>, list: &[T]) -> Result<T, BadBytes> {
    let index = reader.size()?;
    list.get(index)
        .cloned()
        .ok_or(BadBytes("points beyond its list"))
}
