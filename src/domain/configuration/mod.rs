//! The configuration feed: imports of queues and agents, and what they mean (domain rule 10,
//! thrio-api.md §4).
//!
//! Invariants:
//! - A version is closed before the next begins; nothing of the past is overwritten.
//! - A list that is not whole closes nothing; one that lacks too much closes nothing until the
//!   operator confirms it.
//! - What a feed alone has shown stays until a list says whose it is.

mod compare;
mod machine;
mod options;
mod plan;

pub use machine::{ConfigurationMachine, ConfigurationStatus, KnownRoster, WISHED_IMPORTS_APART};
pub use options::{ConfigurationOptions, MAX_SHRINK_PERCENT_DEFAULT, PERIOD_DEFAULT};
pub use plan::{Few, ImportPlan, ListPlan, Named, PLAN_LISTED_MAX, Renamed, Shrink};

#[cfg(test)]
mod tests;
