//! How one destination is served: what is sent next, what an answer means, what is done.

mod failure;
mod options;
mod progress;

pub use failure::SendError;
pub use options::{DeliveryOptions, StartAt};
pub use progress::{DeliveryBalance, DeliveryCounts, DeliveryProgress, Replay};
