//! `status`: the box at a glance.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::Duration;

use super::{ConfigFile, output, remote};
use crate::config::Config;
use crate::control::status::{
    DestinationStatus, ExpiryStatus, FeedStatus, ReconcileStatus, Severity, Status,
};
use crate::control::{Request, Status as Picture};
use crate::daemon;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;
use crate::stop::StopToken;

/// How often `--watch` looks.
const WATCH_PERIOD: Duration = Duration::from_secs(2);

/// Shows feeds, destinations with their backlog, gaps, the store, and what a person should do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Look again every two seconds.
    #[arg(long)]
    watch: bool,
    /// Print the status as JSON, the same as `/api/v1/status`.
    #[arg(long)]
    json: bool,
}

/// Shows the status. Exits 69 where no daemon runs: then it shows what the store remembers.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let is_terminal = stdout().is_terminal();
    let paint = Paint(is_terminal && std::env::var_os("NO_COLOR").is_none());
    loop {
        let (picture, exit) = look(&config)?;
        let is_open = if arguments.json {
            say(&if arguments.watch || !is_terminal {
                serde_json::to_string(&picture)?
            } else {
                serde_json::to_string_pretty(&picture)?
            })
        } else {
            let text = render(&picture, exit == Exit::Ok, paint);
            say(&if arguments.watch && is_terminal {
                redrawn(&text)
            } else {
                text
            })
        };
        // Whoever read the pipe may have gone.
        if !arguments.watch || !is_open {
            return Ok(exit);
        }
        StopToken::new().wait(WATCH_PERIOD);
    }
}

