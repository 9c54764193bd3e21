//! The realtime feed: polls of agent states, and what they mean.

mod options;

pub use options::{MissingAgent, PERIOD_DEFAULT, PERIOD_MIN, RealtimeOptions, SnapshotKind};
