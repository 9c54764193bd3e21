//! From tables to options: the root, `[box]`, `[store]`, `[control]`, `[log]`, `[alarm]`, and the lists of
//! sources and destinations.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::alarm::{self, AlarmConfig};
use super::destination::{self, DestinationConfig};
use super::files::{Files, STATE_DIR};
use super::keys;
use super::receive::{self, ReceiveConfig};
use super::section::{Finding, Reader, Section};
use super::source::{self, SourceConfig};
use super::surroundings::Surroundings;
use super::text;
use super::tree::{Place, Table, Value};
use crate::control::{ControlOptions, TlsFiles};
use crate::domain::category::category_named;
use crate::domain::ids::BoxId;
use crate::lifecycle::logging::{LogFormat, LogOptions};
use crate::store::{StoreOptions, WhenFull};

/// The parts of a configuration, before it is known whether all of it is right.
pub(super) struct Parts {
    pub(super) store: StoreOptions,
    pub(super) control: ControlOptions,
    pub(super) log: LogOptions,
    pub(super) alarm: AlarmConfig,
    pub(super) stop_timeout: Duration,
    pub(super) sources: Vec<SourceConfig>,
    pub(super) destinations: Vec<DestinationConfig>,
    pub(super) receive: ReceiveConfig,
}

const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Asks for every key of an empty configuration.
pub(super) fn list(reader: &Reader<'_>) {
    let around = Surroundings::system();
    let files = Files::default();
    let empty = Table::empty(0);
    let root = Section::new(reader, "", Vec::new());
    own_tables(&root, &around);
    receive::read(&root, &around);
    source::read(reader, &empty, Vec::new(), &files, &around);
    destination::read(reader, &empty, Vec::new(), &around);
}

/// Reads everything. None where something is so wrong that a part is missing.
pub(super) fn build(reader: &Reader<'_>, files: &Files, around: &Surroundings) -> Option<Parts> {
    let root = Section::new(reader, "", files.tables[..files.main].iter().collect());
    let own = own_tables(&root, around);
    let receive = receive::read(&root, around);
    let defaults = root.child("defaults");
    let (source_defaults, destination_defaults) = shared(&defaults);
    defaults.finish();

    let mut source_tables = root.tables("source");
    let destination_tables = root.tables("destination");
    root.finish();
    let mut mappings = Vec::new();
    if let Some(at) = files.settings {
        let (saved, mapped) = settings_tables(reader, &files.tables[at]);
        source_tables.extend(saved);
        mappings = mapped;
    }
    if let (Some(at), Some(why)) = (files.settings, &files.fallback) {
        let place = Place {
            file: at,
            span: 0..0,
        };
        let hint = "save the settings on the page once more";
        reader.add(Finding::warning(&place, why.clone()).hint(hint));
    }

    unique_names(reader, "source", &source_tables);
    unique_names(reader, "destination", &destination_tables);
    let mut sources: Vec<Option<SourceConfig>> = source_tables
        .iter()
        .map(|table| source::read(reader, table, source_defaults.clone(), files, around))
        .collect();
    for mapping in mappings {
        add_mapping(reader, mapping, &mut sources);
    }
    let destinations: Vec<Option<DestinationConfig>> = destination_tables
        .iter()
        .map(|table| destination::read(reader, table, destination_defaults.clone(), around))
        .collect();
    destination::check_targets(reader, &destination_tables, &destinations);
    receive::check(reader, &receive, &destinations);
    check_source_filters(reader, &source_tables, &destination_tables);
    for table in &source_defaults {
        check_shared(reader, "source", table);
    }
    for table in &destination_defaults {
        check_shared(reader, "destination", table);
    }
    // A receiver collects nothing itself.
    if source_tables.is_empty() && receive.config.boxes.is_empty() {
        nothing_configured(reader, "source", "nothing is collected");
    }
    if destination_tables.is_empty() {
        nothing_configured(reader, "destination", "nothing is delivered");
    }

    let (store, control, log, alarm, stop_timeout) = own?;
    let mut destinations = destinations.into_iter().collect::<Option<Vec<_>>>()?;
    for destination in &mut destinations {
        destination.keep_state_in(&store.state_dir);
    }
    Some(Parts {
        store,
        control,
        log,
        alarm,
        stop_timeout,
        sources: sources.into_iter().collect::<Option<_>>()?,
        destinations,
        receive: receive.config,
    })
}

fn nothing_configured(reader: &Reader<'_>, table: &str, effect: &str) {
    let place = Place {
        file: 0,
        span: 0..0,
    };
    let finding = Finding::warning(&place, format!("there is no [[{table}]]: {effect}"));
    reader.add(finding.hint(format!("add a [[{table}]] table here or in conf.d")));
}

