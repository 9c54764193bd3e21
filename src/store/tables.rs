//! The tables, their keys, and the seal on every value that is no block.
//!
//! redb checks no checksum on reading, so each value ends in a CRC over its table, key and bytes:
//! a flipped bit is [`StoreError::Damaged`], never another figure.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::StoreError;
use super::codec::{BadBytes, Writer};
use crate::domain::ids::Feed;
use crate::domain::interval::{INTERVAL_S, IntervalStart};

/// First seq → block; behind them what [`super::beside`] keeps.
pub(super) const JOURNAL: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("journal");

macro_rules! sealed_tables {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        $($(#[$doc])* pub(super) const $name: SealedTable = SealedTable { name: $text };)+
        /// Every table whose values are sealed.
        pub(super) const SEALED: [SealedTable; [$($text),+].len()] = [$($name),+];
    };
}

sealed_tables! {
    /// Source, agent → the last state at the last checkpoint.
    AGENT_STATES = "agent_states",
    /// Source, interval, queue → the last revision. The interval comes before the queue so that
    /// a window is one contiguous range.
    INTERVALS = "intervals",
    /// Source, feed, hour → the first seq about that hour.
    TIME_INDEX = "time_index",
    /// Source, feed, interval → the last coverage entry.
    COVERAGE = "coverage",
    /// Source, kind, id → the last version.
    ROSTER = "roster",
    /// Numbers of sources, agents, queues and state texts; state codes.
    DICTIONARY = "dictionary",
    /// Destination, seq → a refused record.
    QUARANTINE = "quarantine",
    /// Format, identity.
    META = "meta",
}

/// A table of byte keys and sealed byte values.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealedTable {
    pub(super) name: &'static str,
}

/// Bytes of the seal behind each value.
pub(super) const SEAL_BYTES: usize = 4;

/// The seal of a value: over its table, key and bytes.
pub(super) fn seal(table: &str, key: &[u8], body: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    hasher.update(&[0]);
    hasher.update(key);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

impl SealedTable {
    pub(super) fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name)
    }

    /// The value without its seal.
    pub(super) fn unseal<'v>(self, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
        let body = value
            .split_last_chunk::<SEAL_BYTES>()
            .filter(|(body, known)| seal(self.name, key, body) == **known);
        match body {
            Some((body, _)) => Ok(body),
            None => Err(self.damaged(key, "its checksum does not match")),
        }
    }

    pub(super) fn damaged(self, key: &[u8], why: impl std::fmt::Display) -> StoreError {
        StoreError::Damaged(format!(
            "table {}, key {}: {why}",
            self.name,
            key.escape_ascii()
        ))
    }

    pub(super) fn write(self, txn: &WriteTransaction) -> Result<WriteTable<'_>, StoreError> {
        Ok(WriteTable {
            inner: txn.open_table(self.definition())?,
            table: self,
        })
    }

    pub(super) fn read(self, txn: &ReadTransaction) -> Result<ReadTable, StoreError> {
        let inner = match txn.open_table(self.definition()) {
            Ok(inner) => Some(inner),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(other) => return Err(other.into()),
        };
        Ok(ReadTable { inner, table: self })
    }
}

type Bytes = &'static [u8];
/// Key and value without its seal.
type Entry = (Vec<u8>, Vec<u8>);

/// A table in a write transaction.
pub(super) struct WriteTable<'txn> {
    inner: Table<'txn, Bytes, Bytes>,
    table: SealedTable,
}

impl WriteTable<'_> {
    /// Inserts or replaces; returns how many bytes the table's entries grew by.
    pub(super) fn put(&mut self, key: &[u8], body: Vec<u8>) -> Result<i64, StoreError> {
        let mut value = body;
        let seal = seal(self.table.name, key, &value);
        value.extend_from_slice(&seal);
        let grown = size(key.len(), value.len());
        let before = self.inner.insert(key, value.as_slice())?;
        Ok(grown - before.map_or(0, |old| size(key.len(), old.value().len())))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.inner.get(key)?;
        value
            .map(|value| self.table.unseal(key, value.value()).map(<[u8]>::to_vec))
            .transpose()
    }

    /// Every entry whose key begins so, its value without the seal.
    pub(super) fn entries(&self, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for entry in self.inner.range(prefix..)? {
            let (key, value) = entry?;
            let key = key.value();
            if !key.starts_with(prefix) {
                break;
            }
            let value = self.table.unseal(key, value.value())?;
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }

    /// Removes; returns how many bytes the table's entries grew by (never above zero).
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<i64, StoreError> {
        let before = self.inner.remove(key)?;
        Ok(-before.map_or(0, |old| size(key.len(), old.value().len())))
    }
}

/// What an entry counts for.
pub(super) fn size(key: usize, value: usize) -> i64 {
    i64::try_from(key + value).expect("a value is far below 2^63 bytes")
}

/// A table in a read transaction; empty where no one has written to it yet.
pub(super) struct ReadTable {
    inner: Option<redb::ReadOnlyTable<Bytes, Bytes>>,
    table: SealedTable,
}

