//! A receiver as a process, and the line to it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Pid;
use tempfile::TempDir;

use crate::line::{Line, Protocol};
use crate::rig::{Observer as _, freeze, program, thaw};

/// The token of the box, which the receiver knows by its own name.
pub(crate) const TOKEN: &str = "token-of-the-kill-box";

/// `thrio-edge receive`, which starts anew where it was killed.
pub(crate) struct Receiver {
    folder: TempDir,
    life: Option<Child>,
    pub(crate) line: Line,
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
        let mut receiver = Self {
            folder,
            life: None,
            line: Line::start(Protocol::Http),
        };
        receiver.run();
        receiver
    }

    /// The line's near end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/events", self.line.near_end())
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
        self.line.lead_to(address);
        self.life = Some(child);
    }

    /// Kills it where it is after the wait, and starts it anew; where nothing is open there, after
    /// another wait, unless any moment will do. Whether a batch was open.
    pub(crate) fn kill(&mut self, any_moment: bool, wait: impl Fn(&Line)) -> bool {
        let mut life = self.life.take().expect("it runs");
        let pid = Pid::from_child(&life);
        let is_inside = loop {
            wait(&self.line);
            freeze(pid);
            // It answers nothing more, so what is open now stays so.
            let is_inside = self.line.open_batch().is_some();
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
