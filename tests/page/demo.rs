//! A running `thrio-edge demo`: a box that has collected for a while.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The process. Dropped, it is ended.
pub(crate) struct Demo {
    child: Child,
    /// `http://127.0.0.1:...`
    pub(crate) url: String,
    _folder: TempDir,
}

impl Demo {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_thrio-edge"))
            .args(["demo", "--dir"])
            .arg(folder.path().join("demo"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("the demo ended").unwrap();
            if let Some(rest) = line.strip_prefix("Status") {
                break rest.trim().to_owned();
            }
        };
        // Whoever writes into a pipe must be read.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url,
            _folder: folder,
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Below the build folder, where nothing is committed.
pub(crate) fn target(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(path)
}
