//! What a person should know or do, from one picture; the worst first. Pure.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use crate::control::status::{
    DestinationStatus, ExpiryStatus, FeedStatus, Problem, Status, StoreStatus,
};
use crate::domain::alarm::{AlarmCode, Room};
use crate::domain::expiry::{ExpiryKind, Nearness, Term};
use crate::domain::timestamp::WallTime;

/// Failures in a row after which a feed or a destination is worth a line: a single lost poll is
/// not.
const FAILURES_NOTED: u32 = 3;
/// What happens within this is told as an error of its own.
const SOON: Duration = Duration::from_hours(72);
/// Nobody plans further.
const FAR: Duration = Duration::from_hours(10 * 365 * 24);
/// Beyond this the clocks differ enough to say so (domain rule 12).
const CLOCK_OFFSET_MS_MAX: u64 = 2_000;

/// The problems of a picture, and what its configuration warned of: field, message, hint.
pub(super) fn of(status: &Status, warnings: &[(String, String, String)]) -> Vec<Problem> {
    let mut found = Vec::new();
    of_box(&mut found, status);
    for feed in &status.feeds {
        of_feed(&mut found, feed, status.at);
    }
    for destination in &status.destinations {
        of_destination(&mut found, destination, status);
    }
    for way in &status.alarms.ways {
        if way.failures >= FAILURES_NOTED {
            let message = failures(way.failures, way.last_error.as_deref());
            found.push(Problem::new(AlarmCode::AlarmUndelivered, &way.way, message));
        }
    }
    for expiry in &status.expiries {
        found.extend(of_expiry(expiry, status.at));
    }
    for (field, message, hint) in warnings {
        // What is missing as a whole has no field.
        let subject = if field.is_empty() {
            "configuration"
        } else {
            field
        };
        let problem = Problem::new(AlarmCode::Configuration, subject, message);
        found.push(if hint.is_empty() {
            problem
        } else {
            problem.with_remedy(hint)
        });
    }
    found.sort();
    found.dedup();
    found
}

fn of_box(found: &mut Vec<Problem>, status: &Status) {
    if let Some(why) = &status.store.error {
        found.push(Problem::new(AlarmCode::StoreFailing, "store", why));
    }
    for aside in &status.store.replaced {
        let message = format!("it was damaged and set aside: {aside}");
        found.push(Problem::new(AlarmCode::StoreReplaced, "store", message));
    }
    if let Some(message) = want_of_room(&status.store) {
        found.push(Problem::new(AlarmCode::StoreFull, "store", message));
    }
    // A destination that is away has not come by the hole yet.
    let is_told = status.destinations.iter().any(|d| d.expired > 0);
    if status.store.expired > 0 && !is_told {
        let message = format!(
            "{} records were given up for want of room before every destination had them",
            status.store.expired
        );
        found.push(Problem::new(AlarmCode::RecordsLost, "store", message));
    }
    for worker in status.workers.iter().filter(|worker| !worker.in_time) {
        let note = worker.note.as_deref().unwrap_or("late");
        found.push(Problem::new(AlarmCode::WorkerLate, &worker.name, note));
    }
    if let Some(why) = &status.configuration.reload_error {
        found.push(Problem::new(AlarmCode::ReloadFailed, "configuration", why));
    }
    of_files(found, status);
}

/// With less than this the file can hardly grow any more.
const FREE_BYTES_MIN: u64 = 16 << 20;
/// Giving up makes room for a while, and goes on when that is used up.
const GIVING_UP_S: u64 = 3_600;

/// Why the journal has too little room, where it has.
fn want_of_room(store: &StoreStatus) -> Option<String> {
    if store.pressure.as_deref() == Some("full") {
        return Some("its budget is used up: the oldest records are given up".to_owned());
    }
    if let Some(ago) = store.given_up_ago_s.filter(|ago| *ago < GIVING_UP_S) {
        let minutes = ago / 60;
        return Some(format!(
            "its budget was used up {minutes} min ago, and undelivered records were given up"
        ));
    }
    let free = store.free_bytes.filter(|free| *free < FREE_BYTES_MIN)?;
    Some(format!(
        "its file system has {} KiB left: the journal cannot grow",
        free / 1024
    ))
}

