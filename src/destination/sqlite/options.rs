//! The settings of a SQLite destination.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how the neutral tables are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database file; made if it is not there. Its folder must exist.
    pub path: PathBuf,
    /// How long a call waits for another writer of the same file before it fails (and is tried
    /// again by the delivery loop).
    pub busy_timeout: Duration,
    /// Tables and views are made and brought up to date; where not, a missing one holds.
    pub manage_schema: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::from("wfm.db"),
            busy_timeout: Duration::from_secs(5),
            manage_schema: true,
        }
    }
}
