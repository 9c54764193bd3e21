//! Real NATS servers on loopback. Each ends with the test, however that ends: its parent waits for
//! an input that ends then, and kills it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::{self, Context};
use serde_json::Value;
use tempfile::TempDir;
use thrio_edge::clock::{Clock as _, SystemClock};
use thrio_edge::destination::runtime;
use thrio_edge::domain::timestamp::MonoTime;
use thrio_edge::stop::StopToken;
use tokio::runtime::Runtime;

/// Starting servers and electing leaders takes seconds; what takes longer has stalled.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
const STEP: Duration = Duration::from_millis(50);
/// A server that does not answer after so long has not got its port.
const START: Duration = Duration::from_secs(20);

const GUARD: &str =
    r#"nats-server -c "$0" >>"$0.log" 2>&1 & echo $!; read -r _; kill -9 $! 2>/dev/null"#;

/// What switches JetStream on.
const STREAMS: &str = "jetstream { store_dir: \"STORE\" }\n";

/// Waits for `what`, looking again and again.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Patience::default();
    while !is_so() {
        patience.hold(what);
        pause();
    }
}

/// Ends what has stalled.
pub(crate) struct Patience(SystemClock, MonoTime);

impl Default for Patience {
    fn default() -> Self {
        let clock = SystemClock::new();
        let since = clock.now().mono;
        Self(clock, since)
    }
}

impl Patience {
    pub(crate) fn hold(&self, what: &str) {
        assert!(self.passed() < PATIENCE, "waited in vain for: {what}");
    }

    fn passed(&self) -> Duration {
        self.0.now().mono.since(self.1)
    }
}

/// Between two looks.
pub(crate) fn pause() {
    StopToken::new().wait(STEP);
}

/// A server's process.
pub(crate) struct Server {
    pub(crate) name: String,
    file: PathBuf,
    port: u16,
    pid: String,
    guard: Child,
}

