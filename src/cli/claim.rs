//! `claim`: takes a source over from another box.

use super::quarantine::the_destination;
use super::{ConfigFile, output, remote};
use crate::control::Request;
use crate::lifecycle::exit::Exit;

/// Takes a source over from another box in a destination's tables. The other box is held there
/// from then on; stop it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The source.
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The destination; may be left out where there is one.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Claims, and waits for the destination's answer.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let destination = the_destination(arguments.destination.as_deref(), &config)?;
    let request = Request::Claim {
        source: arguments.source.clone(),
        destination,
    };
    let done = remote::ask_or_do(&config, &request, |_| {})?;
    if arguments.json {
        output::json(&done);
    } else {
        let (source, destination) = (&done["source"], &done["destination"]);
        output::line(&format!(
            "source {} is this box's in {}{}",
            output::plain(source),
            output::plain(destination),
            output::later(&done)
        ));
    }
    Ok(Exit::Ok)
}
