//! Alarms: what stands, since when, and who has been told (ARCHITECTURE.md, "Alarms").
//!
//! - A condition is raised after it stood for a while and cleared after it was gone for a while:
//!   what flaps pages nobody.
//! - What was raised and cleared is told to each way (webhook, command) in few messages: changes
//!   that come together are grouped, and between two messages there is a rest. Nothing is
//!   forgotten meanwhile: a raise that was told gets its clear told, and what came and went while
//!   nobody could be told is told as passed.
//! - Memory is bounded, whatever fails for however long.

mod book;
mod catalogue;
mod courier;
mod heartbeat;
mod machine;
mod room;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use book::{AlarmBook, SavedBook, Standing, Transition};
pub use catalogue::{AlarmCode, AlarmNote, CATALOGUE};
pub use courier::{Courier, CourierStatus, Failed, Message, MessageKind, SavedCourier};
pub use heartbeat::HeartbeatPlan;
pub use machine::{AlarmMachine, AlarmStep, SavedAlarms, Way};
pub use room::{GrowthMeter, Room};

use super::timestamp::WallTime;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Data was lost or a person is needed.
    Error,
    /// Something is not as it should be.
    Warning,
}

impl Severity {
    /// The word in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that is not as it should be, as it is seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// How bad it is.
    pub severity: Severity,
    /// The word of its [`AlarmCode`].
    pub code: String,
    /// What it is about: `main/realtime`, a destination's name, `store`.
    pub subject: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// What is lost or wrong while it stands.
    pub at_risk: String,
    /// By when that happens, where it is known.
    pub by: Option<WallTime>,
}

/// A condition that was raised: one episode of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Tells episodes apart, also those of one condition; never used twice in a state folder.
    pub id: u64,
    /// What was seen last.
    #[serde(flatten)]
    pub condition: Condition,
    /// Since when it stands.
    pub since: WallTime,
    /// When it had stood long enough.
    pub raised_at: WallTime,
    /// When it had been gone long enough.
    pub cleared_at: Option<WallTime>,
}

/// How patient and how talkative alarms are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmOptions {
    /// How long a condition stands before it is raised.
    pub raise_after: Duration,
    /// How long it is gone before it is cleared.
    pub clear_after: Duration,
    /// How long the first change waits for others to go with it.
    pub group: Duration,
    /// The least time between two messages of one way.
    pub rest: Duration,
    /// How often an error that stands is told again; zero = never.
    pub remind: Duration,
    /// The least severity that is told.
    pub least: Severity,
    /// How often the heartbeat's address is called.
    pub heartbeat_period: Duration,
}

impl Default for AlarmOptions {
    fn default() -> Self {
        Self {
            raise_after: Duration::from_mins(1),
            clear_after: Duration::from_mins(2),
            group: Duration::from_secs(30),
            rest: Duration::from_mins(5),
            remind: Duration::from_hours(24),
            least: Severity::Warning,
            heartbeat_period: Duration::from_mins(1),
        }
    }
}
