//! What every commit changes beside its blocks: the position, the state of the feed that brought
//! them, and how far the destinations are (format 3).
//!
//! They lie in the journal's own table, behind the last block, in the page that the newest block
//! dirties anyway: a commit then writes one tree, not three.

use std::collections::BTreeSet;

use redb::{ReadTransaction, ReadableTable, Table};

use super::StoreError;
use super::codec::{BadBytes, Reader};
use super::live::{Cursor, Position};
use super::rows;
use super::tables::{JOURNAL, SEAL_BYTES, body, seal, size};
use crate::domain::health::FeedState;
use crate::domain::ids::DestinationName;

/// The journal's table while it is written.
pub(super) type JournalTable<'txn> = Table<'txn, u64, &'static [u8]>;

/// Keys below it are seqs.
pub(super) const BESIDE: u64 = 1 << 63;
/// Feeds have a key each from here on, in the order in which they came.
const FEEDS: u64 = BESIDE;
/// Destinations have one each from here on.
const CURSORS: u64 = BESIDE + (1 << 32);
/// The last key of all.
const POSITION: u64 = u64::MAX;

/// The entry's value, checked; the table's name and the key are part of the seal.
fn unsealed(key: u64, value: &[u8]) -> Result<&[u8], StoreError> {
    let body = value
        .split_last_chunk::<SEAL_BYTES>()
        .filter(|(body, known)| seal("journal", &key.to_be_bytes(), body) == **known);
    match body {
        Some((body, _)) => Ok(body),
        None => Err(damaged(key, "its checksum does not match")),
    }
}

fn damaged(key: u64, why: impl std::fmt::Display) -> StoreError {
    let name = match key {
        POSITION => "position".to_owned(),
        CURSORS.. => format!("cursor {}", key - CURSORS),
        _ => format!("feed {}", key.saturating_sub(FEEDS)),
    };
    StoreError::Damaged(format!("table journal, {name}: {why}"))
}

/// Inserts or replaces; returns how many bytes it grew by.
fn put(table: &mut JournalTable<'_>, key: u64, mut value: Vec<u8>) -> Result<i64, StoreError> {
    let seal = seal("journal", &key.to_be_bytes(), &value);
    value.extend_from_slice(&seal);
    let grown = size(size_of::<u64>(), value.len());
    let before = table.insert(key, value.as_slice())?;
    Ok(grown - before.map_or(0, |old| size(size_of::<u64>(), old.value().len())))
}

/// Writes where the journal stands.
pub(super) fn put_position(
    table: &mut JournalTable<'_>,
    position: &Position,
) -> Result<(), StoreError> {
    put(table, POSITION, body(|w| position.write(w)))?;
    Ok(())
}

/// Where the journal stands in this transaction.
pub(super) fn position(txn: &ReadTransaction) -> Result<Position, StoreError> {
    position_in(&txn.open_table(JOURNAL)?)
}

pub(super) fn position_in(
    table: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Position, StoreError> {
    let value = table.get(POSITION)?;
    let value = value.ok_or_else(|| damaged(POSITION, "it is missing"))?;
    Position::read(unsealed(POSITION, value.value())?).map_err(|error| damaged(POSITION, error))
}

/// The key of the next feed that is written for the first time.
pub(super) fn feed_key(known: usize) -> u64 {
    FEEDS + known as u64
}

/// Writes a feed's state; returns how many bytes it grew by.
pub(super) fn put_feed_state(
    table: &mut JournalTable<'_>,
    key: u64,
    state: &FeedState,
) -> Result<i64, StoreError> {
    let json = serde_json::to_vec(state).expect("a feed state is plain data");
    put(table, key, json)
}

/// The feeds' states, each with its key.
pub(super) fn feed_states(
    table: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Vec<(u64, FeedState)>, StoreError> {
    let mut states = Vec::new();
    for entry in table.range(FEEDS..CURSORS)? {
        let (key, value) = entry?;
        let key = key.value();
        let state = serde_json::from_slice(unsealed(key, value.value())?)
            .map_err(|error| damaged(key, error))?;
        states.push((key, state));
    }
    Ok(states)
}

/// The lowest key that no destination has.
pub(super) fn free_cursor_key(taken: impl Iterator<Item = u64>) -> u64 {
    let taken: BTreeSet<u64> = taken.collect();
    let mut key = CURSORS;
    while taken.contains(&key) {
        key += 1;
    }
    key
}

/// Writes a destination's place; returns how many bytes it grew by.
pub(super) fn put_cursor(
    table: &mut JournalTable<'_>,
    key: u64,
    name: &DestinationName,
    cursor: &Cursor,
) -> Result<i64, StoreError> {
    let value = body(|w| {
        w.text(name.as_str());
        rows::write_cursor(w, cursor);
    });
    put(table, key, value)
}

/// Removes a destination's place; returns how many bytes it grew by (never above zero).
pub(super) fn remove_cursor(table: &mut JournalTable<'_>, key: u64) -> Result<i64, StoreError> {
    let before = table.remove(key)?;
    Ok(-before.map_or(0, |old| size(size_of::<u64>(), old.value().len())))
}

/// The destinations' places, each with its key.
pub(super) fn cursors(
    table: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<Vec<(u64, DestinationName, Cursor)>, StoreError> {
    let mut cursors = Vec::new();
    for entry in table.range(CURSORS..POSITION)? {
        let (key, value) = entry?;
        let key = key.value();
        let (name, cursor) =
            read_cursor(unsealed(key, value.value())?).map_err(|error| damaged(key, error))?;
        cursors.push((key, name, cursor));
    }
    Ok(cursors)
}

fn read_cursor(value: &[u8]) -> Result<(DestinationName, Cursor), BadBytes> {
    let mut reader = Reader::new(value);
    let name =
        DestinationName::new(reader.text()?).map_err(|_| BadBytes("it is no destination"))?;
    Ok((name, rows::read_cursor(&mut reader)?))
}
