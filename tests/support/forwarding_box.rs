//! A real store with one forward worker before a destination that really calls: time is virtual
//! and passes where the worker waits; calls take as long as they take.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thrio_edge::destination::Destination;
use thrio_edge::domain::agent::AgentDetails;
use thrio_edge::domain::call::Do;
use thrio_edge::domain::delivery::{DeliveryOptions, DeliveryPhase, DeliveryStatus};
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::domain::ids::{AgentId, BoxId, DestinationName, RecordSeq, SourceName, StateText};
use thrio_edge::domain::record::{
    AgentChange, Category, Origin, Record, RosterChange, StateTransaction,
};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::forwarder::{ForwardCommand, ForwardHandle, ForwardSettings, ForwardWorker, shell};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{Commit, Store, StoreOptions};

/// When every test begins: on a quarter hour.
pub(crate) const START: WallTime = WallTime::from_s(1_764_000_000);
/// A run that needs longer, in virtual time, has stalled.
const PATIENCE: Duration = Duration::from_hours(4);

pub(crate) struct ForwardingBox {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    worker: ForwardWorker,
    handle: ForwardHandle,
    options: DeliveryOptions,
    destination: Box<dyn Destination>,
    box_id: String,
    source: String,
    now: MonoTime,
    journaled: i64,
}

impl ForwardingBox {
    pub(crate) fn new(destination: Box<dyn Destination>) -> Self {
        Self::named("box-1", "main", DeliveryOptions::default(), destination)
    }

    pub(crate) fn with_options(
        options: DeliveryOptions,
        destination: Box<dyn Destination>,
    ) -> Self {
        Self::named("box-1", "main", options, destination)
    }

