//! The settings that every destination has, with the design's defaults.

use std::time::Duration;

use crate::domain::batch::DeliveryFilter;
use crate::domain::ids::{Feed, SourceName};
use crate::domain::interval::IntervalStart;

/// Where a destination that is new to the journal begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StartAt {
    /// With the oldest record that is kept.
    #[default]
    Oldest,
    /// With the first record after now; what is older counts as skipped.
    Now,
}

/// How one destination is served (architecture §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// The most records of one batch.
    pub batch_records: usize,
    /// About the most bytes of one batch, counted as JSON would need them.
    pub batch_bytes: usize,
    /// How long the oldest unsent record may wait for a batch to fill.
    pub batch_age: Duration,
    /// Where a new destination begins.
    pub start: StartAt,
    /// Nothing is sent; nothing is lost either.
    pub paused: bool,
    /// The sources that may go there; empty = all.
    pub sources: Vec<SourceName>,
    /// The feeds that may go there; empty = all.
    pub feeds: Vec<Feed>,
    /// Intervals and transactions before it are never written there.
    pub facts_from: Option<IntervalStart>,
    /// The bound of the first wait after a failure.
    pub backoff_min: Duration,
    /// The bound of any wait after a failure.
    pub backoff_max: Duration,
    /// How often a destination that could not be reached is probed meanwhile.
    pub probe_period: Duration,
    /// How often a held destination is tried again.
    pub hold_period: Duration,
    /// A heartbeat reaches the destination at least this often (domain rule 8).
    pub heartbeat: Duration,
    /// How long a lost wake-up may delay a record.
    pub poll_period: Duration,
    /// Batches that are taken faster than this grow.
    pub quick: Duration,
    /// Batches that take longer than this shrink.
    pub slow: Duration,
    /// Whether a live lane may run ahead of the backlog; not for destinations that keep one order
    /// (JetStream, files).
    pub lanes: bool,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            batch_records: 2_000,
            batch_bytes: 1 << 20,
            batch_age: Duration::from_millis(500),
            start: StartAt::Oldest,
            paused: false,
            sources: Vec::new(),
            feeds: Vec::new(),
            facts_from: None,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_mins(1),
            probe_period: Duration::from_secs(10),
            hold_period: Duration::from_mins(1),
            heartbeat: Duration::from_mins(1),
            poll_period: Duration::from_secs(1),
            quick: Duration::from_millis(500),
            slow: Duration::from_secs(5),
            lanes: true,
        }
    }
}

impl DeliveryOptions {
    /// What may go to the destination.
    pub fn filter(&self) -> DeliveryFilter {
        DeliveryFilter {
            sources: self.sources.clone(),
            feeds: self.feeds.clone(),
            facts_from: self.facts_from,
        }
    }
}
