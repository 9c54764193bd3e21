//! The file system as this destination uses it, so that a test can cut its power.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Access, CWD, RenameFlags, access, renameat_with};
use rustix::io::Errno;

/// Segments hold people's names and hours: others than the group need not read them.
const FILE_MODE: u32 = 0o640;

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// What was written is durable when this returns.
    fn sync(&mut self) -> io::Result<()>;
}

/// What is needed of a file system. A new, renamed or removed name is durable only after
/// [`Disk::sync_folder`].
pub trait Disk: fmt::Debug + Send {
    /// An empty file under this name, whatever was there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The file, cut to its first `keep` bytes (durably), to be written behind them.
    fn append(&self, path: &Path, keep: u64) -> io::Result<Box<dyn DiskFile>>;

    /// The file, to be read from its start.
    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// Whether there is anything of this name.
    fn is_there(&self, path: &Path) -> io::Result<bool>;

    /// The names in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes the folder unless it is there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Whether files may be made in this folder; writes nothing.
    fn may_write(&self, folder: &Path) -> io::Result<()>;

    /// Renames within one file system; an error where the new name is taken.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames within one file system, in the place of what has the new name.
    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The folder's names are durable when this returns.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Ok(Box::new(options.mode(FILE_MODE).open(path)?))
    }

    fn append(&self, path: &Path, keep: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).open(path)?;
        if file.metadata()?.len() > keep {
            file.set_len(keep)?;
            file.sync_all()?;
        }
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn is_there(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(folder)?.map(name).collect()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn may_write(&self, folder: &Path) -> io::Result<()> {
        if !fs::metadata(folder)?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some network file systems know no such renaming.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if self.is_there(to)? {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)
            }
            other => Ok(other?),
        }
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}
