//! The journal in redb. The only module that names redb.
//!
//! Invariants (architecture §2):
//! - State tables are a fold of the journal: `append` writes the records and, in the same
//!   transaction, the interval values, coverage, roster and state codes that follow from them.
//! - Sequence numbers are contiguous and never used twice within a `store_id`.
//! - What `append` returned `Ok` for survives every power cut; what it returned an error for is
//!   not there, unless [`Store::epoch`] has moved.
//! - No call keeps a read transaction, panics on damaged bytes, or holds memory in proportion to
//!   the backlog.
//!
//! See `docs/format.md` for the tables and bytes.

mod admin;
mod append;
mod beside;
mod cache;
mod codec;
mod damage;
mod dictionary;
mod engine;
mod error;
mod figures;
mod fold;
mod journal;
mod live;
mod loss;
mod maintain;
mod open;
mod overlay;
mod pack;
mod place;
mod quarantine;
mod read;
mod rescue;
mod roster;
mod rows;
mod salvage;
mod simulated_disk;
mod space;
mod tables;
mod types;
mod upgrade;
mod verify;
mod walk;

use std::path::Path;
use std::sync::Arc;

pub use admin::StoreStats;
pub use error::StoreError;
pub use open::FORMAT;
pub use simulated_disk::SimulatedDisk;
pub use types::{
    Commit, Maintained, OpenOrigin, Opened, Page, PlantedBug, Quarantined, ReadLimit, Replaced,
    Salvaged, StoreOptions, StoredRoster, WhenFull,
};
pub use upgrade::Reformatted;
pub use verify::Verified;

pub use crate::domain::delivery::DeliveryProgress;
pub use crate::domain::historical::{KnownInterval, KnownIntervals};

use crate::domain::batch::CurrentState;
use crate::domain::health::FeedState;
use crate::domain::ids::{
    AgentId, BoxId, DestinationName, Feed, QueueId, RecordSeq, SeqRange, SourceName, StoreId,
};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::{
    AgentChange, CoverageEntry, IntervalRecord, QueueChange, Record, SequencedRecord, StateCode,
};
use crate::domain::timestamp::{Now, WallTime};
use engine::Engine;
use live::Cursor;
use open::KEY_STORE_ID;
use place::Place;
use tables::META;

/// The block that `append` makes of these records, for measuring against the bare engine.
#[doc(hidden)]
pub fn encoded_block(
    store_id: StoreId,
    first: RecordSeq,
    at: WallTime,
    records: &[Record],
) -> Vec<u8> {
    let slots: Vec<_> = records.iter().map(codec::SlotRef::Record).collect();
    codec::encode(store_id, first, at, &slots)
}

/// An open store. Clones share it; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Arc<Engine>,
}

/// Opening.
impl Store {
    /// Opens the store in `state_dir`, or makes one. A damaged one is set aside and replaced.
    pub fn open(options: &StoreOptions, now: Now) -> Result<Opened, StoreError> {
        open::open(Place::Folder(options.state_dir.clone()), options, now, None)
    }

    /// Looks at the store that lies in `state_dir` and leaves no trace: nothing is made, set aside
    /// or replaced, and what is written goes to memory. [`StoreError::Missing`] where there is none.
    pub fn look(options: &StoreOptions, now: Now) -> Result<Self, StoreError> {
        let place = Place::LookedAt(options.state_dir.clone());
        Ok(open::open(place, options, now, None)?.store)
    }

    /// Brings the store in `state_dir` to the format before this program's, for the version before
    /// it; a copy of the file is made first. No process may hold the store.
    pub fn downgrade(options: &StoreOptions) -> Result<Reformatted, StoreError> {
        upgrade::downgrade(options)
    }

    /// Opens the store on a simulated disk; everything but the disk is the real thing.
    pub fn open_simulated(
        disk: SimulatedDisk,
        options: &StoreOptions,
        now: Now,
    ) -> Result<Opened, StoreError> {
        open::open(Place::Simulated(disk), options, now, None)
    }

    /// The same with a mistake in it that a test must find.
    #[doc(hidden)]
    pub fn open_simulated_with_bug(
        disk: SimulatedDisk,
        options: &StoreOptions,
        now: Now,
        planted: PlantedBug,
    ) -> Result<Opened, StoreError> {
        open::open(Place::Simulated(disk), options, now, Some(planted))
    }

    fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
        }
    }
}

/// Writing.
impl Store {
    /// Appends records, the state that follows from them, feed states and whatever rides, in one
    /// durable transaction. `None` where there is no record.
    ///
    /// After an error nothing of it is there, but for one case that [`Self::epoch`] tells.
    pub fn append(&self, commit: &Commit<'_>, now: Now) -> Result<Option<SeqRange>, StoreError> {
        self.engine.append(commit, now)
    }

    /// Takes a feed's new state; it rides in the next commit, at the latest one 60 s later.
    pub fn note_feed_state(&self, state: FeedState) {
        let mut live = self.engine.lock_live();
        let key = (state.source.clone(), state.feed);
        live.riding.feeds.insert(key.clone());
        live.feed_states.insert(key, state);
    }

