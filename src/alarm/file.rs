//! `alarms.json` in the state folder: what is raised and who was told.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::alarm::{Alarm, SavedAlarms};

const NAME: &str = "alarms.json";
/// The machine's own bounds keep it far below; a larger file is not ours.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    alarms: SavedAlarms,
}

/// The file.
#[derive(Debug)]
pub(super) struct AlarmFile {
    path: PathBuf,
}

impl AlarmFile {
    pub(super) fn of(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join(NAME),
        }
    }

    /// What was saved; nothing where there is no file, or where it cannot be understood: then it is
    /// set aside.
    pub(super) fn read(&self) -> SavedAlarms {
        match read(&self.path) {
            Ok(saved) => saved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SavedAlarms::default(),
            Err(error) => {
                let aside = self.path.with_extension("json.broken");
                let moved = fs::rename(&self.path, &aside);
                tracing::warn!(
                    %error,
                    aside = %aside.display(),
                    moved = moved.is_ok(),
                    "what is raised cannot be read; alarms begin anew"
                );
                SavedAlarms::default()
            }
        }
    }

    /// Replaces the file whole.
    pub(super) fn write(&self, alarms: SavedAlarms) -> io::Result<()> {
        let content = Content {
            version: VERSION,
            alarms,
        };
        let next = self.path.with_extension("json.new");
        let _ = fs::remove_file(&next);
        let mut file = private(&next)?;
        file.write_all(&serde_json::to_vec(&content)?)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)
    }
}

/// What was raised when the daemon of this state folder ended.
pub fn last_known(state_dir: &Path) -> Vec<Alarm> {
    let saved = read(&state_dir.join(NAME)).unwrap_or_default();
    saved.standing().to_vec()
}

fn read(path: &Path) -> io::Result<SavedAlarms> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let content: Content = serde_json::from_slice(&bytes)?;
    if content.version != VERSION {
        let message = format!("version {} is not known", content.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(content.alarms)
}

/// A new file that only its owner may read.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_broken_file_is_set_aside_and_a_written_one_is_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = AlarmFile::of(folder.path());
        assert_eq!(file.read(), SavedAlarms::default());
        for broken in ["", "{", "{\"version\":9,\"alarms\":{\"book\":{}}}", "\u{0}"] {
            fs::write(&file.path, broken).unwrap();
            assert_eq!(file.read(), SavedAlarms::default());
            let aside = folder.path().join("alarms.json.broken");
            assert_eq!(fs::read_to_string(aside).unwrap(), broken);
            assert!(!file.path.exists());
        }
        file.write(SavedAlarms::default()).unwrap();
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(file.read(), SavedAlarms::default());
        assert!(file.path.exists());
    }
}
