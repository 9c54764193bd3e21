//! The status as `OpenMetrics` text, made anew for each scrape from one picture, so that figures of
//! one scrape fit each other. Names carry their unit; counters get `_total` from the encoder.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::status::{DestinationStatus, ExpiryStatus, FeedStatus, Severity, Status, StoreStatus};
use crate::domain::timestamp::WallTime;

/// What the answer must say of itself for scrapers to read it as `OpenMetrics`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(String, String)>;

/// The text of a scrape.
pub fn encode(status: &Status) -> String {
    let mut registry = Registry::with_prefix("thrio_edge");
    register_box(&mut registry, status);
    register_feeds(&mut registry, &status.feeds);
    register_destinations(&mut registry, &status.destinations);
    let mut text = String::new();
    encode_text(&mut text, &registry).expect("writing to a string cannot fail");
    text
}

fn register_box(registry: &mut Registry, status: &Status) {
    let labels = |pairs: &[(&str, &str)]| labels(pairs);
    let version = [(labels(&[("version", &status.version)]), 1)];
    gauge(
        registry,
        "build_info",
        "The running version, always 1",
        version,
    );
    let one = |value: i64| [(Vec::new(), value)];
    gauge(
        registry,
        "ready",
        "1 where the store is open and every worker steps in time",
        one(i64::from(status.ready)),
    );
    seconds(
        registry,
        "start_time",
        "When the process started, Unix time",
        one(status.started_at.s()),
    );
    let last = [(Vec::new(), status.store.last_seq)];
    counter(
        registry,
        "records_journaled",
        "Records journaled since the store began",
        last,
    );
    bytes(
        registry,
        "store_allocated",
        "Allocated bytes of the journal's file",
        status
            .store
            .allocated_bytes
            .map(|bytes| (Vec::new(), bytes)),
    );
    bytes(
        registry,
        "store_budget",
        "Bytes that the journal may allocate",
        [(Vec::new(), status.store.max_bytes)],
    );
    register_store(registry, &status.store);
    register_alarms(registry, status);
    register_expiries(registry, &status.expiries);
    let count = |severity| {
        status
            .problems
            .iter()
            .filter(|p| p.severity == severity)
            .count()
    };
    let problems = [Severity::Error, Severity::Warning].map(|severity| {
        let number = i64::try_from(count(severity)).unwrap_or(i64::MAX);
        (labels(&[("severity", severity.as_str())]), number)
    });
    gauge(
        registry,
        "problems",
        "What a person should know or do",
        problems,
    );
}

fn register_store(registry: &mut Registry, store: &StoreStatus) {
    bytes(
        registry,
        "store_free",
        "Bytes left on the journal's file system",
        store.free_bytes.map(|bytes| (Vec::new(), bytes)),
    );
    let kept = (store.last_seq + 1).saturating_sub(store.first_seq);
    gauge(
        registry,
        "store_kept_records",
        "Records that the journal still holds",
        [(Vec::new(), signed(kept))],
    );
    counter(
        registry,
        "store_expired_records",
        "Records given up for want of room before every destination had them",
        [(Vec::new(), store.expired)],
    );
    gauge(
        registry,
        "store_writes",
        "1 where the journal takes what is collected",
        [(Vec::new(), i64::from(store.error.is_none()))],
    );
}

fn register_alarms(registry: &mut Registry, status: &Status) {
    let alarms = status.problems.iter().map(|problem| {
        let labels = labels(&[
            ("code", &problem.code),
            ("severity", problem.severity.as_str()),
            ("subject", &problem.subject),
        ]);
        (labels, 1)
    });
    gauge(
        registry,
        "alarm",
        "1 for each thing that a person should know or do",
        alarms,
    );
    let workers = status.workers.iter().map(|worker| {
        let labels = labels(&[("worker", &worker.name)]);
        (labels, i64::from(worker.in_time))
    });
    gauge(
        registry,
        "worker_in_time",
        "1 where the worker steps in time",
        workers,
    );
    let failed = status.configuration.reload_error.is_some();
    gauge(
        registry,
        "configuration_reload_failed",
        "1 where the last reload changed nothing because of an error",
        [(Vec::new(), i64::from(failed))],
    );
}

fn register_expiries(registry: &mut Registry, expiries: &[ExpiryStatus]) {
    let given = |at: fn(&ExpiryStatus) -> Option<WallTime>| {
        let of = |e: &ExpiryStatus| labels(&[("name", &e.name), ("kind", &e.kind)]);
        expiries
            .iter()
            .filter_map(move |e| Some((of(e), at(e)?.s())))
    };
    seconds(
        registry,
        "expiry_time",
        "When a certificate or a token ends, Unix time",
        given(|expiry| expiry.until),
    );
    seconds(
        registry,
        "expiry_since_time",
        "Since when a certificate, token or password counts, Unix time",
        given(|expiry| expiry.since),
    );
}

