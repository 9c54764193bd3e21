//! A batch as rows of the neutral tables, reduced to the newest record per key.
//!
//! Every database destination begins here, so that all of them write the same. What is reduced
//! away is gone only where a newer record of the batch says all that it said; what is gathered
//! over several records (first stored, last seen) is gathered before.

use std::collections::HashMap;
use std::hash::Hash;

use crate::domain::batch::Batch;
use crate::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SourceName};
use crate::domain::interval::IntervalStart;
use crate::domain::record::{
    AgentChange, CoverageEntry, IntervalRecord, Origin, QueueChange, Record, StateCode,
    StateTransaction,
};
use crate::domain::timestamp::WallTime;

/// Moments of "last seen" are cut down to this, so that they seldom change a row.
const LAST_SEEN_STEP_MS: i64 = 3_600_000;

/// The largest sum that every database's 64-bit integer holds.
pub const FIGURE_MAX: u64 = i64::MAX as u64;

/// A record and its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Row<'a, T> {
    /// The place in the journal, which guards the write.
    pub seq: RecordSeq,
    /// What is written.
    pub record: &'a T,
}

// Derived, these would ask the record itself to be `Copy`.
impl<T> Clone for Row<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Row<'_, T> {}

/// The figures of one queue and interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalRow<'a> {
    /// The newest revision.
    pub row: Row<'a, IntervalRecord>,
    /// When the oldest revision of the batch was received.
    pub first_stored_at: WallTime,
}

/// The rows of a batch, by table; within a table sorted by key, so that neighbours are written
/// together.
#[derive(Debug, Clone, Default)]
pub struct Rows<'a> {
    /// Every source that the batch speaks of.
    pub sources: Vec<&'a SourceName>,
    /// `wfm_queue`, every version.
    pub queues: Vec<Row<'a, QueueChange>>,
    /// `wfm_agent`, every version.
    pub agents: Vec<Row<'a, AgentChange>>,
    /// `wfm_queue_interval`.
    pub intervals: Vec<IntervalRow<'a>>,
    /// `wfm_queue_interval_revision`, every revision.
    pub revisions: Vec<Row<'a, IntervalRecord>>,
    /// `wfm_agent_state_transaction`.
    pub transactions: Vec<Row<'a, StateTransaction>>,
    /// `wfm_agent_state_current`.
    pub current: Vec<Row<'a, StateTransaction>>,
    /// The last hour in which each agent was really seen in a state.
    pub last_seen: Vec<LastSeen<'a>>,
    /// `wfm_state_code`.
    pub codes: Vec<Row<'a, StateCode>>,
    /// `wfm_interval_coverage`.
    pub coverage: Vec<Row<'a, CoverageEntry>>,
}

/// When an agent was last seen on the phones, to the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// The agent.
    pub agent: &'a AgentId,
    /// The start of the hour.
    pub hour: WallTime,
}

impl<'a> Rows<'a> {
    /// The rows that the batch's records come to.
    pub fn of(batch: &'a Batch) -> Self {
        let mut newest = Newest::default();
        let mut rows = Self::default();
        for entry in &batch.records {
            let seq = entry.seq;
            rows.note_source(entry.record.source());
            match &entry.record {
                Record::Interval(record) => {
                    rows.revisions.push(Row { seq, record });
                    newest.interval(seq, record);
                }
                Record::Transaction(record) => newest.transaction(seq, record),
                Record::Agent(record) => {
                    let key = (&record.source, &record.agent, record.valid_from);
                    newest.agents.insert(key, Row { seq, record });
                }
                Record::Queue(record) => {
                    let key = (&record.source, &record.queue, record.valid_from);
                    newest.queues.insert(key, Row { seq, record });
                }
                Record::Coverage(record) => {
                    let key = (&record.source, record.feed, record.interval_start);
                    newest.coverage.insert(key, Row { seq, record });
                }
                Record::StateCode(record) => {
                    let key = (&record.source, record.state.as_str());
                    newest.codes.insert(key, Row { seq, record });
                }
            }
        }
        newest.into_rows(rows)
    }

    fn note_source(&mut self, source: &'a SourceName) {
        // Batches mostly speak of one source, and never of many.
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
    }

