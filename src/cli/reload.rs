//! `reload`: reads the configuration again, and says what came of it.

use anyhow::Context as _;

use super::{ConfigFile, output, remote};
use crate::control::Request;
use crate::lifecycle::exit::Exit;

/// Lets the running daemon read its configuration again.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Return once the new configuration runs, or say why it does not (always done; accepted so
    /// that units can say what they mean).
    #[arg(long)]
    wait: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks for the reload and waits.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let _ = arguments.wait;
    // A wrong file is told here, in full, before the daemon is bothered with it; it checks again.
    let (_, config) = remote::configuration(&arguments.config)?;
    let done = remote::ask_running(&config, &Request::Reload, |_| {}).context(
        "the configuration was not taken over (where box.state_dir was changed, only a restart can)",
    )?;
    if arguments.json {
        output::json(&done);
        return Ok(Exit::Ok);
    }
    for what in ["started", "restarted", "stopped", "untouched"] {
        let names = done.get(what).and_then(|names| names.as_array());
        let names = names.into_iter().flatten().filter_map(|name| name.as_str());
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            output::line(&format!("{what}: {}", names.join(", ")));
        }
    }
    Ok(Exit::Ok)
}
