//! `[[destination]]`: where records go, and what all kinds share. The keys of each kind have a file
//! of their own.

mod client;
mod file;
mod http;
mod jetstream;
mod postgres;
mod sqlite;
mod sqlserver;

use std::path::Path;
use std::time::Duration;

pub use self::http::HttpConfig;
pub use self::jetstream::JetStreamConfig;
pub use self::postgres::PostgresConfig;
pub use self::sqlserver::SqlServerConfig;
use super::build::BATCH_BYTES;
use super::section::{Finding, Reader, Section};
use super::source::{allowed_name, subject};
use super::surroundings::Surroundings;
use super::text;
use super::tree::Table;
use crate::destination::file::FileOptions;
use crate::destination::sqlite::SqliteOptions;
use crate::destination::sqlserver::RECORDS_MAX as SQLSERVER_RECORDS_MAX;
use crate::domain::delivery::{DeliveryOptions, StartAt};
use crate::domain::ids::{DestinationName, Feed, SourceName};
use crate::domain::interval::IntervalStart;

/// The kinds that there are.
pub const KINDS: [&str; 6] = [
    "sqlite",
    "postgres",
    "sqlserver",
    "http",
    "jetstream",
    "file",
];

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Its name: the key of its cursor.
    pub name: DestinationName,
    /// How it is served.
    pub delivery: DeliveryOptions,
    /// The time of day (UTC) at which what it holds is compared with the journal; none: never.
    pub reconcile_at: Option<Duration>,
    /// What it is.
    pub target: DestinationTarget,
}

/// What a destination is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationTarget {
    /// A SQLite file.
    Sqlite(SqliteOptions),
    /// A PostgreSQL database.
    Postgres(Box<PostgresConfig>),
    /// A SQL Server database.
    SqlServer(Box<SqlServerConfig>),
    /// A directory of files.
    File(Box<FileOptions>),
    /// A receiver of batches.
    Http(Box<HttpConfig>),
    /// A NATS JetStream stream.
    JetStream(Box<JetStreamConfig>),
}

impl DestinationConfig {
    /// Says where the box keeps its state, for destinations that keep some there too.
    pub(super) fn keep_state_in(&mut self, state_dir: &Path) {
        match &mut self.target {
            DestinationTarget::File(options) => {
                options.work_folder = file::work_folder(state_dir, &self.name);
            }
            DestinationTarget::Http(config) => {
                let file = format!("{}.json", self.name);
                config.options.high_water = Some(state_dir.join("http").join(file));
            }
            DestinationTarget::Sqlite(_)
            | DestinationTarget::Postgres(_)
            | DestinationTarget::SqlServer(_)
            | DestinationTarget::JetStream(_) => {}
        }
    }
}

impl DestinationTarget {
    /// The word of the key `kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::SqlServer(_) => "sqlserver",
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::JetStream(_) => "jetstream",
        }
    }

    /// Whether a live lane may run ahead of the backlog there.
    const fn has_lanes(&self) -> bool {
        !matches!(self, Self::File(_) | Self::JetStream(_))
    }

    /// The largest batch that may be asked for there.
    const fn batch_records_max(&self) -> usize {
        match self {
            Self::SqlServer(_) => SQLSERVER_RECORDS_MAX,
            _ => usize::MAX,
        }
    }

    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(a), Self::Sqlite(b)) => a.path == b.path,
            (Self::Postgres(a), Self::Postgres(b)) => a.options.is_same_place(&b.options),
            (Self::SqlServer(a), Self::SqlServer(b)) => a.options.is_same_place(&b.options),
            (Self::File(a), Self::File(b)) => a.directory == b.directory,
            (Self::Http(a), Self::Http(b)) => a.options.url == b.options.url,
            (Self::JetStream(a), Self::JetStream(b)) => a.options.is_same_place(&b.options),
            _ => false,
        }
    }
}

