//! A store in which the walk of a start found damage (`walk.rs`): the engine does not open it any
//! more, but what the last commit holds can still be read, as in a store that saves which pages are
//! in use. All of it is copied into a new file, a damaged block as it lies there: its reader sets it
//! aside, and the rest flows on. Where the damage is in the way of that, nothing is changed.

use std::fs;
use std::io;
use std::ops::Bound;
use std::path::PathBuf;

use redb::{
    BackendError, Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadableDatabase,
    StorageBackend,
};

use super::admin::copy_entries;
use super::engine::guarded;
use super::open::{FORMAT, format_of};
use super::place::Place;
use super::simulated_disk::SimulatedDisk;
use super::walk;
use super::{StoreError, StoreOptions};
use crate::domain::timestamp::WallTime;

/// The copy, until it takes the file's place.
const COPY: &str = "journal.rescued";
/// redb's header: flags, after nine bytes that say whose file it is.
const FLAGS_AT: u64 = 9;
/// Of these: it was not closed.
const NOT_CLOSED: u8 = 2;

/// Puts a copy of everything in the place of the damaged file and says where that lies now.
pub(super) fn copy_over(
    place: &Place,
    options: &StoreOptions,
    at: WallTime,
) -> Result<PathBuf, StoreError> {
    match place {
        Place::LookedAt(_) => Err(StoreError::Damaged("it is only looked at".to_owned())),
        Place::Simulated(disk) => {
            let copy = SimulatedDisk::new(0);
            let into = Builder::new().create_with_backend(copy.backend())?;
            copy_all(place, disk.backend(), into, options)?;
            Ok(disk.put_in_place(copy.image()))
        }
        Place::Folder(folder) => {
            // Nobody else begins on it meanwhile.
            let file = fs::File::options()
                .read(true)
                .write(true)
                .open(place.path())?;
            file.try_lock()
                .map_err(|_| StoreError::InUse { path: place.path() })?;
            let copy = folder.join(COPY);
            let _ = fs::remove_file(&copy);
            let from = redb::backends::FileBackend::new(file.try_clone()?)?;
            let copied = Builder::new()
                .set_cache_size(options.cache_bytes)
                .create(&copy)
                .map_err(StoreError::from)
                .and_then(|into| copy_all(place, from, into, options))
                .and_then(|()| Ok(fs::File::open(&copy)?.sync_all()?))
                .and_then(|()| place.put_in_place(&copy, at));
            if copied.is_err() {
                let _ = fs::remove_file(&copy);
            }
            copied
        }
    }
}

fn copy_all(
    place: &Place,
    from: impl StorageBackend,
    into: Database,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    guarded(|| {
        let from = read_as_it_lies(from, options)?;
        if format_of(&from, place)? != Some(FORMAT) {
            return Err(StoreError::Damaged("it is of another format".to_owned()));
        }
        copy_entries(&from.begin_read()?, &into)?;
        let mut last = into.begin_write()?;
        walk::make_durable(&mut last, true);
        last.commit()?;
        // What it says on closing does not matter: the last commit is durable.
        drop(into);
        Ok(())
    })
}

/// Opens what the last commit holds for reading, without the walk. redb reads a file that a writer has
/// open this way, so that it neither needs to know which pages are in use nor to be closed; here nobody
/// has it open, and it is said to be closed.
fn read_as_it_lies(
    file: impl StorageBackend,
    options: &StoreOptions,
) -> Result<ReadOnlyDatabase, StoreError> {
    let mut builder = Builder::new();
    builder
        .set_cache_size(options.cache_bytes)
        .set_concurrency_mode(ConcurrencyMode::SingleWriter);
    Ok(builder.open_read_only_with_backend(Closed(file))?)
}

/// A file that says that it was closed, and lets nobody write.
#[derive(Debug)]
struct Closed<B>(B);

impl<B: StorageBackend> StorageBackend for Closed<B> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)?;
        let flags = FLAGS_AT.checked_sub(offset);
        let flags = flags.and_then(|at| out.get_mut(usize::try_from(at).ok()?));
        if let Some(flags) = flags {
            *flags &= !NOT_CLOSED;
        }
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    // Other processes are kept out by the whole file's lock.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
