//! What `status` and the page show of one destination.

use super::machine::{DeliveryMachine, Mood};
use super::pace::Pace;
use super::progress::{DeliveryBalance, Replay};
use crate::domain::ids::{RecordSeq, SeqRange};
use crate::domain::timestamp::{MonoTime, WallTime};

/// What a destination is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryPhase {
    /// Not connected yet, about to be.
    Connecting,
    /// Connected, nothing due.
    Idle,
    /// A call is out.
    Sending,
    /// Waiting after a failure that may pass.
    Waiting {
        /// When it is tried again.
        until: MonoTime,
    },
    /// Waits for a person; loses nothing.
    Held {
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
        /// When it is tried again.
        until: MonoTime,
    },
    /// By the settings, nothing is sent.
    Paused,
}

impl DeliveryPhase {
    /// The word in `status` and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Idle => "idle",
            Self::Sending => "sending",
            Self::Waiting { .. } => "waiting",
            Self::Held { .. } => "held",
            Self::Paused => "paused",
        }
    }
}

/// One destination at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// What it is doing.
    pub phase: DeliveryPhase,
    /// Both sides of rule 13, the backlog among them.
    pub balance: DeliveryBalance,
    /// The first position that is not done, if any is journaled.
    pub oldest_unsent: Option<RecordSeq>,
    /// Where the live lane begins, while one runs ahead of the backlog.
    pub live_from: Option<RecordSeq>,
    /// Ranges that are done; one more than there are holes.
    pub ranges: usize,
    /// Records per batch at present.
    pub batch_records: usize,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Why the last call failed; none after a success.
    pub last_error: Option<String>,
    /// When something was last taken.
    pub last_success: Option<MonoTime>,
    /// When a batch of records was last acknowledged.
    pub last_acknowledged_at: Option<WallTime>,
    /// Since when it waits for a person, attempts in between included.
    pub held_since: Option<WallTime>,
    /// How fast it goes.
    pub pace: Pace,
    /// A replay that is under way.
    pub replay: Option<Replay>,
    /// Quarantined records that wait to be sent again.
    pub retries_waiting: usize,
    /// Records that a comparison found altered or lost, which wait to be sent again.
    pub resends_waiting: usize,
}

impl DeliveryMachine {
    /// Both sides of rule 13.
    pub fn balance(&self, head: RecordSeq) -> DeliveryBalance {
        let backlog = match head {
            RecordSeq::ZERO => 0,
            head => {
                let all = SeqRange::new(RecordSeq::new(1), head);
                all.count() - self.done.count_in(all)
            }
        };
        DeliveryBalance {
            last_seq: head,
            counts: self.progress.counts,
            backlog,
        }
    }

    /// The first position that is not done.
    pub fn oldest_unsent(&self, head: RecordSeq) -> Option<RecordSeq> {
        let gap = self.done.first_gap(RecordSeq::new(1), head);
        gap.map(|gap| gap.first)
    }

    /// The destination at a glance.
    pub fn status(&self, head: RecordSeq) -> DeliveryStatus {
        let phase = match &self.mood {
            _ if self.options.paused => DeliveryPhase::Paused,
            _ if self.calling.is_some_and(|c| c.sent.is_some()) => DeliveryPhase::Sending,
            Mood::Waiting { until, .. } => DeliveryPhase::Waiting { until: *until },
            Mood::Held {
                reason,
                remedy,
                until,
            } => DeliveryPhase::Held {
                reason: reason.clone(),
                remedy: remedy.clone(),
                until: *until,
            },
            Mood::Good if self.connected => DeliveryPhase::Idle,
            Mood::Good => DeliveryPhase::Connecting,
        };
        DeliveryStatus {
            phase,
            balance: self.balance(head),
            oldest_unsent: self.oldest_unsent(head),
            live_from: self.live_from,
            ranges: self.done.as_slice().len(),
            batch_records: self.size,
            consecutive_failures: self.backoff.failures(),
            last_error: self.last_error.clone(),
            last_success: self.last_success,
            last_acknowledged_at: self.last_acknowledged_at,
            held_since: self.held_since,
            pace: self.pace.pace(),
            replay: self.progress.replay,
            retries_waiting: self.progress.retries.len(),
            resends_waiting: self.resends.len(),
        }
    }
}
