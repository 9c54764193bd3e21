//! `reconcile`: compares what the box holds with what a destination holds.

use serde_json::Value;

use super::backfill::moment;
use super::quarantine::the_destination;
use super::{ConfigFile, output, remote};
use crate::control::Request;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Compares what the box holds with what a destination holds: per queue and day counts and sums,
/// per agent and day the number of transactions. Exits 74 where they differ and nothing mends it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The destination; may be left out where there is one.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// The first moment, RFC 3339 or Unix seconds; whole days (UTC) are compared. Seven days before
    /// `--to` where not given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<WallTime>,
    /// The moment after the last. The beginning of today (UTC) where not given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<WallTime>,
    /// Send again what differs, over what became of it there. Rows that the box knows nothing of
    /// are left alone.
    #[arg(long)]
    repair: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Compares, and prints what differs.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let request = Request::Reconcile {
        destination: the_destination(arguments.destination.as_deref(), &config)?,
        from: arguments.from,
        to: arguments.to,
        repair: arguments.repair,
    };
    let done = remote::ask_or_do(&config, &request, |_| {})?;
    if arguments.json {
        output::json(&done);
    } else {
        show(&done);
    }
    let differs = done["differences_count"].as_u64() > Some(0);
    Ok(if differs && !arguments.repair {
        Exit::Io
    } else {
        Exit::Ok
    })
}

fn show(done: &Value) {
    let listed = done["differences"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if !listed.is_empty() {
        let columns = ["SOURCE", "DAY", "WHAT", "BOX", "DESTINATION"];
        let mut table = output::table(&columns);
        for difference in listed {
            table.add_row(row(difference));
        }
        output::line(&table.to_string());
    }
    let text = |name: &str| output::plain(&done[name]);
    output::line(&format!(
        "{}: {} to {}: {} queue-days and agent-days compared, {} differ; {} not judged",
        text("destination"),
        text("from"),
        text("to"),
        text("compared"),
        text("differences_count"),
        text("not_judged"),
    ));
    if done["days_without_transactions"].as_u64() > Some(0) {
        let days = text("days_without_transactions");
        output::line(&format!(
            "the journal keeps the transactions of {days} of these days no more: they were not compared"
        ));
    }
    if let Some(resent) = done["resent"].as_u64() {
        output::line(&format!("{resent} records are sent again; see `status`"));
        if done["resent_all"] == Value::Bool(false) {
            output::line("more differ than one repair sends: run it again, or `replay`");
        }
    }
}

fn row(difference: &Value) -> [String; 5] {
    let text = |value: &Value| output::plain(value);
    let (what, side): (String, fn(&Value) -> String) = if difference["kind"] == "volumes" {
        (format!("queue {}", text(&difference["queue"])), volumes)
    } else {
        let agent = text(&difference["agent"]);
        (format!("agent {agent}"), |side| {
            format!("{side} transactions")
        })
    };
    [
        text(&difference["source"]),
        text(&difference["day"]),
        what,
        side(&difference["here"]),
        side(&difference["there"]),
    ]
}

fn volumes(side: &Value) -> String {
    format!(
        "{} intervals, {} entered, {} abandoned, {} s",
        side["intervals"], side["entered"], side["abandoned"], side["handle_time_s"]
    )
}
