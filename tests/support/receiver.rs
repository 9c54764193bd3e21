//! What hears alarms: a real HTTP server on loopback that keeps what it was sent and answers as it
//! is told to. It ends with its value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::stop::StopToken;

/// How long something may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

impl Heard {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<Heard>>,
    /// Status line, headers and body; empty: no answer at all.
    answer: Mutex<String>,
    ends: AtomicBool,
}

/// The server.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.ends.load(Ordering::Acquire) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || serve(&stream.unwrap(), &shared));
                }
            }
        });
        let receiver = Self {
            address,
            shared,
            thread: Some(thread),
        };
        receiver.answers("204 No Content", "");
        receiver
    }

    /// Its address with this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it says from now on: a status, and further headers and a body, if any. Without a
    /// status it takes requests and never answers.
    pub(crate) fn answers(&self, status: &str, rest: &str) {
        if status.is_empty() {
            self.shared.answer.lock().unwrap().clear();
            return;
        }
        let rest = if rest.contains("\r\n\r\n") {
            rest.to_owned()
        } else {
            format!("{rest}\r\n")
        };
        *self.shared.answer.lock().unwrap() =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\n{rest}");
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Waits until what it has heard will do, and gives that.
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl Fn(&[Heard]) -> Option<T>) -> T {
        wait_for(what, || {
            let heard = self.heard();
            look(&heard).ok_or_else(|| format!("{heard:#?}"))
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let mut heard = Heard {
        line: String::new(),
        authorization: None,
        body: String::new(),
    };
    if reader.read_line(&mut heard.line).is_err() {
        return;
    }
    heard.line.truncate(heard.line.trim_end().len());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "authorization" => heard.authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    heard.body = String::from_utf8(body).unwrap();
    shared.heard.lock().unwrap().push(heard);
    let answer = shared.answer.lock().unwrap().clone();
    if answer.is_empty() {
        // Until the other side gives up, or the test ends.
        let _ = reader.read(&mut [0]);
        return;
    }
    let _ = (&*stream).write_all(answer.as_bytes());
}

/// Polls until it is there, or fails with what was seen last.
pub(crate) fn wait_for<T>(what: &str, look: impl Fn() -> Result<T, String>) -> T {
    let clock = SystemClock::new();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if clock.now().mono.since_start() > DEADLINE => {
                panic!("{what} did not come within {DEADLINE:?}; last seen: {last}")
            }
            Err(_) => {
                StopToken::new().wait(Duration::from_millis(20));
            }
        }
    }
}
