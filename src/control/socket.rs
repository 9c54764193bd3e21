//! The control socket: `state_dir/control.sock`, mode 0660, whose file permission is the authority.
//!
//! It is bound only by the process that holds the store's lock, so a socket file that is there
//! already is a left-over of a killed process. It appears under its name only after its mode is
//! right.

use std::fs::Permissions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::protocol::{REQUEST_BYTES_MAX, Refusal, Reply, Request};
use super::reader::Reader;
use super::{Operations, Status};
use crate::lifecycle::exit::Exit;

/// The name of the socket in the state directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Commands at once: a person, a timer, a monitoring script and some more.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to say what it wants, and to read a line.
const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// The listening socket. Dropping it removes the file and ends the thread.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    operations: Arc<dyn Operations>,
    reader: Reader,
    connections: AtomicUsize,
}

impl ControlSocket {
    /// Binds the socket in the folder and serves it.
    pub fn open(
        state_dir: &Path,
        operations: Arc<dyn Operations>,
        reader: Reader,
    ) -> io::Result<Self> {
        let path = state_dir.join(SOCKET_NAME);
        let listener = bind(&path)?;
        let desk = Arc::new(Desk {
            operations,
            reader,
            connections: AtomicUsize::new(0),
        });
        let closing = Arc::new(AtomicBool::new(false));
        let thread = Builder::new().name("control-socket".to_owned()).spawn({
            let closing = Arc::clone(&closing);
            move || accept_all(&listener, &closing, &desk)
        })?;
        Ok(Self {
            path,
            closing,
            thread: Some(thread),
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // Accepting blocks: a connection of our own wakes it.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = std::fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension("sock.new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, Permissions::from_mode(0o660))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

fn accept_all(listener: &UnixListener, closing: &AtomicBool, desk: &Arc<Desk>) {
    for stream in listener.incoming() {
        if closing.load(Ordering::Acquire) {
            return;
        }
        match stream {
            Ok(stream) => receive(stream, desk),
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept a connection");
            }
        }
    }
}

fn receive(stream: UnixStream, desk: &Arc<Desk>) {
    if desk.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
        desk.connections.fetch_sub(1, Ordering::AcqRel);
        let refusal = Refusal::new(Exit::Unavailable, "too many commands at once");
        let _ = say(&stream, &Err(refusal).into());
        return;
    }
    let spawned = Builder::new().name("control-command".to_owned()).spawn({
        let desk = Arc::clone(desk);
        move || {
            if let Err(error) = serve(&stream, &desk) {
                tracing::debug!(%error, "a command went away");
            }
            desk.connections.fetch_sub(1, Ordering::AcqRel);
        }
    });
    if let Err(error) = spawned {
        desk.connections.fetch_sub(1, Ordering::AcqRel);
        tracing::warn!(%error, "no thread for a command");
    }
}

fn serve(stream: &UnixStream, desk: &Desk) -> io::Result<()> {
    stream.set_read_timeout(Some(IO_TIMEOUT))?;
    stream.set_write_timeout(Some(IO_TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut line)?;
    let outcome = match serde_json::from_str::<Request>(&line) {
        Ok(Request::Status) => picture(desk.reader.status()),
        Ok(request) => {
            tracing::info!(?request, "command");
            let mut progress = |value| say(stream, &Reply::Progress { value }).is_ok();
            desk.operations.perform(&request, &mut progress)
        }
        Err(error) => Err(Refusal::new(Exit::Usage, format!("not a request: {error}"))),
    };
    say(stream, &outcome.into())
}

fn picture<E: ToString>(status: Result<Status, E>) -> Result<serde_json::Value, Refusal> {
    match status {
        Ok(status) => Ok(serde_json::to_value(status).expect("a status is plain data")),
        Err(error) => Err(Refusal::new(Exit::Unavailable, error.to_string())),
    }
}

fn say(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}
