//! What benches fill a journal with.

use std::fs;
use std::path::Path;

use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::domain::ids::{AgentId, BoxId, SourceName, StateText};
use thrio_edge::domain::record::{Category, Origin, Record, StateTransaction};
use thrio_edge::store::{Commit, Store, StoreOptions};

/// Fills the journal below `state_dir` until `enough` says so; answers how many records it took.
pub(crate) fn fill(state_dir: &Path, mut load: Load, enough: impl Fn(&Store, u64) -> bool) -> u64 {
    let clock = SystemClock::new();
    let options = StoreOptions::new(state_dir.to_path_buf(), BoxId::new("bench").expect("plain"));
    fs::create_dir_all(state_dir).expect("room");
    let store = Store::open(&options, clock.now())
        .expect("a fresh folder")
        .store;
    let mut records = 0;
    while !enough(&store, records) {
        let poll = load.poll(&clock);
        records += poll.len() as u64;
        let commit = Commit {
            records: &poll,
            ..Commit::default()
        };
        store.append(&commit, clock.now()).expect("room");
    }
    store.flush(clock.now()).expect("room");
    records
}

/// State transactions of preset XL.
pub(crate) struct Load {
    rng: fastrand::Rng,
    /// Changes of one poll.
    changes: usize,
    agents: Vec<AgentId>,
    states: Vec<StateText>,
    source: SourceName,
}

impl Load {
    /// A thousand changes a poll, as after half a minute, of the usual states.
    pub(crate) fn usual() -> Self {
        let names = ["Available", "Busy", "Wrapup", "Working", "Lunch"];
        let states = names.map(|name| StateText::new(name).expect("short"));
        Self::new(1_000, states.into())
    }

    /// So many changes a poll, into any of these states.
    pub(crate) fn new(changes: usize, states: Vec<StateText>) -> Self {
        let mut rng = fastrand::Rng::with_seed(7);
        let id = |rng: &mut fastrand::Rng| format!("{:024x}", rng.u128(..) >> 32);
        Self {
            agents: (0..20_000)
                .map(|_| AgentId::new(&id(&mut rng)).expect("24 digits"))
                .collect(),
            states,
            source: SourceName::new("main").expect("plain"),
            changes,
            rng,
        }
    }

    fn poll(&mut self, clock: &SystemClock) -> Vec<Record> {
        let observed_at = clock.now().wall;
        (0..self.changes)
            .map(|_| {
                let state = self.rng.usize(0..self.states.len());
                Record::Transaction(StateTransaction {
                    source: self.source.clone(),
                    agent: self.agents[self.rng.usize(0..self.agents.len())].clone(),
                    started_at: observed_at.plus_ms(-self.rng.i64(0..5_000)),
                    state: self.states[state].clone(),
                    category: Category::ALL[state % Category::ALL.len()],
                    previous_state: None,
                    earliest_at: Some(observed_at.plus_ms(-5_000)),
                    observed_at,
                    origin: Origin::Source,
                    clamped: false,
                    tied: false,
                })
            })
            .collect()
    }
}
