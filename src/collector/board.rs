//! What the feeds of one source share: the roster, each other's wishes, and how each is doing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::domain::configuration::ConfigurationStatus;
use crate::domain::health::FeedState;
use crate::domain::historical::HistoricalStatus;
use crate::domain::ids::{Feed, SourceName};
use crate::domain::realtime::RealtimeStatus;
use crate::domain::record::Record;
use crate::domain::roster::Roster;
use crate::domain::timestamp::MonoTime;
use crate::store::{Store, StoreError};

/// The feeds of one source, seen from outside and from each other.
pub struct SourceBoard {
    source: SourceName,
    roster: RwLock<Roster>,
    /// Held by the one feed that is journaling what an answer means.
    turn: Mutex<()>,
    /// Moves with each change of the roster.
    roster_version: AtomicU64,
    import_wanted: AtomicBool,
    reports: [Mutex<Option<FeedReport>>; Feed::ALL.len()],
    on_journaled: Box<dyn Fn() + Send + Sync>,
    on_import_wanted: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// How one feed is doing.
#[derive(Debug, Clone)]
pub struct FeedReport {
    /// What the store keeps of it.
    pub state: FeedState,
    /// What its machine says.
    pub detail: FeedDetail,
    /// When its worker last took a step: what readiness and the watchdog go by.
    pub stepped_at: MonoTime,
    /// Whether a call is under way.
    pub is_calling: bool,
    /// Why the store failed last, until it takes an answer again.
    pub store_error: Option<String>,
}

/// What is particular to a feed.
#[derive(Debug, Clone)]
pub enum FeedDetail {
    /// Agent states.
    Realtime(RealtimeStatus),
    /// Contact volume.
    Historical(HistoricalStatus),
    /// Queues and agents.
    Configuration(ConfigurationStatus),
}

impl SourceBoard {
    /// The board of a source, with the roster that the store holds. `on_journaled` is called after
    /// each commit with records, by the worker that made it.
    pub fn new(
        source: SourceName,
        store: &Store,
        on_journaled: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, StoreError> {
        let board = Self {
            source,
            roster: RwLock::default(),
            turn: Mutex::default(),
            roster_version: AtomicU64::new(0),
            import_wanted: AtomicBool::new(false),
            reports: [Mutex::default(), Mutex::default(), Mutex::default()],
            on_journaled,
            on_import_wanted: Mutex::default(),
        };
        board.restore(store)?;
        Ok(board)
    }

    /// The source.
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// Loads the roster anew.
    pub fn restore(&self, store: &Store) -> Result<(), StoreError> {
        let mut roster = Roster::default();
        store.for_each_agent(&self.source, &mut |agent| roster.apply_agent(agent))?;
        store.for_each_queue(&self.source, &mut |queue| roster.apply_queue(queue))?;
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = roster;
        self.roster_version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The roster, for as long as the guard lives; a feed holds it while it compares one answer.
    pub fn roster(&self) -> RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves with each change of the roster.
    pub fn roster_version(&self) -> u64 {
        self.roster_version.load(Ordering::Acquire)
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    /// Takes over the roster records of a commit.
    pub(super) fn apply(&self, records: &[Record]) {
        let is_roster = |r: &Record| matches!(r, Record::Agent(_) | Record::Queue(_));
        if !records.iter().any(is_roster) {
            return;
        }
        let mut roster = self.roster.write().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            roster.apply(record);
        }
        self.roster_version.fetch_add(1, Ordering::Release);
    }

    /// A feed met an id that the roster does not know.
    pub(super) fn want_import(&self) {
        self.import_wanted.store(true, Ordering::Release);
        if let Some(wake) = &*lock(&self.on_import_wanted) {
            wake();
        }
    }

    /// Whether a feed wants an import; asking answers the wish.
    pub(super) fn take_import_wanted(&self) -> bool {
        self.import_wanted.swap(false, Ordering::AcqRel)
    }

    /// Who is woken when a feed wants an import: the configuration feed.
    pub fn on_import_wanted(&self, wake: Box<dyn Fn() + Send>) {
        *lock(&self.on_import_wanted) = Some(wake);
    }

    pub(super) fn journaled(&self) {
        (self.on_journaled)();
    }

    pub(super) fn publish(&self, feed: Feed, report: FeedReport) {
        *lock(self.slot(feed)) = Some(report);
    }

    /// The last report of a feed; none before its first step, or where it is not configured.
    pub fn report(&self, feed: Feed) -> Option<FeedReport> {
        lock(self.slot(feed)).clone()
    }

    fn slot(&self, feed: Feed) -> &Mutex<Option<FeedReport>> {
        match feed {
            Feed::Realtime => &self.reports[0],
            Feed::Historical => &self.reports[1],
            Feed::Configuration => &self.reports[2],
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the lock guards is replaced whole, so a panic elsewhere cannot leave half of it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
