//! An upstream on a real socket that does as it is told: applies, and answers well, badly or not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// One request, its body decompressed.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).expect("a batch of events")
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, &body.to_string())
    }

    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// How a request is met.
pub(crate) enum Manner {
    /// Applied once each, and acknowledged.
    Well,
    /// Applied, and the connection is reset before the answer.
    ApplyAndReset,
    /// Nothing is applied; this is said.
    Say(Reply),
    /// Nothing is said until the upstream ends.
    Hang,
}

type Rule = Box<dyn FnMut(&Request) -> Manner + Send>;

/// What the upstream has seen and holds.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Request>,
    /// How often each seq of each store was sent, and the data of its first time.
    pub(crate) sent: BTreeMap<(String, u64), u32>,
    pub(crate) held: BTreeMap<(String, u64), Value>,
    /// Applied seqs by store, the filtered ones of a batch's range included.
    applied: BTreeMap<String, BTreeSet<u64>>,
    pub(crate) beside: Vec<Value>,
}

struct Shared {
    rule: Mutex<Rule>,
    seen: Mutex<Seen>,
    stopped: AtomicBool,
    tls: Option<Arc<rustls::ServerConfig>>,
}

pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    pub(crate) fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            rule: Mutex::new(Box::new(|_| Manner::Well)),
            seen: Mutex::default(),
            stopped: AtomicBool::new(false),
            tls,
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || serve(&listener, &shared)
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> url::Url {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let port = self.address.port();
        format!("{scheme}://localhost:{port}/v1/events")
            .parse()
            .expect("a URL")
    }

    /// From now on requests are met so.
    pub(crate) fn meet(&self, rule: impl FnMut(&Request) -> Manner + Send + 'static) {
        *lock(&self.shared.rule) = Box::new(rule);
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.shared.seen)
    }

    pub(crate) fn batches(&self) -> Vec<Request> {
        let seen = self.seen();
        let with_range = |r: &&Request| r.headers.contains_key("thrio-edge-range");
        seen.requests.iter().filter(with_range).cloned().collect()
    }

    /// The seqs that it holds, of whatever store.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.seen().held.keys().map(|(_, seq)| *seq).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // A connection ends when the client's agent does; nobody waits for it.
        std::thread::spawn(move || {
            let _ = match &shared.tls {
                None => converse(stream, &shared),
                Some(config) => {
                    let tls = rustls::ServerConnection::new(Arc::clone(config)).expect("a config");
                    converse(rustls::StreamOwned::new(tls, stream), &shared)
                }
            };
        });
    }
}

fn converse(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream)? {
        let manner = (lock(&shared.rule))(&request);
        let mut seen = lock(&shared.seen);
        seen.requests.push(request.clone());
        let reply = match manner {
            Manner::Well => seen.answer(&request),
            Manner::ApplyAndReset => {
                seen.answer(&request);
                return Ok(());
            }
            Manner::Say(reply) => reply,
            Manner::Hang => {
                drop(seen);
                while !shared.stopped.load(Ordering::Acquire) {
                    std::thread::park_timeout(std::time::Duration::from_millis(20));
                }
                return Ok(());
            }
        };
        drop(seen);
        write_reply(stream.get_mut(), &reply)?;
    }
    Ok(())
}

fn read_request(stream: &mut impl io::BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let method = line.split(' ').next().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |l| l.parse().expect("a length"));
    let mut packed = vec![0; length];
    stream.read_exact(&mut packed)?;
    let body = match headers.get("content-encoding").map(String::as_str) {
        Some("gzip") => {
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut body)?;
            body
        }
        Some("zstd") => zstd::stream::decode_all(&packed[..])?,
        _ => packed,
    };
    Ok(Some(Request {
        method,
        headers,
        body,
    }))
}

fn write_reply(stream: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} x\r\ncontent-length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    head.push_str(&reply.body);
    stream.write_all(head.as_bytes())?;
    stream.flush()
}

impl Seen {
    /// Follows the protocol.
    fn answer(&mut self, request: &Request) -> Reply {
        if request.method == "OPTIONS" {
            return Reply::new(204, "");
        }
        let store = request.header("thrio-edge-store").to_owned();
        if request.method == "GET" {
            let applied = self.applied.entry(store).or_default();
            let ranges: Vec<Value> = applied
                .iter()
                .map(|seq| json!({"first": seq, "last": seq}))
                .collect();
            return Reply::json(200, &json!({ "applied": ranges }));
        }
        if request.header("content-type") == "application/x-ndjson" {
            return self.take_lines(request, &store);
        }
        let events = request.events();
        if let Some((first, last)) = request.header("thrio-edge-range").split_once('-') {
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
            for event in &events {
                let id = event["id"].as_str().expect("an id");
                let seq = id.strip_prefix(&format!("{store}:")).expect("its store");
                let seq: u64 = seq.parse().expect("a seq");
                assert!((first..=last).contains(&seq), "{seq} in {first}-{last}");
                self.take(&store, seq, event.clone());
            }
            self.applied.entry(store).or_default().extend(first..=last);
        } else {
            self.beside.extend(events.iter().cloned());
        }
        Reply::json(200, &json!({"applied": events.len()}))
    }

    fn take_lines(&mut self, request: &Request, store: &str) -> Reply {
        for line in request.body.lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).expect("an object a line");
            match line["seq"].as_u64() {
                Some(seq) => self.take(store, seq, line),
                None => self.beside.push(line),
            }
        }
        Reply::new(204, "")
    }

    fn take(&mut self, store: &str, seq: u64, event: Value) {
        let key = (store.to_owned(), seq);
        *self.sent.entry(key.clone()).or_default() += 1;
        self.held.entry(key).or_insert(event);
    }
}
