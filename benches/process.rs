//! The figures of the real process (architecture §8): `cargo bench --bench process`.
//!
//! How long it takes from its start to ready after a SIGKILL with 2 GB stored, against the same
//! with an empty store and with as much as a start still walks; and its memory beside a Thrio of preset XL (`THRIO_EDGE_BENCH_PRESET` names
//! another), resident then and at most (`VmRSS`, `VmHWM`), with an empty backlog and with ten million
//! records of it.
//! `THRIO_EDGE_BENCH_MINUTES` says how long the memory is watched (2 by default). Last, ten million
//! records are drained into SQLite (or to files: `THRIO_EDGE_BENCH_DESTINATION=file`) with
//! `retention_days = 0`: the memory meanwhile, when the disk has its room back, and how late the latest
//! poll was. A word (`start`, `walk`, `memory`, `drain`) names
//! one of the four; `THRIO_EDGE_MEASURED_PROGRAM` another program than the one built beside.

#[path = "support/load.rs"]
mod load;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use load::{Load, fill};
use tempfile::TempDir;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::control::Request;
use thrio_edge::control::client::ask;
use thrio_edge::control::status::Status;
use thrio_edge::domain::ids::{BoxId, StateText};
use thrio_edge::simulator::{self, Behaviour, Centre, Preset, Server};
use thrio_edge::stop::StopToken;
use thrio_edge::store::{Store, StoreOptions};

const GB: u64 = 1_000_000_000;
const LOOK_PERIOD: Duration = Duration::from_millis(2);
/// A start is looked for so long.
const DEADLINE: Duration = Duration::from_mins(2);

/// A folder with a configuration; its destination is there or is not.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(thrio: Option<&Server>, destination_is_there: bool) -> Self {
        let folder = if destination_is_there {
            ""
        } else {
            "not-there/"
        };
        let destination = format!("kind = \"sqlite\"\npath = \"{folder}wfm.db\"\n");
        Self::with(thrio, &destination, "")
    }

    /// `destination` and `store` are what the configuration says of them.
    fn with(thrio: Option<&Server>, destination: &str, store: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("room");
        let source = thrio.map_or_else(String::new, |thrio| {
            let url = thrio.base_url();
            format!(
                "[[source]]\nname = \"main\"\n[source.realtime]\nbase_url = \"{url}\"\n\
                 account = \"bench\"\npassword = \"bench\"\nsnapshot = \"full\"\n\
                 transaction_collection_interval_s = 5\n[source.historical]\n\
                 base_url = \"{url}\"\nusername = \"bench\"\npassword = \"bench\"\n"
            )
        });
        let text = format!(
            "[box]\nid = \"bench\"\nstate_dir = \"state\"\n[control]\nlisten = \"127.0.0.1:0\"\n\
             {store}{source}[[destination]]\nname = \"local\"\n{destination}"
        );
        let site = Self { folder };
        fs::write(site.config_file(), text).expect("room");
        site
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts the process and waits until it is ready; answers how long that took.
    fn start(&self) -> (Life, Duration) {
        let clock = SystemClock::new();
        let child = Command::new(program())
            .args(["run", "--config"])
            .arg(self.config_file())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program was built for the bench");
        let life = Life { child };
        while !status(&self.state_dir()).is_some_and(|status| status.ready) {
            assert!(
                clock.now().mono.since_start() < DEADLINE,
                "it never was ready"
            );
            pause(LOOK_PERIOD);
        }
        (life, clock.now().mono.since_start())
    }
}

/// The program that was built for the bench, or the one that the variable names, as it is packaged.
fn program() -> PathBuf {
    let named = std::env::var_os("THRIO_EDGE_MEASURED_PROGRAM");
    named.map_or_else(|| env!("CARGO_BIN_EXE_thrio-edge").into(), PathBuf::from)
}

/// A running box; it ends with SIGKILL.
struct Life {
    child: Child,
}

impl Life {
    /// The most memory that it ever had resident, in MiB.
    fn most_resident_mib(&self) -> f64 {
        self.mib("VmHWM:")
    }

