//! `status`: the box at a glance.

use std::time::Duration;

use super::{ConfigFile, output, remote};
use crate::config::Config;
use crate::control::status::{DestinationStatus, FeedStatus, Status};
use crate::control::{Request, Status as Picture};
use crate::daemon;
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
    loop {
        let (picture, exit) = look(&config)?;
        if arguments.json {
            output::json(&serde_json::to_value(&picture)?);
        } else {
            if arguments.watch {
                // Clears the screen and goes to its corner.
                output::line("\u{1b}[2J\u{1b}[H");
            }
            output::line(&render(&picture, exit == Exit::Ok));
        }
        if !arguments.watch {
            return Ok(exit);
        }
        StopToken::new().wait(WATCH_PERIOD);
    }
}

fn look(config: &Config) -> anyhow::Result<(Picture, Exit)> {
    if let Some(value) = remote::try_ask(config, &Request::Status, |_| {})? {
        return Ok((serde_json::from_value(value)?, Exit::Ok));
    }
    Ok((daemon::status_at_rest(config)?, Exit::Unavailable))
}

fn render(status: &Status, runs: bool) -> String {
    let state = match (runs, status.ready) {
        (false, _) => "NOT RUNNING",
        (true, true) => "ready",
        (true, false) => "NOT READY",
    };
    let mut lines = vec![format!(
        "{}  thrio-edge {}  {state}  at {}",
        status.box_id, status.version, status.at
    )];
    let feeds: Vec<_> = status
        .feeds
        .iter()
        .map(|feed| feed_row(feed, status))
        .collect();
    let columns = [
        "FEED",
        "PHASE",
        "LAST SUCCESS",
        "BEHIND",
        "CHANGED",
        "REJECTED",
    ];
    lines.push(rows(&columns, feeds));
    let destinations = status.destinations.iter().map(destination_row).collect();
    let columns = [
        "DESTINATION",
        "PHASE",
        "BACKLOG",
        "OLDEST",
        "DELIVERED",
        "QUARANTINE",
    ];
    lines.push(rows(&columns, destinations));
    lines.push(store_line(status));
    if status.problems.is_empty() {
        lines.push("\nNo problems.".to_owned());
    } else {
        lines.push("\nProblems".to_owned());
    }
    for problem in &status.problems {
        lines.push(format!(
            "  {} {}: {}\n      {}",
            problem.severity.as_str(),
            problem.subject,
            problem.message,
            problem.remedy
        ));
    }
    lines.join("\n")
}

fn rows(columns: &[&str], rows: Vec<[String; 6]>) -> String {
    let mut table = output::table(columns);
    table.add_rows(rows);
    format!("\n{}", table.trim_fmt())
}

fn feed_row(feed: &FeedStatus, status: &Status) -> [String; 6] {
    let ago = feed.last_success_at.map(|at| {
        let seconds = u64::try_from(status.at.ms_since(at) / 1000).unwrap_or(0);
        format!("{} ago", output::span(seconds))
    });
    [
        format!("{}/{}", feed.source, feed.feed),
        feed.phase.clone(),
        ago.unwrap_or_else(|| "never".to_owned()),
        output::span(feed.lag_s),
        feed.counts.rows_changed.to_string(),
        feed.counts.rows_rejected.to_string(),
    ]
}

fn destination_row(destination: &DestinationStatus) -> [String; 6] {
    let age = destination.oldest_unsent_age_s.map(output::span);
    [
        format!("{} ({})", destination.name, destination.kind),
        destination.phase.clone(),
        destination.backlog.to_string(),
        age.unwrap_or_else(|| "-".to_owned()),
        destination.acknowledged.to_string(),
        destination.quarantined.to_string(),
    ]
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
