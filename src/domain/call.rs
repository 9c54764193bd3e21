//! What a feed's machine asks the shell to do, and what comes back.
//!
//! A worker is `begin(now) -> Do<Call>` and `finish(timing, outcome) -> Decision` around one
//! blocking call. `finish` changes nothing that is known: only `committed`, called after the
//! store has the decision's records, does. A commit that failed is therefore simply not told, and
//! the next answer is compared with what the journal really holds.

use std::fmt;
use std::time::Duration;

use super::agent::AgentEntry;
use super::health::FeedCounts;
use super::ids::{QueueId, StateText};
use super::interval::{IntervalStart, Window};
use super::queue::QueueEntry;
use super::record::{Figures, Record, Run};
use super::timestamp::{MonoTime, Now, WallTime};

/// What a worker does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do<C> {
    /// This call, now.
    Call(C),
    /// Nothing before this reading of the monotonic clock (or a wake-up).
    WaitUntil(MonoTime),
}

/// When a call was sent and its answer received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Read just before the request left.
    pub sent: Now,
    /// Read just after the last byte of the answer came (or the call failed).
    pub received: Now,
    /// The answer's `Date` header: the source's clock, in whole seconds, cut down.
    pub server_date: Option<WallTime>,
}

/// One realtime poll.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RealtimeCall {
    /// When the last complete poll was sent, for sources that answer with changes since then.
    pub since: Option<WallTime>,
}

/// One request for contact volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoricalCall {
    /// The intervals asked for: at most 24 h, sized to at most 20,000 expected rows.
    pub window: Window,
    /// The one queue asked for, where the source answers per queue.
    pub queue: Option<QueueId>,
    /// The queues that `{queues}` in a request template stands for; empty = not needed.
    pub queues: Vec<QueueId>,
    /// Which run asks.
    pub run: Run,
}

/// One list of the configuration import, fetched with all its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigurationCall {
    /// Every queue.
    Queues,
    /// Every user.
    Agents,
}

/// Why one row of an answer was not taken (the rest of the answer was).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// No agent or queue id where one is needed.
    MissingId,
    /// No state text.
    MissingState,
    /// No interval start where rows must have one.
    MissingInterval,
    /// The interval start is not a multiple of 900 s, or not a time.
    UnalignedInterval,
    /// The interval lies outside of what was asked for.
    OutsideWindow,
    /// A negative figure.
    Negative,
    /// A figure that is no number.
    NotANumber,
    /// All three figures are null.
    Empty,
    /// An earlier copy of a key that comes again later.
    Duplicate,
    /// An id or a state text longer than the neutral tables hold.
    TooLong,
    /// Not an object, or otherwise unreadable.
    Malformed,
}

impl RejectReason {
    /// The name in metrics, status and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingId => "missing_id",
            Self::MissingState => "missing_state",
            Self::MissingInterval => "missing_interval",
            Self::UnalignedInterval => "unaligned_interval",
            Self::OutsideWindow => "outside_window",
            Self::Negative => "negative",
            Self::NotANumber => "not_a_number",
            Self::Empty => "empty",
            Self::Duplicate => "duplicate",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many rejected rows of one answer are kept to be shown.
pub const REJECTED_SAMPLES_MAX: usize = 20;

/// The rejected rows of one answer: all counted, the first few kept with their reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejections {
    /// How many rows were rejected.
    pub count: u64,
    /// The first [`REJECTED_SAMPLES_MAX`] of them: reason and what was found, without secrets.
    pub samples: Vec<(RejectReason, String)>,
}

impl Rejections {
    /// Counts one row and keeps its text while there is room.
    pub fn push(&mut self, reason: RejectReason, detail: impl FnOnce() -> String) {
        self.count += 1;
        if self.samples.len() < REJECTED_SAMPLES_MAX {
            self.samples.push((reason, detail()));
        }
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.count = 0;
        self.samples.clear();
    }
}

/// A realtime answer: every row's texts in one arena, so that a poll of 20,000 agents allocates
/// nothing once the buffers have grown.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    text: String,
    rows: Vec<SnapshotRow>,
    /// The rows that were not taken.
    pub rejected: Rejections,
}

#[derive(Debug, Clone, Copy)]
struct SnapshotRow {
    agent_start: u32,
    state_start: u32,
    end: u32,
    by_username: bool,
    since: Option<WallTime>,
}

/// One agent of a realtime answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentState<'a> {
    /// The agent's id, or its username where the row had no id.
    pub agent: &'a str,
    /// Whether `agent` is a username, to be resolved through the roster.
    pub by_username: bool,
    /// The state as the source wrote it.
    pub state: &'a str,
    /// When the state began, where the source says so.
    pub since: Option<WallTime>,
}

impl Snapshot {
    /// Forgets the rows, keeping the memory for the next poll.
    pub fn clear(&mut self) {
        self.text.clear();
        self.rows.clear();
        self.rejected.clear();
    }

    /// Adds one row. The arena is bounded by the answer's size limit, far below 4 GiB.
    pub fn push(&mut self, row: AgentState<'_>) {
        let position = |len: usize| u32::try_from(len).expect("bodies are limited below 4 GiB");
        let agent_start = position(self.text.len());
        self.text.push_str(row.agent);
        let state_start = position(self.text.len());
        self.text.push_str(row.state);
        self.rows.push(SnapshotRow {
            agent_start,
            state_start,
            end: position(self.text.len()),
            by_username: row.by_username,
            since: row.since,
        });
    }

