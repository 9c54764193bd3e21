//! Where the store's bytes are: a folder of the file system, or a simulated disk.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::overlay::{Held, Overlay};
use super::simulated_disk::SimulatedDisk;
use super::{StoreError, StoreOptions};
use crate::domain::ids::StoreId;
use crate::domain::timestamp::{Now, WallTime};

/// The journal's file in the folder.
pub(super) const FILE: &str = "journal.redb";
/// When the box was installed, as text: it outlives a replaced store.
const INSTALLED: &str = "installed";

/// Where the store's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Folder(PathBuf),
    /// The same, only looked at: nothing that is written reaches the disk.
    LookedAt(PathBuf),
    Simulated(SimulatedDisk),
}

impl Place {
    /// The journal's path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Folder(folder) | Self::LookedAt(folder) => folder.join(FILE),
            Self::Simulated(_) => PathBuf::from("simulated"),
        }
    }

    /// The folder, where there is one to write to.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::LookedAt(_) | Self::Simulated(_) => None,
        }
    }

    /// Makes the folder and sees that it can be written.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::LookedAt(_) if !self.exists() => {
                return Err(StoreError::Missing { path: self.path() });
            }
            Self::LookedAt(_) | Self::Simulated(_) => return Ok(()),
        };
        let probe = folder.join("write-probe");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&probe, b""))
            .and_then(|()| fs::remove_file(&probe))
            .or_else(|error| match StoreError::from(error) {
                // A full disk is no read-only one: opening needs no room.
                StoreError::Full(_) => Ok(()),
                error => Err(self.read_only(&error)),
            })
    }

    fn read_only(&self, error: &StoreError) -> StoreError {
        StoreError::ReadOnly {
            path: self.path(),
            message: error.to_string(),
        }
    }

    /// Whether there is anything to open.
    pub(super) fn exists(&self) -> bool {
        match self {
            Self::Folder(_) | Self::LookedAt(_) => {
                fs::metadata(self.path()).is_ok_and(|file| file.len() > 0)
            }
            Self::Simulated(disk) => disk.len() > 0,
        }
    }

    /// Opens the database for writing; it is made where there is none.
    pub(super) fn open(&self, options: &StoreOptions) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(options.cache_bytes);
        let opened = match self {
            Self::Folder(_) => builder.create(self.path()),
            Self::LookedAt(_) => return Ok(self.hold(options)?.0),
            Self::Simulated(disk) => builder.create_with_backend(disk.backend()),
        };
        opened.map_err(|error| self.open_error(error))
    }

    /// Opens what is there so that nothing written reaches it before it is let through. What is
    /// only looked at is not: there is nothing to let it through by.
    pub(super) fn hold(
        &self,
        options: &StoreOptions,
    ) -> Result<(Database, Option<Held>), StoreError> {
        let (overlay, held) = match self {
            Self::Folder(_) => Overlay::holding(self.file()?).map(|(o, held)| (o, Some(held)))?,
            Self::LookedAt(_) => (Overlay::over(self.file()?)?, None),
            Self::Simulated(disk) => {
                Overlay::holding(disk.backend()).map(|(o, held)| (o, Some(held)))?
            }
        };
        let mut builder = Builder::new();
        builder.set_cache_size(options.cache_bytes);
        let opened = builder.create_with_backend(overlay);
        Ok((opened.map_err(|error| self.open_error(error))?, held))
    }

    /// The file that is there, for reading and writing.
    fn file(&self) -> Result<FileBackend, StoreError> {
        let file = fs::File::options().read(true).write(true).open(self.path());
        let file = file.map_err(|error| self.read_only(&error.into()))?;
        FileBackend::new(file).map_err(|error| self.open_error(error))
    }

    fn open_error(&self, error: redb::DatabaseError) -> StoreError {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen
            | redb::DatabaseError::LockProtocolMismatch => StoreError::InUse { path: self.path() },
            redb::DatabaseError::Storage(redb::StorageError::Io(io))
                if matches!(io.kind(), PermissionDenied | ReadOnlyFilesystem) =>
            {
                self.read_only(&io.into())
            }
            other => other.into(),
        }
    }

    /// Moves the damaged file out of the way and says where to.
    pub(super) fn set_aside(&self, at: WallTime, reason: &str) -> Result<PathBuf, StoreError> {
        match self {
            Self::LookedAt(_) => Err(StoreError::Damaged(reason.to_owned())),
            Self::Simulated(disk) => Ok(disk.set_aside()),
            Self::Folder(folder) => {
                let aside = free_name_aside(folder, at);
                fs::rename(self.path(), &aside)?;
                Ok(aside)
            }
        }
    }

    /// Puts a copy in the place of the damaged file, in one step; says where that lies now.
    pub(super) fn put_in_place(&self, copy: &Path, at: WallTime) -> Result<PathBuf, StoreError> {
        let folder = self.folder().ok_or_else(|| {
            StoreError::Io("only a folder's file is replaced by another".to_owned())
        })?;
        let aside = free_name_aside(folder, at);
        fs::hard_link(self.path(), &aside)?;
        fs::rename(copy, self.path())?;
        Ok(aside)
    }

    /// When the box was installed, as far as the folder remembers.
    pub(super) fn installed_at(&self) -> Option<WallTime> {
        match self {
            Self::Simulated(disk) => disk.installed_at(),
            Self::Folder(folder) | Self::LookedAt(folder) => {
                let text = fs::read_to_string(folder.join(INSTALLED)).ok()?;
                text.trim().parse().ok().map(WallTime::from_ms)
            }
        }
    }

    /// Remembers it beside the journal; only a convenience for the day when the journal is lost,
    /// so that a failure is no error.
    pub(super) fn remember_installed_at(&self, at: WallTime) {
        match self {
            Self::Simulated(disk) => disk.set_installed_at(at),
            Self::LookedAt(_) => {}
            Self::Folder(folder) => {
                let next = folder.join("installed.new");
                let _ = fs::write(&next, format!("{}\n", at.ms()))
                    .and_then(|()| fs::File::open(&next)?.sync_all())
                    .and_then(|()| fs::rename(&next, folder.join(INSTALLED)));
            }
        }
    }

    /// An identity that no other store has.
    pub(super) fn new_store_id(&self, now: Now) -> StoreId {
        match self {
            Self::Simulated(disk) => StoreId::from_bits(disk.random_bits()),
            Self::Folder(_) | Self::LookedAt(_) => {
                // Each state is keyed by the operating system's randomness.
                let half = || u128::from(RandomState::new().hash_one((now.wall, now.mono)));
                StoreId::from_bits(half() << 64 | half())
            }
        }
    }
}

fn free_name_aside(folder: &Path, at: WallTime) -> PathBuf {
    let mut aside = folder.join(format!("damaged-{}.redb", at.ms()));
    let mut n = 1;
    while aside.exists() {
        n += 1;
        aside = folder.join(format!("damaged-{}-{n}.redb", at.ms()));
    }
    aside
}
