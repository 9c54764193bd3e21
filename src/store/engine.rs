//! The handle to redb: every call under `catch_unwind`, every commit re-checked after an error.
//!
//! Invariants: one writer (the lock on [`Live`]); memory is taken over from a transaction only
//! after its commit; after an I/O error the database is closed and opened again, and what it holds
//! then is the truth (architecture §2.4, §2.5). Lock order: `live`, then `db`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::cache::BlockCache;
use super::codec::Interner;
use super::live::Live;
use super::open;
use super::place::Place;
use super::walk;
use super::{PlantedBug, Replaced, StoreError, StoreOptions};
use crate::domain::ids::{RecordSeq, SeqRange};
use crate::domain::timestamp::Now;

/// What all clones of a store share.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) options: StoreOptions,
    pub(super) place: Place,
    pub(super) planted: Option<PlantedBug>,
    pub(super) live: Mutex<Live>,
    db: RwLock<Option<Database>>,
    /// Copies of the position for readers that must not wait for a commit.
    head: AtomicU64,
    first: AtomicU64,
    /// How often what is known was replaced under the workers' feet.
    epoch: AtomicU64,
    pub(super) interner: Mutex<Interner>,
    pub(super) cache: Mutex<BlockCache>,
    /// Damaged blocks that reads found, by the first seq, to be set aside by `maintain`.
    pub(super) found_damaged: Mutex<BTreeMap<u64, SeqRange>>,
    /// Why a reader found the whole store damaged.
    suspect: Mutex<Option<String>>,
    /// Files that were set aside since the last `maintain`.
    pub(super) replaced: Mutex<Vec<Replaced>>,
    pub(super) upkeep: Mutex<super::maintain::Upkeep>,
}

impl Engine {
    pub(super) fn new(
        options: StoreOptions,
        place: Place,
        planted: Option<PlantedBug>,
        db: Database,
        live: Live,
    ) -> Self {
        let engine = Self {
            options,
            place,
            planted,
            db: RwLock::new(Some(db)),
            head: AtomicU64::new(0),
            first: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            live: Mutex::new(live),
            interner: Mutex::default(),
            cache: Mutex::default(),
            found_damaged: Mutex::default(),
            suspect: Mutex::default(),
            replaced: Mutex::default(),
            upkeep: Mutex::default(),
        };
        engine.publish(&engine.lock_live());
        engine
    }

    pub(super) fn lock_live(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }

    pub(super) fn head(&self) -> RecordSeq {
        RecordSeq::new(self.head.load(Ordering::Acquire))
    }

    pub(super) fn first(&self) -> RecordSeq {
        RecordSeq::new(self.first.load(Ordering::Acquire))
    }

