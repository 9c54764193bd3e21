use super::*;
use crate::control::status::AlarmWayStatus;

fn box_with(feeds: Vec<FeedStatus>, destinations: Vec<DestinationStatus>) -> Status {
    let picture = serde_json::json!({
        "version": "0.1.0", "box_id": "b", "store_id": "s", "pid": 1,
        "at": WallTime::from_s(0).to_string(), "started_at": WallTime::from_s(0).to_string(),
        "ready": true, "configuration": {"loaded_at": null}, "feeds": [], "destinations": [],
        "store": StoreStatus::default(), "workers": [], "problems": [],
    });
    Status {
        feeds,
        destinations,
        ..serde_json::from_value(picture).expect("a whole status")
    }
}

fn destination() -> DestinationStatus {
    DestinationStatus {
        name: "local".to_owned(),
        phase: "idle".to_owned(),
        balanced: true,
        ..DestinationStatus::default()
    }
}

fn check(destination: DestinationStatus, codes: &[&str]) {
    let found = of(&box_with(Vec::new(), vec![destination]), &[]);
    let found: Vec<&str> = found.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(found, codes);
}

#[test]
fn want_of_room_is_told_while_it_lasts_and_for_an_hour_after_it_cost_something() {
    let cases: [(StoreStatus, &[&str]); 6] = [
        (StoreStatus::default(), &[]),
        (room(Some("full"), None, 1 << 30), &["store_full"]),
        (room(Some("half"), None, 1 << 30), &[]),
        (room(Some("half"), Some(3_599), 1 << 30), &["store_full"]),
        (room(Some("half"), Some(3_600), 1 << 30), &[]),
        (room(Some("low"), None, 15 << 20), &["store_full"]),
    ];
    for (store, codes) in cases {
        let status = Status {
            store: store.clone(),
            ..box_with(Vec::new(), vec![destination()])
        };
        let found = of(&status, &[]);
        let found: Vec<&str> = found.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(found, codes, "{store:?}");
    }
}

fn room(pressure: Option<&str>, given_up_ago_s: Option<u64>, free_bytes: u64) -> StoreStatus {
    StoreStatus {
        pressure: pressure.map(str::to_owned),
        given_up_ago_s,
        free_bytes: Some(free_bytes),
        ..StoreStatus::default()
    }
}

#[test]
fn what_was_given_up_is_told_before_the_destination_comes_by_it() {
    let mut status = box_with(Vec::new(), vec![destination()]);
    status.store.expired = 7;
    let found = of(&status, &[]);
    let said: Vec<_> = found
        .iter()
        .map(|p| (p.code.as_str(), p.subject.as_str()))
        .collect();
    assert_eq!(said, [("records_lost", "store")]);
    status.destinations[0].expired = 7;
    let found = of(&status, &[]);
    assert_eq!(found.len(), 1, "once, by the destination: {found:?}");
}

#[test]
fn a_healthy_box_has_no_problem_and_one_lost_call_is_none() {
    check(destination(), &[]);
    let once = DestinationStatus {
        consecutive_failures: 1,
        ..destination()
    };
    check(once, &[]);
}

#[test]
fn what_waits_for_a_person_comes_first_with_its_remedy() {
    let held = DestinationStatus {
        held: Some("no such table".to_owned()),
        remedy: Some("create it".to_owned()),
        consecutive_failures: 9,
        quarantined: 2,
        ..destination()
    };
    check(held.clone(), &["destination_held", "quarantine"]);
    let found = of(&box_with(Vec::new(), vec![held]), &[]);
    assert_eq!(found[0].remedy, "create it");
    let warned = [("a".to_owned(), "m".to_owned(), "h".to_owned())];
    let failing = DestinationStatus {
        expired: 1,
        consecutive_failures: 9,
        ..destination()
    };
    let found = of(&box_with(Vec::new(), vec![failing]), &warned);
    let codes: Vec<&str> = found.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(
        codes,
        ["records_lost", "configuration", "destination_failing"]
    );
}

