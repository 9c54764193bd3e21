//! Reading one table: each key is read by name, once, and what was not read is unknown.
//!
//! Reading is also how the list of keys comes about ([`super::keys`]): every read names its key,
//! default and range, so that code, conf file and `check` cannot know different ones. A value that
//! is wrong becomes a [`Finding`], and reading goes on.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Document;
use super::keys::{self, KeyNote};
use super::problem::{Problem, Severity};
use super::text;
use super::tree::{Entry, Node, Place, Table, Value};
use crate::domain::timestamp::WallTime;

/// Words that people use for keys, where the spelling does not lead there: table, word, key.
const SYNONYMS: [(&str, &str, &str); 6] = [
    ("source.realtime", "username", "account"),
    ("source.realtime", "user", "account"),
    (
        "source.realtime",
        "period_s",
        "transaction_collection_interval_s",
    ),
    ("source.historical", "account", "username"),
    ("source.historical", "user", "username"),
    ("destination", "type", "kind"),
];

/// What the whole reading shares: the files, the findings, the keys that were asked for.
pub(super) struct Reader<'a> {
    pub(super) documents: &'a [Document],
    findings: RefCell<Vec<Finding>>,
    notes: RefCell<Vec<KeyNote>>,
    /// Every optional table is entered, so that every key gets known.
    pub(super) is_listing: bool,
}

/// A problem before its line was masked.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) place: Place,
    pub(super) field: String,
    pub(super) subject: Option<String>,
    pub(super) message: String,
    pub(super) value: Option<String>,
    pub(super) allowed: Option<String>,
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn error(place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: place.clone(),
            field: String::new(),
            subject: None,
            message: message.into(),
            value: None,
            allowed: None,
            hint: None,
        }
    }

    pub(super) fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(documents: &'a [Document]) -> Self {
        Self {
            documents,
            findings: RefCell::default(),
            notes: RefCell::default(),
            is_listing: false,
        }
    }

    /// A reader that only finds out which keys there are.
    pub(super) fn listing() -> Self {
        Self {
            is_listing: true,
            ..Self::new(&[])
        }
    }

    pub(super) fn add(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    pub(super) fn into_notes(self) -> Vec<KeyNote> {
        self.notes.into_inner()
    }

    pub(super) fn has_errors(&self) -> bool {
        let findings = self.findings.borrow();
        findings.iter().any(|f| f.severity == Severity::Error)
    }

    /// Everything that was found, in the order of files and lines, each line masked.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let documents = self.documents;
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|f| (f.place.file, f.place.span.start));
        let problem = |finding: Finding| {
            let document = &documents[finding.place.file];
            let (line, column) = document.position(finding.place.span.start);
            let snippet = document.snippet(&finding.place.span);
            let column = if document.is_well_formed() {
                column
            } else {
                column.min(snippet.caret + 1)
            };
            let whole = finding.place.span.is_empty() && finding.place.span.start == 0;
            Problem {
                severity: finding.severity,
                file: document.path.clone(),
                line: if whole { 0 } else { line },
                column: if whole { 0 } else { column },
                field: finding.field,
                subject: finding.subject,
                message: finding.message,
                value: finding.value,
                allowed: finding.allowed,
                hint: finding.hint,
                snippet: (!whole).then_some(snippet),
            }
        };
        // A value of `[defaults]` is read once for each that shares it, but is wrong once.
        findings.dedup_by(|later, first| {
            let same = later.place == first.place && later.message == first.message;
            if same && later.subject != first.subject {
                first.subject = None;
            }
            same
        });
        findings.into_iter().map(problem).collect()
    }

    pub(super) fn document(&self, place: &Place) -> &'a Document {
        &self.documents[place.file]
    }
}

/// A table under its name, with the tables that it takes defaults from.
pub(super) struct Section<'r> {
    pub(super) reader: &'r Reader<'r>,
    /// Its tables, for example `source.realtime`; empty for the root.
    pub(super) path: String,
    /// Whose it is, for example `source "main"`.
    pub(super) subject: Option<String>,
    /// The table itself; several where several files add to it.
    own: Vec<&'r Table>,
    /// What `[defaults.…]` says.
    defaults: Vec<&'r Table>,
    known: RefCell<Vec<String>>,
}

