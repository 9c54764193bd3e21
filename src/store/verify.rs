//! `store verify`: every fold and both balances, recomputed from the journal and compared with
//! what the tables say. Counters are what is checked, never what is believed.
//!
//! The journal is walked once; memory is bounded by the agents, not by the records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use redb::ReadTransaction;

use super::StoreError;
use super::beside;
use super::codec::{Interner, Slot, names, rows as record_rows};
use super::dictionary::{Dictionary, KIND_STATE_CODE, state_code_key};
use super::engine::Engine;
use super::fold;
use super::journal;
use super::live::Position;
use super::rows::{self, AgentRow};
use super::tables::{
    AGENT_STATES, COVERAGE, DICTIONARY, INTERVALS, JOURNAL, META, ROSTER, ROSTER_AGENT,
    ROSTER_QUEUE, ReadTable, SEALED, TIME_INDEX, agent_key, body, coverage_key, feed_key,
    interval_key, roster_key,
};
use crate::domain::ids::{Feed, RecordSeq, SeqRange, SourceName};
use crate::domain::record::Record;

/// Problems that are told one by one; beyond these they are only counted.
pub(super) const PROBLEMS_LISTED_MAX: usize = 100;

/// What `store verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Verified {
    /// Blocks that were read.
    pub blocks: u64,
    /// Records that were read.
    pub records: u64,
    /// Positions that were given up for want of room.
    pub expired: u64,
    /// Ranges that cannot be read, or could not when they were set aside.
    pub damaged: Vec<SeqRange>,
    /// Whether nothing was ever deleted, so that the feeds' balance could be checked too.
    pub feeds_balanced: bool,
    /// The first hundred contradictions, each a sentence.
    pub problems: Vec<String>,
    /// All of them.
    pub problems_count: u64,
}

impl Verified {
    /// Whether the store is exactly what its journal says.
    pub fn is_sound(&self) -> bool {
        self.problems_count == 0
    }

    fn problem(&mut self, text: impl FnOnce() -> String) {
        self.problems_count += 1;
        if self.problems.len() < PROBLEMS_LISTED_MAX {
            self.problems.push(text());
        }
    }
}

impl Engine {
    /// See [`super::Store::verify`].
    pub(super) fn verify(&self) -> Result<Verified, StoreError> {
        self.read(|txn| {
            check_seals(txn)?;
            let mut check = Check::new(txn)?;
            check.walk(txn)?;
            check.rows()?;
            check.agents()?;
            check.feeds(txn)?;
            check.destinations(txn)?;
            Ok(check.found)
        })
    }
}

/// Every value's seal, read and compared.
fn check_seals(txn: &ReadTransaction) -> Result<(), StoreError> {
    for table in SEALED {
        table.read(txn)?.scan(&[], &[], |_, _| Ok(true))?;
    }
    // What lies beside the blocks is read, and so checked, by what follows.
    Ok(())
}

struct Check {
    found: Verified,
    position: Position,
    dictionary: Dictionary,
    tables: [ReadTable; 4],
    time_index: ReadTable,
    agent_states: ReadTable,
    /// Rows that are exactly the record with their seq, by table.
    matched: [u64; 4],
    agents: HashMap<(u16, u32), AgentRow>,
    journaled: BTreeMap<(String, Feed), u64>,
    holes: Vec<SeqRange>,
    hours: HashSet<[u8; 7]>,
}

const OF_INTERVALS: usize = 0;
const OF_COVERAGE: usize = 1;
const OF_ROSTER: usize = 2;
const OF_CODES: usize = 3;

impl Check {
    fn new(txn: &ReadTransaction) -> Result<Self, StoreError> {
        let tables = [
            INTERVALS.read(txn)?,
            COVERAGE.read(txn)?,
            ROSTER.read(txn)?,
            DICTIONARY.read(txn)?,
        ];
        Ok(Self {
            found: Verified::default(),
            position: beside::position(txn)?,
            dictionary: Dictionary::load(&DICTIONARY.read(txn)?)?,
            tables,
            time_index: TIME_INDEX.read(txn)?,
            agent_states: AGENT_STATES.read(txn)?,
            matched: [0; 4],
            agents: HashMap::new(),
            journaled: BTreeMap::new(),
            holes: Vec::new(),
            hours: HashSet::new(),
        })
    }

