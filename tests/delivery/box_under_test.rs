//! A real store with one forward worker, stepped in virtual time.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use thrio_edge::domain::call::Do;
use thrio_edge::domain::delivery::{
    DeliveryBalance, DeliveryOptions, DeliveryProgress, DeliveryStatus,
};
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::domain::ids::{
    AgentId, BoxId, DestinationName, QueueId, RecordSeq, SourceName, StateText,
};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::record::{
    Category, Figures, IntervalRecord, Origin, Record, RevisionReason, Run, StateTransaction,
};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::forwarder::{ForwardHandle, ForwardSettings, ForwardWorker};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{Commit, Store, StoreOptions};

use crate::scripted::Scripted;

/// When every test begins: on a quarter hour.
pub(crate) const START: WallTime = WallTime::from_s(1_764_000_000);
/// A run that needs longer has stalled.
const PATIENCE: Duration = Duration::from_hours(4);

pub(crate) fn seq(n: u64) -> RecordSeq {
    RecordSeq::new(n)
}

pub(crate) struct Box_ {
    folder: TempDir,
    pub(crate) store: Store,
    worker: Option<ForwardWorker>,
    pub(crate) handle: ForwardHandle,
    options: DeliveryOptions,
    pub(crate) destination: Scripted,
    now: MonoTime,
    lives: u64,
    journaled: i64,
}

impl Box_ {
    pub(crate) fn new(options: DeliveryOptions, destination: Scripted) -> Self {
        Self::with_history(0, options, destination)
    }

    /// A box whose journal holds records before the destination is first configured.
    pub(crate) fn with_history(
        records: u64,
        options: DeliveryOptions,
        destination: Scripted,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), MonoTime::ZERO);
        if records > 0 {
            append(
                &store,
                &transactions("main", "a", records, &mut 0),
                Now::default(),
            );
        }
        let (worker, handle) = worker(&store, options.clone(), 1);
        Self {
            folder,
            store,
            worker: Some(worker),
            handle,
            options,
            destination,
            now: MonoTime::ZERO,
            lives: 1,
            journaled: i64::try_from(records).expect("few"),
        }
    }

    fn clock(&self) -> Now {
        at(self.now)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now.since_start()
    }

    pub(crate) fn journal_transactions(&mut self, count: u64) {
        self.journal_transactions_of("main", count);
    }

    pub(crate) fn journal_transactions_of(&mut self, source: &str, count: u64) {
        let records = transactions(source, "a", count, &mut self.journaled);
        append(&self.store, &records, self.clock());
    }

    pub(crate) fn journal_intervals(&mut self, range: std::ops::Range<i64>) {
        let records: Vec<_> = range.map(|n| interval(n, 1)).collect();
        append(&self.store, &records, self.clock());
    }

    /// Steps until `time` has passed.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now.plus(time);
        while self.now < end {
            let until = self.step();
            self.now = until.min(end).max(self.now);
        }
    }

    pub(crate) fn run_until_delivered(&mut self) {
        self.run_until(|under_test| under_test.backlog() == 0);
    }

    /// Steps until it is so.
    pub(crate) fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let patience = self.now.plus(PATIENCE);
        while !is_so(self) {
            let until = self.step();
            self.now = until.max(self.now);
            assert!(self.now < patience, "stalled: {:?}", self.status());
        }
    }

    fn step(&mut self) -> MonoTime {
        let now = self.clock();
        let elapsed = self.elapsed();
        let worker = self.worker.as_mut().expect("a life is on");
        match worker.begin(now).expect("the store is whole") {
            Do::WaitUntil(until) => until,
            Do::Call(call) => {
                let outcome = self.destination.call(elapsed, call);
                self.now = self.now.plus(self.destination.latency());
                let now = at(self.now);
                worker.complete(now, outcome).expect("the store is whole");
                self.now
            }
        }
    }

    /// The process ends and starts again; without a flush, what rode is lost.
    pub(crate) fn restart(&mut self, flush: bool) {
        if flush {
            self.store.flush(self.clock()).expect("flushed");
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        self.worker = None;
        // The former store must be closed before its file is opened again.
        self.store = {
            let other = tempfile::tempdir().expect("a folder");
            let placeholder = open(other.path(), self.now);
            drop(std::mem::replace(&mut self.store, placeholder));
            open(self.folder.path(), self.now)
        };
        self.lives += 1;
        let (worker, handle) = worker(&self.store, self.options.clone(), self.lives);
        self.worker = Some(worker);
        self.handle = handle;
    }

    /// The cursor is lost, as by a power cut before it was written.
    pub(crate) fn forget_progress(&mut self) {
        self.worker = None;
        let name = name();
        self.store.note_progress(&name, DeliveryProgress::default());
        self.restart(true);
    }

    pub(crate) fn plant_early_cursor(&mut self) {
        let worker = self.worker.as_mut().expect("a life is on");
        worker.plant_early_cursor();
    }

    pub(crate) fn status(&self) -> DeliveryStatus {
        let worker = self.worker.as_ref().expect("a life is on");
        worker.machine().status(self.store.head())
    }

    /// The place that the store keeps.
    pub(crate) fn progress(&self) -> DeliveryProgress {
        self.store.progress(&name())
    }

    fn backlog(&self) -> u64 {
        self.status().balance.backlog
    }

    pub(crate) fn check_balance(&self) -> DeliveryBalance {
        let balance = self.status().balance;
        assert!(balance.holds(), "{balance:?}");
        balance
    }

    pub(crate) fn quarantined(&self) -> Vec<u64> {
        let list = self.store.quarantine_list(&name(), RecordSeq::ZERO, 10_000);
        let list = list.expect("the store is whole");
        list.iter().map(|entry| entry.record.seq.get()).collect()
    }
}

