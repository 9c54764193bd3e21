//! What the box knows, read page by page.

use std::collections::HashSet;

use rusqlite::Connection;
use serde_json::Value;

use crate::site::{PASSWORD, Site};

fn rows(page: &Value) -> &Vec<Value> {
    page["rows"].as_array().unwrap()
}

/// Every page's rows, of at most `limit` rows each.
fn all(site: &Site, path: &str, limit: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let mut after = String::new();
    for _ in 0..10_000 {
        let page = site.get(&format!("{path}limit={limit}{after}")).ok();
        assert!(rows(&page).len() <= limit);
        found.extend(rows(&page).iter().cloned());
        match page["next"].as_str() {
            None => return found,
            Some(next) => after = format!("&after={}", encoded(next)),
        }
    }
    panic!("{path} has no end");
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn what_is_read_is_what_the_destination_holds() {
    let site = Site::new();
    site.wait_for_data();
    let database = Connection::open(site.database()).unwrap();
    let count = |sql: &str| {
        let found: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        usize::try_from(found).unwrap()
    };

    let agents = all(&site, "/api/v1/agents?", 7);
    assert_eq!(
        agents.len(),
        count("SELECT count(*) FROM wfm_agent_state_current")
    );
    assert!(
        agents
            .iter()
            .all(|agent| agent["is_stale"] == false && agent["last_confirmed_at"].is_string())
    );
    assert!(agents.iter().any(|agent| agent["display_name"].is_string()));
    let ids: HashSet<&str> = agents
        .iter()
        .map(|a| a["agent_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), agents.len());
    let whole = all(&site, "/api/v1/agents?", 1_000);
    let of = |agents: &[Value]| -> Vec<Value> {
        let ids = agents.iter().map(|agent| agent["agent_id"].clone());
        ids.collect()
    };
    assert_eq!(of(&whole), of(&agents));

    let queues = all(&site, "/api/v1/queues?", 3);
    let open = "SELECT count(DISTINCT queue_id) FROM wfm_queue";
    assert_eq!(queues.len(), count(open));

    let intervals = all(
        &site,
        "/api/v1/intervals?from=1970-01-01T00:00:00Z&to=1970-01-02T00:00:00Z&",
        3,
    );
    assert!(intervals.is_empty());
    let intervals = all(&site, "/api/v1/intervals?", 11);
    let entered: i64 = intervals
        .iter()
        .filter_map(|row| row["entered"].as_i64())
        .sum();
    let from = intervals[0]["interval_start"].as_str().unwrap();
    let from_s = chrono::DateTime::parse_from_rfc3339(from)
        .unwrap()
        .timestamp();
    let same =
        format!("SELECT sum(entered) FROM wfm_queue_interval WHERE interval_start >= {from_s}");
    let total: i64 = database.query_row(&same, [], |row| row.get(0)).unwrap();
    assert_eq!(entered, total);
}

#[test]
fn one_queue_has_a_row_for_every_quarter_hour() {
    let site = Site::new();
    site.wait_for_data();
    let queue = site.get("/api/v1/queues?limit=1").ok();
    let id = queue["rows"][0]["queue_id"].as_str().unwrap().to_owned();
    let rows = all(
        &site,
        &format!("/api/v1/intervals?source=main&queue={id}&"),
        10,
    );
    assert!((95..=96).contains(&rows.len()), "{}", rows.len());
    let starts: Vec<&str> = rows
        .iter()
        .map(|r| r["interval_start"].as_str().unwrap())
        .collect();
    assert!(starts.is_sorted());
    for row in &rows {
        let is_stored = row["revision"].is_number();
        let status = row["status"].as_str().unwrap();
        assert_eq!(
            is_stored,
            !matches!(status, "missing" | "not_said"),
            "{row}"
        );
    }
    let nobody = all(&site, "/api/v1/intervals?source=main&queue=nobody&", 96);
    assert!(nobody.iter().all(|row| row["entered"].is_null()));
}

#[test]
fn intervals_come_as_csv_with_the_same_figures() {
    let site = Site::new();
    site.wait_for_data();
    let page = site.get("/api/v1/intervals?limit=5").ok();
    let csv = site.get("/api/v1/intervals?limit=5&format=csv");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("x-next"), page["next"].as_str().unwrap());
    let lines: Vec<&str> = csv.text.lines().collect();
    assert!(lines[0].starts_with("source,queue_id,queue_name,interval_start,"));
    assert_eq!(lines.len(), 6);
    for (line, row) in lines[1..].iter().zip(rows(&page)) {
        assert!(line.contains(row["queue_id"].as_str().unwrap()), "{line}");
        assert!(
            line.contains(row["interval_start"].as_str().unwrap()),
            "{line}"
        );
    }
}

#[test]
fn coverage_is_days_of_96_quarter_hours_with_a_reason_each() {
    let site = Site::new();
    site.wait_for_data();
    let page = site.get("/api/v1/coverage").ok();
    assert!(rows(&page).len() >= 2);
    let mut shown = Vec::new();
    for day in rows(&page) {
        let quarters = day["quarters"].as_array().unwrap();
        assert_eq!(quarters.len(), 96);
        for quarter in quarters {
            assert!(!quarter["why"].as_str().unwrap().is_empty());
            shown.push(quarter["shown"].as_str().unwrap().to_owned());
        }
    }
    assert!(shown.iter().any(|word| word == "fetched"));
    let long = site
        .get("/api/v1/coverage?from=2026-01-01T00:00:00Z&to=2026-01-29T00:00:00Z&feed=historical");
    let long = long.ok();
    assert_eq!(rows(&long).len(), 10);
    let next = site.get(&format!(
        "/api/v1/coverage?from=2026-01-01T00:00:00Z&to=2026-01-29T00:00:00Z&feed=historical&after={}",
        encoded(long["next"].as_str().unwrap())
    ));
    assert_eq!(next.ok()["rows"][0]["day"], "2026-01-11");
}

#[test]
fn transactions_and_journal_tell_the_same_story() {
    let site = Site::new();
    site.wait_for_data();
    let transactions = all(&site, "/api/v1/transactions?", 9);
    assert!(!transactions.is_empty());
    let one = &transactions[0];
    let seq = one["seq"].as_u64().unwrap();
    let journal = site
        .get(&format!("/api/v1/journal?from_seq={seq}&limit=1"))
        .ok();
    let record = &journal["rows"][0];
    assert_eq!(record["kind"], "transaction");
    assert_eq!(record["agent"], one["agent_id"]);
    let id = one["agent_id"].as_str().unwrap();
    let of_one = all(&site, &format!("/api/v1/transactions?agent={id}&"), 9);
    assert!(of_one.iter().all(|row| row["agent_id"] == id) && !of_one.is_empty());
    let last = site.get("/api/v1/journal?limit=4").ok();
    assert_eq!(rows(&last).len(), 4);
    assert!(last["last_seq"].as_u64().unwrap() >= last["rows"][3]["seq"].as_u64().unwrap());
    let none = site.get("/api/v1/transactions?from=0&to=1").ok();
    assert!(rows(&none).is_empty());
}

#[test]
fn no_answer_holds_a_secret() {
    let site = Site::new();
    site.wait_for_data();
    for path in [
        "/api/v1/status",
        "/api/v1/sources",
        "/api/v1/journal",
        "/api/v1/session",
        "/metrics",
        "/",
    ] {
        let text = site.get(path).text;
        for secret in [PASSWORD, "gateway-secret", &site.token] {
            assert!(!text.contains(secret), "{path} holds {secret}");
        }
    }
    let sources = site.get("/api/v1/sources").ok();
    assert_eq!(sources["rows"][0]["managed"], "file");
    assert_eq!(
        sources["rows"][0]["settings"]["realtime"]["password_is_set"],
        true
    );
    let keys = sources["keys"].as_array().unwrap();
    assert!(keys.iter().any(|key| key["table"] == "source.api.realtime"));
}

#[test]
fn events_bring_the_picture_and_then_every_change_once() {
    use std::io::{BufRead as _, BufReader};
    let site = Site::new();
    site.wait_for_data();
    let request = ureq::get(site.url("/api/v1/events?since_seq=0"));
    let response = request.call().unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut lines = BufReader::new(response.into_body().into_reader()).lines();
    let (mut statuses, mut seen, mut last) = (0, Vec::new(), 0);
    while statuses < 2 {
        let line = lines.next().unwrap().unwrap();
        if let Some(id) = line.strip_prefix("id: ") {
            let id: u64 = id.parse().unwrap();
            assert!(id >= last);
            last = id;
        } else if let Some(data) = line.strip_prefix("data: ") {
            let value: Value = serde_json::from_str(data).unwrap();
            if value["box_id"] == "test-box" {
                statuses += 1;
            } else {
                let rows = value["rows"].as_array().unwrap().iter();
                seen.extend(rows.map(|row| row["seq"].as_u64().unwrap()));
            }
        }
    }
    let total = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert!(total > 0 && seen.len() == total, "{seen:?}");
}
