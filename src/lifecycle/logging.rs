//! Where log lines go and what they look like.
//!
//! Under systemd they go to journald with their fields, under a terminal they are made for people,
//! into a pipe they are plain, and `--log-format json` makes one JSON object of each. A secret
//! never reaches this place: whoever holds one has a type that does not print it.

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_file::LogFile;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// journald under systemd, else text; with colours under a terminal.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
    /// journald's own protocol, with fields.
    Journald,
}

/// How the process logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// The form of a line.
    pub format: LogFormat,
    /// A level, or levels by module: `info`, `info,thrio_edge::store=debug`.
    pub filter: String,
    /// A file instead of standard error.
    pub file: Option<PathBuf>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
            file: None,
        }
    }
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error(
        "log level \"{filter}\": {message}; use error, warn, info, debug or trace, or module=level"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        message: String,
    },
    /// The log file cannot be written.
    #[error("cannot open the log file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// journald was asked for and is not there.
    #[error("cannot reach journald: {0}")]
    Journald(std::io::Error),
    /// Logging was started before, by whoever embeds this.
    #[error("logging was started already")]
    Started,
}

/// Starts logging for the whole process; called once, before any thread.
pub fn start(options: &LogOptions) -> Result<(), LogError> {
    let filter = parse_filter(&options.filter)?;
    let layer = match (&options.file, options.format) {
        (Some(path), format) => {
            let file = LogFile::open(path).map_err(|source| LogError::File {
                path: path.clone(),
                source,
            })?;
            text_layer(format, false, file)
        }
        (None, LogFormat::Journald) => journald_layer().map_err(LogError::Journald)?,
        (None, LogFormat::Auto) if stderr_is_journald() => {
            journald_layer().unwrap_or_else(|_| text_layer(LogFormat::Text, false, stderr))
        }
        (None, format) => text_layer(format, stderr().is_terminal(), stderr),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|_| LogError::Started)
}

/// Whether journald can be reached here, also where standard error does not lead to it.
pub fn journald_is_there() -> bool {
    tracing_journald::layer().is_ok()
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Client libraries that log every failure as an error, SQL Server's with the row that the server
/// quotes: what it means is said by the destination, once, without.
const NOISY: [&str; 2] = ["async_nats", "tiberius"];

fn parse_filter(text: &str) -> Result<Targets, LogError> {
    let mut targets = Targets::from_str(text).map_err(|error| LogError::Filter {
        filter: text.to_owned(),
        message: error.to_string(),
    })?;
    for client in NOISY {
        if !text.contains(client) {
            targets = targets.with_target(client, LevelFilter::OFF);
        }
    }
    Ok(targets)
}

fn journald_layer() -> std::io::Result<BoxedLayer> {
    Ok(tracing_journald::layer()?.with_field_prefix(None).boxed())
}

fn text_layer<W>(format: LogFormat, colours: bool, writer: W) -> BoxedLayer
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).with_target(true).boxed(),
        _ => layer.with_ansi(colours).boxed(),
    }
}

/// systemd names the device and inode that it connected standard error to; a program started by
/// hand from such a service inherits the variable, not the stream.
fn stderr_is_journald() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stat) = rustix::fs::fstat(stderr().as_fd()) else {
        return false;
    };
    names_stream(&named, stat.st_dev, stat.st_ino)
}

fn names_stream(named: &str, device: impl fmt::Display, inode: impl fmt::Display) -> bool {
    named == format!("{device}:{inode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_module() {
        for good in ["info", "warn,thrio_edge::store=debug"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        let error = parse_filter("thrio_edge=loud").unwrap_err().to_string();
        assert!(error.contains("loud") && error.contains("debug"), "{error}");
    }

    #[test]
    fn a_client_that_is_noisy_speaks_only_where_it_is_named() {
        for client in NOISY {
            let module = format!("{client}::of::it");
            let says = |filter: &str| {
                let filter = parse_filter(filter).expect("a filter");
                filter.would_enable(&module, &tracing::Level::ERROR)
            };
            assert!(!says("trace"), "{client}");
            assert!(says(&format!("info,{client}=error")), "{client}");
        }
    }

    #[test]
    fn journald_is_only_taken_where_standard_error_leads_to_it() {
        assert!(names_stream("8:1234", 8_u64, 1234_u64));
        assert!(!names_stream("8:1234", 8_u64, 99_u64));
        assert!(!names_stream("", 8_u64, 99_u64));
    }
}
