//! One file that was read, and what of its lines may be printed.
//!
//! A value is printed only after the code has read it under a key that is known not to be secret
//! ([`Document::show`]); everything else between keys and punctuation is masked, comments are
//! left out. Where the file is not TOML, nothing can be known of its values, and a line is shown
//! only if it is, letter for letter, a known harmless key with a short plain value.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::keys;
use super::problem::Snippet;
use super::tree::{self, SyntaxError, Table, Value};

/// What stands for a value that is not shown.
pub(super) const MASK: &str = "***";
/// The longest line that is printed, in characters; more would wrap and hide the mark.
const LINE_CHARS_MAX: usize = 160;
/// Words that make a line of a broken file suspect, whatever its key.
const SECRET_WORDS: [&str; 8] = [
    "pass",
    "pwd",
    "token",
    "secret",
    "credential",
    "auth",
    "key",
    "bearer",
];

/// A file, its lines, and what may be shown of them.
pub(super) struct Document {
    /// As it was named.
    pub(super) path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
    /// Keys and scalar values, ascending.
    leaves: Vec<Leaf>,
    shown: RefCell<Vec<Range<usize>>>,
    well_formed: bool,
}

struct Leaf {
    span: Range<usize>,
    is_key: bool,
}

impl Document {
    /// Takes the text apart. The errors are the syntax errors; the table is what is left.
    pub(super) fn new(file: usize, path: PathBuf, text: String) -> (Self, Table, Vec<SyntaxError>) {
        let (table, errors) = tree::parse(file, &text);
        let mut leaves = Vec::new();
        collect(&table, &mut leaves);
        leaves.sort_by_key(|leaf| leaf.span.start);
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let document = Self {
            path,
            line_starts: std::iter::once(0).chain(starts).collect(),
            leaves,
            shown: RefCell::default(),
            well_formed: errors.is_empty(),
            text,
        };
        (document, table, errors)
    }

    /// The folder that relative paths start from.
    pub(super) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Whether the whole file is TOML.
    pub(super) fn is_well_formed(&self) -> bool {
        self.well_formed
    }

    /// Allows what stands here to be printed: it was read under a key that is not secret.
    pub(super) fn show(&self, span: &Range<usize>) {
        self.shown.borrow_mut().push(span.clone());
    }

    /// Whether what stands here may be printed.
    pub(super) fn may_show(&self, span: &Range<usize>) -> bool {
        if self.well_formed {
            let shown = self.shown.borrow();
            return shown.iter().any(|range| contains(range, span));
        }
        let line = self.line_of(span.start);
        self.line_of(span.end.saturating_sub(1).max(span.start)) == line
            && self.is_plainly_harmless(line)
    }

