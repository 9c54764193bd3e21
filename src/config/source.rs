//! `[[source]]`: one Thrio tenant with its two connections and three feeds.

use std::path::PathBuf;
use std::time::Duration;

use super::api;
use super::build::BODY_BYTES;
use super::field::Placed;
use super::files::Files;
use super::secret::{self, SecretSource};
use super::section::{Finding, Reader, Section};
use super::surroundings::Surroundings;
use super::text;
use super::tree::{Table, Value};
use crate::domain::category::{StateMap, category_named};
use crate::domain::clock_offset::ClockOptions;
use crate::domain::configuration::ConfigurationOptions;
use crate::domain::historical::{HistoricalOptions, IntervalFrom, QueueFrom};
use crate::domain::ids::{NAME_CHARS_MAX, QueueId, SourceName};
use crate::domain::realtime::{MissingAgent, RealtimeOptions, SnapshotKind};
use crate::thrio::api as wire;
use crate::thrio::api::{ApiOptions, ConfigurationConnection};
use crate::thrio::options::{AuthScheme, ConnectionOptions, OptionProblem, ProxyUrl};

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name: the key of its rows.
    pub name: SourceName,
    /// The zone of page, reports and exports.
    pub time_zone: String,
    /// Which queues count.
    pub queues: QueueFilter,
    /// What is assumed of its API.
    pub api: ApiOptions,
    /// The realtime feed, where it is wanted.
    pub realtime: Option<RealtimeConfig>,
    /// The historical feed, where it is wanted.
    pub historical: Option<HistoricalConfig>,
    /// The configuration feed.
    pub configuration: ConfigurationConfig,
}

/// Which queues are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueFilter {
    /// Only these; empty = all.
    pub include: Vec<QueueId>,
    /// Never these.
    pub exclude: Vec<QueueId>,
}

impl QueueFilter {
    /// Whether the queue is kept.
    pub fn keeps(&self, queue: &QueueId) -> bool {
        (self.include.is_empty() || self.include.contains(queue)) && !self.exclude.contains(queue)
    }
}

/// An account at a login host, and where its password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// How to connect.
    pub options: ConnectionOptions,
    /// The password.
    pub password: SecretSource,
}

/// "Real-time adherence integration".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealtimeConfig {
    /// Its connection.
    pub connection: ConnectionConfig,
    /// How it polls.
    pub options: RealtimeOptions,
}

/// "Historical contact volume data collection".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoricalConfig {
    /// Its connection.
    pub connection: ConnectionConfig,
    /// How it reads.
    pub options: HistoricalOptions,
}

/// Queues and agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationConfig {
    /// Which of the source's connections it uses: one that is configured.
    pub connection: ConfigurationConnection,
    /// How it imports.
    pub options: ConfigurationOptions,
}

/// Reads one source. None where it cannot be built; why is in the reader.
pub(super) fn read<'r>(
    reader: &'r Reader<'r>,
    table: &'r Table,
    defaults: Vec<&'r Table>,
    files: &'r Files,
    around: &Surroundings,
) -> Option<SourceConfig> {
    let section = Section::new(reader, "source", vec![table])
        .with_defaults(defaults)
        .about(subject(reader, "source", table));
    let name = name(&section);
    let time_zone = time_zone(&section, around);
    let queues = queues(&section);
    let api = api::read(&section, files);
    let states = states(&section, files);
    let clock = clock(&section);
    let realtime_table = section.child("realtime");
    let historical_table = section.child("historical");
    let configuration = configuration(&section, clock.clone());
    let has_realtime = realtime_table.is_present();
    let has_historical = historical_table.is_present();
    let realtime = has_realtime.then(|| realtime(&realtime_table, around, states, clock));
    let historical = has_historical.then(|| historical(&historical_table, around, &api));
    realtime_table.finish();
    historical_table.finish();
    if !has_realtime && !has_historical {
        let message = "a source needs [source.realtime] or [source.historical]";
        section.add("", Finding::error(&section.place(), message));
    }
    let connection = match (api.configuration_connection, has_realtime, has_historical) {
        (ConfigurationConnection::Historical, _, false) => ConfigurationConnection::Realtime,
        (ConfigurationConnection::Realtime, false, _) => ConfigurationConnection::Historical,
        (wanted, _, _) => wanted,
    };
    section.finish();
    Some(SourceConfig {
        name: name?,
        time_zone,
        queues,
        api,
        realtime: flatten(realtime)?,
        historical: flatten(historical)?,
        configuration: ConfigurationConfig {
            connection,
            options: configuration,
        },
    })
}

