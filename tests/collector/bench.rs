//! A box without threads: a store, a board, and workers that are stepped by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use thrio_edge::collector::configuration::ConfigurationFeed;
use thrio_edge::collector::historical::HistoricalFeed;
use thrio_edge::collector::realtime::RealtimeFeed;
use thrio_edge::collector::{FeedHandle, FeedLogic, FeedWorker, SourceBoard};
use thrio_edge::domain::agent::{AgentDetails, AgentEntry};
use thrio_edge::domain::call::{
    AgentState, CallFailure, ConfigurationAnswer, ConfigurationCall, Do, FailureKind, Rejections,
    RosterList, Snapshot, Timing,
};
use thrio_edge::domain::clock_offset::ClockOptions;
use thrio_edge::domain::configuration::ConfigurationOptions;
use thrio_edge::domain::historical::HistoricalOptions;
use thrio_edge::domain::ids::{AgentId, BoxId, QueueId, RecordSeq, SourceName};
use thrio_edge::domain::queue::{QueueDetails, QueueEntry};
use thrio_edge::domain::realtime::RealtimeOptions;
use thrio_edge::domain::record::Record;
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{ReadLimit, SimulatedDisk, Store, StoreError, StoreOptions};

/// 2026-07-25T16:00:00Z.
pub(crate) const BASE_S: i64 = 1_784_995_200;

pub(crate) fn now(s: u64) -> Now {
    Now {
        wall: WallTime::from_s(BASE_S).plus(Duration::from_secs(s)),
        mono: MonoTime::new(Duration::from_secs(s)),
    }
}

pub(crate) fn source() -> SourceName {
    SourceName::new("main").unwrap()
}

/// A store on a simulated disk, and what the feeds of one source share.
pub(crate) struct Bench {
    pub store: Store,
    pub disk: SimulatedDisk,
    pub board: Arc<SourceBoard>,
    pub journaled: Arc<AtomicU64>,
    options: StoreOptions,
    _folder: TempDir,
}

pub(crate) fn snapshot(rows: &[(&str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (agent, state) in rows {
        snapshot.push(AgentState {
            agent,
            by_username: false,
            state,
            since: None,
        });
    }
    snapshot
}

pub(crate) fn agents(ids: &[&str]) -> ConfigurationAnswer {
    let entries = ids.iter().map(|id| AgentEntry {
        id: AgentId::new(id).unwrap(),
        details: Arc::new(AgentDetails {
            display_name: Some(format!("Agent {id}")),
            is_active: true,
            ..AgentDetails::default()
        }),
    });
    ConfigurationAnswer::Agents(RosterList {
        entries: entries.collect(),
        complete: true,
        rejected: Rejections::default(),
    })
}

pub(crate) fn queues(ids: &[&str]) -> ConfigurationAnswer {
    let entries = ids.iter().map(|id| QueueEntry {
        id: QueueId::new(id).unwrap(),
        details: QueueDetails {
            name: Some(format!("Queue {id}")),
            description: None,
            is_active: true,
        },
    });
    ConfigurationAnswer::Queues(RosterList {
        entries: entries.collect(),
        complete: true,
        rejected: Rejections::default(),
    })
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            min_free: 0,
            ..StoreOptions::new(folder.path().to_path_buf(), BoxId::new("box").unwrap())
        };
        let disk = SimulatedDisk::new(1);
        let opened = Store::open_simulated(disk.clone(), &options, now(0)).unwrap();
        let journaled = Arc::new(AtomicU64::new(0));
        Self {
            board: board(&opened.store, &journaled),
            store: opened.store,
            disk,
            journaled,
            options,
            _folder: folder,
        }
    }

    /// Power is lost, and the box starts again.
    pub(crate) fn cut_power(self, s: u64) -> Self {
        self.disk.cut_power();
        drop((self.board, self.store));
        let opened = Store::open_simulated(self.disk.clone(), &self.options, now(s)).unwrap();
        Self {
            board: board(&opened.store, &self.journaled),
            store: opened.store,
            ..self
        }
    }

    pub(crate) fn realtime(&self) -> Stepped<RealtimeFeed> {
        let options = RealtimeOptions::default();
        let feed = RealtimeFeed::new(source(), options, &self.store, 1).unwrap();
        self.stepped(feed)
    }

    pub(crate) fn configuration(&self) -> Stepped<ConfigurationFeed> {
        let options = ConfigurationOptions::default();
        self.stepped(ConfigurationFeed::new(source(), options, &self.store, 1))
    }

    pub(crate) fn historical(&self, s: u64) -> Stepped<HistoricalFeed> {
        let options = HistoricalOptions::default();
        let clock = ClockOptions::default();
        let feed = HistoricalFeed::new(source(), options, clock, &self.store, now(s), 1).unwrap();
        self.stepped(feed)
    }

    fn stepped<L: FeedLogic>(&self, feed: L) -> Stepped<L> {
        let waker = Waker::new(&StopToken::new());
        let (worker, handle) =
            FeedWorker::new(feed, self.store.clone(), Arc::clone(&self.board), waker);
        Stepped { worker, handle }
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let limit = ReadLimit {
            records: 100_000,
            bytes: usize::MAX,
        };
        let page = self.store.read(RecordSeq::new(1), limit).unwrap();
        page.records.into_iter().map(|r| r.record).collect()
    }

    /// The journal, the tables and both balances agree.
    pub(crate) fn is_sound(&self, s: u64) {
        self.store.flush(now(s)).unwrap();
        let verified = self.store.verify().unwrap();
        assert!(verified.is_sound(), "{:?}", verified.problems);
        assert!(verified.feeds_balanced);
    }

    pub(crate) fn commits(&self) -> u64 {
        self.journaled.load(Ordering::Relaxed)
    }
}

