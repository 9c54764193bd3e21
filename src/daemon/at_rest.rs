//! The status of a box whose daemon does not run: what the store remembers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::commands::{of_store, refuse_store};
use super::delivery_commands;
use super::picture::{remembered_destination, stated};
use super::{Daemon, DaemonOptions, StartError};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::status::{AlarmsStatus, ConfigurationStatus, Problem, Status, StoreStatus};
use crate::control::{Refusal, Request};
use crate::domain::alarm::AlarmCode;
use crate::domain::ids::Feed;
use crate::domain::timestamp::Now;
use crate::lifecycle::exit::Exit;
use crate::store::{Store, StoreError};

/// How long the one feed may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at the store (its lock must be free) and tells what it remembers. Nothing is made, set
/// aside or replaced: a damaged store is told, and the next start takes care of it.
pub fn status_at_rest(config: &Config) -> Result<Status, StoreError> {
    let now = SystemClock::new().now();
    match Store::look(&config.store, now) {
        Ok(store) => Ok(remembered(config, &store, now)),
        Err(StoreError::Missing { .. }) => Ok(unknown(config, now, None)),
        Err(error @ StoreError::Damaged(_)) => Ok(unknown(config, now, Some(error.to_string()))),
        Err(other) => Err(other),
    }
}

/// What can be said without a store.
fn unknown(config: &Config, now: Now, error: Option<String>) -> Status {
    let problem = error
        .as_ref()
        .map(|why| Problem::new(AlarmCode::StoreDamaged, "store", why));
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        box_id: config.store.box_id.to_string(),
        store_id: String::new(),
        pid: std::process::id(),
        at: now.wall,
        started_at: now.wall,
        ready: false,
        configuration: ConfigurationStatus::default(),
        feeds: Vec::new(),
        destinations: Vec::new(),
        store: StoreStatus {
            max_bytes: config.store.max_bytes,
            error,
            ..StoreStatus::default()
        },
        workers: Vec::new(),
        problems: std::iter::once(not_running()).chain(problem).collect(),
        alarms: AlarmsStatus::default(),
        expiries: super::expiries::at_rest(config, now.wall),
    }
}

pub(super) fn not_running() -> Problem {
    let message = "no daemon runs: nothing is collected or delivered";
    Problem::new(AlarmCode::NotRunning, "box", message)
}

fn remembered(config: &Config, store: &Store, now: Now) -> Status {
    let feeds = config.sources.iter().flat_map(|source| {
        let states = Feed::ALL.map(|feed| store.feed_state(&source.name, feed));
        states.into_iter().flatten()
    });
    let feeds = feeds.map(|state| stated(&state, "not running".to_owned(), None));
    let destinations = config
        .destinations
        .iter()
        .map(|destination| remembered_destination(destination, store));
    Status {
        box_id: store.box_id().to_string(),
        store_id: store.store_id().to_string(),
        feeds: feeds.collect(),
        destinations: destinations.collect(),
        store: StoreStatus {
            first_seq: store.first().get(),
            last_seq: store.head().get(),
            max_bytes: config.store.max_bytes,
            installed_at: Some(store.installed_at()),
            ..StoreStatus::default()
        },
        ..unknown(config, now, None)
    }
}

/// Does what a command asks, where no daemon runs (the store's lock must be free): what needs Thrio
/// is done by a daemon of that one feed, which ends with the command.
pub fn perform_at_rest(
    config: &Config,
    request: &Request,
    progress: &mut dyn FnMut(Value) -> bool,
) -> Result<Value, Refusal> {
    let only = match request {
        Request::Import { .. } => Feed::Configuration,
        Request::Backfill { .. } => Feed::Historical,
        _ => {
            let now = SystemClock::new().now();
            if let Request::StoreStats | Request::StoreVerify | Request::StoreBackup { .. } =
                request
            {
                let store = Store::look(&config.store, now).map_err(refuse_store)?;
                return of_store(&store, now, request);
            }
            let opened = Store::open(&config.store, now).map_err(refuse_store)?;
            return match request {
                Request::Status | Request::Reload | Request::StoreFlush | Request::StoreCompact => {
                    of_store(&opened.store, now, request)
                }
                _ => delivery_commands::perform_at_rest(
                    &opened.store,
                    config,
                    now,
                    request,
                    progress,
                ),
            };
        }
    };
    let mut config = config.clone();
    // The address is the daemon's; this one ends before anybody could find it.
    config.control.listen.set_port(0);
    let options = DaemonOptions {
        config,
        file: None,
        clock: Arc::new(SystemClock::new()),
        on_failure: Box::new(|_| {}),
    };
    let daemon = Daemon::start_only(options, only).map_err(refuse_start)?;
    let done = daemon.operations().perform(request, progress);
    daemon.stop(STOP_TIMEOUT);
    done
}

fn refuse_start(error: StartError) -> Refusal {
    match error {
        StartError::Store(error) => refuse_store(error),
        other => Refusal::new(Exit::Unavailable, other.to_string()),
    }
}
