//! One source: its connections to Thrio and a worker for each of its feeds.

use std::sync::Arc;
use std::time::Duration;

use super::queue_filter::FilteredSource;
use super::stopping::Deadline;
use super::worker::{Step, WorkerThread};
use super::{Parts, StartError};
use crate::collector::configuration::{ConfigurationCommand, ConfigurationFeed};
use crate::collector::historical::{HistoricalCommand, HistoricalFeed};
use crate::collector::realtime::{RealtimeCommand, RealtimeFeed};
use crate::collector::{FeedDetail, FeedHandle, FeedLogic, FeedWorker, SourceBoard, shell};
use crate::config::{Config, ConnectionConfig, SourceConfig};
use crate::domain::ids::{Feed, SourceName};
use crate::stop::{StopToken, Waker};
use crate::thrio::api::ConfigurationConnection;
use crate::thrio::{LoggedIn, ThrioConnection};

/// A call makes at most a login, two requests and three redirects of one call's time each.
const REQUESTS_PER_CALL: u32 = 6;
/// The pages of an import, 100 entries each, that the watchdog waits for: 20,000 users, each page
/// in a quarter of a call's time.
const IMPORT_CALLS: u32 = 50;

/// A source and its threads.
pub(super) struct RunningSource {
    pub(super) config: SourceConfig,
    pub(super) board: Arc<SourceBoard>,
    pub(super) realtime: Option<FeedHandle<RealtimeCommand>>,
    pub(super) historical: Option<FeedHandle<HistoricalCommand>>,
    pub(super) configuration: Option<FeedHandle<ConfigurationCommand>>,
    pub(super) workers: Vec<(Feed, WorkerThread)>,
    /// Feeds that could not be started, and why: an option that cannot be used on this machine.
    pub(super) broken: Vec<(Feed, String)>,
    connections: Vec<(Feed, ThrioConnection)>,
    stop: StopToken,
}

/// The names of the sources of a configuration.
pub(super) fn names(config: &Config) -> Vec<SourceName> {
    config
        .sources
        .iter()
        .map(|source| source.name.clone())
        .collect()
}

impl Parts {
    /// Connects nothing yet: the first call of each worker does.
    pub(super) fn start_source(&self, config: SourceConfig) -> Result<RunningSource, StartError> {
        let bells = Arc::clone(&self.bells);
        let board = SourceBoard::new(
            config.name.clone(),
            &self.store,
            Box::new(move || bells.ring()),
        )?;
        let mut source = RunningSource {
            board: Arc::new(board),
            realtime: None,
            historical: None,
            configuration: None,
            workers: Vec::new(),
            broken: Vec::new(),
            connections: Vec::new(),
            stop: StopToken::new(),
            config,
        };
        let realtime = source.config.realtime.clone();
        let historical = source.config.historical.clone();
        let realtime_connection = realtime
            .as_ref()
            .and_then(|feed| self.connect(&mut source, Feed::Realtime, &feed.connection));
        let historical_connection = historical
            .as_ref()
            .and_then(|feed| self.connect(&mut source, Feed::Historical, &feed.connection));
        if let (Some(feed), Some(connection), true) =
            (realtime, &realtime_connection, self.runs(Feed::Realtime))
        {
            let name = source.config.name.clone();
            let logic = RealtimeFeed::new(name, feed.options, &self.store, fastrand::u64(..))?;
            source.realtime = Some(self.start_feed(&mut source, connection, logic)?);
        }
        if let (Some(feed), Some(connection), true) = (
            historical,
            &historical_connection,
            self.runs(Feed::Historical),
        ) {
            let logic = HistoricalFeed::new(
                source.config.name.clone(),
                feed.options,
                source.config.configuration.options.clock.clone(),
                &self.store,
                self.clock.now(),
                fastrand::u64(..),
            )?;
            source.historical = Some(self.start_feed(&mut source, connection, logic)?);
        }
        let connection = match source.config.configuration.connection {
            ConfigurationConnection::Historical => historical_connection,
            ConfigurationConnection::Realtime => realtime_connection,
        };
        self.start_configuration(&mut source, connection)?;
        Ok(source)
    }

    fn runs(&self, feed: Feed) -> bool {
        self.only.is_none_or(|only| only == feed)
    }

    fn start_configuration(
        &self,
        source: &mut RunningSource,
        connection: Option<ThrioConnection>,
    ) -> Result<(), StartError> {
        let Some(connection) = connection.filter(|_| self.runs(Feed::Configuration)) else {
            return Ok(());
        };
        let logic = ConfigurationFeed::new(
            source.config.name.clone(),
            source.config.configuration.options.clone(),
            &self.store,
            fastrand::u64(..),
        );
        let handle = self.start_feed(source, &connection, logic)?;
        let woken = handle.clone();
        source
            .board
            .on_import_wanted(Box::new(move || woken.wake()));
        source.configuration = Some(handle);
        Ok(())
    }

