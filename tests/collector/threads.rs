//! Workers in their threads, against a source that answers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use thrio_edge::clock::{Clock, ScaledClock};
use thrio_edge::collector::realtime::RealtimeFeed;
use thrio_edge::collector::{FeedWorker, SourceBoard, shell};
use thrio_edge::domain::call::{
    AgentState, ConfigurationAnswer, ConfigurationCall, HistoricalAnswer, HistoricalCall,
    RealtimeCall, Snapshot, Timing,
};
use thrio_edge::domain::ids::BoxId;
use thrio_edge::domain::realtime::RealtimeOptions;
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{Store, StoreOptions};
use thrio_edge::thrio::{Answered, Source, ThrioError};

use super::bench::source;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent who changes her state with every poll.
struct Restless {
    clock: Arc<dyn Clock>,
    polls: Arc<AtomicU64>,
    panics_at: Option<u64>,
}

impl Source for Restless {
    fn realtime(
        &mut self,
        _call: &RealtimeCall,
        into: &mut Snapshot,
    ) -> Result<Answered<()>, ThrioError> {
        let polls = self.polls.fetch_add(1, Ordering::Relaxed);
        assert_ne!(Some(polls), self.panics_at, "a mistake in the program");
        let sent = self.clock.now();
        into.clear();
        into.push(AgentState {
            agent: "a",
            by_username: false,
            state: ["Busy", "Working"][usize::from(polls % 2 == 1)],
            since: None,
        });
        Ok(Answered {
            timing: Timing {
                sent,
                received: self.clock.now(),
                server_date: None,
            },
            value: (),
        })
    }

    fn historical(
        &mut self,
        _call: &HistoricalCall,
    ) -> Result<Answered<HistoricalAnswer>, ThrioError> {
        unreachable!("only the realtime feed runs")
    }

    fn configuration(
        &mut self,
        _call: ConfigurationCall,
    ) -> Result<Answered<ConfigurationAnswer>, ThrioError> {
        unreachable!("only the realtime feed runs")
    }
}

struct Running {
    thread: std::thread::JoinHandle<()>,
    stop: StopToken,
    store: Store,
    polls: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

fn run(panics_at: Option<u64>, wake: Sender<()>) -> Running {
    // A minute in a tenth of a second.
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(600.0));
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        min_free: 0,
        ..StoreOptions::new(folder.path().to_path_buf(), BoxId::new("box").unwrap())
    };
    let store = Store::open(&options, clock.now()).unwrap().store;
    // A test that has seen enough no longer listens.
    let on_journaled = move || {
        let _ = wake.send(());
    };
    let board = SourceBoard::new(source(), &store, Box::new(on_journaled)).unwrap();
    let feed = RealtimeFeed::new(source(), RealtimeOptions::default(), &store, 7).unwrap();
    let stop = StopToken::new();
    let waker = Waker::new(&stop);
    let (worker, _handle) = FeedWorker::new(feed, store.clone(), Arc::new(board), waker.clone());
    let polls = Arc::new(AtomicU64::new(0));
    let restless = Restless {
        clock: Arc::clone(&clock),
        polls: Arc::clone(&polls),
        panics_at,
    };
    let name = "realtime-main".to_owned();
    let thread = shell::spawn(name, worker, Box::new(restless), clock, waker).unwrap();
    Running {
        thread,
        stop,
        store,
        polls,
        _folder: folder,
    }
}

#[test]
fn a_worker_polls_wakes_the_forwarders_and_ends_with_the_stop() {
    let (wake, woken) = unbounded();
    let running = run(None, wake);
    for _ in 0..5 {
        woken
            .recv_timeout(PATIENCE)
            .expect("each poll changes something");
    }
    running.stop.stop();
    running.thread.join().expect("it ends in order");
    let polls = running.polls.load(Ordering::Relaxed);
    assert!(polls >= 5);
    assert!(running.store.verify().unwrap().is_sound());
    assert!(running.store.head().get() >= polls);
}

#[test]
fn a_panic_in_a_worker_is_the_joiners_to_see() {
    let (wake, _woken) = unbounded();
    let running = run(Some(2), wake);
    assert!(running.thread.join().is_err());
}
