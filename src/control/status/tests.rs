use super::*;

/// A box with one feed and one held destination.
pub(in super::super) fn example() -> Status {
    let at = WallTime::from_s(1_785_000_000);
    Status {
        version: "0.1.0".into(),
        box_id: "front-desk".into(),
        store_id: "0".repeat(32),
        pid: 7,
        at,
        started_at: at,
        ready: true,
        configuration: ConfigurationStatus::default(),
        feeds: vec![FeedStatus {
            source: "main".into(),
            feed: "realtime".into(),
            phase: "running".into(),
            held: None,
            next_in_s: Some(3),
            last_success_at: Some(at),
            last_complete_poll_at: None,
            last_data_at: None,
            consecutive_failures: 0,
            last_error: None,
            clock_offset_ms: Some(-20),
            lag_s: 1,
            is_stale: false,
            counts: FeedCounts {
                rows_received: 60,
                rows_unchanged: 60,
                ..FeedCounts::default()
            },
            balanced: true,
            details: serde_json::Map::new(),
        }],
        destinations: vec![DestinationStatus {
            name: "wfm".into(),
            kind: "sqlite".into(),
            phase: "held".into(),
            held: Some("no <such> table".into()),
            remedy: Some("create it".into()),
            next_in_s: Some(60),
            backlog: 12,
            oldest_unsent_at: Some(at),
            oldest_unsent_age_s: Some(0),
            acknowledged: 30,
            filtered: 0,
            skipped: 0,
            quarantined: 0,
            expired: 0,
            damaged: 0,
            balanced: true,
            batch_records: 100,
            consecutive_failures: 1,
            last_error: Some("no <such> table".into()),
            ..DestinationStatus::default()
        }],
        store: StoreStatus {
            first_seq: 1,
            last_seq: 42,
            ..StoreStatus::default()
        },
        workers: Vec::new(),
        problems: vec![Problem {
            since: Some(at),
            ..Problem::new(AlarmCode::DestinationHeld, "wfm", "no <such> table")
                .with_remedy("create it")
        }],
        alarms: AlarmsStatus::default(),
        expiries: vec![ExpiryStatus {
            name: "control: certificate".into(),
            kind: "certificate".into(),
            place: "file /etc/thrio-edge/control.pem".into(),
            since: Some(at),
            until: Some(WallTime::from_s(1_793_000_000)),
            looked_at: Some(at),
            error: None,
        }],
    }
}

#[test]
fn a_status_survives_its_way_through_json() {
    let status = example();
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.contains("\"at\":\"2026-07-25T17:20:00Z\""), "{text}");
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}

#[test]
fn the_one_line_names_readiness_and_backlog() {
    assert_eq!(
        example().to_string(),
        "ready: 1 feeds, 1 destinations, 42 records journaled, backlog 12, 1 problems"
    );
}
