//! What travels upstream at once: a contiguous range of seqs and the records in it that pass the
//! destination's filter.
//!
//! - Every position of a batch's range is accounted for: sent, filtered, refused before, damaged
//!   or expired, each exactly once.
//! - No byte of a source that the filter does not name leaves by this way.

mod cut;
mod filter;

pub use cut::{Builder, Cut, Lane, Parcel, ParcelCounts, approx_json_bytes};
pub use filter::DeliveryFilter;

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, RecordSeq, SeqRange, SourceName, StateText};
use super::record::{Category, Origin, SequencedRecord};
use super::timestamp::WallTime;

/// A batch: it acknowledges its whole range, and carries what passes the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The seqs that it stands for.
    pub range: SeqRange,
    /// The records that are sent, ascending, all inside the range.
    pub records: Vec<SequencedRecord>,
}

/// The state of one agent now, for the fast lane after an outage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentState {
    /// The source.
    pub source: SourceName,
    /// The agent.
    pub agent: AgentId,
    /// The state as the source wrote it.
    pub state: StateText,
    /// Its category.
    pub category: Category,
    /// Since when (`started_at` of its transaction).
    pub since: WallTime,
    /// How the transaction is known.
    pub origin: Origin,
    /// The transaction's seq.
    pub record_seq: RecordSeq,
}
