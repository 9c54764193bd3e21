//! What enters the journal: interval revisions, state transactions, roster changes, coverage
//! entries and state codes.
//!
//! State tables (current interval values, coverage, roster, state codes) are a fold of these
//! records, so that a record alone says all that its effect needs. A heartbeat is no record.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::agent::AgentDetails;
use super::ids::{AgentId, Feed, QueueId, RecordSeq, SourceName, StateText};
use super::interval::IntervalStart;
use super::queue::QueueDetails;
use super::timestamp::WallTime;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// New figures of one queue and interval.
    Interval(IntervalRecord),
    /// One change of one agent's state.
    Transaction(StateTransaction),
    /// A new, changed or closed agent.
    Agent(AgentChange),
    /// A new, changed or closed queue.
    Queue(QueueChange),
    /// What is known of one interval of one feed.
    Coverage(CoverageEntry),
    /// A state text, new or mapped anew.
    StateCode(StateCode),
}

impl Record {
    /// The source that it belongs to.
    pub fn source(&self) -> &SourceName {
        match self {
            Self::Interval(r) => &r.source,
            Self::Transaction(r) => &r.source,
            Self::Agent(r) => &r.source,
            Self::Queue(r) => &r.source,
            Self::Coverage(r) => &r.source,
            Self::StateCode(r) => &r.source,
        }
    }

    /// The feed that it came by.
    pub fn feed(&self) -> Feed {
        match self {
            Self::Interval(_) => Feed::Historical,
            Self::Transaction(_) | Self::StateCode(_) => Feed::Realtime,
            // An entry that a feed showed before any import did came by that feed, and is counted
            // there (rule 13); what an import makes of it later came by the import.
            Self::Agent(r) if r.provisional && r.change == RosterChange::Added => Feed::Realtime,
            Self::Queue(r) if r.provisional && r.change == RosterChange::Added => Feed::Historical,
            Self::Agent(_) | Self::Queue(_) => Feed::Configuration,
            Self::Coverage(r) => r.feed,
        }
    }

    /// The moment that the record is about: what the time index, `replay --from` and retention
    /// go by.
    pub fn about(&self) -> WallTime {
        match self {
            Self::Interval(r) => r.interval_start.start(),
            Self::Transaction(r) => r.started_at,
            Self::Agent(r) => r.valid_from,
            Self::Queue(r) => r.valid_from,
            Self::Coverage(r) => r.interval_start.start(),
            Self::StateCode(r) => r.first_seen,
        }
    }

    /// When the box learned it, shortly before it was journaled; not what it is about, which may
    /// be long ago. `None` where the record does not say.
    pub fn learned_at(&self) -> Option<WallTime> {
        match self {
            Self::Interval(r) => Some(r.answered_at),
            Self::Transaction(r) => Some(r.observed_at),
            Self::Agent(r) => Some(r.valid_from),
            Self::Queue(r) => Some(r.valid_from),
            Self::Coverage(r) => r.fetched_at,
            Self::StateCode(r) => Some(r.first_seen),
        }
    }
}

/// A record with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequencedRecord {
    /// The place.
    pub seq: RecordSeq,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// The three sums of a queue and interval; `None` = the source did not say, which is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Contacts that entered the queue.
    pub entered: Option<u64>,
    /// Contacts that left it unanswered.
    pub abandoned: Option<u64>,
    /// Handle time of the interval's contacts in whole seconds.
    pub handle_time_s: Option<u64>,
}

/// Which run asked for an interval (domain rule 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// The 15-minute run over the last nine closed intervals.
    Live,
    /// The re-read of the last 24 h.
    Hourly,
    /// The re-read of the last 7 days.
    Nightly,
    /// A gap that healed by itself (first start included).
    Heal,
    /// `backfill`, by hand.
    Manual,
}

impl Run {
    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Hourly => "hourly",
            Self::Nightly => "nightly",
            Self::Heal => "heal",
            Self::Manual => "manual",
        }
    }
}

/// Why a revision after the first was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevisionReason {
    /// The first figures of this queue and interval.
    First,
    /// The figures grew while the interval was provisional.
    Late,
    /// They changed after the interval was final.
    Restated,
    /// They came by `backfill` or a healed gap.
    Backfill,
}

impl RevisionReason {
    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Late => "late",
            Self::Restated => "restated",
            Self::Backfill => "backfill",
        }
    }
}

/// Why figures are stored but marked (domain rule 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspect {
    /// Over 4 h of handle time per contact.
    HandleTimePerContact,
    /// More than twice as many abandoned as entered, and over 20.
    AbandonedOverEntered,
    /// Both.
    Both,
}

impl Suspect {
    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandleTimePerContact => "handle_time_per_contact",
            Self::AbandonedOverEntered => "abandoned_over_entered",
            Self::Both => "handle_time_per_contact,abandoned_over_entered",
        }
    }
}

/// A revision of the figures of one queue and interval. It replaces the former one, never adds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IntervalRecord {
    /// The source.
    pub source: SourceName,
    /// The queue.
    pub queue: QueueId,
    /// The interval.
    pub interval_start: IntervalStart,
    /// Its figures.
    pub figures: Figures,
    /// 1 for the first figures, then one more for each change.
    pub revision: u32,
    /// When the answer that held them was received.
    pub answered_at: WallTime,
    /// Which run asked.
    pub run: Run,
    /// Why the revision was written.
    pub reason: RevisionReason,
    /// Why the figures are doubtful, if they are.
    pub suspect: Option<Suspect>,
}

