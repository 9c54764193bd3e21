//! The demo's files: made anew each time, and never somebody else's.
//!
//! The demo's clock runs ahead of the world's, so an earlier demo's journal would lie in the
//! future of the next one: each begins with an empty folder. Only a folder that a demo made is
//! emptied; it is known by its mark.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::Failure;
use crate::control::AdminToken;
use crate::lifecycle::exit::Exit;

/// Says that the folder may be emptied.
const MARK: &str = ".thrio-edge-demo";

/// A folder of the demo.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, or empties the one that an earlier demo made.
    pub(super) fn fresh(path: &Path) -> anyhow::Result<Self> {
        let holds_other_things = fs::read_dir(path).is_ok_and(|mut found| found.next().is_some())
            && !path.join(MARK).exists();
        if holds_other_things {
            let message = format!(
                "{} holds files that no demo made; name another folder with --dir",
                path.display()
            );
            return Err(Failure::new(Exit::Usage, message).into());
        }
        let said = || format!("the demo's folder {}", path.display());
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(said);
            }
            _ => {}
        }
        fs::create_dir_all(path).with_context(said)?;
        let path = path.canonicalize().with_context(said)?;
        fs::write(
            path.join(MARK),
            "made by `thrio-edge demo`, which empties it\n",
        )
        .with_context(said)?;
        Ok(Self { path })
    }

    /// The SQLite file.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join("wfm.db")
    }

    /// What the box logs.
    pub(super) fn log_file(&self) -> PathBuf {
        self.path.join("demo.log")
    }

    /// The configuration: a real one, to look at and to copy from.
    pub(super) fn configuration(&self) -> PathBuf {
        self.path.join("thrio-edge.toml")
    }

    /// Makes the token that changes on the page need.
    pub(super) fn make_admin_token(&self) -> anyhow::Result<String> {
        let state_dir = self.path.join("state");
        let said = || format!("the admin token in {}", state_dir.display());
        fs::create_dir_all(&state_dir).with_context(said)?;
        AdminToken::of(&state_dir).make().with_context(said)
    }

    /// Writes the configuration; answers where.
    pub(super) fn write_configuration(
        &self,
        base_url: &str,
        control: SocketAddr,
    ) -> anyhow::Result<PathBuf> {
        let text = format!(
            r#"# What `thrio-edge demo` runs. The passwords are the simulator's, which takes any.
[box]
id = "demo"
state_dir = "state"

[[source]]
name = "main"
[source.realtime]
base_url = "{base_url}"
account = "wfm@example.com"
password = "demo"
snapshot = "full"
[source.historical]
base_url = "{base_url}"
username = "wfm@example.com"
password = "demo"
max_backfill_days = 7
[source.states]
"Pause ☕" = "AUX"
"Lunch / Mittag" = "AUX"

[[destination]]
name = "local"
kind = "sqlite"
path = "wfm.db"

[control]
listen = "{control}"
"#
        );
        let file = self.configuration();
        fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
        keep_private(&file)?;
        Ok(file)
    }
}

/// It holds passwords, if only the simulator's: as a real one, it is its owner's alone.
fn keep_private(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("{}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_empties_its_own_folder_and_no_other() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo-data");
        let folder = Folder::fresh(&path).unwrap();
        fs::write(folder.database(), "old").unwrap();
        let again = Folder::fresh(&path).unwrap();
        assert!(!again.database().exists());

        let other = parent.path().join("home");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("thesis.txt"), "years of work").unwrap();
        let refused = Folder::fresh(&other).unwrap_err().to_string();
        assert!(refused.contains("--dir"), "{refused}");
        assert!(other.join("thesis.txt").exists());
    }

    #[test]
    fn the_configuration_is_a_valid_one() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::fresh(&parent.path().join("demo")).unwrap();
        let listen = "127.0.0.1:8640".parse().unwrap();
        let file = folder
            .write_configuration("http://127.0.0.1:9", listen)
            .unwrap();
        let config = crate::config::load(&file).unwrap();
        assert_eq!(config.sources.len(), 1);
        assert_eq!(config.destinations.len(), 1);
    }
}
