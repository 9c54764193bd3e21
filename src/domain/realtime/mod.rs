//! The realtime feed: polls of agent states, and what they mean (domain rules 5 to 9 and 12).
//!
//! Invariants:
//! - Polls lie on a fixed grid and never overlap; a failure is followed by a growing, drawn wait.
//! - Nothing that is known changes before `committed`: a poll whose commit failed was not made.
//! - More than two periods without an answer are a gap, also across a restart.
//! - Nothing is labelled by a clock that cannot be right.

mod machine;
mod options;
mod quarter;
mod status;

pub(super) use machine::unknown_time;
pub use machine::{FEED_HOLD_RETRY, RETRY_AFTER_MAX, RealtimeMachine, Restored};
pub use options::{MissingAgent, PERIOD_DEFAULT, PERIOD_MIN, RealtimeOptions, SnapshotKind};
pub use status::{FeedPhase, PollingLoss, RealtimeStatus, Rejected, polling_loss};

pub use super::state_transaction::UnmappedState;

#[cfg(test)]
mod tests;
