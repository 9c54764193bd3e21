//! What is known of a feed's well-being, and the counters that must balance (domain rules 8, 13).

use serde::{Deserialize, Serialize};

use super::historical::HistoricalProgress;
use super::ids::{BoxId, Feed, SourceName};
use super::interval::IntervalStart;
use super::timestamp::WallTime;

/// Counters of one feed since the store began. They ride in the commit of the records they count,
/// so that both are there or neither is.
///
/// Which row and which record counts where (rule 13):
///
/// | feed | a row is *changed* when | records that no changed row stands for |
/// |---|---|---|
/// | realtime | its agent is new, or in another state than known, or entered the same one again: its transaction (of origin `source`, `observed` or `resync`) is the one record | `gap`; `resync` of agents that are in the same state after a gap; `inferred`; `roster`: provisional agents; `coverage`; `state_codes` |
/// | historical | its figures are new or differ: the revision is the one record | `coverage`; `roster`: provisional queues |
/// | configuration | its entry is new, differs, is confirmed, deleted or back: the version is the one record | `roster`: entries closed because a list lacks them, or because a user name is known to be somebody's |
///
/// A row that arrives once more within an answer is rejected, as is one that cannot be read. A dry
/// import, and an answer that the store did not take, count no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedCounts {
    /// Rows that answers held.
    pub rows_received: u64,
    /// Rows that differed from what was known: one record each.
    pub rows_changed: u64,
    /// Rows that equalled what was known.
    pub rows_unchanged: u64,
    /// Rows that were not taken.
    pub rows_rejected: u64,
    /// Transactions inferred: an agent is absent, or a provisional one goes on under its id.
    pub inferred: u64,
    /// `gap` transactions.
    pub gap: u64,
    /// `resync` transactions that no changed row stands for.
    pub resync: u64,
    /// Coverage entries (realtime: one for each quarter hour that ended).
    pub coverage: u64,
    /// Roster changes that no changed row stands for: see the table above.
    pub roster: u64,
    /// State codes: new ones, and those that are mapped anew.
    pub state_codes: u64,
    /// Source times that were clamped into the bounds of two polls.
    pub clamped: u64,
    /// Calls that brought a usable answer.
    pub answers: u64,
    /// Calls that did not.
    pub failures: u64,
}

impl FeedCounts {
    /// Rows received = changed + unchanged + rejected (rule 13).
    pub const fn rows_balance(&self) -> bool {
        self.rows_received == self.rows_changed + self.rows_unchanged + self.rows_rejected
    }

    /// Records journaled, by rule 13: changed + inferred + gap + resync + coverage + roster +
    /// state codes.
    pub const fn records(&self) -> u64 {
        self.rows_changed
            + self.inferred
            + self.gap
            + self.resync
            + self.coverage
            + self.roster
            + self.state_codes
    }

    /// The sum of both.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            rows_received: self.rows_received + more.rows_received,
            rows_changed: self.rows_changed + more.rows_changed,
            rows_unchanged: self.rows_unchanged + more.rows_unchanged,
            rows_rejected: self.rows_rejected + more.rows_rejected,
            inferred: self.inferred + more.inferred,
            gap: self.gap + more.gap,
            resync: self.resync + more.resync,
            coverage: self.coverage + more.coverage,
            roster: self.roster + more.roster,
            state_codes: self.state_codes + more.state_codes,
            clamped: self.clamped + more.clamped,
            answers: self.answers + more.answers,
            failures: self.failures + more.failures,
        }
    }
}

/// What the store keeps of one feed beside its records: written with each of its commits, and at
/// the latest 60 s after it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// The source.
    pub source: SourceName,
    /// The feed.
    pub feed: Feed,
    /// The counters.
    #[serde(default)]
    pub counts: FeedCounts,
    /// When the last usable answer was received.
    #[serde(default)]
    pub last_success_at: Option<WallTime>,
    /// When the last complete poll (or import, or run) was received.
    #[serde(default)]
    pub last_complete_poll_at: Option<WallTime>,
    /// When the last complete poll was sent.
    #[serde(default)]
    pub last_complete_poll_sent_at: Option<WallTime>,
    /// When the last answer that changed something was received.
    #[serde(default)]
    pub last_data_at: Option<WallTime>,
    /// Failures since the last success.
    #[serde(default)]
    pub consecutive_failures: u32,
    /// Why the last call failed, if it did.
    #[serde(default)]
    pub last_error: Option<String>,
    /// The source's clock minus the box's, where known.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
    /// How far the runs of a historical feed are.
    #[serde(default)]
    pub historical: Option<Box<HistoricalProgress>>,
    /// The polls of the quarter hour that is still open (realtime only), so that a restart does
    /// not make its coverage entry claim too few.
    #[serde(default)]
    pub quarter: Option<QuarterPolls>,
    /// The feed was blind from then on (realtime only), and agents whose state is older have been
    /// listed by no answer since, nor has an answer been complete.
    #[serde(default)]
    pub gap_since: Option<WallTime>,
}

/// The polls of one quarter hour so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarterPolls {
    /// The quarter hour.
    pub start: IntervalStart,
    /// From when on it was watched: its start, or the installation.
    pub since: WallTime,
    /// Polls that were tried.
    pub attempts: u32,
    /// Polls that were answered.
    pub made: u32,
    /// Milliseconds of it that nobody saw, as far as known.
    pub unknown_ms: u32,
}

impl FeedState {
    /// A feed of which nothing is known yet.
    pub fn new(source: SourceName, feed: Feed) -> Self {
        Self {
            source,
            feed,
            counts: FeedCounts::default(),
            last_success_at: None,
            last_complete_poll_at: None,
            last_complete_poll_sent_at: None,
            last_data_at: None,
            consecutive_failures: 0,
            last_error: None,
            clock_offset_ms: None,
            historical: None,
            quarter: None,
            gap_since: None,
        }
    }
}

/// What reaches a destination at least every 60 s even when nothing changed (rule 8). It has no
/// seq: only the latest one matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The box.
    pub box_id: BoxId,
    /// Its program's version.
    pub version: String,
    /// When the process started.
    pub started_at: WallTime,
    /// Now.
    pub at: WallTime,
    /// Records that this destination has not acknowledged.
    pub backlog: u64,
    /// When the oldest of them was journaled, if any.
    pub oldest_unsent_at: Option<WallTime>,
    /// Codes of the alarms that are raised.
    pub alarms: Vec<String>,
    /// Each feed.
    pub feeds: Vec<FeedHealth>,
}

/// One feed's line of a heartbeat (`wfm_feed_health`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedHealth {
    /// The source.
    pub source: SourceName,
    /// The feed.
    pub feed: Feed,
    /// When the last usable answer was received.
    pub last_success_at: Option<WallTime>,
    /// When the last complete poll was received.
    pub last_complete_poll_at: Option<WallTime>,
    /// When the last answer that changed something was received.
    pub last_data_at: Option<WallTime>,
    /// How far the feed lies behind what it should have, in seconds.
    pub lag_s: u64,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Why the last call failed, if it did.
    pub last_error: Option<String>,
    /// The source's clock minus the box's, where known.
    pub clock_offset_ms: Option<i64>,
    /// A realtime feed that has been blind for more than two periods.
    pub is_stale: bool,
}
