//! Flipped bytes, files that are no store, stores of the future (architecture §2.4).

use std::fs;
use std::path::Path;

use thrio_edge::domain::ids::{Feed, RecordSeq, SeqRange, StoreId};
use thrio_edge::domain::record::{CoverageStatus, Record, RosterChange};
use thrio_edge::store::{
    Commit, DeliveryProgress, OpenOrigin, SimulatedDisk, Store, StoreError, StoreOptions,
};

use crate::support::*;

const FILE: &str = "journal.redb";

/// Where a text begins in the file.
fn find(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(needle.len()).enumerate();
    windows
        .filter(|(_, window)| *window == needle)
        .map(|(at, _)| at)
        .collect()
}

/// A block begins with its magic, a version, flags, the store and its first seq.
/// Freed pages hold older copies of it.
fn copies_of_block(bytes: &[u8], store: StoreId, first: u64) -> Vec<usize> {
    let mut begin = b"TEjb\x01\x00".to_vec();
    begin.extend(store.bits().to_le_bytes());
    begin.extend(first.to_le_bytes());
    find(bytes, &begin)
}

#[test]
fn a_damaged_block_is_set_aside_told_again_where_it_can_be_and_the_rest_flows_on() {
    let disk = SimulatedDisk::new(3);
    let store = Store::open_simulated(disk.clone(), &options(Path::new("")), at(0))
        .unwrap()
        .store;
    let commit = Commit {
        records: &[],
        feed_states: &[feed_state(Feed::Realtime, 0)],
    };
    store.append(&commit, at(1)).unwrap();
    append(&store, &[transaction(1, "Busy", 15)], 15);
    let lost = [
        transaction(2, "Siesta", 30),
        interval(1, 0, 1, 7),
        coverage(Feed::Historical, 0, CoverageStatus::Fetched),
        queue_change(1, RosterChange::Added),
        state_code("Siesta"),
    ];
    append(&store, &lost, 30);
    append(&store, &[transaction(3, "Busy", 1_000)], 1_000);
    let id = store.store_id();
    drop(store);
    for copy in copies_of_block(&disk.image(), id, 2) {
        disk.flip(copy + 70, 0x10);
    }

    let store = Store::open_simulated(disk, &options(Path::new("")), at(1_100))
        .unwrap()
        .store;
    let hole = SeqRange::new(RecordSeq::new(2), RecordSeq::new(6));
    let page = store.read(RecordSeq::new(1), WHOLE).unwrap();
    assert_eq!(page.damaged, [hole]);
    assert_eq!(page.records.len(), 2);
    assert_eq!(page.next, RecordSeq::new(8));

    let done = store.maintain(at(1_200), &[]).unwrap();
    assert_eq!(done.damaged, [hole]);
    let page = store.read(RecordSeq::new(8), WHOLE).unwrap();
    let again: Vec<_> = page.records.into_iter().map(|r| r.record).collect();
    assert_eq!(again[..4], lost[1..]);
    let blind: Vec<_> = again[4..]
        .iter()
        .map(|record| match record {
            Record::Coverage(c) => (c.feed, c.interval_start, c.status, c.unknown_s),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        blind,
        [
            (
                Feed::Realtime,
                quarter(0),
                CoverageStatus::Failed,
                Some(885)
            ),
            (
                Feed::Realtime,
                quarter(1),
                CoverageStatus::Failed,
                Some(100)
            ),
        ]
    );
    assert_eq!(
        store.read(RecordSeq::new(1), WHOLE).unwrap().damaged,
        [hole]
    );
    assert_eq!(store.maintain(at(1_300), &[]).unwrap().damaged, []);
    let verified = store.verify().unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
    assert_eq!(verified.damaged, [hole]);
}

#[test]
fn a_file_that_is_no_store_is_set_aside_and_a_new_one_starts() {
    let folder = tempfile::tempdir().unwrap();
    let installed = open(folder.path(), 0).installed_at();
    fs::write(folder.path().join(FILE), vec![0x5a; 100_000]).unwrap();
    let opened = Store::open(&options(folder.path()), at(60)).unwrap();
    let OpenOrigin::Replaced { aside, .. } = opened.origin else {
        panic!("{:?}", opened.origin);
    };
    assert_eq!(fs::read(aside).unwrap(), vec![0x5a; 100_000]);
    assert_eq!(opened.store.installed_at(), installed);
    append(&opened.store, &[interval(1, 0, 1, 1)], 61);
    assert_eq!(all(&opened.store).len(), 1);
}

#[test]
fn the_intact_blocks_of_a_wrecked_file_are_salvaged_above_the_cursors() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let mut expected = Vec::new();
    for n in 0..40u32 {
        let records = [
            transaction(n, "Busy", u64::from(n) * 15),
            interval(n, 0, 1, 5),
        ];
        append(&store, &records, u64::from(n) * 15);
        expected.extend(records);
    }
    let old = store.store_id();
    drop(store);
    let path = folder.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    // Both commit slots of the engine's header: nothing can be opened any more.
    bytes[64..320].fill(0xff);
    fs::write(&path, bytes).unwrap();

    let opened = Store::open(&options(folder.path()), at(700)).unwrap();
    let OpenOrigin::Replaced { aside, .. } = opened.origin else {
        panic!("{:?}", opened.origin);
    };
    let store = opened.store;
    assert_ne!(store.store_id(), old);
    // The feeds go on at once; what they say is newer than what is salvaged.
    append(
        &store,
        &[transaction(0, "Wrapup", 690), interval(0, 0, 2, 6)],
        701,
    );
    let cursor = DeliveryProgress {
        done: vec![SeqRange::new(RecordSeq::new(1), RecordSeq::new(20))],
        ..DeliveryProgress::default()
    };
    let cursors = [(destination("db"), cursor)];
    let salvaged = store
        .salvage(&aside, &cursors, &[destination("db")], at(702))
        .unwrap();
    assert_eq!((salvaged.records, salvaged.lost), (60, 0));
    assert_eq!(all(&store)[2..], expected[20..]);
    let states = store.agent_states(&source()).unwrap();
    assert_eq!(states[0].state.as_str(), "Wrapup");
    let verified = store.verify().unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
}

