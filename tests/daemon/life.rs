//! A site to run the binary in: a folder, a configuration, a simulated Thrio; and one life of it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::control::Request;
use thrio_edge::control::client::ask;
use thrio_edge::control::status::{FeedStatus, Status};
use thrio_edge::domain::ids::BoxId;
use thrio_edge::domain::timestamp::Now;
use thrio_edge::simulator::{self, Behaviour, Centre, Preset, Server, Speech};
use thrio_edge::stop::StopToken;

/// The one password that the simulated Thrio takes.
pub(crate) const PASSWORD: &str = "correct-horse-battery";
/// How long a condition may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// A folder with a configuration, and a Thrio.
pub(crate) struct Site {
    folder: TempDir,
    thrio: Option<Server>,
    address: SocketAddr,
    program: PathBuf,
    config: PathBuf,
    state: PathBuf,
}

/// What a command printed.
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn now() -> Now {
    SystemClock::new().now()
}

pub(crate) fn box_id() -> BoxId {
    BoxId::new("test-box").unwrap()
}

/// The feed of this name.
pub(crate) fn feed<'a>(status: &'a Status, name: &str) -> &'a FeedStatus {
    let found = status.feeds.iter().find(|feed| feed.feed == name);
    found.unwrap_or_else(|| panic!("no feed {name} in {status:?}"))
}

/// Whether every destination has every record.
pub(crate) fn delivered_all(status: &Status) -> bool {
    let last = status.store.last_seq;
    last > 0
        && status
            .destinations
            .iter()
            .all(|d| d.backlog == 0 && d.acknowledged >= last)
}

fn serve(listen: SocketAddr) -> std::io::Result<Server> {
    let centre = Arc::new(Centre::new(Preset::S, 7));
    let behaviour = Behaviour {
        speech: Speech {
            password: Some(PASSWORD.to_owned()),
            ..Speech::default()
        },
        ..Behaviour::default()
    };
    simulator::serve(listen, centre, Arc::new(SystemClock::new()), behaviour)
}