fn register_feeds(registry: &mut Registry, feeds: &[FeedStatus]) {
    let of = |feed: &FeedStatus| labels(&[("source", &feed.source), ("feed", &feed.feed)]);
    let rows = feeds.iter().flat_map(|feed| {
        let counts = &feed.counts;
        [
            ("changed", counts.rows_changed),
            ("unchanged", counts.rows_unchanged),
            ("rejected", counts.rows_rejected),
        ]
        .map(|(outcome, count)| {
            let mut labels = of(feed);
            labels.push(("outcome".to_owned(), outcome.to_owned()));
            (labels, count)
        })
    });
    counter(
        registry,
        "feed_rows",
        "Rows of answers by what became of them",
        rows,
    );
    let received = feeds
        .iter()
        .map(|feed| (of(feed), feed.counts.rows_received));
    counter(
        registry,
        "feed_rows_received",
        "Rows that answers held",
        received,
    );
    let records = feeds.iter().map(|feed| (of(feed), feed.counts.records()));
    counter(
        registry,
        "feed_records",
        "Records journaled by the feed",
        records,
    );
    let answers = feeds.iter().map(|feed| (of(feed), feed.counts.answers));
    counter(
        registry,
        "feed_answers",
        "Calls that brought a usable answer",
        answers,
    );
    let failures = feeds.iter().map(|feed| (of(feed), feed.counts.failures));
    counter(registry, "feed_failures", "Calls that did not", failures);
    let lag = feeds.iter().map(|feed| (of(feed), signed(feed.lag_s)));
    seconds(registry, "feed_lag", "How far the feed lies behind", lag);
    let success = feeds
        .iter()
        .filter_map(|feed| Some((of(feed), feed.last_success_at?.s())));
    seconds(
        registry,
        "feed_last_success_time",
        "When the last usable answer came, Unix time",
        success,
    );
    let held = feeds
        .iter()
        .map(|feed| (of(feed), i64::from(feed.held.is_some())));
    gauge(
        registry,
        "feed_held",
        "1 where the feed waits for a person",
        held,
    );
    let stale = feeds
        .iter()
        .map(|feed| (of(feed), i64::from(feed.is_stale)));
    gauge(registry, "feed_stale", "1 where the feed is blind", stale);
    register_feed_details(registry, feeds);
}

fn register_feed_details(registry: &mut Registry, feeds: &[FeedStatus]) {
    let of = |feed: &FeedStatus| labels(&[("source", &feed.source), ("feed", &feed.feed)]);
    let balanced = feeds
        .iter()
        .map(|feed| (of(feed), i64::from(feed.balanced)));
    gauge(
        registry,
        "feed_balanced",
        "1 where rows received = changed + unchanged + rejected",
        balanced,
    );
    let failures = feeds
        .iter()
        .map(|feed| (of(feed), i64::from(feed.consecutive_failures)));
    gauge(
        registry,
        "feed_consecutive_failures",
        "Failures since the last success",
        failures,
    );
    let offsets = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for feed in feeds {
        if let Some(ms) = feed.clock_offset_ms.and_then(|ms| i32::try_from(ms).ok()) {
            offsets.get_or_create(&of(feed)).set(f64::from(ms) / 1000.0);
        }
    }
    registry.register_with_unit(
        "feed_clock_offset",
        "The source's clock minus the box's",
        Unit::Seconds,
        offsets,
    );
    let number = |name: &'static str| {
        feeds.iter().filter_map(move |feed| {
            let value = feed.details.get(name)?;
            let count = value.as_array().map(|list| list.len() as u64);
            Some((of(feed), signed(count.or(value.as_u64())?)))
        })
    };
    for (metric, help, detail) in [
        ("feed_agents", "Agents of the last complete poll", "agents"),
        (
            "feed_unmapped_states",
            "State texts that nobody mapped",
            "unmapped_states",
        ),
        (
            "feed_intervals_missing",
            "Quarter hours since the installation that are not there",
            "intervals_missing",
        ),
    ] {
        gauge(registry, metric, help, number(detail));
    }
}

/// What tells how a destination's backlog moves.
fn register_pace(registry: &mut Registry, destinations: &[DestinationStatus]) {
    let of = |d: &DestinationStatus| labels(&[("destination", &d.name), ("kind", &d.kind)]);
    let given = |value: fn(&DestinationStatus) -> Option<i64>| {
        destinations
            .iter()
            .filter_map(move |d| Some((of(d), value(d)?)))
            .collect::<Vec<_>>()
    };
    bytes(
        registry,
        "destination_backlog",
        "About the bytes of the journal that the backlog takes",
        destinations
            .iter()
            .filter_map(|d| Some((of(d), d.backlog_bytes?))),
    );
    seconds(
        registry,
        "destination_time_left",
        "When the backlog is gone if it shrinks on like this; absent where it does not",
        given(|d| d.time_left_s.map(signed)),
    );
    seconds(
        registry,
        "destination_last_acknowledged_time",
        "When a batch was last acknowledged, Unix time",
        given(|d| Some(d.last_acknowledged_at?.s())),
    );
    seconds(
        registry,
        "destination_held_since_time",
        "Since when it waits for a person, Unix time; absent where it does not",
        given(|d| Some(d.held_since?.s())),
    );
    gauge(
        registry,
        "destination_replay_remaining_records",
        "Positions that a replay has still to send",
        given(|d| Some(d.replay.map_or(0, |replay| signed(replay.remaining)))),
    );
    gauge(
        registry,
        "destination_reconcile_differences",
        "Queue-days and agent-days that differed when it was last compared",
        given(|d| {
            d.last_reconcile
                .as_ref()
                .map(|last| signed(last.differences))
        }),
    );
    seconds(
        registry,
        "destination_reconcile_time",
        "When it was last compared, Unix time",
        given(|d| Some(d.last_reconcile.as_ref()?.at?.s())),
    );
}