/// What ends soon and is not renewed by the program itself.
fn of_expiry(expiry: &ExpiryStatus, now: WallTime) -> Option<Problem> {
    let until = expiry.until?;
    let is_ours = [ExpiryKind::Certificate, ExpiryKind::Token]
        .iter()
        .any(|kind| kind.as_str() == expiry.kind);
    let since = expiry.since;
    let term = Term {
        since,
        until: Some(until),
    };
    let code = match term.nearness(now) {
        Nearness::Near if is_ours => AlarmCode::Expiring,
        Nearness::Due if is_ours => AlarmCode::ExpiryDue,
        _ => return None,
    };
    let verb = if now < until { "ends" } else { "has ended" };
    let message = format!("the {} {verb} at {until} ({})", expiry.kind, expiry.place);
    Some(Problem::new(code, &expiry.name, message).by(Some(until)))
}

fn of_files(found: &mut Vec<Problem>, status: &Status) {
    let mut add = |code, message| found.push(Problem::new(code, "configuration", message));
    if let Some(why) = &status.configuration.file_error {
        let message = format!("the files on disk are wrong: {why}");
        add(AlarmCode::ConfigurationInvalid, message);
    }
    let differs = &status.configuration.file_differs;
    if !differs.is_empty() {
        let names = differs.join(", ");
        let message = format!("the files on disk are not what runs: {names}");
        add(AlarmCode::ConfigurationDiffers, message);
    }
}

fn of_feed(found: &mut Vec<Problem>, feed: &FeedStatus, now: WallTime) {
    let subject = &format!("{}/{}", feed.source, feed.feed);
    if let Some(why) = &feed.held {
        let held = Problem::new(AlarmCode::FeedHeld, subject, why);
        found.push(if feed.details.contains_key("password_of_start") {
            held.with_remedy(
                "correct the account, the password or the settings; the password was handed over \
                 at the start, so a new one needs `systemctl restart thrio-edge`",
            )
        } else {
            held
        });
    } else if feed.consecutive_failures >= FAILURES_NOTED {
        let message = failures(feed.consecutive_failures, feed.last_error.as_deref());
        found.push(Problem::new(AlarmCode::FeedFailing, subject, message));
    }
    if feed.is_stale {
        let message = "nobody sees the agents' states";
        found.push(Problem::new(AlarmCode::FeedStale, subject, message));
    }
    if !feed.balanced {
        let message = "rows received are not all accounted for";
        found.push(Problem::new(AlarmCode::Unbalanced, subject, message));
    }
    if let Some(offset) = feed
        .clock_offset_ms
        .filter(|ms| ms.unsigned_abs() > CLOCK_OFFSET_MS_MAX)
    {
        let message =
            format!("the box's clock is {offset} ms off Thrio's; Thrio's labels the data");
        found.push(Problem::new(AlarmCode::ClockOff, subject, message));
    }
    of_gaps(found, subject, feed, now);
    of_details(found, subject, feed);
}

/// What is missing, and until when it can be asked for by itself.
fn of_gaps(found: &mut Vec<Problem>, subject: &str, feed: &FeedStatus, now: WallTime) {
    let detail = |key: &str| feed.details.get(key);
    let missing = detail("intervals_missing").and_then(Value::as_u64);
    let Some(missing) = missing.filter(|missing| *missing > 0) else {
        return;
    };
    let oldest = detail("oldest_missing").and_then(Value::as_str);
    let oldest = oldest.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let reach = detail("max_backfill_s").and_then(Value::as_u64);
    let by = oldest
        .zip(reach)
        .map(|(at, s)| WallTime::from_s(at.timestamp()).plus(Duration::from_secs(s)));
    let code = if by.is_some_and(|by| by < now.plus(SOON)) {
        AlarmCode::GapsExpiring
    } else {
        AlarmCode::Gaps
    };
    let message = format!("{missing} intervals are missing");
    found.push(Problem::new(code, subject, message).by(by));
}

fn failures(number: u32, why: Option<&str>) -> String {
    let why = why.unwrap_or("no reason given");
    format!("{number} failures in a row: {why}")
}