    /// The records that no database can hold, with the reason: figures past 64 bits.
    pub fn unstorable(&self) -> Vec<(RecordSeq, String)> {
        let too_large = |row: &Row<'a, IntervalRecord>| {
            let figures = row.record.figures;
            let all = [figures.entered, figures.abandoned, figures.handle_time_s];
            let worst = all.into_iter().flatten().max()?;
            (worst > FIGURE_MAX).then(|| (row.seq, format!("{worst} is past 64 bits")))
        };
        self.revisions.iter().filter_map(too_large).collect()
    }
}

type VersionKey<'a, Id> = (&'a SourceName, &'a Id, WallTime);

#[derive(Default)]
struct Newest<'a> {
    queues: HashMap<VersionKey<'a, QueueId>, Row<'a, QueueChange>>,
    agents: HashMap<VersionKey<'a, AgentId>, Row<'a, AgentChange>>,
    intervals: HashMap<(&'a SourceName, IntervalStart, &'a QueueId), IntervalRow<'a>>,
    transactions: HashMap<VersionKey<'a, AgentId>, Row<'a, StateTransaction>>,
    current: HashMap<(&'a SourceName, &'a AgentId), Row<'a, StateTransaction>>,
    last_seen: HashMap<(&'a SourceName, &'a AgentId), WallTime>,
    codes: HashMap<(&'a SourceName, &'a str), Row<'a, StateCode>>,
    coverage: HashMap<(&'a SourceName, Feed, IntervalStart), Row<'a, CoverageEntry>>,
}

impl<'a> Newest<'a> {
    fn interval(&mut self, seq: RecordSeq, record: &'a IntervalRecord) {
        let key = (&record.source, record.interval_start, &record.queue);
        let row = Row { seq, record };
        self.intervals
            .entry(key)
            .and_modify(|known| {
                known.row = row;
                known.first_stored_at = known.first_stored_at.min(record.answered_at);
            })
            .or_insert(IntervalRow {
                row,
                first_stored_at: record.answered_at,
            });
    }

    fn transaction(&mut self, seq: RecordSeq, record: &'a StateTransaction) {
        let agent = (&record.source, &record.agent);
        let row = Row { seq, record };
        self.transactions
            .insert((agent.0, agent.1, record.started_at), row);
        self.current.insert(agent, row);
        let seen = matches!(
            record.origin,
            Origin::Source | Origin::Observed | Origin::Resync
        );
        if seen {
            let at = record.observed_at.ms();
            let hour = WallTime::from_ms(at - at.rem_euclid(LAST_SEEN_STEP_MS));
            let known = self.last_seen.entry(agent).or_insert(hour);
            *known = hour.max(*known);
        }
    }

    fn into_rows(self, mut rows: Rows<'a>) -> Rows<'a> {
        one_of_each_revision(&mut rows.revisions);
        let mut last_seen: Vec<_> = self.last_seen.into_iter().collect();
        last_seen.sort_unstable();
        Rows {
            queues: by_key(self.queues),
            agents: by_key(self.agents),
            intervals: by_key(self.intervals),
            transactions: by_key(self.transactions),
            current: by_key(self.current),
            last_seen: last_seen
                .into_iter()
                .map(|((source, agent), hour)| LastSeen {
                    source,
                    agent,
                    hour,
                })
                .collect(),
            codes: by_key(self.codes),
            coverage: by_key(self.coverage),
            ..rows
        }
    }
}

/// Sorts them; of one revision that comes twice, the newest record stays.
fn one_of_each_revision(rows: &mut Vec<Row<'_, IntervalRecord>>) {
    fn key<'a>(row: &Row<'a, IntervalRecord>) -> (&'a SourceName, IntervalStart, &'a QueueId, u32) {
        let record = row.record;
        (
            &record.source,
            record.interval_start,
            &record.queue,
            record.revision,
        )
    }
    rows.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(b.seq.cmp(&a.seq)));
    rows.dedup_by(|later, kept| key(later) == key(kept));
}

fn by_key<K: Ord + Hash, V>(rows: HashMap<K, V>) -> Vec<V> {
    let mut rows: Vec<(K, V)> = rows.into_iter().collect();
    rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    rows.into_iter().map(|(_, row)| row).collect()
}
