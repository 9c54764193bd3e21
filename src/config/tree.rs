//! A TOML file as a tree that knows where everything stands.
//!
//! The tree is ours rather than serde's, because serde ends at the first wrong value, and because
//! the places of keys and values decide what of a line may be printed.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the files that were read.
    pub(super) file: usize,
    /// Its bytes.
    pub(super) span: Range<usize>,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    String(String),
    /// `None`: beyond what 64 bits hold.
    Integer(Option<i64>),
    Float(f64),
    Boolean(bool),
    /// As it was written.
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::Datetime(_) => "a time",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A table, its entries in the order of the file.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) place: Place,
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Table {
    /// A table without entries.
    pub(super) fn empty(file: usize) -> Self {
        Self {
            place: Place { file, span: 0..0 },
            entries: Vec::new(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// As the toml crate's own table, for what serde reads.
    pub(super) fn to_toml(&self) -> toml::Table {
        self.entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.node.to_toml()))
            .collect()
    }
}

impl Node {
    pub(super) fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::String(text) | Value::Datetime(text) => toml::Value::String(text.clone()),
            Value::Integer(number) => toml::Value::Integer(number.unwrap_or(i64::MAX)),
            Value::Float(number) => toml::Value::Float(*number),
            Value::Boolean(yes) => toml::Value::Boolean(*yes),
            Value::Array(nodes) => toml::Value::Array(nodes.iter().map(Self::to_toml).collect()),
            Value::Table(table) => toml::Value::Table(table.to_toml()),
        }
    }
}

/// A syntax error: where, and toml's words, which never quote the file.
pub(super) struct SyntaxError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// The file's tree, as far as it can be told, and its syntax errors.
pub(super) fn parse(file: usize, text: &str) -> (Table, Vec<SyntaxError>) {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let errors = errors
        .iter()
        .map(|error| SyntaxError {
            span: error.span().unwrap_or(text.len()..text.len()),
            message: error.message().to_owned(),
        })
        .collect();
    (table(file, tree.span(), tree.get_ref()), errors)
}

fn table(file: usize, span: Range<usize>, from: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = from
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_place: Place {
                file,
                span: key.span(),
            },
            node: node(file, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place.span.start);
    Table {
        place: Place { file, span },
        entries,
    }
}

fn node(file: usize, from: &Spanned<DeValue<'_>>) -> Node {
    let value = match from.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Boolean(*yes),
        DeValue::Datetime(time) => Value::Datetime(time.to_string()),
        DeValue::Array(values) => Value::Array(values.iter().map(|v| node(file, v)).collect()),
        DeValue::Table(inner) => Value::Table(table(file, from.span(), inner)),
    };
    Node {
        place: Place {
            file,
            span: from.span(),
        },
        value,
    }
}