    fn walk(&mut self, txn: &ReadTransaction) -> Result<(), StoreError> {
        let mut interner = Interner::default();
        let (first, last) = (self.position.first, self.position.last);
        let mut next = first;
        journal::for_each_block(txn, first, last, |found| {
            self.found.blocks += 1;
            if found.first > next {
                let gap = SeqRange::new(next, RecordSeq::new(found.first.get() - 1));
                self.found
                    .problem(|| format!("no block holds the seqs {}..={}", gap.first, gap.last));
                self.hole(gap);
            }
            next = found.span.last.next();
            match found.decode(&mut interner) {
                None => {
                    self.found.damaged.push(found.span);
                    self.hole(found.span);
                }
                Some(block) => {
                    for (slot, n) in block.slots.iter().zip(0..) {
                        self.slot(slot, found.first.plus(n))?;
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if next != last.next() {
            self.found
                .problem(|| format!("the journal ends before seq {next}, not at {last}"));
        }
        Ok(())
    }

    fn hole(&mut self, range: SeqRange) {
        match self.holes.last_mut() {
            Some(before) if before.last.next() == range.first => before.last = range.last,
            _ => self.holes.push(range),
        }
    }

    fn slot(&mut self, slot: &Slot, seq: RecordSeq) -> Result<(), StoreError> {
        let one = SeqRange::new(seq, seq);
        match slot {
            Slot::Expired => {
                self.found.expired += 1;
                self.hole(one);
                Ok(())
            }
            Slot::Damaged => {
                match self.found.damaged.last_mut() {
                    Some(before) if before.last.next() == seq => before.last = seq,
                    _ => self.found.damaged.push(one),
                }
                self.hole(one);
                Ok(())
            }
            Slot::Record(record) => self.record(record, seq),
        }
    }

    fn record(&mut self, record: &Record, seq: RecordSeq) -> Result<(), StoreError> {
        self.found.records += 1;
        let feed = (record.source().as_str().to_owned(), record.feed());
        *self.journaled.entry(feed).or_default() += 1;
        let Some(source) = self.dictionary.known_source(record.source()) else {
            self.found
                .problem(|| format!("the source of seq {seq} has no number"));
            return Ok(());
        };
        self.hour(fold::hour_of(source, record), seq)?;
        let (table, key, expected) = match record {
            Record::Transaction(change) => {
                match self.dictionary.known_agent(&change.agent) {
                    // Its state is in no table yet.
                    _ if seq > self.position.checkpoint => {}
                    None => {
                        self.found
                            .problem(|| format!("the agent of seq {seq} has no number"));
                    }
                    Some(agent) => {
                        let row = fold::agent_row(change, seq);
                        let known = self.agents.get(&(source, agent));
                        if known.is_none_or(|known| known.since <= row.since) {
                            self.agents.insert((source, agent), row);
                        }
                    }
                }
                return Ok(());
            }
            Record::Interval(r) => {
                let queue = self.dictionary.known_queue(&r.queue);
                let key = queue.map(|q| interval_key(source, r.interval_start, q).to_vec());
                (
                    OF_INTERVALS,
                    key,
                    body(|w| rows::write_interval(w, r, seq, false)),
                )
            }
            Record::Coverage(r) => {
                let key = coverage_key(source, names::feed_number(r.feed), r.interval_start);
                let value = after_seq(seq, |w| record_rows::write_coverage(w, r));
                (OF_COVERAGE, Some(key.to_vec()), value)
            }
            Record::Agent(r) => {
                let agent = self.dictionary.known_agent(&r.agent);
                let key = agent.map(|n| roster_key(source, ROSTER_AGENT, n).to_vec());
                (
                    OF_ROSTER,
                    key,
                    after_seq(seq, |w| record_rows::write_agent(w, r)),
                )
            }
            Record::Queue(r) => {
                let queue = self.dictionary.known_queue(&r.queue);
                let key = queue.map(|n| roster_key(source, ROSTER_QUEUE, n).to_vec());
                (
                    OF_ROSTER,
                    key,
                    after_seq(seq, |w| record_rows::write_queue(w, r)),
                )
            }
            Record::StateCode(r) => {
                let state = self.dictionary.known_state(&r.state);
                let key = state.map(|n| state_code_key(source, n).to_vec());
                (
                    OF_CODES,
                    key,
                    after_seq(seq, |w| record_rows::write_state_code(w, r)),
                )
            }
        };
        match key {
            None => self
                .found
                .problem(|| format!("an id of seq {seq} has no number")),
            Some(key) => self.compare(table, &key, &expected, seq)?,
        }
        Ok(())
    }

    /// The row must be this record, or a later one's.
    fn compare(
        &mut self,
        table: usize,
        key: &[u8],
        expected: &[u8],
        seq: RecordSeq,
    ) -> Result<(), StoreError> {
        let name = self.tables[table].table().name;
        let Some(value) = self.tables[table].get(key)? else {
            self.found
                .problem(|| format!("table {name} does not know the record {seq}"));
            return Ok(());
        };
        let row_seq = self.row_seq(table, key, &value)?;
        if row_seq < seq {
            self.found
                .problem(|| format!("table {name} knows {row_seq}, not the later {seq}"));
        } else if row_seq == seq {
            self.matched[table] += 1;
            if value != expected {
                self.found
                    .problem(|| format!("table {name} differs from the record {seq}"));
            }
        }
        Ok(())
    }

    fn row_seq(&self, table: usize, key: &[u8], value: &[u8]) -> Result<RecordSeq, StoreError> {
        // The interval's row has a byte of flags before its seq.
        let from = usize::from(table == OF_INTERVALS);
        value
            .get(from..)
            .ok_or(super::codec::BadBytes("a row is empty"))
            .and_then(rows::split_seq)
            .map(|(seq, _)| seq)
            .map_err(|error| self.tables[table].table().damaged(key, error))
    }

    fn hour(&mut self, key: [u8; 7], seq: RecordSeq) -> Result<(), StoreError> {
        if self.hours.contains(&key) {
            return Ok(());
        }
        let value = self.time_index.get(&key)?;
        let indexed = value.as_deref().map(rows::split_seq).transpose();
        match indexed.map_err(|error| TIME_INDEX.damaged(&key, error))? {
            Some((first, _)) if first <= seq => {}
            _ => self
                .found
                .problem(|| format!("the time index does not lead to {seq}")),
        }
        self.hours.insert(key);
        Ok(())
    }

    fn in_hole(&self, seq: RecordSeq) -> bool {
        let at = self.holes.partition_point(|hole| hole.last < seq);
        self.holes.get(at).is_some_and(|hole| hole.contains(seq))
    }

    /// No row may come from nowhere.
    fn rows(&mut self) -> Result<(), StoreError> {
        for table in [OF_INTERVALS, OF_COVERAGE, OF_ROSTER, OF_CODES] {
            let mut rows = 0u64;
            let prefix: &[u8] = if table == OF_CODES {
                &[KIND_STATE_CODE]
            } else {
                &[]
            };
            self.tables[table].scan_prefix(prefix, |key, value| {
                let seq = self.row_seq(table, key, value)?;
                rows += u64::from(seq >= self.position.first && !self.in_hole(seq));
                Ok(())
            })?;
            let matched = self.matched[table];
            if rows != matched {
                let name = self.tables[table].table().name;
                self.found.problem(|| {
                    format!("table {name} has {rows} rows of kept records, the journal {matched}")
                });
            }
        }
        Ok(())
    }

    fn agents(&mut self) -> Result<(), StoreError> {
        let agents = std::mem::take(&mut self.agents);
        for ((source, agent), expected) in agents {
            let key = agent_key(source, agent);
            let value = self.agent_states.get(&key)?;
            let row = value
                .map(|value| AgentRow::read(&value, |n| self.dictionary.state_name(n).ok()))
                .transpose()
                .map_err(|error| AGENT_STATES.damaged(&key, error))?;
            let sound = row.is_some_and(|row| row == expected || row.since > expected.since);
            if !sound {
                self.found.problem(|| {
                    format!(
                        "the last state of an agent is not the record {}",
                        expected.seq
                    )
                });
            }
        }
        Ok(())
    }

    /// Rule 13: records journaled = what the feed counted.
    fn feeds(&mut self, txn: &ReadTransaction) -> Result<(), StoreError> {
        let kept_all = self.position.first == RecordSeq::new(1) && self.holes.is_empty();
        self.found.feeds_balanced = kept_all;
        let meta = META.read(txn)?;
        for (_, state) in beside::feed_states(&txn.open_table(JOURNAL)?)? {
            let (source, feed) = (state.source.as_str(), state.feed);
            if !state.counts.rows_balance() {
                self.found
                    .problem(|| format!("the rows of {source}/{feed} do not balance"));
            }
            if !kept_all {
                continue;
            }
            let aside = read_aside(&meta, &state.source, feed)?;
            let journaled = self.journaled.get(&(source.to_owned(), feed)).copied();
            let journaled = i128::from(journaled.unwrap_or(0)) + i128::from(aside);
            let counted = i128::from(state.counts.records());
            if journaled != counted {
                self.found.problem(|| {
                    format!("{source}/{feed} counted {counted} records, the journal {journaled}")
                });
            }
        }
        Ok(())
    }

    /// Rule 13: what is done of a destination's seqs was counted, each once.
    fn destinations(&mut self, txn: &ReadTransaction) -> Result<(), StoreError> {
        let last = self.position.last;
        let found = &mut self.found;
        for (_, name, cursor) in beside::cursors(&txn.open_table(JOURNAL)?)? {
            let progress = cursor.progress;
            let ascending = progress.done.is_sorted_by(|a, b| a.last < b.first);
            if !ascending || progress.done.last().is_some_and(|range| range.last > last) {
                found.problem(|| format!("the cursor of {name} is not within the journal"));
            }
            let done: u64 = progress.done.iter().map(|range| range.count()).sum();
            let counted = progress.counts.total();
            if done != counted {
                found.problem(|| format!("{name} has {done} seqs done, and counted {counted}"));
            }
        }
        Ok(())
    }
}

fn after_seq(seq: RecordSeq, write: impl FnOnce(&mut super::codec::Writer)) -> Vec<u8> {
    body(|w| {
        w.varint(seq.get());
        write(w);
    })
}

/// `meta`: records that a feed counted and that this journal does not hold (they are in one that
/// was replaced), less those that the store wrote by itself.
pub(super) const ASIDE: &str = "aside";

fn read_aside(meta: &ReadTable, source: &SourceName, feed: Feed) -> Result<i64, StoreError> {
    let key = feed_key(ASIDE, source.as_str(), feed);
    let value = meta.get(&key)?;
    let aside = value.map(|value| super::codec::Reader::new(&value).signed());
    Ok(aside
        .transpose()
        .map_err(|error| META.damaged(&key, error))?
        .unwrap_or(0))
}