    fn connect(
        &self,
        source: &mut RunningSource,
        feed: Feed,
        config: &ConnectionConfig,
    ) -> Option<ThrioConnection> {
        let password = config.password.provider();
        match ThrioConnection::new(config.options.clone(), password, Arc::clone(&self.clock)) {
            Ok(connection) => {
                source.connections.push((feed, connection.clone()));
                Some(connection)
            }
            Err(problem) => {
                let why = format!("{} = {}: {}", problem.field, problem.value, problem.hint);
                tracing::error!(source = %source.config.name, %feed, why, "no connection");
                source.broken.push((feed, why));
                None
            }
        }
    }

    fn start_feed<L: FeedLogic + 'static>(
        &self,
        source: &mut RunningSource,
        connection: &ThrioConnection,
        logic: L,
    ) -> Result<FeedHandle<L::Command>, StartError> {
        let feed = logic.feed();
        let name = format!("{}/{feed}", source.config.name);
        let waker = Waker::new(&source.stop);
        let (worker, handle) = FeedWorker::new(
            logic,
            self.store.clone(),
            Arc::clone(&source.board),
            waker.clone(),
        );
        let clock = Arc::clone(&self.clock);
        let tenant = connection.source(&source.config.api, Arc::clone(&clock), source.stop.clone());
        let tenant = FilteredSource::wrap(tenant, &source.config.queues);
        let thread = shell::spawn(name.clone(), worker, tenant, clock, waker)
            .map_err(StartError::system(&name))?;
        let call_limit = call_limit(source, feed);
        let worker = WorkerThread {
            name,
            thread,
            call_limit,
        };
        source.workers.push((feed, worker));
        Ok(handle)
    }
}

fn call_limit(source: &RunningSource, feed: Feed) -> Duration {
    let config = &source.config;
    let of = |connection: &ConnectionConfig| connection.options.call_timeout;
    let longest = [
        config.realtime.as_ref().map(|feed| of(&feed.connection)),
        config.historical.as_ref().map(|feed| of(&feed.connection)),
    ];
    let call = longest.into_iter().flatten().max().unwrap_or_default();
    match feed {
        Feed::Configuration => call * IMPORT_CALLS,
        Feed::Realtime | Feed::Historical => call * REQUESTS_PER_CALL,
    }
}

impl RunningSource {
    /// When a feed's worker last stepped.
    pub(super) fn step(&self, feed: Feed) -> Option<Step> {
        let report = self.board.report(feed)?;
        Some(Step {
            at: report.stepped_at,
            is_calling: report.is_calling,
        })
    }

    /// Whether a reload should try at once what waits for a person: the password is another now,
    /// or a feed is held for another reason than the account. The same password is not tried
    /// again before its time, so that reloading does not lock the account.
    pub(super) fn is_worth_a_try(&self) -> bool {
        let freed = self.end_holds_of_changed_passwords();
        let held = self.connections.iter().any(|(_, c)| c.held().is_some());
        freed || (!held && Feed::ALL.into_iter().any(|feed| self.is_held(feed)))
    }

    /// The logins that count now, with the feed whose connection has each.
    pub(super) fn logins(&self) -> impl Iterator<Item = (Feed, LoggedIn)> + '_ {
        let connections = self.connections.iter();
        connections.filter_map(|(feed, connection)| Some((*feed, connection.logged_in()?)))
    }

    /// Ends the holds whose password is another now; whether there was one.
    pub(super) fn end_holds_of_changed_passwords(&self) -> bool {
        let mut freed = false;
        for (_, connection) in &self.connections {
            freed |= connection.end_hold_if_password_changed();
        }
        freed
    }

    /// Whether this feed's password is one that systemd or a shell handed over at the start: a
    /// later one is not seen before the next start.
    pub(super) fn has_password_of_start(&self, feed: Feed) -> bool {
        let config = &self.config;
        let realtime = config.realtime.as_ref().map(|feed| &feed.connection);
        let historical = config.historical.as_ref().map(|feed| &feed.connection);
        let connection = match (feed, config.configuration.connection) {
            (Feed::Realtime, _) | (Feed::Configuration, ConfigurationConnection::Realtime) => {
                realtime
            }
            (Feed::Historical, _) | (Feed::Configuration, ConfigurationConnection::Historical) => {
                historical
            }
        };
        connection.is_some_and(|connection| connection.password.is_of_start())
    }

    fn is_held(&self, feed: Feed) -> bool {
        self.board
            .report(feed)
            .is_some_and(|report| match report.detail {
                FeedDetail::Realtime(status) => status.phase.held().is_some(),
                FeedDetail::Historical(status) => status.held.is_some(),
                FeedDetail::Configuration(status) => status.phase.held().is_some(),
            })
    }

    /// Asks the workers to end; calls under way are cut.
    pub(super) fn ask_to_stop(&self) {
        self.stop.stop();
        for (_, connection) in &self.connections {
            connection.shutdown();
        }
    }

    /// Waits for the workers; the names of those that still run at the deadline.
    pub(super) fn join(self, deadline: &Deadline) -> Vec<String> {
        let join = |(_, worker): (Feed, WorkerThread)| {
            let name = worker.name.clone();
            (!worker.join(deadline)).then_some(name)
        };
        self.workers.into_iter().filter_map(join).collect()
    }
}
