//! The status, put together from the last report of every worker.

use serde_json::{Map, Value, json};

use super::box_facts::lag_s;
use super::destinations::RunningDestination;
use super::sources::RunningSource;
use super::watch::OnDisk;
use super::{Parts, lock, problems};
use crate::collector::{FeedDetail, FeedReport};
use crate::config::DestinationConfig;
use crate::control::status::{
    ConfigurationStatus, DestinationStatus, FeedStatus, ReplayStatus, Status, StoreStatus,
};
use crate::domain::configuration::ConfigurationStatus as ImportStatus;
use crate::domain::delivery::{DeliveryBalance, DeliveryPhase, Pace, Replay};
use crate::domain::health::FeedState;
use crate::domain::historical::{HistoricalPhase, HistoricalStatus};
use crate::domain::ids::Feed;
use crate::domain::realtime::{RealtimeStatus, polling_loss};
use crate::domain::retention::{self, Budget, Usage};
use crate::domain::timestamp::{MonoTime, Now};
use crate::store::Store;

impl Parts {
    /// The picture of this moment.
    pub(super) fn picture(&self) -> Status {
        let now = self.clock.now();
        let workers = self.workers();
        let feeds: Vec<FeedStatus> = {
            let sources = lock(&self.sources);
            sources
                .iter()
                .flat_map(|source| feeds(source, now))
                .collect()
        };
        let destinations: Vec<DestinationStatus> = {
            let live_bytes = lock(&self.health).live_bytes;
            let (nights, destinations) = (lock(&self.nights), lock(&self.destinations));
            let of = |running: &RunningDestination| {
                let mut status = destination(running, now);
                status.backlog_bytes = backlog_bytes(status.backlog, &self.store, live_bytes);
                status.last_reconcile = nights.last(&running.config.name);
                status
            };
            destinations.iter().map(of).collect()
        };
        let store = self.store_status();
        let in_time = workers.iter().all(|worker| worker.in_time);
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            box_id: self.store.box_id().to_string(),
            store_id: self.store.store_id().to_string(),
            pid: std::process::id(),
            at: now.wall,
            started_at: self.started.wall,
            ready: in_time && store.error.is_none() && !self.is_stopping(),
            configuration: self.configuration_status(),
            feeds,
            destinations,
            store,
            workers,
            problems: Vec::new(),
            alarms: self.alarms_status(),
            expiries: self.expiry_status(),
        };
        status.problems = problems::of(&status, &self.configuration_warnings());
        self.date(&mut status);
        status
    }

    /// One line for the service manager.
    pub(super) fn summary(&self) -> String {
        self.picture().to_string()
    }

    fn configuration_status(&self) -> ConfigurationStatus {
        let (file_error, file_differs) = match lock(&self.health).on_disk.clone() {
            Some(OnDisk::Invalid(why)) => (Some(why), Vec::new()),
            Some(OnDisk::Differs(names)) => (None, names),
            None => (None, Vec::new()),
        };
        let applied = lock(&self.applied);
        ConfigurationStatus {
            file: self.file.as_ref().map(|file| file.display().to_string()),
            loaded_at: Some(applied.at),
            reload_error: applied.reload_error.clone(),
            file_error,
            file_differs,
        }
    }

    fn configuration_warnings(&self) -> Vec<(String, String, String)> {
        let applied = lock(&self.applied);
        let warnings = applied.config.warnings.iter().map(|warning| {
            let hint = warning.hint.clone().unwrap_or_default();
            (warning.field.clone(), warning.message.clone(), hint)
        });
        warnings.collect()
    }

    fn store_status(&self) -> StoreStatus {
        let (max_bytes, min_free) = {
            let applied = lock(&self.applied);
            let store = &applied.config.store;
            (store.max_bytes, store.min_free)
        };
        let health = lock(&self.health);
        let budget_bytes = health.allocated_bytes.map(|allocated| {
            let usage = Usage {
                live: health.live_bytes.unwrap_or(0),
                allocated,
                free: health.free_bytes,
            };
            let budget = Budget {
                max_bytes,
                min_free,
            };
            retention::budget_bytes(usage, budget)
        });
        StoreStatus {
            first_seq: self.store.first().get(),
            last_seq: self.store.head().get(),
            allocated_bytes: health.allocated_bytes,
            free_bytes: health.free_bytes,
            pressure: health
                .pressure
                .map(|pressure| format!("{pressure:?}").to_lowercase()),
            expired: health.expired,
            given_up_ago_s: health
                .given_up_at
                .map(|at| self.clock.now().mono.since(at).as_secs()),
            max_bytes,
            live_bytes: health.live_bytes,
            budget_bytes,
            records_per_h: health.growth.records_per_h(),
            installed_at: Some(self.store.installed_at()),
            error: health.store_error.clone(),
            replaced: health.replaced.clone(),
        }
    }
}

