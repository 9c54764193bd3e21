//! kill -9 in the middle of a drain, again and again: 0 missing, 0 doubled.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use thrio_edge::clock::SystemClock;
use thrio_edge::destination::Destination as _;
use thrio_edge::destination::file::{FileDestination, FileFormat, FileOptions};

use crate::published::Published;
use crate::{transactions, writer};

/// Says to the test's own binary that it is the one to be killed.
const FOLDER: &str = "THRIO_EDGE_KILLED_IN";
const RECORDS: u64 = 6_000;
const BATCH: u64 = 40;
const KILLS: u32 = 25;

fn destination(folder: &str) -> FileDestination {
    let folder = PathBuf::from(folder);
    let mut options = FileOptions::new(folder.join("out"), folder.join("state/files"));
    options.format = FileFormat::Csv;
    options.segment_bytes = 30_000;
    FileDestination::new(options, Arc::new(SystemClock::new()))
}

/// Not a test of its own: without the variable it has nothing to do.
#[test]
fn the_one_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let mut to = destination(&folder);
    let mut next = to.open(&writer(1)).expect("opened").highest().get() + 1;
    println!("open {}", next - 1);
    while next <= RECORDS {
        let count = BATCH.min(RECORDS + 1 - next);
        to.send(&transactions(next, count)).expect("taken");
        next += count;
        println!("acknowledged {}", next - 1);
    }
}

/// A life that ends by kill -9 once it has said `lines` lines; what it had acknowledged by then.
fn life(folder: &str, lines: usize) -> (u64, u64) {
    let this = std::env::current_exe().expect("a path");
    let mut child = Command::new(this)
        .args(["--exact", "kill::the_one_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (mut opened, mut acknowledged, mut said) = (0, 0, 0);
    for line in output.lines().map_while(Result::ok) {
        let number = |text: &str| text.parse::<u64>().expect("a number");
        if let Some((_, text)) = line.split_once("open ") {
            opened = number(text);
        } else if let Some((_, text)) = line.split_once("acknowledged ") {
            acknowledged = number(text);
        } else {
            continue;
        }
        said += 1;
        if said == lines {
            child.kill().expect("killed");
        }
    }
    child.wait().expect("ended");
    (opened, acknowledged)
}

#[test]
fn killed_in_the_middle_of_a_drain_it_misses_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["out", "state"] {
        std::fs::create_dir(folder.path().join(name)).expect("made");
    }
    let path = folder.path().to_str().expect("text");
    let seed = std::env::var("THRIO_EDGE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("THRIO_EDGE_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut before = 0;
    for _ in 0..KILLS {
        let (opened, acknowledged) = life(path, rng.usize(1..8));
        assert!(
            opened >= before,
            "the receipt lost what was acknowledged: {opened} < {before}"
        );
        before = before.max(acknowledged);
    }
    println!("acknowledged before the last life: {before} of {RECORDS}");
    assert!(before < RECORDS, "some of the lives ended in the middle");
    let (_, acknowledged) = life(path, usize::MAX);
    assert_eq!(acknowledged, RECORDS);
    // What is open yet is published under the next identity.
    destination(path).open(&writer(2)).expect("opened");
    Published::read(&folder.path().join("out")).assert_each_once(1..=RECORDS);
}
