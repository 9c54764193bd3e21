//! The words of the batch protocol, which `thrio-edge receive` and others understand:
//! `docs/upstream-protocol.md`. What is said here is said to programs of other years and makers, so
//! it is only ever added to.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{RecordSeq, SeqRange, SourceName, StoreId};
use crate::domain::record::{AgentChange, QueueChange, Record};

/// What a body is.
pub const EVENTS_TYPE: &str = "application/cloudevents-batch+json";
/// What a body is where it has a record a line.
pub const LINES_TYPE: &str = "application/x-ndjson";
/// A label of the batch, `{store_id}:{first_seq}-{last_seq}`. A retry may be cut differently, so it
/// is no key.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The store whose records travel: 32 hexadecimal digits.
pub const STORE: &str = "thrio-edge-store";
/// The seqs that the batch stands for, `{first_seq}-{last_seq}`; more than its events, where some
/// were filtered. Without it the body's events have no seq.
pub const RANGE: &str = "thrio-edge-range";

/// How the type of every event begins.
pub const TYPE_PREFIX: &str = "thrio-edge.";

/// The types of events.
pub mod types {
    /// An interval's figures.
    pub const INTERVAL: &str = "thrio-edge.interval";
    /// A state transaction.
    pub const TRANSACTION: &str = "thrio-edge.transaction";
    /// A version of an agent.
    pub const AGENT: &str = "thrio-edge.agent";
    /// A version of a queue.
    pub const QUEUE: &str = "thrio-edge.queue";
    /// A coverage entry.
    pub const COVERAGE: &str = "thrio-edge.coverage";
    /// A state's meaning.
    pub const STATE_CODE: &str = "thrio-edge.state_code";
    /// The box and its feeds are alive. Without a seq, as all below.
    pub const HEARTBEAT: &str = "thrio-edge.heartbeat";
    /// The state of one agent now.
    pub const CURRENT_STATE: &str = "thrio-edge.current_state";
    /// Every agent and queue of a source, under a new claim.
    pub const ROSTER: &str = "thrio-edge.roster";
    /// The box wants to write these sources.
    pub const CLAIM: &str = "thrio-edge.claim";
}

/// The type of a record's event.
pub const fn type_of(record: &Record) -> &'static str {
    match record {
        Record::Interval(_) => types::INTERVAL,
        Record::Transaction(_) => types::TRANSACTION,
        Record::Agent(_) => types::AGENT,
        Record::Queue(_) => types::QUEUE,
        Record::Coverage(_) => types::COVERAGE,
        Record::StateCode(_) => types::STATE_CODE,
    }
}

/// The id of a record's event.
pub fn event_id(store_id: StoreId, seq: RecordSeq) -> String {
    format!("{store_id}:{seq}")
}

/// The store and the place that an event's id names.
pub fn parse_event_id(id: &str) -> Option<(StoreId, RecordSeq)> {
    let (store, seq) = id.split_once(':')?;
    let store = StoreId::try_from(store.to_owned()).ok()?;
    Some((store, RecordSeq::new(number(seq)?)))
}

/// A range as its header writes it.
pub fn range_text(range: SeqRange) -> String {
    format!("{}-{}", range.first, range.last)
}

/// The range that a header says.
pub fn parse_range(text: &str) -> Option<SeqRange> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (0 < first && first <= last).then(|| SeqRange::new(RecordSeq::new(first), RecordSeq::new(last)))
}

fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number)?;
    // The last seq of all has none after it.
    (number < u64::MAX).then_some(number)
}

/// The answer to what was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// How many of the body's events are applied now: in this call or an earlier one.
    pub applied: u64,
    /// Sources that the box has claimed anew, and whose roster is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roster_wanted: Vec<SourceName>,
}

/// The answer to what was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotApplied {
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// The events at fault, where that is known; without them nothing else was wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<EventError>,
}

/// One event that will never be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventError {
    /// The event's id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// The answer to the question what is applied already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppliedRanges {
    /// The applied seqs of the store, merged and ascending.
    pub applied: Vec<SeqRange>,
}

/// The data of [`types::CLAIM`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The sources that the box writes.
    pub sources: Vec<SourceName>,
    /// Those of them that it takes from whatever box has them: a person said so.
    #[serde(default)]
    pub take_over: Vec<SourceName>,
}

/// The data of [`types::ROSTER`]: the last version of every agent and queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Roster {
    /// The source.
    pub source: SourceName,
    /// Its agents.
    pub agents: Vec<AgentChange>,
    /// Its queues.
    pub queues: Vec<QueueChange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_a_range_are_read_as_they_are_written() {
        let store = StoreId::from_bits(0xab);
        let id = event_id(store, RecordSeq::new(7));
        assert_eq!(parse_event_id(&id), Some((store, RecordSeq::new(7))));
        let range = SeqRange::new(RecordSeq::new(3), RecordSeq::new(9));
        assert_eq!(parse_range(&range_text(range)), Some(range));
    }

    #[test]
    fn what_is_neither_is_not_guessed_at() {
        for bad in ["", "7", "x:7", "00000000000000000000000000000000:+7"] {
            assert_eq!(parse_event_id(bad), None, "{bad}");
        }
        for bad in ["", "3", "9-3", "0-4", "+1-2", "1-18446744073709551615"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
