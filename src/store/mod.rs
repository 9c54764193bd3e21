//! The journal in redb. The only module that names redb.
//!
//! State tables are a fold of the journal: `append` writes the records and, in the same
//! transaction, the interval values, coverage, roster and state codes that follow from them.
//! See `docs/format.md` for the tables and bytes.

mod error;

use std::path::PathBuf;
use std::time::Duration;

pub use error::StoreError;

pub use crate::domain::delivery::DeliveryProgress;

pub use crate::domain::historical::{KnownInterval, KnownIntervals};

use crate::domain::batch::CurrentState;
use crate::domain::health::FeedState;
use crate::domain::ids::{
    AgentId, BoxId, DestinationName, Feed, QueueId, RecordSeq, SeqRange, SourceName, StoreId,
};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::{
    AgentChange, CoverageEntry, Figures, IntervalRecord, QueueChange, Record, SequencedRecord,
    StateCode,
};
use crate::domain::timestamp::{Now, WallTime};

/// How a store is opened. `state_dir` holds `journal.redb`, `reserve` and what was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The folder of the store; made if it is not there.
    pub state_dir: PathBuf,
    /// The box that it belongs to.
    pub box_id: BoxId,
    /// redb's cache in bytes (8 MiB by default).
    pub cache_bytes: usize,
    /// The budget in allocated bytes (architecture §2.7).
    pub max_bytes: u64,
    /// Free bytes that the file system keeps.
    pub min_free: u64,
    /// How long acknowledged records stay.
    pub retention: Duration,
    /// What gives when the budget is used up by transactions alone.
    pub when_full: WhenFull,
}

/// The last resort of a full store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The oldest transactions go, each loss a coverage entry.
    #[default]
    DropOldest,
    /// Nothing more is collected until there is room.
    StopCollecting,
}

/// An open store. Clones share it; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Store {}

/// What opening found.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where its records and tables come from.
    pub origin: OpenOrigin,
}

/// What state the store was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenOrigin {
    /// There was none: a new one with a new `store_id`.
    New,
    /// It was there and whole.
    Existing,
    /// It was damaged, renamed to `aside`, and a new one started; call `salvage`.
    Replaced {
        /// Where the damaged file lies.
        aside: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
}

/// One transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Commit<'a> {
    /// What is appended, in order; may be empty.
    pub records: &'a [Record],
    /// The feeds whose state changed with it.
    pub feed_states: &'a [FeedState],
}

/// How much one read returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most this many records (at least one is returned where one is there).
    pub records: usize,
    /// At most about this many bytes, as JSON would need.
    pub bytes: usize,
}

/// A run of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records, ascending and contiguous but for `damaged`.
    pub records: Vec<SequencedRecord>,
    /// Ranges that could not be read and were set aside.
    pub damaged: Vec<SeqRange>,
    /// Where to read on.
    pub next: RecordSeq,
}

/// A record that a destination refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Who refused it.
    pub destination: DestinationName,
    /// The record, whole: it outlives its place in the journal.
    pub record: SequencedRecord,
    /// Why.
    pub reason: String,
    /// When.
    pub at: WallTime,
}
