//! A drain that is under way: a real journal, the worker's thread, a real server.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::destination::Secret;
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions};
use thrio_edge::domain::delivery::{DeliveryOptions, DeliveryPhase};
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::domain::ids::{BoxId, DestinationName};
use thrio_edge::domain::record::Record;
use thrio_edge::forwarder::{ForwardHandle, ForwardSettings, ForwardWorker, shell};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{Commit, Store, StoreOptions};

use crate::destination_suite::records::{self, source};
use crate::postgres_server::{Sql, wait_until};

/// Enough that trouble finds the drain under way.
pub(crate) const RECORDS: i64 = 12_000;
/// Rows that are there when trouble begins.
const UNDER_WAY: i64 = 1_500;

const ROWS: &str = "SELECT count(*) FROM wfm_agent_state_transaction";

/// A box that drains its backlog.
pub(crate) struct Drain {
    handle: ForwardHandle,
    thread: Option<JoinHandle<()>>,
    token: StopToken,
    _folder: tempfile::TempDir,
}

impl Drain {
    /// Begins, and returns once it is under way.
    pub(crate) fn begin(options: PostgresOptions, password: Secret, admin: &Sql) -> Self {
        let drain = Self::start(options, password);
        wait_until("the drain to be under way", || {
            let there = "SELECT to_regclass('wfm_agent_state_transaction') IS NOT NULL";
            admin.one(there) == "t" && number(&admin.one(ROWS)) >= UNDER_WAY
        });
        drain
    }

    fn start(options: PostgresOptions, password: Secret) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(SystemClock::new());
        let box_id = BoxId::new("box-1").expect("an id");
        let mut store_options = StoreOptions::new(folder.path().join("state"), box_id);
        store_options.min_free = 0;
        let store = Store::open(&store_options, clock.now())
            .expect("opened")
            .store;
        fill(&store, &clock);
        let token = StopToken::new();
        let waker = Waker::new(&token);
        let (worker, handle) = worker(&store, &waker);
        let to = PostgresDestination::new(options, Some(password), clock.clone());
        let thread = shell::spawn("to-postgres".to_owned(), worker, Box::new(to), clock, waker);
        handle.wake();
        Self {
            handle,
            thread: Some(thread.expect("started")),
            token,
            _folder: folder,
        }
    }

    /// Waits until a person would read all of these words: the phase's reason and remedy, or the
    /// last error of a wait.
    pub(crate) fn shows(&self, phase: &str, words: &[&str]) {
        let mut seen = String::new();
        let is_shown = || {
            let Some(report) = self.handle.report() else {
                return false;
            };
            let status = report.status;
            let text = match &status.phase {
                DeliveryPhase::Held { reason, remedy, .. } => format!("{reason}; {remedy}"),
                _ => status.last_error.clone().unwrap_or_default(),
            };
            let matches = status.phase.as_str() == phase && words.iter().all(|w| text.contains(w));
            seen = format!("{}: {text}", status.phase.as_str());
            matches
        };
        let shown = poll(is_shown);
        assert!(
            shown,
            "{phase} with {words:?} was never shown, last: {seen}"
        );
    }

    /// Waits until everything is there, and counts it: nothing lost, nothing doubled.
    pub(crate) fn ends_whole(mut self, admin: &Sql) {
        let drained = poll(|| {
            let report = self.handle.report();
            report.is_some_and(|r| r.status.balance.backlog == 0)
        });
        assert!(drained, "stalled: {:?}", self.handle.report());
        let report = self.handle.report().expect("it has stepped");
        assert!(report.status.balance.holds());
        assert_eq!(report.quarantined, 0);
        let distinct = "SELECT count(DISTINCT record_seq) FROM wfm_agent_state_transaction";
        assert_eq!(number(&admin.one(ROWS)), RECORDS);
        assert_eq!(number(&admin.one(distinct)), RECORDS);
        let receipt = "SELECT string_agg(first_seq || '-' || last_seq, ' ') FROM wfm_delivery";
        assert_eq!(admin.one(receipt), format!("1-{RECORDS}"));
        self.token.stop();
        self.thread.take().expect("running").join().expect("ended");
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.token.stop();
    }
}

fn poll(mut is_so: impl FnMut() -> bool) -> bool {
    let token = StopToken::new();
    (0..6_000).any(|_| {
        let so = is_so();
        if !so {
            token.wait(Duration::from_millis(10));
        }
        so
    })
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn fill(store: &Store, clock: &SystemClock) {
    for from in (0..RECORDS).step_by(3_000) {
        let records: Vec<Record> = (from..from + 3_000)
            .map(|n| {
                let agent = format!("a-{}", n % 97);
                Record::Transaction(records::transaction(&agent, n * 1_000, "Ready"))
            })
            .collect();
        let commit = Commit {
            records: &records,
            feed_states: &[],
        };
        store.append(&commit, clock.now()).expect("appended");
    }
}

fn worker(store: &Store, waker: &Waker) -> (ForwardWorker, ForwardHandle) {
    let box_id = store.box_id();
    let settings = ForwardSettings {
        name: DestinationName::new("product").expect("a name"),
        options: DeliveryOptions {
            // Small batches, so that the drain lasts.
            batch_records: 30,
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_millis(200),
            probe_period: Duration::from_millis(50),
            hold_period: Duration::from_millis(200),
            ..DeliveryOptions::default()
        },
        sources: vec![source()],
        heartbeat: Box::new(move |now| Heartbeat {
            box_id: box_id.clone(),
            version: "0".to_owned(),
            started_at: now.wall,
            at: now.wall,
            backlog: 0,
            oldest_unsent_at: None,
            alarms: Vec::new(),
            feeds: Vec::new(),
        }),
        seed: 1,
    };
    ForwardWorker::new(settings, store.clone(), waker.clone()).expect("restored")
}
