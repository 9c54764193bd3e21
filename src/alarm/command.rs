//! The program that is run for each message: without a shell, with the message on its standard
//! input, and killed with everything that it started if its time is over before it has ended.

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

use super::options::CommandOptions;
use crate::clock::{Clock, SystemClock};
use crate::domain::alarm::Failed;
use crate::stop::{StopToken, Woken};
use crate::transport::text;

/// How often the program is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// How much of what it says of itself is kept.
const SAID_BYTES_MAX: usize = 1_024;
/// What it inherits: nothing that the service may have in its environment for itself.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Runs it. Zero is success; anything else is told with what it wrote to standard error.
pub(super) fn run(
    options: &CommandOptions,
    environment: &[(&'static str, String)],
    message: &str,
    scratch: &Path,
    stop: &StopToken,
) -> Result<(), Failed> {
    let ended = start(options, environment, message, scratch)
        .and_then(|started| started.end(options.timeout, stop));
    let name = options.line.first().map_or("", String::as_str);
    match ended {
        Ok(Ended::Status(status, _)) if status.success() => Ok(()),
        Ok(Ended::Status(status, said)) => Err(failed(&match said.as_str() {
            "" => format!("{name}: {status}"),
            said => format!("{name}: {status}: {said}"),
        })),
        Ok(Ended::TimedOut) => Err(failed(&format!(
            "{name}: killed after {} s",
            options.timeout.as_secs()
        ))),
        Ok(Ended::Stopped) => Err(failed(&format!("{name}: killed by the stop"))),
        Err(error) => Err(failed(&format!("{name}: {error}"))),
    }
}

fn failed(reason: &str) -> Failed {
    Failed {
        reason: reason.to_owned(),
        retry_after: None,
    }
}

/// How it ended.
enum Ended {
    Status(ExitStatus, String),
    TimedOut,
    Stopped,
}

/// A program that runs. If it has not ended by itself, it is killed with its group.
struct Started {
    child: Child,
    has_ended: bool,
    errors: PipeReader,
    said: Vec<u8>,
}

fn start(
    options: &CommandOptions,
    environment: &[(&'static str, String)],
    message: &str,
    scratch: &Path,
) -> io::Result<Started> {
    let [program, arguments @ ..] = options.line.as_slice() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let (errors, theirs) = io::pipe()?;
    fcntl_setfl(&errors, OFlags::NONBLOCK)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(as_input(message, scratch)?)
        .stdout(Stdio::null())
        .stderr(theirs)
        .process_group(0);
    let child = command.spawn()?;
    // The pipe's other end must be the program's alone.
    drop(command);
    Ok(Started {
        child,
        has_ended: false,
        errors,
        said: Vec::new(),
    })
}

/// The message as a file that is gone from its folder already: a program that reads nothing of it
/// holds nobody up, as a pipe would.
fn as_input(message: &str, scratch: &Path) -> io::Result<Stdio> {
    let path = scratch.join("alarm-message");
    let _ = std::fs::remove_file(&path);
    let mut file = super::file::private(&path)?;
    let reader = File::open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(message.as_bytes())?;
    Ok(Stdio::from(reader))
}

impl Started {
    fn end(mut self, timeout: Duration, stop: &StopToken) -> io::Result<Ended> {
        let clock = SystemClock::new();
        loop {
            self.listen();
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                self.listen();
                let said = text::excerpt(&String::from_utf8_lossy(&self.said));
                return Ok(Ended::Status(status, said));
            }
            if clock.now().mono.since_start() >= timeout {
                return Ok(Ended::TimedOut);
            }
            if stop.wait(LOOK_PERIOD) == Woken::Stopped {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Takes what it has said meanwhile, and keeps the beginning.
    fn listen(&mut self) {
        let mut buffer = [0; 1_024];
        // One that never stops talking is not listened to for longer than a pipe holds.
        for _ in 0..64 {
            let Ok(read @ 1..) = self.errors.read(&mut buffer) else {
                return;
            };
            let room = SAID_BYTES_MAX.saturating_sub(self.said.len()).min(read);
            self.said.extend_from_slice(&buffer[..room]);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
