//! `run`: the daemon, in the foreground or the background.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::Context as _;

use super::{ConfigFile, LogArguments, absolute};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::control::{Operations, Request};
use crate::daemon::{Daemon, DaemonOptions};
use crate::lifecycle::daemonize::{DaemonizeOptions, ParentLine, Side, daemonize};
use crate::lifecycle::exit::Exit;
use crate::lifecycle::logging::{self, LogFormat, LogOptions};
use crate::lifecycle::restart_delay::RestartDelay;
use crate::lifecycle::signals::{Asked, Closer, Inbox};
use crate::lifecycle::{panics, service_manager};
use crate::stop::StopToken;
use crate::thrio::install_crypto_provider;

/// How long the healthy workers may take to end after another one died.
const STOP_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// What a start that waited may take beyond its delay until it is ready.
const START_MARGIN: Duration = Duration::from_mins(1);
/// The log of a process in the background, in the state directory, where there is no journald.
const LOG_NAME: &str = "thrio-edge.log";

/// Collects and delivers until it is told to stop.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    log: LogArguments,
    /// Go into the background; return once it is ready, or say why it is not. Not under systemd.
    #[arg(long)]
    daemonize: bool,
    /// Where the background process writes its process id.
    #[arg(long, value_name = "FILE", requires = "daemonize")]
    pid_file: Option<PathBuf>,
}

/// Runs the daemon.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let file = absolute(&arguments.config.path)?;
    // Read before the fork, so that a wrong file is told on the terminal.
    let config = config::load(&file)?;
    let log = arguments.log.over(config.log.clone());
    if !arguments.daemonize {
        return serve(config, file, &log, None);
    }
    let pid_file = arguments.pid_file.as_deref().map(absolute).transpose()?;
    match daemonize(&DaemonizeOptions { pid_file })? {
        Side::Parent(exit) => Ok(exit),
        Side::Child(line) => {
            let log = log_of_background(log, &config);
            serve(config, file, &log, Some(line))
        }
    }
}

/// Standard error leads nowhere in the background.
fn log_of_background(mut log: LogOptions, config: &Config) -> LogOptions {
    if log.file.is_none() && log.format != LogFormat::Journald {
        if log.format == LogFormat::Auto && logging::journald_is_there() {
            log.format = LogFormat::Journald;
        } else {
            log.file = Some(config.store.state_dir.join(LOG_NAME));
        }
    }
    log
}

fn serve(
    config: Config,
    file: PathBuf,
    log: &LogOptions,
    parent: Option<ParentLine>,
) -> anyhow::Result<Exit> {
    let timeout = config.stop_timeout;
    let started = start(config, file, log);
    let (daemon, inbox, failed) = match started {
        Ok(started) => started,
        Err(error) => {
            let exit = super::exit_of(&error);
            tracing::error!("not started: {error:#}");
            if let Some(line) = parent {
                line.failed(exit, &format!("{error:#}"));
            }
            return Err(error);
        }
    };
    service_manager::ready(&daemon.status().to_string());
    tracing::info!("ready");
    if let Some(line) = parent {
        line.ready();
    }
    Ok(until_stopped(daemon, inbox, &failed, timeout))
}

fn start(
    config: Config,
    file: PathBuf,
    log: &LogOptions,
) -> anyhow::Result<(Daemon, Inbox, Arc<AtomicBool>)> {
    install_crypto_provider();
    std::fs::create_dir_all(&config.store.state_dir)
        .with_context(|| format!("state_dir {}", config.store.state_dir.display()))?;
    logging::start(log)?;
    panics::log_panics();
    for warning in &config.warnings {
        tracing::warn!(field = warning.field, "{}", warning.message);
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %file.display(), "thrio-edge starts");
    wait_for_its_turn();
    let inbox = Inbox::open().context("signals")?;
    let failed = Arc::new(AtomicBool::new(false));
    let on_failure = {
        let (failed, closer) = (Arc::clone(&failed), inbox.closer());
        move |_: &str| {
            failed.store(true, Ordering::Release);
            closer.close();
        }
    };
    let daemon = Daemon::start(DaemonOptions {
        config,
        file: Some(file),
        clock: Arc::new(SystemClock::new()),
        on_failure: Box::new(on_failure),
    })?;
    Ok((daemon, inbox, failed))
}

/// The delay of a start that follows others that did not last. A signal ends it and the process.
fn wait_for_its_turn() {
    let Some(starts) = RestartDelay::of_service() else {
        return;
    };
    let (delay, failed) = starts.begin();
    if delay.is_zero() {
        return;
    }
    let why = format!(
        "{failed} starts in a row did not last: waits {} s, then tries again",
        delay.as_secs()
    );
    tracing::warn!("{why}");
    service_manager::delayed(delay + START_MARGIN, &why);
    StopToken::new().wait(delay);
}

/// The main thread's loop. It never does the work itself, so that a second signal is always heard.
fn until_stopped(daemon: Daemon, mut inbox: Inbox, failed: &AtomicBool, timeout: Duration) -> Exit {
    let operations = daemon.operations();
    let mut running = Some(daemon);
    while let Some(asked) = inbox.next() {
        match (asked, running.take()) {
            (Asked::Stop, Some(daemon)) => stop_in_background(daemon, timeout, &inbox.closer()),
            (Asked::Stop, None) => {
                tracing::warn!(
                    "told to stop a second time: ends at once; what is journaled is safe"
                );
                return Exit::Ok;
            }
            (Asked::Reload, daemon) => {
                running = daemon;
                if running.is_some() {
                    reload_in_background(&operations);
                }
            }
            (Asked::Report, daemon) => {
                running = daemon;
                report(&*operations);
            }
        }
    }
    if !failed.load(Ordering::Acquire) {
        if let Some(starts) = RestartDelay::of_service() {
            starts.well();
        }
        return Exit::Ok;
    }
    if let Some(daemon) = running {
        tracing::error!("{}", daemon.stop(STOP_AFTER_FAILURE));
    }
    Exit::Unavailable
}

fn stop_in_background(daemon: Daemon, timeout: Duration, closer: &Closer) {
    tracing::info!("stopping; a second signal ends at once");
    service_manager::stopping(timeout);
    let on_end = closer.clone();
    let spawned = Builder::new().name("stop".to_owned()).spawn(move || {
        tracing::info!("{}", daemon.stop(timeout));
        on_end.close();
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread for the ordered stop; ends at once");
        closer.close();
    }
}

fn reload_in_background(operations: &Arc<dyn Operations>) {
    let operations = Arc::clone(operations);
    let spawned = Builder::new().name("reload".to_owned()).spawn(move || {
        // Whether it worked is logged where it happens.
        let _ = operations.perform(&Request::Reload, &mut |_| true);
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread for the reload");
    }
}

fn report(operations: &dyn Operations) {
    let status = operations.status();
    match serde_json::to_string(&status) {
        Ok(json) => tracing::info!(status = %json, "{status}"),
        Err(error) => tracing::error!(%error, "the status could not be written"),
    }
}
