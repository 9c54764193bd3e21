//! Power cuts, I/O errors and full disks at any moment (architecture §2.1, §2.2, §2.5).

use std::path::Path;
use std::time::Duration;

use thrio_edge::domain::ids::{Feed, RecordSeq, SeqRange};
use thrio_edge::domain::record::{CoverageStatus, Record, RosterChange};
use thrio_edge::domain::timestamp::Now;
use thrio_edge::store::{
    Commit, DeliveryProgress, OpenOrigin, Opened, PlantedBug, SimulatedDisk, Store, StoreError,
    StoreOptions,
};

use crate::support::*;

/// No commit saves which pages are in use, and each start after a cut walks the store.
const WALKS: u64 = u64::MAX;
/// Every commit saves it.
const SAVES: u64 = 0;

/// A store that is walked up to so many bytes in use.
fn walked(walk_max: u64) -> StoreOptions {
    StoreOptions {
        walk_max,
        ..options(Path::new(""))
    }
}

fn open_on(disk: &SimulatedDisk, walk_max: u64, now: Now) -> Store {
    healthy(Store::open_simulated(disk.clone(), &walked(walk_max), now).unwrap())
}

fn healthy(opened: Opened) -> Store {
    assert!(
        !matches!(opened.origin, OpenOrigin::Replaced { .. }),
        "a healthy disk was taken for damaged: {:?}",
        opened.origin
    );
    opened.store
}

fn try_append(store: &Store, records: &[Record], s: u64) -> Result<(), StoreError> {
    let commit = Commit {
        records,
        feed_states: &[],
    };
    store.append(&commit, at(s)).map(|_| ())
}

fn sound(store: &Store) {
    let verified = store.verify().unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
    assert_eq!(verified.damaged, []);
}

/// A few commits of every kind of record.
fn commits() -> Vec<Vec<Record>> {
    (0..6u32)
        .map(|n| {
            vec![
                transaction(n, "Busy", u64::from(n) * 15),
                interval(n % 2, 0, n + 1, u64::from(n)),
                coverage(Feed::Historical, i64::from(n), CoverageStatus::Fetched),
                queue_change(n, RosterChange::Added),
                state_code(["Busy", "Siesta"][n as usize % 2]),
            ]
        })
        .collect()
}

/// Runs the commits until one fails; says how many were acknowledged.
fn run(store: &Store) -> usize {
    let mut done = 0;
    for (commit, n) in commits().iter().zip(0..) {
        // Beyond a quarter of an hour, so that checkpoints are among the write points.
        if try_append(store, commit, n * 600).is_err() {
            break;
        }
        done += 1;
    }
    done
}

#[test]
fn a_power_cut_at_any_write_keeps_what_was_acknowledged_and_never_half_a_commit() {
    for walk_max in [WALKS, SAVES] {
        cut_at_any_write(walk_max);
    }
}

fn cut_at_any_write(walk_max: u64) {
    let whole = SimulatedDisk::new(1);
    run(&open_on(&whole, walk_max, at(0)));
    let writes = whole.operations();
    for (cut, seed) in (1..=writes).zip(100..) {
        let disk = SimulatedDisk::new(seed);
        disk.cut_power_after(cut);
        let opened = Store::open_simulated(disk.clone(), &walked(walk_max), at(0));
        let acknowledged = opened.map_or(0, |opened| run(&opened.store));
        disk.cancel_cut();
        let next = Store::open_simulated(disk.clone(), &walked(walk_max), at(9_000));
        let next = next.unwrap();
        if let OpenOrigin::Replaced { reason, .. } = next.origin {
            // The power failed while the empty file was being made: nothing was acknowledged.
            assert_eq!(acknowledged, 0, "cut at {cut}: {reason}");
            continue;
        }
        let store = next.store;
        let kept = all(&store);
        let expected = commits().concat();
        assert_eq!(kept.len() % 5, 0, "cut at {cut}: half a commit");
        assert!(
            kept.len() >= acknowledged * 5,
            "cut at {cut}: lost an acknowledged commit"
        );
        assert!(
            kept.len() <= (acknowledged + 1) * 5,
            "cut at {cut}: a commit from nowhere"
        );
        assert_eq!(kept, expected[..kept.len()], "cut at {cut}");
        sound(&store);
    }
}

