//! SQLite in the suite: it passes it, and says what the others must end in.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;
use thrio_edge::clock::Clock;
use thrio_edge::destination::Destination;
use thrio_edge::destination::sqlite::{SqliteDestination, SqliteOptions};

use super::{Cells, Kind, Place};

pub(crate) struct Sqlite;

impl Kind for Sqlite {
    fn place(&self) -> Box<dyn Place> {
        let folder = tempfile::tempdir().expect("a folder");
        Box::new(SqlitePlace { folder })
    }
}

struct SqlitePlace {
    folder: tempfile::TempDir,
}

impl SqlitePlace {
    fn path(&self) -> PathBuf {
        self.folder.path().join("wfm.db")
    }
}

impl Place for SqlitePlace {
    fn destination(&self, clock: Arc<dyn Clock>) -> Box<dyn Destination> {
        let options = SqliteOptions {
            path: self.path(),
            ..SqliteOptions::default()
        };
        Box::new(SqliteDestination::new(options, clock))
    }

    fn has_tables(&self) -> bool {
        self.path().exists()
    }

    fn rows(&self, table: &str, condition: &str) -> Vec<Cells> {
        let connection = Connection::open(self.path()).expect("opened");
        let sql = format!("SELECT * FROM {table} WHERE {condition}");
        let mut statement = connection.prepare(&sql).expect("prepared");
        let names: Vec<String> = statement.column_names().map(ToString::to_string).collect();
        let rows = statement
            .query_map([], |row| {
                let cells = names.iter().enumerate();
                cells
                    .map(|(n, name)| Ok((name.clone(), cell(name, row.get(n)?))))
                    .collect::<rusqlite::Result<Cells>>()
            })
            .expect("queried");
        rows.map(|row| row.expect("read")).collect()
    }
}

fn cell(column: &str, value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        // The one moment that is kept in seconds.
        Value::Integer(n) if column == "interval_start" => Some((n * 1_000).to_string()),
        Value::Integer(n) => Some(n.to_string()),
        Value::Text(text) => Some(text),
        other => panic!("{column}: {other:?}"),
    }
}