    /// What it has resident now, in MiB.
    fn resident_mib(&self) -> f64 {
        self.mib("VmRSS:")
    }

    fn mib(&self, field: &str) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u32 = kib
            .and_then(|kib| kib.parse().ok())
            .expect("a number of kB");
        f64::from(kib) / 1024.0
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it was killed");
    }
}

fn status(state_dir: &Path) -> Option<Status> {
    let value = ask(state_dir, &Request::Status, &mut |_: &serde_json::Value| {}).ok()?;
    serde_json::from_value(value).ok()
}

fn pause(time: Duration) {
    StopToken::new().wait(time);
}

/// Blocks that compress badly, so that gigabytes are stored in minutes.
fn bulky() -> Load {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut text = || -> String { (0..90).map(|_| rng.alphanumeric()).collect() };
    let states = (0..20_000).map(|_| StateText::new(&text()).expect("short"));
    Load::new(5_000, states.collect())
}

fn start_after_kill() {
    let empty = Site::new(None, false);
    drop(empty.start());
    let stored = Site::new(None, false);
    let records = fill(&stored.state_dir(), bulky(), |store, records| {
        records.is_multiple_of(500_000) && store.stats().expect("open").allocated_bytes >= 2 * GB
    });
    drop(stored.start());
    let (without, with) = (median_start(&empty), median_start(&stored));
    println!(
        "ready after SIGKILL, median of 7: {with:.3} s with 2 GB of {records} records stored \
         (goal 0.5), {without:.3} s with an empty store"
    );
}

fn start_with_a_walk() {
    let [walked, saved] = [StoreOptions::WALK_MAX, 0].map(|walk_max| {
        let site = Site::new(None, false);
        let live = fill_to_the_walk(&site.state_dir(), walk_max);
        (median_start(&site), live)
    });
    println!(
        "ready after SIGKILL, median of 7: {:.3} s with {:.0} MB of live entries, just below the bound, \
         all of which a start walks (goal 0.5); {:.3} s where the last commit saved it that",
        walked.0,
        mega(walked.1),
        saved.0
    );
}

