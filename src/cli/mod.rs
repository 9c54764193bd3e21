//! The command line (architecture §4): one file per command, `anyhow` only here.
//!
//! Each command is a file with `pub struct Arguments` (clap) and
//! `pub fn run(&Arguments) -> anyhow::Result<Exit>`. What a person reads goes to standard output,
//! what went wrong to standard error, and the exit code is one of [`Exit`] (architecture §7).

pub mod check;
pub mod probe;
pub mod simulate;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::lifecycle::exit::Exit;
use crate::store::StoreError;

/// Collects contact volume, agent states, queues and agents from Thrio and delivers them to
/// workforce management.
#[derive(Debug, Parser)]
#[command(name = "thrio-edge", version, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Probe(probe::Arguments),
}

/// The file that says which box is meant.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "THRIO_EDGE_CONFIG",
        default_value = DEFAULT_CONFIG_FILE
    )]
    pub path: PathBuf,
}

/// Where the packaged service keeps its configuration.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/thrio-edge/thrio-edge.toml";

/// A failure that already knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What a person is told.
    pub message: String,
}

impl Failure {
    /// A failure with this end and this text.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }
}

/// Parses the command line, runs the command, prints what went wrong.
pub fn main() -> Exit {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return report_usage(&error),
    };
    match run(&line.command) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("thrio-edge: {error:#}");
            exit_of(&error)
        }
    }
}

fn run(command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::Check(arguments) => check::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
    }
}

/// Help and version are no mistakes; everything else that clap says is one (64).
fn report_usage(error: &clap::Error) -> Exit {
    // Where standard error is closed there is nobody left to tell.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Ok
    }
}

/// The exit code that an error's cause asks for.
fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return exit_of_store(error);
        }
        if cause.is::<std::io::Error>() {
            return Exit::Io;
        }
    }
    Exit::Unavailable
}

fn exit_of_store(error: &StoreError) -> Exit {
    match error {
        StoreError::InUse { .. } => Exit::AlreadyRunning,
        _ => Exit::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn an_error_ends_with_the_code_of_its_cause() {
        let in_use = anyhow::Error::from(StoreError::InUse {
            path: "journal.redb".into(),
        });
        assert_eq!(exit_of(&in_use.context("start")), Exit::AlreadyRunning);
        let io = anyhow::Error::from(std::io::Error::other("disk"));
        assert_eq!(exit_of(&io), Exit::Io);
        let failure = Failure::new(Exit::Configuration, "bad file");
        assert_eq!(exit_of(&failure.into()), Exit::Configuration);
    }
}
