//! What `status`, the page and the alarms say of the realtime feed.

use std::time::Duration;

use crate::domain::call::{RejectReason, Rejections, Snapshot};
use crate::domain::clock_offset::LabelledBy;
use crate::domain::state_transaction::UnmappedState;
use crate::domain::timestamp::{MonoTime, WallTime};

/// How a feed is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FeedPhase {
    /// As planned.
    #[default]
    Running,
    /// After a failure, waiting to try again.
    BackingOff,
    /// Waiting for a person: this feed lacks an authority. The text says which.
    FeedHeld(String),
    /// Waiting for a person: the whole connection is held. The text says why.
    ConnectionHeld(String),
}

impl FeedPhase {
    /// The name in `status` and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::FeedHeld(_) => "feed_held",
            Self::ConnectionHeld(_) => "connection_held",
        }
    }

    /// Why a person is needed, if one is.
    pub fn held(&self) -> Option<&str> {
        match self {
            Self::FeedHeld(reason) | Self::ConnectionHeld(reason) => Some(reason),
            Self::Running | Self::BackingOff => None,
        }
    }
}

/// Rejected rows of the last answer that had some.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejected {
    /// How many rows that answer lost.
    pub count: u64,
    /// The first of them, with the reason.
    pub samples: Vec<(RejectReason, String)>,
}

impl Rejected {
    /// Takes over the rejected rows of an answer, if it had some.
    pub(super) fn note(&mut self, snapshot: &Snapshot, compared: &Rejections) {
        let count = snapshot.rejected.count + compared.count;
        if count == 0 {
            return;
        }
        self.count = count;
        let samples = snapshot.rejected.samples.iter().chain(&compared.samples);
        self.samples = samples.cloned().collect();
    }
}

/// The realtime feed at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealtimeStatus {
    /// How it is doing.
    pub phase: FeedPhase,
    /// When it polls next.
    pub next_at: MonoTime,
    /// The period in force.
    pub period: Duration,
    /// Agents with a known state.
    pub agents: usize,
    /// Nobody said whether answers list every agent: absence means nothing (rule 6).
    pub snapshot_unsaid: bool,
    /// State texts that nobody mapped (rule 7).
    pub unmapped: Vec<UnmappedState>,
    /// The last rows that were not taken.
    pub rejected: Rejected,
    /// Since when most agents are missing, while that is not yet believed.
    pub guarded_since: Option<WallTime>,
    /// Most agents vanished at once, and it was believed after five minutes: an alarm.
    pub mass_absence: bool,
    /// More than two periods without a complete poll.
    pub is_stale: bool,
    /// Which clock labels data.
    pub labelled_by: LabelledBy,
    /// The source's clock minus the box's.
    pub clock_offset_ms: Option<i64>,
}

/// What a period loses, measured on real calls (rule 9): seconds, share of talk and share of
/// between-call states that are never seen, in tenths of a percent.
const LOSSES: [(u64, u64, u64); 3] = [(5, 15, 39), (15, 40, 239), (60, 127, 439)];

/// The share of short states that a period never sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollingLoss {
    /// Of talk states, in tenths of a percent.
    pub talk_permille: u64,
    /// Of states between two calls, in tenths of a percent.
    pub between_calls_permille: u64,
}

/// What polling at this period loses: measured at 5, 15 and 60 s, a straight line between, and
/// from nothing at 0 s; beyond 60 s the figure for 60 s, as the least that is lost.
pub fn polling_loss(period: Duration) -> PollingLoss {
    let s = period.as_secs().min(60);
    let mut from = (0, 0, 0);
    for to in LOSSES {
        if s <= to.0 {
            let at = |low: u64, high: u64| low + (high - low) * (s - from.0) / (to.0 - from.0);
            return PollingLoss {
                talk_permille: at(from.1, to.1),
                between_calls_permille: at(from.2, to.2),
            };
        }
        from = to;
    }
    PollingLoss {
        talk_permille: from.1,
        between_calls_permille: from.2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_periods_give_the_measured_losses() {
        let loss = |s| polling_loss(Duration::from_secs(s));
        assert_eq!(
            (loss(5).talk_permille, loss(5).between_calls_permille),
            (15, 39)
        );
        assert_eq!(
            (loss(15).talk_permille, loss(15).between_calls_permille),
            (40, 239)
        );
        assert_eq!(
            (loss(60).talk_permille, loss(60).between_calls_permille),
            (127, 439)
        );
        assert_eq!(loss(600), loss(60));
        assert!(loss(1).between_calls_permille < loss(5).between_calls_permille);
    }
}