/// Reads one destination. None where it cannot be built; why is in the reader.
pub(super) fn read<'r>(
    reader: &'r Reader<'r>,
    table: &'r Table,
    defaults: Vec<&'r Table>,
    around: &Surroundings,
) -> Option<DestinationConfig> {
    let section = Section::new(reader, "destination", vec![table])
        .with_defaults(defaults)
        .about(subject(reader, "destination", table));
    let check = |text: &str| DestinationName::new(text).map_err(|_| "cannot be a name".to_owned());
    let name = section
        .checked("name", &allowed_name(), DestinationName::to_string, check)
        .required("name = \"local\"");
    let kind = kind(&section);
    let delivery = delivery(&section);
    let reconcile_at = reconcile_at(&section);
    let target = match kind.as_deref() {
        Some("sqlite") => sqlite::read(&section).map(DestinationTarget::Sqlite),
        Some("postgres") => postgres::read(&section, around)
            .map(Box::new)
            .map(DestinationTarget::Postgres),
        Some("sqlserver") => sqlserver::read(&section, around)
            .map(Box::new)
            .map(DestinationTarget::SqlServer),
        Some("file") => file::read(&section)
            .map(Box::new)
            .map(DestinationTarget::File),
        Some("http") => http::read(&section, around)
            .map(Box::new)
            .map(DestinationTarget::Http),
        Some("jetstream") => jetstream::read(&section, around)
            .map(Box::new)
            .map(DestinationTarget::JetStream),
        _ if reader.is_listing => {
            list(&section, around);
            None
        }
        // The keys of a kind that is not known cannot be told from mistakes.
        _ => return None,
    };
    section.finish();
    let target = target?;
    Some(DestinationConfig {
        name: name?.value,
        delivery: DeliveryOptions {
            lanes: target.has_lanes(),
            batch_records: delivery.batch_records.min(target.batch_records_max()),
            ..delivery
        },
        reconcile_at,
        target,
    })
}

/// Every kind is read, so that every key gets known.
fn list(section: &Section<'_>, around: &Surroundings) {
    sqlite::read(section);
    file::read(section);
    postgres::read(section, around);
    sqlserver::read(section, around);
    http::read(section, around);
    jetstream::read(section, around);
}

fn kind(section: &Section<'_>) -> Option<String> {
    let quoted = KINDS.map(text::quote).join(", ");
    let check = |text: &str| {
        if KINDS.contains(&text) {
            return Ok(text.to_owned());
        }
        Err(match text::nearest(text, KINDS.into_iter()) {
            Some(near) => format!("is no kind of destination; did you mean \"{near}\"?"),
            None => "is no kind of destination".to_owned(),
        })
    };
    section
        .checked("kind", &quoted, |kind| text::quote(kind), check)
        .required("kind = \"sqlite\"")
        .map(|kind| kind.value)
}

fn delivery(section: &Section<'_>) -> DeliveryOptions {
    let default = DeliveryOptions::default();
    let starts = [("oldest", StartAt::Oldest), ("now", StartAt::Now)];
    let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let records = section
        .integer("batch_records", 1..=100_000)
        .or(default.batch_records as u64);
    let bytes = section
        .bytes("batch_bytes", BATCH_BYTES)
        .or(default.batch_bytes as u64);
    DeliveryOptions {
        batch_records: small(records),
        batch_bytes: small(bytes),
        start: section.choice("start", &starts, default.start),
        paused: section.boolean("paused", default.paused),
        sources: sources(section),
        feeds: feeds(section),
        facts_from: facts_from(section),
        backoff_max: section.span("backoff_max_s", 1..=3600, default.backoff_max),
        ..default
    }
}

fn reconcile_at(section: &Section<'_>) -> Option<Duration> {
    let time = section.checked(
        "reconcile_at",
        "a time of day in UTC such as \"04:00\"",
        |s: &u64| text::quote(&format!("{:02}:{:02}", s / 3600, s % 3600 / 60)),
        |text| text::parse_time_of_day(text).ok_or_else(|| "is no time of day".to_owned()),
    );
    time.optional().map(|time| Duration::from_secs(time.value))
}

