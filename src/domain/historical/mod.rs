//! Contact volume: when which intervals are asked for, and what their answers change (domain rules
//! 2, 3, 4 and 11).
//!
//! - The 15-minute run goes first, always; hourly, nightly, healing and manual calls fill the time
//!   between, one at a time and at a bounded rate, so that they delay it by one call at most.
//! - The open interval is never asked for.
//! - Figures are compared with what the journal holds: equal ones write nothing.
//! - What a decision means is taken over only when it is in the store.

mod account;
mod answer;
mod commits;
mod failure;
mod machine;
mod manual;
mod options;
mod pace;
mod pending;
mod plan;
mod progress;
mod status;
mod success;
#[cfg(test)]
mod tests;
mod track;

use std::collections::HashMap;

pub use machine::{HistoricalMachine, HistoricalStart};
pub use options::{HistoricalOptions, IntervalFrom, QueueFrom};
pub use progress::HistoricalProgress;
pub use status::{HistoricalPhase, HistoricalStatus};

use super::ids::{QueueId, RecordSeq};
use super::interval::IntervalStart;
use super::record::Figures;

/// The last revision of each (queue, interval) of a window.
pub type KnownIntervals = HashMap<(QueueId, IntervalStart), KnownInterval>;

/// The last revision of one queue and interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownInterval {
    /// Its figures.
    pub figures: Figures,
    /// Its number.
    pub revision: u32,
    /// Its record.
    pub seq: RecordSeq,
}
