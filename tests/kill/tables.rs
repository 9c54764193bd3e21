//! A destination's tables as seen from outside, whatever kind it is.

use std::collections::BTreeMap;

use crate::postgres_server::Sql;
use crate::truth::{Sums, TransactionKey, VolumeKey};
use crate::{postgres, sqlite};

pub(crate) trait Tables {
    /// A hand in the tables.
    fn run(&self, sql: &str);

    /// The one column of a query, as texts in their order.
    fn column(&self, sql: &str) -> Vec<String>;

    fn transactions(&self) -> BTreeMap<TransactionKey, String>;

    fn volumes(&self) -> BTreeMap<VolumeKey, Sums>;
}

impl Tables for sqlite::Database {
    fn run(&self, sql: &str) {
        self.open().execute_batch(sql).unwrap();
    }

    fn column(&self, sql: &str) -> Vec<String> {
        let connection = self.open();
        let mut query = connection.prepare(sql).unwrap();
        let rows = query.query_map([], |row| {
            row.get_ref(0)?
                .as_str()
                .map(str::to_owned)
                .map_err(Into::into)
        });
        let mut texts: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
        texts.sort();
        texts
    }

    fn transactions(&self) -> BTreeMap<TransactionKey, String> {
        sqlite::transactions(&self.open())
    }

    fn volumes(&self) -> BTreeMap<VolumeKey, Sums> {
        sqlite::volumes(&self.open())
    }
}

impl Tables for Sql {
    fn run(&self, sql: &str) {
        Sql::run(self, sql);
    }

    fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.rows(sql).into_iter().flatten();
        let mut texts: Vec<String> = rows.filter_map(|(_, text)| text).collect();
        texts.sort();
        texts
    }

    fn transactions(&self) -> BTreeMap<TransactionKey, String> {
        postgres::transactions(self)
    }

    fn volumes(&self) -> BTreeMap<VolumeKey, Sums> {
        postgres::volumes(self)
    }
}
