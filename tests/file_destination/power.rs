//! A disk whose power can be cut at any of its calls. What was not synced may be there, in part or
//! not at all: contents up to any byte, names each for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use thrio_edge::destination::Destination as _;
use thrio_edge::destination::file::disk::{Disk, DiskFile};
use thrio_edge::destination::file::{FileDestination, FileFormat, FileOptions};

use crate::published::Published;
use crate::{AGE, HandClock, beat, transactions, writer};

#[derive(Debug, Default, Clone)]
struct Content {
    /// What a reader sees.
    seen: Vec<u8>,
    /// How much of it is durable.
    synced: usize,
}

#[derive(Debug, Clone)]
enum Change {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn touches(&self, folder: &Path) -> bool {
        let lies_in = |path: &PathBuf| path.parent() == Some(folder);
        match self {
            Self::Link(path, _) | Self::Remove(path) => lies_in(path),
            Self::Rename(from, to) => lies_in(from) || lies_in(to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not durable, in order.
    pending: Vec<Change>,
    calls_left: Option<u32>,
}

#[derive(Debug, Default, Clone)]
struct PowerDisk(Arc<Mutex<State>>);

impl PowerDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    /// One more call; an error once the power is off.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match &mut state.calls_left {
            Some(0) => return Err(io::Error::other("the power is off")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.call()?;
        change.apply(&mut state.names);
        state.pending.push(change);
        Ok(())
    }

    /// The power comes back: of what was not synced, chance decides.
    fn restart(&self, rng: &mut Rng) {
        let mut state = self.state();
        let mut names = std::mem::take(&mut state.durable_names);
        for change in std::mem::take(&mut state.pending) {
            if rng.bool() {
                change.apply(&mut names);
            }
        }
        for content in &mut state.files {
            let was_synced = content.synced == content.seen.len();
            let keep = rng.usize(content.synced..=content.seen.len());
            content.seen.truncate(keep);
            if !was_synced && rng.bool() {
                // Blocks that were given to the file and never written.
                content.seen.extend(vec![0; rng.usize(0..30)]);
            }
            content.synced = content.seen.len();
        }
        state.durable_names.clone_from(&names);
        state.names = names;
        state.calls_left = None;
    }

    /// A reader takes some of the published files away, durably.
    fn take_away(&self, directory: &Path, rng: &mut Rng, into: &mut Vec<(String, Vec<u8>)>) {
        let mut state = self.state();
        let here = |path: &Path| path.parent() == Some(directory);
        let paths: Vec<PathBuf> = state.names.keys().filter(|p| here(p)).cloned().collect();
        for path in paths {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if name.starts_with("wfm_box-") || rng.bool() {
                continue;
            }
            let file = state.names.remove(&path).expect("listed");
            state.durable_names.remove(&path);
            into.push((name, state.files[file].seen.clone()));
        }
    }
}

struct PowerFile {
    disk: PowerDisk,
    file: usize,
}

impl Write for PowerFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.call()?;
        state.files[self.file].seen.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for PowerFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.call()?;
        let content = &mut state.files[self.file];
        content.synced = content.seen.len();
        Ok(())
    }
}

impl Disk for PowerDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.call()?;
        if !state.folders.contains(path.parent().expect("a folder")) {
            return Err(ErrorKind::NotFound.into());
        }
        let file = if let Some(file) = state.names.get(path).copied() {
            state.files[file] = Content::default();
            file
        } else {
            state.files.push(Content::default());
            let file = state.files.len() - 1;
            state.names.insert(path.to_owned(), file);
            state.pending.push(Change::Link(path.to_owned(), file));
            file
        };
        let disk = self.clone();
        Ok(Box::new(PowerFile { disk, file }))
    }

    fn append(&self, path: &Path, keep: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.call()?;
        let file = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        let content = &mut state.files[file];
        content.seen.truncate(usize::try_from(keep).expect("small"));
        content.synced = content.synced.min(content.seen.len());
        let disk = self.clone();
        Ok(Box::new(PowerFile { disk, file }))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let state = self.call()?;
        let file = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(state.files[file].seen.clone())))
    }

    fn is_there(&self, path: &Path) -> io::Result<bool> {
        let state = self.call()?;
        Ok(state.names.contains_key(path) || state.folders.contains(path))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.call()?;
        let inside = state
            .names
            .keys()
            .filter(|path| path.parent() == Some(folder));
        let name = |path: &PathBuf| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        Ok(inside.map(name).collect())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.call()?.folders.insert(path.to_owned());
        Ok(())
    }

    fn may_write(&self, folder: &Path) -> io::Result<()> {
        let is_there = self.call()?.folders.contains(folder);
        if is_there {
            Ok(())
        } else {
            Err(ErrorKind::NotFound.into())
        }
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.is_there(to)? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.rename_over(from, to)
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Change::Remove(path.to_owned()))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let pending = std::mem::take(&mut state.pending);
        let (now, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|c| c.touches(path));
        for change in now {
            change.apply(&mut state.durable_names);
        }
        state.pending = later;
        Ok(())
    }
}

