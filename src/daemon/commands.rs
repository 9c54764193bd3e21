//! What the commands ask of a running daemon (architecture §4), beside `status`.
//!
//! A wish goes to the worker that owns the state; this side only waits for the answer, on the
//! thread of the command's connection.

use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::settings::refuse_errors;
use super::{Parts, ReloadError, lock, pause};
use crate::collector::FeedHandle;
use crate::collector::configuration::{ConfigurationCommand, ImportOutcome};
use crate::collector::historical::HistoricalCommand;
use crate::control::{Refusal, Request};
use crate::domain::backfill::BackfillReport;
use crate::domain::ids::{QueueId, SourceName};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::timestamp::{Now, WallTime};
use crate::lifecycle::exit::Exit;
use crate::store::{Store, StoreError};

/// How long a worker may take to answer a wish: it may be in a call.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);
/// How long an import of every page may take.
const IMPORT_TIMEOUT: Duration = Duration::from_mins(30);
/// How often a followed backfill is looked at, in real time.
const FOLLOW_PERIOD: Duration = Duration::from_millis(500);

type Progress<'a> = &'a mut dyn FnMut(Value) -> bool;

impl Parts {
    /// Does what a command asks.
    pub(super) fn perform(
        &self,
        request: &Request,
        progress: Progress<'_>,
    ) -> Result<Value, Refusal> {
        match request {
            Request::Status => Ok(plain(&self.picture())),
            Request::Reload => self
                .reload()
                .map(|done| plain(&done))
                .map_err(refuse_reload),
            Request::Import {
                source,
                dry_run,
                confirm,
            } => self.import(source.as_deref(), *dry_run, *confirm),
            Request::Backfill {
                source,
                from,
                to,
                queue,
                dry_run,
                follow,
            } => {
                let window = window(*from, *to)?;
                let wish = Wish {
                    window,
                    queue: queue.as_deref().map(queue_id).transpose()?,
                    dry_run: *dry_run,
                    follow: *follow,
                };
                self.backfill(source.as_deref(), &wish, progress)
            }
            Request::SourceCheck { settings } => self.check_source(settings),
            Request::SourceSave { settings } => self.save_source(settings),
            Request::SourceRemove { name } => self.remove_source(name),
            Request::SourceProbe {
                settings,
                feed,
                polls,
            } => self.probe_source(settings, feed, *polls),
            Request::MapState {
                source,
                state,
                category,
            } => self.map_state(source, state, *category),
            Request::AlarmList => Ok(self.picture().alarm_list()),
            Request::AlarmTest => super::alarms::tried(&self.alarms.try_all()),
            Request::StoreFlush => {
                let flushed = self.store.flush(self.clock.now());
                flushed
                    .map(|()| json!({"flushed": true}))
                    .map_err(refuse_store)
            }
            Request::StoreStats
            | Request::StoreVerify
            | Request::StoreCompact
            | Request::StoreBackup { .. } => self.alone(request),
            Request::Export(_) | Request::AgentsNow { .. } => {
                super::export::answer(&self.store, request)
            }
            Request::QuarantineList { .. }
            | Request::QuarantineShow { .. }
            | Request::QuarantineRetry { .. }
            | Request::QuarantineDiscard { .. }
            | Request::Replay { .. }
            | Request::ReplayStop { .. }
            | Request::Claim { .. }
            | Request::Reconcile { .. }
            | Request::DestinationRetry { .. } => self.perform_upstream(request, progress),
        }
    }

    fn import(&self, source: Option<&str>, dry_run: bool, confirm: bool) -> Result<Value, Refusal> {
        let feeds = self.chosen(source, |source| source.configuration.clone())?;
        let mut found = Map::new();
        let mut asked = Vec::new();
        for (name, feed) in feeds {
            if confirm {
                let (reply, answer) = bounded(1);
                send(&feed, ConfigurationCommand::Confirm { reply })?;
                receive(&answer, ANSWER_TIMEOUT)?;
            }
            let (reply, answer) = bounded::<ImportOutcome>(1);
            send(&feed, ConfigurationCommand::Import { dry_run, reply })?;
            asked.push((name, answer));
        }
        for (name, answer) in asked {
            match receive(&answer, IMPORT_TIMEOUT)? {
                Ok(plan) => found.insert(name.to_string(), plain(&*plan)),
                Err(why) => {
                    let message = format!("{name}: {why}");
                    return Err(Refusal::new(Exit::Unavailable, message));
                }
            };
        }
        Ok(Value::Object(found))
    }

    fn backfill(
        &self,
        source: Option<&str>,
        wish: &Wish,
        progress: Progress<'_>,
    ) -> Result<Value, Refusal> {
        let feeds = self.chosen(source, |source| source.historical.clone())?;
        let mut queued = Vec::new();
        for (name, feed) in feeds {
            let (reply, answer) = bounded(1);
            let command = HistoricalCommand::Backfill {
                window: wish.window,
                queue: wish.queue.clone(),
                dry_run: wish.dry_run,
                reply,
            };
            send(&feed, command)?;
            let id = receive(&answer, ANSWER_TIMEOUT)?;
            queued.push((name, feed, id));
        }
        let mut reports = Map::new();
        for (name, feed, id) in queued {
            let report = if wish.follow {
                self.follow(&name, &feed, id, progress)?
            } else {
                json!({"id": id, "queued": true})
            };
            reports.insert(name.to_string(), report);
        }
        Ok(Value::Object(reports))
    }

