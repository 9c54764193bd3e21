//! A receiver as a process, and the line to it, on which is seen what is under way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;
use tempfile::TempDir;

use crate::rig::{Observer, freeze, program, thaw};

/// The token of the box, which the receiver knows by its own name.
pub(crate) const TOKEN: &str = "token-of-the-kill-box";

/// `thrio-edge receive`, which starts anew where it was killed.
pub(crate) struct Receiver {
    folder: TempDir,
    life: Option<Child>,
    line: Arc<Mutex<Traffic>>,
    address: SocketAddr,
}

/// What goes over the line.
#[derive(Default)]
struct Traffic {
    /// Where the receiver listens now.
    receiver: Option<SocketAddr>,
    connections: u64,
    /// The batch of each connection whose first byte has come and whose answer has not.
    open: BTreeMap<u64, u64>,
    batches: u64,
}

impl Receiver {
    /// Starts it on a database of its own, and the line to it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[box]\nid = \"head-office\"\n\
             [receive]\nlisten = \"127.0.0.1:0\"\n\
             [[receive.box]]\nid = \"kill-box\"\ntoken = \"{TOKEN}\"\n\
             [[destination]]\nname = \"local\"\nkind = \"sqlite\"\npath = \"received.db\"\n"
        );
        fs::write(folder.path().join("receive.toml"), text).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut receiver = Self {
            folder,
            life: None,
            line: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        receiver.run();
        let line = Arc::clone(&receiver.line);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connect(stream.unwrap(), &line);
            }
        });
        receiver
    }

    /// The line's near end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/events", self.address)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("received.db")
    }

    fn run(&mut self) {
        let mut child = program()
            .arg("receive")
            .arg("--config")
            .arg(self.folder.path().join("receive.toml"))
            .args(["--log-format", "text"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("not ready: {log}"));
            let line = line.unwrap();
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
            log += &line;
        };
        // Somebody must read on, or it would wait for that.
        std::thread::spawn(move || lines.for_each(drop));
        locked(&self.line).receiver = Some(address);
        self.life = Some(child);
    }

    /// Kills it where it is after the wait, and starts it anew; where nothing is open there, after
    /// another wait, unless any moment will do. Whether a batch was open.
    pub(crate) fn kill(&mut self, any_moment: bool, wait: impl Fn(&Self)) -> bool {
        let mut life = self.life.take().expect("it runs");
        let pid = Pid::from_child(&life);
        let is_inside = loop {
            wait(self);
            freeze(pid);
            // It answers nothing more, so what is open now stays so.
            let is_inside = self.open_batch().is_some();
            if is_inside || any_moment {
                break is_inside;
            }
            thaw(pid);
        };
        life.kill().unwrap();
        life.wait().unwrap();
        self.run();
        is_inside
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(life) = &mut self.life {
            let _ = life.kill();
            let _ = life.wait();
        }
    }
}

impl Observer for Receiver {
    /// A batch of which the receiver has the first byte, and the box no byte of an answer.
    fn open_batch(&self) -> Option<String> {
        let traffic = locked(&self.line);
        traffic.open.values().next().map(u64::to_string)
    }

    /// Claims, current states and heartbeats are told from batches by their heads.
    fn calls_before_batches(&self) -> usize {
        0
    }
}

fn locked(line: &Mutex<Traffic>) -> MutexGuard<'_, Traffic> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Joins a box's connection with one to the receiver; where that is away, the box's ends.
fn connect(near: TcpStream, line: &Arc<Mutex<Traffic>>) {
    let receiver = locked(line).receiver;
    let Some(Ok(far)) = receiver.map(TcpStream::connect) else {
        return;
    };
    let id = {
        let mut traffic = locked(line);
        traffic.connections += 1;
        traffic.connections
    };
    let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let (there, back) = (Arc::clone(line), Arc::clone(line));
    std::thread::spawn(move || {
        let mut head = Head::default();
        pump(&near, &far, |bytes| {
            if head.says_batch(bytes) {
                let mut traffic = locked(&there);
                traffic.batches += 1;
                let batch = traffic.batches;
                traffic.open.insert(id, batch);
            }
        });
        locked(&there).open.remove(&id);
    });
    std::thread::spawn(move || {
        pump(&far_too, &near_too, |_| {
            locked(&back).open.remove(&id);
        });
    });
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

/// The requests of one connection, as far as is needed to tell where one begins.
#[derive(Default)]
struct Head {
    /// What has come of a head.
    text: Vec<u8>,
    /// What is still to come of a body.
    body: usize,
}

impl Head {
    /// Whether a request for a batch has begun with these bytes.
    fn says_batch(&mut self, mut bytes: &[u8]) -> bool {
        let mut is_batch = false;
        while !bytes.is_empty() {
            if self.body > 0 {
                let rest = self.body.min(bytes.len());
                self.body -= rest;
                bytes = &bytes[rest..];
                continue;
            }
            self.text.push(bytes[0]);
            bytes = &bytes[1..];
            if self.text.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.text).to_ascii_lowercase();
                is_batch |= head.contains("\r\nthrio-edge-range:");
                let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
                self.body = length.map_or(0, |text| text.trim().parse().unwrap());
                self.text.clear();
            }
        }
        is_batch
    }
}
