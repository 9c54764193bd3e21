//! The receiver that both drain to: it reads, counts lines and answers 200. It ends with its value.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use thrio_edge::clock::{Clock, SystemClock};

/// How every line that counts begins: heartbeats and current states travel beside.
const COUNTED: &[u8] = b"{\"kind\":\"transaction\"";

/// What came in since the receiver is up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) lines: u64,
    /// Bodies that held a line which counts.
    pub(crate) bodies: u64,
    pub(crate) bytes: u64,
    /// When the first byte of such a body was there.
    began: Option<Duration>,
    /// When the last one was answered.
    ended: Duration,
}

impl Tally {
    pub(crate) fn took(&self) -> Duration {
        self.began
            .map_or(Duration::ZERO, |began| self.ended.saturating_sub(began))
    }
}

struct Shared {
    clock: SystemClock,
    is_up: AtomicBool,
    ends: AtomicBool,
    tally: Mutex<Tally>,
    /// Where the lines that count are kept, if anywhere.
    kept: Mutex<Option<BufWriter<File>>>,
}

/// The server. Until it is up, every connection is closed at once.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn start(kept: Option<File>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            clock: SystemClock::new(),
            is_up: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            tally: Mutex::default(),
            kept: Mutex::new(kept.map(BufWriter::new)),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.ends.load(Ordering::Acquire) {
                        return;
                    }
                    if !shared.is_up.load(Ordering::Acquire) {
                        continue;
                    }
                    let Ok(stream) = stream else { continue };
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || serve(&stream, &shared));
                }
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub(crate) fn comes_up(&self) {
        self.shared.is_up.store(true, Ordering::Release);
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.shared.tally.lock().expect("nobody panicked")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        // The listener is woken by one more connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it accepts and does nothing else");
        }
    }
}

/// Answers one request after another until the other side ends the connection.
fn serve(stream: &TcpStream, shared: &Shared) {
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut body = Vec::new();
    while let Some(length) = head(&mut reader, stream) {
        let began = shared.clock.now().mono.since_start();
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let lines = count(&body, shared);
        let answered = (&*stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        if answered.is_err() {
            return;
        }
        if lines > 0 {
            let mut tally = shared.tally.lock().expect("nobody panicked");
            tally.lines += lines;
            tally.bodies += 1;
            tally.bytes += length as u64;
            tally.began.get_or_insert(began);
            tally.ended = shared.clock.now().mono.since_start();
        }
    }
}

/// Reads a request's head; the length of its body, or none at the connection's end.
fn head(reader: &mut impl BufRead, mut stream: &TcpStream) -> Option<usize> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            return Some(length);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "expect" => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?,
            _ => {}
        }
    }
}

fn count(body: &[u8], shared: &Shared) -> u64 {
    let mut kept = shared.kept.lock().expect("nobody panicked");
    let mut lines = 0;
    let mut rest = body;
    while !rest.is_empty() {
        let from = rest;
        let length = rest.skip_until(b'\n').expect("memory reads");
        let line = &from[..length];
        if line.starts_with(COUNTED) {
            lines += 1;
            if let Some(kept) = kept.as_mut() {
                kept.write_all(line.trim_ascii_end()).expect("room");
                kept.write_all(b"\n").expect("room");
            }
        }
    }
    lines
}
