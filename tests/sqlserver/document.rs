//! `docs/tables.md` against the tables: of the statements that make them, and of a real server.

use thrio_edge::destination::Destination as _;
use thrio_edge::destination::sqlserver::MIGRATIONS;

use crate::destination_suite::document::{Column, Schema, assert_described, described, queries};
use crate::destination_suite::records::source;
use crate::destination_suite::writer;
use crate::own::clock;
use crate::place::Database;
use crate::{is_named, server};

/// The tables that the statements make: each column stands on a line of its own.
fn stated() -> Schema {
    let mut schema = Schema::new();
    let mut table = None;
    for line in MIGRATIONS
        .iter()
        .flat_map(|migration| migration.sql.lines())
    {
        if let Some(rest) = line.strip_prefix("CREATE TABLE {t}") {
            table = rest
                .split_whitespace()
                .next()
                .map(|name| format!("wfm_{name}"));
        } else if line.starts_with(')') {
            table = None;
        } else if let (Some(table), false) = (&table, line.contains("PRIMARY KEY")) {
            let mut words = line.split_whitespace();
            let (name, kind) = (words.next(), words.next());
            let (name, kind) = name.zip(kind).expect("a column and its type");
            let column = Column {
                kind: Some(kind.split('(').next().expect("a type").to_owned()),
                may_be_null: Some(!line.contains("NOT NULL")),
            };
            let columns = schema.entry(table.clone()).or_default();
            columns.insert(name.to_owned(), column);
        }
    }
    schema
}

#[test]
fn every_column_of_the_statements_is_described() {
    let mut stated = stated();
    assert_eq!(stated.len(), 13, "{:?}", stated.keys());
    // What only a server can show: the views, and the table of versions.
    for (name, columns) in described("SQL Server") {
        if name.ends_with("_span") || name.ends_with("_live") || name == "wfm_schema" {
            stated.insert(name, columns);
        }
    }
    assert_described(&stated, "SQL Server");
}

fn schema(database: &Database) -> Schema {
    let columns = server().admin().rows(&format!(
        "SELECT c.table_name AS name, c.column_name AS named, c.data_type AS kind,
           c.is_nullable AS nullable, t.table_type AS what
         FROM information_schema.columns AS c JOIN information_schema.tables AS t
           ON t.table_schema = c.table_schema AND t.table_name = c.table_name
         WHERE c.table_schema = '{}'",
        database.options.schema
    ));
    let mut schema = Schema::new();
    for row in columns {
        let cell = |name: &str| row[name].clone().expect("never NULL");
        let column = Column {
            kind: Some(cell("kind")),
            may_be_null: (cell("what") == "BASE TABLE").then(|| cell("nullable") == "YES"),
        };
        let table = schema.entry(cell("name")).or_default();
        table.insert(cell("named"), column);
    }
    schema
}

#[test]
fn every_table_view_and_column_of_a_server_is_described_and_the_queries_run() {
    if !is_named() {
        return;
    }
    let database = Database::new();
    let mut to = database.open(clock());
    to.open(&writer("box-1", 1, &[source()])).expect("opened");
    assert_described(&schema(&database), "SQL Server");
    for query in queries("sql sqlserver") {
        let here = " {s}.wfm_";
        database.run(&query.replace(" wfm_", here));
    }
}