    fn follow(
        &self,
        name: &SourceName,
        feed: &FeedHandle<HistoricalCommand>,
        id: u64,
        progress: Progress<'_>,
    ) -> Result<Value, Refusal> {
        loop {
            let (reply, answer) = bounded(1);
            send(feed, HistoricalCommand::BackfillReport { id, reply })?;
            let report = receive(&answer, ANSWER_TIMEOUT)?.ok_or_else(|| {
                Refusal::new(
                    Exit::Unavailable,
                    format!("backfill {id} of {name} is gone"),
                )
            })?;
            if report.state.is_finished() {
                return Ok(reported(&report));
            }
            let value = json!({"source": name, "next": report.state.next.to_string(),
                "to": report.state.window.to.to_string(), "tally": report.state.tally});
            if !progress(value) || self.is_stopping() {
                let message = format!("no longer followed; backfill {id} goes on by itself");
                return Err(Refusal::new(Exit::Unavailable, message));
            }
            pause(FOLLOW_PERIOD);
        }
    }

    /// The feeds that are meant: one source's, or every source's that has it.
    fn chosen<C>(
        &self,
        source: Option<&str>,
        feed: impl Fn(&super::RunningSource) -> Option<FeedHandle<C>>,
    ) -> Result<Vec<(SourceName, FeedHandle<C>)>, Refusal> {
        let sources = lock(&self.sources);
        let meant = sources
            .iter()
            .filter(|s| source.is_none_or(|name| s.config.name.as_str() == name))
            .filter_map(|s| Some((s.config.name.clone(), feed(s)?)));
        let meant: Vec<_> = meant.collect();
        if meant.is_empty() {
            let message = match source {
                Some(name) => format!("no source \"{name}\" with this feed is configured"),
                None => "no source with this feed is configured".to_owned(),
            };
            return Err(Refusal::new(Exit::Usage, message));
        }
        Ok(meant)
    }

    /// One long command of the store at a time: each reads or rewrites all of it.
    fn alone(&self, request: &Request) -> Result<Value, Refusal> {
        let Ok(_only) = self.store_command.try_lock() else {
            let message = "another verify, compact or backup is running";
            return Err(Refusal::new(Exit::Unavailable, message));
        };
        of_store(&self.store, self.clock.now(), request)
    }
}

/// What only the store is needed for, whether a daemon runs or not.
pub(super) fn of_store(store: &Store, now: Now, request: &Request) -> Result<Value, Refusal> {
    let done = match request {
        Request::StoreFlush => store.flush(now).map(|()| json!({"flushed": true})),
        Request::StoreVerify => store.verify().map(|verified| plain(&verified)),
        Request::StoreStats => store.stats().map(|stats| plain(&stats)),
        Request::StoreCompact => store.compact(now).and_then(|()| compacted(store)),
        Request::StoreBackup { file } => {
            let written = store.backup(file);
            written.map(|()| json!({"file": file}))
        }
        _ => {
            let message = "this needs a running daemon";
            return Err(Refusal::new(Exit::Unavailable, message));
        }
    };
    done.map_err(refuse_store)
}

fn compacted(store: &Store) -> Result<Value, StoreError> {
    let stats = store.stats()?;
    Ok(json!({"live_bytes": stats.live_bytes, "allocated_bytes": stats.allocated_bytes}))
}

/// A backfill as it was asked for.
struct Wish {
    window: Window,
    queue: Option<QueueId>,
    dry_run: bool,
    follow: bool,
}

fn window(from: WallTime, to: WallTime) -> Result<Window, Refusal> {
    let first = IntervalStart::containing(from);
    let last = IntervalStart::containing(to);
    // A moment inside an interval means the whole of it.
    let last = if last.start() == to {
        last
    } else {
        last.plus(1)
    };
    let window = Window::new(first, last);
    if window.is_empty() {
        return Err(Refusal::new(Exit::Usage, "--from lies not before --to"));
    }
    Ok(window)
}

fn queue_id(text: &str) -> Result<QueueId, Refusal> {
    QueueId::new(text).map_err(|error| Refusal::new(Exit::Usage, error.to_string()))
}

fn reported(report: &BackfillReport) -> Value {
    let mut value = plain(report);
    if let (Value::Object(map), Some(begins)) = (&mut value, report.history_begins()) {
        map.insert("history_begins".to_owned(), begins.to_string().into());
    }
    value
}

pub(super) fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("answers are plain data with text keys")
}

fn send<C>(feed: &FeedHandle<C>, command: C) -> Result<(), Refusal> {
    if feed.send(command) {
        return Ok(());
    }
    let message = "the feed is busy or stopping; ask again";
    Err(Refusal::new(Exit::Unavailable, message))
}

fn receive<T>(answer: &Receiver<T>, timeout: Duration) -> Result<T, Refusal> {
    let message = "the feed did not answer in time; it goes on by itself";
    answer
        .recv_timeout(timeout)
        .map_err(|_| Refusal::new(Exit::Unavailable, message))
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn refuse_store(error: StoreError) -> Refusal {
    let exit = match error {
        StoreError::InUse { .. } => Exit::AlreadyRunning,
        _ => Exit::Io,
    };
    Refusal::new(exit, error.to_string())
}

pub(super) fn refuse_reload(error: ReloadError) -> Refusal {
    if let ReloadError::Config(errors) = error {
        return refuse_errors(errors);
    }
    let exit = match &error {
        ReloadError::Config(_) | ReloadError::NeedsRestart(_) | ReloadError::Tls(_) => {
            Exit::Configuration
        }
        ReloadError::NoFile => Exit::Usage,
        ReloadError::Stopping | ReloadError::Hanging(_) | ReloadError::Start(_) => {
            Exit::Unavailable
        }
    };
    Refusal::new(exit, error.to_string())
}
