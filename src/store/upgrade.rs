//! From one format of the store to the next, and back: one step per format, each whole in the one
//! transaction that also writes the new number, so that a power cut leaves the one or the other.
//!
//! Before anything is changed the file is copied and the copy marked as a backup: a store restored
//! from it takes a new `store_id`. Where there is no room for a copy the step is taken without one:
//! a box that does not start loses what nobody can ask for again, and each step has its way back.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadableDatabase, WriteTransaction};

use super::engine::guarded;
use super::open::{FORMAT, KEY_BACKUP, KEY_FORMAT, KEY_INSTALLED_AT, found_format, read_meta};
use super::place::Place;
use super::tables::META;
use super::{StoreError, StoreOptions};

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
const STEPS: [Step; (FORMAT - FIRST) as usize] = [Step {
    from: 1,
    up: name_writer,
    down: forget_writer,
}];

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
    txn.set_durability(Durability::Immediate)
        .expect("no savepoint is ever made");
    txn.set_quick_repair(true);
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
