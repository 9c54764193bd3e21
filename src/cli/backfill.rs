//! `backfill`: reads contact volume again and says what changed.

use chrono::DateTime;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{ConfigFile, output, remote};
use crate::control::Request;
use crate::domain::interval::INTERVAL_S;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Reads contact volume of a span again and reports what changed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The first moment: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: WallTime,
    /// The moment after the last.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: WallTime,
    /// One queue; all where not given.
    #[arg(long, value_name = "ID")]
    queue: Option<String>,
    /// One source; all where not given.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    /// Return once it is queued; it goes on by itself, also after a restart.
    #[arg(long)]
    detach: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads a moment of the command line.
pub(super) fn moment(text: &str) -> Result<WallTime, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(WallTime::from_s(seconds));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| WallTime::from_ms(time.timestamp_millis()))
        .map_err(|_| "RFC 3339 (2026-07-25T17:00:00Z) or Unix seconds are needed".to_owned())
}

/// Asks for the backfill and follows it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let request = Request::Backfill {
        source: arguments.source.clone(),
        from: arguments.from,
        to: arguments.to,
        queue: arguments.queue.clone(),
        dry_run: arguments.dry_run,
        follow: !arguments.detach,
    };
    let bar = bar(arguments);
    let done = remote::ask_or_do(&config, &request, |value| advance(&bar, arguments, value));
    bar.finish_and_clear();
    let done = done?;
    if arguments.json {
        output::json(&done);
        return Ok(Exit::Ok);
    }
    for (source, report) in done.as_object().into_iter().flatten() {
        show(source, report, arguments.dry_run);
    }
    Ok(Exit::Ok)
}

fn bar(arguments: &Arguments) -> ProgressBar {
    let intervals = arguments.to.ms_since(arguments.from) / 1000 / INTERVAL_S;
    let bar = ProgressBar::new(u64::try_from(intervals).unwrap_or(0));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} intervals {msg}");
    bar.set_style(style.expect("the template is well-formed"));
    bar
}

fn advance(bar: &ProgressBar, arguments: &Arguments, value: &Value) {
    let next = value["next"].as_str().and_then(|text| moment(text).ok());
    if let Some(next) = next {
        let read = next.ms_since(arguments.from) / 1000 / INTERVAL_S;
        bar.set_position(u64::try_from(read).unwrap_or(0));
    }
    bar.set_message(format!("{} changed", value["tally"]["changed"]));
}

fn show(source: &str, report: &Value, dry_run: bool) {
    if report["queued"] == Value::Bool(true) {
        output::line(&format!(
            "{source}: queued as {}; see `status`",
            report["id"]
        ));
        return;
    }
    let tally = &report["tally"];
    let how = if dry_run {
        " (nothing was written)"
    } else {
        ""
    };
    output::line(&format!(
        "{source}{how}: {} rows; {} new, {} changed, {} equal, {} rejected; \
         {} intervals empty, {} failed",
        tally["rows"],
        tally["new"],
        tally["changed"],
        tally["unchanged"],
        tally["rejected"],
        tally["intervals_empty"],
        tally["intervals_failed"],
    ));
    if let Some(begins) = report["history_begins"].as_str() {
        output::line(&format!("  Thrio's history begins at {begins}"));
    }
    if let Some(error) = tally["last_error"].as_str() {
        output::line(&format!("  last error: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rfc_3339_or_unix_seconds() {
        let expected = Ok(WallTime::from_s(1_785_000_000));
        assert_eq!(moment("1785000000"), expected);
        assert_eq!(moment("2026-07-25T19:20:00+02:00"), expected);
        assert!(moment("yesterday").is_err());
    }
}