fn of_details(found: &mut Vec<Problem>, subject: &str, feed: &FeedStatus) {
    let details = &feed.details;
    let count = |key: &str| details.get(key).and_then(Value::as_u64).unwrap_or(0);
    let is = |key: &str| details.get(key).and_then(Value::as_bool).unwrap_or(false);
    let mut add = |code, message: String| found.push(Problem::new(code, subject, message));
    if let Some(why) = details.get("store_error").and_then(Value::as_str) {
        add(AlarmCode::NotJournaled, why.to_owned());
    }
    if is("snapshot_unsaid") {
        let message =
            "whether answers list all agents or only changes is not set, so absence means nothing";
        add(AlarmCode::SnapshotUnknown, message.to_owned());
    }
    if is("mass_absence") {
        let message = "more than half of the agents vanished at once";
        add(AlarmCode::MassAbsence, message.to_owned());
    }
    let unmapped = details.get("unmapped_states").and_then(Value::as_array);
    if let Some(states) = unmapped.filter(|states| !states.is_empty()) {
        let names: Vec<&str> = states.iter().filter_map(Value::as_str).collect();
        let message = format!("states without a category: {}", names.join(", "));
        add(AlarmCode::StatesUnmapped, message);
    }
    if count("rejected_rows") > 0 {
        let first = details.get("rejected_samples").and_then(|s| s.get(0));
        let first = first.and_then(Value::as_str).unwrap_or("");
        let rejected = count("rejected_rows");
        let message = format!("{rejected} rows of an answer were not taken: {first}");
        add(AlarmCode::RowsRejected, message);
    }
    if count("intervals_given_up") > 0 {
        let message = format!("{} intervals were given up", count("intervals_given_up"));
        add(AlarmCode::GapsGivenUp, message);
    }
    for key in ["held_queues", "held_agents"] {
        if let Some(held) = details.get(key).filter(|held| !held.is_null()) {
            let number = |name: &str| held.get(name).and_then(Value::as_u64).unwrap_or(0);
            let what = key.trim_start_matches("held_");
            let (missing, open) = (number("missing"), number("open"));
            let message = format!("{missing} of {open} {what} are missing from the list");
            add(AlarmCode::ImportHeld, message);
        }
    }
}

fn of_destination(found: &mut Vec<Problem>, destination: &DestinationStatus, status: &Status) {
    let about = |code, message: String| Problem::new(code, &destination.name, message);
    let numbers = [
        (
            destination.quarantined,
            AlarmCode::Quarantine,
            "records were refused and are kept",
        ),
        (
            destination.expired,
            AlarmCode::RecordsLost,
            "records were given up for want of room",
        ),
        (
            destination.damaged,
            AlarmCode::RecordsDamaged,
            "records were unreadable in the journal",
        ),
    ];
    for (number, code, what) in numbers.into_iter().filter(|(number, ..)| *number > 0) {
        found.push(about(code, format!("{number} {what}")));
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
        found.push(about(AlarmCode::DestinationDiffers, message));
    }
    if !destination.balanced {
        let message = "journaled records are not all accounted for";
        found.push(about(AlarmCode::Unbalanced, message.to_owned()));
    }
    let Some(stuck) = stuck(destination) else {
        return;
    };
    let by = given_up_at(destination, status);
    if let Some(by) = by.filter(|by| *by < status.at.plus(SOON)) {
        let backlog = destination.backlog;
        let message = format!("{backlog} records wait; there is room for more until {by}");
        found.push(about(AlarmCode::BudgetRunningOut, message).by(Some(by)));
    }
    found.push(stuck.by(by));
}

/// Why a destination takes nothing, if it does not.
fn stuck(destination: &DestinationStatus) -> Option<Problem> {
    let about = |code, message: &str| Problem::new(code, &destination.name, message);
    let number = destination.consecutive_failures;
    if destination.phase == "paused" {
        let message = "paused by its settings";
        return Some(about(AlarmCode::DestinationPaused, message));
    }
    if let Some(why) = &destination.held {
        let held = about(AlarmCode::DestinationHeld, why);
        return Some(match &destination.remedy {
            Some(remedy) => held.with_remedy(remedy),
            None => held,
        });
    }
    let message = failures(number, destination.last_error.as_deref());
    (number >= FAILURES_NOTED).then(|| about(AlarmCode::DestinationFailing, &message))
}

/// When the journal has no room for its backlog any more, if it goes on like in the last hour.
fn given_up_at(destination: &DestinationStatus, status: &Status) -> Option<WallTime> {
    let store = &status.store;
    let room = Room {
        live_bytes: store.live_bytes?,
        records: (store.last_seq + 1).saturating_sub(store.first_seq),
        budget_bytes: store.budget_bytes?,
        records_per_h: store.records_per_h?,
    };
    // Whole minutes: the moment is a reckoning, and must not change with every look.
    let at = status
        .at
        .plus(room.time_left(destination.backlog)?.min(FAR));
    Some(WallTime::from_s(at.s() / 60 * 60))
}

#[cfg(test)]
mod tests;
