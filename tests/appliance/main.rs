//! The box as an appliance: under systemd and without it, installed and removed, upgraded, on a
//! full, damaged or foreign disk; the real binary, the real scripts, the real tools of Debian.

#[allow(
    dead_code,
    reason = "each of the two test programs uses its own part of it"
)]
#[path = "../daemon/life.rs"]
mod life;

mod books;
#[cfg(feature = "jemalloc")]
mod heap;
mod init_script;
mod package;
mod store;
mod unit;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The project's folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a tool and demands that it succeeds; what it printed on both streams.
#[track_caller]
fn succeed(command: &mut Command) -> String {
    let (done, text) = run(command);
    assert!(
        done.status.success(),
        "{command:?}: {}\n{text}",
        done.status
    );
    text
}

#[track_caller]
fn run(command: &mut Command) -> (Output, String) {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [&done.stdout[..], &done.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (done, text)
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    let about = std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    about.permissions().mode() & 0o7777
}
