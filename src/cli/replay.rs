//! `replay`: sends a destination once more what it has already.

use serde_json::Value;

use super::backfill::moment;
use super::quarantine::the_destination;
use super::{ConfigFile, output, remote};
use crate::control::{ReplayFrom, Request};
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Sends a destination once more what it has already: after a table was lost or restored. Rows
/// that are there stay as they are. What the journal keeps no more cannot be sent.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The destination; may be left out where there is one.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    #[command(flatten)]
    begin: Begin,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Begin {
    /// Begin with this place in the journal.
    #[arg(long, value_name = "SEQ")]
    from_seq: Option<u64>,
    /// Begin with the first record about this moment: RFC 3339 or Unix seconds, to the hour.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<WallTime>,
    /// End the replay that is under way; what it sent stays sent.
    #[arg(long)]
    stop: bool,
}

/// Asks for the replay; the destination's worker does it behind what is new.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let destination = the_destination(arguments.destination.as_deref(), &config)?;
    let begin = &arguments.begin;
    let from = begin
        .from_seq
        .map(ReplayFrom::Seq)
        .or(begin.from.map(ReplayFrom::Time));
    let request = match from {
        Some(from) => Request::Replay { destination, from },
        None => Request::ReplayStop { destination },
    };
    let done = remote::ask_or_do(&config, &request, |_| {})?;
    if arguments.json {
        output::json(&done);
    } else {
        output::line(&told(&done, from.is_some()));
    }
    Ok(Exit::Ok)
}

fn told(done: &Value, begins: bool) -> String {
    let name = output::plain(&done["destination"]);
    if !begins || done["later"] == Value::Bool(true) {
        let what = if begins {
            "will be replayed"
        } else {
            "the replay has ended"
        };
        return format!("{name}: {what}{}", output::later(done));
    }
    if done["records"] == 0 {
        return format!("{name}: nothing from there on is kept, so nothing is sent");
    }
    format!(
        "{name}: {} records are sent once more (seq {} to {}); see `status`",
        done["records"], done["from_seq"], done["to_seq"]
    )
}