/// `Some(None)`: it was wanted, and could not be built.
#[expect(clippy::option_option, reason = "wanted and built are two questions")]
fn flatten<T>(wanted: Option<Option<T>>) -> Option<Option<T>> {
    match wanted {
        Some(None) => None,
        Some(Some(built)) => Some(Some(built)),
        None => Some(None),
    }
}

/// How messages call a source or destination: by its name, if that is one.
pub(super) fn subject(reader: &Reader<'_>, kind: &str, table: &Table) -> Option<String> {
    let node = &table.get("name")?.node;
    let Value::String(name) = &node.value else {
        return None;
    };
    let document = reader.document(&node.place);
    let shown = document.is_well_formed() || document.may_show(&node.place.span);
    (shown && SourceName::new(name).is_ok()).then(|| format!("{kind} \"{name}\""))
}

/// What a name may look like.
pub(super) fn allowed_name() -> String {
    format!("1 to {NAME_CHARS_MAX} of a-z, 0-9 and '-'")
}

fn name(section: &Section<'_>) -> Option<SourceName> {
    let check = |text: &str| SourceName::new(text).map_err(|_| "cannot be a name".to_owned());
    section
        .checked("name", &allowed_name(), SourceName::to_string, check)
        .required("name = \"main\"")
        .map(|name| name.value)
}

fn time_zone(section: &Section<'_>, around: &Surroundings) -> String {
    let check = |text: &str| around.check_zone(text).map(|()| text.to_owned());
    section
        .checked(
            "time_zone",
            "an IANA name such as \"Europe/Berlin\"",
            |zone| text::quote(zone),
            check,
        )
        .or("UTC".to_owned())
}

fn queues(section: &Section<'_>) -> QueueFilter {
    let table = section.child("queues");
    let ids = |key: &'static str| -> Vec<QueueId> {
        let texts = table.texts(key).or(Vec::new());
        let ids = texts.iter().map(|text| QueueId::new(text));
        ids.filter_map(|id| match id {
            Ok(id) => Some(id),
            Err(error) => {
                let place = table
                    .entry(key)
                    .map_or(table.place(), |e| e.node.place.clone());
                table.add(key, Finding::error(&place, error.to_string()));
                None
            }
        })
        .collect()
    };
    let filter = QueueFilter {
        include: ids("include"),
        exclude: ids("exclude"),
    };
    table.finish();
    filter
}

fn clock(section: &Section<'_>) -> ClockOptions {
    let default = ClockOptions::default();
    ClockOptions {
        offset_max: section.span("clock_offset_max_s", 1..=3600, default.offset_max),
    }
}

/// The states of `states_file` and of `[source.states]`; a contradiction is an error.
fn states(section: &Section<'_>, files: &Files) -> StateMap {
    let mut map = StateMap::default();
    if let Some(path) = section.path("states_file").optional() {
        match files.linked(&path.value) {
            Ok(table) => {
                let root = Section::new(section.reader, "", vec![table]);
                if let Some(lines) = root.table_of("states") {
                    add_states(section, lines, &mut map);
                }
                root.finish();
            }
            Err(why) => {
                let message = format!("{} {why}", section.shown_path(&path.place, &path.value));
                section.add("states_file", Finding::error(&path.place, message));
            }
        }
    }
    if let Some(lines) = section.free_table("states") {
        add_states(section, lines, &mut map);
    }
    map
}

