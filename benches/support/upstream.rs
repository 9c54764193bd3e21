//! A destination of a box without threads: its worker is stepped by the bench, at the moments that
//! its machine names.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thrio_edge::clock::Clock;
use thrio_edge::destination::sqlite::{SqliteDestination, SqliteOptions};
use thrio_edge::destination::{Destination, Receipt};
use thrio_edge::domain::call::Do;
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::domain::health::{FeedHealth, Heartbeat};
use thrio_edge::domain::ids::{BoxId, DestinationName, Feed, SourceName};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::forwarder::shell::execute;
use thrio_edge::forwarder::{DeliveryCall, DeliveryOutcome, ForwardSettings, ForwardWorker};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::Store;

/// What takes the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody elsewhere, who takes everything: no disk of this box is in it.
    Remote,
    /// The tables in a file beside the journal.
    Sqlite,
}

/// A clock that says what it was told.
#[derive(Debug)]
struct ToldClock {
    start: WallTime,
    ms: AtomicU64,
}

impl Clock for ToldClock {
    fn now(&self) -> Now {
        let since = Duration::from_millis(self.ms.load(Ordering::Relaxed));
        Now {
            wall: self.start.plus(since),
            mono: MonoTime::new(since),
        }
    }
}

pub(crate) struct Upstream {
    worker: ForwardWorker,
    sqlite: Option<SqliteDestination>,
    clock: Arc<ToldClock>,
    pub(crate) batches: u64,
}

impl Upstream {
    pub(crate) fn new(
        kind: Kind,
        folder: &Path,
        store: &Store,
        name: DestinationName,
        start: Now,
    ) -> Self {
        let source = SourceName::new("main").expect("a plain name");
        let settings = ForwardSettings {
            name,
            options: DeliveryOptions::default(),
            sources: vec![source.clone()],
            heartbeat: Box::new(move |now| heartbeat(&source, now)),
            seed: 1,
        };
        let waker = Waker::new(&StopToken::new());
        let (worker, _) = ForwardWorker::new(settings, store.clone(), waker).expect("a store");
        let clock = Arc::new(ToldClock {
            start: start.wall,
            ms: AtomicU64::new(0),
        });
        let options = SqliteOptions {
            path: folder.join("wfm.db"),
            ..SqliteOptions::default()
        };
        let sqlite = (kind == Kind::Sqlite).then(|| SqliteDestination::new(options, clock.clone()));
        Self {
            worker,
            sqlite,
            clock,
            batches: 0,
        }
    }

    /// Steps until the worker wants to wait beyond `until`, from `now` on.
    pub(crate) fn deliver(&mut self, now: Duration, until: Duration) {
        let mut now = now;
        while now < until {
            let ms = u64::try_from(now.as_millis()).expect("a few weeks");
            self.clock.ms.store(ms, Ordering::Relaxed);
            let told = self.clock.now();
            match self.worker.begin(told).expect("a sound store") {
                Do::WaitUntil(at) => now = at.since_start().max(now + Duration::from_millis(1)),
                Do::Call(call) => {
                    let outcome = self.call(&call);
                    self.worker.take_back(call);
                    self.worker.complete(told, outcome).expect("room");
                }
            }
        }
    }

    fn call(&mut self, call: &DeliveryCall) -> DeliveryOutcome {
        self.batches += u64::from(matches!(call, DeliveryCall::Send(_)));
        match (&mut self.sqlite, call) {
            (Some(sqlite), call) => execute(sqlite as &mut dyn Destination, call),
            (None, DeliveryCall::Open(_)) => DeliveryOutcome::Opened(Ok(Receipt {
                applied: Vec::new(),
                roster_wanted: Vec::new(),
            })),
            (None, _) => DeliveryOutcome::Done(Ok(())),
        }
    }

    /// Records that are not acknowledged yet.
    pub(crate) fn backlog(&self, store: &Store) -> u64 {
        self.worker.machine().balance(store.head()).backlog
    }
}

/// Both feeds are well.
fn heartbeat(source: &SourceName, now: Now) -> Heartbeat {
    let feeds = [Feed::Realtime, Feed::Historical].map(|feed| FeedHealth {
        source: source.clone(),
        feed,
        last_success_at: Some(now.wall),
        last_complete_poll_at: Some(now.wall),
        last_data_at: Some(now.wall),
        lag_s: 5,
        consecutive_failures: 0,
        last_error: None,
        clock_offset_ms: Some(12),
        is_stale: false,
    });
    Heartbeat {
        box_id: BoxId::new("bench").expect("a plain id"),
        version: "bench".to_owned(),
        started_at: now.wall,
        at: now.wall,
        backlog: 0,
        oldest_unsent_at: None,
        alarms: Vec::new(),
        feeds: feeds.into(),
    }
}
