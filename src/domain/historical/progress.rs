//! How far the historical feed's runs are, for the next start.

use serde::{Deserialize, Serialize};

use super::super::backfill::BackfillState;
use super::super::interval::IntervalStart;

/// What the feed must remember beside its coverage; it rides in the feed's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoricalProgress {
    /// Every expected interval before this one has a coverage entry.
    pub accounted_to: Option<IntervalStart>,
    /// The hour (since the epoch) of the last complete hourly run.
    pub last_hourly: Option<i64>,
    /// The night (since the epoch) of the last complete nightly run.
    pub last_nightly: Option<i64>,
    /// Backfills were numbered below this.
    pub next_backfill_id: u64,
    /// Backfills that are under way, and the last ones that finished.
    pub backfills: Vec<BackfillState>,
}
