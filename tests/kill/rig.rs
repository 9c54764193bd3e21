//! The process under test, its Thrio, and the hand that kills it.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::control::Request;
use thrio_edge::control::client::ask;
use thrio_edge::control::status::Status;
use thrio_edge::domain::ids::BoxId;
use thrio_edge::domain::record::Record;
use thrio_edge::domain::timestamp::Now;
use thrio_edge::simulator::{self, Behaviour, Centre, Preset, Server};
use thrio_edge::stop::StopToken;
use thrio_edge::store::{ReadLimit, Store, StoreOptions};

use crate::truth::Journal;

/// How long a condition may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
/// How often the destination is looked at while a kill waits for its moment.
const LOOK_PERIOD: Duration = Duration::from_micros(300);

pub(crate) fn now() -> Now {
    SystemClock::new().now()
}

/// The seed of this run, printed so that it can be replayed.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("THRIO_EDGE_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"));
    println!("THRIO_EDGE_SEED={seed}");
    seed
}

/// How often the process is killed.
pub(crate) fn kills(default: usize) -> usize {
    let given = std::env::var("THRIO_EDGE_KILLS").ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// The destination, looked at from outside.
pub(crate) trait Observer {
    /// What it has begun to receive and has not acknowledged, by a name that the next one does not
    /// have where it can be told.
    fn open_batch(&self) -> Option<String>;

    /// Calls that a new process makes before its first batch.
    fn calls_before_batches(&self) -> usize;
}

/// How many kills fell where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kills {
    pub(crate) all: usize,
    /// Between the first byte sent and the acknowledgement.
    pub(crate) inside: usize,
}

impl Kills {
    /// Four in five, or the run shows too little.
    pub(crate) fn is_fair(self) -> bool {
        self.inside * 5 >= self.all * 4
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, inside } = self;
        write!(
            f,
            "{inside} of {all} kills between the first byte sent and the acknowledgement"
        )
    }
}

/// A folder with a configuration, and a Thrio that survives every kill.
pub(crate) struct Rig {
    folder: TempDir,
    seed: u64,
    thrio: Server,
}

impl Rig {
    /// `destination` is what its table says beside its name.
    pub(crate) fn new(seed: u64, destination: &str) -> Self {
        let centre = Arc::new(Centre::new(Preset::S, seed));
        let listen = "127.0.0.1:0".parse().unwrap();
        let clock = Arc::new(SystemClock::new());
        let thrio = simulator::serve(listen, centre, clock, Behaviour::default()).unwrap();
        let rig = Self {
            folder: tempfile::tempdir().unwrap(),
            seed,
            thrio,
        };
        let password = rig.folder().join("password");
        fs::write(&password, "any").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let connection = format!(
            "base_url = \"http://{}\"\npassword_file = \"password\"\n",
            rig.thrio.address()
        );
        let text = format!(
            "[box]\nid = \"kill-box\"\nstate_dir = \"state\"\n\
             [store]\nmin_free = \"1MiB\"\n\
             [control]\nlisten = \"127.0.0.1:0\"\n\
             [[source]]\nname = \"main\"\n\
             [source.realtime]\naccount = \"wfm@example.com\"\n{connection}\
             transaction_collection_interval_s = 1\nsnapshot = \"full\"\n\
             [[destination]]\nname = \"upstream\"\nbatch_records = 400\n{destination}"
        );
        fs::write(rig.config_file(), text).unwrap();
        rig
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder().join("state")
    }

    fn config_file(&self) -> PathBuf {
        self.folder().join("edge.toml")
    }

    /// The journal, while no process has it.
    pub(crate) fn open_store(&self) -> Store {
        let mut options = StoreOptions::new(self.state_dir(), BoxId::new("kill-box").unwrap());
        options.min_free = 0;
        Store::open(&options, now()).unwrap().store
    }

    /// Everything that is journaled.
    pub(crate) fn journal(&self) -> Journal {
        let store = self.open_store();
        let limit = ReadLimit {
            records: 10_000,
            bytes: usize::MAX,
        };
        let mut journal = Journal {
            head: store.head().get(),
            ..Journal::default()
        };
        let mut seq = store.first();
        while seq <= store.head() {
            let page = store.read(seq, limit).unwrap();
            assert!(page.damaged.is_empty() && page.expired.is_empty());
            page.records
                .iter()
                .for_each(|entry| note(&entry.record, &mut journal));
            seq = page.next;
        }
        journal
    }