type Own = (
    StoreOptions,
    ControlOptions,
    LogOptions,
    AlarmConfig,
    Duration,
);

fn own_tables(root: &Section<'_>, around: &Surroundings) -> Option<Own> {
    let machine = root.child("box");
    let box_id = box_id(&machine, around);
    let state_dir = machine.path("state_dir").or(PathBuf::from(STATE_DIR));
    let stop_timeout = machine.span("stop_timeout_s", 1..=600, STOP_TIMEOUT);
    machine.finish();

    let store = store(root, state_dir, box_id);
    let control = control(root);
    let log = log(root);
    let alarm = alarm::read(root, around);
    Some((store?, control, log, alarm, stop_timeout))
}

fn box_id(machine: &Section<'_>, around: &Surroundings) -> Option<BoxId> {
    let check = |text: &str| BoxId::new(text).map_err(|error| format!("cannot be used: {error}"));
    let field = machine.checked("id", "1 to 128 characters", BoxId::to_string, check);
    let was_given = machine.entry("id").is_some();
    if let Some(id) = field.optional() {
        return Some(id.value);
    }
    if was_given {
        return None;
    }
    let derived = around.derived_box_id();
    if derived.is_none() {
        let message = "`id` is missing in [box], and this machine has no machine id to derive it \
                       from";
        let finding = Finding::error(&machine.place(), message);
        machine.add("id", finding.hint("choose a name that no other box has"));
    }
    derived
}

fn store(root: &Section<'_>, state_dir: PathBuf, box_id: Option<BoxId>) -> Option<StoreOptions> {
    let section = root.child("store");
    let cache = section.bytes("cache_bytes", MIB..=4 * GIB).or(3 * MIB);
    let max_bytes = section.bytes("max_bytes", 64 * MIB..=64 * TIB).or(8 * GIB);
    let min_free = section.bytes("min_free", 0..=64 * TIB).or(GIB);
    let retention = section.span("retention_days", 0..=3_650, Duration::from_hours(35 * 24));
    let words = [
        ("drop_oldest", WhenFull::DropOldest),
        ("stop_collecting", WhenFull::StopCollecting),
    ];
    let when_full = section.choice("when_full", &words, WhenFull::default());
    section.finish();
    Some(StoreOptions {
        state_dir,
        box_id: box_id?,
        cache_bytes: usize::try_from(cache).unwrap_or(usize::MAX),
        max_bytes,
        min_free,
        retention,
        when_full,
        walk_max: StoreOptions::WALK_MAX,
    })
}

fn control(root: &Section<'_>) -> ControlOptions {
    let section = root.child("control");
    let check = |text: &str| {
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "is no address with a port such as \"127.0.0.1:8640\"".to_owned())?;
        Ok(address)
    };
    let default = ControlOptions::default();
    let show = |address: &SocketAddr| text::quote(&address.to_string());
    let listen = section
        .checked("listen", "an address and a port", show, check)
        .or(default.listen);
    let certificate = section.path("certificate").optional();
    let key = section.path("key").optional();
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.value,
            key: key.value,
        }),
        (None, None) => None,
        (given, _) => {
            let missing = if given.is_some() {
                "key"
            } else {
                "certificate"
            };
            let message = format!("`{missing}` is missing in [control]");
            let hint = "TLS needs both: certificate and key, as PEM files";
            section.add(
                missing,
                Finding::error(&section.place(), message).hint(hint),
            );
            None
        }
    };
    if !listen.ip().is_loopback() && tls.is_none() {
        let place = section
            .entry("listen")
            .map(|entry| entry.node.place.clone());
        let message = "`listen` is open to the network, without a certificate";
        let hint = "set certificate and key, or listen on 127.0.0.1 and use `ssh -L`";
        let finding = Finding::error(&place.unwrap_or_else(|| section.place()), message);
        section.add("listen", finding.hint(hint));
    }
    section.finish();
    ControlOptions { listen, tls }
}

fn log(root: &Section<'_>) -> LogOptions {
    let section = root.child("log");
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let default = LogOptions::default();
    let check = |text: &str| {
        if text.split(',').all(is_log_level) {
            Ok(text.to_owned())
        } else {
            Err("is no level and no list of module=level".to_owned())
        }
    };
    let allowed = "error, warn, info, debug, trace, or such as \"info,thrio_edge::store=debug\"";
    let options = LogOptions {
        format: section.choice("format", &formats, default.format),
        filter: section
            .checked("level", allowed, |level| text::quote(level), check)
            .or(default.filter),
        file: section.path("file").optional().map(|file| file.value),
    };
    section.finish();
    options
}

fn is_log_level(part: &str) -> bool {
    let (module, level) = part.trim().split_once('=').unwrap_or(("", part.trim()));
    let is_module = module
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b));
    is_module && ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
}

