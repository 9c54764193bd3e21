//! `quarantine`: the records that a destination refused for good. It asks the daemon where one
//! runs, and opens the store itself where its lock is free.

use clap::Subcommand;
use serde_json::Value;

use super::{ConfigFile, Failure, output, remote};
use crate::config::Config;
use crate::control::{QuarantineChoice, Request};
use crate::lifecycle::exit::Exit;

/// Shows, retries and discards the records that a destination refused for good.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: ConfigFile,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// A line for each refused record, with the destination's reason.
    List {
        /// One destination; all where not given.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
        /// Begin with this place in the journal.
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        from_seq: u64,
        /// The most records.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// One refused record, whole.
    Show {
        /// Its place in the journal.
        seq: u64,
        /// The destination; may be left out where there is one.
        #[arg(long, value_name = "NAME")]
        destination: Option<String>,
    },
    /// Send refused records once more. What is refused again stays in quarantine.
    Retry(Chosen),
    /// Throw refused records away; they are not sent by themselves any more.
    Discard(Chosen),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// Their places in the journal.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    seqs: Vec<u64>,
    /// Every one of the destination.
    #[arg(long)]
    all: bool,
    /// The destination; may be left out where there is one.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
}

/// Does it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let request = request(&arguments.action, &config)?;
    let done = remote::ask_or_do(&config, &request, |_| {})?;
    if arguments.json {
        output::json(&done);
        return Ok(Exit::Ok);
    }
    match &arguments.action {
        Action::List { .. } => show_list(&done),
        Action::Show { .. } => show_entry(&done),
        Action::Retry(_) => show_count(&done, "retrying", "to be sent once more; see `status`"),
        Action::Discard(_) => show_count(&done, "discarded", "thrown away"),
    }
    Ok(Exit::Ok)
}

fn request(action: &Action, config: &Config) -> anyhow::Result<Request> {
    Ok(match action {
        Action::List {
            destination,
            from_seq,
            limit,
        } => Request::QuarantineList {
            destination: destination.clone(),
            from_seq: *from_seq,
            limit: usize::from(*limit),
        },
        Action::Show { seq, destination } => Request::QuarantineShow {
            destination: the_destination(destination.as_deref(), config)?,
            seq: *seq,
        },
        Action::Retry(chosen) => Request::QuarantineRetry {
            destination: the_destination(chosen.destination.as_deref(), config)?,
            records: chosen.choice(),
        },
        Action::Discard(chosen) => Request::QuarantineDiscard {
            destination: the_destination(chosen.destination.as_deref(), config)?,
            records: chosen.choice(),
        },
    })
}

impl Chosen {
    fn choice(&self) -> QuarantineChoice {
        if self.all {
            QuarantineChoice::All
        } else {
            QuarantineChoice::Seqs(self.seqs.clone())
        }
    }
}

/// The destination that is meant: the one that was named, or the only one.
pub(super) fn the_destination(meant: Option<&str>, config: &Config) -> anyhow::Result<String> {
    if let Some(name) = meant {
        return Ok(name.to_owned());
    }
    match config.destinations.as_slice() {
        [only] => Ok(only.name.to_string()),
        several => {
            let names: Vec<&str> = several.iter().map(|d| d.name.as_str()).collect();
            let message = format!("--destination is needed: one of {}", names.join(", "));
            Err(Failure::new(Exit::Usage, message).into())
        }
    }
}

fn show_list(done: &Value) {
    let entries = done["quarantine"].as_array().map_or(&[][..], Vec::as_slice);
    if entries.is_empty() {
        output::line("the quarantine is empty");
        return;
    }
    let columns = [
        "destination",
        "seq",
        "source",
        "kind",
        "key",
        "about",
        "refused_at",
        "reason",
    ];
    let titles = columns.map(|name| name.replace('_', " "));
    let mut table = output::table(&titles.each_ref().map(String::as_str));
    for entry in entries {
        table.add_row(columns.map(|column| output::plain(&entry[column])));
    }
    output::line(&table.to_string());
    if done["more"] == Value::Bool(true) {
        let last = entries.last().and_then(|entry| entry["seq"].as_u64());
        let next = last.map_or(0, |seq| seq + 1);
        output::line(&format!(
            "there are more: `quarantine list --destination NAME --from-seq {next}`"
        ));
    }
}

fn show_entry(entry: &Value) {
    for (name, value) in entry.as_object().into_iter().flatten() {
        if name != "record" {
            output::line(&format!(
                "{}: {}",
                name.replace('_', " "),
                output::plain(value)
            ));
        }
    }
    let record = serde_json::to_string_pretty(&entry["record"]);
    output::line(&record.expect("a JSON value can be written"));
}

fn show_count(done: &Value, word: &str, what: &str) {
    let count = done[word].as_u64().unwrap_or(0);
    let records = if count == 1 { "record" } else { "records" };
    let name = output::plain(&done["destination"]);
    output::line(&format!(
        "{name}: {count} {records} {what}{}",
        output::later(done)
    ));
}
