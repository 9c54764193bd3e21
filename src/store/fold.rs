//! The state tables follow from the records: this is how, record by record (invariant 1).

use std::collections::hash_map::Entry;

use redb::WriteTransaction;

use super::StoreError;
use super::codec::{FastMap, names, rows as record_rows};
use super::dictionary::{Dictionary, state_code_key};
use super::live::Live;
use super::rows::{self, AgentRow};
use super::tables::{
    COVERAGE, DICTIONARY, INTERVALS, Number, ROSTER, ROSTER_AGENT, ROSTER_QUEUE, SealedTable,
    SourceNumber, TIME_INDEX, WriteTable, body, coverage_key, hour_key, interval_key, roster_key,
};
use crate::domain::ids::{AgentId, RecordSeq, SourceName};
use crate::domain::record::{Record, StateTransaction};

const HOUR_MS: i64 = 3_600_000;

/// What a fold leaves to be taken over once its transaction is committed.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// What transactions say of agents, in their order.
    pub(super) said: Vec<Said>,
    pub(super) hours: Vec<[u8; 7]>,
    pub(super) grown: i64,
}

/// The state tables of a transaction, each opened when the first record needs it.
struct StateTables<'txn> {
    txn: &'txn WriteTransaction,
    intervals: Option<WriteTable<'txn>>,
    coverage: Option<WriteTable<'txn>>,
    roster: Option<WriteTable<'txn>>,
    codes: Option<WriteTable<'txn>>,
    time_index: Option<WriteTable<'txn>>,
    /// The last entry of the time index that was found there.
    indexed: Option<[u8; 7]>,
}

fn opened<'a, 'txn>(
    slot: &'a mut Option<WriteTable<'txn>>,
    table: SealedTable,
    txn: &'txn WriteTransaction,
) -> Result<&'a mut WriteTable<'txn>, StoreError> {
    if slot.is_none() {
        *slot = Some(table.write(txn)?);
    }
    Ok(slot.as_mut().expect("it was filled above"))
}

/// Folds records with consecutive seqs, `first` the first, into the tables.
pub(super) fn fold<'r>(
    txn: &WriteTransaction,
    live: &mut Live,
    first: RecordSeq,
    records: impl Iterator<Item = &'r Record>,
) -> Result<Folded, StoreError> {
    let mut folded = Folded::default();
    let mut tables = StateTables {
        txn,
        intervals: None,
        coverage: None,
        roster: None,
        codes: None,
        time_index: None,
        indexed: None,
    };
    let mut last: Option<(&SourceName, SourceNumber)> = None;
    for (record, n) in records.zip(0..) {
        let seq = first.plus(n);
        let source = match last {
            Some((name, number)) if name == record.source() => number,
            _ => live.dictionary.source(record.source()),
        };
        last = Some((record.source(), source));
        folded.grown += tables.index(live, &mut folded.hours, source, record, seq)?;
        match record {
            Record::Transaction(change) => folded.said.push(Said {
                source,
                agent: change.agent.clone(),
                row: agent_row(change, seq),
            }),
            other => folded.grown += tables.put(&mut live.dictionary, source, other, seq)?,
        }
    }
    Ok(folded)
}

/// Source and agent.
pub(super) type AgentKey = (SourceNumber, Number);

/// What a transaction says of an agent. Finding the agent's number and its last state is most of
/// what a record would cost in memory that the processor has not at hand, so that it waits for
/// [`Live::settle`] together with others.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) source: SourceNumber,
    pub(super) agent: AgentId,
    pub(super) row: AgentRow,
}

/// Takes what a transaction says of its agent. The later of two is the agent's state; "later" goes
/// by `started_at`, so that salvaged records, which are journaled after newer ones, do not turn the
/// clock back.
pub(super) fn take_state(agents: &mut FastMap<AgentKey, AgentRow>, key: AgentKey, row: AgentRow) {
    match agents.entry(key) {
        Entry::Occupied(known) if known.get().since > row.since => {}
        Entry::Occupied(mut known) => {
            known.insert(row);
        }
        Entry::Vacant(new) => {
            new.insert(row);
        }
    }
}

/// What a transaction makes of its agent.
pub(super) fn agent_row(change: &StateTransaction, seq: RecordSeq) -> AgentRow {
    AgentRow {
        state: change.state.clone(),
        category: change.category,
        origin: change.origin,
        since: change.started_at,
        seq,
    }
}

/// Which entry of the time index a record belongs to.
pub(super) fn hour_of(source: SourceNumber, record: &Record) -> [u8; 7] {
    let hour = record.about().ms().div_euclid(HOUR_MS);
    let hour = i32::try_from(hour).unwrap_or(if hour < 0 { i32::MIN } else { i32::MAX });
    hour_key(source, names::feed_number(record.feed()), hour)
}

impl StateTables<'_> {
    fn index(
        &mut self,
        live: &mut Live,
        seen: &mut Vec<[u8; 7]>,
        source: SourceNumber,
        record: &Record,
        seq: RecordSeq,
    ) -> Result<i64, StoreError> {
        let key = hour_of(source, record);
        if self.indexed == Some(key) {
            return Ok(0);
        }
        self.indexed = Some(key);
        if live.hours.contains(&key) || seen.contains(&key) {
            return Ok(0);
        }
        seen.push(key);
        let table = opened(&mut self.time_index, TIME_INDEX, self.txn)?;
        if table.get(&key)?.is_some() {
            return Ok(0);
        }
        table.put(&key, body(|w| w.varint(seq.get())))
    }

    fn put(
        &mut self,
        dictionary: &mut Dictionary,
        source: SourceNumber,
        record: &Record,
        seq: RecordSeq,
    ) -> Result<i64, StoreError> {
        match record {
            Record::Transaction(_) => Ok(0),
            Record::Interval(r) => {
                let key = interval_key(source, r.interval_start, dictionary.queue(&r.queue));
                let table = opened(&mut self.intervals, INTERVALS, self.txn)?;
                table.put(&key, body(|w| rows::write_interval(w, r, seq, false)))
            }
            Record::Coverage(r) => {
                let key = coverage_key(source, names::feed_number(r.feed), r.interval_start);
                let table = opened(&mut self.coverage, COVERAGE, self.txn)?;
                let value = body(|w| {
                    w.varint(seq.get());
                    record_rows::write_coverage(w, r);
                });
                table.put(&key, value)
            }
            Record::Agent(r) => {
                let key = roster_key(source, ROSTER_AGENT, dictionary.agent(&r.agent));
                let table = opened(&mut self.roster, ROSTER, self.txn)?;
                let value = body(|w| {
                    w.varint(seq.get());
                    record_rows::write_agent(w, r);
                });
                table.put(&key, value)
            }
            Record::Queue(r) => {
                let key = roster_key(source, ROSTER_QUEUE, dictionary.queue(&r.queue));
                let table = opened(&mut self.roster, ROSTER, self.txn)?;
                let value = body(|w| {
                    w.varint(seq.get());
                    record_rows::write_queue(w, r);
                });
                table.put(&key, value)
            }
            Record::StateCode(r) => {
                let key = state_code_key(source, dictionary.state(&r.state));
                let table = opened(&mut self.codes, DICTIONARY, self.txn)?;
                let value = body(|w| {
                    w.varint(seq.get());
                    record_rows::write_state_code(w, r);
                });
                table.put(&key, value)
            }
        }
    }
}
