//! A box in a folder of its own with a simulated Thrio at which somebody is in a state of the
//! customer's own making, and one run of the program there.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::simulator::{
    self, Behaviour, Centre, HistoricalSpeech, Preset, Server, Shape, Speech, State,
};
use thrio_edge::stop::StopToken;

/// The one password that the simulated Thrio takes.
pub(crate) const PASSWORD: &str = "correct-horse-battery";
/// The one account there.
pub(crate) const ACCOUNT: &str = "wfm@example.com";

/// A source whose file says everything.
const SOURCE: &str = "[[source]]\nname = \"main\"\n\
     [source.realtime]\nbase_url = \"{url}\"\naccount = \"wfm@example.com\"\n\
     password_file = \"password\"\n\
     transaction_collection_interval_s = 1\nsnapshot = \"full\"\n\
     [source.historical]\nbase_url = \"{url}\"\nusername = \"wfm@example.com\"\n\
     password_file = \"password\"\n";

const DEADLINE: Duration = Duration::from_secs(90);
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// The folder, and the Thrio. Dropped, the program is ended.
pub(crate) struct Site {
    folder: TempDir,
    thrio: Option<Server>,
    thrio_url: String,
    /// A state text that no built-in name explains, and that some agent is in.
    pub(crate) custom_state: &'static str,
    child: Option<Child>,
    /// Scheme and host of the page.
    base: &'static str,
    /// `http://127.0.0.1:...`, once it runs.
    pub(crate) url: String,
}

impl Site {
    /// A box as the installer leaves it: no source; records go to a SQLite file.
    pub(crate) fn fresh() -> Self {
        Self::with_source("", Speech::default())
    }

    /// The same, beside a Thrio that counts handle time in milliseconds.
    pub(crate) fn fresh_beside_milliseconds() -> Self {
        let historical = HistoricalSpeech {
            handle_time_in_ms: true,
            ..HistoricalSpeech::default()
        };
        let speech = Speech {
            historical,
            ..Speech::default()
        };
        Self::with_source("", speech)
    }

    /// A box whose file has the source.
    pub(crate) fn collecting() -> Self {
        Self::with_source(SOURCE, Speech::default())
    }

    /// How large [`Self::collecting_from_many`] is.
    pub(crate) fn many() -> Preset {
        measured_program().map_or(Preset::L, |_| Preset::Xl)
    }

    /// The same beside a contact centre of 5,000 agents (20,000 where it is measured), late in its
    /// morning.
    pub(crate) fn collecting_from_many() -> Self {
        let hour_s = SystemClock::new().now().wall.s().rem_euclid(86_400);
        let shape = Shape {
            utc_offset_s: (11 * 3_600 - hour_s) / 900 * 900,
            ..Self::many().shape()
        };
        let centre = Centre::with_shape(shape, 7);
        Self::beside(centre, "", SOURCE, Speech::default())
    }

    fn with_source(source: &str, speech: Speech) -> Self {
        let (centre, custom_state) = busy_centre();
        Self::beside(centre, custom_state, source, speech)
    }

    fn beside(centre: Centre, custom_state: &'static str, source: &str, speech: Speech) -> Self {
        let behaviour = Behaviour {
            speech: Speech {
                username: Some(ACCOUNT.to_owned()),
                password: Some(PASSWORD.to_owned()),
                ..speech
            },
            ..Behaviour::default()
        };
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let clock = Arc::new(SystemClock::new());
        let thrio = simulator::serve(anywhere, Arc::new(centre), clock, behaviour).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let site = Self {
            folder,
            thrio_url: thrio.base_url(),
            thrio: Some(thrio),
            custom_state,
            child: None,
            base: "http://127.0.0.1",
            url: String::new(),
        };
        let text = format!(
            "[box]\nid = \"test-box\"\nstate_dir = \"state\"\n\
             [control]\nlisten = \"127.0.0.1:0\"\n{}\
             [[destination]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"wfm.db\"\n",
            source.replace("{url}", &site.thrio_url())
        );
        fs::write(site.config_file(), text).unwrap();
        site.write_private("password", PASSWORD);
        site
    }