    /// The row with this index, in the order of the answer.
    ///
    /// # Panics
    /// Where no row has this index.
    pub fn row(&self, index: usize) -> AgentState<'_> {
        self.view(&self.rows[index])
    }

    fn view(&self, row: &SnapshotRow) -> AgentState<'_> {
        AgentState {
            agent: &self.text[row.agent_start as usize..row.state_start as usize],
            state: &self.text[row.state_start as usize..row.end as usize],
            by_username: row.by_username,
            since: row.since,
        }
    }

    /// The rows, in the order of the answer.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = AgentState<'_>> {
        self.rows.iter().map(|row| self.view(row))
    }

    /// How many rows were taken.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row was taken.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// One row of contact volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoricalRow {
    /// The queue, or `(all)`.
    pub queue: QueueId,
    /// The interval, inside the window that was asked for.
    pub interval_start: IntervalStart,
    /// The three sums.
    pub figures: Figures,
}

/// An answer with contact volume. No (queue, interval) comes twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoricalAnswer {
    /// The rows that were taken.
    pub rows: Vec<HistoricalRow>,
    /// The rows that were not.
    pub rejected: Rejections,
}

/// One list of the configuration import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationAnswer {
    /// The queues.
    Queues(RosterList<QueueEntry>),
    /// The agents.
    Agents(RosterList<AgentEntry>),
}

/// A list of a roster, with whether it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterList<T> {
    /// What was listed, each id once.
    pub entries: Vec<T>,
    /// False where fewer came than the source announced: such a list closes nothing.
    pub complete: bool,
    /// The entries that were not taken.
    pub rejected: Rejections,
}

/// A call that brought no usable answer, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    /// What follows.
    pub kind: FailureKind,
    /// For a person: operation, host, cause and remedy; no secret.
    pub message: String,
}

/// What a failed call means for the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Network, time-out, 5xx: try again with backoff.
    Unavailable,
    /// 429 or 503: try again, not before this long.
    Throttled {
        /// What `Retry-After` said; `None` = the backoff decides.
        retry_after: Option<Duration>,
    },
    /// The whole connection waits for a person (credentials, host not allowed) until then.
    ConnectionHeld {
        /// When the connection may try again.
        until: MonoTime,
    },
    /// This feed alone waits for a person (missing authority, wrong path).
    FeedHeld,
    /// An answer that is no Thrio API answer (HTML, cut, another shape): backoff.
    Unusable,
    /// The answer exceeded the size limit: ask for less.
    TooLarge,
    /// The process is stopping.
    Stopped,
}

/// What an answer (or a failure) means: records to journal and what to count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Each inner list is one store transaction: a realtime poll has at most one, an interval of a
    /// historical answer never straddles two, none exceeds [`COMMIT_RECORDS_MAX`] by more than one
    /// interval's rows.
    pub commits: Vec<Vec<Record>>,
    /// What the answer adds to the feed's counters; the shell stores it with the last commit.
    pub counts: FeedCounts,
    /// Where there is more than one commit: what each of them adds, so that a power cut between two
    /// leaves counters that fit the journal. Their sum is `counts`.
    pub split: Vec<FeedCounts>,
    /// An unknown queue or agent was seen: the configuration feed should run soon.
    pub import_wanted: bool,
}

impl Decision {
    /// The transactions, each with what it adds to the feed's counters. A decision without records
    /// has one part without records: its counts may ride in any later commit.
    pub fn parts(&self) -> Vec<(&[Record], FeedCounts)> {
        let Some(last) = self.commits.len().checked_sub(1) else {
            return vec![(&[], self.counts)];
        };
        let counts = |n: usize| match self.split.get(n) {
            Some(part) => *part,
            None if n == last => self.counts,
            None => FeedCounts::default(),
        };
        let parts = self.commits.iter().enumerate();
        parts.map(|(n, c)| (c.as_slice(), counts(n))).collect()
    }
}

/// So that the only writer is never blocked for long (architecture §2.1).
pub const COMMIT_RECORDS_MAX: usize = 5_000;

/// The text of a state, checked once per new text.
pub fn state_text(text: &str) -> Result<StateText, RejectReason> {
    StateText::new(text).map_err(|error| match error {
        super::ids::IdError::Empty { .. } => RejectReason::MissingState,
        _ => RejectReason::TooLong,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_gives_back_its_rows_in_order() {
        let mut snapshot = Snapshot::default();
        let rows = [
            AgentState {
                agent: "a-1",
                by_username: false,
                state: "Verfügbar",
                since: None,
            },
            AgentState {
                agent: "kim",
                by_username: true,
                state: "",
                since: Some(WallTime::from_s(7)),
            },
        ];
        for row in rows {
            snapshot.push(row);
        }
        assert_eq!(snapshot.rows().collect::<Vec<_>>(), rows);
        assert_eq!(snapshot.row(1), rows[1]);
        snapshot.clear();
        assert!(snapshot.is_empty());
    }

    #[test]
    fn rejected_rows_are_all_counted_and_the_first_kept() {
        let mut rejections = Rejections::default();
        for n in 0..50 {
            rejections.push(RejectReason::Negative, || format!("row {n}"));
        }
        assert_eq!(rejections.count, 50);
        assert_eq!(rejections.samples.len(), REJECTED_SAMPLES_MAX);
    }
}
