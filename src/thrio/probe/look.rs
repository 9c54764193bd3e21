//! A body looked at without any setting: where rows seem to be, and which columns they have.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::domain::timestamp::WallTime;
use crate::thrio::api::{Names, TimeFormat, time};
use crate::thrio::wire::normalise;

/// How deep envelopes and nested fields are looked into.
const DEPTH_MAX: usize = 4;
/// How many different values of a column are kept to judge it by.
const DISTINCT_MAX: usize = 20_000;
/// Ways to write a time that the row parser does not read by itself.
const PATTERNS: [&str; 7] = [
    "%-m/%-d/%Y %-I:%M:%S %p",
    "%-m/%-d/%Y %-I:%M %p",
    "%-m/%-d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%a, %d %b %Y %H:%M:%S GMT",
];

/// Rows as they seem to lie in a body.
pub(super) struct Look<'a> {
    /// JSON pointer to what holds them, empty = the body itself.
    pub(super) pointer: String,
    pub(super) is_map: bool,
    pub(super) rows: Vec<&'a Map<String, Value>>,
    pub(super) columns: Vec<Column>,
}

/// One name in the rows.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// The name, or a JSON pointer where it is nested.
    pub(super) name: String,
    pub(super) rows: u64,
    flags: u64,
    distinct: HashSet<String>,
    /// The values as text, one for each row that has one.
    pub(super) values: Vec<String>,
}

impl Column {
    pub(super) fn is_number(&self) -> bool {
        let is_numeric = |text: &String| text.trim().parse::<f64>().is_ok();
        self.flags == 0 && self.values.iter().all(is_numeric)
    }

    pub(super) fn is_time(&self) -> bool {
        self.times() != Times::Unreadable
    }

    pub(super) fn distinct(&self) -> usize {
        self.distinct.len()
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.flags == self.rows {
            "flag"
        } else if self.is_time() {
            "time"
        } else if self.is_number() {
            "number"
        } else {
            "text"
        }
    }

    /// How times are written here.
    pub(super) fn times(&self) -> Times {
        let read_all = |read: &dyn Fn(&str) -> Option<WallTime>| {
            !self.values.is_empty()
                && self
                    .values
                    .iter()
                    .all(|text| read(text).is_some_and(is_plausible))
        };
        if read_all(&time::read_text) {
            return Times::Plain;
        }
        PATTERNS
            .iter()
            .map(|pattern| TimeFormat::Pattern((*pattern).to_owned()))
            .find(|format| read_all(&|text| format.read(text)))
            .map_or(Times::Unreadable, Times::Pattern)
    }

    /// What a person calls the way in which times are written here.
    pub(super) fn time_words(&self) -> &'static str {
        let Some(first) = self.values.first() else {
            return "no time";
        };
        match first.trim().parse::<i64>() {
            Ok(number) if number >= 100_000_000_000 => "Unix milliseconds",
            Ok(_) => "Unix seconds",
            Err(_) if first.contains('T') => "ISO 8601",
            Err(_) => "text, read as UTC",
        }
    }
}

/// How a column writes times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Times {
    /// Not at all, as far as anybody can see.
    Unreadable,
    /// So that rows are read without a setting.
    Plain,
    /// By this pattern.
    Pattern(TimeFormat),
}

impl Times {
    /// The setting that reads them; what was set stays where nothing better was found.
    pub(super) fn pattern(self, set: Option<TimeFormat>) -> Option<TimeFormat> {
        match self {
            Self::Unreadable => set,
            Self::Plain => None,
            Self::Pattern(format) => Some(format),
        }
    }
}

/// Between 2000 and 2100: smaller numbers are counts.
fn is_plausible(at: WallTime) -> bool {
    (946_684_800..4_102_444_800).contains(&at.s())
}

/// The largest list of objects in the body; the shallower of two equal ones.
pub(super) fn look(body: &Value) -> Option<Look<'_>> {
    let mut best: Option<(usize, Look<'_>)> = None;
    search(body, "", 0, &mut best);
    let (_, mut look) = best?;
    look.columns = columns(&look.rows);
    Some(look)
}

fn search<'a>(value: &'a Value, pointer: &str, depth: usize, best: &mut Option<(usize, Look<'a>)>) {
    if depth > DEPTH_MAX {
        return;
    }
    let mut offer = |pointer: &str, is_map: bool, rows: Vec<&'a Map<String, Value>>| {
        if best.as_ref().is_none_or(|(len, _)| rows.len() > *len) {
            let look = Look {
                pointer: pointer.to_owned(),
                is_map,
                rows,
                columns: Vec::new(),
            };
            *best = Some((look.rows.len(), look));
        }
    };
    match value {
        Value::Array(items) => {
            let rows: Vec<_> = items.iter().filter_map(Value::as_object).collect();
            if !rows.is_empty() {
                offer(pointer, false, rows);
            }
        }
        Value::Object(members) => {
            let rows: Vec<_> = members.values().filter_map(Value::as_object).collect();
            if rows.len() >= 2 && rows.len() == members.len() && are_alike(&rows) {
                offer(pointer, true, rows);
                return;
            }
            for (key, member) in members {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                search(member, &format!("{pointer}/{escaped}"), depth + 1, best);
            }
        }
        _ => {}
    }
}

/// Rows of one kind share names; an envelope's members do not.
fn are_alike(rows: &[&Map<String, Value>]) -> bool {
    let first = rows[0];
    rows[1..].iter().take(10).all(|row| {
        let shared = row.keys().filter(|key| first.contains_key(*key)).count();
        shared * 2 >= first.len().max(1)
    })
}

fn columns(rows: &[&Map<String, Value>]) -> Vec<Column> {
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    for row in rows {
        for (key, value) in *row {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            collect(value, key, &pointer, 0, &mut columns);
        }
    }
    columns.into_values().collect()
}

fn collect(
    value: &Value,
    name: &str,
    pointer: &str,
    depth: usize,
    columns: &mut BTreeMap<String, Column>,
) {
    if let Value::Object(members) = value {
        if depth < DEPTH_MAX {
            for (key, member) in members {
                let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                collect(member, &below, &below, depth + 1, columns);
            }
        }
        return;
    }
    let column = columns.entry(name.to_owned()).or_insert_with(|| Column {
        name: name.to_owned(),
        rows: 0,
        flags: 0,
        distinct: HashSet::new(),
        values: Vec::new(),
    });
    let text = match value {
        Value::String(text) if !text.trim().is_empty() => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => {
            column.flags += 1;
            flag.to_string()
        }
        _ => return,
    };
    column.rows += 1;
    if column.distinct.len() < DISTINCT_MAX {
        column.distinct.insert(text.clone());
    }
    column.values.push(text);
}

/// The column that one of these names means: the best name that some row says.
pub(super) fn found<'a>(columns: &'a [Column], names: &Names) -> Option<&'a Column> {
    names.iter().find_map(|name| {
        columns.iter().find(|column| {
            column.rows > 0
                && if name.starts_with('/') {
                    column.name == name || name.strip_prefix('/') == Some(column.name.as_str())
                } else {
                    normalise(&column.name) == normalise(name)
                }
        })
    })
}