fn stuck_box(records_per_h: Option<u64>) -> Status {
    let held = DestinationStatus {
        held: Some("no such table".to_owned()),
        backlog: 100_000,
        ..destination()
    };
    let mut status = box_with(Vec::new(), vec![held]);
    status.store = StoreStatus {
        first_seq: 1,
        last_seq: 100_000,
        live_bytes: Some(2_000_000),
        budget_bytes: Some(64_000_000),
        records_per_h,
        ..StoreStatus::default()
    };
    status
}

#[test]
fn a_destination_that_takes_nothing_says_by_when_data_is_given_up() {
    // 2.4 million records fit, so that 2.3 million are left.
    let slow = of(&stuck_box(Some(10_000)), &[]);
    let codes: Vec<&str> = slow.iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["destination_held"]);
    assert_eq!(slow[0].by, Some(WallTime::from_s(230 * 3_600)));
    let fast = of(&stuck_box(Some(100_000)), &[]);
    let codes: Vec<&str> = fast.iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["budget_running_out", "destination_held"]);
    assert_eq!(fast[0].by, Some(WallTime::from_s(23 * 3_600)));
    let unknown = of(&stuck_box(None), &[]);
    assert_eq!((unknown.len(), unknown[0].by), (1, None));
}

fn historical(oldest_missing: WallTime) -> FeedStatus {
    let text = serde_json::json!({
        "source": "main", "feed": "historical", "phase": "waiting", "held": null,
        "next_in_s": null, "last_success_at": null, "last_complete_poll_at": null,
        "last_data_at": null, "consecutive_failures": 0, "last_error": null,
        "clock_offset_ms": null, "lag_s": 0, "is_stale": false, "counts": {},
        "balanced": true,
        "details": {"intervals_missing": 7, "oldest_missing": oldest_missing.to_string(),
            "max_backfill_s": 35 * 86_400},
    });
    serde_json::from_value(text).expect("a whole feed")
}

#[test]
fn gaps_say_until_when_they_can_heal_and_are_an_error_when_that_is_soon() {
    let check = |days_ago: i64, code: &str| {
        let mut status = box_with(vec![historical(WallTime::from_s(0))], Vec::new());
        status.at = WallTime::from_s(days_ago * 86_400);
        let found = of(&status, &[]);
        let codes: Vec<&str> = found.iter().map(|p| p.code.as_str()).collect();
        assert_eq!(codes, [code]);
        assert_eq!(found[0].by, Some(WallTime::from_s(35 * 86_400)));
    };
    check(1, "gaps");
    check(31, "gaps");
    check(33, "gaps_expiring");
}

#[test]
fn nobody_hears_it_where_every_message_fails() {
    let mut status = box_with(Vec::new(), Vec::new());
    status.alarms.ways.push(AlarmWayStatus {
        way: "webhook".to_owned(),
        waiting: 1,
        failures: 3,
        last_error: Some("refused".to_owned()),
        last_told_at: None,
    });
    let found = of(&status, &[]);
    assert_eq!(found[0].code, "alarm_undelivered");
    assert!(found[0].message.ends_with("refused"), "{found:?}");
}

#[test]
fn what_ends_is_told_in_time_unless_the_program_renews_it() {
    let check = |kind: &str, days_left: i64, expected: &[&str]| {
        let mut status = box_with(Vec::new(), Vec::new());
        let until = WallTime::from_s(days_left * 86_400);
        status.expiries.push(ExpiryStatus {
            name: "control: certificate".to_owned(),
            kind: kind.to_owned(),
            place: "file c.pem".to_owned(),
            since: Some(WallTime::from_s(-300 * 86_400)),
            until: Some(until),
            looked_at: None,
            error: None,
        });
        let found = of(&status, &[]);
        let codes: Vec<&str> = found.iter().map(|p| p.code.as_str()).collect();
        assert_eq!(codes, expected, "{kind} {days_left}");
        assert!(found.iter().all(|problem| problem.by == Some(until)));
    };
    check("certificate", 30, &[]);
    check("certificate", 20, &["expiring"]);
    check("token", 2, &["expiry_due"]);
    check("certificate", -1, &["expiry_due"]);
    check("session", -1, &[]);
}

#[test]
fn an_imbalance_is_called_a_bug() {
    let wrong = DestinationStatus {
        balanced: false,
        ..destination()
    };
    check(wrong, &["unbalanced"]);
}
