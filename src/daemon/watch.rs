//! What changes under a running box without anybody telling it: passwords and configuration files.
//!
//! A password that was replaced ends the hold that the former one caused. A file that no longer
//! validates, or that says something else than what runs, is told before the next reboot tells it.

use std::time::Duration;

use super::reload::differences;
use super::{Parts, lock};
use crate::config;
use crate::domain::timestamp::MonoTime;

/// How often both are looked at, in real time: "within a minute", with room to spare.
const WATCH_PERIOD: Duration = Duration::from_secs(10);

/// What is wrong with the files on disk, compared with what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// The next start would refuse them; why.
    Invalid(String),
    /// They say something else about these parts.
    Differs(Vec<String>),
}

/// When it was last looked.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looked_at: MonoTime,
}

impl Watch {
    /// Looks, if it is time.
    pub(super) fn look(&mut self, parts: &Parts, now: MonoTime) {
        if now.since(self.looked_at) < WATCH_PERIOD {
            return;
        }
        self.looked_at = now;
        parts.take_changed_passwords();
        parts.compare_files();
    }
}

impl Parts {
    fn take_changed_passwords(&self) {
        match self.restart_freed_sources() {
            Ok(names) => {
                for source in names {
                    tracing::info!(source, "the password was replaced: the hold is over");
                }
            }
            Err(error) => tracing::error!(%error, "a source with a new password did not start"),
        }
    }

    fn compare_files(&self) {
        // A reload that is under way says itself what came of it.
        let (Some(file), Ok(_only)) = (&self.file, self.reloading.try_lock()) else {
            return;
        };
        let found = match config::load(file) {
            Err(errors) => Some(OnDisk::Invalid(errors.to_string())),
            Ok(wanted) => {
                let names = differences(&lock(&self.applied).config, &wanted);
                (!names.is_empty()).then_some(OnDisk::Differs(names))
            }
        };
        let mut health = lock(&self.health);
        if health.on_disk != found {
            match &found {
                Some(OnDisk::Invalid(why)) => {
                    tracing::error!(
                        "the configuration on disk is wrong; the next start fails: {why}"
                    );
                }
                Some(OnDisk::Differs(names)) => {
                    tracing::warn!(?names, "the configuration on disk is not the one that runs");
                }
                None => tracing::info!("the configuration on disk is the one that runs"),
            }
            health.on_disk = found;
        }
    }
}
