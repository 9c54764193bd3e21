//! The PostgreSQL tables as seen from outside.

use std::collections::BTreeMap;

use crate::postgres_server::Sql;
use crate::rig::Observer;
use crate::truth::{Sums, TransactionKey, VolumeKey};

/// The server's own view of the process's connections.
pub(crate) struct Activity(pub(crate) Sql);

impl Observer for Activity {
    /// A connection is inside a transaction: from BEGIN until COMMIT is answered.
    fn open_batch(&self) -> Option<String> {
        let inside = "SELECT xact_start FROM pg_stat_activity
          WHERE application_name = 'thrio-edge' AND datname = current_database()
            AND xact_start IS NOT NULL";
        let rows = self.0.rows(inside);
        rows.into_iter().flatten().next()?.1
    }

    /// The tables' check, opening with its claim, the current states, the first heartbeat.
    fn calls_before_batches(&self) -> usize {
        4
    }
}

pub(crate) fn transactions(database: &Sql) -> BTreeMap<TransactionKey, String> {
    let sql = "SELECT agent_id, (extract(epoch FROM started_at) * 1000)::bigint, state
      FROM wfm_agent_state_transaction";
    let rows = texts(database, sql);
    rows.map(|[agent, at, state]| ((agent, number(&at)), state))
        .collect()
}

pub(crate) fn volumes(database: &Sql) -> BTreeMap<VolumeKey, Sums> {
    let sql = "SELECT queue_id, extract(epoch FROM interval_start)::bigint,
        COALESCE(entered, -1), COALESCE(abandoned, -1), COALESCE(handle_time_s, -1)
      FROM wfm_queue_interval";
    let rows = texts(database, sql);
    rows.map(|[queue, start, entered, abandoned, handle]| {
        let sums = (number(&entered), number(&abandoned), number(&handle));
        ((queue, number(&start)), sums)
    })
    .collect()
}

/// The applied ranges.
pub(crate) fn receipt(database: &Sql) -> Vec<(u64, u64)> {
    let rows = texts(
        database,
        "SELECT first_seq, last_seq FROM wfm_delivery ORDER BY first_seq",
    );
    let seq = |text: &str| number(text).unsigned_abs();
    rows.map(|[first, last]| (seq(&first), seq(&last)))
        .collect()
}

fn texts<const N: usize>(database: &Sql, sql: &str) -> impl Iterator<Item = [String; N]> {
    database.rows(sql).into_iter().map(|row| {
        let cells: Vec<String> = row
            .into_iter()
            .map(|(_, cell)| cell.unwrap_or_default())
            .collect();
        cells.try_into().expect("as many columns as were asked for")
    })
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}
