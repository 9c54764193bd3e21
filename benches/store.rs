//! The store's figures (architecture §8), as ratios within one run:
//! `cargo bench --bench store`.
//!
//! Each figure is taken once over a growing file, as in life; repeating an iteration on a fresh
//! file, as a statistical harness does, would measure another thing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, Durability, TableDefinition};
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::domain::delivery::DeliveryProgress;
use thrio_edge::domain::ids::{
    AgentId, BoxId, DestinationName, RecordSeq, SeqRange, SourceName, StateText,
};
use thrio_edge::domain::record::{Category, Origin, Record, StateTransaction};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::store::{Commit, ReadLimit, Store, StoreOptions, encoded_block};

const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
const STATES: [&str; 6] = [
    "Available",
    "Busy",
    "Wrapup",
    "Working",
    "Lunch",
    "Logged out",
];
/// Agents on at the peak of preset L.
const AGENTS: u32 = 3_000;

struct Load {
    rng: fastrand::Rng,
    agents: Vec<AgentId>,
    states: Vec<StateText>,
    source: SourceName,
}

impl Load {
    fn new() -> Self {
        let mut rng = fastrand::Rng::with_seed(7);
        let id = |rng: &mut fastrand::Rng| AgentId::new(&format!("{:024x}", rng.u128(..) >> 32));
        Self {
            agents: (0..AGENTS)
                .map(|_| id(&mut rng).expect("24 digits"))
                .collect(),
            states: STATES
                .iter()
                .map(|s| StateText::new(s).expect("short"))
                .collect(),
            source: SourceName::new("main").expect("a name"),
            rng,
        }
    }

    /// One poll's changes; Thrio says when each state began.
    fn poll(&mut self, changes: usize, at_s: i64) -> Vec<Record> {
        let observed_at = WallTime::from_s(1_785_000_000 + at_s);
        (0..changes)
            .map(|_| {
                let state = self.rng.usize(0..STATES.len());
                Record::Transaction(StateTransaction {
                    source: self.source.clone(),
                    agent: self.agents[self.rng.usize(0..self.agents.len())].clone(),
                    started_at: observed_at.plus_ms(-self.rng.i64(0..15_000)),
                    state: self.states[state].clone(),
                    category: Category::ALL[state],
                    previous_state: Some(self.states[self.rng.usize(0..STATES.len())].clone()),
                    earliest_at: Some(observed_at.plus_ms(-15_000)),
                    observed_at,
                    origin: Origin::Source,
                    clamped: false,
                    tied: false,
                })
            })
            .collect()
    }
}

fn at(s: u64) -> Now {
    Now {
        wall: WallTime::from_s(1_785_000_000).plus(Duration::from_secs(s)),
        mono: MonoTime::new(Duration::from_secs(s)),
    }
}

fn options(folder: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(
        PathBuf::from(folder),
        BoxId::new("bench").expect("a box id"),
    );
    options.retention = Duration::ZERO;
    options.min_free = 0;
    options
}

fn open(folder: &Path) -> Store {
    Store::open(&options(folder), at(0))
        .expect("a fresh folder")
        .store
}

fn timed(clock: &SystemClock, work: impl FnOnce()) -> f64 {
    let start = clock.now().mono;
    work();
    clock.now().mono.since(start).as_secs_f64()
}

