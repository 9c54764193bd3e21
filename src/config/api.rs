//! `[source.api]` and `api_file`: what is assumed of Thrio's API.
//!
//! The names are those of [`ApiOptions`]'s own serde form, so that mapping files, probe's output
//! and this module cannot know different ones. Each value is tried alone against the defaults, so
//! that one wrong value does not hide the next.

use super::files::Files;
use super::keys::KeyNote;
use super::section::{Finding, Section};
use super::tree::{Entry, Table, Value};
use crate::thrio::api::ApiOptions;

/// Keys that the serialised defaults do not show, because their default is nothing.
const WITHOUT_DEFAULT: [&str; 2] = ["realtime.row_time_format", "historical.row_time_format"];

/// The mapping of a source: the defaults, over them the mapping file, over that the table.
pub(super) fn read(source: &Section<'_>, files: &Files) -> ApiOptions {
    let reference =
        toml::Table::try_from(ApiOptions::default()).expect("the mapping's defaults are TOML");
    let section = source.child("api");
    note(&section, "", &reference);
    let mut mapping = Mapping {
        section: &section,
        merged: reference.clone(),
        reference,
        set: Vec::new(),
    };
    if let Some(path) = source.path("api_file").optional() {
        match files.linked(&path.value) {
            Ok(table) => mapping.overlay("", table),
            Err(why) => {
                let message = format!("{} {why}", source.shown_path(&path.place, &path.value));
                source.add("api_file", Finding::error(&path.place, message));
            }
        }
    }
    for table in section.layers() {
        mapping.overlay("", table);
    }
    mapping.finish()
}

/// Tells the list of keys what this mapping has.
fn note(section: &Section<'_>, path: &str, table: &toml::Table) {
    let add = |key: &str, default: Option<String>| {
        let full = format!("{}.{key}", section.path);
        let (table, key) = full.rsplit_once('.').expect("the path has a dot");
        section.note_key(KeyNote {
            table: table.to_owned(),
            key: key.to_owned(),
            default,
            allowed: None,
            is_secret: key == "headers",
        });
    };
    for (key, value) in table {
        let full = join(path, key);
        match value {
            toml::Value::Table(inner) if key != "headers" => note(section, &full, inner),
            other => add(&full, Some(other.to_string())),
        }
    }
    if path.is_empty() {
        for key in WITHOUT_DEFAULT {
            add(key, None);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

struct Mapping<'s, 'r> {
    section: &'s Section<'r>,
    reference: toml::Table,
    merged: toml::Table,
    /// The entries that were set, by their path; the last of a path counts.
    set: Vec<(String, &'r Entry)>,
}

impl<'r> Mapping<'_, 'r> {
    fn overlay(&mut self, path: &str, table: &'r Table) {
        let known = known_keys(&self.reference, path);
        for entry in &table.entries {
            let full = join(path, &entry.key);
            let default = lookup(&self.reference, &full);
            let is_leaf = entry.key == "headers" || WITHOUT_DEFAULT.contains(&full.as_str());
            match (default, &entry.node.value) {
                (Some(toml::Value::Table(_)), Value::Table(inner)) if !is_leaf => {
                    self.overlay(&full, inner);
                }
                (None, _) if !is_leaf => self.section.unknown_below(path, entry, &known),
                _ => self.leaf(&full, entry),
            }
        }
    }

    /// Takes a value over if the defaults with it alone can be read.
    fn leaf(&mut self, path: &str, entry: &'r Entry) {
        let document = self.section.reader.document(&entry.node.place);
        let is_secret = path.ends_with("headers");
        if is_secret && !document.is_well_formed() {
            // A header's name may be, in a broken file, what should have been its value.
            return;
        }
        let value = entry.node.to_toml();
        let mut alone = self.reference.clone();
        replace(&mut alone, path, value.clone());
        match alone.try_into::<ApiOptions>() {
            Ok(_) => {
                replace(&mut self.merged, path, value);
                if !is_secret {
                    document.show(&entry.node.place.span);
                }
                self.set.push((path.to_owned(), entry));
            }
            Err(error) => {
                // serde quotes what it found; for a secret only its kind is said.
                let message = if is_secret || !document.is_well_formed() {
                    format!("`{}` cannot be {}", entry.key, entry.node.value.kind())
                } else {
                    document.show(&entry.node.place.span);
                    let why = error.message().trim().replace('\n', " ");
                    format!("`{}` cannot be used: {why}", entry.key)
                };
                self.section
                    .add(path, Finding::error(&entry.node.place, message));
            }
        }
    }

    fn finish(self) -> ApiOptions {
        let options: ApiOptions = match self.merged.clone().try_into() {
            Ok(options) => options,
            // Each value was fine alone; that all together are not would be the mapping's own rule.
            Err(error) => {
                let place = self.section.place();
                let message = format!("the mapping cannot be used: {}", error.message());
                self.section.add("", Finding::error(&place, message));
                return ApiOptions::default();
            }
        };
        for problem in options.problems() {
            let path = problem.field.split('[').next().unwrap_or_default();
            let is_it = |set: &str| path == set || path.starts_with(&format!("{set}."));
            let entry = self.set.iter().rev().find(|(set, _)| is_it(set));
            let place = entry.map_or(self.section.place(), |(_, e)| e.node.place.clone());
            let document = self.section.reader.document(&place);
            let shown = document.may_show(&place.span);
            let name = path.rsplit('.').next().unwrap_or(path);
            let finding = Finding {
                value: shown.then(|| super::text::quote(&problem.value)),
                allowed: (shown || document.is_well_formed()).then_some(problem.hint),
                ..Finding::error(&place, format!("`{name}` cannot be used"))
            };
            self.section.add(path, finding);
        }
        options
    }
}

fn lookup<'t>(table: &'t toml::Table, path: &str) -> Option<&'t toml::Value> {
    let mut parts = path.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.as_table()?.get(part)?;
    }
    Some(value)
}

fn replace(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            if let Some(toml::Value::Table(inner)) = table.get_mut(first) {
                replace(inner, rest, value);
            }
        }
    }
}

/// The keys of a table of the mapping.
fn known_keys(reference: &toml::Table, path: &str) -> Vec<String> {
    let table = if path.is_empty() {
        Some(reference)
    } else {
        lookup(reference, path).and_then(toml::Value::as_table)
    };
    let named = table.into_iter().flat_map(toml::Table::keys).cloned();
    let others = WITHOUT_DEFAULT.iter().filter_map(|full| {
        let (table, key) = full.rsplit_once('.')?;
        (table == path).then(|| key.to_owned())
    });
    named.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that serde expects in a table, as its refusal of another one lists them.
    fn expected(table: &str) -> Vec<String> {
        let mut mapping = toml::Table::try_from(ApiOptions::default()).unwrap();
        let wrong = join(table, "no-such-key");
        replace(&mut mapping, &wrong, toml::Value::Integer(1));
        let error = mapping.try_into::<ApiOptions>().unwrap_err();
        let list = error.message().split("expected one of ").nth(1).unwrap();
        let names = list.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    }

    #[test]
    fn no_key_of_the_mapping_is_forgotten() {
        let reference = toml::Table::try_from(ApiOptions::default()).unwrap();
        for table in [
            "",
            "realtime",
            "realtime.fields",
            "historical",
            "historical.fields",
            "queues",
            "queues.fields",
            "agents",
            "agents.fields",
        ] {
            let (mut known, mut expected) = (known_keys(&reference, table), expected(table));
            known.sort();
            expected.sort();
            assert_eq!(known, expected, "{table}");
        }
    }
}
