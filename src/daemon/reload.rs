//! The reload: read, validate, apply the differences. A bad file changes nothing.
//!
//! A source or destination whose settings changed, or a held one that is worth a try, is stopped and
//! started anew; the journal carries its state over. The control server's certificate is read again. What cannot change while the process runs (the state directory, where the
//! control server listens, the log) is refused whole, with the names of the keys, so that a reload
//! never half applies.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::sources::RunningSource;
use super::stopping::Deadline;
use super::{Parts, StartError, lock, sources};
use crate::config::{self, Config, ConfigErrors};
use crate::control::ControlTls;

/// How long stopped workers may take before a reload gives up on them.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reloaded {
    /// Sources and destinations that are new.
    pub started: Vec<String>,
    /// Those that run with other settings now.
    pub restarted: Vec<String>,
    /// Those that are gone.
    pub stopped: Vec<String>,
    /// Those that were not touched.
    pub untouched: Vec<String>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration was made in the program.
    #[error("this daemon was started without a configuration file")]
    NoFile,
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The control server's certificate or its key cannot be used.
    #[error("{0}; the former certificate is shown on, and nothing was changed")]
    Tls(String),
    /// Keys that only a restart can change.
    #[error("only a restart can change {0} (`systemctl restart thrio-edge`); nothing was changed")]
    NeedsRestart(String),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
    /// Workers of the former configuration did not end.
    #[error("did not end in time: {0}; restart the process")]
    Hanging(String),
    /// A worker of the new configuration could not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Parts {
    /// Reads the file again and applies the differences; one reload at a time.
    pub(super) fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _only = lock(&self.reloading);
        let result = self.read_and_apply();
        match &result {
            Ok(reloaded) => tracing::info!(?reloaded, "configuration reloaded"),
            Err(error) => tracing::error!("configuration not reloaded: {error}"),
        }
        lock(&self.applied).reload_error = result.as_ref().err().map(ToString::to_string);
        if result.is_ok() {
            lock(&self.health).on_disk = None;
        }
        result
    }

    fn read_and_apply(&self) -> Result<Reloaded, ReloadError> {
        let file = self.file.as_ref().ok_or(ReloadError::NoFile)?;
        let config = config::load(file)?;
        if self.is_stopping() {
            return Err(ReloadError::Stopping);
        }
        needs_restart(&lock(&self.applied).config, &config)?;
        let tls = self.control_tls.get();
        let fresh = tls.map(ControlTls::fresh).transpose();
        let fresh = fresh.map_err(ReloadError::Tls)?;
        let mut reloaded = Reloaded::default();
        self.apply_destinations(&config, &mut reloaded)?;
        self.apply_sources(&config, &mut reloaded)?;
        self.apply_alarm(&config)
            .map_err(StartError::system("alarm"))?;
        if let (Some(tls), Some(fresh)) = (tls, fresh) {
            tls.put(fresh);
        }
        let at = self.clock.now().wall;
        {
            let mut applied = lock(&self.applied);
            applied.config = config;
            applied.at = at;
        }
        self.watch_expiries_anew();
        Ok(reloaded)
    }

    fn apply_sources(&self, config: &Config, reloaded: &mut Reloaded) -> Result<(), ReloadError> {
        let mut running = lock(&self.sources);
        let (kept, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut *running)
            .into_iter()
            .partition(|s| config.sources.contains(&s.config) && !s.is_worth_a_try());
        *running = kept;
        let former: Vec<String> = ended.iter().map(|s| s.config.name.to_string()).collect();
        ended.iter().for_each(RunningSource::ask_to_stop);
        let deadline = Deadline::after(STOP_TIMEOUT);
        let hanging: Vec<String> = ended.into_iter().flat_map(|s| s.join(&deadline)).collect();
        refuse_hanging(&hanging)?;
        for wanted in &config.sources {
            let name = wanted.name.to_string();
            if running.iter().any(|source| source.config == *wanted) {
                reloaded.untouched.push(name);
                continue;
            }
            running.push(self.start_source(wanted.clone())?);
            note(reloaded, &former, name);
        }
        note_stopped(reloaded, former);
        self.facts.set_boards(&running);
        Ok(())
    }

    /// Starts anew what was held for a password that is another now; the names of those sources.
    pub(super) fn restart_freed_sources(&self) -> Result<Vec<String>, ReloadError> {
        // A reload that is under way does the same.
        let Ok(_only) = self.reloading.try_lock() else {
            return Ok(Vec::new());
        };
        if self.is_stopping() {
            return Ok(Vec::new());
        }
        let mut running = lock(&self.sources);
        let (freed, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut *running)
            .into_iter()
            .partition(RunningSource::end_holds_of_changed_passwords);
        *running = kept;
        freed.iter().for_each(RunningSource::ask_to_stop);
        let configs: Vec<_> = freed.iter().map(|source| source.config.clone()).collect();
        let deadline = Deadline::after(STOP_TIMEOUT);
        let hanging: Vec<String> = freed.into_iter().flat_map(|s| s.join(&deadline)).collect();
        refuse_hanging(&hanging)?;
        let mut names = Vec::new();
        for config in configs {
            names.push(config.name.to_string());
            running.push(self.start_source(config)?);
        }
        if !names.is_empty() {
            self.facts.set_boards(&running);
        }
        Ok(names)
    }

    fn apply_alarm(&self, config: &Config) -> std::io::Result<()> {
        if lock(&self.applied).config.alarm == config.alarm {
            return Ok(());
        }
        self.alarms.reconfigure(&config.alarm.settings())
    }

    fn apply_destinations(
        &self,
        config: &Config,
        reloaded: &mut Reloaded,
    ) -> Result<(), ReloadError> {
        let names = sources::names(config);
        let mut running = lock(&self.destinations);
        let (kept, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut *running)
            .into_iter()
            .partition(|d| d.sources == names && config.destinations.contains(&d.config));
        *running = kept;
        let former: Vec<String> = ended.iter().map(|d| d.config.name.to_string()).collect();
        for destination in &ended {
            destination.ask_to_stop();
        }
        let deadline = Deadline::after(STOP_TIMEOUT);
        let hanging: Vec<String> = ended
            .into_iter()
            .filter_map(|d| d.join(&deadline))
            .collect();
        refuse_hanging(&hanging)?;
        for wanted in &config.destinations {
            let name = wanted.name.to_string();
            if running
                .iter()
                .any(|destination| destination.config == *wanted)
            {
                reloaded.untouched.push(name);
                continue;
            }
            running.push(self.start_destination(wanted.clone(), names.clone())?);
            note(reloaded, &former, name);
        }
        note_stopped(reloaded, former);
        self.bells.set(&running);
        Ok(())
    }
}

