//! The settings of the historical feed, with the design's defaults.

use std::time::Duration;

/// Whether rows say which interval they are about (`interval_from`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IntervalFrom {
    /// Each row names its interval: one call covers many.
    #[default]
    Row,
    /// Rows carry no interval: each call asks for a single one, and its rows take that.
    Request,
}

/// Where a row's queue comes from (`queue_from`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QueueFrom {
    /// Each row names its queue.
    #[default]
    Row,
    /// The rows are the values of a map whose keys are the queues.
    Key,
    /// Rows carry no queue: each call asks for a single one.
    Request,
}

/// How the historical feed is run (domain rules 2, 3, 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoricalOptions {
    /// How long after its end an interval is first asked for.
    pub settle_delay: Duration,
    /// A fixed part of the settle delay that is drawn once per start, from zero to this, so that a
    /// fleet of boxes does not ask in the same second.
    pub start_jitter: Duration,
    /// Closed intervals that each 15-minute run reads.
    pub live_intervals: u32,
    /// How far back the hourly run reads.
    pub hourly_span: Duration,
    /// How far back the nightly run reads.
    pub nightly_span: Duration,
    /// When the nightly run is due, after midnight UTC.
    pub night_at: Duration,
    /// How far back gaps heal by themselves, and how much history before the installation is
    /// fetched once.
    pub max_backfill: Duration,
    /// The longest window of one call.
    pub window_max: Duration,
    /// The most rows that one call is sized for (queues x intervals).
    pub window_rows_max: u32,
    /// Silence about a queue of the roster means that it had no contacts.
    pub missing_means_zero: bool,
    /// Whether rows say which interval they are about.
    pub interval_from: IntervalFrom,
    /// Where a row's queue comes from.
    pub queue_from: QueueFrom,
    /// Calls carry the list of active queues (a request template holds `{queues}`).
    pub name_queues: bool,
    /// The least time between two calls of hourly, nightly, healing and manual runs.
    pub bulk_spacing: Duration,
    /// The least time between two calls where each asks for a single interval or queue.
    pub request_spacing: Duration,
    /// The shortest wait after a failure.
    pub backoff_min: Duration,
    /// The longest wait after a failure, unless the source asks for more.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is honoured.
    pub retry_after_max: Duration,
    /// How often a held feed (403) is tried again.
    pub held_retry: Duration,
}

impl Default for HistoricalOptions {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        const DAY: Duration = Duration::from_hours(24);
        Self {
            settle_delay: 5 * MINUTE,
            start_jitter: Duration::from_secs(30),
            live_intervals: 9,
            hourly_span: DAY,
            nightly_span: 7 * DAY,
            night_at: 150 * MINUTE,
            max_backfill: 35 * DAY,
            window_max: DAY,
            window_rows_max: 20_000,
            missing_means_zero: false,
            interval_from: IntervalFrom::Row,
            queue_from: QueueFrom::Row,
            name_queues: false,
            bulk_spacing: Duration::from_secs(5),
            request_spacing: Duration::from_millis(250),
            backoff_min: Duration::from_secs(5),
            backoff_max: 5 * MINUTE,
            retry_after_max: 60 * MINUTE,
            held_retry: 15 * MINUTE,
        }
    }
}
