//! What only shows from inside: where the journal stands between two steps.

use std::time::Duration;

use super::append::CHECKPOINT_RECORDS;
use super::live::UNSETTLED_MAX;
use super::{Commit, Page, ReadLimit, Store, StoreOptions};
use crate::domain::ids::{AgentId, BoxId, RecordSeq, SourceName, StateText};
use crate::domain::record::{Category, Origin, Record, StateTransaction};
use crate::domain::timestamp::{MonoTime, Now, WallTime};

const ALL: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: usize::MAX,
};

fn now() -> Now {
    Now {
        wall: WallTime::from_s(1_785_000_000),
        mono: MonoTime::new(Duration::from_secs(1)),
    }
}

fn change(n: i64) -> Record {
    let at = WallTime::from_s(1_785_000_000 + n);
    Record::Transaction(StateTransaction {
        source: SourceName::new("main").unwrap(),
        agent: AgentId::new("anna").unwrap(),
        started_at: at,
        state: StateText::new("Busy").unwrap(),
        category: Category::Busy,
        previous_state: None,
        earliest_at: None,
        observed_at: at,
        origin: Origin::Source,
        clamped: false,
        tied: false,
    })
}

fn append(store: &Store, records: i64) {
    let records: Vec<Record> = (0..records).map(change).collect();
    let commit = Commit {
        records: &records,
        ..Commit::default()
    };
    store.append(&commit, now()).unwrap();
}

/// A reader that learns where the journal ends, and begins to read only after another commit.
fn read_as_of(store: &Store, head: u64) -> Page {
    let present = store.engine.head();
    store.engine.set_known_head(RecordSeq::new(head));
    let page = store.engine.read_page(RecordSeq::new(1), ALL).unwrap();
    store.engine.set_known_head(present);
    page
}

/// What a start has to fold again is bounded in records as well as in time: an import or the
/// first week of history comes within seconds.
#[test]
fn a_checkpoint_comes_after_so_many_records_too() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path().to_path_buf(), BoxId::new("box").unwrap());
    let store = Store::open(&options, now()).unwrap().store;
    let behind = || {
        let position = store.engine.lock_live().position;
        position.last.since(position.checkpoint)
    };
    while behind() + 20_000 < CHECKPOINT_RECORDS {
        append(&store, 20_000);
    }
    assert!(behind() > 0, "none is due yet");
    append(&store, 20_000);
    assert_eq!(behind(), 0);
}

#[test]
fn a_commit_between_learning_the_end_and_reading_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path().to_path_buf(), BoxId::new("box").unwrap());
    let store = Store::open(&options, now()).unwrap().store;
    append(&store, 10);
    append(&store, 5);
    for head in [10, 12, 15] {
        let page = read_as_of(&store, head);
        let seqs: Vec<u64> = page.records.iter().map(|one| one.seq.get()).collect();
        assert_eq!(seqs, (1..=head).collect::<Vec<u64>>());
        assert_eq!(page.next.get(), head + 1);
        assert!(page.damaged.is_empty() && page.expired.is_empty());
    }
    let done = store.maintain(now(), &[]).unwrap();
    assert!(done.damaged.is_empty() && done.replaced.is_empty());
}

/// What transactions say of agents waits to be looked up, in memory that is bounded; who asks, and a
/// start after a cut before any checkpoint, find it all the same.
#[test]
fn states_that_were_not_looked_up_yet_are_found_by_who_asks_and_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path().to_path_buf(), BoxId::new("box").unwrap());
    let main = SourceName::new("main").unwrap();
    let store = Store::open(&options, now()).unwrap().store;
    append(&store, 10);
    assert_eq!(store.engine.lock_live().unsettled.len(), 10);
    assert!(store.verify().unwrap().is_sound());
    let since = |store: &Store| store.agent_states(&main).unwrap()[0].since;
    assert_eq!(since(&store), WallTime::from_s(1_785_000_009));
    assert!(store.engine.lock_live().unsettled.is_empty());

    let most = i64::try_from(UNSETTLED_MAX).unwrap();
    append(&store, most - 1);
    append(&store, 1);
    assert!(store.engine.lock_live().unsettled.len() < UNSETTLED_MAX);
    append(&store, most + 1);
    assert!(store.engine.lock_live().unsettled.len() < UNSETTLED_MAX);
    drop(store);
    let store = Store::open(&options, now()).unwrap().store;
    assert_eq!(since(&store), WallTime::from_s(1_785_000_000 + most));
    let mut live = store.engine.lock_live();
    store.engine.checkpoint(&mut live, now()).unwrap();
    drop(live);
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(since(&store), WallTime::from_s(1_785_000_000 + most));
}