fn feeds(source: &RunningSource, now: Now) -> Vec<FeedStatus> {
    let running = source.workers.iter().map(|(feed, _)| {
        let report = source.board.report(*feed);
        report.map_or_else(
            || blank(source, *feed, "starting", None),
            |report| feed_status(source, *feed, report, now),
        )
    });
    let broken = source
        .broken
        .iter()
        .map(|(feed, why)| blank(source, *feed, "broken", Some(why.clone())));
    running.chain(broken).collect()
}

fn blank(source: &RunningSource, feed: Feed, phase: &str, held: Option<String>) -> FeedStatus {
    let state = FeedState::new(source.config.name.clone(), feed);
    stated(&state, phase.to_owned(), held)
}

/// What every feed has to say.
pub(super) fn stated(state: &FeedState, phase: String, held: Option<String>) -> FeedStatus {
    FeedStatus {
        source: state.source.to_string(),
        feed: state.feed.to_string(),
        phase,
        held,
        next_in_s: None,
        last_success_at: state.last_success_at,
        last_complete_poll_at: state.last_complete_poll_at,
        last_data_at: state.last_data_at,
        consecutive_failures: state.consecutive_failures,
        last_error: state.last_error.clone(),
        clock_offset_ms: state.clock_offset_ms,
        lag_s: 0,
        is_stale: false,
        counts: state.counts,
        balanced: state.counts.rows_balance(),
        details: Map::new(),
    }
}

fn feed_status(source: &RunningSource, feed: Feed, report: FeedReport, now: Now) -> FeedStatus {
    let lag_s = lag_s(&report, now);
    let (phase, held, next_at, details) = match &report.detail {
        FeedDetail::Realtime(status) => (
            status.phase.as_str(),
            status.phase.held().map(str::to_owned),
            status.next_at,
            realtime_details(status),
        ),
        FeedDetail::Historical(status) => (
            historical_phase(status),
            status.held.clone(),
            status.next_at,
            historical_details(status, source),
        ),
        FeedDetail::Configuration(status) => (
            status.phase.as_str(),
            status.phase.held().map(str::to_owned),
            status.next_at,
            configuration_details(status),
        ),
    };
    let mut details = details;
    if let Some(error) = report.store_error {
        details.insert("store_error".to_owned(), error.into());
    }
    if held.is_some() && source.has_password_of_start(feed) {
        details.insert("password_of_start".to_owned(), true.into());
    }
    let is_stale = matches!(&report.detail, FeedDetail::Realtime(status) if status.is_stale);
    debug_assert_eq!(&report.state.source, &source.config.name);
    debug_assert_eq!(report.state.feed, feed);
    FeedStatus {
        next_in_s: Some(in_s(next_at, now)),
        lag_s,
        is_stale,
        details,
        ..stated(&report.state, phase.to_owned(), held)
    }
}

fn in_s(at: MonoTime, now: Now) -> u64 {
    at.since(now.mono).as_secs()
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("details are an object, not {other}"),
    }
}

fn realtime_details(status: &RealtimeStatus) -> Map<String, Value> {
    let loss = polling_loss(status.period);
    let unmapped: Vec<&str> = status.unmapped.iter().map(|u| u.state.as_str()).collect();
    map(json!({
        "period_s": status.period.as_secs(),
        "talk_never_seen_permille": loss.talk_permille,
        "between_calls_never_seen_permille": loss.between_calls_permille,
        "agents": status.agents,
        "snapshot_unsaid": status.snapshot_unsaid,
        "unmapped_states": unmapped,
        "guarded_since": status.guarded_since.map(|at| at.to_string()),
        "mass_absence": status.mass_absence,
        "labelled_by": format!("{:?}", status.labelled_by).to_lowercase(),
        "rejected_rows": status.rejected.count,
        "rejected_samples": samples(&status.rejected.samples),
    }))
}

fn samples<R: ToString>(rejected: &[(R, String)]) -> Vec<String> {
    let text = |(reason, detail): &(R, String)| format!("{}: {detail}", reason.to_string());
    rejected.iter().map(text).collect()
}

fn historical_phase(status: &HistoricalStatus) -> &'static str {
    match status.phase {
        HistoricalPhase::Asking(_) => "asking",
        HistoricalPhase::Waiting => "waiting",
        HistoricalPhase::BackingOff => "backing_off",
        HistoricalPhase::Held => "held",
        HistoricalPhase::NoQueues => "no_queues",
    }
}

