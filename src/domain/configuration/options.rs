//! What can be set about the configuration feed.

use std::time::Duration;

use crate::domain::clock_offset::ClockOptions;

/// The default period of the import.
pub const PERIOD_DEFAULT: Duration = Duration::from_hours(24);
/// The default of `max_shrink_percent` (thrio-api.md §4).
pub const MAX_SHRINK_PERCENT_DEFAULT: u8 = 20;

/// How often the roster is imported, and how much of it may vanish at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationOptions {
    /// Time between two imports.
    pub period: Duration,
    /// A complete list that lacks more than this share of what was open is held until the
    /// operator confirms it: what it adds and changes is taken, what it lacks is not closed.
    pub max_shrink_percent: u8,
    /// How much the box's clock is trusted.
    pub clock: ClockOptions,
}

impl Default for ConfigurationOptions {
    fn default() -> Self {
        Self {
            period: PERIOD_DEFAULT,
            max_shrink_percent: MAX_SHRINK_PERCENT_DEFAULT,
            clock: ClockOptions::default(),
        }
    }
}