fn register_destinations(registry: &mut Registry, destinations: &[DestinationStatus]) {
    register_pace(registry, destinations);
    let of = |d: &DestinationStatus| labels(&[("destination", &d.name), ("kind", &d.kind)]);
    let backlog = destinations.iter().map(|d| (of(d), signed(d.backlog)));
    gauge(
        registry,
        "destination_backlog_records",
        "Journaled and not acknowledged",
        backlog,
    );
    let age = destinations
        .iter()
        .map(|d| (of(d), signed(d.oldest_unsent_age_s.unwrap_or(0))));
    seconds(
        registry,
        "destination_oldest_unsent_age",
        "How long the oldest unsent record has waited since it was journaled",
        age,
    );
    let held = destinations
        .iter()
        .map(|d| (of(d), i64::from(d.held.is_some())));
    gauge(
        registry,
        "destination_held",
        "1 where it waits for a person",
        held,
    );
    let outcomes = destinations.iter().flat_map(|d| {
        [
            ("acknowledged", d.acknowledged),
            ("skipped", d.skipped),
            ("quarantined", d.quarantined),
            ("expired", d.expired),
            ("damaged", d.damaged),
        ]
        .map(|(outcome, count)| {
            let mut labels = of(d);
            labels.push(("outcome".to_owned(), outcome.to_owned()));
            (labels, count)
        })
    });
    counter(
        registry,
        "destination_records",
        "Records by what became of them",
        outcomes,
    );
    register_delivery(registry, destinations);
}

fn register_delivery(registry: &mut Registry, destinations: &[DestinationStatus]) {
    let of = |d: &DestinationStatus| labels(&[("destination", &d.name), ("kind", &d.kind)]);
    let balanced = destinations.iter().map(|d| (of(d), i64::from(d.balanced)));
    gauge(
        registry,
        "destination_balanced",
        "1 where last seq = skipped + acknowledged + quarantined + expired + damaged + backlog",
        balanced,
    );
    let failures = destinations
        .iter()
        .map(|d| (of(d), i64::from(d.consecutive_failures)));
    gauge(
        registry,
        "destination_consecutive_failures",
        "Failures since something was last taken",
        failures,
    );
    let batch = destinations
        .iter()
        .map(|d| (of(d), signed(d.batch_records as u64)));
    gauge(
        registry,
        "destination_batch_records",
        "Records per batch at present",
        batch,
    );
    let ages = destinations
        .iter()
        .filter_map(|d| Some((of(d), signed(d.last_success_s_ago?))));
    seconds(
        registry,
        "destination_last_success_age",
        "How long ago something was last taken",
        ages,
    );
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn counter(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn gauges(values: impl IntoIterator<Item = (Labels, i64)>) -> Family<Labels, Gauge> {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    family
}

fn gauge(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, i64)>,
) {
    registry.register(name, help, gauges(values));
}

fn seconds(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, i64)>,
) {
    registry.register_with_unit(name, help, Unit::Seconds, gauges(values));
}

fn bytes(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let values = values
        .into_iter()
        .map(|(labels, value)| (labels, signed(value)));
    registry.register_with_unit(name, help, Unit::Bytes, gauges(values));
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::example;
    use super::*;

    #[test]
    fn a_scrape_names_units_and_labels() {
        let text = encode(&example());
        for line in [
            "# TYPE thrio_edge_feed_rows counter",
            "thrio_edge_feed_rows_total{source=\"main\",feed=\"realtime\",outcome=\"unchanged\"} 60",
            "thrio_edge_feed_lag_seconds{source=\"main\",feed=\"realtime\"} 1",
            "thrio_edge_destination_backlog_records{destination=\"wfm\",kind=\"sqlite\"} 12",
            "thrio_edge_destination_held{destination=\"wfm\",kind=\"sqlite\"} 1",
            "thrio_edge_records_journaled_total{} 42",
            "thrio_edge_ready{} 1",
            "thrio_edge_expiry_time_seconds{name=\"control: certificate\",kind=\"certificate\"} 1793000000",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
