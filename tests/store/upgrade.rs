//! From one format to the next and back, with a copy of the file made first; and looking at a
//! store without a trace.

use std::fs;
use std::path::Path;

use redb::{Database, ReadableDatabase, TableDefinition};
use thrio_edge::domain::health::FeedState;
use thrio_edge::domain::ids::{Feed, RecordSeq, SeqRange, SourceName};
use thrio_edge::domain::record::{CoverageStatus, RosterChange};
use thrio_edge::store::{DeliveryProgress, FORMAT, OpenOrigin, Reformatted, Store, StoreError};

use crate::support::*;

const FILE: &str = "journal.redb";
const META: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("meta");

/// A store with a record of several kinds and a destination that has none of them.
fn filled(folder: &Path) -> Vec<thrio_edge::domain::record::Record> {
    let store = open(folder, 0);
    for s in 1..40 {
        append(
            &store,
            &[
                transaction(s, "available", u64::from(s)),
                interval(s, 0, 1, u64::from(s)),
                coverage(Feed::Historical, i64::from(s), CoverageStatus::Fetched),
                queue_change(s, RosterChange::Added),
            ],
            u64::from(s),
        );
    }
    for (name, upto) in [("db", 7), ("archive", 3)] {
        store.note_progress(&destination(name), done_to(upto));
    }
    for (feed, s) in FEEDS {
        store.note_feed_state(answered(feed, s));
    }
    store.flush(at(41)).unwrap();
    all(&store)
}

fn done_to(upto: u64) -> DeliveryProgress {
    let mut progress = DeliveryProgress {
        done: vec![SeqRange::new(RecordSeq::new(1), RecordSeq::new(upto))],
        ..DeliveryProgress::default()
    };
    progress.counts.acknowledged = upto;
    progress
}

const FEEDS: [(Feed, u64); 2] = [(Feed::Historical, 20), (Feed::Realtime, 21)];

/// A feed of a source whose records are not here.
fn answered(feed: Feed, s: u64) -> FeedState {
    let mut state = FeedState::new(SourceName::new("other").unwrap(), feed);
    state.last_success_at = Some(at(s).wall);
    state
}

/// Everything beside the records is as [`filled`] left it.
fn nothing_is_forgotten(store: &Store) {
    for (name, upto) in [("db", 7), ("archive", 3)] {
        assert_eq!(store.progress(&destination(name)), done_to(upto));
    }
    for (feed, s) in FEEDS {
        let expected = answered(feed, s);
        assert_eq!(store.feed_state(&expected.source, feed), Some(expected));
    }
    assert_eq!(store.verify().unwrap().problems, Vec::<String>::new());
}

/// What lies in `meta` under this key, without its seal, read by the engine alone.
fn meta(file: &Path, key: &[u8]) -> Option<Vec<u8>> {
    let db = Database::open(file).unwrap();
    let table = db.begin_read().unwrap().open_table(META).unwrap();
    let value = table.get(key).unwrap()?;
    let value = value.value();
    Some(value[..value.len() - 4].to_vec())
}

#[test]
fn a_store_goes_to_the_format_before_and_back_with_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let records = filled(folder.path());
    let id = open(folder.path(), 50).store_id();

    let down = Store::downgrade(&options(folder.path())).unwrap();
    let kept = folder.path().join(format!("journal-format-{FORMAT}.redb"));
    let expected = Reformatted {
        from: FORMAT,
        to: FORMAT - 1,
        backup: Some(kept),
    };
    assert_eq!(down, expected);
    assert_eq!(
        meta(&file, b"format"),
        Some((FORMAT - 1).to_le_bytes().to_vec())
    );
    assert!(meta(&file, b"position").is_some());
    let again = Store::downgrade(&options(folder.path()));
    assert!(matches!(again, Err(StoreError::Io(_))), "{again:?}");

    let opened = Store::open(&options(folder.path()), at(60)).unwrap();
    let kept = folder
        .path()
        .join(format!("journal-format-{}.redb", FORMAT - 1));
    let expected = Reformatted {
        from: FORMAT - 1,
        to: FORMAT,
        backup: Some(kept),
    };
    assert_eq!(opened.origin, OpenOrigin::Upgraded(expected));
    assert_eq!(opened.store.store_id(), id);
    assert_eq!(all(&opened.store), records);
    nothing_is_forgotten(&opened.store);
    drop(opened);
    assert_eq!(meta(&file, b"position"), None);
    let next = Store::open(&options(folder.path()), at(70)).unwrap();
    assert_eq!(next.origin, OpenOrigin::Existing);
}

#[test]
fn the_copy_made_before_an_upgrade_is_a_backup_of_its_own_identity() {
    let folder = tempfile::tempdir().unwrap();
    let records = filled(folder.path());
    let id = open(folder.path(), 50).store_id();
    Store::downgrade(&options(folder.path())).unwrap();
    drop(open(folder.path(), 60));

    let restored = tempfile::tempdir().unwrap();
    let copy = folder
        .path()
        .join(format!("journal-format-{}.redb", FORMAT - 1));
    fs::copy(copy, restored.path().join(FILE)).unwrap();
    let store = open(restored.path(), 70);
    assert_eq!(all(&store), records);
    assert_ne!(
        store.store_id(),
        id,
        "destinations may hold what came after the copy"
    );
}

#[test]
fn a_look_leaves_no_trace_whatever_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let look = || Store::look(&options(folder.path()), at(100));
    assert!(matches!(look(), Err(StoreError::Missing { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let records = filled(folder.path());
    let before = fs::read(&file).unwrap();
    let store = look().unwrap();
    assert_eq!(all(&store), records);
    assert!(matches!(look(), Err(StoreError::InUse { .. })));
    append(&store, &[interval(1, 7, 1, 1)], 101);
    drop(store);
    assert!(
        fs::read(&file).unwrap() == before,
        "looking wrote to the file"
    );

    Store::downgrade(&options(folder.path())).unwrap();
    let older = fs::read(&file).unwrap();
    assert_eq!(all(&look().unwrap()), records);
    assert!(
        fs::read(&file).unwrap() == older,
        "looking upgraded the file"
    );

    let mut damaged = older;
    for byte in &mut damaged[..64] {
        *byte = !*byte;
    }
    fs::write(&file, &damaged).unwrap();
    assert!(matches!(look(), Err(StoreError::Damaged(_))));
    assert!(
        fs::read(&file).unwrap() == damaged,
        "looking replaced the file"
    );
}
