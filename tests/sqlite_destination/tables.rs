//! Looking at the tables, and at what the document says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;

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
