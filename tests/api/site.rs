//! A running box with one source in its main file, and an HTTP client that sees every answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::config;
use thrio_edge::control::{AdminToken, Status};
use thrio_edge::daemon::{Daemon, DaemonOptions};
use thrio_edge::simulator::{self, Behaviour, Centre, Preset, Server, Shape, Speech, State};
use thrio_edge::stop::StopToken;
use thrio_edge::store::{Store, StoreError};

/// The one password that the simulated Thrio takes.
pub(crate) const PASSWORD: &str = "correct-horse-battery";
/// How long a condition may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// The box. Dropped, it ends.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) token: String,
    pub(crate) thrio: Server,
    daemon: Option<Daemon>,
    agent: ureq::Agent,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of a 200.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// The word of an error.
    pub(crate) fn code(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn thrio() -> Server {
    let behaviour = Behaviour {
        speech: Speech {
            password: Some(PASSWORD.to_owned()),
            ..Speech::default()
        },
        ..Behaviour::default()
    };
    let centre = Arc::new(busy_centre());
    let anywhere = "127.0.0.1:0".parse().unwrap();
    simulator::serve(anywhere, centre, Arc::new(SystemClock::new()), behaviour).unwrap()
}

/// A contact centre whose local time is such that some of its agents are at lunch now, which is a
/// state that nobody mapped.
fn busy_centre() -> Centre {
    let now_ms = SystemClock::new().now().wall.ms();
    let centres = (0..7 * 96).map(|quarter| {
        let shape = Shape {
            utc_offset_s: quarter * 900,
            ..Preset::S.shape()
        };
        Centre::with_shape(shape, 7)
    });
    let is_busy = |centre: &Centre| {
        let agents = centre.agents_at(now_ms);
        agents
            .iter()
            .filter(|agent| agent.state == State::Lunch)
            .count()
            > 1
    };
    centres
        .into_iter()
        .find(is_busy)
        .expect("they have lunch every day")
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(DEADLINE))
        .max_redirects(0)
        .build()
        .into()
}

impl Site {
    /// A box with the source `main` and the destination `local`.
    pub(crate) fn new() -> Self {
        Self::with_control("listen = \"127.0.0.1:0\"")
    }

    pub(crate) fn with_control(control: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let thrio = thrio();
        let text = format!(
            r#"
[box]
id = "test-box"
state_dir = "state"
[[source]]
name = "main"
[source.realtime]
base_url = "{url}"
account = "wfm@example.com"
password = "{PASSWORD}"
transaction_collection_interval_s = 1
snapshot = "full"
[source.historical]
base_url = "{url}"
username = "wfm@example.com"
password = "{PASSWORD}"
max_backfill_days = 2
[source.api.historical]
headers = {{ "X-Gateway" = "gateway-secret" }}
[[destination]]
name = "local"
kind = "sqlite"
path = "wfm.db"
[store]
min_free = "1MiB"
[control]
{control}
"#,
            url = thrio.base_url(),
        );
        std::fs::write(folder.path().join("thrio-edge.toml"), text).unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let token = AdminToken::of(&folder.path().join("state")).make().unwrap();
        let mut site = Self {
            folder,
            token,
            thrio,
            daemon: None,
            agent: agent(),
        };
        site.start();
        site
    }

    fn start(&mut self) {
        let file = self.main_file();
        let config = config::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        let options = DaemonOptions {
            config,
            file: Some(file),
            clock: Arc::new(SystemClock::new()),
            on_failure: Box::new(|why| panic!("{why} died")),
        };
        self.daemon = Some(Daemon::start(options).unwrap());
    }

    /// Ends the process's part of it and starts it again.
    pub(crate) fn restart(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(DEADLINE);
        }
        // The reader thread lets go of the store a moment later.
        poll("a free store", || (!self.is_in_use()).then_some(()));
        self.start();
    }

    fn is_in_use(&self) -> bool {
        let config = config::load(&self.main_file()).unwrap();
        let opened = Store::open(&config.store, SystemClock::new().now());
        matches!(opened, Err(StoreError::InUse { .. }))
    }

    pub(crate) fn main_file(&self) -> PathBuf {
        self.folder.path().join("thrio-edge.toml")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("wfm.db")
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.daemon().control_address())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.call())
    }

    /// A change with the admin token.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.post_with(path, &body.to_string(), &[("authorization", &bearer)])
    }

    pub(crate) fn post_with(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self
            .agent
            .post(self.url(path))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(body))
    }

    pub(crate) fn status(&self) -> Status {
        self.daemon().status()
    }

    /// Waits until the status is like this.
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        poll(what, || Some(self.status()).filter(|status| is(status)))
    }

    /// Waits until every feed brought something and the destination has it.
    pub(crate) fn wait_for_data(&self) -> Status {
        self.wait_for("data of every feed", |status| {
            let feeds = &status.feeds;
            feeds.len() == 3
                && feeds.iter().all(|feed| feed.counts.rows_changed > 0)
                && status.destinations.iter().all(|d| d.backlog == 0)
        })
    }

    pub(crate) fn realtime_answers(&self) -> u64 {
        let status = self.status();
        let feed = status.feeds.iter().find(|feed| feed.feed == "realtime");
        feed.map_or(0, |feed| feed.counts.answers)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(DEADLINE);
        }
    }
}

pub(crate) fn answer(got: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut got = got.unwrap();
    Answer {
        status: got.status().as_u16(),
        headers: got.headers().clone(),
        text: got.body_mut().read_to_string().unwrap(),
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(
            clock.now().mono.since_start() < DEADLINE,
            "waited too long for {what}"
        );
        StopToken::new().wait(Duration::from_millis(50));
    }
}
