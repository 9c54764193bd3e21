//! From one format of the store to the next, and back: one step per format, each whole in the one
//! transaction that also writes the new number, so that a power cut leaves the one or the other.
//!
//! Before anything is changed the file is copied and the copy marked as a backup: a store restored
//! from it takes a new `store_id`. Where there is no room for a copy the step is taken without one:
//! a box that does not start loses what nobody can ask for again, and each step has its way back.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::beside::{self, BESIDE};
use super::codec::Reader;
use super::engine::guarded;
use super::live::{Cursor, Position};
use super::open::{FORMAT, KEY_BACKUP, KEY_FORMAT, KEY_INSTALLED_AT, found_format, read_meta};
use super::place::Place;
use super::rows;
use super::tables::{JOURNAL, META, SealedTable, body, feed_key};
use super::walk;
use super::{StoreError, StoreOptions};
use crate::domain::health::FeedState;
use crate::domain::ids::DestinationName;

/// `meta`, since format 2: the version of the program that opened the store last.
pub(super) const KEY_WRITTEN_BY: &[u8] = b"written_by";

/// The oldest format that there ever was.
const FIRST: u32 = 1;

/// What changed the format, and where the former file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reformatted {
    /// The format that was found.
    pub from: u32,
    /// The format that it has now.
    pub to: u32,
    /// The copy made before; none where there was no room for one.
    pub backup: Option<PathBuf>,
}

type Change = fn(&WriteTransaction) -> Result<(), StoreError>;

/// One format more, or less.
struct Step {
    /// The format below.
    from: u32,
    up: Change,
    down: Change,
}

/// Every step, oldest first.
const STEPS: [Step; (FORMAT - FIRST) as usize] = [
    Step {
        from: 1,
        up: name_writer,
        down: forget_writer,
    },
    Step {
        from: 2,
        up: move_beside,
        down: move_back,
    },
];

/// 2: the store names the program that wrote it, so that an older one can say which to install.
pub(super) fn name_writer(txn: &WriteTransaction) -> Result<(), StoreError> {
    let version = env!("CARGO_PKG_VERSION").as_bytes().to_vec();
    META.write(txn)?.put(KEY_WRITTEN_BY, version)?;
    Ok(())
}

fn forget_writer(txn: &WriteTransaction) -> Result<(), StoreError> {
    META.write(txn)?.remove(KEY_WRITTEN_BY)?;
    Ok(())
}

/// Until format 2: destination → what it acknowledged.
const FORMER_CURSORS: SealedTable = SealedTable { name: "cursors" };
/// `meta`, until format 2.
const FORMER_POSITION: &[u8] = b"position";
/// `meta`, until format 2: one entry a feed.
const FORMER_FEEDS: &str = "feed";

/// 3: what every commit changes lies in the journal's table, behind the blocks.
fn move_beside(txn: &WriteTransaction) -> Result<(), StoreError> {
    let mut journal = txn.open_table(JOURNAL)?;
    let mut meta = META.write(txn)?;
    let position = meta
        .get(FORMER_POSITION)?
        .ok_or_else(|| META.damaged(FORMER_POSITION, "it is missing"))?;
    let position =
        Position::read(&position).map_err(|error| META.damaged(FORMER_POSITION, error))?;
    beside::put_position(&mut journal, &position)?;
    meta.remove(FORMER_POSITION)?;
    let feeds = meta.entries(format!("{FORMER_FEEDS}/").as_bytes())?;
    for ((key, value), n) in feeds.into_iter().zip(0..) {
        let state: FeedState =
            serde_json::from_slice(&value).map_err(|error| META.damaged(&key, error))?;
        beside::put_feed_state(&mut journal, beside::feed_key(n), &state)?;
        meta.remove(&key)?;
    }
    let mut taken = Vec::new();
    for (key, value) in FORMER_CURSORS.write(txn)?.entries(&[])? {
        let (name, cursor) = former_cursor(&key, &value)?;
        let key = beside::free_cursor_key(taken.iter().copied());
        beside::put_cursor(&mut journal, key, &name, &cursor)?;
        taken.push(key);
    }
    txn.delete_table(FORMER_CURSORS.definition())?;
    Ok(())
}

fn move_back(txn: &WriteTransaction) -> Result<(), StoreError> {
    let mut journal = txn.open_table(JOURNAL)?;
    let mut meta = META.write(txn)?;
    let position = beside::position_in(&journal)?;
    meta.put(FORMER_POSITION, body(|w| position.write(w)))?;
    for (_, state) in beside::feed_states(&journal)? {
        let key = feed_key(FORMER_FEEDS, state.source.as_str(), state.feed);
        meta.put(
            &key,
            serde_json::to_vec(&state).expect("a feed state is plain data"),
        )?;
    }
    let mut cursors = FORMER_CURSORS.write(txn)?;
    for (_, name, cursor) in beside::cursors(&journal)? {
        let value = body(|w| rows::write_cursor(w, &cursor));
        cursors.put(name.as_str().as_bytes(), value)?;
    }
    journal.retain_in(BESIDE.., |_, _| false)?;
    Ok(())
}

