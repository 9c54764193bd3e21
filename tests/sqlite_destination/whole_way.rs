//! The whole way: a real journal, the worker's thread, and the file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::domain::ids::{BoxId, DestinationName};
use thrio_edge::domain::record::Record;
use thrio_edge::forwarder::{ForwardHandle, ForwardSettings, ForwardWorker, shell};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{Commit, Store, StoreOptions};

use crate::destination_suite::records::{history, source};
use crate::{destination, query_one};

/// A thread that needs longer for a few hundred records has stalled.
const PATIENCE: Duration = Duration::from_mins(1);

fn open(folder: &Path, clock: &SystemClock) -> Store {
    let box_id = BoxId::new("box-1").expect("an id");
    let mut options = StoreOptions::new(folder.to_path_buf(), box_id);
    options.min_free = 0;
    Store::open(&options, clock.now()).expect("opened").store
}

fn append(store: &Store, records: &[Record], clock: &SystemClock) {
    let commit = Commit {
        records,
        feed_states: &[],
    };
    store.append(&commit, clock.now()).expect("appended");
}

fn wait_for(handle: &ForwardHandle, what: impl Fn(&ForwardHandle) -> bool) {
    let token = StopToken::new();
    let step = Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        if what(handle) {
            return;
        }
        token.wait(step);
    }
    panic!("stalled: {:?}", handle.report());
}

fn is_drained(handle: &ForwardHandle, head: u64) -> bool {
    handle.report().is_some_and(|report| {
        let balance = report.status.balance;
        balance.last_seq.get() == head && balance.backlog == 0
    })
}

fn worker(store: &Store, waker: &Waker) -> (ForwardWorker, ForwardHandle) {
    let box_id = store.box_id();
    let settings = ForwardSettings {
        name: DestinationName::new("file").expect("a name"),
        options: DeliveryOptions::default(),
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

#[test]
fn the_thread_drains_the_journal_under_a_new_store_id_too_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wfm.db");
    let clock = Arc::new(SystemClock::new());
    let store = open(&folder.path().join("state"), &clock);
    let token = StopToken::new();
    let waker = Waker::new(&token);
    let (worker, handle) = worker(&store, &waker);
    let to = Box::new(destination(&path));
    let thread = shell::spawn("to-file".to_owned(), worker, to, clock.clone(), waker);
    let thread = thread.expect("started");

    append(&store, &history(), &clock);
    handle.wake();
    let head = store.head().get();
    wait_for(&handle, |h| is_drained(h, head));
    let open_agents = "SELECT COUNT(*) FROM wfm_agent WHERE valid_to IS NULL";
    let before: i64 = query_one(&path, open_agents);
    assert!(before > 0);

    // Another destination found the store rolled back: the identity changes under this one.
    store.new_store_id(clock.now()).expect("taken");
    append(&store, &history()[..5], &clock);
    handle.wake();
    wait_for(&handle, |h| is_drained(h, head + 5));
    let claims = "SELECT claim_no FROM wfm_source WHERE roster_pending = 0";
    assert_eq!(query_one::<i64>(&path, claims), 2);
    // The new claim ended the former one's versions, and the roster opened them again.
    assert_eq!(query_one::<i64>(&path, open_agents), before);

    token.stop();
    thread.join().expect("ended by itself");
    let report = handle.report().expect("it has stepped");
    assert!(report.status.balance.holds());
}
