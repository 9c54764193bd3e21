//! Reading one value: its type, its range, its default.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::section::{Finding, Section};
use super::text;
use super::tree::{Node, Place, Value};
use crate::domain::timestamp::WallTime;

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
const URL_KEYS: [&str; 3] = ["base_url", "proxy", "url"];

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

#[expect(
    clippy::ptr_arg,
    reason = "it is passed where a list's own type is asked for"
)]
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