fn add_states(section: &Section<'_>, lines: &Table, map: &mut StateMap) {
    for line in &lines.entries {
        let place = &line.node.place;
        let Value::String(word) = &line.node.value else {
            let message = format!(
                "a category must be a text in quotes, found {}",
                line.node.value.kind()
            );
            section.add("states", Finding::error(place, message));
            continue;
        };
        section.reader.document(place).show(&place.span);
        let shown = section.reader.document(place).may_show(&place.span);
        let Some(category) = category_named(word) else {
            let finding = Finding {
                value: shown.then(|| text::quote(word)),
                allowed: Some(
                    "LOGGED_OUT, LOGGED_IN, AVAILABLE, BUSY, WORKING, WRAPUP, NO_ANSWER, AUX"
                        .to_owned(),
                ),
                ..Finding::error(place, "this is no category of states")
            };
            section.add("states", finding);
            continue;
        };
        if let Err(error) = map.insert(&line.key, category) {
            // The text is quoted; in a broken file it may be anything.
            let document = section.reader.document(&line.key_place);
            let message = if document.is_well_formed() {
                error.to_string()
            } else {
                "this line cannot be used".to_owned()
            };
            section.add("states", Finding::error(&line.key_place, message));
        }
    }
}

fn realtime(
    section: &Section<'_>,
    around: &Surroundings,
    states: StateMap,
    clock: ClockOptions,
) -> Option<RealtimeConfig> {
    let default = RealtimeOptions::default();
    let kinds = [
        ("unknown", SnapshotKind::Unknown),
        ("full", SnapshotKind::Full),
        ("delta", SnapshotKind::Delta),
    ];
    let missing = [
        ("logged_out", MissingAgent::LoggedOut),
        ("keep", MissingAgent::Keep),
        ("unknown", MissingAgent::Unknown),
    ];
    let options = RealtimeOptions {
        period: section.span(
            "transaction_collection_interval_s",
            1..=3600,
            default.period,
        ),
        snapshot: section.choice("snapshot", &kinds, default.snapshot),
        missing_agent: section.choice("missing_agent", &missing, default.missing_agent),
        states,
        clock,
    };
    if section.has_own("missing_agent") && options.snapshot != SnapshotKind::Full {
        let place = section.entry("missing_agent").map(|e| e.key_place.clone());
        let message = "`missing_agent` has no effect without snapshot = \"full\"";
        let finding = Finding::warning(&place.unwrap_or_else(|| section.place()), message);
        section.add(
            "missing_agent",
            finding.hint("absence proves nothing in another list"),
        );
    }
    let connection = connection(section, "account", around);
    Some(RealtimeConfig {
        connection: connection?,
        options,
    })
}

fn historical(
    section: &Section<'_>,
    around: &Surroundings,
    api: &ApiOptions,
) -> Option<HistoricalConfig> {
    let options = historical_options(section, api);
    let connection = connection(section, "username", around);
    Some(HistoricalConfig {
        connection: connection?,
        options,
    })
}

fn historical_options(section: &Section<'_>, api: &ApiOptions) -> HistoricalOptions {
    let default = HistoricalOptions::default();
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let night_at = section
        .checked(
            "night_at",
            "a time of day in UTC such as \"02:30\"",
            |s: &u64| text::quote(&format!("{:02}:{:02}", s / 3600, s % 3600 / 60)),
            |text| text::parse_time_of_day(text).ok_or_else(|| "is no time of day".to_owned()),
        )
        .or(default.night_at.as_secs());
    HistoricalOptions {
        settle_delay: section.span("settle_delay_s", 0..=3600, default.settle_delay),
        live_intervals: small(
            section
                .integer("live_intervals", 1..=96)
                .or(u64::from(default.live_intervals)),
        ),
        hourly_span: section.span("hourly_reread_h", 1..=168, default.hourly_span),
        nightly_span: section.span("nightly_reread_days", 1..=35, default.nightly_span),
        night_at: Duration::from_secs(night_at),
        max_backfill: section.span("max_backfill_days", 0..=400, default.max_backfill),
        window_max: section.span("window_max_h", 1..=24, default.window_max),
        window_rows_max: small(
            section
                .integer("window_rows_max", 100..=100_000)
                .or(u64::from(default.window_rows_max)),
        ),
        missing_means_zero: section.boolean("missing_means_zero", default.missing_means_zero),
        bulk_spacing: section.span("bulk_spacing_s", 0..=3600, default.bulk_spacing),
        interval_from: match api.historical.interval_from {
            wire::IntervalFrom::Row => IntervalFrom::Row,
            wire::IntervalFrom::Request => IntervalFrom::Request,
        },
        queue_from: match api.historical.queue_from {
            wire::QueueFrom::Row => QueueFrom::Row,
            wire::QueueFrom::Key => QueueFrom::Key,
            wire::QueueFrom::Request => QueueFrom::Request,
        },
        name_queues: api.historical.request().uses("queues"),
        ..default
    }
}