/// The tables of `[defaults]`.
fn shared<'r>(defaults: &Section<'r>) -> (Vec<&'r Table>, Vec<&'r Table>) {
    let tables = |key| defaults.child(key).into_own();
    (tables("source"), tables("destination"))
}

/// What many share may hold what one may hold, but for its name. Values are checked where they
/// are used.
fn check_shared<'r>(reader: &'r Reader<'r>, path: &str, table: &'r Table) {
    let section = Section::new(reader, &format!("defaults.{path}"), vec![table]);
    for entry in &table.entries {
        let full = format!("{path}.{}", entry.key);
        let is_name = matches!(full.as_str(), "source.name" | "destination.name");
        match &entry.node.value {
            _ if keys::is_key(&full) && !is_name => {}
            Value::Table(inner) if keys::is_table(&full) => check_shared(reader, &full, inner),
            _ => {
                let mut known = keys::in_table(path);
                known.retain(|key| key != "name");
                section.unknown(entry, &known);
            }
        }
    }
}

/// `settings.toml` may hold sources and mappings of states only.
fn settings_tables<'r>(
    reader: &'r Reader<'r>,
    table: &'r Table,
) -> (Vec<&'r Table>, Vec<&'r Table>) {
    let root = Section::new(reader, "", vec![table]);
    let tables = (root.tables("source"), root.tables("state"));
    root.finish();
    tables
}

/// A `[[state]]` of `settings.toml`: it adds to what its source maps itself. One that has become
/// pointless is no error, since the main file is edited without looking at it.
fn add_mapping<'r>(reader: &'r Reader<'r>, table: &'r Table, sources: &mut [Option<SourceConfig>]) {
    let section = Section::new(reader, "state", vec![table]);
    let text = |key| section.text(key).optional().map(|field| field.value);
    let (source, state, word) = (text("source"), text("state"), text("category"));
    let pointless = |message: String| {
        section.add("", Finding::warning(&section.place(), message));
    };
    let named = |one: &&mut SourceConfig| Some(one.name.as_str()) == source.as_deref();
    let category = word.as_deref().and_then(category_named);
    match (sources.iter_mut().flatten().find(named), state, category) {
        (Some(found), Some(state), Some(category)) => {
            if let Some(realtime) = &mut found.realtime
                && let Err(error) = realtime.options.states.insert(&state, category)
            {
                pointless(format!("a saved mapping does not count: {error}"));
            }
        }
        (_, Some(_), Some(_)) => pointless("a saved mapping is of no source".to_owned()),
        _ => pointless("a saved mapping lacks state or category".to_owned()),
    }
    section.finish();
}

fn unique_names(reader: &Reader<'_>, kind: &str, tables: &[&Table]) {
    let mut first: HashMap<&str, &Place> = HashMap::new();
    for entry in tables.iter().filter_map(|table| table.get("name")) {
        let Value::String(name) = &entry.node.value else {
            continue;
        };
        let place = &entry.node.place;
        let Some(before) = first.get(name.as_str()) else {
            first.insert(name, place);
            continue;
        };
        let document = reader.document(before);
        let (line, _) = document.position(before.span.start);
        let file = document.path.display();
        reader.document(place).show(&place.span);
        let shown = reader.document(place).may_show(&place.span);
        let message = if shown {
            format!("the {kind} name \"{name}\" is taken, by {file}:{line}")
        } else {
            format!("this {kind} name is taken, by {file}:{line}")
        };
        reader.add(Finding {
            field: format!("{kind}.name"),
            ..Finding::error(place, message).hint("names are keys upstream: choose another")
        });
    }
}

/// A destination's `sources` must exist.
fn check_source_filters(reader: &Reader<'_>, sources: &[&Table], destinations: &[&Table]) {
    let names: Vec<&str> = sources
        .iter()
        .filter_map(|table| match &table.get("name")?.node.value {
            Value::String(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let lists = destinations.iter().filter_map(|t| t.get("sources"));
    for entry in lists {
        let Value::Array(nodes) = &entry.node.value else {
            continue;
        };
        for node in nodes {
            if let Value::String(name) = &node.value
                && !names.contains(&name.as_str())
                && reader.document(&node.place).may_show(&node.place.span)
            {
                let hint = match text::nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("sources are: {}", names.join(", ")),
                };
                let message = format!("there is no source \"{name}\"");
                reader.add(Finding {
                    field: "destination.sources".to_owned(),
                    ..Finding::error(&node.place, message).hint(hint)
                });
            }
        }
    }
}

/// The smallest and largest size of a body.
pub(super) const BODY_BYTES: std::ops::RangeInclusive<u64> = 64 * KIB..=GIB;
/// The smallest and largest size of a batch.
pub(super) const BATCH_BYTES: std::ops::RangeInclusive<u64> = 16 * KIB..=64 * MIB;
