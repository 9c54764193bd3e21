//! How one destination is served: what is sent next, what an answer means, what is done.
//!
//! The machine is pure: `begin` says what to do, the shell does it and tells the outcome.
//!
//! - A position is done only after its acknowledgement, and never becomes undone.
//! - Nothing is dropped while a destination waits or is held.
//! - Each batch is a contiguous range of seqs of one lane; at most [`HOLES_MAX`] holes are open.
//! - Nothing is sent before the receipt of the journal's `store_id` was read.

mod failure;
mod machine;
mod options;
mod orders;
mod outcome;
mod pace;
mod progress;
mod seq_ranges;
mod status;

pub use failure::SendError;
pub use machine::{DeliveryMachine, JournalView, OpenVerdict, Step};
pub use options::{DeliveryOptions, StartAt};
pub use pace::{Pace, Trend};
pub use progress::{DeliveryBalance, DeliveryCounts, DeliveryProgress, Replay};
pub use seq_ranges::SeqRanges;
pub use status::{DeliveryPhase, DeliveryStatus};

/// Ranges that a destination's receipt may hold at most: at that many no new live lane opens until
/// the backlog has joined one.
pub const HOLES_MAX: usize = 64;

/// Records refused one by one, without one accepted between them, after which the destination is
/// held: then it is hardly the records' fault.
pub const REFUSED_IN_A_ROW_MAX: u32 = 20;

#[cfg(test)]
mod tests;