    /// Takes a destination's new place; it rides in the next commit, at the latest one 60 s later.
    /// It may be lost (re-sending is harmless), so nothing waits for it.
    pub fn note_progress(&self, destination: &DestinationName, progress: DeliveryProgress) {
        let mut live = self.engine.lock_live();
        live.riding.destinations.insert(destination.clone());
        let cursor = Cursor {
            progress,
            moved_at: None,
        };
        live.cursors.insert(destination.clone(), cursor);
    }

    /// Upkeep, every few seconds: riding state, checkpoint, retention, budget, damage.
    /// `configured` are the destinations whose cursors pin the journal.
    pub fn maintain(
        &self,
        now: Now,
        configured: &[DestinationName],
    ) -> Result<Maintained, StoreError> {
        self.engine.maintain(now, configured)
    }

    /// Commits what rides, at the stop.
    pub fn flush(&self, now: Now) -> Result<(), StoreError> {
        let mut live = self.engine.lock_live();
        self.engine.write_riding(&mut live, now)
    }

    /// Takes a new identity: what a destination holds under the former one is of no account any
    /// more (invariant 2). Seqs go on.
    pub fn new_store_id(&self, now: Now) -> Result<StoreId, StoreError> {
        let mut live = self.engine.lock_live();
        let id = self.engine.place.new_store_id(now);
        self.engine.write(&mut live, now, |txn, _| {
            META.write(txn)?
                .put(KEY_STORE_ID, id.bits().to_le_bytes().to_vec())
        })?;
        live.store_id = id;
        Ok(id)
    }

    /// Puts refused records aside, durably; call it before their seqs count as done.
    pub fn quarantine_add(&self, refused: &[Quarantined], now: Now) -> Result<(), StoreError> {
        self.engine.quarantine_add(refused, now)
    }

    /// Takes records out of the quarantine: they were sent after all, or discarded.
    pub fn quarantine_remove(
        &self,
        destination: &DestinationName,
        seqs: &[RecordSeq],
        now: Now,
    ) -> Result<(), StoreError> {
        self.engine.quarantine_remove(destination, seqs, now)
    }
}

/// After damage.
impl Store {
    /// Brings the intact blocks of a file that was set aside into this store, but for what every
    /// configured destination has by the given cursors. It commits in small steps, so that a
    /// thread in the background may run it while the feeds go on.
    pub fn salvage(
        &self,
        aside: &Path,
        cursors: &[(DestinationName, DeliveryProgress)],
        configured: &[DestinationName],
        now: Now,
    ) -> Result<Salvaged, StoreError> {
        self.engine.salvage(aside, cursors, configured, now)
    }
}

/// By hand.
impl Store {
    /// How large it is, and how full its disk.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        self.engine.stats()
    }

    /// Gives free pages back to the file system. Nothing is written or read meanwhile.
    pub fn compact(&self, now: Now) -> Result<(), StoreError> {
        self.engine.compact(now)
    }

    /// Copies everything of one moment into a new file at `to`, while the store goes on. A store
    /// that is restored from it takes a new `store_id` when it is opened.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.engine.backup(to)
    }
}

/// Reading. No read transaction survives a call.
impl Store {
    /// The identity of this journal.
    pub fn store_id(&self) -> StoreId {
        self.engine.lock_live().store_id
    }

    /// The box that the store was made for.
    pub fn box_id(&self) -> BoxId {
        self.engine.lock_live().box_id.clone()
    }

    /// The first start ever of this `state_dir`; it survives a replaced store.
    pub fn installed_at(&self) -> WallTime {
        self.engine.lock_live().installed_at
    }

    /// Moves when what a worker knows may no longer be what the store holds: a commit that was
    /// reported as failed is there after all, or the store was replaced. Workers then load anew.
    pub fn epoch(&self) -> u64 {
        self.engine.epoch()
    }

    /// The last seq that was journaled; [`RecordSeq::ZERO`] if none.
    pub fn head(&self) -> RecordSeq {
        self.engine.head()
    }

    /// The oldest seq that is kept; one more than [`Self::head`] where none is.
    pub fn first(&self) -> RecordSeq {
        self.engine.first()
    }

    /// The records from `from` on. [`Page::next`] always moves on unless the end is reached.
    pub fn read(&self, from: RecordSeq, limit: ReadLimit) -> Result<Page, StoreError> {
        self.engine.read_page(from, limit)
    }

    /// The same into a list that is used again: what it holds is dropped, its memory is the page's.
    pub fn read_into(
        &self,
        from: RecordSeq,
        limit: ReadLimit,
        records: Vec<SequencedRecord>,
    ) -> Result<Page, StoreError> {
        self.engine.read_page_into(from, limit, records)
    }

    /// The first seq of a record about this moment (to the hour) or a later one.
    pub fn seq_at(&self, at: WallTime) -> Result<RecordSeq, StoreError> {
        self.engine.seq_at(at)
    }

