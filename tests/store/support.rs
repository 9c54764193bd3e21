//! Records and stores for the scenarios.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thrio_edge::domain::health::FeedState;
use thrio_edge::domain::ids::{
    AgentId, BoxId, DestinationName, Feed, QueueId, RecordSeq, SourceName, StateText,
};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::queue::QueueDetails;
use thrio_edge::domain::record::{
    AgentChange, Category, CoverageEntry, CoverageStatus, Figures, IntervalRecord, Origin,
    QueueChange, Record, RevisionReason, RosterChange, Run, StateCode, StateTransaction,
};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::store::{Commit, Page, ReadLimit, Store, StoreOptions};

/// The wall clock when a test's monotonic clock reads zero; a quarter hour begins.
pub(crate) const START_S: i64 = 1_785_000_600 / 900 * 900;

pub(crate) const WHOLE: ReadLimit = ReadLimit {
    records: 1_000_000,
    bytes: usize::MAX,
};

/// Both clocks, this many seconds after the start.
pub(crate) fn at(s: u64) -> Now {
    Now {
        wall: WallTime::from_s(START_S).plus(Duration::from_secs(s)),
        mono: MonoTime::new(Duration::from_secs(s)),
    }
}

pub(crate) fn options(folder: &Path) -> StoreOptions {
    StoreOptions {
        min_free: 0,
        ..StoreOptions::new(folder.to_owned(), BoxId::new("front-desk").unwrap())
    }
}

pub(crate) fn source() -> SourceName {
    SourceName::new("main").unwrap()
}

pub(crate) fn destination(name: &str) -> DestinationName {
    DestinationName::new(name).unwrap()
}

pub(crate) fn quarter(n: i64) -> IntervalStart {
    IntervalStart::aligned_s(START_S).unwrap().plus(n)
}

pub(crate) fn transaction(agent: u32, state: &str, s: u64) -> Record {
    let observed_at = at(s).wall;
    Record::Transaction(StateTransaction {
        source: source(),
        agent: AgentId::new(&format!("agent-{agent:05}")).unwrap(),
        started_at: observed_at.plus_ms(-7_500),
        state: StateText::new(state).unwrap(),
        category: Category::Available,
        previous_state: None,
        earliest_at: Some(observed_at.plus_ms(-15_000)),
        observed_at,
        origin: Origin::Observed,
        clamped: false,
        tied: false,
    })
}

pub(crate) fn interval(queue: u32, n: i64, revision: u32, entered: u64) -> Record {
    Record::Interval(IntervalRecord {
        source: source(),
        queue: QueueId::new(&format!("queue-{queue}")).unwrap(),
        interval_start: quarter(n),
        figures: Figures {
            entered: Some(entered),
            abandoned: Some(0),
            handle_time_s: None,
        },
        revision,
        answered_at: quarter(n).end().plus_ms(300_000),
        run: Run::Live,
        reason: RevisionReason::First,
        suspect: None,
    })
}

pub(crate) fn coverage(feed: Feed, n: i64, status: CoverageStatus) -> Record {
    Record::Coverage(CoverageEntry {
        source: source(),
        feed,
        interval_start: quarter(n),
        status,
        attempts: 1,
        last_error: None,
        rows: 3,
        fetched_at: None,
        final_at: None,
        polls_expected: None,
        polls_made: None,
        unknown_s: None,
    })
}

pub(crate) fn queue_change(queue: u32, change: RosterChange) -> Record {
    Record::Queue(QueueChange {
        source: source(),
        queue: QueueId::new(&format!("queue-{queue}")).unwrap(),
        change,
        details: QueueDetails {
            name: Some("Sales".to_owned()),
            description: None,
            is_active: true,
        },
        valid_from: at(0).wall,
        first_seen: at(0).wall,
        provisional: false,
    })
}

pub(crate) fn agent_change(agent: u32, change: RosterChange) -> Record {
    Record::Agent(AgentChange {
        source: source(),
        agent: AgentId::new(&format!("agent-{agent:05}")).unwrap(),
        change,
        details: Arc::default(),
        valid_from: at(0).wall,
        first_seen: at(0).wall,
        provisional: true,
    })
}

pub(crate) fn state_code(state: &str) -> Record {
    Record::StateCode(StateCode {
        source: source(),
        state: StateText::new(state).unwrap(),
        category: Category::Unmapped,
        first_seen: at(0).wall,
        mapped: false,
    })
}

pub(crate) fn feed_state(feed: Feed, received: u64) -> FeedState {
    let mut state = FeedState::new(source(), feed);
    state.counts.rows_received = received;
    state
}

/// Opens the store in this folder.
pub(crate) fn open(folder: &Path, s: u64) -> Store {
    Store::open(&options(folder), at(s)).unwrap().store
}

pub(crate) fn append(store: &Store, records: &[Record], s: u64) {
    let commit = Commit {
        records,
        feed_states: &[],
    };
    store.append(&commit, at(s)).unwrap();
}

/// Every record that the journal holds, in order; there must be no hole.
pub(crate) fn all(store: &Store) -> Vec<Record> {
    let page: Page = store.read(RecordSeq::new(1), WHOLE).unwrap();
    assert_eq!((page.damaged, page.expired), (vec![], vec![]));
    page.records
        .into_iter()
        .zip(1..)
        .map(|(record, seq)| {
            assert_eq!(record.seq, RecordSeq::new(seq));
            record.record
        })
        .collect()
}

/// The seed of a randomised test: its own, or the one to replay from the environment.
pub(crate) fn seed(own: u64) -> u64 {
    let seed = std::env::var("THRIO_EDGE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(own);
    println!("THRIO_EDGE_SEED={seed}");
    seed
}
