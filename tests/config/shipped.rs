//! `conf/` against the code, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use thrio_edge::config::{KeyNote, catalogue, load_in};
use thrio_edge::thrio::ApiOptions;

use crate::site::{Site, with};

pub(crate) fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/thrio-edge.toml");
    fs::read_to_string(path).unwrap()
}

/// The file with the lines uncommented whose table and key `wanted` takes; tables always are, but
/// for a commented `[[table]]`: that is an example of one more, whole or not at all, and `wanted`
/// is asked for it with an empty key.
fn uncommented(wanted: impl Fn(&str, &str) -> bool) -> String {
    let mut table = String::new();
    let mut text = String::new();
    let mut left_out = false;
    for line in shipped().lines() {
        let bare = match line.strip_prefix('#') {
            Some(bare) if !bare.is_empty() && !bare.starts_with(' ') => bare,
            _ => line,
        };
        if bare.starts_with('[') {
            let is_example = bare != line && bare.starts_with("[[");
            left_out = is_example && !wanted(bare, "");
        }
        if left_out {
            text.push('\n');
            continue;
        }
        if bare.starts_with('[') {
            bare.trim_matches(['[', ']']).clone_into(&mut table);
            text.push_str(bare);
        } else if bare != line {
            let key = bare.split(" = ").next().unwrap();
            text.push_str(if wanted(&table, key) { bare } else { "" });
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// Every key of the text by its path, with its values as TOML writes them: kinds of destinations
/// share names of keys, each with its own default.
fn keys_of(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    fn walk(path: &str, value: &toml::Value, into: &mut BTreeMap<String, BTreeSet<String>>) {
        match value {
            toml::Value::Table(table) if !path.ends_with(".headers") => {
                for (key, value) in table {
                    let path = format!("{path}.{key}");
                    walk(path.trim_start_matches('.'), value, into);
                }
            }
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                for item in items {
                    walk(path, item, into);
                }
            }
            other => {
                let values = into.entry(path.to_owned()).or_default();
                values.insert(other.to_string());
            }
        }
    }
    let mut keys = BTreeMap::new();
    let table: toml::Table = text.parse().unwrap();
    walk("", &toml::Value::Table(table), &mut keys);
    keys
}

#[test]
fn the_shipped_file_is_right_as_it_is() {
    let site = Site::new(&shipped());
    let config = site.config();
    assert_eq!(config.sources[0].name.as_str(), "main");
    assert_eq!(config.destinations[0].target.kind(), "sqlite");
    assert!(
        config
            .warnings
            .iter()
            .all(|w| w.message.starts_with("the password cannot be read"))
    );
}

#[test]
fn the_shipped_file_names_every_key_of_the_code_and_no_other() {
    let in_file = keys_of(&uncommented(|_, _| true));
    let known: BTreeSet<String> = catalogue().iter().map(KeyNote::path).collect();
    let mut file: BTreeSet<String> = in_file.into_keys().collect();
    // States are the site's own texts.
    file.retain(|path| !path.starts_with("source.states."));
    file.insert("source.states".to_owned());
    let shared: BTreeSet<String> = file
        .iter()
        .filter_map(|p| p.strip_prefix("defaults.").map(str::to_owned))
        .collect();
    file.retain(|path| !path.starts_with("defaults."));
    assert!(shared.is_subset(&known), "{shared:?}");
    assert_eq!(
        file.difference(&known).collect::<Vec<_>>(),
        [""; 0],
        "unknown to the code"
    );
    assert_eq!(
        known.difference(&file).collect::<Vec<_>>(),
        [""; 0],
        "missing in the file"
    );
}

#[test]
fn the_shipped_file_shows_each_default_as_the_code_has_it() {
    let in_file = keys_of(&uncommented(|_, _| true));
    for note in catalogue() {
        let (Some(default), Some(shown)) = (&note.default, in_file.get(&note.path())) else {
            continue;
        };
        assert!(shown.contains(default), "{}: {shown:?}", note.path());
        // Nothing beside the defaults, unless a kind's key has none and shows an example.
        let same = catalogue()
            .iter()
            .filter(|other| other.path() == note.path());
        let defaults: Option<BTreeSet<String>> = same.map(|one| one.default.clone()).collect();
        if let Some(defaults) = defaults {
            assert_eq!(*shown, defaults, "{}", note.path());
        }
    }
}

#[test]
fn the_shipped_file_gives_every_range_and_choice_in_its_comments() {
    let text = shipped();
    for note in catalogue() {
        let Some(allowed) = &note.allowed else {
            continue;
        };
        let numbers: Vec<&str> = allowed
            .split([' ', ','])
            .map(|word| word.trim_matches('"'))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .filter(|word| word.bytes().all(|b| b.is_ascii_alphanumeric()))
            .collect();
        assert!(
            numbers.iter().all(|number| text.contains(number)),
            "{}: {allowed}",
            note.path()
        );
    }
}

#[test]
fn writing_the_defaults_out_changes_nothing() {
    let has_default = |table: &str, key: &str| {
        let path = format!("{table}.{key}");
        catalogue()
            .iter()
            .any(|n| n.path() == path && n.default.is_some())
    };
    let plain = Site::new(&shipped());
    let full = Site::new(&uncommented(has_default));
    let around = plain.around();
    fs::copy(full.path("main.toml"), plain.path("full.toml")).unwrap();
    let full = load_in(&plain.path("full.toml"), &around).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(full, plain.config());
}

#[test]
fn the_shipped_states_and_mappings_can_be_used() {
    let site = Site::new(&with("", "", ""));
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    for mapping in ["community", "sibling"] {
        let file = conf.join(format!("api/{mapping}.toml"));
        let head = format!(
            "[defaults.source]\napi_file = {:?}\nstates_file = {:?}",
            file,
            conf.join("states.toml")
        );
        site.write("main.toml", with(&head, "", ""));
        let config = site.config();
        let states = &config.sources[0].realtime.as_ref().unwrap().options.states;
        assert!(states.meaning("lunch").mapped);
        assert_eq!(
            mapping == "sibling",
            config.sources[0].api != ApiOptions::default()
        );
    }
}

#[test]
fn the_installed_file_is_right_and_leaves_the_sources_to_the_page() {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/installed.toml");
    let site = Site::new("");
    let config = load_in(&installed, &site.around()).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.sources.is_empty());
    let names: Vec<&str> = config
        .destinations
        .iter()
        .map(|d| d.name.as_str())
        .collect();
    assert_eq!(names, ["local"]);
    let told: Vec<&str> = config.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(told, ["there is no [[source]]: nothing is collected"]);
}
