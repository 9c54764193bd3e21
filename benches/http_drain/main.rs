//! Draining to HTTP against Debian's syslog-ng with a reliable disk buffer and its `http()`
//! destination, one worker: the same lines (`format = "ndjson"`), the same lines a batch, the same
//! receiver, and on both sides a backlog that is on disk when the receiver comes up. The real
//! programs are measured, from the first byte of the first line that counts to the last answer.
//! Prints the ratio of lines per second; the goal is 2 or more. `scripts/bench/http` installs
//! syslog-ng and runs this.

#[path = "../support/load.rs"]
mod load;
mod receiver;
mod syslog_ng;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load::{Load, fill};
use receiver::{Receiver, Tally};
use syslog_ng::SyslogNg;
use tempfile::TempDir;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::stop::StopToken;

const LINES: u64 = 1_000_000;
/// What `batch_records` is by default.
const BATCH_LINES: u64 = 2_000;
const ROUNDS: u32 = 3;
/// A drain that takes longer is none.
const DEADLINE: Duration = Duration::from_mins(5);

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let folder = new_folder();
    let lines_file = folder.path().join("lines.ndjson");
    // The lines that syslog-ng is given are those that the box sends.
    drain_edge(Some(File::create(&lines_file).expect("room")));
    let (mut ours, mut theirs) = (None, None);
    // Rounds alternate, and the best of each counts: a busy machine slows both.
    for _ in 0..ROUNDS {
        ours = Some(better(ours, drain_edge(None)));
        theirs = Some(better(theirs, drain_syslog_ng(&lines_file)));
    }
    let (ours, theirs) = (ours.expect("rounds"), theirs.expect("rounds"));
    tell("thrio-edge", &ours);
    tell("syslog-ng", &theirs);
    let ratio = rate(&ours) / rate(&theirs);
    println!("http_drain: ratio {ratio:.2} (goal 2)");
}

/// A journal that the process drains once the receiver is up.
fn drain_edge(kept: Option<File>) -> Tally {
    let receiver = Receiver::start(kept);
    let folder = new_folder();
    let load = Load::usual();
    fill(&folder.path().join("state"), load, |_, records| {
        records >= LINES
    });
    let text = format!(
        "[box]\nid = \"bench\"\nstate_dir = \"state\"\n[control]\nlisten = \"127.0.0.1:0\"\n\
         [[destination]]\nname = \"receiver\"\nkind = \"http\"\nurl = \"http://{}/v1/lines\"\n\
         format = \"ndjson\"\ncompression = \"none\"\nbatch_records = {BATCH_LINES}\n",
        receiver.address
    );
    let config_file = folder.path().join("edge.toml");
    fs::write(&config_file, text).expect("room");
    let child = Command::new(env!("CARGO_BIN_EXE_thrio-edge"))
        .args(["run", "--config"])
        .arg(config_file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program was built for the bench");
    let mut running = Edge(child);
    // Long enough for a first attempt at the receiver that is down.
    pause(Duration::from_secs(2));
    wait(&receiver, || running.check())
}

fn drain_syslog_ng(lines_file: &Path) -> Tally {
    let receiver = Receiver::start(None);
    let folder = new_folder();
    let mut running =
        SyslogNg::with_backlog(folder.path(), lines_file, LINES, BATCH_LINES, &receiver);
    wait(&receiver, || running.check())
}

/// Lets the receiver come up and waits until it has every line.
fn wait(receiver: &Receiver, mut check: impl FnMut()) -> Tally {
    let clock = SystemClock::new();
    receiver.comes_up();
    loop {
        let tally = receiver.tally();
        if tally.lines >= LINES {
            return tally;
        }
        check();
        assert!(
            clock.now().mono.since_start() < DEADLINE,
            "it never drained: {tally:?}"
        );
        pause(Duration::from_millis(50));
    }
}

/// A running box; it ends with SIGKILL.
struct Edge(Child);

impl Edge {
    fn check(&mut self) {
        let ended = self.0.try_wait().expect("our child");
        assert!(ended.is_none(), "the box ended: {ended:?}");
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.0.kill().expect("our child");
        self.0.wait().expect("it was killed");
    }
}

fn new_folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("room")
}

fn pause(time: Duration) {
    StopToken::new().wait(time);
}

fn better(best: Option<Tally>, next: Tally) -> Tally {
    match best {
        Some(best) if rate(&best) >= rate(&next) => best,
        _ => next,
    }
}

fn rate(tally: &Tally) -> f64 {
    lossy(tally.lines) / tally.took().as_secs_f64()
}

fn tell(name: &str, tally: &Tally) {
    println!(
        "http_drain/{name}: {:.0} lines/s, {:.0} lines a batch, {:.0} bytes a line, {} lines in {:.2} s",
        rate(tally),
        lossy(tally.lines) / lossy(tally.bodies),
        lossy(tally.bytes) / lossy(tally.lines),
        tally.lines,
        tally.took().as_secs_f64()
    );
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn lossy(count: u64) -> f64 {
    count as f64
}
