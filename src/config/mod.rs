//! The configuration: TOML files to validated options, every problem at once.
//!
//! - One wrong value never hides another: reading goes on to the end, and [`ConfigErrors`] holds
//!   everything with file, line, column, field, value, range and hint.
//! - What is not known is an error, with the nearest known key.
//! - No secret is printed, whatever is wrong with the file; see [`problem`].
//! - The components own their options; this module knows them, and is the only one that knows TOML.

mod alarm;
mod api;
mod build;
mod destination;
mod document;
mod field;
mod files;
mod keys;
pub mod problem;
mod receive;
mod secret;
mod section;
pub mod settings;
mod source;
mod surroundings;
mod text;
mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use alarm::AlarmConfig;
pub use destination::{
    DestinationConfig, DestinationTarget, HttpConfig, JetStreamConfig, KINDS, PostgresConfig,
    SqlServerConfig,
};
pub use keys::{KeyNote, catalogue};
pub use problem::{ConfigErrors, Problem, Severity, Snippet};
pub use receive::{ReceiveBox, ReceiveConfig, is_database};
pub use secret::SecretSource;
pub use source::{
    ConfigurationConfig, ConnectionConfig, HistoricalConfig, QueueFilter, RealtimeConfig,
    SourceConfig,
};
pub use surroundings::Surroundings;

use crate::control::ControlOptions;
use crate::lifecycle::logging::LogOptions;
use crate::store::StoreOptions;

use files::Files;
use section::{Finding, Reader};

/// A configuration that can be run.
///
/// Two are equal if the program would do the same under both, wherever their keys stand; so a
/// reload compares the parts to see what changed.
#[derive(Debug, Clone)]
pub struct Config {
    /// The main file, as it was named.
    pub path: PathBuf,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// What is not wrong, but will be held or is less safe than it could be.
    pub warnings: Vec<Problem>,
    /// The store, the state folder and the box's id.
    pub store: StoreOptions,
    /// The control server.
    pub control: ControlOptions,
    /// The log.
    pub log: LogOptions,
    /// When people are told what is wrong, and how.
    pub alarm: AlarmConfig,
    /// How long an ordered stop may take.
    pub stop_timeout: Duration,
    /// The sources, in the order of the files.
    pub sources: Vec<SourceConfig>,
    /// The destinations, in the order of the files.
    pub destinations: Vec<DestinationConfig>,
    /// What `thrio-edge receive` does.
    pub receive: ReceiveConfig,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        // Taken apart, so that a new field cannot be forgotten here.
        let Self {
            path: _,
            files: _,
            warnings: _,
            store,
            control,
            log,
            alarm,
            stop_timeout,
            sources,
            destinations,
            receive,
        } = self;
        store == &other.store
            && control == &other.control
            && log == &other.log
            && alarm == &other.alarm
            && stop_timeout == &other.stop_timeout
            && sources == &other.sources
            && destinations == &other.destinations
            && receive == &other.receive
    }
}

/// Reads the configuration on this machine.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    load_in(path, &Surroundings::system())
}

/// Reads the configuration as if on that machine.
pub fn load_in(path: &Path, around: &Surroundings) -> Result<Config, ConfigErrors> {
    load_with(path, around, None)
}

/// The same with these settings instead of the saved ones.
fn load_with(
    path: &Path,
    around: &Surroundings,
    settings: Option<String>,
) -> Result<Config, ConfigErrors> {
    let mut files = Files::read(path, settings);
    let mut problems = std::mem::take(&mut files.unreadable);
    if files.documents.is_empty() {
        return Err(ConfigErrors { problems });
    }
    let reader = Reader::new(&files.documents);
    for (file, error) in &files.syntax {
        let place = tree::Place {
            file: *file,
            span: error.span.clone(),
        };
        reader.add(Finding::error(
            &place,
            format!("not valid TOML: {}", error.message),
        ));
    }
    let parts = build::build(&reader, &files, around);
    let failed = reader.has_errors() || !problems.is_empty();
    problems.extend(reader.into_problems());
    match parts {
        Some(parts) if !failed => Ok(Config {
            path: path.to_owned(),
            files: files.documents.iter().map(|d| d.path.clone()).collect(),
            warnings: problems,
            store: parts.store,
            control: parts.control,
            log: parts.log,
            alarm: parts.alarm,
            stop_timeout: parts.stop_timeout,
            sources: parts.sources,
            destinations: parts.destinations,
            receive: parts.receive,
        }),
        _ => Err(ConfigErrors { problems }),
    }
}
