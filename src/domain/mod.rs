//! The rules, pure: nothing here names another module of the crate, reads a clock, or touches a
//! thread, a socket or a file. A machine takes `now` and an input and returns what to do.

pub mod age_clock;
pub mod agent;
pub mod alarm;
pub mod backfill;
pub mod backoff;
pub mod batch;
pub mod call;
pub mod category;
pub mod clock_offset;
pub mod configuration;
pub mod coverage;
pub mod delivery;
pub mod expiry;
pub mod health;
pub mod historical;
pub mod ids;
pub mod interval;
pub mod interval_revision;
pub mod queue;
pub mod realtime;
pub mod reconcile;
pub mod record;
pub mod report;
pub mod retention;
pub mod roster;
pub mod schedule;
mod state_transaction;
pub mod timestamp;
