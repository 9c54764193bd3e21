//! The configuration feed: imports of queues and agents, and what they mean.

mod options;

pub use options::{ConfigurationOptions, MAX_SHRINK_PERCENT_DEFAULT, PERIOD_DEFAULT};
