//! One commit: blocks, the state that follows from them, and what rides along (invariant 1).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use redb::WriteTransaction;

use super::beside::{self, JournalTable};
use super::codec::{self, BLOCK_RECORDS_MAX, FastMap, Reader, SlotRef};
use super::engine::{Engine, lock};
use super::fold::{self, Folded};
use super::journal;
use super::live::{HOURS_REMEMBERED_MAX, Live};
use super::open::write_checkpoint;
use super::rows::AgentRow;
use super::tables::{DICTIONARY, JOURNAL, META, WriteTable, body, feed_key};
use super::verify::ASIDE;
use super::{Commit, PlantedBug, StoreError};
use crate::domain::health::FeedState;
use crate::domain::ids::{DestinationName, Feed, SeqRange, SourceName};
use crate::domain::record::Record;
use crate::domain::timestamp::{Now, WallTime};

/// How often the last states of agents are written to their table (architecture §2.1). A checkpoint
/// of 3,000 agents takes as many instructions as some twenty commits of 100 records, and spares a
/// start little.
pub(super) const CHECKPOINT_EVERY: Duration = Duration::from_mins(15);
/// And after so many records at the latest, because a start folds those that came after it: about
/// a million a second.
pub(super) const CHECKPOINT_RECORDS: u64 = 200_000;
/// How long counters and cursors ride before they get a commit of their own.
pub(super) const RIDE_MAX: Duration = Duration::from_mins(1);
/// Longer blocks are cut in two, so that reading one bounds the memory.
pub(super) const BLOCK_BYTES_GOAL: usize = 64 * 1024;

impl Engine {
    /// See [`super::Store::append`].
    pub(super) fn append(
        &self,
        commit: &Commit<'_>,
        now: Now,
    ) -> Result<Option<SeqRange>, StoreError> {
        let mut live = self.lock_live();
        // It may find another position than was known, so that no seq is computed before it.
        self.ensure_open(&mut live, now)?;
        if !commit.records.is_empty() && lock(&self.upkeep).refuses {
            return Err(StoreError::Full(
                "the budget is used up and when_full = \"stop_collecting\"".to_owned(),
            ));
        }
        let first = live.position.last.next();
        let range = (!commit.records.is_empty()).then(|| {
            let last = live.position.last.plus(commit.records.len() as u64);
            SeqRange::new(first, last)
        });
        if commit.records.is_empty() && commit.feed_states.is_empty() {
            return Ok(None);
        }
        if let (Some(PlantedBug::SeparateTransactions), Some(range)) = (self.planted, range) {
            self.append_apart(&mut live, commit, range, now)?;
            return Ok(Some(range));
        }
        let written = self.write(&mut live, now, |txn, live| {
            let mut table = txn.open_table(JOURNAL)?;
            put_blocks(&mut table, live, commit.records, self.label(now))?;
            let folded = fold::fold(txn, live, first, commit.records.iter())?;
            finish(txn, &mut table, live, folded, commit, now)
        })?;
        // Where the outcome was unknown, the store was loaded anew and knows it all.
        if let Some(taken) = written {
            take_over(&mut live, taken, now);
        }
        note_written(&mut live, commit.feed_states);
        Ok(range)
    }

    /// The planted bug: the records in one transaction, what follows from them in another.
    fn append_apart(
        &self,
        live: &mut Live,
        commit: &Commit<'_>,
        range: SeqRange,
        now: Now,
    ) -> Result<(), StoreError> {
        let taken = self.write(live, now, |txn, live| {
            let mut table = txn.open_table(JOURNAL)?;
            put_blocks(&mut table, live, commit.records, self.label(now))?;
            let nothing = Folded::default();
            finish(txn, &mut table, live, nothing, &Commit::default(), now)
        })?;
        if let Some(taken) = taken {
            take_over(live, taken, now);
        }
        let taken = self.write(live, now, |txn, live| {
            let mut table = txn.open_table(JOURNAL)?;
            let folded = fold::fold(txn, live, range.first, commit.records.iter())?;
            finish(txn, &mut table, live, folded, commit, now)
        })?;
        if let Some(taken) = taken {
            take_over(live, taken, now);
        }
        note_written(live, commit.feed_states);
        Ok(())
    }