/// Polls until it is there, or fails with the reason.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let clock = SystemClock::new();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if clock.now().mono.since_start() > DEADLINE => {
                panic!("{what} did not come within {DEADLINE:?}; last seen: {last}")
            }
            Err(_) => {
                StopToken::new().wait(LOOK_PERIOD);
            }
        }
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        let thrio = serve("127.0.0.1:0".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let site = Self {
            program: env!("CARGO_BIN_EXE_thrio-edge").into(),
            config: folder.path().join("edge.toml"),
            state: folder.path().join("state"),
            folder,
            address: thrio.address(),
            thrio: Some(thrio),
        };
        site.write_password(PASSWORD);
        fs::write(site.config_file(), site.config_text()).unwrap();
        site
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.config.clone()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder().join("wfm.db")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.state.clone()
    }

    /// Another program, for example an installed one.
    pub(crate) fn use_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Another configuration file, and the state folder that it names.
    pub(crate) fn use_config(&mut self, config: &Path, state: &Path) {
        config.clone_into(&mut self.config);
        state.clone_into(&mut self.state);
    }

    pub(crate) fn write_password(&self, password: &str) {
        let file = self.folder().join("password");
        fs::write(&file, password).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn config_text(&self) -> String {
        let connection = format!(
            "base_url = \"http://{}\"\npassword_file = \"password\"\n",
            self.address
        );
        format!(
            "[box]\nid = \"test-box\"\nstate_dir = \"state\"\n\
             [control]\nlisten = \"127.0.0.1:0\"\n\
             [[source]]\nname = \"main\"\n\
             [source.realtime]\naccount = \"wfm@example.com\"\n{connection}\
             transaction_collection_interval_s = 1\nsnapshot = \"full\"\n\
             [source.historical]\nusername = \"wfm@example.com\"\n{connection}\
             [[destination]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"wfm.db\"\n"
        )
    }

    /// Nobody answers at Thrio's address any more.
    pub(crate) fn unplug(&mut self) {
        self.thrio.take().expect("it is plugged in").stop();
    }

    /// Thrio is back at its address.
    pub(crate) fn plug_in(&mut self) {
        let address = self.address;
        self.thrio = Some(wait_until("Thrio's port", || {
            serve(address).map_err(|error| error.to_string())
        }));
    }

    /// Runs a command on this site's configuration to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(arguments, &[])
    }

    pub(crate) fn command_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let config = self.config_file();
        let mut all = arguments.to_vec();
        all.extend(["--config", config.to_str().expect("a plain path")]);
        run(program(&self.program), &all, environment)
    }

    /// Starts the daemon and waits until it can be asked.
    pub(crate) fn start(&self) -> Life {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, environment: &[(&str, &str)]) -> Life {
        let log = self.folder().join("edge.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = program(&self.program)
            .args(["run", "--config"])
            .arg(self.config_file())
            .envs(environment.iter().copied())
            .stderr(file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let life = Life {
            pid: Pid::from_child(&child),
            child: Some(child),
            state_dir: self.state_dir(),
            log,
        };
        wait_until("the control socket", || {
            life.status().ok_or_else(|| life.log())
        });
        life
    }

    /// Waits until no process holds the store.
    pub(crate) fn wait_until_free(&self) {
        wait_until("the end of the background process", || {
            match self.command(&["status", "--json"]).code {
                69 => Ok(()),
                code => Err(format!("status exits {code}")),
            }
        });
    }
}

fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
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

/// Runs exactly this.
pub(crate) fn bare(arguments: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_BIN_EXE_thrio-edge"));
    run(program(path), arguments, &[])
}

fn run(mut program: Command, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let done = program
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Output {
        code: done.status.code().expect("it was not killed"),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// One running daemon. Dropped, it is ended.
pub(crate) struct Life {
    child: Option<Child>,
    pid: Pid,
    state_dir: PathBuf,
    log: PathBuf,
}

impl Life {
    /// A daemon that put itself into the background.
    pub(crate) fn of_background(site: &Site, pid_file: &Path) -> Self {
        let text = fs::read_to_string(pid_file).unwrap();
        let number: i32 = text.trim().parse().unwrap();
        Self {
            child: None,
            pid: Pid::from_raw(number).expect("a process id"),
            state_dir: site.state_dir(),
            log: site.state_dir().join("thrio-edge.log"),
        }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let value = ask(&self.state_dir, &Request::Status, |_| {}).ok()?;
        Some(serde_json::from_value(value).expect("the status that this version knows"))
    }

    pub(crate) fn ask(&self, request: &Request) -> serde_json::Value {
        ask(&self.state_dir, request, |_| {}).unwrap()
    }

    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        wait_until(what, || match self.status() {
            Some(status) if is_so(&status) => Ok(status),
            Some(status) => Err(format!("{status:#?}\n{}", self.log())),
            None => Err(format!("no answer\n{}", self.log())),
        })
    }

    pub(crate) fn wait_for_log(&self, part: &str) {
        wait_until(part, || {
            let log = self.log();
            if log.contains(part) { Ok(()) } else { Err(log) }
        });
    }

    pub(crate) fn signal_reload(&self) {
        kill_process(self.pid, Signal::HUP).unwrap();
    }

    pub(crate) fn signal_report(&self) {
        kill_process(self.pid, Signal::USR1).unwrap();
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// SIGTERM, without waiting for what it does.
    pub(crate) fn signal_stop(&self) {
        kill_process(self.pid, Signal::TERM).unwrap();
    }

    /// The exit code, once it has ended by itself, and the log.
    pub(crate) fn wait_for_end(&mut self) -> (Option<i32>, String) {
        let mut child = self.child.take().expect("a child of ours");
        (child.wait().unwrap().code(), self.log())
    }

    /// SIGTERM: the exit code and the log.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, String) {
        self.signal_stop();
        self.wait_for_end()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("a child of ours");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        match &mut self.child {
            Some(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            // In the background: it is told to end; a test that needs its end waits for it. A
            // child that was waited for has nobody to tell, and its number may be another's.
            None if self.log.ends_with("state/thrio-edge.log") => {
                let _ = kill_process(self.pid, Signal::TERM);
            }
            None => {}
        }
    }
}
