//! What travels over the control socket: one request as a JSON line, then JSON lines back, the last
//! of which is [`Reply::Done`] or [`Reply::Failed`]. Whoever may open the socket's file may ask.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::batch::CurrentState;
use crate::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SourceName, StoreId};
use crate::domain::interval::IntervalStart;
use crate::domain::record::{AgentChange, Category, SequencedRecord, StateCode};
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// The longest request, in bytes: a path and two moments need a small part of it.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// The most records of one page of a quarantine.
pub const QUARANTINE_PAGE_MAX: usize = 1_000;

/// What a command asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// The picture of this moment.
    Status,
    /// Read the configuration again and apply it; done once it runs.
    Reload,
    /// Import queues and agents now.
    Import {
        /// One source; all where not given.
        source: Option<String>,
        /// Only say what would change.
        dry_run: bool,
        /// Take over a list that shrank more than the settings allow.
        confirm: bool,
    },
    /// Read a span of contact volume again.
    Backfill {
        /// One source; all where not given.
        source: Option<String>,
        /// The first moment.
        #[serde(with = "super::rfc3339")]
        from: WallTime,
        /// The moment after the last.
        #[serde(with = "super::rfc3339")]
        to: WallTime,
        /// One queue; all where not given.
        queue: Option<String>,
        /// Only say what would change.
        dry_run: bool,
        /// Report until it is done, instead of returning once it is queued.
        follow: bool,
    },
    /// Validate a source's settings and save nothing.
    SourceCheck {
        /// The settings.
        settings: GivenSettings,
    },
    /// Save a source and run it.
    SourceSave {
        /// The settings.
        settings: GivenSettings,
    },
    /// Remove a saved source.
    SourceRemove {
        /// Its name.
        name: SourceName,
    },
    /// Log in with settings that need not be saved, and show what comes back.
    SourceProbe {
        /// The settings.
        settings: GivenSettings,
        /// `realtime`, `historical`, `queues` or `agents`.
        feed: String,
        /// How many polls of realtime.
        polls: u32,
    },
    /// Give a state text a category, or take a saved one back.
    MapState {
        /// The source.
        source: SourceName,
        /// The text as the source wrote it.
        state: String,
        /// The category; none takes the saved mapping back.
        category: Option<Category>,
    },
    /// What stands, since when, and how people are told of it.
    AlarmList,
    /// Send a test message each way.
    AlarmTest,
    /// Make durable what rides.
    StoreFlush,
    /// Figures of the journal.
    StoreStats,
    /// Recompute every table and both balances from the journal.
    StoreVerify,
    /// Give free pages back to the file system.
    StoreCompact,
    /// A consistent copy of the journal.
    StoreBackup {
        /// The file, absolute; it must not be there yet.
        file: PathBuf,
    },
    /// The records that destinations refused for good, a page of them.
    QuarantineList {
        /// One destination; all where not given.
        destination: Option<String>,
        /// Leaves out what comes before this seq.
        #[serde(default)]
        from_seq: u64,
        /// The most records, at most [`QUARANTINE_PAGE_MAX`].
        limit: usize,
    },
    /// One of them, whole.
    QuarantineShow {
        /// The destination.
        destination: String,
        /// Its place in the journal.
        seq: u64,
    },
    /// Send refused records once more.
    QuarantineRetry {
        /// The destination.
        destination: String,
        /// Which.
        records: QuarantineChoice,
    },
    /// Throw refused records away.
    QuarantineDiscard {
        /// The destination.
        destination: String,
        /// Which.
        records: QuarantineChoice,
    },
    /// Send once more what a destination has already.
    Replay {
        /// The destination.
        destination: String,
        /// Where to begin.
        from: ReplayFrom,
    },
    /// End a replay; what it sent stays sent.
    ReplayStop {
        /// The destination.
        destination: String,
    },
    /// Take a source over from another box.
    Claim {
        /// The source.
        source: String,
        /// Where.
        destination: String,
    },
    /// Compare what the box holds with what a destination holds.
    Reconcile {
        /// The destination.
        destination: String,
        /// The first moment; its whole day (UTC) is compared. Seven days ago where not given.
        #[serde(with = "super::rfc3339::option", default)]
        from: Option<WallTime>,
        /// The moment after the last. The beginning of today where not given.
        #[serde(with = "super::rfc3339::option", default)]
        to: Option<WallTime>,
        /// Send again what differs.
        repair: bool,
    },
    /// One page of what `export` writes.
    Export(ExportQuestion),
    /// One page of what agents do now, and since when.
    AgentsNow {
        /// The source.
        source: SourceName,
        /// The last agent of the page before.
        after: Option<AgentId>,
    },
    /// Try a destination now, whatever it waits for.
    DestinationRetry {
        /// The destination.
        destination: String,
    },
}

