//! Looking at the tables, and at what the document says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

/// The tables that hold facts and the columns of their keys, as `docs/tables.md` names them.
const FACTS: [(&str, &[&str]); 8] = [
    ("wfm_queue", &["source", "queue_id", "valid_from"]),
    ("wfm_agent", &["source", "agent_id", "valid_from"]),
    (
        "wfm_queue_interval",
        &["source", "queue_id", "interval_start"],
    ),
    (
        "wfm_queue_interval_revision",
        &[
            "source",
            "queue_id",
            "interval_start",
            "claim_no",
            "revision",
        ],
    ),
    (
        "wfm_agent_state_transaction",
        &["source", "agent_id", "started_at"],
    ),
    ("wfm_agent_state_current", &["source", "agent_id"]),
    ("wfm_state_code", &["source", "state"]),
    (
        "wfm_interval_coverage",
        &["source", "feed", "interval_start"],
    ),
];

/// Every fact, without `applied_no`, which tells the order of arrival and nothing else.
pub(crate) fn facts(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).expect("opened");
    let mut lines = Vec::new();
    for (table, _) in FACTS {
        for row in read(&connection, &format!("SELECT * FROM {table}")) {
            let columns = row.iter().filter(|(name, _)| *name != "applied_no");
            let cells: Vec<_> = columns
                .map(|(name, cell)| format!("{name}={cell:?}"))
                .collect();
            lines.push(format!("{table} {}", cells.join(" ")));
        }
    }
    lines.sort();
    lines
}

type Row = BTreeMap<String, Value>;

fn read(connection: &Connection, sql: &str) -> Vec<Row> {
    let mut statement = connection.prepare(sql).expect("prepared");
    let names: Vec<String> = statement.column_names().map(ToString::to_string).collect();
    let rows = statement
        .query_map([], |row| {
            names
                .iter()
                .enumerate()
                .map(|(n, name)| Ok((name.clone(), row.get(n)?)))
                .collect()
        })
        .expect("queried");
    rows.map(|row| row.expect("read")).collect()
}

/// What a reader knows that only ever asks for `applied_no` past its last.
#[derive(Default)]
pub(crate) struct Copy {
    seen: i64,
    rows: BTreeMap<String, String>,
}

impl Copy {
    /// A reader that has just come and reads everything.
    pub(crate) fn whole(path: &Path) -> Self {
        let mut copy = Self::default();
        copy.catch_up(path);
        copy
    }

    pub(crate) fn catch_up(&mut self, path: &Path) {
        let connection = Connection::open(path).expect("opened");
        let mut newest = self.seen;
        for (table, key) in FACTS {
            let sql = format!("SELECT * FROM {table} WHERE applied_no > {}", self.seen);
            for row in read(&connection, &sql) {
                if let Value::Integer(applied_no) = row["applied_no"] {
                    newest = newest.max(applied_no);
                }
                let key: Vec<_> = key.iter().map(|name| format!("{:?}", row[*name])).collect();
                self.rows
                    .insert(format!("{table} {key:?}"), format!("{row:?}"));
            }
        }
        self.seen = newest;
    }

    pub(crate) fn rows(&self) -> &BTreeMap<String, String> {
        &self.rows
    }
}

/// Every table and view with its columns, as the file has them.
pub(crate) fn columns(path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let connection = Connection::open(path).expect("opened");
    let tables = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')";
    let names = read(&connection, tables)
        .into_iter()
        .map(|row| text(&row["name"]));
    names
        .map(|name| {
            let sql = format!("SELECT name FROM pragma_table_info('{name}')");
            let columns = read(&connection, &sql)
                .iter()
                .map(|row| text(&row["name"]))
                .collect();
            (name, columns)
        })
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    }
}

/// Every table and column that the document describes: a heading per table, a row per column.
pub(crate) fn described(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = None;
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading.split('`').nth(1).map(ToOwned::to_owned);
            table = name.inspect(|name| {
                tables.insert(name.clone(), BTreeSet::new());
            });
        } else if let (Some(table), true) = (&table, line.starts_with("| `")) {
            let cell = line.split('|').nth(1).expect("a first cell");
            let columns = cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned);
            tables.get_mut(table).expect("begun").extend(columns);
        }
    }
    tables
}

/// The SQL blocks of the document, one query each.
pub(crate) fn example_queries(document: &str) -> Vec<String> {
    let blocks = document.split("```sql\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().expect("an end").trim().to_owned())
        .collect()
}
