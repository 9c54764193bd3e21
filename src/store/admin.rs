//! What `store stats`, `compact` and `backup` do.

use std::fs;
use std::path::Path;

use redb::{Database, ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::StoreError;
use super::beside::BESIDE;
use super::engine::Engine;
use super::live::Live;
use super::open::{KEY_BACKUP, KEY_INSTALLED_AT};
use super::tables::{JOURNAL, META, SEALED};
use super::walk;
use crate::domain::ids::{RecordSeq, StoreId};
use crate::domain::timestamp::{Now, WallTime};

/// Entries that one transaction of a backup holds, which bounds its memory.
const BACKUP_ENTRIES: usize = 2_000;

/// `store stats`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoreStats {
    /// The identity.
    pub store_id: StoreId,
    /// The first start ever.
    pub installed_at: WallTime,
    /// The oldest seq that is kept.
    pub first: RecordSeq,
    /// The last seq.
    pub last: RecordSeq,
    /// Entries by table; of the journal, blocks.
    pub entries: Vec<(String, u64)>,
    /// Bytes of all entries.
    pub live_bytes: u64,
    /// Bytes that the file takes on its disk.
    pub allocated_bytes: u64,
    /// Bytes that the file system has left, where it says so.
    pub free_bytes: Option<u64>,
    /// Records that were given up for want of room before every destination had them.
    pub expired: u64,
    /// Records whose block was damaged.
    pub damaged: u64,
}

impl Engine {
    /// See [`super::Store::stats`].
    pub(super) fn stats(&self) -> Result<StoreStats, StoreError> {
        let live = self.lock_live();
        let usage = self.usage(&live);
        let entries = self.read(|txn| {
            let journal = txn.open_table(JOURNAL)?;
            let beside = journal.range(BESIDE..)?.count() as u64;
            let mut entries = vec![("journal".to_owned(), journal.len()? - beside)];
            for table in SEALED {
                let len = txn.open_table(table.definition())?.len()?;
                entries.push((table.name.to_owned(), len));
            }
            Ok(entries)
        })?;
        Ok(StoreStats {
            store_id: live.store_id,
            installed_at: live.installed_at,
            first: live.position.first,
            last: live.position.last,
            entries,
            live_bytes: usage.live,
            allocated_bytes: usage.allocated,
            free_bytes: usage.free,
            expired: live.position.expired,
            damaged: live.position.damaged,
        })
    }

    /// See [`super::Store::compact`].
    pub(super) fn compact(&self, now: Now) -> Result<(), StoreError> {
        self.compact_file(&mut self.lock_live(), now)
    }

    pub(super) fn compact_file(&self, live: &mut Live, now: Now) -> Result<(), StoreError> {
        self.exclusive(live, now, |db| Ok(db.compact()?))?;
        // The engine's own commits of a compaction save nothing, whatever the size: a kill before the
        // next one would make a start walk it all.
        self.write(live, now, |_, _| Ok(()))?;
        Ok(())
    }

    /// See [`super::Store::backup`].
    pub(super) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        if to.exists() {
            return Err(StoreError::Io(format!("{} is there already", to.display())));
        }
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = Path::new(&partial);
        let result = self
            .copy_tables(partial)
            .and_then(|()| Ok(fs::File::open(partial)?.sync_all()?))
            .and_then(|()| Ok(fs::rename(partial, to)?));
        if result.is_err() {
            let _ = fs::remove_file(partial);
        }
        result
    }

    /// Every entry of one moment, in a file that is as small as it can be.
    fn copy_tables(&self, to: &Path) -> Result<(), StoreError> {
        let _ = fs::remove_file(to);
        let mut builder = Database::builder();
        builder.set_cache_size(self.options.cache_bytes);
        let copy = builder.create(to)?;
        self.read(|txn| copy_entries(txn, &copy))?;
        let mut last = copy.begin_write()?;
        walk::make_durable(&mut last, true);
        last.open_table(JOURNAL)?;
        let installed = META.write(&last)?.get(KEY_INSTALLED_AT)?;
        META.write(&last)?
            .put(KEY_BACKUP, installed.unwrap_or_default())?;
        last.commit()?;
        Ok(())
    }
}

/// Copies the entries of every table as they are.
pub(super) fn copy_entries(txn: &ReadTransaction, copy: &Database) -> Result<(), StoreError> {
    let journal = txn.open_table(JOURNAL)?;
    let mut entries = journal.iter()?.peekable();
    while entries.peek().is_some() {
        let into = copy.begin_write()?;
        {
            let mut table = into.open_table(JOURNAL)?;
            for entry in entries.by_ref().take(BACKUP_ENTRIES) {
                let (key, value) = entry?;
                table.insert(key.value(), value.value())?;
            }
        }
        into.commit()?;
    }
    for sealed in SEALED {
        let from = txn.open_table(sealed.definition())?;
        let mut entries = from.iter()?.peekable();
        loop {
            let into = copy.begin_write()?;
            {
                let mut table = into.open_table(sealed.definition())?;
                for entry in entries.by_ref().take(BACKUP_ENTRIES) {
                    let (key, value) = entry?;
                    table.insert(key.value(), value.value())?;
                }
            }
            into.commit()?;
            if entries.peek().is_none() {
                break;
            }
        }
    }
    Ok(())
}