#[test]
fn an_io_error_at_any_write_costs_at_most_the_commit_it_hit() {
    for walk_max in [WALKS, SAVES] {
        fail_at_any_write(walk_max);
    }
}

fn fail_at_any_write(walk_max: u64) {
    let whole = SimulatedDisk::new(1);
    let store = open_on(&whole, walk_max, at(0));
    let before = whole.operations();
    run(&store);
    let writes = whole.operations() - before;
    drop(store);
    for fail in 1..=writes {
        let disk = SimulatedDisk::new(fail);
        let store = open_on(&disk, walk_max, at(0));
        disk.fail_after(fail);
        let mut expected = Vec::new();
        for (commit, n) in commits().iter().zip(0..) {
            let epoch = store.epoch();
            match try_append(&store, commit, n * 200) {
                Ok(()) => expected.extend_from_slice(commit),
                Err(StoreError::Io(_)) => {}
                Err(other) => panic!("error at {fail}: {other}"),
            }
            assert_eq!(
                store.epoch(),
                epoch,
                "error at {fail}: the outcome was knowable"
            );
        }
        assert!(
            expected.len() >= 25,
            "error at {fail}: more than one commit was lost"
        );
        assert_eq!(all(&store), expected, "error at {fail}");
        sound(&store);
        drop(store);
        assert_eq!(
            all(&open_on(&disk, walk_max, at(9_000))),
            expected,
            "error at {fail}, reopened"
        );
    }
}