#[test]
fn a_flip_in_any_byte_is_noticed_or_harmless_and_the_program_always_starts() {
    flip_any_byte(1_500, false);
}

#[test]
fn the_same_where_the_power_failed_before_so_that_a_start_walks_the_store() {
    flip_any_byte(1_000, true);
}

fn flip_any_byte(flips: usize, power_fails: bool) {
    let disk = SimulatedDisk::new(9);
    let store = Store::open_simulated(disk.clone(), &options(Path::new("")), at(0))
        .unwrap()
        .store;
    let records = |n: u32| {
        vec![
            transaction(n, "Siesta", u64::from(n) * 200),
            interval(n, 0, 1, 7),
            coverage(Feed::Historical, i64::from(n), CoverageStatus::Fetched),
            queue_change(n, RosterChange::Added),
            agent_change(n, RosterChange::Added),
            state_code("Siesta"),
        ]
    };
    let mut expected = Vec::new();
    for n in 0..4 {
        append(&store, &records(n), u64::from(n) * 200);
        expected.extend(records(n));
    }
    store.note_progress(&destination("db"), DeliveryProgress::default());
    store.flush(at(1_000)).unwrap();
    let states = store.agent_states(&source()).unwrap();
    if power_fails {
        disk.cut_power();
    }
    drop(store);
    let image = disk.image();
    let used: Vec<usize> = (0..image.len()).filter(|at| image[*at] != 0).collect();
    let mut rng = fastrand::Rng::with_seed(seed(77));
    let mut outcomes = [0; 3];
    let mut copied = 0;
    for _ in 0..flips {
        let at_byte = used[rng.usize(0..used.len())];
        let damaged = SimulatedDisk::with_image(1, image.clone());
        damaged.flip(at_byte, 1 << rng.u8(0..8));
        let opened = Store::open_simulated(damaged, &options(Path::new("")), at(2_000)).unwrap();
        if matches!(opened.origin, OpenOrigin::Replaced { .. }) {
            outcomes[0] += 1;
            continue;
        }
        copied += usize::from(matches!(opened.origin, OpenOrigin::Copied { .. }));
        let store = opened.store;
        // Either an error, or a named hole, or exactly what was written: never another figure.
        match store.read(RecordSeq::new(1), WHOLE) {
            Err(StoreError::Damaged(_)) => outcomes[1] += 1,
            Err(other) => panic!("byte {at_byte}: {other}"),
            Ok(page) => {
                for record in page.records {
                    let place = usize::try_from(record.seq.get()).unwrap() - 1;
                    assert_eq!(record.record, expected[place], "byte {at_byte}");
                }
                if let Ok(found) = store.agent_states(&source()) {
                    for state in found {
                        assert!(states.contains(&state), "byte {at_byte}: {state:?}");
                    }
                }
                outcomes[2] += 1;
            }
        }
        // What no read comes by (the engine's own pages) is noticed by the commit that needs it:
        // the file is then set aside, and the next one is taken.
        let noticed = |error: StoreError| assert!(matches!(error, StoreError::Damaged(_)));
        if let Err(error) = store.maintain(at(2_100), &[]) {
            noticed(error);
            store.maintain(at(2_101), &[]).unwrap();
        }
        let records = [interval(1, 1, 1, 1)];
        let commit = Commit {
            records: &records,
            feed_states: &[],
        };
        if let Err(error) = store.append(&commit, at(2_200)) {
            noticed(error);
            append(&store, &records, 2_201);
        }
        let newest = store.read(store.head(), WHOLE).unwrap().records;
        assert_eq!(newest.last().map(|kept| &kept.record), records.last());
    }
    println!("replaced, damaged, readable: {outcomes:?}, {copied} of them copied");
    assert!(outcomes.iter().all(|count| *count < flips));
    assert!(
        copied > 0,
        "some flip stands in the way of opening, and not of reading"
    );
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    append(&store, &[interval(1, 0, 1, 1)], 1);
    drop(store);
    let path = folder.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    let mut found = 0;
    // The key, the format, and its seal.
    for at_byte in find(&bytes, b"format\x03\x00\x00\x00") {
        let mut body = b"format".to_vec();
        body.extend(7u32.to_le_bytes());
        let seal = crc32fast::hash(&[b"meta\0".as_slice(), &body].concat());
        bytes[at_byte..at_byte + 10].copy_from_slice(&body);
        bytes[at_byte + 10..at_byte + 14].copy_from_slice(&seal.to_le_bytes());
        found += 1;
    }
    assert!(
        found > 0 || rewrite_format(&mut bytes),
        "the format is in the file"
    );
    fs::write(&path, &bytes).unwrap();
    match Store::open(&options(folder.path()), at(2)) {
        Err(StoreError::FromTheFuture {
            found,
            known,
            written_by,
            ..
        }) => {
            assert_eq!((found, known), (7, thrio_edge::store::FORMAT));
            assert_eq!(written_by, env!("CARGO_PKG_VERSION"));
        }
        other => panic!("{other:?}"),
    }
    assert!(fs::read(&path).unwrap() == bytes, "the file was touched");
}

