//! The rules of the realtime feed as sentences.

mod absence;
mod polls;
mod property;
pub(crate) mod scenario;
mod transactions;