    #[cfg(test)]
    pub(super) fn set_known_head(&self, head: RecordSeq) {
        self.head.store(head.get(), Ordering::Release);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Shows readers where the journal stands now.
    pub(super) fn publish(&self, live: &Live) {
        self.first
            .store(live.position.first.get(), Ordering::Release);
        self.head.store(live.position.last.get(), Ordering::Release);
    }

    /// One write transaction: `work` fills it, and it is committed durably. Where the commit's
    /// outcome is unknown the store is opened again and looked at: `Ok(None)` then says that it is
    /// there although redb returned an error, and `live` is as the tables say.
    ///
    /// On any other error nothing is there and `live` is as before.
    pub(super) fn write<T>(
        &self,
        live: &mut Live,
        now: Now,
        work: impl FnOnce(&WriteTransaction, &mut Live) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.ensure_open(live, now)?;
        let mark = live.dictionary.mark();
        let position = live.position;
        let result = {
            let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
            let db = db.as_ref().expect("it was opened above");
            guarded(|| {
                let mut txn = db.begin_write()?;
                let done = work(&txn, live)?;
                walk::decide(&mut txn, live, self.options.walk_max);
                txn.commit()?;
                Ok(done)
            })
        };
        let error = match result {
            Ok(done) => {
                self.publish(live);
                return Ok(Some(done));
            }
            Err(error) => error,
        };
        let aimed_at = live.position;
        live.position = position;
        live.dictionary.roll_back(mark);
        self.recover(live, now, &error)?;
        let is_there = aimed_at.last > position.last && live.position.last == aimed_at.last;
        if is_there && !matches!(error, StoreError::Damaged(_)) {
            return Ok(None);
        }
        Err(error)
    }

    /// One short read transaction; none survives the call.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let Some(db) = db.as_ref() else {
            return Err(StoreError::Io(
                "the store is closed after an error and opens with the next commit".to_owned(),
            ));
        };
        let result = guarded(|| {
            let txn = db.begin_read()?;
            work(&txn)
        });
        if let Err(StoreError::Damaged(reason)) = &result {
            // Replacing is the writer's: a reader may hold locks that it needs.
            lock(&self.suspect).get_or_insert_with(|| reason.clone());
        }
        result
    }

    /// Runs something that needs the database alone (compaction).
    pub(super) fn exclusive<T>(
        &self,
        live: &mut Live,
        now: Now,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ensure_open(live, now)?;
        let result = {
            let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
            let db = db.as_mut().expect("it was opened above");
            guarded(|| work(db))
        };
        if let Err(error) = &result {
            self.recover(live, now, error)?;
        }
        result
    }

    /// Closes the database for good; whatever it says then, the tables were durable before.
    pub(super) fn close(&self) {
        let db = self
            .db
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let _ = catch_unwind(AssertUnwindSafe(move || drop(db)));
    }

    /// Opens what was closed after an error, and replaces what a reader found damaged.
    pub(super) fn ensure_open(&self, live: &mut Live, now: Now) -> Result<(), StoreError> {
        let suspect = lock(&self.suspect).take();
        if let Some(reason) = suspect {
            self.close();
            return self.replace(live, now, &reason);
        }
        let is_open = self
            .db
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if is_open {
            return Ok(());
        }
        // A commit whose error was reported may be there after all (architecture §2.5).
        let known = live.position.last;
        self.reopen(live, now)?;
        if live.position.last != known {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// After an error: close, then open what is there; a damaged file is set aside first.
    fn recover(&self, live: &mut Live, now: Now, error: &StoreError) -> Result<(), StoreError> {
        self.close();
        if let StoreError::Damaged(reason) = error {
            return self.replace(live, now, reason);
        }
        match self.reopen(live, now) {
            // The first error says more than that the disk is still failing; the next call
            // tries again.
            Err(StoreError::Io(_) | StoreError::Full(_)) => Err(error.clone()),
            other => other,
        }
    }

    fn reopen(&self, live: &mut Live, now: Now) -> Result<(), StoreError> {
        match open::open_place(&self.place, &self.options, now) {
            Ok(loaded) => {
                self.take_over(live, loaded.db, loaded.live);
                Ok(())
            }
            Err(StoreError::Damaged(reason)) => self.replace(live, now, &reason),
            Err(other) => Err(other),
        }
    }

    /// What rides (and so is in no table) is kept; all else is as the tables say.
    fn take_over(&self, live: &mut Live, db: Database, mut loaded: Live) {
        for key in &live.riding.feeds {
            if let Some(state) = live.feed_states.remove(key) {
                loaded.feed_states.insert(key.clone(), state);
            }
        }
        for name in &live.riding.destinations {
            if let Some(cursor) = live.cursors.remove(name) {
                loaded.cursors.insert(name.clone(), cursor);
            }
        }
        loaded.riding = std::mem::take(&mut live.riding);
        loaded.checkpoint_at = live.checkpoint_at;
        *live = loaded;
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = Some(db);
        lock(&self.cache).clear();
        self.publish(live);
    }

    /// The damaged file goes aside, a new store takes its place.
    fn replace(&self, live: &mut Live, now: Now, reason: &str) -> Result<(), StoreError> {
        let aside = self.place.set_aside(now.wall, reason)?;
        let loaded = open::open_place(&self.place, &self.options, now)?;
        let replaced = Replaced {
            aside,
            reason: reason.to_owned(),
            store_id: live.store_id,
            cursors: live
                .cursors
                .iter()
                .map(|(name, cursor)| (name.clone(), cursor.progress.clone()))
                .collect(),
        };
        lock(&self.replaced).push(replaced);
        // The old store's seqs mean nothing in the new one.
        live.riding.destinations.clear();
        live.cursors.clear();
        self.take_over(live, loaded.db, loaded.live);
        lock(&self.found_damaged).clear();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// Closing writes too, and may come upon damage that nothing else did.
impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs a call into redb; a panic in it is a damaged store.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // What the closure touches is thrown away on a panic: the database is closed and the memory
    // loaded anew.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without a text");
            Err(StoreError::Damaged(format!("the engine gave up: {text}")))
        }
    }
}

/// Locks; a panic while it was held is the caller's to answer, the data are replaced whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
