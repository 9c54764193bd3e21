//! The thread that looks after the others: the store's upkeep, workers that died or hang, the
//! watchdog, and the salvage of a damaged store in the background.
//!
//! The watchdog is only fed while every worker steps in time, and this thread with them: if the
//! store hangs under [`Store::maintain`](crate::store::Store::maintain), the service manager acts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::stopping::Remaining;
use super::watch::{OnDisk, Watch};
use super::worker::WorkerThread;
use super::{Parts, lock};
use crate::clock::{Clock, SystemClock};
use crate::control::status::WorkerStatus;
use crate::domain::alarm::GrowthMeter;
use crate::domain::delivery::DeliveryProgress;
use crate::domain::ids::DestinationName;
use crate::domain::retention::Pressure;
use crate::domain::timestamp::MonoTime;
use crate::lifecycle::restart_delay::{RestartDelay, WELL_AFTER};
use crate::lifecycle::service_manager;
use crate::stop::{StopToken, Woken};
use crate::store::Maintained;

/// How often workers are looked at, in real time.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How often the store is maintained, in real time.
const MAINTAIN_PERIOD: Duration = Duration::from_secs(3);

/// What upkeep has found out.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Why the store could not be maintained the last time, if it could not.
    pub(super) store_error: Option<String>,
    /// Bytes that the journal's file takes on its disk.
    pub(super) allocated_bytes: Option<u64>,
    /// Bytes of what the journal holds.
    pub(super) live_bytes: Option<u64>,
    /// Bytes that its file system has left.
    pub(super) free_bytes: Option<u64>,
    /// How fast the journal grows.
    pub(super) growth: GrowthMeter,
    /// How full the store is.
    pub(super) pressure: Option<Pressure>,
    /// Records that were given up before every destination had them.
    pub(super) expired: u64,
    /// When the last of them were, since the start.
    pub(super) given_up_at: Option<MonoTime>,
    /// Damaged stores that were set aside since the start, and what became of them.
    pub(super) replaced: Vec<String>,
    /// Workers that did not end in time.
    pub(super) cut_off: Vec<String>,
    /// How the configuration on disk differs from what runs.
    pub(super) on_disk: Option<OnDisk>,
    /// What the destinations lacked when they ended.
    pub(super) remaining: Vec<Remaining>,
}

/// The thread. Dropping it ends and joins it.
pub(super) struct Upkeep {
    stop: StopToken,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(super) fn spawn(parts: &Arc<Parts>) -> std::io::Result<Self> {
        let stop = StopToken::new();
        let thread = Builder::new().name("upkeep".to_owned()).spawn({
            let (parts, stop) = (Arc::clone(parts), stop.clone());
            move || {
                let _guard = EndOnPanic(&parts);
                look_after(&parts, &stop);
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

/// Nobody looks after this thread: where it panics, it ends the process itself.
struct EndOnPanic<'a>(&'a Parts);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0.on_failure)("upkeep");
        }
    }
}

fn look_after(parts: &Arc<Parts>, stop: &StopToken) {
    let clock = SystemClock::new();
    let watchdog_period = service_manager::watchdog_period().unwrap_or(LOOK_PERIOD);
    let period = LOOK_PERIOD.min(watchdog_period);
    let mut maintained_at = MonoTime::ZERO;
    let mut told = false;
    let mut watch = Watch::default();
    let mut starts = RestartDelay::of_service();
    while stop.wait(period) != Woken::Stopped {
        if parts.is_stopping() {
            continue;
        }
        let workers = parts.workers();
        if let Some(dead) = parts.dead_worker().filter(|_| !told) {
            told = true;
            tracing::error!(
                worker = dead,
                "a worker died; the process ends and is to be started again"
            );
            (parts.on_failure)(&dead);
        }
        if workers.iter().all(|worker| worker.in_time) {
            service_manager::watchdog();
        }
        let now = clock.now().mono;
        if now.since_start() >= WELL_AFTER
            && let Some(starts) = starts.take()
        {
            starts.well();
        }
        watch.look(parts, now);
        if now.since(maintained_at) >= MAINTAIN_PERIOD {
            maintained_at = now;
            maintain(parts);
            parts.reconcile_where_due();
        }
    }
}

