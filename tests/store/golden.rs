//! Each format as it lies in a store, table by table: `tests/golden/store/tables-N.txt` holds a line
//! an entry (table, key, value; the last two in hexadecimal). What is written must be what stands in
//! the newest, and what stands in any must still be read: a change of it is a new format
//! (docs/format.md). The program's own version (`meta/written_by`, from format 2 on) is left out.

use std::fmt::Write as _;

use redb::{Database, ReadableDatabase as _, TableDefinition, TableHandle as _};
use thrio_edge::domain::ids::{Feed, RecordSeq, SeqRange};
use thrio_edge::domain::record::{CoverageStatus, Record, RosterChange, SequencedRecord};
use thrio_edge::domain::timestamp::Now;
use thrio_edge::store::{DeliveryProgress, FORMAT, Quarantined, SimulatedDisk, Store};

use crate::support::*;

const FORMAT_1: &str = include_str!("../golden/store/tables-1.txt");
const FORMAT_2: &str = include_str!("../golden/store/tables-2.txt");
const FORMAT_3: &str = include_str!("../golden/store/tables-3.txt");
/// `written_by`
const WRITTEN_BY: &str = "meta 7772697474656e5f6279 ";
const JOURNAL: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("journal");
/// The disk's seed gives the store its identity.
const SEED: u64 = 4;

type Sealed<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

fn journaled() -> Vec<Record> {
    vec![
        queue_change(1, RosterChange::Added),
        agent_change(7, RosterChange::Added),
        state_code("Lunch / Mittag"),
        transaction(7, "Lunch / Mittag", 15),
        interval(1, 0, 1, 12),
        coverage(Feed::Historical, 0, CoverageStatus::Fetched),
        interval(1, 0, 2, 13),
    ]
}

fn refused() -> Quarantined {
    Quarantined {
        destination: destination("db"),
        record: SequencedRecord {
            seq: RecordSeq::new(5),
            record: interval(1, 0, 1, 12),
        },
        reason: "no such queue".to_owned(),
        at: at(20).wall,
    }
}

/// A store with something in every table.
fn written() -> Vec<u8> {
    let disk = SimulatedDisk::new(SEED);
    let options = options(std::path::Path::new(""));
    let store = Store::open_simulated(disk.clone(), &options, at(0))
        .unwrap()
        .store;
    append(&store, &journaled(), 16);
    store.note_feed_state(feed_state(Feed::Historical, 2));
    store.note_progress(
        &destination("db"),
        DeliveryProgress {
            done: vec![SeqRange::new(RecordSeq::new(1), RecordSeq::new(5))],
            ..DeliveryProgress::default()
        },
    );
    store.quarantine_add(&[refused()], at(20)).unwrap();
    // Late enough for the checkpoint of the agents' states.
    let mono = at(1_000).mono;
    let late = |s| Now { mono, ..at(s) };
    store.maintain(late(400), &[destination("db")]).unwrap();
    store.flush(late(401)).unwrap();
    drop(store);
    disk.image()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Every entry of every table, but for the file's own.
fn dumped(image: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.redb");
    std::fs::write(&file, image).unwrap();
    let db = Database::open(&file).unwrap();
    let txn = db.begin_read().unwrap();
    let mut tables: Vec<String> = txn
        .list_tables()
        .unwrap()
        .map(|table| table.name().to_owned())
        .collect();
    tables.sort();
    let mut text = String::new();
    let mut line = |table: &str, key: &[u8], value: &[u8]| {
        writeln!(text, "{table} {} {}", hex(key), hex(value)).expect("a String takes all");
    };
    for name in tables {
        if name == "journal" {
            for entry in txn.open_table(JOURNAL).unwrap().range::<u64>(..).unwrap() {
                let (key, value) = entry.unwrap();
                line(&name, &key.value().to_be_bytes(), value.value());
            }
            continue;
        }
        let table = txn.open_table(Sealed::new(&name)).unwrap();
        for entry in table.range::<&[u8]>(..).unwrap() {
            let (key, value) = entry.unwrap();
            line(&name, key.value(), value.value());
        }
    }
    text
}

/// A redb file that holds what a golden file says.
fn rebuilt(golden: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.redb");
    let db = Database::create(&file).unwrap();
    let txn = db.begin_write().unwrap();
    for line in golden.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("three words a line");
        let (table, key, value) = (word(), bytes(word()), bytes(word()));
        if table == "journal" {
            let first = u64::from_be_bytes(key.try_into().expect("eight bytes"));
            let mut journal = txn.open_table(JOURNAL).unwrap();
            journal.insert(first, value.as_slice()).unwrap();
        } else {
            let mut sealed = txn.open_table(Sealed::new(table)).unwrap();
            sealed.insert(key.as_slice(), value.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
    drop(db);
    std::fs::read(&file).unwrap()
}

#[test]
fn what_is_written_is_the_newest_format_to_the_byte() {
    assert_eq!(FORMAT, 3, "a new format has a golden file of its own");
    let dumped = dumped(&written());
    let by_version = dumped.lines().filter(|line| line.starts_with(WRITTEN_BY));
    assert_eq!(by_version.count(), 1);
    let mut written = String::new();
    for line in dumped.lines().filter(|line| !line.starts_with(WRITTEN_BY)) {
        writeln!(written, "{line}").expect("a String takes all");
    }
    if written != FORMAT_3 {
        let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tables-3.txt");
        std::fs::write(&file, &written).unwrap();
        panic!(
            "the store is written otherwise than docs/format.md and the golden file say; see {}",
            file.display()
        );
    }
    let tables: std::collections::BTreeSet<_> =
        written.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!(tables.len(), 9, "every table has an entry: {tables:?}");
}

#[test]
fn a_store_of_each_format_is_read() {
    for golden in [FORMAT_1, FORMAT_2, FORMAT_3] {
        is_read(rebuilt(golden));
    }
}

fn is_read(image: Vec<u8>) {
    let disk = SimulatedDisk::with_image(1, image);
    let options = options(std::path::Path::new(""));
    let store = Store::open_simulated(disk, &options, at(500))
        .unwrap()
        .store;
    assert_eq!(all(&store), journaled());
    let verified = store.verify().unwrap();
    // The feeds and the cursor of this store count nothing of what it holds.
    let figures = |problem: &&String| problem.contains("damaged") || problem.contains("differs");
    assert_eq!(verified.problems.iter().find(figures), None);
    let states = store.agent_states(&source()).unwrap();
    assert_eq!(states[0].state.as_str(), "Lunch / Mittag");
    let roster = store.roster(&source()).unwrap();
    assert_eq!((roster.agents.len(), roster.queues.len()), (1, 1));
    let progress = store.progress(&destination("db"));
    assert_eq!(progress.done[0].last, RecordSeq::new(5));
    let quarantined = store
        .quarantine_list(&destination("db"), RecordSeq::ZERO, 10)
        .unwrap();
    assert_eq!(quarantined, [refused()]);
    let state = store.feed_state(&source(), Feed::Historical).unwrap();
    assert_eq!(state.counts.rows_received, 2);
}
