//! What can go wrong between the program and its own disk.

use std::path::PathBuf;

/// A store operation that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the store.
    #[error("the store {path} is in use by another process; stop it, or use another state_dir")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it. It was not touched.
    #[error(
        "the store {path} has format {found}, this program knows up to {known}; install the newer program"
    )]
    FromTheFuture {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
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