    /// Line and column from 1, the column in characters.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.line_of(at);
        let before = &self.text[self.line_starts[line]..self.floor(at)];
        (line + 1, before.chars().count() + 1)
    }

    /// Whether the key of a broken file is the user's word for a key, rather than a piece of a value
    /// that the parser took for one.
    pub(super) fn is_plainly_key(&self, key: &str, span: &Range<usize>) -> bool {
        let line = self.line_of(span.start);
        let text = self.text[self.line_range(line)].trim_start();
        !self.is_after_long_text(line) && text.starts_with(key) && keys::is_nearly_known(key)
    }

    /// The line of the span, masked, and where the span lies in it.
    pub(super) fn snippet(&self, span: &Range<usize>) -> Snippet {
        let line = self.line_of(span.start);
        if self.well_formed {
            self.masked_by_tree(line, span)
        } else {
            self.masked_by_look(line, span)
        }
    }

    fn masked_by_tree(&self, line: usize, span: &Range<usize>) -> Snippet {
        let range = self.line_range(line);
        let mut out = Masked::new(span);
        let mut at = range.start;
        while at < range.end {
            let leaf = self.leaf_at(at);
            match leaf {
                Some(leaf) if !leaf.is_key && !self.may_show(&leaf.span) => {
                    out.mask(at..leaf.span.end.min(range.end));
                    at = leaf.span.end.min(range.end);
                }
                Some(leaf) => {
                    let end = leaf.span.end.min(range.end);
                    out.copy(&self.text[at..end], at);
                    at = end;
                }
                None => {
                    let rest = &self.text[at..range.end];
                    let char = rest.chars().next().expect("the range is not empty");
                    if char == '#' {
                        break;
                    }
                    out.copy(&rest[..char.len_utf8()], at);
                    at += char.len_utf8();
                }
            }
        }
        out.finish()
    }

    /// For a broken file: the whole line if it is plainly harmless, else its key alone.
    fn masked_by_look(&self, line: usize, span: &Range<usize>) -> Snippet {
        let range = self.line_range(line);
        let text = &self.text[range.clone()];
        let mut out = Masked::new(span);
        if self.is_plainly_harmless(line) {
            out.copy(text, range.start);
            return out.finish();
        }
        let known = if self.is_after_long_text(line) {
            0
        } else {
            known_key_length(text)
        };
        out.copy(&text[..known], range.start);
        if known < text.trim_end().len() {
            out.mask(range.start + known..range.end);
        }
        out.finish()
    }

    /// Whether a line of a broken file is a table's header, or a known key that is not secret with
    /// one value without any word or sign that a secret could stand behind.
    fn is_plainly_harmless(&self, line: usize) -> bool {
        let text = self.text[self.line_range(line)].trim();
        if self.is_after_long_text(line) {
            return false;
        }
        let lower = text.to_ascii_lowercase();
        if text.starts_with('[') {
            return text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"[]._- ".contains(&b))
                && keys::is_header_like(text.trim_matches(['[', ']', ' ']));
        }
        let Some((key, value)) = lower.split_once('=') else {
            return text.is_empty();
        };
        let key = key.trim();
        keys::is_harmless(key)
            && !value.contains(['=', '#', '@', '\\', '{'])
            && !SECRET_WORDS.iter().any(|word| value.contains(word))
    }

    /// Whether a text of several lines may have begun before the end of this line.
    fn is_after_long_text(&self, line: usize) -> bool {
        let before = &self.text[..self.line_range(line).end];
        before.contains("\"\"\"") || before.contains("'''")
    }

    fn leaf_at(&self, at: usize) -> Option<&Leaf> {
        let after = self.leaves.partition_point(|leaf| leaf.span.start <= at);
        self.leaves[..after]
            .last()
            .filter(|leaf| at < leaf.span.end)
    }

    fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at) - 1
    }

    fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.line_starts[line];
        let end = self
            .line_starts
            .get(line + 1)
            .map_or(self.text.len(), |&next| next - 1);
        let end = if self.text[start..end].ends_with('\r') {
            end - 1
        } else {
            end
        };
        start..end
    }

    fn floor(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn collect(table: &Table, leaves: &mut Vec<Leaf>) {
    for entry in &table.entries {
        leaves.push(Leaf {
            span: entry.key_place.span.clone(),
            is_key: true,
        });
        collect_value(&entry.node.value, &entry.node.place.span, leaves);
    }
}

fn collect_value(value: &Value, span: &Range<usize>, leaves: &mut Vec<Leaf>) {
    match value {
        Value::Array(nodes) => {
            for node in nodes {
                collect_value(&node.value, &node.place.span, leaves);
            }
        }
        Value::Table(table) => collect(table, leaves),
        _ => leaves.push(Leaf {
            span: span.clone(),
            is_key: false,
        }),
    }
}

/// How many bytes at the start of a line are a key that the program knows.
fn known_key_length(text: &str) -> usize {
    let start = text.len() - text.trim_start().len();
    let key = text[start..]
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.'))
        .next()
        .unwrap_or_default();
    if key.is_empty() || !keys::is_known(key) {
        return 0;
    }
    let end = start + key.len();
    let rest = &text[end..];
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    if rest[blanks..].starts_with('=') {
        let after = &rest[blanks + 1..];
        end + blanks + 1 + (after.len() - after.trim_start_matches(' ').len())
    } else {
        end + blanks
    }
}

/// A line under construction, which remembers where the marked span went.
struct Masked<'a> {
    span: &'a Range<usize>,
    line: String,
    chars: usize,
    caret: Option<usize>,
    end: usize,
}

impl<'a> Masked<'a> {
    fn new(span: &'a Range<usize>) -> Self {
        Self {
            span,
            line: String::new(),
            chars: 0,
            caret: None,
            end: 0,
        }
    }

    fn copy(&mut self, text: &str, from: usize) {
        for (offset, char) in text.char_indices() {
            self.push(char, from + offset..from + offset + char.len_utf8());
        }
    }

    /// A mark within or at the end of what is masked covers the whole mask: where exactly it stood
    /// would tell how long the secret is.
    fn mask(&mut self, bytes: Range<usize>) {
        if self.span.start <= bytes.end && bytes.start <= self.span.start {
            self.caret = self.caret.or(Some(self.chars));
            self.end = self.chars + MASK.len();
        }
        for char in MASK.chars() {
            self.push(char, bytes.clone());
        }
    }

    fn push(&mut self, char: char, bytes: Range<usize>) {
        if bytes.end > self.span.start && self.caret.is_none() {
            self.caret = Some(self.chars);
        }
        if bytes.start < self.span.end {
            self.end = self.chars + 1;
        }
        self.chars += 1;
        let is_printable = !char.is_control();
        self.line.push(if is_printable { char } else { ' ' });
    }

    fn finish(self) -> Snippet {
        let line: String = self.line.trim_end().chars().take(LINE_CHARS_MAX).collect();
        let length = line.chars().count();
        let caret = self.caret.unwrap_or(length).min(length);
        Snippet {
            width: self.end.min(length).saturating_sub(caret).max(1),
            line,
            caret,
        }
    }
}
