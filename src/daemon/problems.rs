//! What a person should know or do, from one picture; the worst first. Pure.

use serde_json::Value;

use crate::control::status::{DestinationStatus, FeedStatus, Problem, Severity, Status};

/// Failures in a row after which a feed or a destination is worth a line: a single lost poll is
/// not.
const FAILURES_NOTED: u32 = 3;
/// Beyond this the clocks differ enough to say so (domain rule 12).
const CLOCK_OFFSET_MS_MAX: u64 = 2_000;

/// The problems of a picture, and what its configuration warned of: field, message, hint.
pub(super) fn of(status: &Status, warnings: &[(String, String, String)]) -> Vec<Problem> {
    let mut found = Vec::new();
    of_box(&mut found, status);
    for feed in &status.feeds {
        of_feed(&mut found, feed);
    }
    for destination in &status.destinations {
        of_destination(&mut found, destination);
    }
    for (field, message, hint) in warnings {
        found.push(warning(
            "configuration",
            field,
            message.as_str(),
            hint.as_str(),
        ));
    }
    found.sort();
    found.dedup();
    found
}

fn error(
    code: &str,
    subject: &str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Problem {
    Problem {
        severity: Severity::Error,
        code: code.to_owned(),
        subject: subject.to_owned(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

fn warning(
    code: &str,
    subject: &str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Problem {
    Problem {
        severity: Severity::Warning,
        ..error(code, subject, message, remedy)
    }
}

fn of_box(found: &mut Vec<Problem>, status: &Status) {
    if let Some(why) = &status.store.error {
        let remedy =
            "look at the disk of state_dir; collecting goes on as soon as it can be written";
        found.push(error("store_failing", "store", why, remedy));
    }
    for aside in &status.store.replaced {
        let remedy = "nothing is lost that was intact; keep the file until the log says so, and \
                      look at the disk";
        found.push(error(
            "store_replaced",
            "store",
            format!("it was damaged and set aside: {aside}"),
            remedy,
        ));
    }
    if status.store.pressure.as_deref() == Some("full") {
        let message = "its budget is used up: the oldest records are given up";
        let remedy = "make room, raise store.max_bytes, or get the destinations going";
        found.push(error("store_full", "store", message, remedy));
    }
    for worker in status.workers.iter().filter(|worker| !worker.in_time) {
        let note = worker.note.as_deref().unwrap_or("late");
        let remedy = "see the log; under systemd the watchdog starts the service again";
        found.push(error("worker_late", &worker.name, note, remedy));
    }
    if let Some(why) = &status.configuration.reload_error {
        let remedy = "correct the file (`thrio-edge check`) and reload, or restart where it says \
                      so; the former settings run on";
        found.push(warning("reload_failed", "configuration", why, remedy));
    }
    of_files(found, status);
}

fn of_files(found: &mut Vec<Problem>, status: &Status) {
    if let Some(why) = &status.configuration.file_error {
        let message = format!("the files on disk are wrong: {why}");
        let remedy = "correct them (`thrio-edge check`) before the next start, which would fail; \
                      the former settings run on";
        found.push(error(
            "configuration_invalid",
            "configuration",
            message,
            remedy,
        ));
    }
    let differs = &status.configuration.file_differs;
    if !differs.is_empty() {
        let message = format!(
            "the files on disk are not what runs: {}",
            differs.join(", ")
        );
        let remedy = "take them over with `thrio-edge reload`, or `systemctl restart thrio-edge` \
                      for [box], [store], [control] and [log]";
        found.push(warning(
            "configuration_differs",
            "configuration",
            message,
            remedy,
        ));
    }
}

fn of_feed(found: &mut Vec<Problem>, feed: &FeedStatus) {
    let subject = format!("{}/{}", feed.source, feed.feed);
    if let Some(why) = &feed.held {
        let of_start = feed.details.contains_key("password_of_start");
        let remedy = if of_start {
            "correct the account, the password or the settings; the password was handed over at \
             the start, so a new one needs `systemctl restart thrio-edge`"
        } else {
            "correct the account, the password or the settings; a replaced password file is \
             noticed within a minute, after another change `reload` tries at once"
        };
        found.push(error("feed_held", &subject, why, remedy));
    } else if feed.consecutive_failures >= FAILURES_NOTED {
        let why = feed.last_error.as_deref().unwrap_or("no reason given");
        let message = format!("{} failures in a row: {why}", feed.consecutive_failures);
        found.push(warning(
            "feed_failing",
            &subject,
            message,
            "it is tried again by itself",
        ));
    }
    if feed.is_stale {
        let remedy = "the span is recorded as unknown; see the feed's last error";
        found.push(error(
            "feed_stale",
            &subject,
            "nobody sees the agents' states",
            remedy,
        ));
    }
    if !feed.balanced {
        let remedy = "this is a bug: keep the state directory and report it";
        found.push(error(
            "unbalanced",
            &subject,
            "rows received are not all accounted for",
            remedy,
        ));
    }
    if let Some(offset) = feed
        .clock_offset_ms
        .filter(|ms| ms.unsigned_abs() > CLOCK_OFFSET_MS_MAX)
    {
        let message =
            format!("the box's clock is {offset} ms off Thrio's; Thrio's labels the data");
        found.push(warning(
            "clock_off",
            &subject,
            message,
            "set the box's clock by NTP",
        ));
    }
    of_details(found, &subject, feed);
}

fn of_details(found: &mut Vec<Problem>, subject: &str, feed: &FeedStatus) {
    let details = &feed.details;
    let count = |key: &str| details.get(key).and_then(Value::as_u64).unwrap_or(0);
    let is = |key: &str| details.get(key).and_then(Value::as_bool).unwrap_or(false);
    if let Some(why) = details.get("store_error").and_then(Value::as_str) {
        found.push(error(
            "not_journaled",
            subject,
            why,
            "see the store's problem",
        ));
    }
    if is("snapshot_unsaid") {
        let message =
            "whether answers list all agents or only changes is not set, so absence means nothing";
        let remedy =
            "find out with `thrio-edge probe --feed realtime` and set source.realtime.snapshot";
        found.push(warning("snapshot_unknown", subject, message, remedy));
    }
    if is("mass_absence") {
        let remedy =
            "check in Thrio whether these agents really left, and what the account may see";
        found.push(error(
            "mass_absence",
            subject,
            "more than half of the agents vanished at once",
            remedy,
        ));
    }
    let unmapped = details.get("unmapped_states").and_then(Value::as_array);
    if let Some(states) = unmapped.filter(|states| !states.is_empty()) {
        let names: Vec<&str> = states.iter().filter_map(Value::as_str).collect();
        let message = format!("states without a category: {}", names.join(", "));
        found.push(warning(
            "states_unmapped",
            subject,
            message,
            "map them in [source.states]",
        ));
    }
    if count("rejected_rows") > 0 {
        let first = details.get("rejected_samples").and_then(|s| s.get(0));
        let first = first.and_then(Value::as_str).unwrap_or("");
        let message = format!(
            "{} rows of an answer were not taken: {first}",
            count("rejected_rows")
        );
        let remedy = "see `status --json`, or what Thrio sends with `thrio-edge probe`";
        found.push(warning("rows_rejected", subject, message, remedy));
    }
    if count("intervals_missing") > 0 {
        let message = format!("{} intervals are missing", count("intervals_missing"));
        found.push(warning(
            "gaps",
            subject,
            message,
            "they are asked for again by themselves",
        ));
    }
    if count("intervals_given_up") > 0 {
        let message = format!("{} intervals were given up", count("intervals_given_up"));
        found.push(error(
            "gaps_given_up",
            subject,
            message,
            "`thrio-edge backfill --from --to` asks again",
        ));
    }
    for key in ["held_queues", "held_agents"] {
        let held = details.get(key).filter(|held| !held.is_null());
        if let Some(held) = held {
            let number = |name: &str| held.get(name).and_then(Value::as_u64).unwrap_or(0);
            let message = format!(
                "{} of {} entries are missing from the list",
                number("missing"),
                number("open")
            );
            let remedy = "if they are really gone: `thrio-edge import --confirm`";
            found.push(error("import_held", subject, message, remedy));
        }
    }
}

fn of_destination(found: &mut Vec<Problem>, destination: &DestinationStatus) {
    let subject = &destination.name;
    if let Some(why) = &destination.held {
        let remedy = destination
            .remedy
            .as_deref()
            .unwrap_or("see its last error");
        found.push(error("destination_held", subject, why, remedy));
    } else if destination.consecutive_failures >= FAILURES_NOTED {
        let why = destination
            .last_error
            .as_deref()
            .unwrap_or("no reason given");
        let message = format!(
            "{} failures in a row: {why}",
            destination.consecutive_failures
        );
        let remedy = "nothing is lost; it is tried again by itself";
        found.push(warning("destination_failing", subject, message, remedy));
    }
    if destination.phase == "paused" {
        found.push(warning(
            "destination_paused",
            subject,
            "paused by its settings",
            "set paused = false",
        ));
    }
    if destination.quarantined > 0 {
        let message = format!(
            "{} records were refused and are kept",
            destination.quarantined
        );
        found.push(error(
            "quarantine",
            subject,
            message,
            "see `thrio-edge status --json` and the destination's reason in the log",
        ));
    }
    if destination.expired > 0 {
        let message = format!(
            "{} records were given up for want of room",
            destination.expired
        );
        found.push(error(
            "records_lost",
            subject,
            message,
            "raise store.max_bytes, and backfill what can be asked again",
        ));
    }
    if destination.damaged > 0 {
        let message = format!(
            "{} records were unreadable in the journal",
            destination.damaged
        );
        found.push(error(
            "records_damaged",
            subject,
            message,
            "look at the disk; gaps heal where Thrio can be asked again",
        ));
    }
    if let Some(last) = destination
        .last_reconcile
        .as_ref()
        .filter(|l| l.differences > 0)
    {
        let message = format!(
            "{} of {} queue-days and agent-days differ from what the box holds",
            last.differences, last.compared
        );
        let remedy = "`thrio-edge reconcile` shows them; with `--repair` they are sent again";
        found.push(warning("destination_differs", subject, message, remedy));
    }
    if !destination.balanced {
        let remedy = "this is a bug: keep the state directory and report it";
        found.push(error(
            "unbalanced",
            subject,
            "journaled records are not all accounted for",
            remedy,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::StoreStatus;
    use crate::domain::timestamp::WallTime;

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

    #[test]
    fn an_imbalance_is_called_a_bug() {
        let wrong = DestinationStatus {
            balanced: false,
            ..destination()
        };
        check(wrong, &["unbalanced"]);
    }
}
