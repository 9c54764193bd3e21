//! What can go wrong between the program and its own disk.

use std::io;
use std::path::PathBuf;

/// A store operation that did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the store.
    #[error("the store {path} is in use by another process; stop it, or use another state_dir")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it. It was not touched.
    #[error(
        "the store {path} has format {found}, written by thrio-edge {written_by}, this program \
         ({own}) knows up to {known}; nothing was touched: install that version, or let it bring \
         the store back (`thrio-edge store downgrade`)",
        own = env!("CARGO_PKG_VERSION")
    )]
    FromTheFuture {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
        /// The version of the program that opened it last.
        written_by: String,
    },
    /// There is no store to look at.
    #[error("there is no store {path} yet; the first start makes it")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No room, even after giving back what may be given.
    #[error("no room in the store: {0}")]
    Full(String),
    /// The file system does not let us write.
    #[error("cannot write the store {path}: {message}")]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// The disk failed; the store reopens itself with the next call.
    #[error("disk error: {0}")]
    Io(String),
    /// The file holds what no healthy store holds.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{InvalidData, QuotaExceeded, StorageFull, UnexpectedEof};
        match error.kind() {
            StorageFull | QuotaExceeded => Self::Full(error.to_string()),
            // redb answers so where a file is no redb file, or is shorter than it should be.
            InvalidData | UnexpectedEof => Self::Damaged(error.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(io) => io.into(),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Io(error.to_string()),
            other => Self::Damaged(other.to_string()),
        }
    }
}

macro_rules! through_redb_error {
    ($($type:ty),+ $(,)?) => {
        $(impl From<$type> for StoreError {
            fn from(error: $type) -> Self {
                redb::Error::from(error).into()
            }
        })+
    };
}

through_redb_error!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::CompactionError,
    redb::DatabaseError,
);