fn median_start(site: &Site) -> f64 {
    let mut times: Vec<Duration> = (0..7).map(|_| site.start().1).collect();
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// Fills a journal as full as it can be without its commits saving which pages are in use, and leaves
/// it as a kill after a commit by this bound does. Answers the bytes of its live entries.
fn fill_to_the_walk(state_dir: &Path, walk_max: u64) -> u64 {
    // Bytes in use are taken for a quarter more than the live ones.
    let live_max = StoreOptions::WALK_MAX / 5 * 4;
    let reserve = 1_000_000;
    fill(state_dir, bulky(), |store, _| {
        store.stats().expect("open").live_bytes > live_max - reserve
    });
    let id = BoxId::new("bench").expect("plain");
    let options = StoreOptions {
        walk_max,
        ..StoreOptions::new(state_dir.to_path_buf(), id)
    };
    let now = SystemClock::new().now();
    let store = Store::open(&options, now)
        .expect("it was just filled")
        .store;
    store.new_store_id(now).expect("room");
    let live = store.stats().expect("open").live_bytes;
    assert!(live < live_max, "it is above the bound");
    let (file, copy) = (state_dir.join("journal.redb"), state_dir.join("copy"));
    fs::copy(&file, &copy).expect("room");
    drop(store);
    fs::rename(copy, file).expect("room");
    live
}

fn memory(thrio: &Server, backlog: u64) {
    let minutes = std::env::var("THRIO_EDGE_BENCH_MINUTES").ok();
    let minutes: u64 = minutes.and_then(|text| text.parse().ok()).unwrap_or(2);
    let site = Site::new(Some(thrio), backlog == 0);
    if backlog > 0 {
        fill(&site.state_dir(), Load::usual(), |_, records| {
            records >= backlog
        });
    }
    drop(site.start());
    let (life, _) = site.start();
    pause(Duration::from_secs(minutes * 60));
    let status = status(&site.state_dir()).expect("it lives");
    let rows: Vec<String> = status
        .feeds
        .iter()
        .map(|feed| format!("{} {}", feed.feed, feed.counts.rows_received))
        .collect();
    println!(
        "memory at preset {:?} after {minutes} min, backlog {}: {:.1} MiB (goal 48), {:.1} at most \
         since the start; rows received: {}",
        preset(),
        status.destinations[0].backlog,
        life.resident_mib(),
        life.most_resident_mib(),
        rows.join(", ")
    );
}

/// How large the centre is.
fn preset() -> Preset {
    let named = std::env::var("THRIO_EDGE_BENCH_PRESET").ok();
    named.map_or(Preset::Xl, |name| {
        Preset::named(&name).expect("S, M, L or XL")
    })
}

/// The backlog that is drained.
const DRAINED: u64 = 10_000_000;
/// The room must be back by then.
const GIVEN_BACK: Duration = Duration::from_mins(10);

fn drain(thrio: &Server) {
    let kind =
        std::env::var("THRIO_EDGE_BENCH_DESTINATION").unwrap_or_else(|_| "sqlite".to_owned());
    let place = match kind.as_str() {
        "sqlite" => "path = \"wfm.db\"",
        "file" => "directory = \"segments\"",
        other => panic!("THRIO_EDGE_BENCH_DESTINATION is sqlite or file, not {other}"),
    };
    let destination = format!("kind = \"{kind}\"\n{place}\n");
    let site = Site::with(Some(thrio), &destination, "[store]\nretention_days = 0\n");
    fs::create_dir(site.folder.path().join("segments")).expect("room");
    fill(&site.state_dir(), Load::usual(), |_, records| {
        records >= DRAINED
    });
    let clock = SystemClock::new();
    let (life, _) = site.start();
    let began = clock.now().mono;
    let mut drained_at = None;
    let mut full: u64 = 0;
    let mut latest_poll_s: f64 = 0.0;
    loop {
        pause(Duration::from_millis(200));
        let now = clock.now();
        let status = status(&site.state_dir()).expect("it lives");
        let polled = status.feeds.iter().filter_map(|f| f.last_complete_poll_at);
        if let Some(polled) = polled.max() {
            latest_poll_s = latest_poll_s.max(millis(now.wall.ms_since(polled)));
        }
        // Right after the start nobody has measured it yet.
        let Some(bytes) = status.store.allocated_bytes else {
            continue;
        };
        full = full.max(bytes);
        let destination = &status.destinations[0];
        if drained_at.is_none() && destination.phase != "starting" && destination.backlog < 10_000 {
            drained_at = Some(now.mono);
            println!(
                "drain of {DRAINED} records to {kind} beside preset {:?}: {:.0} s, {:.1} MiB at most \
                 (goal 48)",
                preset(),
                now.mono.since(began).as_secs_f64(),
                life.most_resident_mib()
            );
        }
        let Some(drained_at) = drained_at else {
            continue;
        };
        let waited = now.mono.since(drained_at);
        if bytes < full / 4 || waited > GIVEN_BACK {
            println!(
                "room: {:.0} MB of {:.0} MB after {:.0} s more (goal 600); the latest poll came \
                 {:.1} s after the one before it, of 5; {:.1} MiB at most",
                mega(bytes),
                mega(full),
                waited.as_secs_f64(),
                latest_poll_s,
                life.most_resident_mib()
            );
            return;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn millis(ms: i64) -> f64 {
    ms as f64 / 1e3
}

fn main() {
    // A bench that cargo only wants to see compiled, or a filter that names the other half.
    let only = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("start") {
        start_after_kill();
    }
    if wanted("walk") {
        start_with_a_walk();
    }
    if wanted("memory") || wanted("drain") {
        let centre = Arc::new(Centre::new(preset(), 1));
        let clock = Arc::new(SystemClock::new());
        let listen = "127.0.0.1:0".parse().expect("an address");
        let thrio = simulator::serve(listen, centre, clock, Behaviour::default()).expect("a port");
        for backlog in [0, 10_000_000] {
            if wanted("memory") {
                memory(&thrio, backlog);
            }
        }
        if wanted("drain") {
            drain(&thrio);
        }
        thrio.stop();
    }
}
