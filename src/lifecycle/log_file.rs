//! A log file that stays bounded: a daemon without journald must not fill the disk that the
//! journal needs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// When the file becomes `<name>.1`: two of them hold some 100,000 lines, weeks of a quiet box.
pub const LOG_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The open file, shared by all threads.
#[derive(Debug)]
pub struct LogFile {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

/// Writes one line; held by one thread for as long as the line takes.
#[derive(Debug)]
pub struct Line<'a>(MutexGuard<'a, State>);

impl LogFile {
    /// Opens the file for appending; made if it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_bounded(path, LOG_FILE_BYTES_MAX)
    }

    fn open_bounded(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        let state = Mutex::new(State {
            path: path.to_owned(),
            file,
            bytes,
            bytes_max,
        });
        Ok(Self { state })
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let state = &mut *self.0;
        if state.bytes > 0 && state.bytes + line.len() as u64 > state.bytes_max {
            state.turn_over()?;
        }
        let written = state.file.write(line)?;
        state.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file.flush()
    }
}

impl State {
    fn turn_over(&mut self) -> io::Result<()> {
        let mut former = self.path.clone().into_os_string();
        former.push(".1");
        std::fs::rename(&self.path, former)?;
        self.file = open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_turns_over_and_the_former_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge.log");
        let log = LogFile::open_bounded(&path, 10).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            log.make_writer().write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        let former = std::fs::read_to_string(dir.path().join("edge.log.1")).unwrap();
        assert_eq!(former, "one\ntwo\n");
    }
}
