//! The command line (architecture §4): one file per command, `anyhow` only here.
//!
//! Each command is a file with `pub struct Arguments` (clap) and
//! `pub fn run(&Arguments) -> anyhow::Result<Exit>`. What a person reads goes to standard output,
//! what went wrong to standard error, and the exit code is one of [`Exit`] (architecture §7).

pub mod admin_token;
pub mod alarm;
pub mod backfill;
mod books;
pub mod check;
pub mod claim;
pub mod demo;
pub mod documents;
pub mod export;
#[cfg(test)]
mod handbook;
pub mod import;
mod output;
pub mod probe;
pub mod quarantine;
pub mod receive;
pub mod reconcile;
pub mod reload;
mod remote;
pub mod replay;
pub mod report;
pub mod run;
pub mod simulate;
pub mod status;
pub mod store;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::config::ConfigErrors;
use crate::control::{HttpError, Refusal};
use crate::daemon::StartError;
use crate::lifecycle::exit::Exit;
use crate::lifecycle::logging::{LogError, LogFormat, LogOptions};
use crate::receive::ReceiveError;
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
    Run(run::Arguments),
    Reload(reload::Arguments),
    Check(check::Arguments),
    Status(status::Arguments),
    AdminToken(admin_token::Arguments),
    Alarm(alarm::Arguments),
    Probe(probe::Arguments),
    Import(import::Arguments),
    Backfill(backfill::Arguments),
    Quarantine(quarantine::Arguments),
    Replay(replay::Arguments),
    Receive(receive::Arguments),
    Claim(claim::Arguments),
    Reconcile(reconcile::Arguments),
    Export(export::Arguments),
    Report(report::Arguments),
    Store(store::Arguments),
    Simulate(simulate::Arguments),
    Demo(demo::Arguments),
    #[command(hide = true)]
    Documents(documents::Arguments),
}

/// The file that says which box is meant.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "THRIO_EDGE_CONFIG",
        global = true,
        default_value = DEFAULT_CONFIG_FILE
    )]
    pub path: PathBuf,
}

/// How a process logs, where the command line says it differently from the configuration.
#[derive(Debug, Clone, clap::Args)]
#[expect(
    clippy::struct_field_names,
    reason = "each name is that of its option on the command line"
)]
pub struct LogArguments {
    /// The form of a log line.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// A level, or levels by module: `info`, `info,thrio_edge::store=debug`.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// A file instead of standard error.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

impl LogArguments {
    /// The settings with what the command line says instead.
    pub fn over(&self, settings: LogOptions) -> LogOptions {
        LogOptions {
            format: self.log_format.unwrap_or(settings.format),
            filter: self.log_level.clone().unwrap_or(settings.filter),
            file: self.log_file.clone().or(settings.file),
        }
    }
}

/// The path as seen from the root: the background process works there.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(path)?)
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
    match execute(&line.command) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("thrio-edge: {error:#}");
            exit_of(&error)
        }
    }
}

fn execute(command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Reload(arguments) => reload::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::AdminToken(arguments) => admin_token::run(arguments),
        Command::Alarm(arguments) => alarm::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Backfill(arguments) => backfill::run(arguments),
        Command::Quarantine(arguments) => quarantine::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Receive(arguments) => receive::run(arguments),
        Command::Claim(arguments) => claim::run(arguments),
        Command::Reconcile(arguments) => reconcile::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Store(arguments) => store::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Documents(arguments) => documents::run(arguments),
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
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return refusal.exit;
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return exit_of_store(error);
        }
        if let Some(error) = cause.downcast_ref::<StartError>() {
            return exit_of_start(error);
        }
        if let Some(error) = cause.downcast_ref::<ReceiveError>() {
            return exit_of_receive(error);
        }
        if cause.is::<ConfigErrors>() {
            return Exit::Configuration;
        }
        if cause.is::<LogError>() {
            return Exit::Usage;
        }
        if cause.is::<std::io::Error>() {
            return Exit::Io;
        }
    }
    Exit::Unavailable
}

fn exit_of_receive(error: &ReceiveError) -> Exit {
    match error {
        ReceiveError::NotLoopback(_) | ReceiveError::Certificate(_) => Exit::Configuration,
        ReceiveError::Bind { .. } => Exit::Unavailable,
        ReceiveError::System(_) => Exit::Io,
    }
}

fn exit_of_start(error: &StartError) -> Exit {
    match error {
        StartError::Store(error) => exit_of_store(error),
        StartError::Http(HttpError::Unprotected(..) | HttpError::Tls(_)) => Exit::Configuration,
        StartError::Http(_) => Exit::Unavailable,
        StartError::System { .. } => Exit::Io,
    }
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
