//! Retention, the budget and what gives first; packing; backups (architecture §2.7).

use std::path::Path;
use std::time::Duration;

use thrio_edge::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SeqRange};
use thrio_edge::domain::interval::Window;
use thrio_edge::domain::record::{CoverageStatus, Figures, Record, RosterChange};
use thrio_edge::domain::timestamp::{Now, WallTime};
use thrio_edge::store::{
    Commit, DeliveryProgress, OpenOrigin, SimulatedDisk, Store, StoreError, StoreOptions, WhenFull,
};

use crate::support::*;

const MIB: u64 = 1 << 20;
const DAY_S: u64 = 86_400;

fn small(when_full: WhenFull) -> (SimulatedDisk, StoreOptions) {
    let options = StoreOptions {
        max_bytes: 2 * MIB,
        when_full,
        ..options(Path::new(""))
    };
    (SimulatedDisk::new(1), options)
}

fn done_to(store: &Store, seq: u64) {
    let range = SeqRange::new(RecordSeq::new(1), RecordSeq::new(seq));
    let progress = DeliveryProgress {
        done: vec![range],
        ..DeliveryProgress::default()
    };
    store.note_progress(&destination("db"), progress);
}

fn sound(store: &Store) {
    let verified = store.verify().unwrap();
    let problems: Vec<_> = verified
        .problems
        .iter()
        // The cursors of these tests count nothing.
        .filter(|problem| !problem.contains("seqs done"))
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
}

/// 500 records of 3,000 agents with ids as random as can be: some 15 bytes each.
fn bulk(n: u64) -> Vec<Record> {
    let mut rng = fastrand::Rng::with_seed(n);
    (0..500u32)
        .map(|k| {
            let Record::Transaction(mut one) = transaction(k, "Busy", n * 15) else {
                unreachable!("it makes transactions");
            };
            let mut of_agent = fastrand::Rng::with_seed(rng.u64(0..3_000));
            let id = format!("{:024x}", of_agent.u128(..) >> 32);
            one.agent = AgentId::new(&id).unwrap();
            one.started_at = one.started_at.plus_ms(rng.i64(-7_000..7_000));
            Record::Transaction(one)
        })
        .collect()
}

#[test]
fn records_stay_for_the_retention_and_only_acknowledged_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let configured = [destination("db")];
    append(&store, &bulk(0), 1);
    append(&store, &bulk(1), 10 * DAY_S);
    append(&store, &bulk(2), 20 * DAY_S);
    store.maintain(at(40 * DAY_S), &configured).unwrap();
    assert_eq!(
        store.first(),
        RecordSeq::new(1),
        "nobody has acknowledged anything"
    );
    done_to(&store, 1_200);
    let done = store.maintain(at(40 * DAY_S + 400), &configured).unwrap();
    assert_eq!((done.expired_acknowledged, done.expired), (500, 0));
    assert_eq!(store.first(), RecordSeq::new(501));
    store.maintain(at(60 * DAY_S), &configured).unwrap();
    assert_eq!(
        store.first(),
        RecordSeq::new(1_001),
        "the third block is not done whole"
    );
    let page = store.read(RecordSeq::new(1), WHOLE).unwrap();
    assert_eq!(
        page.expired,
        [SeqRange::new(RecordSeq::new(1), RecordSeq::new(1_000))]
    );
    assert_eq!(page.records[0].seq, RecordSeq::new(1_001));
    sound(&store);
}

/// In a simulated week a bad clock chip set the box two months ahead for some minutes, and upkeep
/// deleted the whole acknowledged history, which the page and a replay still wanted.
#[test]
fn a_wall_clock_that_leaps_ahead_for_a_while_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let configured = [destination("db")];
    append(&store, &bulk(0), 1);
    done_to(&store, 500);
    store.maintain(at(5), &configured).unwrap();
    let ahead = |s: u64| Now {
        wall: at(60 * DAY_S + s).wall,
        ..at(s)
    };
    store.maintain(ahead(10), &configured).unwrap();
    drop(store);
    let store = open(folder.path(), 15);
    done_to(&store, 500);
    store.maintain(ahead(20), &configured).unwrap();
    assert_eq!(store.first(), RecordSeq::new(1));
    // It stays there for a day: so it was right.
    store.maintain(ahead(DAY_S + 21), &configured).unwrap();
    assert_eq!(store.first(), RecordSeq::new(501));
}

