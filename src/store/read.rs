//! Reading: pages of the journal, and what the state tables know.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::append::later;
use super::beside;
use super::codec::{BadBytes, Header, Reader, Slot, names, rows as record_rows};
use super::dictionary::KIND_STATE_CODE;
use super::engine::{Engine, lock};
use super::journal::{self, Found};
use super::live::Live;
use super::rows::{self, AgentRow};
use super::tables::{
    AGENT_STATES, COVERAGE, DICTIONARY, INTERVALS, JOURNAL, Number, ROSTER, ROSTER_AGENT,
    ROSTER_QUEUE, SourceNumber, TIME_INDEX, agent_key, coverage_key, hour_key, hour_of_key,
    interval_key, interval_of_key, interval_prefix, number_of_key, roster_key,
};
use super::{KnownInterval, KnownIntervals, Page, ReadLimit, StoreError, StoredRoster};
use crate::domain::batch::CurrentState;
use crate::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SeqRange, SourceName};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::{
    AgentChange, CoverageEntry, Figures, IntervalRecord, QueueChange, Record, SequencedRecord,
    StateCode,
};
use crate::domain::timestamp::WallTime;

/// Holes that one page may hold: a journal that is all holes is still read in bounded steps.
const HOLES_MAX: usize = 1_000;

impl Engine {
    /// See [`super::Store::read`].
    pub(super) fn read_page(&self, from: RecordSeq, limit: ReadLimit) -> Result<Page, StoreError> {
        let from = from.max(RecordSeq::new(1));
        let known = self.head();
        let mut pages = PageBuilder::new(from, limit);
        if from > known {
            return Ok(pages.page);
        }
        self.read(|txn| {
            // Appending, packing and deleting go on meanwhile: blocks fit the position of their
            // own transaction, and no other.
            let position = beside::position(txn)?;
            let head = position.last.min(known);
            if from < position.first {
                let last = RecordSeq::new(position.first.get() - 1).min(head);
                pages.hole(Hole::Expired, SeqRange::new(from, last));
            }
            if pages.page.next > head {
                return Ok(());
            }
            journal::for_each_block(txn, pages.page.next, position.last, |found| {
                Ok(self.read_block(found, head, &mut pages))
            })
        })?;
        Ok(pages.page)
    }

    fn read_block(
        &self,
        found: &Found<'_>,
        head: RecordSeq,
        pages: &mut PageBuilder,
    ) -> ControlFlow<()> {
        let start = found.first.max(pages.page.next);
        if start > head {
            return ControlFlow::Break(());
        }
        if start > pages.page.next {
            // Seqs that no block holds, although they lie behind the first.
            let last = RecordSeq::new(start.get() - 1);
            pages.hole(Hole::Damaged, SeqRange::new(pages.page.next, last));
        }
        let block = found.decode_cached(&mut lock(&self.cache), &mut lock(&self.interner));
        let Some(block) = block else {
            let span = found.span;
            lock(&self.found_damaged).insert(span.first.get(), span);
            pages.hole(Hole::Damaged, SeqRange::new(start, span.last.min(head)));
            return pages.more();
        };
        let skip = usize::try_from(start.since(found.first)).unwrap_or(usize::MAX);
        for slot in block.slots.iter().skip(skip) {
            if pages.page.next > head || !pages.push(slot) {
                return ControlFlow::Break(());
            }
        }
        pages.more()
    }

    /// See [`super::Store::journaled_at`].
    pub(super) fn journaled_at(&self, seq: RecordSeq) -> Result<Option<WallTime>, StoreError> {
        if seq < self.first() || seq > self.head() {
            return Ok(None);
        }
        let is_packed = seq <= self.lock_live().position.packed;
        let page = self.read_page(seq, ReadLimit::ONE)?;
        let record = page.records.first().filter(|_| is_packed);
        let learned = record.and_then(|entry| entry.record.learned_at());
        let (before, label) = self.read(|txn| {
            let table = txn.open_table(JOURNAL)?;
            let mut blocks = table.range(..=seq.get())?.rev().map(|entry| {
                let header = Header::check(entry?.1.value()).ok();
                Ok::<_, StoreError>(header.map(|header| header.journaled_at))
            });
            let label = blocks.next().transpose()?.flatten();
            Ok((blocks.next().transpose()?.flatten(), label))
        })?;
        Ok(label.map(|label| {
            let learned = learned.unwrap_or(label);
            before
                .map_or(learned, |before| learned.max(before))
                .min(label)
        }))
    }

