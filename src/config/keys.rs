//! Every key that the configuration has, found by reading an empty one.
//!
//! Nothing here is written by hand: [`super::section::Section`] notes each key when it is read.

use std::collections::HashMap;
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

impl KeyNote {
    /// Its default as a value; none where there is none.
    pub fn default_value(&self) -> Option<serde_json::Value> {
        let line = format!("value = {}", self.default.as_ref()?);
        let table: toml::Table = line.parse().ok()?;
        serde_json::to_value(table.get("value")?).ok()
    }

    /// What `conf/thrio-edge.toml` says of it, where it says something of this key alone.
    pub fn help(&self) -> Option<&'static str> {
        HELP.get(&self.path()).map(String::as_str)
    }
}

static HELP: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| helps(include_str!("../../conf/thrio-edge.toml")));

/// The comment above each key.
fn helps(text: &str) -> HashMap<String, String> {
    let mut helps = HashMap::new();
    let (mut table, mut comment) = (String::new(), Vec::new());
    for line in text.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        if bare.starts_with('[') {
            let name = bare.split(']').next().unwrap_or_default();
            name.trim_start_matches('[').clone_into(&mut table);
            comment.clear();
        } else if let Some(words) = line.strip_prefix("# ") {
            comment.push(words.trim());
        } else if let Some((key, _)) = bare.split_once(" = ") {
            if !comment.is_empty() {
                helps.insert(format!("{table}.{key}"), comment.join(" "));
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    helps
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_explained_by_the_comment_above_it() {
        let period = catalogue()
            .iter()
            .find(|note| note.key == "transaction_collection_interval_s")
            .unwrap();
        assert_eq!(period.default_value(), Some(15.into()));
        let help = period.help().unwrap();
        assert!(help.contains("the period of the polls"), "{help}");
        let helps = helps("[a]\n# One\n# two.\n#x = 1\n#y = 2\n\n# Lost.\n\nz = 3\n");
        assert_eq!(helps.len(), 1);
        assert_eq!(helps["a.x"], "One two.");
    }
}
