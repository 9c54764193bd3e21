//! `state_dir/settings.toml`: what was saved on the page.
//!
//! - It may hold `[[source]]` tables whose name the main file does not have, and `[[state]]`
//!   mappings, which add to any source's own and never contradict them.
//! - It is written whole, with mode 0600, by an atomic rename, after all of it was validated
//!   together with the main file. The former text stays as `settings.toml.previous` and is used
//!   where the file itself is damaged.
//! - Secrets go in and never come out: `shown` masks them, and what is masked or left out on the
//!   way in keeps the saved value, unless the connection would send it to another place.

mod shown;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::document::MASK;
use super::problem::{ConfigErrors, Problem, Severity};
use super::surroundings::Surroundings;
use super::{Config, load_with};
use crate::domain::category::same_text;
use crate::domain::record::Category;

pub use shown::{SourceSettings, api_as_json, sources};

/// The file's name in the state folder.
pub const FILE: &str = "settings.toml";
/// The former text.
pub const PREVIOUS: &str = "settings.toml.previous";
/// The tables of a source that are connections, which hold a password each.
const CONNECTIONS: [&str; 2] = ["realtime", "historical"];
/// The keys that say where a password comes from.
const PASSWORD_KEYS: [&str; 4] = [
    "password",
    "password_file",
    "password_credential",
    "password_env",
];
/// The keys that say where a secret goes.
const WHERE_TO: [&str; 5] = [
    "base_url",
    "login_path",
    "allowed_host_suffixes",
    "proxy",
    "ca_file",
];
/// Keys that would let the page read files and variables of the box; the main file may use them.
const MAIN_FILE_ONLY: [&str; 4] = ["password_file", "password_env", "api_file", "states_file"];

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It would contradict what is there; the text says what and what to do.
    #[error("{0}")]
    Conflict(String),
    /// The settings are wrong.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    /// The saved file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The saved settings, as they are or as they are to be.
#[derive(Clone, Default)]
pub struct Settings {
    table: toml::Table,
}

impl Settings {
    /// Those of this state folder; none where nothing was saved yet.
    pub fn read(state_dir: &Path) -> Result<Self, SettingsError> {
        let path = state_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsError::Io { path, source }),
        };
        if let Ok(table) = text.parse() {
            return Ok(Self { table });
        }
        let previous = fs::read_to_string(state_dir.join(PREVIOUS)).ok();
        let table = previous.and_then(|text| text.parse().ok());
        table.map(|table| Self { table }).ok_or_else(|| {
            let message = format!("{} is no TOML; mend it by hand", path.display());
            SettingsError::Conflict(message)
        })
    }

    /// With this source added or replaced. Of a saved source of the same name, passwords that are
    /// left out and masked values are kept.
    pub fn with_source(&self, wanted: &Map<String, Value>) -> Result<Self, SettingsError> {
        let name = wanted.get("name").and_then(Value::as_str).unwrap_or("");
        let mut table = as_toml(wanted).map_err(|why| invalid("source", why))?;
        refuse_main_file_only(&table, "source")?;
        let saved = self.source(name);
        for connection in CONNECTIONS {
            let before = saved.and_then(|source| source.get(connection)?.as_table());
            if let Some(toml::Value::Table(now)) = table.get_mut(connection) {
                keep_password(connection, now, before)?;
            }
        }
        keep_masked(&mut table, saved, "source")?;
        let mut settings = self.clone();
        settings.remove_source(name);
        settings.list("source").push(toml::Value::Table(table));
        Ok(settings)
    }

    /// Without this source; none where it is not saved here.
    pub fn without_source(&self, name: &str) -> Option<Self> {
        let mut settings = self.clone();
        settings.remove_source(name).then_some(settings)
    }

    /// With this text of a source mapped, or (`None`) with its saved mapping taken back.
    #[must_use]
    pub fn with_state(&self, source: &str, state: &str, category: Option<Category>) -> Self {
        let mut settings = self.clone();
        let list = settings.list("state");
        list.retain(|line| !is_line_of(line, source, state));
        if let Some(category) = category {
            let line = [
                ("source", source),
                ("state", state),
                ("category", category.as_str()),
            ];
            let line = line.map(|(key, value)| (key.to_owned(), value.to_owned().into()));
            list.push(toml::Value::Table(line.into_iter().collect()));
        }
        settings
    }

    /// Whether the mapping of this text is saved here, as a `[[state]]` or in a saved source.
    pub fn maps(&self, source: &str, state: &str) -> bool {
        let lines = self.table.get("state").and_then(toml::Value::as_array);
        lines.is_some_and(|lines| lines.iter().any(|line| is_line_of(line, source, state)))
            || self.source_maps(source, state)
    }

    /// Whether a saved source's own `states` map this text.
    pub fn source_maps(&self, source: &str, state: &str) -> bool {
        self.source(source)
            .and_then(|source| source.get("states")?.as_table())
            .is_some_and(|states| states.keys().any(|text| same_text(text, state)))
    }

    /// What the whole configuration would be with these settings.
    pub fn check(&self, main: &Path) -> Result<Config, ConfigErrors> {
        load_with(main, &Surroundings::system(), Some(self.text()))
    }

    /// Writes them; whoever reads meanwhile sees the former text or this one, whole.
    pub fn save(&self, state_dir: &Path) -> Result<(), SettingsError> {
        let path = state_dir.join(FILE);
        let io = |source| SettingsError::Io {
            path: path.clone(),
            source,
        };
        let fresh = state_dir.join("settings.toml.new");
        write_private(&fresh, self.text().as_bytes()).map_err(io)?;
        if let Ok(former) = fs::read_to_string(&path)
            && former.parse::<toml::Table>().is_ok()
        {
            let previous = state_dir.join(PREVIOUS);
            let aside = state_dir.join("settings.toml.previous.new");
            write_private(&aside, former.as_bytes()).map_err(io)?;
            fs::rename(&aside, &previous).map_err(io)?;
        }
        fs::rename(&fresh, &path).map_err(io)?;
        File::open(state_dir)
            .and_then(|dir| dir.sync_all())
            .map_err(io)
    }

    fn text(&self) -> String {
        const HEAD: &str = "# Written by the page of thrio-edge. Sources that the main file does \
                            not have, and mappings of states.\n\n";
        let body = toml::to_string(&self.table).expect("a table with text keys");
        format!("{HEAD}{body}")
    }

    fn source(&self, name: &str) -> Option<&toml::Table> {
        let sources = self.table.get("source")?.as_array()?;
        let mut tables = sources.iter().filter_map(toml::Value::as_table);
        tables.find(|table| table.get("name").and_then(toml::Value::as_str) == Some(name))
    }

    fn remove_source(&mut self, name: &str) -> bool {
        let list = self.list("source");
        let before = list.len();
        list.retain(|source| source.get("name").and_then(toml::Value::as_str) != Some(name));
        list.len() < before
    }

    fn list(&mut self, key: &str) -> &mut Vec<toml::Value> {
        let entry = self.table.entry(key);
        let value = entry.or_insert_with(|| toml::Value::Array(Vec::new()));
        if !value.is_array() {
            *value = toml::Value::Array(Vec::new());
        }
        value.as_array_mut().expect("it was just made one")
    }
}