/// Alternating commits of the same blocks, so that both meet the same disk. The store commits as a
/// large one does where it `saves`, and so does the bare engine.
fn append(clock: &SystemClock, load: &mut Load, saves: bool) {
    const COMMITS: u32 = 1_500;
    let (ours, bare) = (
        tempfile::tempdir().expect("room"),
        tempfile::tempdir().expect("room"),
    );
    let mut options = options(ours.path());
    options.walk_max = if saves { 0 } else { u64::MAX };
    let store = Store::open(&options, at(0)).expect("a fresh folder").store;
    let db = Database::builder()
        .set_cache_size(options.cache_bytes)
        .create(bare.path().join("bare.redb"))
        .expect("a fresh file");
    let (mut store_s, mut bare_s, mut encode_s) = (0.0, 0.0, 0.0);
    for n in 0..COMMITS {
        let records = load.poll(100, i64::from(n));
        let first = RecordSeq::new(u64::from(n) * 100 + 1);
        let mut block = Vec::new();
        encode_s += timed(clock, || {
            block = encoded_block(store.store_id(), first, at(u64::from(n)).wall, &records);
        });
        let ours = || {
            let commit = Commit {
                records: &records,
                feed_states: &[],
            };
            store.append(&commit, at(u64::from(n))).expect("room");
        };
        let theirs = || {
            let mut txn = db.begin_write().expect("one writer");
            txn.set_durability(Durability::Immediate)
                .expect("no savepoint");
            txn.set_two_phase_commit(true);
            txn.set_quick_repair(saves);
            let mut table = txn.open_table(BLOCKS).expect("one type");
            table.insert(first.get(), block.as_slice()).expect("room");
            drop(table);
            txn.commit().expect("room");
        };
        // In turn first: the second finds the engine's code in the processor's caches.
        if n % 2 == 0 {
            store_s += timed(clock, ours);
            bare_s += timed(clock, theirs);
        } else {
            bare_s += timed(clock, theirs);
            store_s += timed(clock, ours);
        }
    }
    let rate = |s: f64| f64::from(COMMITS) * 100.0 / s / 1e3;
    println!(
        "append, 100 a commit, {}: {:.0} k records/s; bare redb, identical blocks: {:.0} k; ratio {:.2} (goal 0.9); a commit {:.0} us, of it encoding {:.0} us",
        if saves {
            "each saving which pages are in use"
        } else {
            "a store that a start may walk"
        },
        rate(store_s),
        rate(bare_s),
        bare_s / store_s,
        store_s / f64::from(COMMITS) * 1e6,
        encode_s / f64::from(COMMITS) * 1e6,
    );
}

/// A day of preset L without any destination, then its reading and acknowledgement.
fn outage(clock: &SystemClock, load: &mut Load) {
    const POLLS: u32 = 5_760;
    const CHANGES: u32 = 450;
    let folder = tempfile::tempdir().expect("room");
    let store = open(folder.path());
    let name = DestinationName::new("db").expect("a name");
    let configured = [name.clone()];
    for n in 0..POLLS {
        let s = u64::from(n) * 15;
        let records = load.poll(CHANGES as usize, i64::from(n) * 15);
        let commit = Commit {
            records: &records,
            feed_states: &[],
        };
        store.append(&commit, at(s)).expect("room");
        store.maintain(at(s), &configured).expect("room");
    }
    let records = f64::from(POLLS * CHANGES);
    let stats = store.stats().expect("open");
    println!(
        "outage, preset L, {} records: {:.1} bytes allocated a record (goal 24), {:.1} live",
        records,
        lossy(stats.allocated_bytes) / records,
        lossy(stats.live_bytes) / records
    );
    let limit = ReadLimit {
        records: 1_000,
        bytes: usize::MAX,
    };
    let mut seen = 0;
    let read_s = timed(clock, || {
        let mut from = RecordSeq::new(1);
        loop {
            let page = store.read(from, limit).expect("sound");
            if page.records.is_empty() {
                break;
            }
            seen += page.records.len();
            from = page.next;
        }
    });
    println!(
        "read and decode, pages of 1,000: {:.2} M records/s (goal 2), {seen} read",
        records / read_s / 1e6
    );
    let end = u64::from(POLLS) * 15 + 400;
    store.maintain(at(end), &configured).expect("room");
    let progress = DeliveryProgress {
        done: vec![SeqRange::new(RecordSeq::new(1), store.head())],
        ..DeliveryProgress::default()
    };
    let ack_s = timed(clock, || {
        store.note_progress(&name, progress);
        store.maintain(at(end + 100), &configured).expect("room");
    });
    assert!(store.first() > RecordSeq::new(1), "nothing was deleted");
    println!(
        "acknowledge and delete: {:.2} M records/s (goal 2)",
        lossy(store.first().get()) / ack_s / 1e6
    );
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn lossy(value: u64) -> f64 {
    value as f64
}

fn main() {
    let clock = SystemClock::new();
    let mut load = Load::new();
    append(&clock, &mut load, false);
    append(&clock, &mut load, true);
    outage(&clock, &mut load);
}