impl<'r> Section<'r> {
    pub(super) fn new(reader: &'r Reader<'r>, path: &str, own: Vec<&'r Table>) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            subject: None,
            own,
            defaults: Vec::new(),
            known: RefCell::default(),
        }
    }

    pub(super) fn with_defaults(mut self, defaults: Vec<&'r Table>) -> Self {
        self.defaults = defaults;
        self
    }

    pub(super) fn about(mut self, subject: Option<String>) -> Self {
        self.subject = subject;
        self
    }

    /// Whether the table is there; also while listing keys.
    pub(super) fn is_present(&self) -> bool {
        self.reader.is_listing || !self.own.is_empty()
    }

    /// Where a key that is missing would stand.
    pub(super) fn place(&self) -> Place {
        let table = self.own.first().or(self.defaults.first());
        table.map_or(
            Place {
                file: 0,
                span: 0..0,
            },
            |t| t.place.clone(),
        )
    }

    pub(super) fn field(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn add(&self, key: &str, finding: Finding) {
        self.reader.add(Finding {
            field: self.field(key),
            subject: self.subject.clone(),
            ..finding
        });
    }

    /// How messages call the file that a value names: not at all where it may not be shown.
    pub(super) fn shown_path(&self, place: &Place, path: &Path) -> String {
        if self.reader.document(place).may_show(&place.span) {
            path.display().to_string()
        } else {
            "the file".to_owned()
        }
    }

    /// The entry of this key, which is known from here on. The table's own entry wins over the
    /// defaults'; the same key in two files is an error.
    pub(super) fn entry(&self, key: &str) -> Option<&'r Entry> {
        self.know(key);
        let mut own = self.own.iter().filter_map(|table| table.get(key));
        let first = own.next();
        if let (Some(first), Some(second)) = (first, own.next())
            && !matches!(second.node.value, Value::Table(_))
        {
            let (line, _) = self
                .reader
                .document(&first.key_place)
                .position(first.key_place.span.start);
            let file = self.reader.document(&first.key_place).path.display();
            self.add(
                key,
                Finding::error(
                    &second.key_place,
                    format!("`{key}` is set in two files, first in {file}:{line}"),
                )
                .hint("keep one of them: no file wins over another"),
            );
        }
        first.or_else(|| self.defaults.iter().find_map(|table| table.get(key)))
    }

    /// Whether the table itself, not its defaults, has this key.
    pub(super) fn has_own(&self, key: &str) -> bool {
        self.own.iter().any(|table| table.get(key).is_some())
    }

    fn know(&self, key: &str) {
        let mut known = self.known.borrow_mut();
        if !known.iter().any(|k| k == key) {
            known.push(key.to_owned());
        }
    }

    fn note(&self, key: &str, default: Option<String>, allowed: Option<String>, secret: bool) {
        self.reader.notes.borrow_mut().push(KeyNote {
            table: self.path.clone(),
            key: key.to_owned(),
            default,
            allowed,
            is_secret: secret,
        });
    }

    /// The table under this key, with the defaults' table of the same name behind it.
    pub(super) fn child(&self, key: &str) -> Section<'r> {
        self.know(key);
        let tables = |from: &[&'r Table]| -> Vec<&'r Table> {
            from.iter()
                .filter_map(|table| table.get(key))
                .filter_map(|entry| match &entry.node.value {
                    Value::Table(table) => Some(table),
                    other => {
                        self.add(
                            key,
                            Finding::error(
                                &entry.node.place,
                                format!("`{key}` is {}, not a table", other.kind()),
                            )
                            .hint(format!("write [{}]", self.field(key))),
                        );
                        None
                    }
                })
                .collect()
        };
        Section {
            reader: self.reader,
            path: self.field(key),
            subject: self.subject.clone(),
            own: tables(&self.own),
            defaults: tables(&self.defaults),
            known: RefCell::default(),
        }
    }

    /// The entries of a table whose keys are the user's own; they are not checked here.
    pub(super) fn free_table(&self, key: &str) -> Option<&'r Table> {
        self.note(key, Some("{}".to_owned()), None, false);
        self.table_of(key)
    }

    /// The table under this key, whose keys are not checked.
    pub(super) fn table_of(&self, key: &str) -> Option<&'r Table> {
        let entry = self.entry(key)?;
        match &entry.node.value {
            Value::Table(table) => Some(table),
            other => {
                let message = format!("`{key}` is {}, not a table", other.kind());
                self.add(key, Finding::error(&entry.node.place, message));
                None
            }
        }
    }

    /// The tables of an array of tables (`[[key]]`), over all files.
    pub(super) fn tables(&self, key: &str) -> Vec<&'r Table> {
        self.know(key);
        let mut tables = Vec::new();
        for entry in self.own.iter().filter_map(|table| table.get(key)) {
            let Value::Array(nodes) = &entry.node.value else {
                let message = format!(
                    "`{key}` is {}, not a list of tables",
                    entry.node.value.kind()
                );
                let hint = format!("write [[{key}]] with two brackets");
                self.add(key, Finding::error(&entry.key_place, message).hint(hint));
                continue;
            };
            for node in nodes {
                match &node.value {
                    Value::Table(table) => tables.push(table),
                    other => {
                        let message = format!("a `{key}` is {}, not a table", other.kind());
                        self.add(key, Finding::error(&node.place, message));
                    }
                }
            }
        }
        tables
    }

    /// Its own tables, one for each file that has some.
    pub(super) fn into_own(self) -> Vec<&'r Table> {
        self.own
    }

    /// Notes a key that something else than this section reads.
    pub(super) fn note_key(&self, note: KeyNote) {
        self.reader.notes.borrow_mut().push(note);
    }

    /// The tables under this key: the own ones, and the defaults'.
    pub(super) fn layers(&self) -> impl Iterator<Item = &'r Table> {
        self.defaults.iter().rev().chain(&self.own).copied()
    }

    /// Ends the reading: whatever was not asked for is unknown.
    pub(super) fn finish(self) {
        let known = self.known.take();
        for entry in self.own.iter().flat_map(|table| &table.entries) {
            if !known.contains(&entry.key) {
                self.unknown(entry, &known);
            }
        }
    }

    /// Says that a key is unknown in a table below this one.
    pub(super) fn unknown_below(&self, path: &str, entry: &Entry, known: &[String]) {
        let path = if path.is_empty() {
            self.path.clone()
        } else {
            self.field(path)
        };
        let below = Section::new(self.reader, &path, Vec::new()).about(self.subject.clone());
        below.unknown(entry, known);
    }

    /// Says that a key is unknown, with the nearest that is known here, or its right table.
    pub(super) fn unknown(&self, entry: &Entry, known: &[String]) {
        let document = self.reader.document(&entry.key_place);
        if !document.is_well_formed() && !document.is_plainly_key(&entry.key, &entry.key_place.span)
        {
            // What a broken file's rest looks like to the parser may be part of a secret.
            return;
        }
        let key = &entry.key;
        let synonym = SYNONYMS
            .iter()
            .find(|(table, word, _)| *table == self.path && word == key)
            .map(|(_, _, meant)| *meant);
        let nearest = synonym.or_else(|| text::nearest(key, known.iter().map(String::as_str)));
        let hint = match (nearest, keys::tables_of(key).as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, [table]) => format!("`{key}` belongs into [{table}]"),
            (None, [first, .., last]) => format!("`{key}` belongs into [{first}] or [{last}]"),
            (None, []) => {
                let mut known = known.to_vec();
                known.sort();
                format!("known here: {}", known.join(", "))
            }
        };
        let place = if self.path.is_empty() {
            "at the top of the file".to_owned()
        } else {
            format!("in [{}]", self.path)
        };
        let message = format!("unknown key `{key}` {place}");
        self.add(key, Finding::error(&entry.key_place, message).hint(hint));
    }
}

