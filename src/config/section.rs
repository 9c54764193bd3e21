//! Reading one table: each key is read by name, once, and what was not read is unknown.
//!
//! Reading is also how the list of keys comes about ([`super::keys`]): every read names its key,
//! default and range, so that code, conf file and `check` cannot know different ones. A value that
//! is wrong becomes a [`Finding`], and reading goes on.

use std::cell::RefCell;
use std::path::Path;

use super::document::Document;
use super::keys::{self, KeyNote};
use super::problem::{Problem, Severity};
use super::text;
use super::tree::{Entry, Place, Table, Value};

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
    /// Its line may hold what nobody may see.
    pub(super) is_unshown: bool,
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
            is_unshown: false,
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
                snippet: (!whole && !finding.is_unshown).then_some(snippet),
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

    pub(super) fn note(
        &self,
        key: &str,
        default: Option<String>,
        allowed: Option<String>,
        secret: bool,
    ) {
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
