//! What the box can be asked to do.

use serde_json::{Value, json};

use crate::site::Site;

#[test]
fn an_import_is_previewed_and_a_backfill_queued() {
    let site = Site::new();
    site.wait_for_data();
    let before = site.status().store.last_seq;
    let plan = site.post("/api/v1/import", &json!({"dry_run": true})).ok();
    assert_eq!(plan["main"]["dry_run"], true);
    assert!(
        plan["main"]["queues"]["listed"].as_u64().unwrap() > 0,
        "{plan}"
    );
    assert!(site.status().store.last_seq >= before);

    let wanted =
        json!({"source": "main", "from": "2026-07-20T00:00:00Z", "to": "2026-07-20T01:00:00Z"});
    let queued = site.post("/api/v1/backfill", &wanted).ok();
    assert_eq!(queued["main"]["queued"], true);
    site.wait_for("the backfill in the status", |status| {
        let historical = status.feeds.iter().find(|feed| feed.feed == "historical");
        let backfills = historical.map(|feed| &feed.details["backfills"]);
        backfills
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
    });
    let nobody = site.post("/api/v1/import", &json!({"source": "nobody"}));
    assert_eq!(
        (nobody.status, nobody.code()),
        (400, "bad_request".to_owned())
    );
}

#[test]
fn a_replay_sends_again_and_a_quarantine_is_asked_by_its_destination() {
    let site = Site::new();
    let status = site.wait_for_data();
    let acknowledged = status.destinations[0].acknowledged;
    site.post(
        "/api/v1/replay",
        &json!({"destination": "local", "from_seq": 1}),
    )
    .ok();
    let status = site.wait_for("an empty backlog after it", |s| {
        s.destinations[0].backlog == 0
    });
    assert!(
        status.destinations[0].acknowledged >= acknowledged,
        "a replay leaves the balance alone"
    );
    assert!(status.destinations[0].balanced);
    let nobody = site.post(
        "/api/v1/replay",
        &json!({"destination": "far", "from_seq": 1}),
    );
    assert_eq!(nobody.status, 400);
    let empty = site.get("/api/v1/quarantine?destination=local").ok();
    assert_eq!(empty["rows"], json!([]));
    site.post(
        "/api/v1/destinations/retry",
        &json!({"destination": "local"}),
    )
    .ok();
}
