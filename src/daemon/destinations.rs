//! One destination: its worker and its thread.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::stopping::Deadline;
use super::worker::{Step, WorkerThread};
use super::{Parts, StartError};
use crate::clock::Clock;
use crate::config::{DestinationConfig, DestinationTarget, SecretSource};
use crate::destination::file::FileDestination;
use crate::destination::http::HttpDestination;
use crate::destination::jetstream::JetStreamDestination;
use crate::destination::postgres::PostgresDestination;
use crate::destination::sqlite::SqliteDestination;
use crate::destination::sqlserver::SqlServerDestination;
use crate::destination::{Credentials, Destination, Interrupter, Secret};
use crate::domain::ids::SourceName;
use crate::forwarder::{ForwardHandle, ForwardSettings, ForwardWorker, shell};
use crate::stop::{StopToken, Waker};

/// A batch, a migration or a busy database may take this long before the watchdog gives up on it.
const CALL_LIMIT: Duration = Duration::from_mins(10);

/// A destination and its thread.
pub(super) struct RunningDestination {
    pub(super) config: DestinationConfig,
    pub(super) sources: Vec<SourceName>,
    pub(super) handle: ForwardHandle,
    pub(super) worker: WorkerThread,
    stop: StopToken,
    interrupter: Option<Interrupter>,
}

/// Who is woken when something was journaled.
#[derive(Default)]
pub(super) struct Bells(RwLock<Vec<ForwardHandle>>);

impl Bells {
    /// Wakes every destination.
    pub(super) fn ring(&self) {
        let handles = self.0.read().unwrap_or_else(PoisonError::into_inner);
        handles.iter().for_each(ForwardHandle::wake);
    }

    /// The destinations that run now.
    pub(super) fn set(&self, destinations: &[RunningDestination]) {
        let handles = destinations.iter().map(|d| d.handle.clone()).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = handles;
    }
}

impl Parts {
    /// Starts the worker; it connects by itself.
    pub(super) fn start_destination(
        &self,
        config: DestinationConfig,
        sources: Vec<SourceName>,
    ) -> Result<RunningDestination, StartError> {
        let stop = StopToken::new();
        let waker = Waker::new(&stop);
        let facts = Arc::clone(&self.facts);
        let settings = ForwardSettings {
            name: config.name.clone(),
            options: config.delivery.clone(),
            sources: sources.clone(),
            heartbeat: Box::new(move |now| facts.heartbeat(now)),
            seed: fastrand::u64(..),
        };
        let (worker, handle) = ForwardWorker::new(settings, self.store.clone(), waker.clone())?;
        let name = format!("to {}", config.name);
        let clock = Arc::clone(&self.clock);
        let target = connector(&config.target, Arc::clone(&clock));
        let interrupter = target.interrupter();
        let thread = shell::spawn(name.clone(), worker, target, clock, waker)
            .map_err(StartError::system(&name))?;
        let worker = WorkerThread {
            name,
            thread,
            call_limit: CALL_LIMIT,
        };
        Ok(RunningDestination {
            config,
            sources,
            handle,
            worker,
            stop,
            interrupter,
        })
    }
}

/// What calls the destination; it connects with its first call.
pub(crate) fn connector(target: &DestinationTarget, clock: Arc<dyn Clock>) -> Box<dyn Destination> {
    match target {
        DestinationTarget::Sqlite(options) => {
            Box::new(SqliteDestination::new(options.clone(), clock))
        }
        DestinationTarget::File(options) => {
            Box::new(FileDestination::new((**options).clone(), clock))
        }
        DestinationTarget::Postgres(config) => {
            let password = config.password.as_ref();
            let password = password.map(|secret| Secret::new(secret.provider()));
            let options = config.options.clone();
            Box::new(PostgresDestination::new(options, password, clock))
        }
        DestinationTarget::SqlServer(config) => {
            let password = config.password.as_ref();
            let password = password.map(|secret| Secret::new(secret.provider()));
            let options = config.options.clone();
            Box::new(SqlServerDestination::new(options, password, clock))
        }
        DestinationTarget::Http(config) => {
            let credentials = credentials(config.token.as_ref(), config.password.as_ref());
            Box::new(HttpDestination::new(
                config.options.clone(),
                credentials,
                clock,
            ))
        }
        DestinationTarget::JetStream(config) => {
            let credentials = credentials(config.token.as_ref(), config.password.as_ref());
            let options = config.options.clone();
            Box::new(JetStreamDestination::new(options, credentials))
        }
    }
}

fn credentials(token: Option<&SecretSource>, password: Option<&SecretSource>) -> Credentials {
    let secret = |source: &SecretSource| Secret::new(source.provider());
    Credentials {
        token: token.map(secret),
        password: password.map(secret),
    }
}

impl RunningDestination {
    /// When the worker last stepped.
    pub(super) fn step(&self) -> Option<Step> {
        let report = self.handle.report()?;
        Some(Step {
            at: report.stepped_at,
            is_calling: report.is_calling,
        })
    }

    /// Asks the worker to end after the call that is under way, which is cut off where it could
    /// last long: what it sent is known from the receipt, or sent again.
    pub(super) fn ask_to_stop(&self) {
        self.stop.stop();
        if let Some(interrupt) = &self.interrupter {
            interrupt();
        }
    }

    /// Waits for the worker; its name where it still runs at the deadline.
    pub(super) fn join(self, deadline: &Deadline) -> Option<String> {
        let name = self.worker.name.clone();
        (!self.worker.join(deadline)).then_some(name)
    }
}