/// The neutral category that a state maps to (domain rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Category {
    /// Not logged in.
    LoggedOut,
    /// Logged in, nothing more said.
    LoggedIn,
    /// Ready for a contact.
    Available,
    /// Busy: Thrio's word, not interpreted as "on a call".
    Busy,
    /// Working.
    Working,
    /// After-contact work.
    Wrapup,
    /// Did not answer an offered contact.
    NoAnswer,
    /// Any other work or pause that a site mapped.
    Aux,
    /// A custom state that nobody mapped yet.
    Unmapped,
    /// Nobody saw the state (origin `gap`).
    Unknown,
}

impl Category {
    /// Every category, in the order of their stable numbers.
    pub const ALL: [Self; 10] = [
        Self::LoggedOut,
        Self::LoggedIn,
        Self::Available,
        Self::Busy,
        Self::Working,
        Self::Wrapup,
        Self::NoAnswer,
        Self::Aux,
        Self::Unmapped,
        Self::Unknown,
    ];

    /// The name in tables, settings and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "LOGGED_OUT",
            Self::LoggedIn => "LOGGED_IN",
            Self::Available => "AVAILABLE",
            Self::Busy => "BUSY",
            Self::Working => "WORKING",
            Self::Wrapup => "WRAPUP",
            Self::NoAnswer => "NO_ANSWER",
            Self::Aux => "AUX",
            Self::Unmapped => "UNMAPPED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// How a transaction is known (domain rule 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Thrio gave the time.
    Source,
    /// Bounded by two polls.
    Observed,
    /// The agent vanished from a full list.
    Inferred,
    /// The first poll, or the first after a gap.
    Resync,
    /// Nobody saw the state from here on.
    Gap,
}

impl Origin {
    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Observed => "observed",
            Self::Inferred => "inferred",
            Self::Resync => "resync",
            Self::Gap => "gap",
        }
    }
}

/// One change of one agent's state, bounded by what was seen (domain rule 5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateTransaction {
    /// The source.
    pub source: SourceName,
    /// The agent.
    pub agent: AgentId,
    /// The best estimate of the change, computed once; strictly increasing per agent.
    pub started_at: WallTime,
    /// The state from then on, as the source wrote it.
    pub state: StateText,
    /// Its neutral category at that time.
    pub category: Category,
    /// The state before, where one was known.
    pub previous_state: Option<StateText>,
    /// When the previous complete poll was sent: the change is not older.
    pub earliest_at: Option<WallTime>,
    /// When the answer that showed it was received: the change is not younger.
    pub observed_at: WallTime,
    /// How it is known.
    pub origin: Origin,
    /// The source's own time lay outside the bounds and was clamped into them.
    pub clamped: bool,
    /// `started_at` was moved behind the former one of the same agent.
    pub tied: bool,
}

/// What happened to a roster entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RosterChange {
    /// Seen for the first time.
    Added,
    /// Its details differ from the former version.
    Changed,
    /// Gone from the source, or deleted there; history stays.
    Closed,
}

impl RosterChange {
    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Closed => "closed",
        }
    }
}

/// A version of one agent: it closes the former version at `valid_from` and, unless the change is
/// `Closed`, opens a new one there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgentChange {
    /// The source.
    pub source: SourceName,
    /// The agent.
    pub agent: AgentId,
    /// What happened.
    pub change: RosterChange,
    /// The details from then on (the last known ones for `Closed`).
    pub details: Arc<AgentDetails>,
    /// The time of the import (or poll) that saw it.
    pub valid_from: WallTime,
    /// When the id was first seen at all.
    pub first_seen: WallTime,
    /// Seen in a feed only, not yet in an import.
    pub provisional: bool,
}

/// A version of one queue, as [`AgentChange`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QueueChange {
    /// The source.
    pub source: SourceName,
    /// The queue.
    pub queue: QueueId,
    /// What happened.
    pub change: RosterChange,
    /// The details from then on (the last known ones for `Closed`).
    pub details: QueueDetails,
    /// The time of the import (or poll) that saw it.
    pub valid_from: WallTime,
    /// When the id was first seen at all.
    pub first_seen: WallTime,
    /// Seen in a feed only, not yet in an import.
    pub provisional: bool,
}

/// Whether the data of an interval are there (domain rule 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoverageStatus {
    /// Not asked for yet.
    Expected,
    /// A good answer came; `rows` may be 0.
    Fetched,
    /// The source said nothing and the settings say that silence means zero.
    EmptyConfirmed,
    /// Not there, and to be asked for again.
    Missing,
    /// Given up: outside what may be asked for.
    Failed,
}

impl CoverageStatus {
    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Fetched => "fetched",
            Self::EmptyConfirmed => "empty_confirmed",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// What is known of one interval of one feed. A later entry of the same key replaces it whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CoverageEntry {
    /// The source.
    pub source: SourceName,
    /// The feed.
    pub feed: Feed,
    /// The interval (for realtime: the quarter hour).
    pub interval_start: IntervalStart,
    /// Whether the data are there.
    pub status: CoverageStatus,
    /// How often it was asked for.
    pub attempts: u32,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
    /// Rows of the last good answer.
    pub rows: u32,
    /// When the last good answer was received.
    pub fetched_at: Option<WallTime>,
    /// When the interval became final (historical), once the 24-h re-read had passed over it.
    pub final_at: Option<WallTime>,
    /// Polls that the period asked for in the quarter hour (realtime).
    pub polls_expected: Option<u32>,
    /// Polls that were answered (realtime).
    pub polls_made: Option<u32>,
    /// Seconds of the quarter hour that nobody saw (realtime).
    pub unknown_s: Option<u32>,
}

/// A state text and its category.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateCode {
    /// The source.
    pub source: SourceName,
    /// The text as the source wrote it.
    pub state: StateText,
    /// Its category from now on.
    pub category: Category,
    /// When it was first seen.
    pub first_seen: WallTime,
    /// Whether a built-in name or a setting maps it.
    pub mapped: bool,
}