impl Server {
    fn start(name: &str, port: u16, config: &str, folder: &Path) -> Self {
        let file = folder.join(format!("{name}.conf"));
        let store = folder.join(name);
        let config = config.replace("STORE", &store.to_string_lossy());
        let text = format!("server_name: {name:?}\nlisten: \"127.0.0.1:{port}\"\n{config}\n");
        fs::write(&file, text).expect("written");
        let (guard, pid) = spawn(&file);
        Self {
            name: name.to_owned(),
            file,
            port,
            pid,
            guard,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&self) {
        let killed = Command::new("kill").args(["-9", &self.pid]).status();
        assert!(killed.expect("a command").success(), "{} lives", self.name);
    }

    /// Starts it anew on its folder and its port.
    pub(crate) fn restart(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().expect("ended");
        (self.guard, self.pid) = spawn(&self.file);
        assert!(self.is_up(), "{} did not come back", self.name);
    }

    /// Waits until it answers by its own name; false where somebody else has its port.
    fn is_up(&self) -> bool {
        let patience = Patience::default();
        while patience.passed() < START {
            if self.greets() {
                return true;
            }
            pause();
        }
        false
    }

    fn greets(&self) -> bool {
        let Ok(stream) = TcpStream::connect(self.address()) else {
            return false;
        };
        let mut line = String::new();
        stream.set_read_timeout(Some(START)).expect("set");
        let read = BufReader::new(stream).read_line(&mut line);
        read.is_ok() && line.contains(&format!("\"server_name\":\"{}\"", self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn spawn(file: &Path) -> (Child, String) {
    let mut guard = Command::new("sh")
        .arg("-c")
        .arg(GUARD)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut pid = String::new();
    let mut said = BufReader::new(guard.stdout.take().expect("piped"));
    said.read_line(&mut pid).expect("the server's process");
    (guard, pid.trim().to_owned())
}

/// Servers and the folder of their files.
pub(crate) struct Servers {
    pub(crate) list: Vec<Server>,
    _folder: TempDir,
}

impl Servers {
    /// One server with more configuration.
    pub(crate) fn one(config: &str) -> Self {
        Self::start(1, |_, _| format!("{STREAMS}{config}"))
    }

    /// One server that keeps no streams.
    pub(crate) fn plain() -> Self {
        Self::start(1, |_, _| String::new())
    }

    /// Three servers that keep their streams together.
    pub(crate) fn three() -> Self {
        Self::start(3, |n, ports| {
            let route = |port: &u16| format!("nats://127.0.0.1:{port}");
            let routes: Vec<String> = ports.iter().map(route).collect();
            format!(
                "{STREAMS}cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: {routes:?} }}",
                ports[n]
            )
        })
    }

    /// Tries other ports where others took them in between.
    fn start(count: usize, config: impl Fn(usize, &[u16]) -> String) -> Self {
        for _ in 0..3 {
            let folder = tempfile::tempdir().expect("a folder");
            let unique = folder.path().file_name().expect("a name");
            let unique = unique.to_string_lossy().replace('.', "");
            let ports = free_ports(2 * count);
            let (clients, routes) = ports.split_at(count);
            let start = |n: usize| {
                let name = format!("n{n}{unique}");
                Server::start(&name, clients[n], &config(n, routes), folder.path())
            };
            let list: Vec<Server> = (0..count).map(start).collect();
            if list.iter().all(Server::is_up) {
                return Self {
                    list,
                    _folder: folder,
                };
            }
        }
        panic!("no server came up");
    }

    pub(crate) fn single(&self) -> &Server {
        &self.list[0]
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let listen = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let held: Vec<TcpListener> = (0..count).map(listen).collect();
    held.iter()
        .map(|l| l.local_addr().expect("bound").port())
        .collect()
}

/// Kept, so that the connections of the tests outlive those of the destinations.
pub(crate) fn shared() -> &'static Runtime {
    static KEPT: LazyLock<Arc<Runtime>> = LazyLock::new(|| runtime::shared().expect("a runtime"));
    &KEPT
}

/// A person's way to the streams.
pub(crate) fn admin(options: ConnectOptions, servers: Vec<String>) -> Context {
    shared().block_on(async {
        let client = options.connect(servers).await.expect("a server");
        jetstream::new(client)
    })
}

pub(crate) fn messages(context: &Context, stream: &str) -> Vec<StreamMessage> {
    shared().block_on(async {
        let mut stream = context.get_stream(stream).await.expect("a stream");
        let state = stream.info().await.expect("its state").state.clone();
        let mut messages = Vec::new();
        for n in state.first_sequence..=state.last_sequence {
            if state.messages > 0 {
                messages.push(stream.get_raw_message(n).await.expect("a message"));
            }
        }
        messages
    })
}

/// The events of messages, in their order.
pub(crate) fn events(messages: &[StreamMessage]) -> Vec<Value> {
    let of = |message: &StreamMessage| -> Vec<Value> {
        serde_json::from_slice(&message.payload).expect("events")
    };
    messages.iter().flat_map(of).collect()
}

/// The seqs of their records.
pub(crate) fn seqs(messages: &[StreamMessage]) -> Vec<u64> {
    let seq = |event: &Value| {
        let id = event["id"].as_str().expect("an id");
        let (_, seq) = id.split_once(':').expect("store:seq");
        seq.parse().expect("a seq")
    };
    events(messages).iter().map(seq).collect()
}

/// Holds that these seqs are there, each once and in order; says which are not.
#[track_caller]
pub(crate) fn assert_once(seqs: &[u64], expected: impl IntoIterator<Item = u64>) {
    let expected: Vec<u64> = expected.into_iter().collect();
    let there: BTreeSet<u64> = seqs.iter().copied().collect();
    let missing: Vec<_> = expected
        .iter()
        .filter(|s| !there.contains(s))
        .take(5)
        .collect();
    let doubled = seqs.len() - there.len();
    assert!(
        missing.is_empty() && doubled == 0 && seqs == expected,
        "missing {missing:?}, {doubled} doubled, {} instead of {}",
        seqs.len(),
        expected.len()
    );
}