fn maintain(parts: &Arc<Parts>) {
    let configured = parts.configured_destinations();
    match parts.store.maintain(parts.clock.now(), &configured) {
        Ok(maintained) => {
            note(parts, &maintained);
            for replaced in maintained.replaced {
                let text = format!("{} ({})", replaced.aside.display(), replaced.reason);
                lock(&parts.health).replaced.push(text);
                salvage_in_background(parts, replaced.aside, replaced.cursors);
            }
        }
        Err(error) => {
            let text = error.to_string();
            let known = lock(&parts.health).store_error.replace(text.clone());
            if known.as_ref() != Some(&text) {
                tracing::error!(%error, "the store's upkeep failed; it is tried again");
            }
        }
    }
    parts.watch_expiries();
    let picture = parts.picture();
    parts.observe(&picture);
    let alarms = picture.problems.into_iter().map(|problem| problem.code);
    let mut alarms: Vec<String> = alarms.collect();
    alarms.sort();
    alarms.dedup();
    parts.facts.set_alarms(alarms);
    service_manager::status(&parts.summary());
}

fn note(parts: &Parts, maintained: &Maintained) {
    if maintained.expired > 0 {
        tracing::error!(
            records = maintained.expired,
            "the store is full: records were given up before every destination had them"
        );
    }
    for range in &maintained.damaged {
        tracing::error!(first = %range.first, last = %range.last, "unreadable records were set aside");
    }
    if maintained.compacted {
        tracing::info!("the store was compacted");
    }
    let stats = parts.store.stats().ok();
    let now = parts.clock.now().mono;
    let mut health = lock(&parts.health);
    health.growth.observe(now, parts.store.head().get());
    health.store_error = None;
    health.pressure = maintained.pressure;
    if maintained.expired > 0 {
        health.given_up_at = Some(now);
    }
    if let Some(stats) = stats {
        health.allocated_bytes = Some(stats.allocated_bytes);
        health.free_bytes = stats.free_bytes;
        health.live_bytes = Some(stats.live_bytes);
        health.expired = stats.expired;
    }
}

/// Brings what is intact of a damaged store into the one that runs.
pub(super) fn salvage_in_background(
    parts: &Arc<Parts>,
    aside: PathBuf,
    cursors: Vec<(DestinationName, DeliveryProgress)>,
) {
    let shared = Arc::clone(parts);
    let spawned = Builder::new().name("salvage".to_owned()).spawn(move || {
        let configured = shared.configured_destinations();
        let now = shared.clock.now();
        let file = aside.display().to_string();
        match shared.store.salvage(&aside, &cursors, &configured, now) {
            Ok(salvaged) => tracing::warn!(
                file,
                records = salvaged.records,
                superseded = salvaged.superseded,
                lost = salvaged.lost,
                "what was intact of the damaged store is journaled again"
            ),
            Err(error) => tracing::error!(file, %error, "the damaged store could not be read"),
        }
        shared.bells.ring();
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread for the salvage of the damaged store");
    }
}

impl Parts {
    /// Whose cursors pin the journal.
    pub(super) fn configured_destinations(&self) -> Vec<DestinationName> {
        let applied = lock(&self.applied);
        applied
            .config
            .destinations
            .iter()
            .map(|d| d.name.clone())
            .collect()
    }

    /// The first worker whose thread has ended although nobody asked it to.
    fn dead_worker(&self) -> Option<String> {
        if self.stopping.load(Ordering::Acquire) {
            return None;
        }
        let ended =
            |worker: &WorkerThread| worker.thread.is_finished().then(|| worker.name.clone());
        let sources = lock(&self.sources);
        let feed = sources
            .iter()
            .flat_map(|s| &s.workers)
            .find_map(|(_, w)| ended(w));
        drop(sources);
        let destination = || {
            lock(&self.destinations)
                .iter()
                .find_map(|d| ended(&d.worker))
        };
        let alarm = || self.alarms.is_dead().then(|| "alarm".to_owned());
        let expiry = || self.expiries.is_dead().then(|| "expiry".to_owned());
        feed.or_else(destination).or_else(alarm).or_else(expiry)
    }

    /// Each worker, and whether it steps in time.
    pub(super) fn workers(&self) -> Vec<WorkerStatus> {
        let started = self.started.mono;
        let seen = |worker: &WorkerThread, step| {
            let note = worker.lateness(step, started, &*self.clock);
            WorkerStatus {
                name: worker.name.clone(),
                in_time: note.is_none(),
                note,
            }
        };
        let sources = lock(&self.sources);
        let feeds = sources.iter().flat_map(|source| {
            let workers = source.workers.iter();
            workers.map(|(feed, worker)| seen(worker, source.step(*feed)))
        });
        let mut all: Vec<WorkerStatus> = feeds.collect();
        drop(sources);
        let destinations = lock(&self.destinations);
        all.extend(destinations.iter().map(|d| seen(&d.worker, d.step())));
        all
    }
}
