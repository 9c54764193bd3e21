//! PostgreSQL in the suite: each place is a database of its own.

use std::sync::Arc;

use secrecy::SecretString;
use thrio_edge::clock::Clock;
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions};
use thrio_edge::destination::{Destination, Secret};

use crate::SERVER;
use crate::destination_suite::{Cells, Kind, Place};
use crate::postgres_server::{PASSWORD, PostgresServer, Sql};

pub(crate) struct Postgres;

impl Kind for Postgres {
    fn place(&self) -> Box<dyn Place> {
        Box::new(Database::new(&SERVER))
    }
}

/// A database of its own, and the superuser's view of it.
pub(crate) struct Database {
    pub(crate) options: PostgresOptions,
    pub(crate) admin: Sql,
}

impl Database {
    pub(crate) fn new(server: &PostgresServer) -> Self {
        let name = server.new_database();
        Self {
            options: PostgresOptions::new(server.url(&name).parse().expect("a URL")),
            admin: server.admin(&name),
        }
    }

    pub(crate) fn open(&self, clock: Arc<dyn Clock>) -> PostgresDestination {
        PostgresDestination::new(self.options.clone(), Some(password(PASSWORD)), clock)
    }
}

/// A secret that is always this text.
pub(crate) fn password(text: &'static str) -> Secret {
    Secret::new(Arc::new(move || Ok(SecretString::from(text))))
}

impl Place for Database {
    fn destination(&self, clock: Arc<dyn Clock>) -> Box<dyn Destination> {
        Box::new(self.open(clock))
    }

    fn has_tables(&self) -> bool {
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        self.admin.one(tables) != "0"
    }

    fn rows(&self, table: &str, condition: &str) -> Vec<Cells> {
        let columns = format!(
            "SELECT column_name, data_type FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = '{table}'"
        );
        let columns: Vec<String> = self
            .admin
            .rows(&columns)
            .iter()
            .map(|row| plain(row))
            .collect();
        assert!(!columns.is_empty(), "no table {table}");
        let query = format!(
            "SELECT {} FROM {table} WHERE {condition}",
            columns.join(", ")
        );
        let rows = self.admin.rows(&query);
        rows.into_iter()
            .map(|row| row.into_iter().collect())
            .collect()
    }
}

/// Moments as milliseconds, truth values as 0 and 1.
fn plain(row: &[(String, Option<String>)]) -> String {
    let [(_, Some(name)), (_, Some(kind))] = row else {
        panic!("{row:?}");
    };
    match kind.as_str() {
        "timestamp with time zone" => {
            format!("(extract(epoch FROM {name}) * 1000)::bigint AS {name}")
        }
        "boolean" => format!("{name}::int AS {name}"),
        _ => name.clone(),
    }
}