fn say(text: &str) -> bool {
    let mut out = stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// The text over the former one: each line is written and the rest of it cleared, so that nothing
/// flickers, and then what is left of the screen.
fn redrawn(text: &str) -> String {
    let lines = text.replace('\n', "\u{1b}[K\n");
    format!("\u{1b}[H{lines}\u{1b}[K\n\u{1b}[J")
}

/// Colours, on a terminal that wants them.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    const GREEN: u8 = 32;
    const YELLOW: u8 = 33;
    const RED: u8 = 31;

    fn with(self, colour: u8, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn look(config: &Config) -> anyhow::Result<(Picture, Exit)> {
    if let Some(value) = remote::try_ask(config, &Request::Status, |_| {})? {
        return Ok((serde_json::from_value(value)?, Exit::Ok));
    }
    Ok((daemon::status_at_rest(config)?, Exit::Unavailable))
}

fn render(status: &Status, runs: bool, paint: Paint) -> String {
    let state = match (runs, status.ready) {
        (false, _) => paint.with(Paint::RED, "NOT RUNNING"),
        (true, true) => paint.with(Paint::GREEN, "ready"),
        (true, false) => paint.with(Paint::RED, "NOT READY"),
    };
    let mut lines = vec![format!(
        "{}  thrio-edge {}  {state}  at {}",
        status.box_id, status.version, status.at
    )];
    let feeds = status.feeds.iter().map(|feed| feed_row(feed, status));
    lines.push(rows(&FEED_COLUMNS, feeds));
    let destinations = status.destinations.iter();
    let destinations = destinations.map(|d| destination_row(d, status.at));
    lines.push(rows(&DESTINATION_COLUMNS, destinations));
    lines.extend(status.destinations.iter().flat_map(|d| notes(d, status.at)));
    lines.extend(expiries(&status.expiries, status.at));
    lines.push(store_line(status));
    if status.problems.is_empty() {
        lines.push("\nNo problems.".to_owned());
    } else {
        lines.push("\nProblems".to_owned());
    }
    for problem in &status.problems {
        let colour = match problem.severity {
            Severity::Error => Paint::RED,
            Severity::Warning => Paint::YELLOW,
        };
        lines.push(format!(
            "  {} {}: {}\n      {}",
            paint.with(colour, problem.severity.as_str()),
            problem.subject,
            problem.message,
            problem.remedy
        ));
    }
    lines.join("\n")
}

const FEED_COLUMNS: [&str; 7] = [
    "FEED",
    "PHASE",
    "LAST SUCCESS",
    "BEHIND",
    "GAPS",
    "CHANGED",
    "REJECTED",
];
const DESTINATION_COLUMNS: [&str; 7] = [
    "DESTINATION",
    "PHASE",
    "BACKLOG",
    "TIME LEFT",
    "LAST ACK",
    "DELIVERED",
    "REFUSED",
];
const EXPIRY_COLUMNS: [&str; 3] = ["CERTIFICATE OR TOKEN", "ENDS", "WHERE"];

fn rows<const N: usize>(columns: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = output::table(columns);
    table.add_rows(rows);
    format!("\n{}", table.trim_fmt())
}

/// What is said where there is nothing to say.
fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn since(at: WallTime, now: WallTime) -> u64 {
    u64::try_from(now.ms_since(at) / 1000).unwrap_or(0)
}

fn ago(at: WallTime, now: WallTime) -> String {
    format!("{} ago", output::span(since(at, now)))
}

fn feed_row(feed: &FeedStatus, status: &Status) -> [String; 7] {
    let last = feed.last_success_at.map(|at| ago(at, status.at));
    let gaps = feed.details.get("intervals_missing");
    [
        format!("{}/{}", feed.source, feed.feed),
        feed.phase.clone(),
        last.unwrap_or_else(|| "never".to_owned()),
        output::span(feed.lag_s),
        or_dash(gaps.map(ToString::to_string)),
        feed.counts.rows_changed.to_string(),
        feed.counts.rows_rejected.to_string(),
    ]
}

fn destination_row(destination: &DestinationStatus, now: WallTime) -> [String; 7] {
    let last = destination.last_acknowledged_at;
    let delivered = destination
        .acknowledged
        .saturating_sub(destination.filtered);
    [
        format!("{} ({})", destination.name, destination.kind),
        destination.phase.clone(),
        destination.backlog.to_string(),
        time_left(destination),
        or_dash(last.map(|at| ago(at, now))),
        delivered.to_string(),
        destination.quarantined.to_string(),
    ]
}

/// How long the backlog lasts, or which way it goes.
fn time_left(destination: &DestinationStatus) -> String {
    if destination.backlog == 0 {
        return "-".to_owned();
    }
    match (destination.time_left_s, &destination.trend) {
        (Some(s), _) => output::span(s),
        (None, trend) => or_dash(trend.clone()),
    }
}

/// What a destination has to say beside its row.
fn notes(destination: &DestinationStatus, now: WallTime) -> Vec<String> {
    let mut said = Vec::new();
    said.extend((destination.backlog > 0).then(|| waiting(destination)));
    if let Some(why) = &destination.held {
        let since = destination.held_since;
        let since = since.map_or_else(String::new, |at| format!(" since {at} ({})", ago(at, now)));
        said.push(format!("held{since}: {why}"));
    } else if let Some(error) = &destination.last_error {
        said.push(format!("last error: {error}"));
    }
    if let Some(replay) = destination.replay {
        let left = replay.remaining;
        said.push(format!(
            "replay: {} sent, {left} positions remain",
            replay.sent
        ));
    }
    if destination.live_first {
        said.push("new records go first, the backlog drains behind them".to_owned());
    }
    for (number, what) in [
        (destination.retries_waiting, "retried records wait"),
        (destination.resends_waiting, "repaired records wait"),
    ] {
        if number > 0 {
            said.push(format!("{number} {what}"));
        }
    }
    said.extend(destination.last_reconcile.as_ref().map(reconciled));
    let line = |text: String| format!("  {}: {text}", destination.name);
    said.into_iter().map(line).collect()
}

/// The backlog in every measure that is known.
fn waiting(destination: &DestinationStatus) -> String {
    let age = destination.oldest_unsent_age_s;
    let rate = destination.rate_per_s.map(|rate| format!("{rate}/s"));
    let parts = [
        Some(format!("{} records wait", destination.backlog)),
        destination.backlog_bytes.map(output::bytes),
        age.map(|s| format!("the oldest for {}", output::span(s))),
        rate,
        destination.trend.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn reconciled(last: &ReconcileStatus) -> String {
    let at = last.at.map_or_else(String::new, |at| format!(" at {at}"));
    if let Some(error) = &last.error {
        return format!("comparison{at} failed: {error}");
    }
    let (differences, compared, left) = (last.differences, last.compared, last.not_judged);
    format!("compared{at}: {differences} of {compared} days differ, {left} not judged")
}

/// What ends some day, a row each, and the rest in a line: nothing is to be done about it.
fn expiries(all: &[ExpiryStatus], now: WallTime) -> Vec<String> {
    let of = |kind: &'static str| all.iter().filter(move |expiry| expiry.kind == kind);
    let ending: Vec<&ExpiryStatus> = of("certificate").chain(of("token")).collect();
    let mut said = Vec::new();
    if !ending.is_empty() {
        said.push(rows(
            &EXPIRY_COLUMNS,
            ending.iter().map(|e| expiry_row(e, now)),
        ));
    }
    let oldest = of("password").filter_map(|password| password.since).min();
    let oldest = oldest.map_or_else(String::new, |at| format!(", the oldest since {}", day(at)));
    let (passwords, logins) = (of("password").count(), of("session").count());
    if passwords + logins > 0 {
        said.push(format!(
            "\nCredentials: {passwords} passwords{oldest}; {logins} logins count (--json names each)"
        ));
    }
    said
}

fn expiry_row(expiry: &ExpiryStatus, now: WallTime) -> [String; 3] {
    let ends = expiry.until.map(|at| match since(now, at) {
        0 => format!("{} HAS ENDED", day(at)),
        left => format!("{} in {}", day(at), output::span(left)),
    });
    let unknown = expiry
        .error
        .as_ref()
        .map(|error| format!("not known: {error}"));
    [
        expiry.name.clone(),
        or_dash(ends.or(unknown)),
        expiry.place.clone(),
    ]
}

/// The day of a moment, in UTC.
fn day(at: WallTime) -> String {
    at.to_string().chars().take(10).collect()
}

fn store_line(status: &Status) -> String {
    let store = &status.store;
    let kept = (store.last_seq + 1).saturating_sub(store.first_seq);
    let size = store.allocated_bytes.map_or_else(String::new, |bytes| {
        format!(", {} of {} MiB", bytes >> 20, store.max_bytes >> 20)
    });
    let offsets = status.feeds.iter().filter_map(|feed| feed.clock_offset_ms);
    let clock = offsets.max_by_key(|ms| ms.unsigned_abs());
    let clock = clock.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms} ms"));
    format!(
        "\nStore: {} records journaled, {kept} kept{size}\nClock: Thrio's minus the box's: {clock}",
        store.last_seq
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_only() {
        assert_eq!(Paint(false).with(Paint::RED, "NOT READY"), "NOT READY");
        assert_eq!(Paint(true).with(Paint::RED, "x"), "\u{1b}[31mx\u{1b}[0m");
    }

    #[test]
    fn what_ends_is_told_by_the_day_and_what_nobody_knows_says_why() {
        let expiry = |kind: &str, until: Option<i64>, error: Option<&str>| ExpiryStatus {
            name: format!("the {kind}"),
            kind: kind.to_owned(),
            place: "here".to_owned(),
            since: Some(WallTime::from_s(0)),
            until: until.map(WallTime::from_s),
            looked_at: None,
            error: error.map(str::to_owned),
        };
        let all = [
            expiry("certificate", Some(10 * 86_400), None),
            expiry("token", None, Some("no route")),
            expiry("password", None, None),
            expiry("session", Some(86_400), None),
        ];
        let said = expiries(&all, WallTime::from_s(0)).join("\n");
        for part in [
            "1970-01-11 in 10 d 0 h",
            "not known: no route",
            "1 passwords, the oldest since 1970-01-01; 1 logins",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        let late = expiries(&all[..1], WallTime::from_s(11 * 86_400)).join("");
        assert!(late.contains("1970-01-11 HAS ENDED"), "{late}");
        assert!(expiries(&[], WallTime::from_s(0)).is_empty());
    }

    #[test]
    fn a_destination_says_beside_its_row_what_it_waits_for() {
        let destination = DestinationStatus {
            name: "wfm".to_owned(),
            backlog: 12_345,
            backlog_bytes: Some(1_600_000),
            oldest_unsent_age_s: Some(240),
            rate_per_s: Some(81.5),
            trend: Some("growing".to_owned()),
            held: Some("no such table".to_owned()),
            held_since: Some(WallTime::from_s(0)),
            last_reconcile: Some(ReconcileStatus {
                compared: 20,
                differences: 3,
                ..ReconcileStatus::default()
            }),
            ..DestinationStatus::default()
        };
        let said = notes(&destination, WallTime::from_s(3_600)).join("\n");
        for part in [
            "wfm: 12345 records wait, 1.5 MiB, the oldest for 4 min, 81.5/s, growing",
            "wfm: held since 1970-01-01T00:00:00Z (1 h 0 min ago): no such table",
            "wfm: compared: 3 of 20 days differ, 0 not judged",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert_eq!(time_left(&destination), "growing");
        assert!(notes(&DestinationStatus::default(), WallTime::from_s(0)).is_empty());
    }

    #[test]
    fn a_shorter_picture_leaves_nothing_of_the_longer_one() {
        let drawn = redrawn("one\ntwo");
        assert!(drawn.starts_with("\u{1b}[H"), "it goes to the corner");
        assert_eq!(drawn.matches("\u{1b}[K").count(), 2, "each line's rest");
        assert!(drawn.ends_with("\u{1b}[J"), "what is below");
    }
}
