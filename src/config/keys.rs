//! Every key that the configuration has, found by reading an empty one.
//!
//! Nothing here is written by hand: [`super::section::Section`] notes each key when it is read.

use std::sync::LazyLock;

use super::section::Reader;

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNote {
    /// Its tables, for example `source.realtime`.
    pub table: String,
    /// Its name, which ends in its unit.
    pub key: String,
    /// Its default as TOML writes it; none where it is required or its absence means something.
    pub default: Option<String>,
    /// What it may hold, where that is a range or a choice.
    pub allowed: Option<String>,
    /// Whether its value is never shown.
    pub is_secret: bool,
}

impl KeyNote {
    /// The key with its tables.
    pub fn path(&self) -> String {
        if self.table.is_empty() {
            self.key.clone()
        } else {
            format!("{}.{}", self.table, self.key)
        }
    }
}

static CATALOGUE: LazyLock<Vec<KeyNote>> = LazyLock::new(|| {
    let reader = Reader::listing();
    super::build::list(&reader);
    let mut notes = reader.into_notes();
    notes.sort_by(|a, b| (&a.table, &a.key).cmp(&(&b.table, &b.key)));
    notes.dedup();
    notes
});

/// Every key, by table and name.
pub fn catalogue() -> &'static [KeyNote] {
    &CATALOGUE
}

/// The tables that have a key of this name.
pub(super) fn tables_of(key: &str) -> Vec<&'static str> {
    let same = catalogue().iter().filter(|note| note.key == key);
    same.map(|note| note.table.as_str()).collect()
}

/// Whether some table has a key of this name; of a dotted one, its last part counts.
pub(super) fn is_known(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    catalogue().iter().any(|note| note.key == last)
}

/// Whether the word is a key or table of the configuration, or nearly one.
pub(super) fn is_nearly_known(word: &str) -> bool {
    let names = catalogue()
        .iter()
        .flat_map(|note| note.table.split('.').chain([note.key.as_str()]));
    super::text::nearest(word, names).is_some()
}

/// Whether the key is known, and secret in no table.
pub(super) fn is_harmless(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    let mut same = catalogue()
        .iter()
        .filter(|note| note.key == last)
        .peekable();
    same.peek().is_some() && same.all(|note| !note.is_secret)
}

/// Whether every part of a table's name is, or is nearly, part of a known one: what else stands
/// in brackets in a broken file may be anything.
pub(super) fn is_header_like(name: &str) -> bool {
    name.split('.').all(|part| is_nearly_known(part.trim()))
}

/// Whether this path is a key's.
pub(super) fn is_key(path: &str) -> bool {
    catalogue().iter().any(|note| note.path() == path)
}

/// Whether this path is a table's.
pub(super) fn is_table(path: &str) -> bool {
    let below = format!("{path}.");
    let is_it = |table: &str| table == path || table.starts_with(&below);
    catalogue().iter().any(|note| is_it(&note.table))
}

/// The keys and tables that this table may hold.
pub(super) fn in_table(path: &str) -> Vec<String> {
    let below = format!("{path}.");
    let mut names: Vec<String> = catalogue()
        .iter()
        .filter_map(|note| note.path().strip_prefix(&below).map(str::to_owned))
        .filter_map(|rest| rest.split('.').next().map(str::to_owned))
        .collect();
    names.sort();
    names.dedup();
    names
}