/// The key `sources`, which boxes of a receiver have too.
pub(super) fn sources(section: &Section<'_>) -> Vec<SourceName> {
    let names = section.texts("sources").or(Vec::new());
    let valid: Vec<SourceName> = names
        .iter()
        .filter_map(|name| SourceName::new(name).ok())
        .collect();
    if valid.len() < names.len() {
        let place = section.entry("sources").map(|e| e.node.place.clone());
        let finding = Finding {
            allowed: Some(allowed_name()),
            ..Finding::error(
                &place.unwrap_or_else(|| section.place()),
                "a name in `sources` cannot be a source's",
            )
        };
        section.add("sources", finding);
    }
    valid
}

fn feeds(section: &Section<'_>) -> Vec<Feed> {
    let words = section.texts("feeds").or(Vec::new());
    let feeds = words.iter().filter_map(|word| {
        let feed = Feed::ALL.into_iter().find(|feed| feed.as_str() == word);
        if feed.is_none() {
            let names = Feed::ALL.map(Feed::as_str);
            let near = text::nearest(word, names.into_iter());
            let message = "`feeds` holds what is no feed";
            let place = section.entry("feeds").map(|e| e.node.place.clone());
            let mut finding = Finding::error(&place.unwrap_or_else(|| section.place()), message);
            finding.allowed = Some("\"realtime\", \"historical\", \"configuration\"".to_owned());
            finding.hint = near.map(|near| format!("did you mean \"{near}\"?"));
            section.add("feeds", finding);
        }
        feed
    });
    feeds.collect()
}

fn facts_from(section: &Section<'_>) -> Option<IntervalStart> {
    let time = section.time("facts_from").optional()?;
    let aligned = IntervalStart::aligned_s(time.value.s()).filter(|_| time.value.ms() % 1000 == 0);
    if aligned.is_none() {
        let start = IntervalStart::containing(time.value).start();
        let message = "`facts_from` is no quarter hour";
        let hint = format!("the quarter hour before it starts at {start}");
        let finding = Finding::error(&time.place, message).hint(hint);
        section.add("facts_from", finding);
    }
    aligned
}

/// Two destinations that write the same tables would take each other's receipts for their own.
pub(super) fn check_targets(
    reader: &Reader<'_>,
    tables: &[&Table],
    built: &[Option<DestinationConfig>],
) {
    for (at, (table, one)) in tables.iter().zip(built).enumerate() {
        let Some(one) = one else { continue };
        let mut former = built[..at].iter().flatten();
        let Some(twin) = former.find(|other| one.target.is_same_place(&other.target)) else {
            continue;
        };
        let (key, message, hint) = match one.target {
            DestinationTarget::Sqlite(_) => (
                "path",
                format!("destination \"{}\" writes this file already", twin.name),
                "give each its own file",
            ),
            DestinationTarget::File(_) => (
                "directory",
                format!("destination \"{}\" writes into it already", twin.name),
                "give each its own directory",
            ),
            DestinationTarget::Postgres(_) | DestinationTarget::SqlServer(_) => (
                "url",
                format!("destination \"{}\" writes these tables already", twin.name),
                "give each its own schema or table_prefix",
            ),
            DestinationTarget::JetStream(_) => (
                "urls",
                format!("destination \"{}\" publishes there already", twin.name),
                "give each its own subject_prefix",
            ),
            DestinationTarget::Http(_) => (
                "url",
                format!("destination \"{}\" sends there already", twin.name),
                "a receiver knows a box's records by their store, not by a destination's name",
            ),
        };
        let Some(entry) = table.get(key) else {
            continue;
        };
        if reader.document(&entry.node.place).is_well_formed() {
            reader.add(Finding {
                field: format!("destination.{key}"),
                ..Finding::error(&entry.node.place, message).hint(hint)
            });
        }
    }
}
