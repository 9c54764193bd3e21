//! The catalogue against the handbook and the code, both ways.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use thrio_edge::domain::alarm::CATALOGUE;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The handbook's section of each code: what stands under `### code`.
fn sections() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("docs/alarms.md")).unwrap();
    let mut sections = BTreeMap::new();
    let mut code = None;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            let word = title.trim_matches('`').to_owned();
            assert!(!sections.contains_key(&word), "{word} twice");
            sections.insert(word.clone(), String::new());
            code = Some(word);
        } else if line.starts_with("## ") {
            code = None;
        } else if let Some(code) = &code {
            let section = sections.get_mut(code).unwrap();
            section.push_str(line);
            section.push(' ');
        }
    }
    sections
}

#[test]
fn the_handbook_has_every_alarm_as_the_code_has_it_and_no_other() {
    let sections = sections();
    let known: Vec<&str> = CATALOGUE.iter().map(|note| note.word).collect();
    for word in sections.keys() {
        assert!(
            known.contains(&word.as_str()),
            "{word} is in the handbook only"
        );
    }
    for note in &CATALOGUE {
        let section = sections
            .get(note.word)
            .unwrap_or_else(|| panic!("{} is missing in docs/alarms.md", note.word));
        for part in [
            note.severity.as_str(),
            note.meaning,
            note.at_risk,
            note.remedy,
        ] {
            assert!(section.contains(part), "{}: no \"{part}\"", note.word);
        }
        assert!(section.contains("**Cause:**"), "{}: no cause", note.word);
    }
}

fn sources_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs")
            && !path.ends_with("alarm/catalogue.rs")
        {
            found.push(path);
        }
    }
}

/// That nothing else is raised, the type of `Problem::new` sees to.
#[test]
fn every_alarm_of_the_catalogue_is_raised_somewhere() {
    let mut files = Vec::new();
    sources_below(&root().join("src"), &mut files);
    let code: String = files
        .iter()
        .map(|f| fs::read_to_string(f).unwrap())
        .collect();
    for note in &CATALOGUE {
        let name = format!("AlarmCode::{:?}", note.code);
        assert!(code.contains(&name), "{name} is never raised");
    }
}
