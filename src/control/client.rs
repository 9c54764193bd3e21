//! A command's side of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::protocol::{Refusal, Reply, Request};
use super::socket::SOCKET_NAME;
use crate::lifecycle::exit::Exit;

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: no daemon runs on this state directory.
    #[error("no daemon runs on {state_dir}")]
    NotRunning {
        /// The state directory.
        state_dir: std::path::PathBuf,
    },
    /// The socket's permissions keep us out.
    #[error("may not talk to the daemon: {path} is open to its owner and group only")]
    Forbidden {
        /// The socket.
        path: std::path::PathBuf,
    },
    /// The connection broke.
    #[error("talking to the daemon: {0}")]
    Io(#[from] io::Error),
    /// The daemon speaks another language.
    #[error("the daemon's answer is not understood (another version?): {0}")]
    Malformed(#[from] serde_json::Error),
    /// The daemon said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Asks the daemon of this state directory; `progress` sees what comes before the last line.
pub fn ask(
    state_dir: &Path,
    request: &Request,
    mut progress: impl FnMut(&serde_json::Value),
) -> Result<serde_json::Value, ClientError> {
    let mut stream = connect(state_dir)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            Reply::Progress { value } => progress(&value),
            Reply::Done { value } => return Ok(value),
            Reply::Failed { exit, message } => {
                let exit = Exit::from_code(exit).unwrap_or(Exit::Unavailable);
                return Err(Refusal::new(exit, message).into());
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer").into())
}

fn connect(state_dir: &Path) -> Result<UnixStream, ClientError> {
    let path = state_dir.join(SOCKET_NAME);
    UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
            state_dir: state_dir.to_owned(),
        },
        io::ErrorKind::PermissionDenied => ClientError::Forbidden { path },
        _ => ClientError::Io(error),
    })
}