fn refuse_hanging(names: &[String]) -> Result<(), ReloadError> {
    if names.is_empty() {
        return Ok(());
    }
    Err(ReloadError::Hanging(names.join(", ")))
}

fn note(reloaded: &mut Reloaded, former: &[String], name: String) {
    if former.contains(&name) {
        reloaded.restarted.push(name);
    } else {
        reloaded.started.push(name);
    }
}

fn note_stopped(reloaded: &mut Reloaded, former: Vec<String>) {
    let gone = former
        .into_iter()
        .filter(|name| !reloaded.restarted.contains(name));
    let gone: Vec<String> = gone.collect();
    reloaded.stopped.extend(gone);
}

/// The tables that only a restart can change and that differ.
fn fixed_differences(now: &Config, wanted: &Config) -> Vec<&'static str> {
    let differs = [
        ("[box] or [store]", now.store != wanted.store),
        ("[control]", now.control != wanted.control),
        ("[log]", now.log != wanted.log),
        (
            "box.stop_timeout_s",
            now.stop_timeout != wanted.stop_timeout,
        ),
    ];
    let names = differs.into_iter().filter(|(_, differs)| *differs);
    names.map(|(name, _)| name).collect()
}

/// Everything that one configuration says otherwise than the other, by name.
pub(super) fn differences(now: &Config, wanted: &Config) -> Vec<String> {
    let mut names: Vec<String> = fixed_differences(now, wanted)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if now.alarm != wanted.alarm {
        names.push("[alarm]".to_owned());
    }
    let sources = changed(&now.sources, &wanted.sources, |source| &source.name);
    names.extend(sources.iter().map(|name| format!("source {name}")));
    let destinations = changed(&now.destinations, &wanted.destinations, |d| &d.name);
    names.extend(
        destinations
            .iter()
            .map(|name| format!("destination {name}")),
    );
    names
}

/// The names of what is in one list only, or is another in the other.
fn changed<T: PartialEq, N: Ord + Clone>(
    now: &[T],
    wanted: &[T],
    name: impl Fn(&T) -> &N,
) -> BTreeSet<N> {
    let gone = now.iter().filter(|one| !wanted.contains(one));
    let new = wanted.iter().filter(|one| !now.contains(one));
    gone.chain(new).map(|one| name(one).clone()).collect()
}

fn needs_restart(now: &Config, wanted: &Config) -> Result<(), ReloadError> {
    let names = fixed_differences(now, wanted);
    if names.is_empty() {
        return Ok(());
    }
    Err(ReloadError::NeedsRestart(names.join(", ")))
}
