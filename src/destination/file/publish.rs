//! From the open segment to files that others may read.
//!
//! 1. Every file is written as `.thrio-edge/NAME.part` below the directory, and synced.
//! 2. The segment's log says, durably, that the files are prepared.
//! 3. Each is renamed into the directory, in the place of no other file.
//! 4. The receipts move, and the log is removed.
//!
//! A crash before 2 leaves nothing that anybody has seen: the files are written anew. After it, a
//! `.part` that is still there is renamed, and one that is gone was published (and perhaps taken
//! away by its reader already): so nothing is missing, and nothing appears twice.

use std::io;
use std::path::{Path, PathBuf};

use super::super::SendError;
use super::disk::Disk;
use super::error::at;
use super::format::{self, Files, part};
use super::options::FileOptions;
use super::receipt;
use super::spool::{self, Found, Prepared, SegmentHead, Spool};
use super::table::{self, StoreText};
use crate::domain::ids::{SeqRange, StoreId};

/// The folder for temporary names, which no pattern for segments matches.
const HIDDEN: &str = ".thrio-edge";

/// The places of a file destination.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) options: FileOptions,
    pub(super) disk: Box<dyn Disk>,
}

impl Places {
    pub(super) fn hidden(&self) -> PathBuf {
        self.options.directory.join(HIDDEN)
    }

    /// The log of the open segment.
    pub(super) fn log(&self) -> PathBuf {
        self.options.work_folder.join("open.segment")
    }

    /// Makes what may be made, and answers whether the folder for temporary names was there. A
    /// directory that is gone is not made anew.
    pub(super) fn make(&self) -> Result<bool, SendError> {
        let (directory, hidden) = (&self.options.directory, self.hidden());
        self.disk.may_write(directory).map_err(at(directory))?;
        let was_there = self.disk.is_there(&hidden).map_err(at(&hidden))?;
        let work = &self.options.work_folder;
        let above = work.parent().expect("a work folder lies in a folder");
        for folder in [above, work, &hidden] {
            let made = self.disk.make_folder(folder);
            made.map_err(at(folder))?;
            if let Some(parent) = folder.parent() {
                self.disk.sync_folder(parent).map_err(at(parent))?;
            }
        }
        Ok(was_there)
    }

    /// Publishes the segment that lies in the log. `high` is how far the store's records were
    /// taken, for the receipts.
    pub(super) fn publish(&self, found: &Found, high: Option<SeqRange>) -> Result<(), SendError> {
        let Prepared { names, .. } = match &found.prepared {
            Some(files) => files.clone(),
            None => self.prepare(found)?,
        };
        let (hidden, directory) = (self.hidden(), &self.options.directory);
        for name in &names {
            let (from, to) = (hidden.join(part(name)), directory.join(name));
            if self.disk.is_there(&from).map_err(at(&from))? {
                self.disk.rename_new(&from, &to).map_err(at(&to))?;
            }
        }
        self.disk.sync_folder(directory).map_err(at(directory))?;
        self.disk.sync_folder(&hidden).map_err(at(&hidden))?;
        if !found.head.is_again {
            let high = receipt::merged(high, Some(found.range)).expect("one of them is there");
            self.note(found.head.store_id, high)?;
        }
        self.discard_log()?;
        let (first, last) = (found.range.first, found.range.last);
        tracing::info!(directory = %directory.display(), %first, %last, files = names.len(), "segment published");
        Ok(())
    }

    /// Writes the files under their temporary names, and says so once they are durable.
    fn prepare(&self, found: &Found) -> Result<Prepared, SendError> {
        let (hidden, log) = (self.hidden(), self.log());
        let stem = self.free_stem(&found.head, found.range)?;
        let store = StoreText::new(found.head.store_id);
        let disk = &*self.disk;
        let mut files = Files::new(disk, &hidden, &self.options, &stem);
        let written = spool::records(disk, &log, |entry| files.row(&table::row(&store, entry)));
        written.map_err(at(&hidden))?;
        let files = Prepared {
            directory: self.options.directory.clone(),
            names: files.finish().map_err(at(&hidden))?,
        };
        disk.sync_folder(&hidden).map_err(at(&hidden))?;
        let spool = Spool::go_on(disk, &log, found).map_err(at(&log))?;
        spool.prepared(&files).map_err(at(&log))?;
        Ok(files)
    }

    /// What names of this segment have in common. Only what is published once more can find its
    /// names taken.
    fn free_stem(&self, head: &SegmentHead, range: SeqRange) -> Result<String, SendError> {
        let (first, last, store) = (range.first.get(), range.last.get(), head.store_id);
        let plain = format!("{first:020}-{last:020}-{store}");
        let mut stem = plain.clone();
        let mut again = u32::from(head.is_again);
        loop {
            if again > 0 {
                stem = format!("{plain}-again{again}");
            }
            let is_taken = |name: String| self.disk.is_there(&self.options.directory.join(name));
            let taken: io::Result<Vec<bool>> =
                format::names(&self.options, &stem).map(is_taken).collect();
            if !taken.map_err(at(&self.options.directory))?.contains(&true) {
                return Ok(stem);
            }
            again += 1;
        }
    }

    /// How far the store's records were taken, as far as receipts say.
    pub(super) fn receipts(
        &self,
        store_id: StoreId,
    ) -> Result<(Option<SeqRange>, Option<SeqRange>), SendError> {
        let read = |folder: &Path| receipt::read(&*self.disk, folder, store_id).map_err(at(folder));
        Ok((read(&self.options.work_folder)?, read(&self.hidden())?))
    }

    fn note(&self, store_id: StoreId, high: SeqRange) -> Result<(), SendError> {
        // The directory's own first: it tells a restored state folder what it has forgotten.
        for folder in [&self.hidden(), &self.options.work_folder] {
            receipt::write(&*self.disk, folder, store_id, high).map_err(at(folder))?;
        }
        Ok(())
    }

    pub(super) fn discard_log(&self) -> Result<(), SendError> {
        let log = self.log();
        self.disk.remove(&log).map_err(at(&log))?;
        let work = &self.options.work_folder;
        self.disk.sync_folder(work).map_err(at(work))
    }

    /// Removes what a crash left of files that were never prepared to the end.
    pub(super) fn clean(&self, store_id: StoreId) -> Result<(), SendError> {
        let (hidden, store) = (self.hidden(), store_id.to_string());
        for name in self.disk.names(&hidden).map_err(at(&hidden))? {
            if name.contains(&store) && Path::new(&name).extension() == Some("part".as_ref()) {
                let path = hidden.join(name);
                self.disk.remove(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }
}