fn is_line_of(line: &toml::Value, source: &str, state: &str) -> bool {
    let text = |key| line.get(key).and_then(toml::Value::as_str);
    text("source") == Some(source) && text("state").is_some_and(|text| same_text(text, state))
}

/// JSON as TOML: what is null is left out, and so is what only an answer holds.
fn as_toml(from: &Map<String, Value>) -> Result<toml::Table, String> {
    let mut table = toml::Table::new();
    for (key, value) in from {
        if key != "password_is_set"
            && let Some(value) = value_as_toml(value)?
        {
            table.insert(key.clone(), value);
        }
    }
    Ok(table)
}

fn value_as_toml(from: &Value) -> Result<Option<toml::Value>, String> {
    Ok(Some(match from {
        Value::Null => return Ok(None),
        Value::Bool(yes) => (*yes).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) if number.is_finite() && number.fract() != 0.0 => number.into(),
            _ => return Err("a number is too large".to_owned()),
        },
        Value::String(text) => text.clone().into(),
        Value::Array(values) => {
            let values: Result<Vec<_>, _> = values.iter().map(value_as_toml).collect();
            toml::Value::Array(values?.into_iter().flatten().collect())
        }
        Value::Object(map) => toml::Value::Table(as_toml(map)?),
    }))
}

fn refuse_main_file_only(table: &toml::Table, path: &str) -> Result<(), SettingsError> {
    for (key, value) in table {
        if MAIN_FILE_ONLY.contains(&key.as_str()) {
            let why = "can only be used in the main file".to_owned();
            return Err(invalid(&format!("{path}.{key}"), why));
        }
        if let toml::Value::Table(inner) = value
            && path == "source"
            && key != "states"
        {
            refuse_main_file_only(inner, &format!("{path}.{key}"))?;
        }
    }
    Ok(())
}

/// An absent or empty password is the saved one, if the connection is still the same.
fn keep_password(
    connection: &str,
    now: &mut toml::Table,
    before: Option<&toml::Table>,
) -> Result<(), SettingsError> {
    if now.get("password").and_then(toml::Value::as_str) == Some("") {
        now.remove("password");
    }
    if PASSWORD_KEYS.iter().any(|key| now.contains_key(*key)) {
        return Ok(());
    }
    let Some(before) = before else {
        return Ok(());
    };
    refuse_elsewhere(&format!("source.{connection}.password"), now, before)?;
    for key in PASSWORD_KEYS {
        if let Some(value) = before.get(key) {
            now.insert(key.to_owned(), value.clone());
        }
    }
    Ok(())
}

/// Whoever may change settings must not be able to send a saved secret to a host of their choice.
fn refuse_elsewhere(
    field: &str,
    now: &toml::Table,
    before: &toml::Table,
) -> Result<(), SettingsError> {
    let moved = WHERE_TO
        .iter()
        .find(|key| now.get(**key) != before.get(**key));
    match moved {
        None => Ok(()),
        Some(key) => Err(invalid(
            field,
            format!("enter it again: `{key}` is another now, and a saved secret is not sent there"),
        )),
    }
}

/// What came out masked goes in as it was.
fn keep_masked(
    now: &mut toml::Table,
    before: Option<&toml::Table>,
    path: &str,
) -> Result<(), SettingsError> {
    let keys: Vec<String> = now.keys().cloned().collect();
    for key in keys {
        let field = format!("{path}.{key}");
        let saved = before.and_then(|before| before.get(&key));
        match now.get_mut(&key) {
            Some(toml::Value::Table(inner)) => {
                keep_masked(inner, saved.and_then(toml::Value::as_table), &field)?;
            }
            Some(value) if value.as_str() == Some(MASK) => {
                let why = "enter it: nothing is saved under this name".to_owned();
                *value = saved.cloned().ok_or_else(|| invalid(&field, why))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn invalid(field: &str, message: String) -> SettingsError {
    let problem = Problem {
        severity: Severity::Error,
        file: PathBuf::from(FILE),
        line: 0,
        column: 0,
        field: field.to_owned(),
        subject: None,
        message,
        value: None,
        allowed: None,
        hint: None,
        snippet: None,
    };
    ConfigErrors {
        problems: vec![problem],
    }
    .into()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
