//! One open file, and what was learnt about it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction};

use super::super::sql::{Claim, SeenHours, Stamp, Stamps};
use super::super::{SendError, Writer};
use super::claim;
use super::error::at_path;
use super::{SqliteOptions, schema};
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;

/// Every statement of this module, with room to spare.
const STATEMENTS: usize = 64;

pub(super) struct Session {
    connection: Option<Connection>,
    seen: SeenHours,
    writer: Writer,
    /// Claims that this connection holds; a lost one is noticed by the next stamp.
    claims: HashMap<SourceName, i64>,
    /// Taken in the transaction that runs; known only once it is committed.
    fresh: HashMap<SourceName, i64>,
    file: (u64, u64),
}

impl Session {
    pub(super) fn open(
        options: &SqliteOptions,
        writer: &Writer,
        now: WallTime,
    ) -> Result<Self, SendError> {
        let path = &options.path;
        check_folder(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(options.busy_timeout)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            Ok(connection)
        };
        let mut connection = open().map_err(at_path(path))?;
        schema::prepare(&mut connection, options, now)?;
        Ok(Self {
            file: identity(path)?,
            connection: Some(connection),
            writer: writer.clone(),
            seen: SeenHours::default(),
            claims: HashMap::new(),
            fresh: HashMap::new(),
        })
    }

    pub(super) fn seen(&mut self) -> &mut SeenHours {
        &mut self.seen
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// A file that was deleted or replaced under us would take every write and keep none.
    pub(super) fn check_file(&self, path: &Path) -> Result<(), SendError> {
        if identity(path)? == self.file {
            Ok(())
        } else {
            let path = path.display();
            Err(SendError::unreachable(format!(
                "{path} was replaced while it was open"
            )))
        }
    }

    pub(super) fn take_connection(&mut self) -> Connection {
        self.fresh.clear();
        self.connection
            .take()
            .expect("a session that is not in a transaction has its connection")
    }

    pub(super) fn give_back(&mut self, connection: Connection, committed: bool) {
        if committed {
            self.claims.extend(self.fresh.drain());
        } else {
            // Neither was written.
            self.fresh.clear();
            self.seen = SeenHours::default();
        }
        self.connection = Some(connection);
    }

    /// Our claim of the source, taken where that is allowed.
    pub(super) fn claim(
        &mut self,
        txn: &Transaction<'_>,
        source: &SourceName,
        now: WallTime,
    ) -> Result<Claim, SendError> {
        let claim = claim::hold_or_take(txn, &self.writer, source, now)?;
        self.fresh.insert(source.clone(), claim.claim_no);
        Ok(claim)
    }

    /// The claim and the next `applied_no` of each source.
    pub(super) fn stamps<'a>(
        &mut self,
        txn: &Transaction<'_>,
        sources: impl IntoIterator<Item = &'a SourceName>,
        now: WallTime,
    ) -> Result<Stamps, SendError> {
        let mut stamps = Stamps::new();
        for source in sources {
            if stamps.contains_key(source) {
                continue;
            }
            let claim_no = match self.claims.get(source).or(self.fresh.get(source)) {
                Some(claim_no) => *claim_no,
                None => self.claim(txn, source, now)?.claim_no,
            };
            let applied_no = claim::next_applied_no(txn, &self.writer, source, claim_no, now)?;
            let stamp = Stamp {
                claim_no,
                applied_no,
            };
            stamps.insert(source.clone(), stamp);
        }
        Ok(stamps)
    }
}

/// A connection that only reads. What SQLite keeps beside the file meanwhile is gone with it, where
/// nobody else has the file open: a connection that may not write at all would leave it there.
pub(super) fn reading(options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let access = if beside(&options.path, "-wal").exists() {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Whether the file could be opened and read; makes nothing.
pub(super) fn probe(options: &SqliteOptions) -> Result<(), SendError> {
    let path = &options.path;
    check_folder(path)?;
    if !path.exists() {
        return Ok(());
    }
    let read = || -> rusqlite::Result<i64> {
        reading(options)?.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
    };
    read().map(drop).map_err(at_path(path))
}

fn check_folder(path: &Path) -> Result<(), SendError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if folder.is_dir() {
        return Ok(());
    }
    let folder = folder.display();
    Err(SendError::held(
        format!("the folder {folder} of the database is not there"),
        "make it, and let the program's user write there",
    ))
}

fn identity(path: &Path) -> Result<(u64, u64), SendError> {
    match std::fs::metadata(path) {
        Ok(data) => Ok((data.dev(), data.ino())),
        Err(error) => Err(SendError::unreachable(format!(
            "{}: {error}",
            path.display()
        ))),
    }
}
