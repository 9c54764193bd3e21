//! The SQLite file as seen from outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::rig::Observer;
use crate::truth::{Sums, TransactionKey, VolumeKey};

/// Where a writer of a file in WAL mode holds its lock in the file beside it, from its first
/// statement until its transaction is committed and synced: SQLite's walformat, `WAL_WRITE_LOCK`.
const WRITE_LOCK_BYTE: u64 = 120;

/// The file, opened anew for each look.
pub(crate) struct Database(pub(crate) PathBuf);

impl Database {
    pub(crate) fn open(&self) -> Connection {
        Connection::open(&self.0).unwrap()
    }
}

/// Whether somebody is inside a write transaction.
pub(crate) struct WriteLock {
    shm: PathBuf,
}

impl WriteLock {
    pub(crate) fn of(database: &Path) -> Self {
        Self {
            shm: database.with_extension("db-shm"),
        }
    }
}

impl Observer for WriteLock {
    fn open_batch(&self) -> Option<String> {
        let Ok(file) = File::options().read(true).write(true).open(&self.shm) else {
            return None;
        };
        let mut wanted = Flock::from(FlockType::WriteLock);
        wanted.start = WRITE_LOCK_BYTE;
        wanted.length = 1;
        let held = fcntl_getlk(&file, &wanted).unwrap();
        held.map(|_| "the write lock".to_owned())
    }

    /// Opening with its claim, the current states, the first heartbeat.
    fn calls_before_batches(&self) -> usize {
        3
    }
}

pub(crate) fn transactions(database: &Connection) -> BTreeMap<TransactionKey, String> {
    let sql = "SELECT agent_id, started_at, state FROM wfm_agent_state_transaction";
    let mut query = database.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

pub(crate) fn volumes(database: &Connection) -> BTreeMap<VolumeKey, Sums> {
    let sql = "SELECT queue_id, interval_start, COALESCE(entered, -1), COALESCE(abandoned, -1),
                 COALESCE(handle_time_s, -1) FROM wfm_queue_interval";
    let mut query = database.prepare(sql).unwrap();
    let rows = query.query_map([], |row| {
        let sums = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(((row.get(0)?, row.get(1)?), sums))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The applied ranges.
pub(crate) fn receipt(database: &Connection) -> Vec<(u64, u64)> {
    let sql = "SELECT first_seq, last_seq FROM wfm_delivery ORDER BY first_seq";
    let mut query = database.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    rows.unwrap()
        .map(Result::unwrap)
        .map(|(first, last)| (first.unsigned_abs(), last.unsigned_abs()))
        .collect()
}