/// What `export` writes: records as the file destination does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportTable {
    /// The last revision of each queue and interval that begins in the span.
    Intervals,
    /// The state transactions that started in it.
    Transactions,
    /// The last version of each agent, whatever the span.
    Agents,
    /// The last version of each queue, whatever the span.
    Queues,
    /// The coverage entries of each feed and interval that begins in it.
    Coverage,
}

/// One page of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportQuestion {
    /// What.
    pub table: ExportTable,
    /// Of this source.
    pub source: SourceName,
    /// The first moment.
    #[serde(with = "super::rfc3339")]
    pub from: WallTime,
    /// The moment after the last.
    #[serde(with = "super::rfc3339")]
    pub to: WallTime,
    /// Where the page before ended.
    pub after: Option<ExportPlace>,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportPlace {
    /// With this interval and queue.
    Interval(IntervalStart, QueueId),
    /// With this place in the journal, looked at and perhaps not wanted.
    Seq(RecordSeq),
    /// With this agent.
    Agent(AgentId),
    /// With this queue.
    Queue(QueueId),
    /// With this feed and interval.
    Coverage(Feed, IntervalStart),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportPage {
    /// Whose records they are.
    pub store_id: StoreId,
    /// The records; there may be none although more follow.
    pub records: Vec<SequencedRecord>,
    /// Where the next page begins; none at the end.
    pub next: Option<ExportPlace>,
}

/// A page of what agents do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentsNowPage {
    /// What each does, and its last version in the roster.
    pub agents: Vec<(CurrentState, Option<AgentChange>)>,
    /// Whether more follow.
    pub more: bool,
    /// Every state text of the source with its present meaning.
    pub codes: Vec<StateCode>,
    /// Until when somebody saw it.
    #[serde(with = "super::rfc3339::option")]
    pub seen_until: Option<WallTime>,
}

/// Which records of a quarantine are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineChoice {
    /// Every one.
    All,
    /// Those at these places in the journal.
    Seqs(Vec<u64>),
}

/// Where a replay begins; it ends with what was journaled last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayFrom {
    /// This record.
    Seq(u64),
    /// The first record about this moment or a later one, to the hour.
    Time(#[serde(with = "super::rfc3339")] WallTime),
}

/// A `[[source]]` table as JSON. It may hold passwords: `Debug`, which the log uses, shows the name
/// only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GivenSettings(pub Map<String, Value>);

impl GivenSettings {
    /// The source's name; empty where none is given.
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or("")
    }
}

impl fmt::Debug for GivenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GivenSettings({:?})", self.name())
    }
}

/// One line back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It goes on.
    Progress {
        /// How far it is.
        value: serde_json::Value,
    },
    /// It is done; the last line.
    Done {
        /// What came of it.
        value: serde_json::Value,
    },
    /// It was not done; the last line.
    Failed {
        /// What the command exits with.
        exit: u8,
        /// Why.
        message: String,
    },
}

/// Why the daemon did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What the command exits with.
    pub exit: Exit,
    /// Why.
    pub message: String,
    /// Each thing that is wrong, where it is settings that were refused.
    pub problems: Vec<Value>,
}

impl Refusal {
    /// A refusal with this code and this reason.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            problems: Vec::new(),
        }
    }
}

impl From<Result<serde_json::Value, Refusal>> for Reply {
    fn from(outcome: Result<serde_json::Value, Refusal>) -> Self {
        match outcome {
            Ok(value) => Self::Done { value },
            Err(refusal) => Self::Failed {
                exit: refusal.exit.code(),
                message: refusal.message,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_that_a_person_can_write() {
        let line = r#"{"command":"backfill","source":null,"from":"2026-07-25T00:00:00Z",
            "to":"2026-07-26T00:00:00Z","queue":null,"dry_run":true,"follow":false}"#;
        let request: Request = serde_json::from_str(line).unwrap();
        assert!(matches!(request, Request::Backfill { dry_run: true, .. }));
        let status: Request = serde_json::from_str(r#"{"command":"status"}"#).unwrap();
        assert_eq!(status, Request::Status);
        assert!(serde_json::from_str::<Request>(r#"{"command":"explode"}"#).is_err());
        let discard =
            r#"{"command":"quarantine_discard","destination":"wfm","records":{"seqs":[7]}}"#;
        let request: Request = serde_json::from_str(discard).unwrap();
        let records = QuarantineChoice::Seqs(vec![7]);
        let destination = "wfm".to_owned();
        assert_eq!(
            request,
            Request::QuarantineDiscard {
                destination,
                records
            }
        );
        let replay =
            r#"{"command":"replay","destination":"wfm","from":{"time":"2026-07-25T17:20:00Z"}}"#;
        let request: Request = serde_json::from_str(replay).unwrap();
        assert!(
            matches!(request, Request::Replay { from: ReplayFrom::Time(at), .. } if at.s() == 1_785_000_000)
        );
    }
}