    pub(crate) fn named(
        box_id: &str,
        source: &str,
        options: DeliveryOptions,
        destination: Box<dyn Destination>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), box_id);
        let (worker, handle) = worker(&store, source, options.clone());
        Self {
            folder,
            store,
            worker,
            handle,
            options,
            destination,
            box_id: box_id.to_owned(),
            source: source.to_owned(),
            now: MonoTime::ZERO,
            journaled: 0,
        }
    }

    /// The process is killed and starts again, with this destination.
    pub(crate) fn restart(&mut self, destination: Box<dyn Destination>) {
        self.reopen(None, destination);
    }

    /// The destination is elsewhere from now on; the process goes on.
    pub(crate) fn replace(&mut self, destination: Box<dyn Destination>) {
        self.destination = destination;
    }

    /// The same as [`Self::restart`], with the store's files put back from a copy meanwhile.
    pub(crate) fn restart_from(&mut self, copy: &Path, destination: Box<dyn Destination>) {
        self.reopen(Some(copy), destination);
    }

    fn reopen(&mut self, copy: Option<&Path>, destination: Box<dyn Destination>) {
        let other = tempfile::tempdir().expect("a folder");
        let placeholder = open(other.path(), &self.box_id);
        (self.worker, _) = worker(&placeholder, &self.source, self.options.clone());
        // The former store must be closed before its file is opened again.
        drop(std::mem::replace(&mut self.store, placeholder));
        if let Some(copy) = copy {
            copy_files(copy, self.folder.path());
        }
        self.store = open(self.folder.path(), &self.box_id);
        (self.worker, self.handle) = worker(&self.store, &self.source, self.options.clone());
        self.destination = destination;
    }

    /// A person takes the source over, with the next opening.
    pub(crate) fn claim(&self, source: &str) {
        let source = SourceName::new(source).expect("a name");
        self.send(ForwardCommand::Claim(source));
    }

    /// A person asks for it.
    pub(crate) fn send(&self, command: ForwardCommand) {
        assert!(self.handle.send(command), "its worker is there");
    }

    pub(crate) fn journal_transactions(&mut self, count: u64) {
        let records: Vec<_> = (0..count)
            .map(|_| {
                self.journaled += 1;
                Record::Transaction(transaction(&self.source, self.journaled))
            })
            .collect();
        self.journal(&records);
    }

    pub(crate) fn journal(&mut self, records: &[Record]) {
        let commit = Commit {
            records,
            feed_states: &[],
        };
        self.store.append(&commit, at(self.now)).expect("appended");
    }

    /// Steps until nothing waits.
    pub(crate) fn run_until_delivered(&mut self) {
        self.run_until("everything is delivered", |status| {
            status.balance.backlog == 0
        });
        assert!(self.status().balance.holds(), "{:?}", self.status().balance);
    }

    /// Steps until a person would be told; answers reason and remedy.
    pub(crate) fn run_until_held(&mut self) -> String {
        self.run_until("it is held", |status| {
            matches!(status.phase, DeliveryPhase::Held { .. })
        });
        match self.status().phase {
            DeliveryPhase::Held { reason, remedy, .. } => format!("{reason}; {remedy}"),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn run_until(&mut self, what: &str, is_so: impl Fn(&DeliveryStatus) -> bool) {
        let end = self.now.plus(PATIENCE);
        while !is_so(&self.status()) {
            assert!(self.now < end, "not until {what}: {:?}", self.status());
            self.step();
        }
    }

    /// One call and what the worker makes of it, or one wait.
    pub(crate) fn step(&mut self) {
        match self.worker.begin(at(self.now)).expect("the store is whole") {
            Do::WaitUntil(until) => self.now = until.max(self.now),
            Do::Call(call) => {
                let outcome = shell::execute(self.destination.as_mut(), &call);
                self.worker.take_back(call);
                self.worker
                    .complete(at(self.now), outcome)
                    .expect("the store is whole");
            }
        }
    }

    pub(crate) fn status(&self) -> DeliveryStatus {
        self.worker.machine().status(self.store.head())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now.since_start()
    }

    /// The quarantined seqs with their reasons.
    pub(crate) fn quarantine(&self) -> BTreeMap<u64, String> {
        let list = self
            .store
            .quarantine_list(&name(), RecordSeq::ZERO, 10_000)
            .expect("the store is whole");
        list.into_iter()
            .map(|entry| (entry.record.seq.get(), entry.reason))
            .collect()
    }
}

fn at(now: MonoTime) -> Now {
    Now {
        wall: START.plus(now.since_start()),
        mono: now,
    }
}

fn name() -> DestinationName {
    DestinationName::new("upstream").expect("a name")
}

fn open(folder: &Path, box_id: &str) -> Store {
    let box_id = BoxId::new(box_id).expect("an id");
    let mut options = StoreOptions::new(folder.to_path_buf(), box_id);
    options.min_free = 0;
    Store::open(&options, at(MonoTime::ZERO))
        .expect("opened")
        .store
}

fn worker(store: &Store, source: &str, options: DeliveryOptions) -> (ForwardWorker, ForwardHandle) {
    let box_id = store.box_id();
    let settings = ForwardSettings {
        name: name(),
        options,
        sources: vec![SourceName::new(source).expect("a name")],
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
        seed: 1,
    };
    let waker = Waker::new(&StopToken::new());
    ForwardWorker::new(settings, store.clone(), waker).expect("restored")
}

fn transaction(source: &str, n: i64) -> StateTransaction {
    let started_at = START.plus_ms(n);
    StateTransaction {
        source: SourceName::new(source).expect("a name"),
        agent: AgentId::new(&format!("agent \"{}\"", n % 7)).expect("an id"),
        started_at,
        state: StateText::new("Bereit für Ä").expect("a state"),
        category: Category::Available,
        previous_state: None,
        earliest_at: None,
        observed_at: started_at,
        origin: Origin::Observed,
        clamped: false,
        tied: false,
    }
}

pub(crate) fn agent(source: &str, id: &str) -> Record {
    Record::Agent(AgentChange {
        source: SourceName::new(source).expect("a name"),
        agent: AgentId::new(id).expect("an id"),
        change: RosterChange::Added,
        details: Arc::new(AgentDetails {
            display_name: Some("Kim".to_owned()),
            is_active: true,
            ..AgentDetails::default()
        }),
        valid_from: START,
        first_seen: START,
        provisional: false,
    })
}

/// Copies the files of a folder, not its folders.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}