pub(crate) fn at(now: MonoTime) -> Now {
    Now {
        wall: START.plus(now.since_start()),
        mono: now,
    }
}

fn name() -> DestinationName {
    DestinationName::new("upstream").expect("a name")
}

pub(crate) fn sources() -> Vec<SourceName> {
    ["main", "other"]
        .map(|s| SourceName::new(s).expect("a name"))
        .to_vec()
}

pub(crate) fn open(folder: &Path, now: MonoTime) -> Store {
    let box_id = BoxId::new("box-1").expect("an id");
    let mut options = StoreOptions::new(folder.to_path_buf(), box_id);
    options.min_free = 0;
    Store::open(&options, at(now)).expect("opened").store
}

pub(crate) fn append(store: &Store, records: &[Record], now: Now) {
    let commit = Commit {
        records,
        feed_states: &[],
    };
    store.append(&commit, now).expect("appended");
}

fn worker(store: &Store, options: DeliveryOptions, life: u64) -> (ForwardWorker, ForwardHandle) {
    worker_named("upstream", store, options, &["main", "other"], life)
}

pub(crate) fn worker_named(
    name: &str,
    store: &Store,
    options: DeliveryOptions,
    sources: &[&str],
    life: u64,
) -> (ForwardWorker, ForwardHandle) {
    let source = |name: &&str| SourceName::new(name).expect("a name");
    let box_id = store.box_id();
    let settings = ForwardSettings {
        name: DestinationName::new(name).expect("a name"),
        options,
        sources: sources.iter().map(source).collect(),
        heartbeat: Box::new(move |now| Heartbeat {
            box_id: box_id.clone(),
            version: "0".to_owned(),
            started_at: START,
            at: now.wall,
            backlog: 0,
            oldest_unsent_at: None,
            alarms: Vec::new(),
            feeds: Vec::new(),
        }),
        seed: life,
    };
    ForwardWorker::new(settings, store.clone(), Waker::new(&StopToken::new())).expect("restored")
}

pub(crate) fn transactions(
    source: &str,
    agent: &str,
    count: u64,
    journaled: &mut i64,
) -> Vec<Record> {
    (0..count)
        .map(|_| {
            *journaled += 1;
            let started_at = START.plus_ms(*journaled);
            Record::Transaction(StateTransaction {
                source: SourceName::new(source).expect("a name"),
                agent: AgentId::new(&format!("{agent}-{}", *journaled % 7)).expect("an id"),
                started_at,
                state: StateText::new("Ready").expect("a state"),
                category: Category::Available,
                previous_state: None,
                earliest_at: None,
                observed_at: started_at,
                origin: Origin::Observed,
                clamped: false,
                tied: false,
            })
        })
        .collect()
}

pub(crate) fn interval(n: i64, revision: u32) -> Record {
    Record::Interval(IntervalRecord {
        source: SourceName::new("main").expect("a name"),
        queue: QueueId::new("q-1").expect("an id"),
        interval_start: IntervalStart::containing(START).plus(n),
        figures: Figures {
            entered: Some(2 + u64::from(revision)),
            abandoned: None,
            handle_time_s: Some(900),
        },
        revision,
        answered_at: START.plus_ms(i64::from(revision) - 1),
        run: Run::Live,
        reason: RevisionReason::First,
        suspect: None,
    })
}