/// A box without a clock battery comes up in 1970, and collects by Thrio's clock: its blocks must
/// not be half a century old as soon as the time is known.
#[test]
fn what_was_journaled_under_a_clock_that_fell_back_is_not_old() {
    let folder = tempfile::tempdir().unwrap();
    let configured = [destination("db")];
    let store = open(folder.path(), 0);
    append(&store, &bulk(0), 1);
    drop(store);
    let in_1970 = |s: u64| Now {
        wall: WallTime::from_s(s.cast_signed()),
        ..at(s)
    };
    let store = Store::open(&options(folder.path()), in_1970(2))
        .unwrap()
        .store;
    let records = bulk(1);
    let commit = Commit {
        records: &records,
        ..Commit::default()
    };
    store.append(&commit, in_1970(10)).unwrap();
    done_to(&store, 1_000);
    store.maintain(in_1970(15), &configured).unwrap();
    // Upkeep may delete only what the checkpoint is past.
    store.maintain(in_1970(400), &configured).unwrap();
    store.maintain(at(405), &configured).unwrap();
    store.maintain(at(410), &configured).unwrap();
    assert_eq!(store.first(), RecordSeq::new(1));
}

#[test]
fn an_unconfigured_cursor_pins_nothing_and_is_forgotten_after_35_days() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    done_to(&store, 1);
    append(&store, &bulk(0), 1);
    store.maintain(at(20 * DAY_S), &[]).unwrap();
    assert_eq!(store.progress(&destination("db")).done.len(), 1);
    store.maintain(at(40 * DAY_S), &[]).unwrap();
    assert_eq!(
        store.progress(&destination("db")),
        DeliveryProgress::default()
    );
    assert_eq!(store.first(), RecordSeq::new(501));
}

#[test]
fn above_half_of_the_budget_acknowledged_records_make_room() {
    let (disk, options) = small(WhenFull::DropOldest);
    let store = Store::open_simulated(disk, &options, at(0)).unwrap().store;
    let configured = [destination("db")];
    let mut n = 0;
    while store.stats().unwrap().live_bytes < 3 * MIB / 2 {
        append(&store, &bulk(n), n * 15);
        n += 1;
    }
    done_to(&store, n * 500);
    for step in 0..4 {
        store
            .maintain(at(n * 15 + 400 + step * 5), &configured)
            .unwrap();
    }
    let stats = store.stats().unwrap();
    assert!(stats.live_bytes * 5 / 4 <= MIB, "{stats:?}");
    assert!(
        stats.live_bytes >= MIB / 2,
        "more went than had to: {stats:?}"
    );
    assert_eq!(stats.expired, 0);
    sound(&store);
}

#[test]
fn when_the_budget_ends_intervals_go_first_and_are_asked_for_again() {
    let (disk, options) = small(WhenFull::DropOldest);
    let store = Store::open_simulated(disk, &options, at(0)).unwrap().store;
    let configured = [destination("db")];
    let mut transactions = 0;
    let mut n = 0u64;
    let mut given_up = 0;
    while given_up == 0 {
        let intervals: Vec<_> = (0..500)
            .map(|k| interval(k, i64::try_from(n).unwrap(), 1, u64::from(k) << 30))
            .collect();
        append(&store, &intervals, n * 60);
        append(&store, &[transaction(1, "Busy", n * 60)], n * 60);
        transactions += 1;
        n += 1;
        let before = store.stats().unwrap().live_bytes;
        given_up = store.maintain(at(n * 60), &configured).unwrap().expired;
        if given_up > 0 {
            assert!(
                before * 5 / 4 > 3 * MIB / 2,
                "given up although there was room"
            );
        }
    }
    let window = Window::new(quarter(0), quarter(1));
    let known = store.known_intervals(&source(), window).unwrap();
    let one = known[&(QueueId::new("queue-3").unwrap(), quarter(0))];
    assert_eq!((one.figures, one.revision), (Figures::default(), 1));
    let coverage = store.coverage(&source(), Feed::Historical, window).unwrap();
    assert_eq!(coverage[0].status, CoverageStatus::Missing);
    let page = store.read(RecordSeq::new(1), WHOLE).unwrap();
    let lost: u64 = page.expired.iter().map(|range| range.count()).sum();
    assert_eq!(lost, given_up);
    let kept = page
        .records
        .iter()
        .filter(|r| matches!(r.record, Record::Transaction(_)));
    assert_eq!(
        kept.count(),
        transactions,
        "transactions went before the intervals were gone"
    );
    assert_eq!(store.stats().unwrap().expired, given_up);
    sound(&store);
}

#[test]
fn then_the_oldest_transactions_go_and_their_quarter_hours_say_so() {
    let (disk, options) = small(WhenFull::DropOldest);
    let store = Store::open_simulated(disk.clone(), &options, at(0))
        .unwrap()
        .store;
    append(&store, &[queue_change(1, RosterChange::Added)], 0);
    let states = &[feed_state(Feed::Realtime, 0)];
    store
        .append(
            &Commit {
                records: &[],
                feed_states: states,
            },
            at(0),
        )
        .unwrap();
    let mut expired = 0;
    for n in 0..220 {
        append(&store, &bulk(n), n * 15);
        expired += store
            .maintain(at(n * 15), &[destination("db")])
            .unwrap()
            .expired;
    }
    assert!(expired > 0);
    assert!(
        disk.image().len() as u64 <= 8 * MIB,
        "{} bytes",
        disk.image().len()
    );
    assert!(store.first() > RecordSeq::new(500));
    let first = store
        .coverage(
            &source(),
            Feed::Realtime,
            Window::new(quarter(0), quarter(1)),
        )
        .unwrap();
    assert_eq!(
        (first[0].status, first[0].unknown_s),
        (CoverageStatus::Failed, Some(900))
    );
    let page = store.read(store.first(), WHOLE).unwrap();
    let queue_is_told_again = page
        .records
        .iter()
        .any(|r| r.record == queue_change(1, RosterChange::Added));
    assert!(
        queue_is_told_again,
        "a roster entry went with the transactions around it"
    );
    sound(&store);
}

