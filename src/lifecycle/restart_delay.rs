//! The growing delay between starts that go wrong one after the other.
//!
//! systemd starts the service again for ever, always after the same two seconds (`RestartSteps=`
//! needs systemd 254; Debian 12 has 252). So the program itself waits longer with each start that
//! did not last: it counts them in its runtime directory, which systemd keeps over restarts and
//! removes when the service is stopped. The count is wiped once the process has run for
//! [`WELL_AFTER`], and after an ordered stop. Without a service manager there is no delay.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::service_manager;

/// A process that ran so long was not the cause of a loop.
pub const WELL_AFTER: Duration = Duration::from_mins(10);
/// The delay after the first start that did not last; it doubles from then on.
const DELAY_MIN: Duration = Duration::from_secs(2);
/// What is collected meanwhile is lost, so that it does not grow for ever.
const DELAY_MAX: Duration = Duration::from_mins(5);
/// The file that holds the count, as text.
const FILE: &str = "starts";

/// The count of starts that did not last.
#[derive(Debug, Clone)]
pub struct RestartDelay {
    file: PathBuf,
}

impl RestartDelay {
    /// The count of this service; none where no service manager gave us a runtime directory.
    pub fn of_service() -> Option<Self> {
        if !service_manager::is_present() {
            return None;
        }
        first_folder(&std::env::var_os("RUNTIME_DIRECTORY")?).map(|folder| Self::new(&folder))
    }

    fn new(folder: &Path) -> Self {
        Self {
            file: folder.join(FILE),
        }
    }

    /// Counts this start; says how long it should wait, and after how many that did not last.
    pub fn begin(&self) -> (Duration, u32) {
        let failed = self.count();
        // Without the file the next start simply does not wait.
        let _ = std::fs::write(&self.file, format!("{}\n", failed.saturating_add(1)));
        (delay(failed), failed)
    }

    /// This start has lasted, or was ended by somebody.
    pub fn well(&self) {
        let _ = std::fs::remove_file(&self.file);
    }

    fn count(&self) -> u32 {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }
}

/// systemd separates several by colons.
fn first_folder(list: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(list).find(|path| path.is_absolute())
}

fn delay(failed: u32) -> Duration {
    let Some(doublings) = failed.checked_sub(1) else {
        return Duration::ZERO;
    };
    DELAY_MIN
        .saturating_mul(1 << doublings.min(16))
        .min(DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_that_did_not_last_doubles_the_delay_up_to_five_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let starts = RestartDelay::new(dir.path());
        let delays = (0..10).map(|_| starts.begin().0.as_secs());
        assert_eq!(
            delays.collect::<Vec<u64>>(),
            [0, 2, 4, 8, 16, 32, 64, 128, 256, 300]
        );
        starts.well();
        assert_eq!(starts.begin(), (Duration::ZERO, 0));
        assert_eq!(delay(u32::MAX), DELAY_MAX);
    }

    #[test]
    fn a_count_that_is_none_is_no_delay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "many").unwrap();
        assert_eq!(RestartDelay::new(dir.path()).begin(), (Duration::ZERO, 0));
        let nowhere = RestartDelay::new(Path::new("/nowhere"));
        assert_eq!(nowhere.begin().0, Duration::ZERO);
        assert_eq!(nowhere.begin().0, Duration::ZERO);
    }

    #[test]
    fn of_several_runtime_directories_the_first_is_taken() {
        let first = first_folder(OsStr::new("/run/thrio-edge:/run/other"));
        assert_eq!(first, Some(PathBuf::from("/run/thrio-edge")));
        assert_eq!(first_folder(OsStr::new("")), None);
    }
}