/// What was found under a key, before it is known what its absence means.
pub(super) struct Field<'s, 'r, T> {
    section: &'s Section<'r>,
    key: &'static str,
    found: Found<'r, T>,
    allowed: Option<String>,
    show: fn(&T) -> String,
}

enum Found<'r, T> {
    Missing,
    Wrong,
    Good(T, &'r Node),
}

/// A value and its place.
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> Field<'_, '_, T> {
    /// The value, or the default.
    pub(super) fn or(self, default: T) -> T {
        let shown = (self.show)(&default);
        self.section
            .note(self.key, Some(shown), self.allowed, false);
        match self.found {
            Found::Good(value, _) => value,
            Found::Missing | Found::Wrong => default,
        }
    }

    /// The value, if there is one.
    pub(super) fn optional(self) -> Option<Placed<T>> {
        self.section.note(self.key, None, self.allowed, false);
        match self.found {
            Found::Good(value, node) => Some(Placed {
                value,
                place: node.place.clone(),
            }),
            Found::Missing | Found::Wrong => None,
        }
    }

    /// The value; its absence is an error.
    pub(super) fn required(self, hint: &str) -> Option<Placed<T>> {
        if matches!(self.found, Found::Missing) {
            let place = self.section.place();
            let message = format!("`{}` is missing in [{}]", self.key, self.section.path);
            self.section
                .add(self.key, Finding::error(&place, message).hint(hint));
        }
        self.optional()
    }
}

