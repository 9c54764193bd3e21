//! What can be set about the realtime feed.

use std::time::Duration;

use crate::domain::category::StateMap;
use crate::domain::clock_offset::ClockOptions;

/// The shortest period (domain rule 9).
pub const PERIOD_MIN: Duration = Duration::from_secs(1);
/// The default period (domain rule 9; 5 s is recommended).
pub const PERIOD_DEFAULT: Duration = Duration::from_secs(15);

/// How the realtime feed polls and what it makes of absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealtimeOptions {
    /// Time between two polls, at least [`PERIOD_MIN`].
    pub period: Duration,
    /// Whether an answer lists every agent or only changes.
    pub snapshot: SnapshotKind,
    /// What the absence of an agent from full lists means.
    pub missing_agent: MissingAgent,
    /// What the state texts mean.
    pub states: StateMap,
    /// How much the box's clock is trusted.
    pub clock: ClockOptions,
}

impl Default for RealtimeOptions {
    fn default() -> Self {
        Self {
            period: PERIOD_DEFAULT,
            snapshot: SnapshotKind::default(),
            missing_agent: MissingAgent::default(),
            states: StateMap::default(),
            clock: ClockOptions::default(),
        }
    }
}

/// What a realtime answer lists (domain rule 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotKind {
    /// Nobody said: absence means nothing.
    #[default]
    Unknown,
    /// Every agent that is logged in (or every agent).
    Full,
    /// Only the agents whose state changed: absence means unchanged.
    Delta,
}

/// What follows when an agent is missing from two complete full lists in a row (domain rule 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingAgent {
    /// The agent logged out, at the first absence.
    #[default]
    LoggedOut,
    /// The last state goes on.
    Keep,
    /// Nobody knows the state.
    Unknown,
}