/// redb keeps a leaf's keys apart from its values: finds the value by its seal.
fn rewrite_format(bytes: &mut [u8]) -> bool {
    let value = |format: u32| {
        let body = [b"meta\0format".as_slice(), &format.to_le_bytes()].concat();
        [format.to_le_bytes(), crc32fast::hash(&body).to_le_bytes()].concat()
    };
    let places = find(bytes, &value(thrio_edge::store::FORMAT));
    for &place in &places {
        bytes[place..place + 8].copy_from_slice(&value(7));
    }
    !places.is_empty()
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, b"not a folder").unwrap();
    let result = Store::open(&options(&file.join("state")), at(0));
    assert!(
        matches!(result, Err(StoreError::ReadOnly { .. })),
        "{result:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"not a folder");
}

/// A store of three blocks with a destination, of which the second block lost a bit after the power
/// failed.
fn cut_and_flipped(options: &StoreOptions) -> (SimulatedDisk, StoreId) {
    let disk = SimulatedDisk::new(3);
    let store = Store::open_simulated(disk.clone(), options, at(0))
        .unwrap()
        .store;
    let mut progress = DeliveryProgress {
        done: vec![SeqRange::new(RecordSeq::new(1), RecordSeq::new(1))],
        ..DeliveryProgress::default()
    };
    progress.counts.acknowledged = 1;
    store.note_progress(&destination("db"), progress);
    for n in 0..3 {
        let s = u64::from(n) * 15;
        append(
            &store,
            &[transaction(n, "Busy", s), interval(n, 0, 1, 7)],
            s,
        );
    }
    let id = store.store_id();
    disk.cut_power();
    drop(store);
    let copies = copies_of_block(&disk.image(), id, 3);
    assert!(!copies.is_empty());
    for copy in copies {
        disk.flip(copy + 70, 0x10);
    }
    (disk, id)
}