#[test]
fn a_full_disk_refuses_commits_loses_nothing_and_goes_on_when_there_is_room() {
    let disk = SimulatedDisk::new(5);
    let store = open_on(&disk, StoreOptions::WALK_MAX, at(0));
    disk.set_capacity(Some(disk.image().len()));
    let mut expected = Vec::new();
    let mut refused = 0;
    for n in 0..400u32 {
        let records: Vec<_> = (0..500)
            .map(|k| interval(k, i64::from(n), 1, u64::from(n * k)))
            .collect();
        match try_append(&store, &records, u64::from(n)) {
            Ok(()) => expected.extend(records),
            Err(StoreError::Full(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk never filled up");
    assert_eq!(all(&store), expected);
    disk.set_capacity(None);
    try_append(&store, &[interval(1, 0, 2, 9)], 1_000).unwrap();
    expected.push(interval(1, 0, 2, 9));
    assert_eq!(all(&store), expected);
    sound(&store);
}

/// What the store should hold, as plainly as it can be said.
struct Model {
    rng: fastrand::Rng,
    records: Vec<Record>,
    clock_s: u64,
    revisions: std::collections::HashMap<(u32, i64), u32>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            records: Vec::new(),
            clock_s: 0,
            revisions: std::collections::HashMap::new(),
        }
    }

    /// One of the two ways to commit, or a bound that the store grows over in this life.
    fn any_walk_max(&mut self) -> u64 {
        match self.rng.u8(0..3) {
            0 => WALKS,
            1 => SAVES,
            _ => self.rng.u64(1..400_000),
        }
    }

    fn next_records(&mut self) -> Vec<Record> {
        let s = self.clock_s;
        let count = if self.rng.u8(..) < 8 {
            700
        } else {
            self.rng.usize(1..20)
        };
        let kind = self.rng.u8(0..8);
        (0..count)
            .map(|_| match kind {
                0..5 => transaction(
                    self.rng.u32(0..300),
                    ["Busy", "Wrapup", "Siesta"][self.rng.usize(0..3)],
                    s,
                ),
                5 | 6 => {
                    let key = (self.rng.u32(0..9), self.rng.i64(0..40));
                    let revision = self.revisions.entry(key).or_default();
                    *revision += 1;
                    interval(key.0, key.1, *revision, self.rng.u64(0..1_000))
                }
                _ => coverage(Feed::Realtime, self.rng.i64(0..50), CoverageStatus::Fetched),
            })
            .collect()
    }
}

fn model_run(seed: u64) {
    let mut model = Model::new(seed);
    let disk = SimulatedDisk::new(seed);
    let mut store = open_on(&disk, WALKS, at(0));
    for step in 0..150 {
        model.clock_s += model.rng.u64(1..60);
        let now = at(model.clock_s);
        match model.rng.u8(0..20) {
            0 => {
                drop(store);
                store = open_again(&disk, model.any_walk_max(), now);
            }
            1 => disk.fail_after(model.rng.u64(1..12)),
            2 | 3 => disk.cut_power_after(model.rng.u64(1..40)),
            4 => {
                let head = store.head();
                if head.get() > 0 {
                    let first = RecordSeq::new(1);
                    let mut progress = DeliveryProgress {
                        done: vec![SeqRange::new(first, head)],
                        ..DeliveryProgress::default()
                    };
                    progress.counts.acknowledged = head.get();
                    store.note_progress(&destination("db"), progress);
                }
            }
            5 | 6 => drop(store.maintain(now, &[destination("db")])),
            _ => {
                let records = model.next_records();
                let lives = disk.lives();
                let result = try_append(&store, &records, model.clock_s);
                if disk.lives() == lives {
                    if result.is_ok() {
                        model.records.extend(records);
                    }
                } else {
                    store = next_life(
                        store,
                        &disk,
                        now,
                        &mut model,
                        Some((records, result.is_ok())),
                    );
                }
            }
        }
        if !answers(&store) {
            store = next_life(store, &disk, now, &mut model, None);
        }
        assert_eq!(
            store.head().get(),
            model.records.len() as u64,
            "step {step}"
        );
    }
    drop(store);
    let store = open_again(&disk, SAVES, at(model.clock_s + 1));
    assert_eq!(all(&store), model.records);
    sound(&store);
}

/// A store of a former life answers nothing.
fn answers(store: &Store) -> bool {
    store.read(store.head(), WHOLE).is_ok()
}

/// Opens the disk; the power may fail (and an error may come) once more while it does.
fn open_again(disk: &SimulatedDisk, walk_max: u64, now: Now) -> Store {
    for _ in 0..3 {
        if let Ok(opened) = Store::open_simulated(disk.clone(), &walked(walk_max), now) {
            return healthy(opened);
        }
    }
    open_on(disk, walk_max, now)
}

/// The power has failed: the next life has what was acknowledged, and of the commit that was
/// under way all or nothing.
fn next_life(
    store: Store,
    disk: &SimulatedDisk,
    now: Now,
    model: &mut Model,
    under_way: Option<(Vec<Record>, bool)>,
) -> Store {
    drop(store);
    let store = open_again(disk, model.any_walk_max(), now);
    let head = usize::try_from(store.head().get()).unwrap();
    if let Some((records, acknowledged)) = under_way
        && (acknowledged || head > model.records.len())
    {
        model.records.extend(records);
    }
    assert_eq!(head, model.records.len(), "after a power cut");
    assert_eq!(all(&store), model.records);
    sound(&store);
    store
}

#[test]
fn a_random_life_with_errors_and_power_cuts_matches_a_plain_list() {
    let first = seed(0x5eed);
    for n in 0..10 {
        println!("seed {}", first + n);
        model_run(first + n);
    }
}

#[test]
fn the_planted_bug_of_two_transactions_is_found_by_the_seeded_power_cuts() {
    let mut found = 0;
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let planted = PlantedBug::SeparateTransactions;
        let opened =
            Store::open_simulated_with_bug(disk.clone(), &options(Path::new("")), at(0), planted);
        let store = opened.unwrap().store;
        disk.cut_power_after(seed * 3 + 1);
        run(&store);
        disk.cancel_cut();
        drop(store);
        let store = open_on(&disk, StoreOptions::WALK_MAX, at(9_000));
        found += u32::from(!store.verify().unwrap().is_sound());
    }
    assert!(found > 0, "the planted bug went unnoticed");
}

/// Grows over the bound and shrinks below it again, as an outage and its end do; says how many
/// records were acknowledged, or how many were by the time something failed. `note` hears what each
/// commit wrote, and whether the store was above the bound.
fn over_and_back(
    disk: &SimulatedDisk,
    store: &Store,
    bound: u64,
    mut note: impl FnMut(bool, u64),
) -> usize {
    let mut done = 0;
    let mut commit = |s: u64, done: &mut usize| {
        let records: Vec<_> = (0..40).map(|n| transaction(n, "Busy", s)).collect();
        let before = disk.bytes_written();
        let result = try_append(store, &records, s);
        if result.is_ok() {
            *done += records.len();
            // The estimate of the bytes in use is a quarter above the live ones.
            let live = store.stats().map_or(0, |stats| stats.live_bytes);
            note(live / 4 * 5 > bound, disk.bytes_written() - before);
        }
        result
    };
    for n in 0..30 {
        if commit(n * 10, &mut done).is_err() {
            return done;
        }
    }
    let mut progress = DeliveryProgress {
        done: vec![SeqRange::new(RecordSeq::new(1), store.head())],
        ..DeliveryProgress::default()
    };
    progress.counts.acknowledged = store.head().get();
    store.note_progress(&destination("db"), progress);
    if store.maintain(at(40_000), &[destination("db")]).is_err() {
        return done;
    }
    for n in 0..5 {
        if commit(40_000 + n * 10, &mut done).is_err() {
            return done;
        }
    }
    done
}

/// What an earlier commit saved of the pages in use is not believed once another came after it: else
/// the pages that came since would be taken for free, and be written over.
#[test]
fn a_store_survives_a_power_cut_at_any_write_of_a_life_in_which_it_grows_over_the_bound_and_back() {
    const BOUND: u64 = 8 * 1024;
    let options = StoreOptions {
        retention: Duration::ZERO,
        ..walked(BOUND)
    };
    let open =
        |disk: &SimulatedDisk, s| Store::open_simulated(disk.clone(), &options, at(s)).map(healthy);
    let whole = SimulatedDisk::new(1);
    let store = open(&whole, 0).unwrap();
    let before = whole.operations();
    let mut written = Vec::new();
    over_and_back(&whole, &store, BOUND, |above, bytes| {
        written.push((above, bytes));
    });
    let writes = whole.operations() - before;
    let sides: Vec<bool> = written.iter().map(|(above, _)| *above).collect();
    let turns = sides.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(
        (sides[0], turns),
        (false, 2),
        "over the bound and back: {written:?}"
    );
    let least = |of: bool| {
        written
            .iter()
            .filter(|(above, _)| *above == of)
            .map(|(_, b)| *b)
            .min()
    };
    assert!(
        least(true) > least(false),
        "saving takes pages: {written:?}"
    );

    for cut in (1..=writes).step_by(3) {
        let disk = SimulatedDisk::new(cut);
        let store = open(&disk, 0).unwrap();
        disk.cut_power_after(cut);
        let acknowledged = over_and_back(&disk, &store, BOUND, |_, _| {});
        drop(store);
        disk.cancel_cut();
        let store = open(&disk, 50_000).unwrap();
        let head = usize::try_from(store.head().get()).unwrap();
        assert!(
            (acknowledged..=acknowledged + 40).contains(&head),
            "cut at {cut}"
        );
        // Goes on over whatever is taken for free.
        for n in 0..6 {
            let records: Vec<_> = (0..40)
                .map(|k| transaction(k, "Wrapup", 50_000 + n))
                .collect();
            try_append(&store, &records, 50_000 + n).unwrap();
        }
        sound(&store);
    }
}

/// The next start finds the file as the one before left it, wherever the power failed in between.
#[test]
fn a_power_cut_at_any_write_of_a_start_after_a_power_cut_costs_nothing() {
    for walk_max in [WALKS, SAVES] {
        let disk = SimulatedDisk::new(7);
        let store = open_on(&disk, walk_max, at(0));
        run(&store);
        disk.cut_power();
        drop(store);
        let image = disk.image();
        let mut cut = 1;
        loop {
            let disk = SimulatedDisk::with_image(cut, image.clone());
            disk.cut_power_after(cut);
            let opened = Store::open_simulated(disk.clone(), &walked(walk_max), at(9_000));
            let is_through = disk.cancel_cut();
            drop(opened);
            let store = open_on(&disk, walk_max, at(9_100));
            assert_eq!(all(&store), commits().concat(), "cut at {cut}");
            sound(&store);
            if is_through {
                break;
            }
            cut += 1;
        }
        assert!(cut > 3, "a start writes");
    }
}
