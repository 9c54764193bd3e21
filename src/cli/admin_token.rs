//! `admin-token`: makes the token that changes on the page and over the API need.

use anyhow::Context as _;

use super::{ConfigFile, output, remote};
use crate::control::AdminToken;
use crate::lifecycle::exit::Exit;

/// Makes the admin token of this box and shows it, for the only time.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Replace a token that is there already; whoever is logged in must log in again.
    #[arg(long)]
    new: bool,
}

/// Prints the token alone, so that a script can keep it; what a person should know goes to
/// standard error.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let state_dir = &config.store.state_dir;
    let token = AdminToken::of(state_dir);
    if token.exists() && !arguments.new {
        eprintln!(
            "An admin token was made already. Only its hash is kept, so it cannot be shown again; \
             --new makes another in its place."
        );
        return Ok(Exit::Ok);
    }
    std::fs::create_dir_all(state_dir)
        .with_context(|| format!("state folder {}", state_dir.display()))?;
    let made = token
        .make()
        .with_context(|| format!("the admin token in {}", state_dir.display()))?;
    eprintln!("The admin token, shown only now; the page asks for it before it changes anything:");
    output::line(&made);
    Ok(Exit::Ok)
}
