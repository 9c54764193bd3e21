//! Making the tables, and bringing older ones up to date. A migration only ever adds.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::super::SendError;
use super::SqliteOptions;
use super::error::at_path;
use crate::domain::timestamp::WallTime;

/// What brings a file from one version to the next: number n makes version n + 1.
const MIGRATIONS: [&str; 1] = [include_str!("schema_1.sql")];

/// The version of the tables that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

const _: () = assert!(SCHEMA_VERSION as usize == MIGRATIONS.len());

/// Checks the version, sets the file up for durable writing, and makes what is missing.
pub(super) fn prepare(
    connection: &mut Connection,
    options: &SqliteOptions,
    now: WallTime,
) -> Result<(), SendError> {
    let error = at_path(&options.path);
    let found = version(connection).map_err(&error)?;
    check_version(found, options)?;
    // After the check: a file of a newer program is not even switched to WAL.
    set_up(connection).map_err(&error)?;
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let txn = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&error)?;
    // Another process may have done it since.
    let found = version(&txn).map_err(&error)?;
    check_version(found, options)?;
    migrate(&txn, found, now).map_err(&error)?;
    txn.commit().map_err(&error)
}

fn check_version(found: u32, options: &SqliteOptions) -> Result<(), SendError> {
    let path = options.path.display();
    if found > SCHEMA_VERSION {
        return Err(SendError::held(
            format!(
                "{path} has tables of version {found}, this program knows up to {SCHEMA_VERSION}"
            ),
            "install the newer program; the file was not touched",
        ));
    }
    if found < SCHEMA_VERSION && !options.manage_schema {
        return Err(SendError::held(
            format!(
                "{path} has tables of version {found}, {SCHEMA_VERSION} is needed, \
                 and manage_schema is off"
            ),
            "make the tables of docs/tables.md, or set manage_schema = true",
        ));
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    let there = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'wfm_schema'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    if there.is_none() {
        return Ok(0);
    }
    connection.query_row(
        "SELECT COALESCE(MAX(version), 0) FROM wfm_schema",
        [],
        |row| row.get(0),
    )
}

/// Pages of a new file. A batch of a few changes touches a few rows each of many pages, and each
/// page that was touched is written whole: with 4 KiB, a day of 500 agents wrote three times as much.
const PAGE_BYTES: u32 = 1024;
/// How far the log grows before its pages go into the file: a page that is written by a hundred
/// batches in a row then goes there once.
const LOG_BYTES: i64 = 16 << 20;

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // A file that has tables keeps its pages.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // Answers the mode that holds: a file that cannot do WAL (a network share) stays as it is,
    // which is slower and as safe.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -2048;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.pragma_update(None, "journal_size_limit", 2 * LOG_BYTES)?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / page.max(1))
}

fn migrate(txn: &Connection, found: u32, now: WallTime) -> rusqlite::Result<()> {
    txn.execute_batch(
        "CREATE TABLE IF NOT EXISTS wfm_schema (
           version INTEGER NOT NULL PRIMARY KEY,
           applied_at INTEGER NOT NULL
         ) STRICT;",
    )?;
    for (version, sql) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        txn.execute_batch(sql)?;
        txn.execute(
            "INSERT INTO wfm_schema (version, applied_at) VALUES (?, ?)",
            params![version, now.ms()],
        )?;
    }
    Ok(())
}