/// What a value should have been.
struct Mismatch {
    message: String,
    /// Whether the value may be named: it is of the right type, and its key is not secret.
    shows: bool,
}

impl<'r> Section<'r> {
    fn read<'s, T>(
        &'s self,
        key: &'static str,
        allowed: Option<String>,
        show: fn(&T) -> String,
        parse: impl FnOnce(&'r Node) -> Result<T, Mismatch>,
    ) -> Field<'s, 'r, T> {
        let found = match self.entry(key) {
            None => Found::Missing,
            Some(entry) => match parse(&entry.node) {
                Ok(value) => {
                    if !may_hold_credentials(key, &entry.node.value) {
                        let document = self.reader.document(&entry.node.place);
                        document.show(&entry.node.place.span);
                    }
                    Found::Good(value, &entry.node)
                }
                Err(mismatch) => {
                    self.mismatch(key, &entry.node, &mismatch, allowed.clone());
                    Found::Wrong
                }
            },
        };
        Field {
            section: self,
            key,
            found,
            allowed,
            show,
        }
    }

    fn mismatch(&self, key: &str, node: &Node, mismatch: &Mismatch, allowed: Option<String>) {
        let document = self.reader.document(&node.place);
        if mismatch.shows && !may_hold_credentials(key, &node.value) {
            document.show(&node.place.span);
        }
        let shows = mismatch.shows && document.may_show(&node.place.span);
        let finding = Finding {
            value: shows.then(|| node.to_toml().to_string()),
            allowed,
            ..Finding::error(&node.place, format!("`{key}` {}", mismatch.message))
        };
        self.add(key, finding);
    }

    /// Any text that is not empty.
    pub(super) fn text(&self, key: &'static str) -> Field<'_, 'r, String> {
        self.read(
            key,
            None,
            |text| text::quote(text),
            |node| {
                let text = as_text(node)?;
                if text.trim().is_empty() {
                    return Err(wrong("is empty"));
                }
                Ok(text.to_owned())
            },
        )
    }