fn former_cursor(key: &[u8], value: &[u8]) -> Result<(DestinationName, Cursor), StoreError> {
    let name = std::str::from_utf8(key)
        .ok()
        .and_then(|text| DestinationName::new(text).ok())
        .ok_or_else(|| FORMER_CURSORS.damaged(key, "it is no destination"))?;
    let cursor = rows::read_cursor(&mut Reader::new(value))
        .map_err(|error| FORMER_CURSORS.damaged(key, error))?;
    Ok((name, cursor))
}

/// What the destinations of a store of format 1 or 2 had acknowledged.
pub(super) fn former_cursors(
    txn: &ReadTransaction,
) -> Result<Vec<(DestinationName, Cursor)>, StoreError> {
    let mut cursors = Vec::new();
    FORMER_CURSORS.read(txn)?.scan_prefix(&[], |key, value| {
        cursors.push(former_cursor(key, value)?);
        Ok(())
    })?;
    Ok(cursors)
}

/// Brings an open database from an older format to the present one.
pub(super) fn bring_up(db: &Database, from: u32) -> Result<(), StoreError> {
    assert!((FIRST..FORMAT).contains(&from), "no step leads from {from}");
    change(
        db,
        FORMAT,
        STEPS.iter().filter(|s| s.from >= from).map(|s| s.up),
    )
}

/// Brings the store in this folder to the format before, for the version before.
pub(super) fn downgrade(options: &StoreOptions) -> Result<Reformatted, StoreError> {
    let place = Place::Folder(options.state_dir.clone());
    place.prepare()?;
    let found = if place.exists() {
        guarded(|| found_format(&place, options))?
    } else {
        None
    };
    let to = FORMAT - 1;
    if found != Some(FORMAT) {
        let found = found.map_or_else(|| "no format".to_owned(), |found| format!("format {found}"));
        return Err(StoreError::Io(format!(
            "{} has {found}; only format {FORMAT} is brought to format {to}",
            place.path().display()
        )));
    }
    let backup = keep_former(&place, FORMAT)?;
    guarded(|| {
        let db = place.open(options)?;
        change(
            &db,
            to,
            STEPS.iter().rev().filter(|s| s.from >= to).map(|s| s.down),
        )
    })?;
    Ok(Reformatted {
        from: FORMAT,
        to,
        backup,
    })
}

fn change(db: &Database, to: u32, steps: impl Iterator<Item = Change>) -> Result<(), StoreError> {
    let mut txn = db.begin_write()?;
    walk::make_durable(&mut txn, true);
    for step in steps {
        step(&txn)?;
    }
    META.write(&txn)?
        .put(KEY_FORMAT, to.to_le_bytes().to_vec())?;
    txn.commit()?;
    Ok(())
}

/// Writes the program's version into the store where another stands there.
pub(super) fn sign(db: &Database) -> Result<(), StoreError> {
    let known = read_meta(&db.begin_read()?, KEY_WRITTEN_BY)?;
    if known.as_deref() == Some(env!("CARGO_PKG_VERSION").as_bytes()) {
        return Ok(());
    }
    change(db, FORMAT, std::iter::once(name_writer as Change))
}

/// Copies the file as it lies there and marks the copy; none where there is no room, or no file.
pub(super) fn keep_former(place: &Place, format: u32) -> Result<Option<PathBuf>, StoreError> {
    let Place::Folder(folder) = place else {
        return Ok(None);
    };
    let to = folder.join(format!("journal-format-{format}.redb"));
    let partial = to.with_extension("partial");
    match copy(&place.path(), &partial).and_then(|()| Ok(fs::rename(&partial, &to)?)) {
        Ok(()) => Ok(Some(to)),
        Err(error) => {
            let _ = fs::remove_file(&partial);
            match error {
                StoreError::Full(_) => Ok(None),
                other => Err(other),
            }
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let _ = fs::remove_file(to);
    fs::copy(from, to)?;
    guarded(|| {
        let copy = Database::create(to)?;
        let txn = copy.begin_write()?;
        {
            let mut meta = META.write(&txn)?;
            let installed = meta.get(KEY_INSTALLED_AT)?;
            meta.put(KEY_BACKUP, installed.unwrap_or_default())?;
        }
        txn.commit()?;
        Ok(())
    })?;
    Ok(fs::File::open(to)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_but_the_newest_has_its_step() {
        let from: Vec<u32> = STEPS.iter().map(|step| step.from).collect();
        assert_eq!(from, (FIRST..FORMAT).collect::<Vec<u32>>());
    }
}