fn board(store: &Store, journaled: &Arc<AtomicU64>) -> Arc<SourceBoard> {
    let journaled = Arc::clone(journaled);
    let count = move || {
        journaled.fetch_add(1, Ordering::Relaxed);
    };
    Arc::new(SourceBoard::new(source(), store, Box::new(count)).unwrap())
}

/// A worker that is stepped by hand.
pub(crate) struct Stepped<L: FeedLogic> {
    pub worker: FeedWorker<L>,
    pub handle: FeedHandle<L::Command>,
}

impl<L: FeedLogic> Stepped<L> {
    /// The worker's next call; waits that come before it are waited.
    pub(crate) fn call(&mut self, from_s: u64, until_s: u64) -> Option<(u64, L::Call)> {
        let mut s = from_s;
        while s <= until_s {
            match self.worker.begin(now(s)).unwrap() {
                Do::Call(call) => return Some((s, call)),
                Do::WaitUntil(at) => {
                    let wait = at.since(now(s).mono);
                    s += wait.as_secs().max(1);
                }
            }
        }
        None
    }

    /// Answers the call that is under way at once.
    pub(crate) fn answer(&mut self, s: u64, answer: &L::Answer) -> Result<(), StoreError> {
        self.worker.complete(now(s), at(s), Ok(answer))
    }

    pub(crate) fn fail(&mut self, s: u64, kind: FailureKind) -> Result<(), StoreError> {
        let failure = CallFailure {
            kind,
            message: "no answer".to_owned(),
        };
        self.worker.complete(now(s), at(s), Err(&failure))
    }
}

pub(crate) fn at(s: u64) -> Timing {
    Timing {
        sent: now(s),
        received: now(s),
        server_date: None,
    }
}

impl Stepped<RealtimeFeed> {
    /// A poll in this second, answered so.
    pub(crate) fn poll(&mut self, s: u64, rows: &[(&str, &str)]) -> Result<(), StoreError> {
        let now_call = thrio_edge::collector::realtime::RealtimeCommand::PollNow;
        assert!(self.handle.send(now_call));
        let (called_at, _) = self.call(s, s).expect("a poll is due when it is asked for");
        assert_eq!(called_at, s);
        self.answer(s, &snapshot(rows))
    }
}

impl Stepped<ConfigurationFeed> {
    /// One import that is due in this second.
    pub(crate) fn import(&mut self, s: u64, queue_ids: &[&str], agent_ids: &[&str]) {
        let (_, call) = self.call(s, s).expect("an import is due");
        assert_eq!(call, ConfigurationCall::Queues);
        self.answer(s, &queues(queue_ids)).unwrap();
        let (_, call) = self.call(s, s).expect("the agents follow");
        assert_eq!(call, ConfigurationCall::Agents);
        self.answer(s, &agents(agent_ids)).unwrap();
    }
}
