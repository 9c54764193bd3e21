//! The unit and its companions, as systemd's own tools judge them, and the growing delay.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::life::Site;
use crate::{mode, root, succeed};

/// The unit with the program where it is now.
fn unit_here(folder: &std::path::Path) -> std::path::PathBuf {
    let text = fs::read_to_string(root().join("systemd/thrio-edge.service")).unwrap();
    assert_eq!(
        text.matches("=/usr/bin/thrio-edge ").count(),
        2,
        "start and reload"
    );
    let here = format!("={} ", env!("CARGO_BIN_EXE_thrio-edge"));
    let unit = folder.join("thrio-edge.service");
    fs::write(&unit, text.replace("=/usr/bin/thrio-edge ", &here)).unwrap();
    unit
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit_here(folder.path());
    let said = succeed(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&unit),
    );
    assert_eq!(said, "");
    // A key that this systemd does not know is one that it names here.
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("RestartSec=2", "RestartSpeed=2")).unwrap();
    let said = crate::run(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&unit),
    );
    assert!(said.1.contains("RestartSpeed"), "{}", said.1);
}

#[test]
fn the_sandbox_leaves_an_exposure_of_at_most_1_5() {
    let unit = root().join("systemd/thrio-edge.service");
    let said = succeed(
        Command::new("systemd-analyze")
            .args(["security", "--no-pager", "--offline=true", "--threshold=15"])
            .arg(unit),
    );
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[test]
fn user_and_folders_are_made_as_the_unit_expects_them() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: giving folders to another user is not tried");
        return;
    }
    let clean = tempfile::tempdir().unwrap();
    let at = format!("--root={}", clean.path().display());
    fs::create_dir(clean.path().join("etc")).unwrap();
    let systemd = root().join("systemd");
    for _ in 0..2 {
        succeed(
            Command::new("systemd-sysusers")
                .args([&at, "-"])
                .stdin(fs::File::open(systemd.join("thrio-edge.sysusers")).unwrap()),
        );
    }
    let users = fs::read_to_string(clean.path().join("etc/passwd")).unwrap();
    assert_eq!(users.matches("thrio-edge:x:").count(), 1, "{users}");
    assert!(users.contains("nologin"), "{users}");
    succeed(
        Command::new("systemd-tmpfiles")
            .args(["--create", &at, "-"])
            .stdin(fs::File::open(systemd.join("thrio-edge.tmpfiles")).unwrap()),
    );
    assert_eq!(mode(&clean.path().join("var/lib/thrio-edge")), 0o750);
    assert_eq!(mode(&clean.path().join("etc/thrio-edge")), 0o750);
}

/// systemd's end of the notification socket.
struct Systemd {
    socket: UnixDatagram,
    path: String,
}

impl Systemd {
    fn at(site: &Site) -> Self {
        let path = site.folder().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let patience = Some(Duration::from_mins(1));
        socket.set_read_timeout(patience).unwrap();
        Self {
            socket,
            path: path.to_str().unwrap().to_owned(),
        }
    }

    /// The next message that says this; and everything that came before it.
    fn hear(&self, wanted: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).expect(wanted);
            let heard = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if heard.contains(wanted) {
                return (heard, before);
            }
            before.push(heard);
        }
    }
}

#[test]
fn a_start_after_one_that_did_not_last_waits_and_says_so() {
    let site = Site::new();
    let systemd = Systemd::at(&site);
    let runtime = site.folder().join("run");
    fs::create_dir(&runtime).unwrap();
    let starts = || fs::read_to_string(runtime.join("starts")).ok();
    let service = [
        ("NOTIFY_SOCKET", systemd.path.as_str()),
        ("RUNTIME_DIRECTORY", runtime.to_str().unwrap()),
    ];

    let mut first = site.start_with(&service);
    let (_, before) = systemd.hear("READY=1");
    assert!(!before.concat().contains("did not last"), "{before:?}");
    first.kill();
    assert_eq!(starts().as_deref(), Some("1\n"));

    let mut second = site.start_with(&service);
    let (waits, before) = systemd.hear("did not last");
    assert!(waits.contains("1 starts in a row"), "{waits}");
    assert!(waits.contains("EXTEND_TIMEOUT_USEC=62000000"), "{waits}");
    assert!(!before.concat().contains("READY=1"), "{before:?}");
    systemd.hear("READY=1");
    assert_eq!(starts().as_deref(), Some("2\n"));
    assert_eq!(second.terminate().0, Some(0));
    assert_eq!(starts(), None, "a stop that was asked for is no failure");
}
