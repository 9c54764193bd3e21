//! `docs/tables.md` against the real tables.

use thrio_edge::destination::Destination as _;

use crate::SERVER;
use crate::destination_suite::document::{Column, Schema, assert_described, queries};
use crate::destination_suite::records::source;
use crate::destination_suite::writer;
use crate::own::clock;
use crate::place::Database;

fn schema(database: &Database) -> Schema {
    let columns = database.admin.rows(
        "SELECT c.table_name, c.column_name, c.data_type, c.is_nullable, t.table_type
         FROM information_schema.columns AS c JOIN information_schema.tables AS t
           USING (table_schema, table_name)
         WHERE table_schema = 'public'",
    );
    let mut schema = Schema::new();
    for row in columns {
        let cells: Vec<String> = row
            .into_iter()
            .map(|(_, cell)| cell.expect("never NULL"))
            .collect();
        let [table, name, kind, nullable, table_type] = cells.try_into().expect("five cells");
        let kind = kind.replace("timestamp with time zone", "timestamptz");
        let column = Column {
            kind: Some(kind),
            may_be_null: (table_type == "BASE TABLE").then_some(nullable == "YES"),
        };
        schema.entry(table).or_default().insert(name, column);
    }
    schema
}

#[test]
fn every_table_view_and_column_is_described() {
    let database = Database::new(&SERVER);
    let mut to = database.open(clock());
    to.open(&writer("box-1", 1, &[source()])).expect("opened");
    assert_described(&schema(&database), "PostgreSQL");
    for query in queries("sql postgresql") {
        database.admin.run(&format!("EXPLAIN {query}"));
    }
}