fn configuration(section: &Section<'_>, clock: ClockOptions) -> ConfigurationOptions {
    let table = section.child("configuration");
    let default = ConfigurationOptions::default();
    let shrink = table
        .integer("max_shrink_percent", 0..=100)
        .or(u64::from(default.max_shrink_percent));
    let options = ConfigurationOptions {
        period: table.span("period_h", 1..=168, default.period),
        max_shrink_percent: u8::try_from(shrink).unwrap_or(default.max_shrink_percent),
        clock,
    };
    table.finish();
    options
}

/// The keys that both connections share; `user_key` is the word of the product's page.
fn connection(
    section: &Section<'_>,
    user_key: &'static str,
    around: &Surroundings,
) -> Option<ConnectionConfig> {
    let mut options = ConnectionOptions::default();
    let schemes = [
        ("raw", AuthScheme::Raw),
        ("bearer", AuthScheme::Bearer),
        ("auto", AuthScheme::Auto),
    ];
    // A URL with a path that holds an `@` is legal, and never what was meant.
    let check = |url: &str| match url {
        "" => Err("is empty".to_owned()),
        url if url.contains('@') => {
            Err("holds more than a host: account and password are keys of their own".to_owned())
        }
        url => Ok(url.to_owned()),
    };
    options.base_url = section
        .checked("base_url", "", |url| text::quote(url), check)
        .or(options.base_url);
    let user = section
        .text(user_key)
        .required("the user name that was made for this integration");
    options.auth_scheme = section.choice("auth_scheme", &schemes, options.auth_scheme);
    options.login_path = section.text("login_path").or(options.login_path);
    options.allowed_host_suffixes = section
        .texts("allowed_host_suffixes")
        .or(options.allowed_host_suffixes);
    options.ca_file = section
        .path("ca_file")
        .optional()
        .and_then(|file| readable(section, file));
    let proxy = section.text("proxy").optional();
    options.proxy = proxy.map(|proxy| ProxyUrl::new(proxy.value));
    options.connect_timeout = section.span("connect_timeout_s", 1..=300, options.connect_timeout);
    options.call_timeout = section.span("call_timeout_s", 1..=600, options.call_timeout);
    let body = if user_key == "account" {
        &mut options.realtime_body_bytes_max
    } else {
        &mut options.body_bytes_max
    };
    *body = section.bytes("max_body_bytes", BODY_BYTES).or(*body);
    let password = secret::password(section, around);
    options.user = user?.value;
    for problem in options.problems() {
        add_option_problem(section, user_key, &problem);
    }
    Some(ConnectionConfig {
        options,
        password: password?,
    })
}

/// A file of authorities that must be there when the program starts.
pub(super) fn readable(section: &Section<'_>, file: Placed<PathBuf>) -> Option<PathBuf> {
    readable_under(section, "ca_file", file)
}

/// The same under another key.
pub(super) fn readable_under(
    section: &Section<'_>,
    key: &str,
    file: Placed<PathBuf>,
) -> Option<PathBuf> {
    if let Err(error) = std::fs::File::open(&file.value) {
        let path = section.shown_path(&file.place, &file.value);
        let message = format!("{path} cannot be read: {}", secret::plain(&error));
        section.add(key, Finding::error(&file.place, message));
        return None;
    }
    Some(file.value)
}

/// What the connection itself finds wrong, at the key that says so.
fn add_option_problem(section: &Section<'_>, user_key: &str, problem: &OptionProblem) {
    let name = problem.field.split('[').next().unwrap_or_default();
    let key = match name {
        "user" => user_key,
        other => other,
    };
    let place = section
        .entry(key)
        .map_or(section.place(), |entry| entry.node.place.clone());
    let shown = section.reader.document(&place).may_show(&place.span);
    section.add(
        key,
        Finding {
            value: shown.then(|| text::quote(&problem.value)),
            allowed: Some(problem.hint.clone()),
            ..Finding::error(&place, format!("`{key}` cannot be used"))
        },
    );
}