const RECORDS: u64 = 400;

/// A box that is cut off the power again and again while it drains, and a reader that takes files
/// away meanwhile.
fn drain_through_power_cuts(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let disk = PowerDisk::default();
    let directory = PathBuf::from("/out");
    disk.state()
        .folders
        .extend([directory.clone(), PathBuf::from("/state")]);
    let mut options = FileOptions::new(directory.clone(), PathBuf::from("/state/d/archive"));
    options.format = [FileFormat::Csv, FileFormat::Ndjson][rng.usize(..2)];
    options.segment_bytes = rng.u64(3_000..40_000);
    let clock = Arc::new(HandClock::default());
    let (mut acknowledged, mut taken, mut cuts) = (0, Vec::new(), 0);
    while acknowledged < RECORDS {
        disk.state().calls_left = Some(rng.u32(1..120));
        let on = Box::new(disk.clone());
        let mut to = FileDestination::on(options.clone(), clock.clone(), on);
        let outcome = to.open(&writer(1)).and_then(|receipt| {
            let received = receipt.highest().get();
            assert!(
                received >= acknowledged,
                "{received} of {acknowledged} acknowledged"
            );
            acknowledged = received;
            while acknowledged < RECORDS {
                disk.take_away(&directory, &mut rng, &mut taken);
                if rng.u8(..) < 40 {
                    clock.advance(AGE);
                    to.heartbeat(&beat())?;
                } else {
                    let count = rng.u64(1..=20).min(RECORDS - acknowledged);
                    to.send(&transactions(acknowledged + 1, count))?;
                    acknowledged += count;
                }
            }
            Ok(())
        });
        if outcome.is_err() {
            cuts += 1;
            assert!(
                cuts < 10_000,
                "seed {seed}: it comes no further: {outcome:?}"
            );
            disk.restart(&mut rng);
        }
    }
    disk.state().calls_left = None;
    let mut to = FileDestination::on(options, clock.clone(), Box::new(disk.clone()));
    to.open(&writer(1)).expect("the power is on");
    clock.advance(AGE);
    to.heartbeat(&beat()).expect("published");
    assert!(cuts > 0, "seed {seed} cut nothing");
    while disk
        .state()
        .names
        .keys()
        .any(|p| p.parent() == Some(&directory) && !p.to_string_lossy().contains("wfm_box"))
    {
        disk.take_away(&directory, &mut rng, &mut taken);
    }
    Published::of(taken).assert_each_once(1..=RECORDS);
}

/// The log's last write had left its magic and zeros behind, which passed for a whole frame without
/// content; the destination came no further.
#[test]
fn zeros_behind_a_torn_write_are_no_frame() {
    drain_through_power_cuts(673_543_844_739);
}

#[test]
fn cut_off_the_power_at_any_call_it_misses_and_doubles_nothing() {
    let seed = std::env::var("THRIO_EDGE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let first = seed.unwrap_or_else(|| fastrand::u64(..1 << 40));
    let count = if seed.is_some() { 1 } else { 60 };
    for seed in first..first + count {
        println!("THRIO_EDGE_SEED={seed}");
        drain_through_power_cuts(seed);
    }
}
