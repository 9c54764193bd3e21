//! Which files make up a configuration: the main file, `conf.d/*.toml` beside it in name order,
//! `settings.toml` in the state folder, and the mapping files that sources name.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::problem::{Problem, Severity};
use super::secret::plain;
use super::settings;
use super::tree::{SyntaxError, Table, Value};

/// A configuration is written by people; a larger file is the wrong one.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// More files than one box's configuration can sensibly have.
const FILES_MAX: usize = 1_000;
/// The state folder where none is set.
pub(super) const STATE_DIR: &str = "/var/lib/thrio-edge";

/// Every file, read and taken apart.
#[derive(Default)]
pub(super) struct Files {
    pub(super) documents: Vec<Document>,
    pub(super) tables: Vec<Table>,
    pub(super) syntax: Vec<(usize, SyntaxError)>,
    /// Files that could not be read at all.
    pub(super) unreadable: Vec<Problem>,
    /// How many of the documents are the main file and `conf.d`.
    pub(super) main: usize,
    /// The document that the page writes.
    pub(super) settings: Option<usize>,
    /// Mapping files by their path: the document, or why it cannot be read.
    linked: HashMap<PathBuf, Result<usize, String>>,
    /// Why the former settings are used instead of the last ones, if they are.
    pub(super) fallback: Option<String>,
}

impl Files {
    /// Reads the main file and all that belongs to it; `settings` stand for the saved ones.
    pub(super) fn read(path: &Path, settings: Option<String>) -> Self {
        let mut files = Self::default();
        files.take(path);
        if files.documents.is_empty() {
            return files;
        }
        for extra in files.drop_ins(path) {
            files.take(&extra);
        }
        files.main = files.documents.len();
        files.take_settings(settings);
        files.link();
        files
    }

    /// The settings that the page saved; the ones before where those are damaged.
    fn take_settings(&mut self, instead: Option<String>) {
        let state_dir = self.state_dir();
        let path = state_dir.join(settings::FILE);
        let text = match instead {
            Some(text) => Ok(text),
            None if !path.exists() => return,
            None => read_text(&path),
        };
        let problem = match &text {
            Ok(text) if text.parse::<toml::Table>().is_ok() => None,
            Ok(_) => Some("is not TOML".to_owned()),
            Err(why) => Some(why.clone()),
        };
        let previous = state_dir.join(settings::PREVIOUS);
        let former = problem.as_ref().and_then(|_| read_text(&previous).ok());
        match (former, text) {
            (Some(former), _) => {
                let why = problem.unwrap_or_default();
                let file = settings::PREVIOUS;
                self.fallback = Some(format!("{} {why}: {file} is used", path.display()));
                self.settings = Some(self.add(&previous, former));
            }
            (None, Ok(text)) => self.settings = Some(self.add(&path, text)),
            (None, Err(why)) => self.unreadable.push(unreadable(&path, &why)),
        }
    }

    /// The mapping file at this path, which a source's `api_file` or `states_file` names.
    pub(super) fn linked(&self, path: &Path) -> Result<&Table, &str> {
        match self.linked.get(path) {
            Some(Ok(at)) => Ok(&self.tables[*at]),
            Some(Err(why)) => Err(why),
            None => Err("was not looked for, because its key stands where it cannot count"),
        }
    }

    /// Where the state folder is, before the configuration is checked.
    fn state_dir(&self) -> PathBuf {
        let named = self.tables[..self.main].iter().find_map(|table| {
            let entry = as_table(&table.get("box")?.node.value)?.get("state_dir")?;
            let Value::String(text) = &entry.node.value else {
                return None;
            };
            let document = &self.documents[entry.node.place.file];
            Some(document.folder().join(text))
        });
        named.unwrap_or_else(|| PathBuf::from(STATE_DIR))
    }

    fn drop_ins(&mut self, main: &Path) -> Vec<PathBuf> {
        let folder = self.documents[0].folder().join("conf.d");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.unreadable.push(unreadable(&folder, &plain(&error)));
                return Vec::new();
            }
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "toml") && path != main)
            .collect();
        paths.sort();
        if paths.len() > FILES_MAX {
            let why = format!("holds more than {FILES_MAX} files");
            self.unreadable.push(unreadable(&folder, &why));
            paths.truncate(FILES_MAX);
        }
        paths
    }

    /// Reads every file that some source names.
    fn link(&mut self) {
        let mut paths = Vec::new();
        for table in &self.tables {
            let sources = match table.get("source").map(|entry| &entry.node.value) {
                Some(Value::Array(nodes)) => nodes.iter().map(|n| &n.value).collect(),
                _ => Vec::new(),
            };
            let defaults = table
                .get("defaults")
                .and_then(|entry| as_table(&entry.node.value)?.get("source"))
                .map(|entry| &entry.node.value);
            for source in sources.into_iter().chain(defaults).filter_map(as_table) {
                for key in ["api_file", "states_file"] {
                    if let Some(entry) = source.get(key)
                        && let Value::String(text) = &entry.node.value
                    {
                        let document = &self.documents[entry.node.place.file];
                        paths.push(document.folder().join(text));
                    }
                }
            }
        }
        for path in paths {
            if !self.linked.contains_key(&path) {
                let at = read_text(&path).map(|text| self.add(&path, text));
                self.linked.insert(path, at);
            }
        }
    }

    fn take(&mut self, path: &Path) -> Option<usize> {
        match read_text(path) {
            Ok(text) => Some(self.add(path, text)),
            Err(why) => {
                self.unreadable.push(unreadable(path, &why));
                None
            }
        }
    }

    fn add(&mut self, path: &Path, text: String) -> usize {
        let at = self.documents.len();
        let (document, table, errors) = Document::new(at, path.to_owned(), text);
        self.documents.push(document);
        self.tables.push(table);
        self.syntax
            .extend(errors.into_iter().map(|error| (at, error)));
        at
    }
}

fn as_table(value: &Value) -> Option<&Table> {
    match value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {}", plain(&error));
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|&b| b == b'\n').count();
        format!("is not UTF-8 text (line {line})")
    })
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: path.to_owned(),
        line: 0,
        column: 0,
        field: String::new(),
        subject: None,
        message: format!("{} {why}", path.display()),
        value: None,
        allowed: None,
        hint: None,
        snippet: None,
    }
}