/// The store goes on with everything but the block.
fn lost_its_second_block_alone(store: &Store, id: StoreId) {
    let hole = SeqRange::new(RecordSeq::new(3), RecordSeq::new(4));
    assert_eq!(store.store_id(), id);
    let page = store.read(RecordSeq::new(1), WHOLE).unwrap();
    assert_eq!(page.damaged, [hole]);
    let kept: Vec<_> = page.records.into_iter().map(|one| one.record).collect();
    let whole = |n: u32| {
        [
            transaction(n, "Busy", u64::from(n) * 15),
            interval(n, 0, 1, 7),
        ]
    };
    assert_eq!(kept, [whole(0), whole(2)].concat());
    let done = store.progress(&destination("db")).done;
    assert_eq!(done, [SeqRange::new(RecordSeq::new(1), RecordSeq::new(1))]);
    assert_eq!(store.maintain(at(200), &[]).unwrap().damaged, [hole]);
    append(store, &[transaction(0, "Wrapup", 300)], 300);
    let verified = store.verify().unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
}

/// Where a start walks the store, it finds the damage before anybody reads there, and the engine
/// gives the file up. It costs the block alone, as where nobody walked.
#[test]
fn a_flipped_bit_after_a_power_cut_costs_its_block_alone_whoever_finds_it() {
    for walk_max in [0, u64::MAX] {
        let options = StoreOptions {
            walk_max,
            ..options(Path::new(""))
        };
        let (disk, id) = cut_and_flipped(&options);
        let opened = Store::open_simulated(disk.clone(), &options, at(100)).unwrap();
        let was_copied = matches!(opened.origin, OpenOrigin::Copied { .. });
        assert_eq!(was_copied, walk_max > 0, "{:?}", opened.origin);
        assert_eq!(disk.asides().len(), usize::from(was_copied));
        lost_its_second_block_alone(&opened.store, id);
        drop(opened);
        let again = Store::open_simulated(disk, &options, at(400)).unwrap();
        assert_eq!(again.origin, OpenOrigin::Existing);
    }
}

#[test]
fn in_a_folder_the_damaged_file_stays_beside_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, id) = cut_and_flipped(&options(Path::new("")));
    let (file, image) = (folder.path().join(FILE), disk.image());
    fs::write(&file, &image).unwrap();
    let opened = Store::open(&options(folder.path()), at(100)).unwrap();
    let OpenOrigin::Copied { aside, .. } = opened.origin else {
        panic!("{:?}", opened.origin);
    };
    assert_eq!(fs::read(aside).unwrap(), image);
    lost_its_second_block_alone(&opened.store, id);
    let names = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|one| one.unwrap().file_name()).collect();
    names.sort();
    let damaged = format!("damaged-{}.redb", at(100).wall.ms());
    assert_eq!(
        names,
        [damaged.as_str(), "damaged-block-3", FILE, "reserve"]
    );
}
