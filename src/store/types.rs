//! What callers give to the store and get from it.

use std::path::PathBuf;
use std::time::Duration;

use super::Store;
use crate::domain::delivery::DeliveryProgress;
use crate::domain::health::FeedState;
use crate::domain::ids::{BoxId, DestinationName, RecordSeq, SeqRange, StoreId};
use crate::domain::record::{AgentChange, QueueChange, Record, SequencedRecord};
use crate::domain::retention::Pressure;
use crate::domain::timestamp::WallTime;

/// How a store is opened. `state_dir` holds `journal.redb`, `reserve` and what was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The folder of the store; made if it is not there.
    pub state_dir: PathBuf,
    /// The box that it belongs to.
    pub box_id: BoxId,
    /// redb's cache in bytes (3 MiB by default).
    pub cache_bytes: usize,
    /// The budget in allocated bytes (architecture §2.7).
    pub max_bytes: u64,
    /// Free bytes that the file system keeps.
    pub min_free: u64,
    /// How long acknowledged records stay.
    pub retention: Duration,
    /// What gives when the budget is used up by transactions alone.
    pub when_full: WhenFull,
    /// A start after a kill walks a store with up to so many bytes in use; in a larger one each
    /// commit saves what spares it that.
    pub walk_max: u64,
}

impl StoreOptions {
    /// The default of `walk_max`: a tenth of a second here, and a slow box has half of one.
    pub const WALK_MAX: u64 = 48 << 20;

    /// The design's defaults: 8 MiB of cache, 8 GiB of budget, 1 GiB left free, 35 days.
    pub fn new(state_dir: PathBuf, box_id: BoxId) -> Self {
        Self {
            state_dir,
            box_id,
            cache_bytes: 3 << 20,
            max_bytes: 8 << 30,
            min_free: 1 << 30,
            retention: Duration::from_hours(35 * 24),
            when_full: WhenFull::default(),
            walk_max: Self::WALK_MAX,
        }
    }
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
    /// It was there in an older format, and was brought to the present one.
    Upgraded(super::Reformatted),
    /// A start found damage in it, and could still copy what the last commit holds; what is damaged
    /// of that is set aside when it is read. The former file lies at `aside`.
    Copied {
        /// Where the damaged file lies.
        aside: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
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

impl ReadLimit {
    /// One record.
    pub const ONE: Self = Self {
        records: 1,
        bytes: usize::MAX,
    };
}

/// A run of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records, ascending and contiguous but for `damaged` and `expired`.
    pub records: Vec<SequencedRecord>,
    /// Ranges that could not be read and were set aside.
    pub damaged: Vec<SeqRange>,
    /// Ranges that were given up for want of room, or that are older than what is kept.
    pub expired: Vec<SeqRange>,
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

/// The last versions of a source's roster, open and closed ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredRoster {
    /// The agents.
    pub agents: Vec<AgentChange>,
    /// The queues.
    pub queues: Vec<QueueChange>,
}

/// A damaged store that was set aside while the process ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Where the damaged file lies; hand it to [`super::Store::salvage`].
    pub aside: PathBuf,
    /// What was wrong with it.
    pub reason: String,
    /// Its identity.
    pub store_id: StoreId,
    /// What its destinations had acknowledged.
    pub cursors: Vec<(DestinationName, DeliveryProgress)>,
}

/// What [`super::Store::maintain`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maintained {
    /// Stores that were damaged and replaced since the last call.
    pub replaced: Vec<Replaced>,
    /// Ranges whose block was damaged and was set aside by this call.
    pub damaged: Vec<SeqRange>,
    /// Records that every configured destination has and that were deleted.
    pub expired_acknowledged: u64,
    /// Records that were given up for want of room although some destination lacks them: an alarm.
    pub expired: u64,
    /// How full the store is.
    pub pressure: Option<Pressure>,
    /// Whether the file was compacted, which held up the feeds.
    pub compacted: bool,
}

/// What [`super::Store::salvage`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Records that were journaled again, under new seqs.
    pub records: u64,
    /// Records of which the new store holds a later word already.
    pub superseded: u64,
    /// Seqs between the intact blocks that none of them holds.
    pub lost: u64,
}

/// Mistakes that the simulation must be able to find.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// `append` writes the records and the interval values in two transactions.
    SeparateTransactions,
}
