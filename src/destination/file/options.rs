//! The settings of a file destination.

use std::path::PathBuf;
use std::time::Duration;

use super::zone::Zone;

/// What the published files look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileFormat {
    /// One stream of records in the order of the journal, a JSON object a line.
    #[default]
    Ndjson,
    /// One file for each neutral table, RFC 4180 with a header.
    Csv,
    /// One file for each neutral table, compressed inside by Snappy.
    Parquet,
}

/// How text files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileCompression {
    /// Not at all.
    #[default]
    None,
    /// gzip; `.gz` follows the name.
    Gzip,
}

/// Where and how segments are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// Where segments appear. It must exist: a disk that is not mounted must not be written beside.
    pub directory: PathBuf,
    /// Where the open segment and the receipt are kept, below the box's own state.
    pub work_folder: PathBuf,
    /// What segments look like.
    pub format: FileFormat,
    /// A segment is cut when its records, as JSON, take this many bytes.
    pub segment_bytes: u64,
    /// A segment is cut when its oldest record has waited this long. It is looked at with each batch
    /// and each heartbeat, so it may take up to a minute more.
    pub segment_age: Duration,
    /// How text formats are compressed.
    pub compression: FileCompression,
    /// The zone in which text formats write times, always with the offset from UTC.
    pub zone: Zone,
}

impl FileOptions {
    /// The defaults for this directory.
    pub fn new(directory: PathBuf, work_folder: PathBuf) -> Self {
        Self {
            directory,
            work_folder,
            format: FileFormat::default(),
            segment_bytes: 64 << 20,
            segment_age: Duration::from_mins(15),
            compression: FileCompression::default(),
            zone: Zone::utc(),
        }
    }
}