    /// A text that `check` accepts; its error follows the key in the message.
    pub(super) fn checked<T>(
        &self,
        key: &'static str,
        allowed: &str,
        show: fn(&T) -> String,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Field<'_, 'r, T> {
        let allowed = (!allowed.is_empty()).then(|| allowed.to_owned());
        self.read(key, allowed, show, |node| {
            let text = as_text(node)?;
            check(text).map_err(|message| Mismatch {
                message,
                shows: true,
            })
        })
    }

    /// One of several words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let list: Vec<String> = words.iter().map(|(word, _)| text::quote(word)).collect();
        let shown = words
            .iter()
            .find(|(_, value)| *value == default)
            .map(|(word, _)| (*word).to_owned())
            .expect("the default is one of the words");
        let find = |text: &str| words.iter().find(|(word, _)| *word == text);
        let field = self.read(
            key,
            Some(list.join(", ")),
            |w: &String| text::quote(w),
            |node| {
                let text = as_text(node)?;
                if find(text).is_some() {
                    return Ok(text.to_owned());
                }
                let near = text::nearest(text, words.iter().map(|(word, _)| *word));
                Err(wrong(&match near {
                    Some(near) => format!("is none of its words; did you mean \"{near}\"?"),
                    None => "is none of its words".to_owned(),
                }))
            },
        );
        let word = field.or(shown);
        find(&word).map_or(default, |(_, value)| *value)
    }

    /// A whole number of the unit that the key's name ends in.
    pub(super) fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Field<'_, 'r, u64> {
        let allowed = show_range(&range, unit_of(key));
        self.read(key, Some(allowed), u64::to_string, |node| {
            as_integer(node, &range)
        })
    }

    /// A time span as a whole number of the unit that the key's name ends in.
    pub(super) fn span(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: Duration,
    ) -> Duration {
        let unit_s = match unit_of(key) {
            "h" => 3600,
            "days" => 86_400,
            _ => 1,
        };
        assert!(
            default.as_secs().is_multiple_of(unit_s) && default.subsec_nanos() == 0,
            "the default of {key} is no whole number of its unit"
        );
        Duration::from_secs(self.integer(key, range).or(default.as_secs() / unit_s) * unit_s)
    }

