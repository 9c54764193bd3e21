//! What one destination has taken, and the counters that must balance (domain rule 13).

use serde::{Deserialize, Serialize};

use crate::domain::ids::{RecordSeq, SeqRange};

/// What one destination has taken: merged, ascending ranges. The backlog lane fills the first
/// hole; a live lane is a later range (architecture §3). It may be lost: re-sending is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryProgress {
    /// Acknowledged, filtered, quarantined, expired and skipped alike: what need not be sent.
    pub done: Vec<SeqRange>,
    /// Where to begin was decided (`start`); false for a destination that the journal never saw.
    pub begun: bool,
    /// How the positions of `done` came to be done.
    pub counts: DeliveryCounts,
    /// A replay that is under way.
    pub replay: Option<Replay>,
    /// Quarantined records that are to be sent once more.
    pub retries: Vec<RecordSeq>,
    /// The journal's head at the first start since which the destination's receipt was not read:
    /// nothing was sent since, so a receipt beyond it is of a store that was rolled back, however
    /// far the head has come meanwhile.
    pub unread_since: Option<RecordSeq>,
    /// Records that were thrown away from the quarantine before their position was done: they are
    /// left out until it is.
    pub discarded: Vec<RecordSeq>,
}

/// How positions came to be done. Each lies in exactly one of the five that [`Self::total`] adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryCounts {
    /// Journaled before the destination was there, and `start = "now"`.
    pub skipped: u64,
    /// Taken by the destination, what its filter held back included.
    pub acknowledged: u64,
    /// Of the acknowledged: not sent, because of `sources`, `feeds` or `facts_from`.
    pub filtered: u64,
    /// Refused for good and kept apart.
    pub quarantined: u64,
    /// Given up by the store before they could be sent.
    pub expired: u64,
    /// Unreadable in the journal.
    pub damaged: u64,
    /// Records that replays sent again: a counter of its own, in no balance.
    pub replayed: u64,
}

impl DeliveryCounts {
    /// Positions that are done, by whatever way.
    pub const fn total(&self) -> u64 {
        self.skipped + self.acknowledged + self.quarantined + self.expired + self.damaged
    }
}

/// A replay: the positions that are to be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// What remains of it.
    pub remaining: SeqRange,
    /// Records sent by it so far.
    pub sent: u64,
}

/// Both sides of rule 13 for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryBalance {
    /// The journal's last seq.
    pub last_seq: RecordSeq,
    /// How positions came to be done.
    pub counts: DeliveryCounts,
    /// Positions that are not done.
    pub backlog: u64,
}

impl DeliveryBalance {
    /// Last seq = skipped at start + acknowledged + quarantined + expired + damaged + backlog.
    pub const fn holds(&self) -> bool {
        self.last_seq.get() == self.counts.total() + self.backlog
    }
}
