//! The rows of the JSON API. Their fields are described once, in `docs/openapi.yaml`, which a test
//! holds against what is answered.
#![expect(missing_docs, reason = "docs/openapi.yaml describes every field")]

use serde::Serialize;

use super::rfc3339;
use crate::domain::ids::{
    AgentId, DestinationName, Feed, QueueId, RecordSeq, SeqRange, SourceName, StateText,
};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::record::{
    Category, CoverageStatus, Figures, IntervalRecord, Origin, SequencedRecord, StateTransaction,
    Suspect,
};
use crate::domain::timestamp::WallTime;

/// A page: its rows, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rows<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentRow {
    #[serde(flatten)]
    pub state: AgentState,
    pub display_name: Option<String>,
    pub username: Option<String>,
    pub is_active: bool,
    pub mapped: bool,
    #[serde(with = "rfc3339::option")]
    pub last_confirmed_at: Option<WallTime>,
    pub is_stale: bool,
}

/// What an agent does, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentState {
    pub source: SourceName,
    pub agent_id: AgentId,
    pub state: StateText,
    pub category: Category,
    #[serde(with = "rfc3339")]
    pub since: WallTime,
    pub origin: Origin,
    pub seq: RecordSeq,
}

/// The agents that changed, and up to which seq that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub rows: Vec<AgentState>,
    pub seq: RecordSeq,
    /// Too many changed to tell one by one.
    pub too_many: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    pub source: SourceName,
    pub queue_id: QueueId,
    pub name: Option<String>,
    pub description: Option<String>,
    pub is_active: bool,
    #[serde(with = "rfc3339")]
    pub first_seen: WallTime,
    #[serde(with = "rfc3339")]
    pub valid_from: WallTime,
    pub provisional: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntervalRow {
    pub source: SourceName,
    pub queue_id: QueueId,
    pub queue_name: Option<String>,
    #[serde(with = "rfc3339")]
    pub interval_start: WallTime,
    pub interval_s: i64,
    pub entered: Option<u64>,
    pub abandoned: Option<u64>,
    pub handle_time_s: Option<u64>,
    pub abandon_rate: Option<f64>,
    pub aht_per_entered_s: Option<f64>,
    pub aht_per_handled_s: Option<f64>,
    pub status: &'static str,
    pub suspect: Option<&'static str>,
    pub revision: Option<u32>,
    pub reason: Option<&'static str>,
    pub run: Option<&'static str>,
    #[serde(with = "rfc3339::option")]
    pub answered_at: Option<WallTime>,
    #[serde(with = "rfc3339::option")]
    pub final_at: Option<WallTime>,
    pub seq: Option<RecordSeq>,
}

impl IntervalRow {
    /// An interval of which nothing is stored.
    pub fn absent(
        source: SourceName,
        queue_id: QueueId,
        start: IntervalStart,
        status: &'static str,
    ) -> Self {
        Self {
            source,
            queue_id,
            queue_name: None,
            interval_start: start.start(),
            interval_s: INTERVAL_S,
            entered: None,
            abandoned: None,
            handle_time_s: None,
            abandon_rate: None,
            aht_per_entered_s: None,
            aht_per_handled_s: None,
            status,
            suspect: None,
            revision: None,
            reason: None,
            run: None,
            answered_at: None,
            final_at: None,
            seq: None,
        }
    }

    /// A stored revision; `status` follows from its reason and the coverage.
    pub fn stored(record: IntervalRecord, seq: RecordSeq, final_at: Option<WallTime>) -> Self {
        use crate::domain::record::RevisionReason;
        let status = match (record.reason, final_at) {
            (RevisionReason::Restated, _) => "restated",
            (_, Some(_)) => "final",
            (_, None) => "provisional",
        };
        let Figures {
            entered,
            abandoned,
            handle_time_s,
        } = record.figures;
        let handled = entered
            .zip(abandoned)
            .and_then(|(entered, abandoned)| entered.checked_sub(abandoned));
        Self {
            entered,
            abandoned,
            handle_time_s,
            abandon_rate: ratio(abandoned, entered),
            aht_per_entered_s: ratio(handle_time_s, entered),
            aht_per_handled_s: ratio(handle_time_s, handled),
            suspect: record.suspect.map(Suspect::as_str),
            revision: Some(record.revision),
            reason: Some(record.reason.as_str()),
            run: Some(record.run.as_str()),
            answered_at: Some(record.answered_at),
            final_at,
            seq: Some(seq),
            ..Self::absent(record.source, record.queue, record.interval_start, status)
        }
    }
}

