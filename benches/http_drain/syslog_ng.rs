//! Debian's syslog-ng with a reliable disk buffer and its `http()` destination, one worker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Receiver, pause};

/// A running syslog-ng on a folder of its own; it ends with its value.
pub(crate) struct SyslogNg {
    folder: PathBuf,
    child: Child,
}

impl SyslogNg {
    /// Starts it on a file of lines and waits until all of them are in its disk buffer.
    pub(crate) fn with_backlog(
        folder: &Path,
        lines_file: &Path,
        lines: u64,
        batch_lines: u64,
        receiver: &Receiver,
    ) -> Self {
        let configuration = configuration(folder, lines_file, batch_lines, receiver);
        fs::write(folder.join("syslog-ng.conf"), configuration).expect("room");
        let child = Command::new("syslog-ng")
            .args(["--foreground", "--no-caps"])
            .arg("--cfgfile")
            .arg(folder.join("syslog-ng.conf"))
            .arg("--persist-file")
            .arg(folder.join("persist"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--control")
            .arg(folder.join("control"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("room"))
            .spawn()
            .expect("syslog-ng is installed: scripts/bench/http does it");
        let mut this = Self {
            folder: folder.to_path_buf(),
            child,
        };
        while this.queued() < lines {
            this.check();
            pause(Duration::from_millis(200));
        }
        this
    }

    /// How many lines wait for the destination.
    fn queued(&self) -> u64 {
        let answer = Command::new("syslog-ng-ctl")
            .args(["stats", "--control"])
            .arg(self.folder.join("control"))
            .output()
            .expect("it is part of syslog-ng");
        let text = String::from_utf8_lossy(&answer.stdout);
        let line = text
            .lines()
            .find(|line| line.starts_with("dst.http") && line.contains(";queued;"));
        let figure = line.and_then(|line| line.rsplit(';').next());
        figure.and_then(|figure| figure.parse().ok()).unwrap_or(0)
    }

    /// Fails with its log where it has ended.
    pub(crate) fn check(&mut self) {
        if let Some(status) = self.child.try_wait().expect("our child") {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            panic!("syslog-ng ended with {status}: {log}");
        }
    }
}

impl Drop for SyslogNg {
    fn drop(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("it was killed");
    }
}

fn configuration(
    folder: &Path,
    lines_file: &Path,
    batch_lines: u64,
    receiver: &Receiver,
) -> String {
    let (folder, lines_file) = (folder.display(), lines_file.display());
    format!(
        r#"@version: 3.35
options {{ stats-level(1); time-reopen(1); keep-hostname(yes); }};
source lines {{
  file("{lines_file}" flags(no-parse) follow-freq(1) log-fetch-limit(1000) log-iw-size(100000));
}};
destination receiver {{
  http(
    url("http://{address}/v1/lines")
    method("POST")
    headers("Content-Type: application/x-ndjson")
    body("${{MSG}}")
    delimiter("\n")
    batch-lines({batch_lines})
    batch-timeout(500)
    workers(1)
    disk-buffer(reliable(yes) disk-buf-size(4294967296) dir("{folder}"))
  );
}};
log {{ source(lines); destination(receiver); flags(flow-control); }};
"#,
        address = receiver.address
    )
}