fn historical_details(status: &HistoricalStatus, source: &RunningSource) -> Map<String, Value> {
    let historical = source.config.historical.as_ref();
    let max_backfill = historical.map(|feed| feed.options.max_backfill.as_secs());
    let runs: Map<String, Value> = status
        .runs
        .iter()
        .map(|(run, left)| (run.as_str().to_owned(), (*left).into()))
        .collect();
    let coverage = &status.coverage;
    map(json!({
        "runs_left": runs,
        "intervals_missing": coverage.missing,
        "intervals_missing_before_installation": coverage.history,
        "intervals_given_up": coverage.failed,
        "intervals_provisional": coverage.provisional,
        "max_backfill_s": max_backfill,
        "oldest_missing": coverage.oldest_missing.map(|at| at.to_string()),
        "backfills": status.backfills,
    }))
}

fn configuration_details(status: &ImportStatus) -> Map<String, Value> {
    map(json!({
        "importing": status.importing,
        "held_queues": status.held_queues,
        "held_agents": status.held_agents,
        "rejected_rows": status.rejected.count,
        "rejected_samples": samples(&status.rejected.samples),
    }))
}

/// A destination as the store remembers it.
pub(super) fn remembered_destination(
    config: &DestinationConfig,
    store: &Store,
) -> DestinationStatus {
    let progress = store.progress(&config.name);
    let last_seq = store.head();
    let balance = DeliveryBalance {
        last_seq,
        counts: progress.counts,
        backlog: last_seq.get().saturating_sub(progress.counts.total()),
    };
    let mut status = blank_destination(config, "not running");
    count(&mut status, &balance);
    status
}

fn blank_destination(config: &DestinationConfig, phase: &str) -> DestinationStatus {
    DestinationStatus {
        name: config.name.to_string(),
        kind: config.target.kind().to_owned(),
        phase: phase.to_owned(),
        balanced: true,
        ..DestinationStatus::default()
    }
}

fn count(status: &mut DestinationStatus, balance: &DeliveryBalance) {
    let counts = balance.counts;
    status.backlog = balance.backlog;
    status.acknowledged = counts.acknowledged;
    status.filtered = counts.filtered;
    status.skipped = counts.skipped;
    status.quarantined = counts.quarantined;
    status.expired = counts.expired;
    status.damaged = counts.damaged;
    status.balanced = balance.holds();
}

fn pace(status: &mut DestinationStatus, pace: &Pace) {
    // To a tenth: it is a rate of the last minute.
    status.rate_per_s = pace.done_per_s().map(|rate| (rate * 10.0).round() / 10.0);
    status.trend = Some(pace.trend().as_str().to_owned());
    status.time_left_s = pace.time_left().map(|left| left.as_secs());
}

fn replay_status(replay: Replay) -> ReplayStatus {
    ReplayStatus {
        next_seq: replay.remaining.first.get(),
        to_seq: replay.remaining.last.get(),
        remaining: replay.remaining.count(),
        sent: replay.sent,
    }
}

/// The part of the journal's bytes that the backlog takes, as if every record were as large as the
/// others.
fn backlog_bytes(backlog: u64, store: &Store, live_bytes: Option<u64>) -> Option<u64> {
    let kept = store.head().next().since(store.first());
    let bytes = u128::from(live_bytes?) * u128::from(backlog.min(kept));
    u64::try_from(bytes / u128::from(kept.max(1))).ok()
}

fn destination(running: &RunningDestination, now: Now) -> DestinationStatus {
    let report = running.handle.report();
    let mut status = blank_destination(&running.config, "starting");
    let Some(report) = report else {
        return status;
    };
    let delivery = report.status;
    delivery.phase.as_str().clone_into(&mut status.phase);
    match delivery.phase {
        DeliveryPhase::Held {
            reason,
            remedy,
            until,
        } => {
            status.held = Some(reason);
            status.remedy = Some(remedy);
            status.next_in_s = Some(in_s(until, now));
        }
        DeliveryPhase::Waiting { until } => status.next_in_s = Some(in_s(until, now)),
        _ => {}
    }
    count(&mut status, &delivery.balance);
    status.oldest_unsent_at = report.oldest_unsent_at.filter(|_| status.backlog > 0);
    status.oldest_unsent_age_s = status
        .oldest_unsent_at
        .map(|at| u64::try_from(now.wall.ms_since(at) / 1000).unwrap_or(0));
    pace(&mut status, &delivery.pace);
    status.live_first = delivery.live_from.is_some();
    status.last_acknowledged_at = delivery.last_acknowledged_at;
    status.held_since = delivery.held_since;
    status.replay = delivery.replay.map(replay_status);
    status.retries_waiting = delivery.retries_waiting;
    status.resends_waiting = delivery.resends_waiting;
    status.batch_records = delivery.batch_records;
    status.consecutive_failures = delivery.consecutive_failures;
    status.last_error = delivery.last_error.or(report.store_error);
    status.last_success_s_ago = delivery.last_success.map(|at| now.mono.since(at).as_secs());
    status
}
