//! Into the background without lying about it: the parent exits 0 only after the child said that
//! it is ready, else with the child's code and its last words.
//!
//! The crate's `start()` would let the parent exit 0 before the child has opened anything, so
//! `execute()` is used with a pipe made before it. It changes the working directory to `/`: every
//! path is made absolute before. Its switching of users is not used. It forks, so it comes before
//! any thread.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;

use daemonize::{Daemonize, Outcome};

use super::exit::Exit;
use super::service_manager;

/// How long the child's last words may be, in bytes.
const LAST_WORDS_BYTES_MAX: u64 = 16 * 1024;

/// How the process goes into the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonizeOptions {
    /// Written and locked by the child; an absolute path.
    pub pid_file: Option<PathBuf>,
}

/// Why it did not.
#[derive(Debug, thiserror::Error)]
pub enum DaemonizeError {
    /// systemd waits for messages from the process that it started.
    #[error(
        "--daemonize under a service manager: it would lose sight of the process; leave the option away (Type=notify)"
    )]
    UnderServiceManager,
    /// No pipe.
    #[error("cannot make a pipe: {0}")]
    Pipe(std::io::Error),
    /// fork, setsid or the pid file failed.
    #[error("cannot go into the background: {0}")]
    Fork(String),
}

/// Which of the two processes we are.
#[derive(Debug)]
pub enum Side {
    /// The parent, with the code to exit with.
    Parent(Exit),
    /// The child, with its line to the parent.
    Child(ParentLine),
}

/// The child's line to the waiting parent. Dropped unused, the parent reports a failure.
#[derive(Debug)]
pub struct ParentLine {
    writer: PipeWriter,
}

impl ParentLine {
    /// Lets the parent exit 0.
    pub fn ready(self) {
        self.say(Exit::Ok, "");
    }

    /// Lets the parent print the text and exit with the code.
    pub fn failed(self, exit: Exit, message: &str) {
        self.say(exit, message);
    }

    fn say(mut self, exit: Exit, message: &str) {
        // A parent that was killed meanwhile is nobody to tell.
        let _ = self.writer.write_all(&[exit.code()]);
        let _ = self.writer.write_all(message.as_bytes());
    }
}

/// Forks. Both sides return.
pub fn daemonize(options: &DaemonizeOptions) -> Result<Side, DaemonizeError> {
    if service_manager::is_present() {
        return Err(DaemonizeError::UnderServiceManager);
    }
    let (reader, writer) = std::io::pipe().map_err(DaemonizeError::Pipe)?;
    let mut fork = Daemonize::new();
    if let Some(path) = &options.pid_file {
        assert!(
            path.is_absolute(),
            "pid file {} is relative",
            path.display()
        );
        fork = fork.pid_file(path);
    }
    let line = ParentLine { writer };
    match fork.execute() {
        Outcome::Parent(Ok(_)) => {
            drop(line);
            Ok(Side::Parent(wait_for_child(reader)))
        }
        Outcome::Parent(Err(error)) => Err(DaemonizeError::Fork(error.to_string())),
        Outcome::Child(Ok(_)) => {
            drop(reader);
            Ok(Side::Child(line))
        }
        Outcome::Child(Err(error)) => {
            let error = DaemonizeError::Fork(error.to_string());
            line.failed(Exit::Io, &error.to_string());
            Err(error)
        }
    }
}

fn wait_for_child(reader: PipeReader) -> Exit {
    let (exit, message) = read_last_words(reader);
    if !message.is_empty() {
        eprintln!("thrio-edge: {message}");
    }
    exit
}

fn read_last_words(reader: impl Read) -> (Exit, String) {
    let mut words = Vec::new();
    let read = reader.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut words);
    match (read, words.split_first()) {
        (Ok(_), Some((&code, message))) => (
            Exit::from_code(code).unwrap_or(Exit::Unavailable),
            String::from_utf8_lossy(message).into_owned(),
        ),
        _ => (
            Exit::Unavailable,
            "the background process ended before it was ready; see its log".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(say: impl FnOnce(ParentLine), exit: Exit, message: &str) {
        let (reader, writer) = std::io::pipe().unwrap();
        say(ParentLine { writer });
        assert_eq!(read_last_words(reader), (exit, message.to_owned()));
    }

    #[test]
    fn the_parent_ends_as_the_child_says() {
        check(ParentLine::ready, Exit::Ok, "");
        check(
            |line| line.failed(Exit::Configuration, "bad file"),
            Exit::Configuration,
            "bad file",
        );
    }

    #[test]
    fn a_child_that_dies_silently_is_a_failure() {
        check(
            drop,
            Exit::Unavailable,
            "the background process ended before it was ready; see its log",
        );
    }
}
