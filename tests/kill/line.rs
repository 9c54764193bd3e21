//! The line between a box and what it sends to, on which is seen what is under way.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thrio_edge::stop::StopToken;

use crate::rig::Observer;

/// An answer is under way as long as to a neighbouring town.
const ANSWER_DELAY: Duration = Duration::from_millis(3);

/// What is spoken on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Nats,
}

pub(crate) struct Line {
    near_end: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
}

#[derive(Default)]
struct Traffic {
    /// Where it leads now.
    far_end: Option<SocketAddr>,
    connections: u64,
    /// The batch of each connection whose first byte has come and whose answer has not.
    open: BTreeMap<u64, u64>,
    batches: u64,
}

impl Line {
    pub(crate) fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self {
            near_end: listener.local_addr().unwrap(),
            traffic: Arc::default(),
        };
        let traffic = Arc::clone(&line.traffic);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connect(stream.unwrap(), protocol, &traffic);
            }
        });
        line
    }

    /// Where boxes connect to.
    pub(crate) fn near_end(&self) -> SocketAddr {
        self.near_end
    }

    /// From the next connection on.
    pub(crate) fn lead_to(&self, far_end: SocketAddr) {
        locked(&self.traffic).far_end = Some(far_end);
    }
}

impl Observer for Line {
    /// A batch of which the first byte has gone by, and no byte of its answer.
    fn open_batch(&self) -> Option<String> {
        let traffic = locked(&self.traffic);
        traffic.open.values().next().map(u64::to_string)
    }

    /// What is no batch is told by its head.
    fn calls_before_batches(&self) -> usize {
        0
    }
}

fn locked(traffic: &Mutex<Traffic>) -> MutexGuard<'_, Traffic> {
    traffic.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Joins a box's connection with one to the far end; where nobody is there, the box's ends.
fn connect(near: TcpStream, protocol: Protocol, traffic: &Arc<Mutex<Traffic>>) {
    let far_end = locked(traffic).far_end;
    let Some(Ok(far)) = far_end.map(TcpStream::connect) else {
        return;
    };
    let id = {
        let mut traffic = locked(traffic);
        traffic.connections += 1;
        traffic.connections
    };
    let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let (there, back) = (Arc::clone(traffic), Arc::clone(traffic));
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        pump(&near, &far, |bytes| {
            if says_batch(&mut seen, bytes) {
                let mut traffic = locked(&there);
                traffic.batches += 1;
                let batch = traffic.batches;
                traffic.open.insert(id, batch);
            }
        });
        locked(&there).open.remove(&id);
    });
    std::thread::spawn(move || {
        pump(&far_too, &near_too, |bytes| {
            if protocol.answers(bytes) {
                StopToken::new().wait(ANSWER_DELAY);
                locked(&back).open.remove(&id);
            }
        });
    });
}

impl Protocol {
    /// Whether what comes back may be an answer: what a NATS server says by itself is none.
    fn answers(self, bytes: &[u8]) -> bool {
        self == Self::Http || bytes.windows(4).any(|word| word == b"MSG ")
    }
}

/// The header that every batch has and nothing else does. A body is JSON or compressed: in JSON no
/// line begins, and none of a compressed body begins so.
const MARK: &[u8] = b"\r\nthrio-edge-range:";

/// Whether a batch has begun with these bytes; `seen` is the end of what came before.
fn says_batch(seen: &mut Vec<u8>, bytes: &[u8]) -> bool {
    seen.extend(bytes.iter().map(u8::to_ascii_lowercase));
    let is_batch = seen.windows(MARK.len()).any(|part| part == MARK);
    let kept = seen.len().min(MARK.len() - 1);
    seen.drain(..seen.len() - kept);
    is_batch
}

/// Carries bytes until either side ends; each piece is looked at before it goes on.
fn pump(mut from: &TcpStream, mut to: &TcpStream, mut look: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        look(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for side in [from, to] {
        let _ = side.shutdown(Shutdown::Both);
    }
}
