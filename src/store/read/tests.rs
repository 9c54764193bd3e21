//! What a page is while the journal goes on.

use super::*;
use crate::domain::ids::{AgentId, BoxId, StateText};
use crate::domain::record::{Category, Origin, StateTransaction};
use crate::domain::timestamp::{MonoTime, Now};
use crate::store::{Commit, Store, StoreOptions};
use std::time::Duration;

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
