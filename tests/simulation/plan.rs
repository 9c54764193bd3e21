//! What a run is made of, and what it went through.

use thrio_edge::store::PlantedBug;

use crate::world::{DAY_MS, HOUR_MS, START_MS};

/// What one simulated run is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub seed: u64,
    /// Days with trouble; a quiet time to heal follows.
    pub days: i64,
    /// The mean time between two power cuts.
    pub(crate) power_holds_ms: i64,
    /// The mean time between two troubles of the destination.
    pub(crate) upstream_holds_ms: i64,
    /// How long nothing goes wrong at the end.
    pub quiet_ms: i64,
    /// A mistake that the run must find.
    pub(crate) planted: Option<PlantedBug>,
    /// The other mistake: the cursor moves before the acknowledgement.
    pub(crate) early_cursor: bool,
}

impl Plan {
    /// One week: five and a half days of trouble, then time to heal, a night included.
    pub(crate) fn week(seed: u64) -> Self {
        Self {
            seed,
            days: 5,
            power_holds_ms: 9 * HOUR_MS,
            upstream_holds_ms: 6 * HOUR_MS,
            quiet_ms: 2 * DAY_MS,
            planted: None,
            early_cursor: false,
        }
    }

    /// One day in which power fails every twenty minutes and the destination every hour, then time
    /// to heal.
    pub(crate) fn bad_power(seed: u64) -> Self {
        Self {
            days: 1,
            power_holds_ms: HOUR_MS / 3,
            upstream_holds_ms: HOUR_MS,
            quiet_ms: DAY_MS,
            ..Self::week(seed)
        }
    }

    pub(crate) fn end_ms(&self) -> i64 {
        START_MS + self.days * DAY_MS + self.quiet_ms
    }

    pub(crate) fn trouble_until_ms(&self) -> i64 {
        START_MS + self.days * DAY_MS
    }
}

/// What a run went through: a run in which nothing happened proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub polls: u64,
    pub imports: u64,
    pub failed_calls: u64,
    pub power_cuts: u64,
    pub restarts: u64,
    pub clock_jumps: u64,
    pub store_errors: u64,
}