    /// Appends records that the store writes by itself (salvaged ones, losses): no feed counts
    /// them. `also` is done in the same transaction.
    pub(super) fn append_own(
        &self,
        live: &mut Live,
        records: &[Record],
        now: Now,
        also: impl FnOnce(&WriteTransaction, &mut JournalTable<'_>, &mut Live) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.ensure_open(live, now)?;
        let first = live.position.last.next();
        let written = self.write(live, now, |txn, live| {
            let mut table = txn.open_table(JOURNAL)?;
            also(txn, &mut table, live)?;
            put_blocks(&mut table, live, records, self.label(now))?;
            let folded = fold::fold(txn, live, first, records.iter())?;
            let mut by_feed: HashMap<(&SourceName, Feed), i64> = HashMap::new();
            for record in records {
                *by_feed.entry((record.source(), record.feed())).or_default() -= 1;
            }
            let mut meta = META.write(txn)?;
            for ((source, feed), by) in by_feed {
                let grown = add_aside(&mut meta, source, feed, by)?;
                live.position.grow(grown);
            }
            drop(meta);
            finish(txn, &mut table, live, folded, &Commit::default(), now)
        })?;
        if let Some(taken) = written {
            take_over(live, taken, now);
        }
        Ok(())
    }

    /// A checkpoint now.
    pub(super) fn checkpoint(&self, live: &mut Live, now: Now) -> Result<(), StoreError> {
        live.checkpoint_wanted = true;
        let result = self.write_riding(live, now);
        live.checkpoint_wanted = false;
        result
    }

    /// A commit of what rides alone, where something does.
    pub(super) fn write_riding(&self, live: &mut Live, now: Now) -> Result<(), StoreError> {
        if live.riding.is_empty() && !checkpoint_due(live, now) {
            return Ok(());
        }
        let written = self.write(live, now, |txn, live| {
            let mut table = txn.open_table(JOURNAL)?;
            let nothing = Folded::default();
            finish(txn, &mut table, live, nothing, &Commit::default(), now)
        })?;
        if let Some(taken) = written {
            take_over(live, taken, now);
        }
        Ok(())
    }
}

/// A feed and its key in the journal.
type FeedKey = ((SourceName, Feed), u64);

/// What a committed transaction leaves to be taken over.
pub(super) struct Taken {
    folded: Folded,
    checkpointed: bool,
    /// How many new numbers of the dictionary were written.
    numbered: usize,
    /// Keys of feeds that were written for the first time.
    feeds: Vec<FeedKey>,
    /// Keys of destinations, none for those that are forgotten.
    cursors: Vec<(DestinationName, Option<u64>)>,
}

pub(super) fn take_over(live: &mut Live, taken: Taken, now: Now) {
    live.dictionary.written(taken.numbered);
    if taken.checkpointed {
        // A new one: what the first poll of a large centre took is not needed again.
        live.agents = FastMap::default();
        live.checkpoint_at = now.mono;
    } else {
        live.hear(taken.folded.said);
    }
    if live.hours.len() + taken.folded.hours.len() > HOURS_REMEMBERED_MAX {
        live.hours.clear();
    }
    live.hours.extend(taken.folded.hours);
    live.feed_keys.extend(taken.feeds);
    for (name, key) in taken.cursors {
        match key {
            Some(key) => live.cursor_keys.insert(name, key),
            None => live.cursor_keys.remove(&name),
        };
    }
    live.riding = super::live::Riding::default();
}

/// A feed's counters may begin before this journal: it replaced a damaged one while the feed went
/// on. What they counted then is set apart with the feed's first commit.
fn counted_elsewhere(state: &FeedState, records: &[Record]) -> i64 {
    let here = records
        .iter()
        .filter(|record| *record.source() == state.source && record.feed() == state.feed)
        .count() as u64;
    state.counts.records().wrapping_sub(here).cast_signed()
}

/// The feed states of a commit replace those that were known.
fn note_written(live: &mut Live, states: &[FeedState]) {
    for state in states {
        let key = (state.source.clone(), state.feed);
        live.feed_states.insert(key, state.clone());
    }
}

pub(super) fn checkpoint_due(live: &Live, now: Now) -> bool {
    let behind = live.position.last.since(live.position.checkpoint);
    let is_due = live.checkpoint_wanted
        || now.mono.since(live.checkpoint_at) >= CHECKPOINT_EVERY
        || behind >= CHECKPOINT_RECORDS;
    is_due && behind > 0
}

/// Inserts the records as blocks behind the journal's end and moves the position.
pub(super) fn put_blocks(
    table: &mut JournalTable<'_>,
    live: &mut Live,
    records: &[Record],
    at: WallTime,
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let slots: Vec<SlotRef<'_>> = records.iter().map(SlotRef::Record).collect();
    let store_id = live.store_id;
    for run in slots.chunks(BLOCK_RECORDS_MAX) {
        put_run(run, &mut |run| {
            let first = live.position.last.next();
            let block = codec::encode(store_id, first, at, run);
            if block.len() > BLOCK_BYTES_GOAL && run.len() > 1 {
                return Ok(false);
            }
            table.insert(first.get(), block.as_slice())?;
            live.position.last = live.position.last.plus(run.len() as u64);
            live.position.tail_bytes += block.len() as u64;
            live.position.live_bytes += journal::allocated(block.len());
            Ok(true)
        })?;
    }
    Ok(())
}

/// Puts a run, or its two halves where it is too long.
fn put_run<'a>(
    run: &[SlotRef<'a>],
    put: &mut impl FnMut(&[SlotRef<'a>]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    if put(run)? {
        return Ok(());
    }
    let (left, right) = run.split_at(run.len() / 2);
    put_run(left, put)?;
    put_run(right, put)
}

/// Moves a feed's count of what it counted and this journal does not hold.
fn add_aside(
    meta: &mut WriteTable<'_>,
    source: &SourceName,
    feed: Feed,
    by: i64,
) -> Result<i64, StoreError> {
    let key = feed_key(ASIDE, source.as_str(), feed);
    let known = meta.get(&key)?.map(|value| Reader::new(&value).signed());
    let known = known
        .transpose()
        .map_err(|error| META.damaged(&key, error))?;
    meta.put(
        &key,
        body(|w| w.signed(known.unwrap_or(0).wrapping_add(by))),
    )
}

/// Everything of a commit beside its records: feed states, what rides, the checkpoint when it is
/// due, the dictionary's new numbers, the position.
pub(super) fn finish(
    txn: &WriteTransaction,
    table: &mut JournalTable<'_>,
    live: &mut Live,
    mut folded: Folded,
    commit: &Commit<'_>,
    now: Now,
) -> Result<Taken, StoreError> {
    let mut grown = folded.grown;
    let checkpointed = checkpoint_due(live, now);
    if checkpointed {
        live.settle();
        grown += write_checkpoint(txn, live, std::mem::take(&mut folded.said))?;
        live.position.checkpoint = live.position.last;
    }
    let cursors = put_cursors(table, live, &mut grown, now)?;
    let numbered = live.dictionary.fresh();
    if numbered > 0 {
        let mut table = DICTIONARY.write(txn)?;
        grown += live.dictionary.write_fresh(&mut table)?;
    }
    let feeds = put_feed_states(txn, table, live, commit, &mut grown)?;
    live.position.grow(grown);
    beside::put_position(table, &live.position)?;
    Ok(Taken {
        folded,
        checkpointed,
        numbered,
        feeds,
        cursors,
    })
}

/// Writes the feeds' states; returns the keys that this gave.
fn put_feed_states(
    txn: &WriteTransaction,
    table: &mut JournalTable<'_>,
    live: &Live,
    commit: &Commit<'_>,
    grown: &mut i64,
) -> Result<Vec<FeedKey>, StoreError> {
    let mut given = Vec::new();
    for state in by_feed(live, commit.feed_states).values() {
        let feed = (state.source.clone(), state.feed);
        let known = live.feed_keys.get(&feed).copied();
        let key = known.unwrap_or_else(|| beside::feed_key(live.feed_keys.len() + given.len()));
        if known.is_none() {
            let elsewhere = counted_elsewhere(state, commit.records);
            let mut meta = META.write(txn)?;
            *grown += add_aside(&mut meta, &state.source, state.feed, elsewhere)?;
            given.push((feed, key));
        }
        *grown += beside::put_feed_state(table, key, state)?;
    }
    Ok(given)
}

/// Writes the places of the destinations that ride; returns the keys that this gave or took.
fn put_cursors(
    table: &mut JournalTable<'_>,
    live: &mut Live,
    grown: &mut i64,
    now: Now,
) -> Result<Vec<(DestinationName, Option<u64>)>, StoreError> {
    let mut moved: Vec<(DestinationName, Option<u64>)> = Vec::new();
    for name in &live.riding.destinations {
        let known = live.cursor_keys.get(name).copied();
        let Some(cursor) = live.cursors.get_mut(name) else {
            if let Some(key) = known {
                *grown += beside::remove_cursor(table, key)?;
                moved.push((name.clone(), None));
            }
            continue;
        };
        cursor.moved_at.get_or_insert(now.wall);
        let key = known.unwrap_or_else(|| {
            let given = moved.iter().filter_map(|(_, key)| *key);
            let key = beside::free_cursor_key(live.cursor_keys.values().copied().chain(given));
            moved.push((name.clone(), Some(key)));
            key
        });
        *grown += beside::put_cursor(table, key, name, cursor)?;
    }
    Ok(moved)
}

/// The states to write: those of the commit, and those that ride for other feeds.
fn by_feed<'a>(
    live: &'a Live,
    states: &'a [FeedState],
) -> BTreeMap<(&'a str, Feed), &'a FeedState> {
    let riding = live.riding.feeds.iter();
    let riding = riding.filter_map(|key| live.feed_states.get(key));
    riding
        .chain(states)
        .map(|state| ((state.source.as_str(), state.feed), state))
        .collect()
}

/// The later of what the checkpoint has and what came after.
pub(super) fn later(stored: Option<AgentRow>, fresh: Option<&AgentRow>) -> Option<AgentRow> {
    match (stored, fresh) {
        (Some(stored), Some(fresh)) if stored.since > fresh.since => Some(stored),
        (_, Some(fresh)) => Some(fresh.clone()),
        (stored, None) => stored,
    }
}