/// A ratio over no contacts is empty, not zero (domain rule "reports").
#[expect(
    clippy::cast_precision_loss,
    reason = "contacts and seconds of 15 minutes are small"
)]
fn ratio(of: Option<u64>, over: Option<u64>) -> Option<f64> {
    let (of, over) = of.zip(over)?;
    (over > 0).then(|| of as f64 / over as f64)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoverageDay {
    pub source: SourceName,
    pub feed: Feed,
    /// `2026-07-25`.
    pub day: String,
    pub quarters: Vec<Quarter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarter {
    #[serde(with = "rfc3339")]
    pub start: WallTime,
    pub shown: &'static str,
    pub status: Option<CoverageStatus>,
    pub why: String,
    pub rows: Option<u32>,
    pub attempts: Option<u32>,
    pub last_error: Option<String>,
    #[serde(with = "rfc3339::option")]
    pub fetched_at: Option<WallTime>,
    #[serde(with = "rfc3339::option")]
    pub final_at: Option<WallTime>,
    pub polls_expected: Option<u32>,
    pub polls_made: Option<u32>,
    pub unknown_s: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransactionRow {
    pub seq: RecordSeq,
    pub source: SourceName,
    pub agent_id: AgentId,
    pub display_name: Option<String>,
    #[serde(with = "rfc3339")]
    pub started_at: WallTime,
    pub state: StateText,
    pub category: Category,
    pub previous_state: Option<StateText>,
    #[serde(with = "rfc3339::option")]
    pub earliest_at: Option<WallTime>,
    #[serde(with = "rfc3339")]
    pub observed_at: WallTime,
    pub origin: Origin,
    pub clamped: bool,
    pub tied: bool,
}

impl TransactionRow {
    /// The row of a record; its name comes from the roster.
    pub fn new(seq: RecordSeq, transaction: StateTransaction) -> Self {
        Self {
            seq,
            source: transaction.source,
            agent_id: transaction.agent,
            display_name: None,
            started_at: transaction.started_at,
            state: transaction.state,
            category: transaction.category,
            previous_state: transaction.previous_state,
            earliest_at: transaction.earliest_at,
            observed_at: transaction.observed_at,
            origin: transaction.origin,
            clamped: transaction.clamped,
            tied: transaction.tied,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantineRow {
    pub destination: DestinationName,
    pub seq: RecordSeq,
    pub reason: String,
    #[serde(with = "rfc3339")]
    pub at: WallTime,
    pub record: SequencedRecord,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalRows {
    pub rows: Vec<SequencedRecord>,
    pub next_seq: RecordSeq,
    pub first_seq: RecordSeq,
    pub last_seq: RecordSeq,
    pub expired: Vec<SeqRange>,
    pub damaged: Vec<SeqRange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateCodeRow {
    pub source: SourceName,
    pub state: StateText,
    pub category: Category,
    #[serde(with = "rfc3339")]
    pub first_seen: WallTime,
    pub mapped: bool,
    /// `built_in`, `file`, `page` or `nowhere`.
    pub managed: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_over_no_contacts_is_empty() {
        assert_eq!(ratio(Some(0), Some(0)), None);
        assert_eq!(ratio(None, Some(4)), None);
        assert_eq!(ratio(Some(0), Some(4)), Some(0.0));
        assert_eq!(ratio(Some(300), Some(4)), Some(75.0));
    }
}
