//! A real Chromium, driven over the protocol of W3C's `WebDriver` by what the tests need of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::stop::StopToken;

/// How long a condition may take on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// A browser window. Dropped, it is closed and its driver ended.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    _profile: TempDir,
}

/// How wide, and which colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) scheme: &'static str,
}

/// A phone and a desktop, by day and by night.
pub(crate) const LOOKS: [Look; 4] = [
    Look {
        width: 1280,
        height: 900,
        scheme: "light",
    },
    Look {
        width: 1280,
        height: 900,
        scheme: "dark",
    },
    Look {
        width: 390,
        height: 844,
        scheme: "light",
    },
    Look {
        width: 390,
        height: 844,
        scheme: "dark",
    },
];

impl Browser {
    /// Starts the driver on a port of the system's choice, and a browser with an empty profile.
    pub(crate) fn open() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (scripts/test installs it: chromium, chromium-driver)");
        let port = port_of(&mut driver);
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_mins(2)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let asked = capabilities(profile.path());
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            agent,
            _profile: profile,
        };
        let made = browser.post("", &asked);
        let id = made["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/{id}", browser.session);
        // What the browser's own first page asked is not the tested page's.
        browser.go("about:blank");
        browser.asked();
        browser
    }

    fn answer(
        done: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        path: &str,
    ) -> Result<Value, Value> {
        let mut response = done.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()
            .unwrap();
        let mut value: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        let value = value["value"].take();
        if response.status().is_success() {
            Ok(value)
        } else {
            Err(value)
        }
    }

    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        Self::answer(self.agent.post(&url).send_json(body), path)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body)
            .unwrap_or_else(|error| panic!("{path} {body}: {error:#}"))
    }

    /// A command of the browser's own protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// Keeps what is downloaded in this folder.
    pub(crate) fn keep_downloads(&self, folder: &Path) {
        let parameters = json!({"behavior": "allow", "downloadPath": folder});
        self.devtools("Browser.setDownloadBehavior", &parameters);
    }

    /// Goes there and waits until it is loaded.
    pub(crate) fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Takes another width and scheme.
    pub(crate) fn look(&self, look: Look) {
        let phone = look.width < 700;
        self.devtools("Emulation.setDeviceMetricsOverride", &json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": phone}),
        );
        let feature = json!({"name": "prefers-color-scheme", "value": look.scheme});
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// Runs a script's body; what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, arguments: &Value) -> Value {
        self.post(
            "/execute/sync",
            &json!({"script": script, "args": arguments}),
        )
    }

    /// Runs a script that answers through a promise.
    #[track_caller]
    pub(crate) fn run_async(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, (e) => done({{failed: String(e)}}));"
        );
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    /// What a person reads on the page.
    pub(crate) fn text(&self) -> String {
        let text = self.run("return document.body.innerText", &json!([]));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for something to become true.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let clock = SystemClock::new();
        loop {
            if let Some(found) = look() {
                return found;
            }
            if clock.now().mono.since_start() > DEADLINE {
                let log = self.complaints();
                panic!(
                    "{what} did not come within {DEADLINE:?}; the page says:\n{}\n{log:?}",
                    self.text()
                );
            }
            StopToken::new().wait(LOOK_PERIOD);
        }
    }

    /// Waits until a person can read this.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        self.wait(text, || self.text().contains(text).then_some(()));
    }

    /// The whole page as a PNG file.
    pub(crate) fn screenshot(&self, file: &Path) {
        let shot = self.devtools(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true}),
        );
        let text = shot["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        std::fs::create_dir_all(file.parent().expect("a folder")).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.post("/se/log", &json!({ "type": kind }));
        log.as_array().cloned().unwrap_or_default()
    }

    /// What the browser's console complained of since the last time: errors of scripts, of the
    /// policy, of missing files.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let severe = |entry: &&Value| entry["level"] == "SEVERE";
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        self.log("browser")
            .iter()
            .filter(severe)
            .map(text)
            .collect()
    }

    /// Every address that the browser asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        let url = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let sent = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            sent.then(|| url.to_owned())
        };
        self.log("performance").iter().filter_map(url).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closes the window; a driver that does not answer is ended all the same.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The driver says its port on a line of its own; its further lines are read away.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let port = loop {
        let line = lines
            .next()
            .expect("chromedriver ended before it said its port")
            .unwrap();
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            break rest.trim_end_matches('.').parse().expect("a port");
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    port
}

fn capabilities(profile: &Path) -> Value {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,900",
        &format!("--user-data-dir={}", profile.display()),
    ]
    .map(str::to_owned);
    json!({"capabilities": {"alwaysMatch": {
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "timeouts": {"script": 60_000},
        // A site's own authority is not this browser's.
        "acceptInsecureCerts": true,
    }}})
}