impl ReadTable {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(inner) = &self.inner else {
            return Ok(None);
        };
        let value = inner.get(key)?;
        value
            .map(|value| self.table.unseal(key, value.value()).map(<[u8]>::to_vec))
            .transpose()
    }

    /// Calls `each` with key and unsealed value of every entry from `from` until before `to` (the
    /// table's end where empty); stops where it returns false.
    pub(super) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(inner) = &self.inner else {
            return Ok(());
        };
        for entry in inner.range(from..)? {
            let (key, value) = entry?;
            let (key, value) = (key.value(), value.value());
            if !to.is_empty() && key >= to {
                break;
            }
            if !each(key, self.table.unseal(key, value)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Every entry with this beginning of its key.
    pub(super) fn scan_prefix(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(prefix, &[], |key, value| {
            if !key.starts_with(prefix) {
                return Ok(false);
            }
            each(key, value).map(|()| true)
        })
    }

    pub(super) const fn table(&self) -> SealedTable {
        self.table
    }
}

/// The number that stands for a source in keys.
pub(super) type SourceNumber = u16;
/// The number that stands for an agent, queue or state text in keys.
pub(super) type Number = u32;

/// `agent_states`: source 2, agent 4, big-endian, so that a source's agents are one range.
pub(super) fn agent_key(source: SourceNumber, agent: Number) -> [u8; 6] {
    let mut key = [0; 6];
    key[..2].copy_from_slice(&source.to_be_bytes());
    key[2..].copy_from_slice(&agent.to_be_bytes());
    key
}

/// `intervals`: source 2, interval 4, queue 4.
pub(super) fn interval_key(source: SourceNumber, start: IntervalStart, queue: Number) -> [u8; 10] {
    let mut key = [0; 10];
    key[..6].copy_from_slice(&interval_prefix(source, start));
    key[6..].copy_from_slice(&queue.to_be_bytes());
    key
}

/// The beginning of the keys of one source's interval.
pub(super) fn interval_prefix(source: SourceNumber, start: IntervalStart) -> [u8; 6] {
    let mut key = [0; 6];
    key[..2].copy_from_slice(&source.to_be_bytes());
    key[2..].copy_from_slice(&interval_number(start).to_be_bytes());
    key
}

/// `coverage`: source 2, feed 1, interval 4.
pub(super) fn coverage_key(source: SourceNumber, feed: u8, start: IntervalStart) -> [u8; 7] {
    let mut key = [0; 7];
    key[..2].copy_from_slice(&source.to_be_bytes());
    key[2] = feed;
    key[3..].copy_from_slice(&interval_number(start).to_be_bytes());
    key
}

/// Intervals are numbered from the epoch; the top bit is turned over, so that those before it
/// (a box that boots in 1970 may ask for them) sort first.
fn interval_number(start: IntervalStart) -> u32 {
    let index = start.s().div_euclid(INTERVAL_S);
    let index = i32::try_from(index).unwrap_or(if index < 0 { i32::MIN } else { i32::MAX });
    index.cast_unsigned() ^ (1 << 31)
}

/// The interval with this number in a key.
pub(super) fn interval_of_key(bytes: &[u8]) -> Result<IntervalStart, BadBytes> {
    let number: [u8; 4] = bytes
        .try_into()
        .map_err(|_| BadBytes("a key is too short"))?;
    let index = (u32::from_be_bytes(number) ^ (1 << 31)).cast_signed();
    super::codec::interval_start(i64::from(index))
}

/// The number in the last four bytes of a key.
pub(super) fn number_of_key(key: &[u8]) -> Result<Number, BadBytes> {
    key.last_chunk::<4>()
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or(BadBytes("a key is too short"))
}

/// The kinds of a roster's entries in keys.
pub(super) const ROSTER_QUEUE: u8 = 0;
/// See [`ROSTER_QUEUE`].
pub(super) const ROSTER_AGENT: u8 = 1;

/// `roster`: source 2, kind 1, id 4.
pub(super) fn roster_key(source: SourceNumber, kind: u8, number: Number) -> [u8; 7] {
    let mut key = [0; 7];
    key[..2].copy_from_slice(&source.to_be_bytes());
    key[2] = kind;
    key[3..].copy_from_slice(&number.to_be_bytes());
    key
}

/// `time_index`: source 2, feed 1, hour since the epoch 4 (its top bit turned over).
pub(super) fn hour_key(source: SourceNumber, feed: u8, hour: i32) -> [u8; 7] {
    let mut key = [0; 7];
    key[..2].copy_from_slice(&source.to_be_bytes());
    key[2] = feed;
    key[3..].copy_from_slice(&(hour.cast_unsigned() ^ (1 << 31)).to_be_bytes());
    key
}

/// The hour of a `time_index` key.
pub(super) fn hour_of_key(key: &[u8]) -> Result<i32, BadBytes> {
    number_of_key(key).map(|number| (number ^ (1 << 31)).cast_signed())
}

/// `quarantine`: the destination, a zero byte (no name holds one), the seq.
pub(super) fn quarantine_key(destination: &str, seq: u64) -> Vec<u8> {
    let mut key = destination.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// `meta`: a feed's own entry of the given kind.
pub(super) fn feed_key(kind: &str, source: &str, feed: Feed) -> Vec<u8> {
    format!("{kind}/{source}/{}", feed.as_str()).into_bytes()
}

/// The bytes that a closure writes.
pub(super) fn body(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.bytes
}