    /// A size in bytes: a whole number, or a text with a unit.
    pub(super) fn bytes(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Field<'_, 'r, u64> {
        let allowed = format!(
            "{} to {}",
            text::show_bytes(*range.start()),
            text::show_bytes(*range.end())
        );
        self.read(
            key,
            Some(allowed),
            |bytes| text::quote(&text::show_bytes(*bytes)),
            |node| {
                let bytes = match &node.value {
                    Value::Integer(Some(bytes)) => u64::try_from(*bytes).ok(),
                    Value::String(text) => Some(text::parse_bytes(text).ok_or_else(|| {
                        wrong("is no size such as \"8GiB\", \"512MiB\" or a number of bytes")
                    })?),
                    Value::Integer(None) => None,
                    other => return Err(kind("a size such as \"8GiB\"", other)),
                };
                bytes
                    .filter(|bytes| range.contains(bytes))
                    .ok_or_else(|| wrong("is out of range"))
            },
        )
    }

    /// Yes or no.
    pub(super) fn boolean(&self, key: &'static str, default: bool) -> bool {
        self.read(
            key,
            Some("true, false".to_owned()),
            bool::to_string,
            |node| match &node.value {
                Value::Boolean(yes) => Ok(*yes),
                other => Err(kind("true or false", other)),
            },
        )
        .or(default)
    }

    /// A list of texts; one text stands for a list of one.
    pub(super) fn texts(&self, key: &'static str) -> Field<'_, 'r, Vec<String>> {
        self.read(key, None, show_list, |node| match &node.value {
            Value::String(text) => Ok(vec![text.clone()]),
            Value::Array(nodes) => nodes
                .iter()
                .map(|n| as_text(n).map(str::to_owned))
                .collect(),
            other => Err(kind("a list of texts", other)),
        })
    }

    /// A path; a relative one starts at the folder of its file.
    pub(super) fn path(&self, key: &'static str) -> Field<'_, 'r, PathBuf> {
        let show = |path: &PathBuf| text::quote(&path.to_string_lossy());
        self.read(key, None, show, |node| {
            let text = as_text(node)?;
            if text.trim().is_empty() {
                return Err(wrong("is empty"));
            }
            Ok(self.resolve(&node.place, Path::new(text)))
        })
    }

    pub(super) fn resolve(&self, place: &Place, path: &Path) -> PathBuf {
        self.reader.document(place).folder().join(path)
    }

    /// A moment: RFC 3339 as a text or bare, or Unix seconds.
    pub(super) fn time(&self, key: &'static str) -> Field<'_, 'r, WallTime> {
        let allowed = "RFC 3339 such as \"2026-01-31T00:00:00Z\", or Unix seconds".to_owned();
        self.read(key, Some(allowed), WallTime::to_string, |node| {
            match &node.value {
                Value::Integer(Some(seconds)) => Some(WallTime::from_s(*seconds)),
                Value::String(text) | Value::Datetime(text) => text::parse_time(text),
                _ => return Err(kind("a time", &node.value)),
            }
            .ok_or_else(|| wrong("is no time with its offset from UTC"))
        })
    }

    /// A secret's text. It is never shown, not even where it is of the wrong type.
    pub(super) fn secret_text(&self, key: &'static str) -> Option<Placed<String>> {
        self.note(key, None, None, true);
        let entry = self.entry(key)?;
        match &entry.node.value {
            Value::String(text) if !text.is_empty() => Some(Placed {
                value: text.clone(),
                place: entry.node.place.clone(),
            }),
            Value::String(_) => {
                let message = format!("`{key}` is empty");
                self.add(key, Finding::error(&entry.node.place, message));
                None
            }
            other => {
                let message = format!("`{key}` must be a text in quotes, found {}", other.kind());
                self.add(key, Finding::error(&entry.node.place, message));
                None
            }
        }
    }
}

/// Keys that hold a URL, where people are used to write user names and passwords too.
const URL_KEYS: [&str; 2] = ["base_url", "proxy"];

/// Whether there may be credentials in the value, well-formed or not.
fn may_hold_credentials(key: &str, value: &Value) -> bool {
    match value {
        Value::String(text) if URL_KEYS.contains(&key) => !is_plain_url(text),
        Value::String(text) => text.contains("//") && text.contains('@'),
        Value::Array(nodes) => nodes.iter().any(|n| may_hold_credentials(key, &n.value)),
        _ => false,
    }
}

/// Whether nothing in a URL, or what was meant as one, can be a password: no `@`, and after each
/// colon the host or a port.
fn is_plain_url(text: &str) -> bool {
    let is_port = |rest: &str| {
        let port = rest.split('/').next().unwrap_or_default();
        port.bytes().all(|b| b.is_ascii_digit())
    };
    !text.contains('@')
        && text
            .match_indices(':')
            .map(|(at, _)| &text[at + 1..])
            .all(|rest| rest.starts_with("//") || (!rest.starts_with('/') && is_port(rest)))
}

fn as_text(node: &Node) -> Result<&str, Mismatch> {
    match &node.value {
        Value::String(text) => Ok(text),
        other => Err(kind("a text in quotes", other)),
    }
}

fn as_integer(node: &Node, range: &RangeInclusive<u64>) -> Result<u64, Mismatch> {
    match &node.value {
        Value::Integer(number) => number
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| wrong("is out of range")),
        other => Err(kind("a whole number", other)),
    }
}

fn wrong(message: &str) -> Mismatch {
    Mismatch {
        message: message.to_owned(),
        shows: true,
    }
}

fn kind(wanted: &str, found: &Value) -> Mismatch {
    Mismatch {
        message: format!("must be {wanted}, found {}", found.kind()),
        shows: false,
    }
}

fn show_list(list: &Vec<String>) -> String {
    let items: Vec<String> = list.iter().map(|item| text::quote(item)).collect();
    format!("[{}]", items.join(", "))
}

/// The unit that a key's name ends in.
fn unit_of(key: &str) -> &'static str {
    match key.rsplit('_').next() {
        Some("s") => "s",
        Some("h") => "h",
        Some("days") => "days",
        Some("percent") => "percent",
        _ => "",
    }
}

fn show_range(range: &RangeInclusive<u64>, unit: &str) -> String {
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    format!("{} to {}{unit}", range.start(), range.end())
}