    /// Runs a command to its end: its exit code, and what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> (i32, String) {
        let done = program()
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .output();
        let done = done.unwrap();
        let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            text.push_str(&String::from_utf8_lossy(&done.stderr));
        }
        (done.status.code().expect("it was not killed"), text)
    }

    pub(crate) fn start(&self) -> Life {
        let log = self.folder().join("edge.log");
        let file = File::options().create(true).append(true).open(&log);
        let child = program()
            .args(["run", "--config"])
            .arg(self.config_file())
            .stderr(file.unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Life {
            pid: Pid::from_child(&child),
            child,
            state_dir: self.state_dir(),
            log,
        }
    }

    /// Lives of the process, each ended by a kill while a backlog remains. Most wait for a moment
    /// inside a batch: how often a blind one would hit it depends on the machine's load. Every
    /// eighth takes the moment that comes, behind the acknowledgement too.
    pub(crate) fn kill_again_and_again(&self, kills: usize, destination: &dyn Observer) -> Kills {
        let mut rng = Rng::with_seed(self.seed);
        let mut inside = 0;
        for kill in 1..=kills {
            let mut life = self.start();
            let mut calls = destination.calls_before_batches() + rng.usize(1..5);
            let is_inside = loop {
                life.wait_for_calls(calls, destination);
                // Somewhere inside the call, its commit included, or right behind it.
                StopToken::new().wait(Duration::from_micros(rng.u64(0..6_000)));
                life.freeze();
                let is_inside = destination.open_batch().is_some();
                if is_inside || kill % 8 == 0 {
                    break is_inside;
                }
                life.thaw();
                calls = 1;
            };
            inside += usize::from(is_inside);
            life.kill();
        }
        Kills { all: kills, inside }
    }

    /// A life that nobody disturbs, until everything is delivered and it stops as asked.
    pub(crate) fn finish(&self) {
        let mut life = self.start();
        life.wait_for("an empty backlog", |status| {
            let destination = &status.destinations[0];
            // Before its first step a destination has nothing to say of its backlog.
            let has_begun = destination.phase != "starting";
            let is_drained = destination.backlog == 0 && destination.balanced;
            status.store.last_seq > 0 && has_begun && is_drained
        });
        assert_eq!(life.terminate(), Some(0));
    }
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thrio-edge"));
    for inherited in [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "JOURNAL_STREAM",
        "THRIO_EDGE_CONFIG",
    ] {
        command.env_remove(inherited);
    }
    command
}

/// Stops a process of ours where it is.
pub(crate) fn freeze(pid: Pid) {
    kill_process(pid, Signal::STOP).unwrap();
    // Answers once every thread has stopped.
    let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    assert!(stopped.is_some_and(|(_, status)| status.stopped()));
}

/// Lets it go on.
pub(crate) fn thaw(pid: Pid) {
    kill_process(pid, Signal::CONT).unwrap();
}

pub(crate) fn note(record: &Record, journal: &mut Journal) {
    match record {
        Record::Transaction(r) => {
            let key = (r.agent.as_str().to_owned(), r.started_at.ms());
            let state = r.state.as_str().to_owned();
            journal.transactions.insert(key, state);
        }
        Record::Interval(r) => {
            let key = (r.queue.as_str().to_owned(), r.interval_start.s());
            let sum = |sum: Option<u64>| sum.map_or(-1, |sum| i64::try_from(sum).unwrap());
            let f = r.figures;
            let sums = (sum(f.entered), sum(f.abandoned), sum(f.handle_time_s));
            journal.volumes.insert(key, sums);
        }
        _ => {}
    }
}

/// One running process. Dropped, it is killed.
pub(crate) struct Life {
    child: Child,
    pid: Pid,
    state_dir: PathBuf,
    log: PathBuf,
}

impl Life {
    fn status(&self) -> Option<Status> {
        let value = ask(&self.state_dir, &Request::Status, |_| {}).ok()?;
        Some(serde_json::from_value(value).expect("the status that this version knows"))
    }

    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        self.wait_until(what, Duration::from_millis(50), || {
            self.status().filter(&is_so)
        })
    }

    /// Waits until it is so.
    pub(crate) fn wait_until_so(&self, what: &str, is_so: impl Fn() -> bool) {
        self.wait_until(what, Duration::from_millis(100), || is_so().then_some(()));
    }

    /// Waits until the given number of calls has begun at the destination, and the last is open.
    pub(crate) fn wait_for_calls(&self, calls: usize, destination: &dyn Observer) {
        let (mut begun, mut last) = (0, None);
        self.wait_until("a batch under way", LOOK_PERIOD, || {
            let open = destination.open_batch();
            begun += usize::from(open.is_some() && open != last);
            last = open;
            (last.is_some() && begun >= calls).then_some(())
        });
    }

    fn wait_until<T>(
        &self,
        what: &str,
        period: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> T {
        let clock = SystemClock::new();
        loop {
            if let Some(found) = look() {
                return found;
            }
            if clock.now().mono.since_start() > DEADLINE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                panic!(
                    "{what} did not come within {DEADLINE:?}: {:?}\n{log}",
                    self.status()
                );
            }
            StopToken::new().wait(period);
        }
    }

    /// Stops it where it is; it does nothing more until it is killed.
    fn freeze(&self) {
        freeze(self.pid);
    }

    /// Lets it go on.
    fn thaw(&self) {
        thaw(self.pid);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        kill_process(self.pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
