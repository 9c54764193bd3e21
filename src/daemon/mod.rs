//! The composition root: what the box is made of, and in which order it comes and goes.
//!
//! Start: store, workers of the feeds, workers of the destinations, reader, socket, server, upkeep, alarms.
//! Stop, the other way round: the feeds end first, the destinations get a last chance at what was
//! journaled, the store is flushed, and what remains is reported.
//!
//! Nothing here decides anything about data: that is `domain/`. A reload compares configurations
//! and restarts what changed, nothing else.

mod alarms;
mod at_rest;
mod box_facts;
mod commands;
mod delivery_commands;
mod destinations;
mod expiries;
mod export;
mod nights;
mod picture;
mod probing;
mod problems;
mod questions;
mod queue_filter;
mod reconcile;
mod reload;
mod settings;
mod sources;
mod stopping;
mod transactions;
mod upkeep;
mod watch;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use alarms::{listed_at_rest, test_at_rest};
pub use at_rest::{perform_at_rest, status_at_rest};
pub use export::Books;
pub use probing::{ProbeFailure, Probing};
pub use reload::{ReloadError, Reloaded};
pub use stopping::{Remaining, StopReport};

use crate::alarm::Alarms;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{
    AdminToken, ControlServer, ControlSocket, ControlTls, HttpError, Operations, Question, Reader,
    Refusal, Request, Status,
};
use crate::domain::ids::Feed;
use crate::domain::timestamp::{Now, WallTime};
use crate::stop::StopToken;
use crate::store::{OpenOrigin, Store, StoreError};
use box_facts::BoxFacts;
pub(crate) use destinations::connector;
use destinations::{Bells, RunningDestination};
use sources::RunningSource;
use upkeep::Upkeep;

/// What a daemon is started with.
pub struct DaemonOptions {
    /// The configuration that it runs.
    pub config: Config,
    /// The file that a reload reads; none where the configuration was made in the program.
    pub file: Option<PathBuf>,
    /// The clock of feeds and destinations.
    pub clock: Arc<dyn Clock>,
    /// Called once when a worker died and the process should end; never from a worker.
    pub on_failure: Box<dyn Fn(&str) + Send + Sync>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The control server cannot listen.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A thread or the control socket could not be made.
    #[error("cannot start {what}: {source}")]
    System {
        /// What was to be started.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StartError {
    fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

/// A running box.
pub struct Daemon {
    parts: Arc<Parts>,
    upkeep: Upkeep,
    socket: ControlSocket,
    server: ControlServer,
    reader: (Reader, JoinHandle<()>),
}

/// What the threads of a daemon share.
struct Parts {
    clock: Arc<dyn Clock>,
    store: Store,
    /// When it started.
    started: Now,
    file: Option<PathBuf>,
    /// The one feed that runs, where a command runs it.
    only: Option<Feed>,
    facts: Arc<BoxFacts>,
    bells: Arc<Bells>,
    applied: Mutex<Applied>,
    sources: Mutex<Vec<RunningSource>>,
    destinations: Mutex<Vec<RunningDestination>>,
    health: Mutex<upkeep::Health>,
    alarms: Alarms,
    expiries: expiries::Expiries,
    stopping: AtomicBool,
    /// The control server's certificate, where it speaks TLS.
    control_tls: OnceLock<ControlTls>,
    /// Held by the one long command of the store that may run.
    store_command: Mutex<()>,
    /// What was compared by night, and what comes next.
    nights: Mutex<nights::Nights>,
    /// Held by the one reload that may run.
    reloading: Mutex<()>,
    /// Held by the one change of the saved settings that may run.
    saving: Mutex<()>,
    on_failure: Box<dyn Fn(&str) + Send + Sync>,
}

/// The configuration that runs.
struct Applied {
    config: Config,
    at: WallTime,
    reload_error: Option<String>,
}

impl Daemon {
    /// Opens everything and starts every worker.
    pub fn start(options: DaemonOptions) -> Result<Self, StartError> {
        Self::start_parts(options, None)
    }

    /// The same with this feed only and no destination, for a command that finds no daemon.
    fn start_only(options: DaemonOptions, feed: Feed) -> Result<Self, StartError> {
        Self::start_parts(options, Some(feed))
    }

    fn start_parts(options: DaemonOptions, only: Option<Feed>) -> Result<Self, StartError> {
        let (parts, origin) = Parts::open(options, only)?;
        let parts = Arc::new(parts);
        parts.start_destinations()?;
        parts.start_sources()?;
        parts.start_alarms().map_err(StartError::system("alarm"))?;
        parts
            .start_expiries()
            .map_err(StartError::system("expiry"))?;
        let upkeep = Upkeep::spawn(&parts).map_err(StartError::system("upkeep"))?;
        if let OpenOrigin::Replaced { aside, reason } = origin {
            let text = format!("{} ({reason})", aside.display());
            lock(&parts.health).replaced.push(text);
            upkeep::salvage_in_background(&parts, aside, Vec::new());
        }
        let operations: Arc<dyn Operations> = Arc::new(Desk(Arc::clone(&parts)));
        let reader =
            Reader::spawn(Arc::clone(&operations)).map_err(StartError::system("the reader"))?;
        let (state_dir, control) = {
            let applied = lock(&parts.applied);
            let state_dir = applied.config.store.state_dir.clone();
            (state_dir, applied.config.control.clone())
        };
        let socket = ControlSocket::open(&state_dir, Arc::clone(&operations), reader.0.clone())
            .map_err(StartError::system("the control socket"))?;
        let token = AdminToken::of(&state_dir);
        let server = ControlServer::start(&control, reader.0.clone(), operations, token)?;
        if let Some(tls) = server.tls() {
            // Set once: nothing else starts a server.
            let _ = parts.control_tls.set(tls);
        }
        tracing::info!(address = %server.address(), "control server");
        Ok(Self {
            parts,
            upkeep,
            socket,
            server,
            reader,
        })
    }

    /// The picture of this moment.
    pub fn status(&self) -> Status {
        self.parts.picture()
    }

    /// Where the control server listens.
    pub fn control_address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// The store, for whoever wants to look at it (the demo's summary, tests).
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// What another thread may ask meanwhile.
    pub fn operations(&self) -> Arc<dyn Operations> {
        Arc::new(Desk(Arc::clone(&self.parts)))
    }

    /// Reads the configuration file again and applies the differences.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.parts.reload()
    }

    /// Ends everything in order, within `timeout` of real time.
    pub fn stop(self, timeout: Duration) -> StopReport {
        let Self {
            parts,
            upkeep,
            socket,
            server,
            reader: (reader, _),
        } = self;
        parts.stopping.store(true, Ordering::Release);
        let deadline = stopping::Deadline::after(timeout);
        parts.stop_sources(&deadline);
        parts.last_chance(&deadline);
        parts.stop_destinations(&deadline);
        drop(upkeep);
        parts.alarms.stop();
        let flushed = parts.store.flush(parts.clock.now());
        let report = parts.stop_report(flushed);
        drop((socket, server, reader));
        report
    }
}

/// What the control parts ask through; it holds the shared parts and nothing that waits for them.
struct Desk(Arc<Parts>);

impl Operations for Desk {
    fn status(&self) -> Status {
        self.0.picture()
    }