    /// The last revision of each queue and interval of the window. Figures that were given up for
    /// want of room are all `None`, so that the next answer is a new revision.
    pub fn known_intervals(
        &self,
        source: &SourceName,
        window: Window,
    ) -> Result<KnownIntervals, StoreError> {
        self.engine.known_intervals(source, window)
    }

    /// The last revisions themselves, by interval, at most `limit`.
    pub fn intervals(
        &self,
        source: &SourceName,
        window: Window,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        self.engine.intervals(source, window, limit)
    }

    /// The last revisions after this interval and queue, in the store's order (by interval, within
    /// it by when a queue was first seen), at most `limit`.
    pub fn interval_page(
        &self,
        source: &SourceName,
        window: Window,
        after: Option<&(IntervalStart, QueueId)>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        self.engine.interval_page(source, window, after, limit)
    }

    /// The last revisions of one queue, by interval: one look-up for each of the window.
    pub fn queue_intervals(
        &self,
        source: &SourceName,
        queue: &QueueId,
        window: Window,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        self.engine.queue_intervals(source, queue, window)
    }

    /// The coverage entries of the window, oldest first.
    pub fn coverage(
        &self,
        source: &SourceName,
        feed: Feed,
        window: Window,
    ) -> Result<Vec<CoverageEntry>, StoreError> {
        self.engine.coverage(source, feed, window)
    }

    /// The same with their seqs, at most `limit`.
    pub fn coverage_page(
        &self,
        source: &SourceName,
        feed: Feed,
        window: Window,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, CoverageEntry)>, StoreError> {
        self.engine.coverage_page(source, feed, window, limit)
    }

    /// The last version of the agents after this one, closed ones too, in the order in which they
    /// were first seen, at most `limit`.
    pub fn roster_agents(
        &self,
        source: &SourceName,
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, AgentChange)>, StoreError> {
        self.engine.roster_agents(source, after, limit)
    }

    /// The same of queues.
    pub fn roster_queues(
        &self,
        source: &SourceName,
        after: Option<&QueueId>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, QueueChange)>, StoreError> {
        self.engine.roster_queues(source, after, limit)
    }

    /// Shows the last version of every agent, closed ones too, in the order in which agents were
    /// first seen. They are read some hundred at a time, and nothing is locked between.
    pub fn for_each_agent(
        &self,
        source: &SourceName,
        look: &mut dyn FnMut(&AgentChange),
    ) -> Result<(), StoreError> {
        self.engine.for_each_agent(source, look)
    }

    /// The same of queues, all of them read at once.
    pub fn for_each_queue(
        &self,
        source: &SourceName,
        look: &mut dyn FnMut(&QueueChange),
    ) -> Result<(), StoreError> {
        self.engine.for_each_queue(source, look)
    }

    /// The last version of every agent and queue, closed ones too.
    pub fn roster(&self, source: &SourceName) -> Result<StoredRoster, StoreError> {
        self.engine.roster(source)
    }

    /// The last version of one agent.
    pub fn agent(
        &self,
        source: &SourceName,
        agent: &AgentId,
    ) -> Result<Option<AgentChange>, StoreError> {
        self.engine.agent(source, agent)
    }

    /// Every state text that was ever seen, with its category.
    pub fn state_codes(&self, source: &SourceName) -> Result<Vec<StateCode>, StoreError> {
        self.engine.state_codes(source)
    }

    /// The last state of every agent, by id: the checkpoint and the records after it.
    pub fn agent_states(&self, source: &SourceName) -> Result<Vec<CurrentState>, StoreError> {
        self.engine.agent_states(source)
    }

    /// When this record was journaled; `None` where it is gone. Blocks that were packed into one
    /// know only when the last of them was, so that within one it goes by when the record was
    /// learned.
    pub fn journaled_at(&self, seq: RecordSeq) -> Result<Option<WallTime>, StoreError> {
        self.engine.journaled_at(seq)
    }

    /// The last states of the agents after this one, in the order in which agents were first seen,
    /// at most `limit`, each with its last version in the roster. It reads what it returns and no
    /// more.
    pub fn agent_page(
        &self,
        source: &SourceName,
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Vec<(CurrentState, Option<AgentChange>)>, StoreError> {
        self.engine.agent_page(source, after, limit)
    }

    /// The newest state of a feed, noted or committed.
    pub fn feed_state(&self, source: &SourceName, feed: Feed) -> Option<FeedState> {
        let key = (source.clone(), feed);
        self.engine.lock_live().feed_states.get(&key).cloned()
    }

    /// The newest place of a destination, noted or committed.
    pub fn progress(&self, destination: &DestinationName) -> DeliveryProgress {
        let live = self.engine.lock_live();
        let cursor = live.cursors.get(destination);
        cursor
            .map(|cursor| cursor.progress.clone())
            .unwrap_or_default()
    }

    /// Recomputes every fold and both balances (domain rule 13) from the journal and compares.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        self.engine.verify()
    }

    /// Quarantined records of a destination from a seq on, at most `limit`.
    pub fn quarantine_list(
        &self,
        destination: &DestinationName,
        from: RecordSeq,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        self.engine.quarantine_list(destination, from, limit)
    }
}

#[cfg(test)]
mod tests;