    /// See [`super::Store::seq_at`].
    pub(super) fn seq_at(&self, at: WallTime) -> Result<RecordSeq, StoreError> {
        let sources = self.sources();
        let hour = i32::try_from(at.ms().div_euclid(3_600_000)).unwrap_or(i32::MAX);
        let mut earliest = self.head().next();
        self.read(|txn| {
            let table = TIME_INDEX.read(txn)?;
            for source in 0..sources {
                for feed in Feed::ALL.map(names::feed_number) {
                    let from = hour_key(source, feed, hour);
                    table.scan(&from, &[], |key, value| {
                        if key[..3] != from[..3] {
                            return Ok(false);
                        }
                        let seq = rows::split_seq(value)
                            .and_then(|(seq, _)| hour_of_key(key).map(|_| seq))
                            .map_err(|error| TIME_INDEX.damaged(key, error))?;
                        earliest = earliest.min(seq);
                        Ok(true)
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(earliest.max(self.first()))
    }

    fn sources(&self) -> SourceNumber {
        let count = self.lock_live().dictionary.sources().len();
        SourceNumber::try_from(count).expect("source numbers are 16 bits")
    }

    /// See [`super::Store::known_intervals`].
    pub(super) fn known_intervals(
        &self,
        source: &SourceName,
        window: Window,
    ) -> Result<KnownIntervals, StoreError> {
        let mut known = KnownIntervals::new();
        self.scan_intervals(source, window, usize::MAX, |row| {
            let figures = if row.given_up {
                Figures::default()
            } else {
                row.record.figures
            };
            known.insert(
                (row.record.queue, row.record.interval_start),
                KnownInterval {
                    figures,
                    revision: row.record.revision,
                    seq: row.seq,
                },
            );
        })?;
        Ok(known)
    }

    /// See [`super::Store::intervals`].
    pub(super) fn intervals(
        &self,
        source: &SourceName,
        window: Window,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        let mut found = Vec::new();
        self.scan_intervals(source, window, limit, |row| {
            found.push((row.seq, row.record));
        })?;
        Ok(found)
    }

    /// See [`super::Store::interval_page`].
    pub(super) fn interval_page(
        &self,
        source: &SourceName,
        window: Window,
        after: Option<&(IntervalStart, QueueId)>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        let live = self.lock_live();
        let mut found = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(found);
        };
        let mut from = interval_prefix(number, window.from).to_vec();
        if let Some((start, queue)) = after.filter(|(start, _)| *start >= window.from) {
            // The key after the last one of the page before; a queue that nobody knows is after none.
            let queue = live.dictionary.known_queue(queue);
            from = queue.map_or_else(
                || interval_prefix(number, *start).to_vec(),
                |queue| [&interval_key(number, *start, queue)[..], &[0]].concat(),
            );
        }
        let to = interval_prefix(number, window.to);
        self.read(|txn| {
            INTERVALS.read(txn)?.scan(&from, &to, |key, value| {
                let row = interval_row(&live, source, key, value)?;
                found.push((row.seq, row.record));
                Ok(found.len() < limit)
            })
        })?;
        Ok(found)
    }

    /// See [`super::Store::queue_intervals`].
    pub(super) fn queue_intervals(
        &self,
        source: &SourceName,
        queue: &QueueId,
        window: Window,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        let live = self.lock_live();
        let known = live
            .dictionary
            .known_source(source)
            .zip(live.dictionary.known_queue(queue));
        let mut found = Vec::new();
        let Some((number, queue)) = known else {
            return Ok(found);
        };
        self.read(|txn| {
            let table = INTERVALS.read(txn)?;
            for start in window.starts() {
                let key = interval_key(number, start, queue);
                if let Some(value) = table.get(&key)? {
                    let row = interval_row(&live, source, &key, &value)?;
                    found.push((row.seq, row.record));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn scan_intervals(
        &self,
        source: &SourceName,
        window: Window,
        limit: usize,
        mut each: impl FnMut(rows::IntervalRow),
    ) -> Result<(), StoreError> {
        let live = self.lock_live();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(());
        };
        if window.is_empty() {
            return Ok(());
        }
        let (from, to) = (
            interval_prefix(number, window.from),
            interval_prefix(number, window.to),
        );
        let mut left = limit;
        self.read(|txn| {
            INTERVALS.read(txn)?.scan(&from, &to, |key, value| {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                each(interval_row(&live, source, key, value)?);
                Ok(true)
            })
        })
    }

    /// See [`super::Store::coverage`].
    pub(super) fn coverage(
        &self,
        source: &SourceName,
        feed: Feed,
        window: Window,
    ) -> Result<Vec<CoverageEntry>, StoreError> {
        let entries = self.coverage_page(source, feed, window, usize::MAX)?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// See [`super::Store::coverage_page`].
    pub(super) fn coverage_page(
        &self,
        source: &SourceName,
        feed: Feed,
        window: Window,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, CoverageEntry)>, StoreError> {
        let Some(number) = self.lock_live().dictionary.known_source(source) else {
            return Ok(Vec::new());
        };
        let feed_number = names::feed_number(feed);
        let (from, to) = (
            coverage_key(number, feed_number, window.from),
            coverage_key(number, feed_number, window.to),
        );
        let mut entries = Vec::new();
        self.read(|txn| {
            COVERAGE.read(txn)?.scan(&from, &to, |key, value| {
                if entries.len() == limit {
                    return Ok(false);
                }
                let entry = interval_of_key(&key[3..]).and_then(|start| {
                    let (seq, mut reader) = rows::split_seq(value)?;
                    let source = source.clone();
                    let entry = record_rows::read_coverage(&mut reader, source, feed, start)?;
                    Ok((seq, entry))
                });
                entries.push(entry.map_err(|error| COVERAGE.damaged(key, error))?);
                Ok(true)
            })
        })?;
        Ok(entries)
    }

    /// See [`super::Store::roster`].
    pub(super) fn roster(&self, source: &SourceName) -> Result<StoredRoster, StoreError> {
        let live = self.lock_live();
        let mut roster = StoredRoster::default();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(roster);
        };
        self.read(|txn| {
            ROSTER
                .read(txn)?
                .scan_prefix(&number.to_be_bytes(), |key, value| {
                    let damaged = |error| ROSTER.damaged(key, error);
                    let id = number_of_key(key).map_err(damaged)?;
                    let (_, mut reader) = rows::split_seq(value).map_err(damaged)?;
                    match key[2] {
                        ROSTER_AGENT => {
                            let agent = live.dictionary.agent_name(id)?;
                            let change =
                                record_rows::read_agent(&mut reader, source.clone(), agent);
                            roster.agents.push(change.map_err(damaged)?);
                        }
                        ROSTER_QUEUE => {
                            let queue = live.dictionary.queue_name(id)?;
                            let change =
                                record_rows::read_queue(&mut reader, source.clone(), queue);
                            roster.queues.push(change.map_err(damaged)?);
                        }
                        _ => return Err(ROSTER.damaged(key, "of no known kind")),
                    }
                    Ok(())
                })
        })?;
        Ok(roster)
    }

    /// See [`super::Store::roster_agents`].
    pub(super) fn roster_agents(
        &self,
        source: &SourceName,
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, AgentChange)>, StoreError> {
        let live = self.lock_live();
        let after = after.and_then(|agent| live.dictionary.known_agent(agent));
        self.roster_page(&live, source, (ROSTER_AGENT, after), limit, |id, reader| {
            let agent = live.dictionary.agent_name(id)?;
            Ok(record_rows::read_agent(reader, source.clone(), agent))
        })
    }

    /// See [`super::Store::roster_queues`].
    pub(super) fn roster_queues(
        &self,
        source: &SourceName,
        after: Option<&QueueId>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, QueueChange)>, StoreError> {
        let live = self.lock_live();
        let after = after.and_then(|queue| live.dictionary.known_queue(queue));
        self.roster_page(&live, source, (ROSTER_QUEUE, after), limit, |id, reader| {
            let queue = live.dictionary.queue_name(id)?;
            Ok(record_rows::read_queue(reader, source.clone(), queue))
        })
    }

    fn roster_page<T>(
        &self,
        live: &Live,
        source: &SourceName,
        (kind, after): (u8, Option<Number>),
        limit: usize,
        read: impl Fn(Number, &mut Reader<'_>) -> Result<Result<T, BadBytes>, StoreError>,
    ) -> Result<Vec<(RecordSeq, T)>, StoreError> {
        let mut found = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(found);
        };
        let from = roster_key(number, kind, after.map_or(0, |last| last + 1));
        self.read(|txn| {
            ROSTER.read(txn)?.scan(&from, &[], |key, value| {
                if found.len() == limit || key[..3] != from[..3] {
                    return Ok(false);
                }
                let damaged = |error| ROSTER.damaged(key, error);
                let id = number_of_key(key).map_err(damaged)?;
                let (seq, mut reader) = rows::split_seq(value).map_err(damaged)?;
                found.push((seq, read(id, &mut reader)?.map_err(damaged)?));
                Ok(true)
            })
        })?;
        Ok(found)
    }

    /// See [`super::Store::agent`].
    pub(super) fn agent(
        &self,
        source: &SourceName,
        agent: &AgentId,
    ) -> Result<Option<AgentChange>, StoreError> {
        let live = self.lock_live();
        let known = live
            .dictionary
            .known_source(source)
            .zip(live.dictionary.known_agent(agent));
        let Some((number, id)) = known else {
            return Ok(None);
        };
        let key = roster_key(number, ROSTER_AGENT, id);
        let value = self.read(|txn| ROSTER.read(txn)?.get(&key))?;
        value
            .map(|value| roster_agent(&key, &value, source, agent))
            .transpose()
    }

    /// See [`super::Store::state_codes`].
    pub(super) fn state_codes(&self, source: &SourceName) -> Result<Vec<StateCode>, StoreError> {
        let live = self.lock_live();
        let mut codes = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(codes);
        };
        let mut prefix = vec![KIND_STATE_CODE];
        prefix.extend_from_slice(&number.to_be_bytes());
        self.read(|txn| {
            DICTIONARY.read(txn)?.scan_prefix(&prefix, |key, value| {
                let damaged = |error| DICTIONARY.damaged(key, error);
                let state = live
                    .dictionary
                    .state_name(number_of_key(key).map_err(damaged)?)?;
                let code = rows::split_seq(value).and_then(|(_, mut reader)| {
                    record_rows::read_state_code(&mut reader, source.clone(), state)
                });
                codes.push(code.map_err(damaged)?);
                Ok(())
            })
        })?;
        Ok(codes)
    }

    /// See [`super::Store::agent_states`].
    pub(super) fn agent_states(
        &self,
        source: &SourceName,
    ) -> Result<Vec<CurrentState>, StoreError> {
        let live = self.lock_live();
        let mut states = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(states);
        };
        let mut fresh = live.agents.clone();
        fresh.retain(|(source, _), _| *source == number);
        self.read(|txn| {
            AGENT_STATES
                .read(txn)?
                .scan_prefix(&number.to_be_bytes(), |key, value| {
                    let damaged = |error| AGENT_STATES.damaged(key, error);
                    let agent = number_of_key(key).map_err(damaged)?;
                    let stored = AgentRow::read(value, |n| live.dictionary.state_name(n).ok());
                    let stored = stored.map_err(damaged)?;
                    let row = later(Some(stored), fresh.remove(&(number, agent)).as_ref());
                    states.push(current(&live, source, agent, row.expect("one was given"))?);
                    Ok(())
                })
        })?;
        for ((_, agent), row) in fresh {
            states.push(current(&live, source, agent, row)?);
        }
        states.sort_by(|a, b| a.agent.cmp(&b.agent));
        Ok(states)
    }

    /// See [`super::Store::agent_page`].
    pub(super) fn agent_page(
        &self,
        source: &SourceName,
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Vec<(CurrentState, Option<AgentChange>)>, StoreError> {
        let live = self.lock_live();
        let mut found = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(found);
        };
        let after = after.and_then(|agent| live.dictionary.known_agent(agent));
        let first = after.map_or(0, |agent| agent + 1);
        let fresh = fresh_agents(&live, number, first, limit);
        self.read(|txn| {
            let stored = stored_agents(&live, txn, number, first, limit)?;
            let agents: BTreeSet<Number> = stored.keys().chain(&fresh).copied().collect();
            let roster = ROSTER.read(txn)?;
            for agent in agents.into_iter().take(limit) {
                let fresh = live.agents.get(&(number, agent));
                let row = later(stored.get(&agent).cloned(), fresh).expect("one of them has it");
                let state = current(&live, source, agent, row)?;
                let key = roster_key(number, ROSTER_AGENT, agent);
                let entry = roster.get(&key)?;
                let entry = entry.map(|value| roster_agent(&key, &value, source, &state.agent));
                found.push((state, entry.transpose()?));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The first `limit` agents from this number on that changed since the checkpoint. It looks at
/// every one's number, which is far less than one row of a page costs.
fn fresh_agents(live: &Live, source: SourceNumber, first: Number, limit: usize) -> Vec<Number> {
    let of_source = live.agents.keys().filter(|(of, _)| *of == source);
    let mut agents: Vec<Number> = of_source
        .map(|(_, agent)| *agent)
        .filter(|agent| *agent >= first)
        .collect();
    agents.sort_unstable();
    agents.truncate(limit);
    agents
}

/// The first `limit` agents from this number on that the checkpoint has.
fn stored_agents(
    live: &Live,
    txn: &redb::ReadTransaction,
    source: SourceNumber,
    first: Number,
    limit: usize,
) -> Result<BTreeMap<Number, AgentRow>, StoreError> {
    let mut stored = BTreeMap::new();
    let (from, of_source) = (agent_key(source, first), source.to_be_bytes());
    AGENT_STATES.read(txn)?.scan(&from, &[], |key, value| {
        if stored.len() == limit || !key.starts_with(&of_source) {
            return Ok(false);
        }
        let damaged = |error| AGENT_STATES.damaged(key, error);
        let agent = number_of_key(key).map_err(damaged)?;
        let row = AgentRow::read(value, |n| live.dictionary.state_name(n).ok());
        stored.insert(agent, row.map_err(damaged)?);
        Ok(true)
    })?;
    Ok(stored)
}

fn roster_agent(
    key: &[u8],
    value: &[u8],
    source: &SourceName,
    agent: &AgentId,
) -> Result<AgentChange, StoreError> {
    rows::split_seq(value)
        .and_then(|(_, mut reader)| {
            record_rows::read_agent(&mut reader, source.clone(), agent.clone())
        })
        .map_err(|error| ROSTER.damaged(key, error))
}

fn interval_row(
    live: &Live,
    source: &SourceName,
    key: &[u8],
    value: &[u8],
) -> Result<rows::IntervalRow, StoreError> {
    let damaged = |error| INTERVALS.damaged(key, error);
    let start = interval_of_key(&key[2..6]).map_err(damaged)?;
    let queue = live
        .dictionary
        .queue_name(number_of_key(key).map_err(damaged)?)?;
    rows::read_interval(value, source.clone(), queue, start).map_err(damaged)
}

fn current(
    live: &Live,
    source: &SourceName,
    agent: u32,
    row: AgentRow,
) -> Result<CurrentState, StoreError> {
    Ok(CurrentState {
        source: source.clone(),
        agent: live.dictionary.agent_name(agent)?,
        state: row.state,
        category: row.category,
        since: row.since,
        origin: row.origin,
        record_seq: row.seq,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hole {
    Expired,
    Damaged,
}

struct PageBuilder {
    page: Page,
    limit: ReadLimit,
    bytes: usize,
}

impl PageBuilder {
    fn new(from: RecordSeq, limit: ReadLimit) -> Self {
        Self {
            page: Page {
                next: from,
                ..Page::default()
            },
            limit,
            bytes: 0,
        }
    }

    /// Adds what stands at the page's next seq; false where the page is full before it.
    fn push(&mut self, slot: &Slot) -> bool {
        let seq = self.page.next;
        match slot {
            Slot::Expired => self.hole(Hole::Expired, SeqRange::new(seq, seq)),
            Slot::Damaged => self.hole(Hole::Damaged, SeqRange::new(seq, seq)),
            Slot::Record(record) => {
                let bytes = json_bytes(record);
                let is_first = self.page.records.is_empty();
                let fits = self.page.records.len() < self.limit.records
                    && self.bytes + bytes <= self.limit.bytes;
                if !fits && !is_first {
                    return false;
                }
                self.bytes += bytes;
                self.page.records.push(SequencedRecord {
                    seq,
                    record: record.clone(),
                });
                self.page.next = seq.next();
            }
        }
        true
    }

    fn hole(&mut self, hole: Hole, range: SeqRange) {
        let list = match hole {
            Hole::Expired => &mut self.page.expired,
            Hole::Damaged => &mut self.page.damaged,
        };
        match list.last_mut() {
            Some(before) if before.last.next() == range.first => before.last = range.last,
            _ => list.push(range),
        }
        self.page.next = range.last.next();
    }

    fn more(&self) -> ControlFlow<()> {
        let full = self.page.records.len() >= self.limit.records
            || self.bytes >= self.limit.bytes
            || self.page.expired.len() + self.page.damaged.len() >= HOLES_MAX;
        if full {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// About what a record takes as JSON: field names and times, and its own texts.
fn json_bytes(record: &Record) -> usize {
    let texts = match record {
        Record::Interval(r) => r.queue.as_str().len(),
        Record::Transaction(r) => {
            r.agent.as_str().len()
                + r.state.as_str().len()
                + r.previous_state
                    .as_ref()
                    .map_or(0, |state| state.as_str().len())
        }
        Record::Agent(r) => r.agent.as_str().len() + 200,
        Record::Queue(r) => {
            r.queue.as_str().len() + r.details.description.as_ref().map_or(0, String::len)
        }
        Record::Coverage(r) => r.last_error.as_ref().map_or(0, String::len),
        Record::StateCode(r) => r.state.as_str().len(),
    };
    260 + texts
}
