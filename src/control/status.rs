//! The picture of the box: what `status`, the page, the metrics and `/api/v1/status` show.
//!
//! It is plain data that survives its way through JSON, so that the command and the page cannot
//! say different things. Moments are RFC 3339 in UTC, spans whole seconds, sizes bytes. New fields
//! may be added; none is renamed or given another meaning. It never holds a secret.

use serde::{Deserialize, Serialize};

pub use crate::domain::alarm::Severity;

use crate::domain::alarm::AlarmCode;
use crate::domain::health::FeedCounts;
use crate::domain::timestamp::WallTime;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The box.
    pub box_id: String,
    /// The journal's identity.
    pub store_id: String,
    /// The process.
    pub pid: u32,
    /// When the picture was taken.
    #[serde(with = "super::rfc3339")]
    pub at: WallTime,
    /// When the process started.
    #[serde(with = "super::rfc3339")]
    pub started_at: WallTime,
    /// Whether the store is open and every worker steps in time. A Thrio or a destination that is
    /// down does not make the box unready.
    pub ready: bool,
    /// The configuration that runs.
    pub configuration: ConfigurationStatus,
    /// Each feed of each source.
    pub feeds: Vec<FeedStatus>,
    /// Each destination.
    pub destinations: Vec<DestinationStatus>,
    /// The journal.
    pub store: StoreStatus,
    /// Each worker thread.
    pub workers: Vec<WorkerStatus>,
    /// What a person should know or do, the worst first.
    pub problems: Vec<Problem>,
    /// How people are told of them.
    #[serde(default)]
    pub alarms: AlarmsStatus,
    /// Since when certificates, tokens and passwords count, and until when.
    #[serde(default)]
    pub expiries: Vec<ExpiryStatus>,
}

/// A certificate, a token or a password that the box uses or shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryStatus {
    /// Whose it is: `control: certificate`, `destination wfm: token` ...
    pub name: String,
    /// `certificate`, `token`, `session` (the program renews it by itself) or `password`.
    pub kind: String,
    /// The file, the credential or the server.
    pub place: String,
    /// Since when it counts: of a certificate and a token what it says itself, of a session the
    /// login, of a password the time of its file.
    #[serde(with = "super::rfc3339::option")]
    pub since: Option<WallTime>,
    /// Until when, where it says so itself.
    #[serde(with = "super::rfc3339::option")]
    pub until: Option<WallTime>,
    /// When it was looked at.
    #[serde(with = "super::rfc3339::option")]
    pub looked_at: Option<WallTime>,
    /// Why nothing is known of it, if nothing is.
    pub error: Option<String>,
}

/// How people are told of problems.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlarmsStatus {
    /// Each way that is set up.
    pub ways: Vec<AlarmWayStatus>,
    /// Whether an address is called while all is well.
    #[serde(default)]
    pub heartbeat: bool,
    /// Why the heartbeat's address was not reached the last time, if it was not.
    pub heartbeat_error: Option<String>,
}

/// One way of telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmWayStatus {
    /// `webhook` or `command`.
    pub way: String,
    /// Changes that wait to be told.
    pub waiting: usize,
    /// Failures since the last message that arrived.
    pub failures: u32,
    /// Why the last one failed, if it did.
    pub last_error: Option<String>,
    /// When the last one arrived.
    #[serde(with = "super::rfc3339::option")]
    pub last_told_at: Option<WallTime>,
}

/// The configuration that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigurationStatus {
    /// The file; none for a daemon that was given its configuration (the demo).
    pub file: Option<String>,
    /// When it was taken over.
    #[serde(with = "super::rfc3339::option")]
    pub loaded_at: Option<WallTime>,
    /// Why the last reload changed nothing, if it did not.
    pub reload_error: Option<String>,
    /// Why the next start would refuse the files on disk, if it would.
    #[serde(default)]
    pub file_error: Option<String>,
    /// The parts about which the files on disk say something else than what runs.
    #[serde(default)]
    pub file_differs: Vec<String>,
}