    fn write_private(&self, name: &str, text: &str) {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn thrio_url(&self) -> String {
        self.thrio_url.clone()
    }

    /// Nobody answers at Thrio's address any more.
    pub(crate) fn unplug(&mut self) {
        self.thrio.take().expect("it is plugged in").stop();
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("wfm.db")
    }

    pub(crate) fn settings_file(&self) -> PathBuf {
        self.folder.path().join("state/settings.toml")
    }

    /// What the page saved.
    pub(crate) fn saved_settings(&self) -> String {
        fs::read_to_string(self.settings_file()).unwrap_or_default()
    }

    /// Makes the admin token, as the installer does.
    pub(crate) fn admin_token(&self) -> String {
        let made = program()
            .args(["admin-token", "--new", "--config"])
            .arg(self.config_file())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Another address than loopback, with a certificate that the site made itself.
    pub(crate) fn open_to_the_network(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        self.write_private("control.pem", &made.cert.pem());
        self.write_private("control.key", &made.signing_key.serialize_pem());
        let text = fs::read_to_string(self.config_file()).unwrap();
        let open = "listen = \"0.0.0.0:0\"\ncertificate = \"control.pem\"\nkey = \"control.key\"";
        let text = text.replace("listen = \"127.0.0.1:0\"", open);
        fs::write(self.config_file(), text).unwrap();
        self.base = "https://localhost";
    }

    /// More of the configuration, for the next start.
    pub(crate) fn configure(&self, more: &str) {
        let text = fs::read_to_string(self.config_file()).unwrap();
        fs::write(self.config_file(), text + more).unwrap();
    }

    /// A file of the site's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program and waits for its address.
    pub(crate) fn start(&mut self) {
        let log = self.folder.path().join("edge.log");
        let child = program()
            .args(["run", "--config"])
            .arg(self.config_file())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let clock = SystemClock::new();
        self.url = loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if let Some(port) = port_in(&text) {
                break format!("{}:{port}", self.base);
            }
            let waited = clock.now().mono.since_start();
            assert!(waited < DEADLINE, "it does not listen:\n{text}");
            StopToken::new().wait(LOOK_PERIOD);
        };
    }

    /// Ends the program in order.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let _ = child.wait();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

/// From the log: `control server address=127.0.0.1:40123`.
fn port_in(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("control server"))?;
    let (_, rest) = line.split_once("address=")?;
    let port = rest.split(':').nth(1)?;
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    port.parse().ok()
}

/// A release build, where figures of the page are wanted.
pub(crate) fn measured_program() -> Option<std::ffi::OsString> {
    std::env::var_os("THRIO_EDGE_MEASURED_PROGRAM")
}

fn program() -> Command {
    let built = || env!("CARGO_BIN_EXE_thrio-edge").into();
    let mut command = Command::new(measured_program().unwrap_or_else(built));
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

/// A centre where, at whatever hour the test runs, it is such an hour that an agent is in a state
/// of the customer's own.
fn busy_centre() -> (Centre, &'static str) {
    let now_ms = SystemClock::new().now().wall.ms();
    for quarter in 0..4 * 24 * 7 {
        let shape = Shape {
            utc_offset_s: quarter * 900,
            ..Preset::S.shape()
        };
        let centre = Centre::with_shape(shape, 7);
        let on = centre.agents_at(now_ms);
        let later = centre.agents_at(now_ms + 120_000);
        let working = on
            .iter()
            .filter(|agent| agent.state != State::LoggedOut)
            .count();
        let custom = |state: State| matches!(state, State::Pause | State::Lunch | State::Coaching);
        let stays = |(now, then): &(&simulator::AgentNow, &simulator::AgentNow)| {
            now.id == then.id && custom(now.state) && now.state == then.state
        };
        let found = on.iter().zip(&later).find(stays);
        if let (Some((agent, _)), true) = (found, working > 20) {
            return (centre, agent.state.text());
        }
    }
    panic!("in a whole week no agent pauses");
}
