//! Settings as JSON for the page: everything but secrets.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::document::MASK;
use super::super::files::Files;
use super::super::tree::{self, Table};
use super::{CONNECTIONS, PASSWORD_KEYS};
use crate::domain::ids::SourceName;

/// A source as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// Whether it was saved on the page.
    pub is_saved: bool,
    /// The file.
    pub file: String,
    /// Its table, without secrets.
    pub settings: Map<String, Value>,
}

/// Every source of the files as they are now, in their order.
pub fn sources(main: &Path) -> Vec<SourceSettings> {
    let files = Files::read(main, None);
    let mut found = Vec::new();
    for (at, table) in files.tables.iter().enumerate() {
        let is_saved = files.settings == Some(at);
        if at >= files.main && !is_saved {
            continue;
        }
        let file = files.documents[at].path.display().to_string();
        for source in source_tables(table) {
            let Some(name) = name(source) else { continue };
            found.push(SourceSettings {
                name,
                is_saved,
                file: file.clone(),
                settings: shown(source),
            });
        }
    }
    found
}

fn source_tables(root: &Table) -> impl Iterator<Item = &Table> {
    let nodes = match root.get("source").map(|entry| &entry.node.value) {
        Some(tree::Value::Array(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    nodes.iter().filter_map(|node| match &node.value {
        tree::Value::Table(table) => Some(table),
        _ => None,
    })
}

fn name(source: &Table) -> Option<String> {
    match &source.get("name")?.node.value {
        tree::Value::String(name) => SourceName::new(name).ok().map(|name| name.to_string()),
        _ => None,
    }
}

/// The table without its secrets: a password becomes `password_is_set`, what else may hold one is
/// masked.
fn shown(source: &Table) -> Map<String, Value> {
    let mut map = as_json(&source.to_toml());
    for connection in CONNECTIONS {
        if let Some(Value::Object(table)) = map.get_mut(connection) {
            let is_set = PASSWORD_KEYS.iter().any(|key| table.contains_key(*key));
            table.remove("password");
            table.insert("password_is_set".to_owned(), is_set.into());
            if let Some(Value::String(proxy)) = table.get_mut("proxy")
                && proxy.contains('@')
            {
                // It names an account, and may hold its password.
                MASK.clone_into(proxy);
            }
        }
    }
    if let Some(api) = map.get_mut("api") {
        mask_headers(api);
    }
    map
}

/// Fixed headers may hold a gateway's key: their names are shown.
fn mask_headers(value: &mut Value) {
    let Value::Object(map) = value else { return };
    for (key, inner) in map {
        match inner {
            Value::Object(headers) if key == "headers" => {
                headers.values_mut().for_each(|value| *value = MASK.into());
            }
            other if key == "headers" => *other = MASK.into(),
            other => mask_headers(other),
        }
    }
}

/// The `[source.api]` of lines to paste, as JSON.
pub fn api_as_json(text: &str) -> Map<String, Value> {
    let table: toml::Table = text.parse().unwrap_or_default();
    let api = table
        .get("source")
        .and_then(|source| source.get("api")?.as_table());
    api.map(as_json).unwrap_or_default()
}

fn as_json(table: &toml::Table) -> Map<String, Value> {
    let value = serde_json::to_value(table).unwrap_or_default();
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