/// One feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedStatus {
    /// The source.
    pub source: String,
    /// `realtime`, `historical` or `configuration`.
    pub feed: String,
    /// What it is doing.
    pub phase: String,
    /// Why it waits for a person, if it does.
    pub held: Option<String>,
    /// Seconds until it acts next.
    pub next_in_s: Option<u64>,
    /// When the last usable answer was received.
    #[serde(with = "super::rfc3339::option")]
    pub last_success_at: Option<WallTime>,
    /// When the last complete poll, run or import was received.
    #[serde(with = "super::rfc3339::option")]
    pub last_complete_poll_at: Option<WallTime>,
    /// When the last answer that changed something was received.
    #[serde(with = "super::rfc3339::option")]
    pub last_data_at: Option<WallTime>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Why the last call failed, if it did.
    pub last_error: Option<String>,
    /// The source's clock minus the box's.
    pub clock_offset_ms: Option<i64>,
    /// How far the feed lies behind what should be there.
    pub lag_s: u64,
    /// A realtime feed that has been blind for more than two periods.
    pub is_stale: bool,
    /// Counters since the store began.
    pub counts: FeedCounts,
    /// Rows received = changed + unchanged + rejected (domain rule 13).
    pub balanced: bool,
    /// What only this kind of feed has to say, by name.
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Its name.
    pub name: String,
    /// `sqlite`, `postgres` ...
    pub kind: String,
    /// `connecting`, `idle`, `sending`, `waiting`, `held` or `paused`.
    pub phase: String,
    /// Why it waits for a person, if it does.
    pub held: Option<String>,
    /// What that person can do.
    pub remedy: Option<String>,
    /// Seconds until it is tried again.
    pub next_in_s: Option<u64>,
    /// Journaled and not yet acknowledged.
    pub backlog: u64,
    /// When the oldest of them was journaled.
    #[serde(with = "super::rfc3339::option")]
    pub oldest_unsent_at: Option<WallTime>,
    /// How long it has waited.
    pub oldest_unsent_age_s: Option<u64>,
    /// Taken by the destination.
    pub acknowledged: u64,
    /// Of the acknowledged: held back by `sources`, `feeds` or `facts_from`.
    pub filtered: u64,
    /// Journaled before the destination was there.
    pub skipped: u64,
    /// Refused for good and kept.
    pub quarantined: u64,
    /// Given up by the store before they could be sent.
    pub expired: u64,
    /// Unreadable in the journal.
    pub damaged: u64,
    /// Last seq = skipped + acknowledged + quarantined + expired + damaged + backlog (rule 13).
    pub balanced: bool,
    /// Records per batch at present.
    pub batch_records: usize,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Why the last call failed, if it did.
    pub last_error: Option<String>,
    /// Seconds since something was last taken.
    pub last_success_s_ago: Option<u64>,
    /// When a batch of records was last acknowledged, in this life of the process.
    #[serde(with = "super::rfc3339::option", default)]
    pub last_acknowledged_at: Option<WallTime>,
    /// Since when it waits for a person.
    #[serde(with = "super::rfc3339::option", default)]
    pub held_since: Option<WallTime>,
    /// About how many bytes of the journal the backlog takes.
    #[serde(default)]
    pub backlog_bytes: Option<u64>,
    /// Records that became done in a second, over the last minute.
    #[serde(default)]
    pub rate_per_s: Option<f64>,
    /// `growing`, `shrinking` or `steady`: the backlog over the last minute.
    #[serde(default)]
    pub trend: Option<String>,
    /// When the backlog is gone if it shrinks on like this; none where it does not.
    #[serde(default)]
    pub time_left_s: Option<u64>,
    /// Whether new records go first while the backlog drains behind them.
    #[serde(default)]
    pub live_first: bool,
    /// A replay that is under way.
    #[serde(default)]
    pub replay: Option<ReplayStatus>,
    /// Quarantined records that wait to be sent again.
    #[serde(default)]
    pub retries_waiting: usize,
    /// Records that `reconcile --repair` sends again and that wait for it.
    #[serde(default)]
    pub resends_waiting: usize,
    /// The last comparison of this life of the process.
    #[serde(default)]
    pub last_reconcile: Option<ReconcileStatus>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStatus {
    /// The next seq that it sends.
    pub next_seq: u64,
    /// The last one.
    pub to_seq: u64,
    /// Positions that remain.
    pub remaining: u64,
    /// Records that it has sent.
    pub sent: u64,
}