#[test]
fn or_nothing_more_is_collected_where_that_is_the_policy() {
    let (disk, options) = small(WhenFull::StopCollecting);
    let store = Store::open_simulated(disk, &options, at(0)).unwrap().store;
    let mut refused = None;
    for n in 0..3_000 {
        let records = bulk(n);
        let commit = Commit {
            records: &records,
            feed_states: &[],
        };
        if let Err(error) = store.append(&commit, at(n * 15)) {
            refused = Some((n, error));
            break;
        }
        store.maintain(at(n * 15), &[destination("db")]).unwrap();
    }
    let (n, error) = refused.expect("it never refused");
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert_eq!(all(&store).len() as u64, n * 500);
    done_to(&store, n * 500);
    store
        .maintain(at(n * 15 + 5), &[destination("db")])
        .unwrap();
    append(&store, &bulk(n), n * 15 + 6);
}

#[test]
fn packing_changes_the_cut_of_blocks_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let mut expected = Vec::new();
    let mut journaled = Vec::new();
    let mut rng = fastrand::Rng::with_seed(seed(4));
    for n in 0..500u64 {
        let records: Vec<_> = (0..rng.u32(1..30))
            .map(|_| transaction(rng.u32(0..400), ["Busy", "Siesta"][rng.usize(0..2)], n * 5))
            .chain((n % 50 == 0).then(|| interval(1, i64::try_from(n / 50).unwrap(), 1, n)))
            .collect();
        append(&store, &records, n * 5);
        journaled.push((RecordSeq::new(expected.len() as u64 + 1), at(n * 5).wall));
        expected.extend(records);
        store.maintain(at(n * 5), &[]).unwrap();
    }
    let blocks = |store: &Store| store.stats().unwrap().entries[0].1;
    assert!(
        blocks(&store) < 500,
        "{} blocks of 900 commits",
        blocks(&store)
    );
    assert_eq!(all(&store), expected);
    sound(&store);
    drop(store);
    let store = open(folder.path(), 5_000);
    assert_eq!(all(&store), expected);
    for (seq, then) in journaled {
        assert_eq!(store.journaled_at(seq).unwrap(), Some(then), "{seq}");
    }
    let next = store.head().next();
    assert_eq!(store.journaled_at(next).unwrap(), None);
}

#[test]
fn a_backup_is_whole_and_restored_it_is_another_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    append(&store, &bulk(0), 1);
    append(&store, &[interval(1, 0, 1, 1), state_code("Siesta")], 2);
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("journal.redb");
    store.backup(&path).unwrap();
    assert!(
        matches!(store.backup(&path), Err(StoreError::Io(_))),
        "overwrote a backup"
    );
    append(&store, &bulk(1), 3);
    let opened = Store::open(&options(copy.path()), at(9)).unwrap();
    assert_eq!(opened.origin, OpenOrigin::Existing);
    let restored = opened.store;
    assert_eq!(all(&restored), all(&store)[..502]);
    assert_ne!(restored.store_id(), store.store_id());
    assert_eq!(restored.installed_at(), store.installed_at());
    let id = restored.store_id();
    sound(&restored);
    drop(restored);
    assert_eq!(open(copy.path(), 10).store_id(), id);
}

#[test]
fn compaction_gives_free_pages_back_and_keeps_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    for n in 0..100 {
        append(&store, &bulk(n), n * 15);
    }
    done_to(&store, 45_000);
    let later = at(100 * 15)
        .wall
        .plus(Duration::from_secs(36 * DAY_S))
        .ms_since(at(0).wall)
        / 1_000;
    store
        .maintain(at(later.unsigned_abs()), &[destination("db")])
        .unwrap();
    let before = store.stats().unwrap().allocated_bytes;
    let kept = store.read(store.first(), WHOLE).unwrap().records;
    store.compact(at(later.unsigned_abs() + 1)).unwrap();
    let after = store.stats().unwrap().allocated_bytes;
    assert!(after < before / 2, "{after} of {before} bytes");
    assert_eq!(store.read(store.first(), WHOLE).unwrap().records, kept);
    assert_eq!(kept.len(), 5_000);
}
