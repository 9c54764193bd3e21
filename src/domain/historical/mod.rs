//! Contact volume: when which intervals are asked for, and what their answers change.

mod options;
mod progress;

use std::collections::HashMap;

pub use options::{HistoricalOptions, IntervalFrom, QueueFrom};
pub use progress::HistoricalProgress;

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