/// What a comparison of the box with a destination found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReconcileStatus {
    /// When it ended.
    #[serde(with = "super::rfc3339::option")]
    pub at: Option<WallTime>,
    /// The first day (UTC).
    pub from: Option<String>,
    /// The day after the last.
    pub to: Option<String>,
    /// Queue-days and agent-days that were compared.
    pub compared: u64,
    /// Those that could not be judged: not acknowledged yet, refused or skipped.
    pub not_judged: u64,
    /// Those that differ.
    pub differences: u64,
    /// Why it could not be done, if it could not.
    pub error: Option<String>,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreStatus {
    /// The oldest seq that is kept.
    pub first_seq: u64,
    /// The last journaled seq.
    pub last_seq: u64,
    /// Allocated bytes on disk.
    pub allocated_bytes: Option<u64>,
    /// Bytes that its file system has left.
    pub free_bytes: Option<u64>,
    /// How full it is: `low`, `half` (acknowledged records go early) or `full` (the oldest go).
    pub pressure: Option<String>,
    /// Records that were given up for want of room before every destination had them.
    pub expired: u64,
    /// For how long none was given up any more, if any was since the start.
    #[serde(default)]
    pub given_up_ago_s: Option<u64>,
    /// The budget.
    pub max_bytes: u64,
    /// Bytes of all entries that are kept.
    #[serde(default)]
    pub live_bytes: Option<u64>,
    /// Bytes that may be used in all: the budget, or less where the disk has less.
    #[serde(default)]
    pub budget_bytes: Option<u64>,
    /// Records journaled in the last hour, as an hour's rate; none in the first ten minutes.
    #[serde(default)]
    pub records_per_h: Option<u64>,
    /// The first start ever of this state directory.
    #[serde(with = "super::rfc3339::option")]
    pub installed_at: Option<WallTime>,
    /// Why it is not writing, if it is not.
    pub error: Option<String>,
    /// Damaged files that were set aside since the start.
    #[serde(default)]
    pub replaced: Vec<String>,
}

/// One worker thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The thread's name.
    pub name: String,
    /// Whether it steps in time.
    pub in_time: bool,
    /// What is late, where something is.
    pub note: Option<String>,
}

/// Something that a person should know or do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for scripts, also an alarm of the heartbeat: `destination_held` ...
    pub code: String,
    /// What it is about: `main/realtime`, a destination's name, `store`.
    pub subject: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// What is lost or wrong while it stands.
    #[serde(default)]
    pub at_risk: String,
    /// By when that happens, where it is known.
    #[serde(default, with = "super::rfc3339::option")]
    pub by: Option<WallTime>,
    /// Since when it stands.
    #[serde(default, with = "super::rfc3339::option")]
    pub since: Option<WallTime>,
    /// When it had stood long enough to be told, if it has.
    #[serde(default, with = "super::rfc3339::option")]
    pub raised_at: Option<WallTime>,
}

impl Problem {
    /// A problem of this code, with the catalogue's word on what is at risk and what to do.
    pub fn new(code: AlarmCode, subject: &str, message: impl Into<String>) -> Self {
        let note = code.note();
        Self {
            severity: note.severity,
            code: note.word.to_owned(),
            subject: subject.to_owned(),
            message: message.into(),
            remedy: note.remedy.to_owned(),
            at_risk: note.at_risk.to_owned(),
            by: None,
            since: None,
            raised_at: None,
        }
    }

    /// The same with the remedy that this moment knows.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: remedy.into(),
            ..self
        }
    }

    /// The same with the time that it gets worse at, where it is known.
    #[must_use]
    pub fn by(self, by: Option<WallTime>) -> Self {
        Self { by, ..self }
    }
}

impl Status {
    /// What `alarm list` and `/api/v1/alarms` show of it.
    pub fn alarm_list(&self) -> serde_json::Value {
        serde_json::json!({
            "at": self.at.to_string(), "alarms": self.problems, "told": self.alarms,
        })
    }
}

/// One line for the service manager and the log.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let backlog: u64 = self
            .destinations
            .iter()
            .map(|d| d.backlog)
            .max()
            .unwrap_or(0);
        write!(
            f,
            "{}: {} feeds, {} destinations, {} records journaled, backlog {backlog}, {} problems",
            if self.ready { "ready" } else { "not ready" },
            self.feeds.len(),
            self.destinations.len(),
            self.store.last_seq,
            self.problems.len(),
        )
    }
}

#[cfg(test)]
pub(super) mod tests;