    fn look(&self, question: &Question) -> Result<serde_json::Value, Refusal> {
        self.0.look(question)
    }

    fn perform(
        &self,
        request: &Request,
        progress: &mut dyn FnMut(serde_json::Value) -> bool,
    ) -> Result<serde_json::Value, Refusal> {
        self.0.perform(request, progress)
    }
}

impl Parts {
    fn open(options: DaemonOptions, only: Option<Feed>) -> Result<(Self, OpenOrigin), StartError> {
        let DaemonOptions {
            config,
            file,
            clock,
            on_failure,
        } = options;
        let now = clock.now();
        let opened = Store::open(&config.store, now)?;
        log_origin(&opened.origin, &opened.store);
        let alarms = Alarms::open(
            &config.alarm.settings(),
            opened.store.box_id(),
            &config.store.state_dir,
            Arc::clone(&clock),
        );
        let parts = Self {
            alarms,
            expiries: expiries::Expiries::default(),
            facts: Arc::new(BoxFacts::new(opened.store.box_id(), now.wall)),
            clock,
            store: opened.store,
            started: now,
            file,
            only,
            bells: Arc::default(),
            applied: Mutex::new(Applied {
                config,
                at: now.wall,
                reload_error: None,
            }),
            sources: Mutex::default(),
            destinations: Mutex::default(),
            health: Mutex::default(),
            stopping: AtomicBool::new(false),
            control_tls: OnceLock::new(),
            store_command: Mutex::default(),
            nights: Mutex::default(),
            reloading: Mutex::default(),
            saving: Mutex::default(),
            on_failure,
        };
        Ok((parts, opened.origin))
    }

    fn start_sources(&self) -> Result<(), StartError> {
        let configs = lock(&self.applied).config.sources.clone();
        let mut sources = lock(&self.sources);
        for config in configs {
            sources.push(self.start_source(config)?);
        }
        self.facts.set_boards(&sources);
        Ok(())
    }

    fn start_destinations(&self) -> Result<(), StartError> {
        if self.only.is_some() {
            return Ok(());
        }
        let applied = lock(&self.applied);
        let names = sources::names(&applied.config);
        let mut destinations = lock(&self.destinations);
        for config in &applied.config.destinations {
            destinations.push(self.start_destination(config.clone(), names.clone())?);
        }
        self.bells.set(&destinations);
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

fn log_origin(origin: &OpenOrigin, store: &Store) {
    let (store_id, head) = (store.store_id(), store.head());
    match origin {
        OpenOrigin::New => tracing::info!(%store_id, "new store"),
        OpenOrigin::Existing => tracing::info!(%store_id, %head, "store opened"),
        OpenOrigin::Upgraded(done) => {
            let kept = done.backup.as_ref().map_or_else(
                || "there was no room for a copy of the former file".to_owned(),
                |backup| format!("the former file is kept as {}", backup.display()),
            );
            tracing::warn!(
                %store_id,
                from = done.from,
                to = done.to,
                "the store was brought to this version's format; {kept}"
            );
        }
        OpenOrigin::Copied { aside, reason } => tracing::error!(
            %store_id,
            aside = %aside.display(),
            reason,
            "the store was damaged: what it holds was copied into a new file; the damaged block is set \
             aside when it is read"
        ),
        OpenOrigin::Replaced { aside, reason } => tracing::error!(
            %store_id,
            aside = %aside.display(),
            reason,
            "the store was damaged: it was set aside and a new one started; what is intact is \
             brought over in the background"
        ),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the process, so what a lock guards is not looked at half changed for long.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits without a token of its own: for something that is polled while the process stops.
fn pause(time: Duration) {
    StopToken::new().wait(time);
}
