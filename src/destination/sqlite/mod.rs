//! The neutral tables in a SQLite file: the embedded default. `docs/tables.md` describes them.
//!
//! - Rows and `wfm_delivery` are written in one transaction, synced before it is acknowledged.
//! - A write counts only if its (`claim_no`, `record_seq`) is newer than the row's, so lanes,
//!   replays and duplicates may come in any order.
//! - `applied_no` is taken inside the transaction, which is the file's only writer: its order is
//!   the order of commits.
//! - A file of a newer program is left as it is.

mod claim;
mod connection;
mod error;
mod holdings;
mod options;
mod receipt;
mod roster;
mod schema;
mod write;

use std::sync::Arc;

use rusqlite::TransactionBehavior;

use self::connection::Session;
use self::error::{at_path, not_open};
use super::rows::Rows;
use super::{Destination, Receipt, SendError, Writer};
use crate::clock::Clock;
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::SourceName;
use crate::domain::reconcile::{Day, Holdings};
use crate::domain::record::{AgentChange, QueueChange};
use crate::domain::timestamp::WallTime;

pub use options::SqliteOptions;
pub use schema::SCHEMA_VERSION;

/// A SQLite file that holds the neutral tables.
pub struct SqliteDestination {
    options: SqliteOptions,
    clock: Arc<dyn Clock>,
    session: Option<Session>,
}

impl std::fmt::Debug for SqliteDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDestination")
            .field("options", &self.options)
            .field("open", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl SqliteDestination {
    /// A destination that opens its file with the first [`Destination::open`].
    pub fn new(options: SqliteOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            clock,
            session: None,
        }
    }

    /// Bounds the file, so that a test can fill the disk without filling the disk.
    ///
    /// # Panics
    /// Where the file is not open.
    #[doc(hidden)]
    pub fn limit_pages(&mut self, pages: i64) {
        let session = self.session.as_mut().expect("open");
        let connection = session.take_connection();
        let limited =
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
        session.give_back(connection, true);
        limited.expect("a pragma of every SQLite");
    }

    fn connect(&mut self, writer: &Writer) -> Result<(), SendError> {
        // The former connection is closed first: its locks must not stand in the new one's way.
        self.session = None;
        let now = self.clock.now().wall;
        self.session = Some(Session::open(&self.options, writer, now)?);
        Ok(())
    }

    /// Applies a batch, over rows that its records wrote before where it is sent `again`.
    fn apply(&mut self, batch: &Batch, again: bool) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        let rows = Rows::of(batch);
        let unstorable = rows.unstorable();
        if !unstorable.is_empty() {
            return Err(SendError::Refused {
                message: "figures past 64 bits".to_owned(),
                records: unstorable,
            });
        }
        self.in_transaction(|txn, session| {
            let stamps = session.stamps(txn, rows.sources.iter().copied(), now)?;
            if again {
                holdings::forget(txn, &rows, &stamps)?;
            }
            write::rows(txn, &rows, &stamps, session.seen())?;
            receipt::add(txn, session.writer(), batch.range, now)
        })
    }

    /// Runs `work` in one immediate transaction; commits where it succeeds.
    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>, &mut Session) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        let path = &self.options.path;
        let mut session = self.session.take().ok_or_else(not_open)?;
        session.check_file(path)?;
        let mut connection = session.take_connection();
        let result = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(at_path(path))
            .and_then(|txn| {
                let value = work(&txn, &mut session)?;
                txn.commit().map_err(at_path(path))?;
                Ok(value)
            });
        session.give_back(connection, result.is_ok());
        self.session = Some(session);
        result
    }
}

impl Destination for SqliteDestination {
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError> {
        let now = self.clock.now().wall;
        self.connect(writer)?;
        self.in_transaction(|txn, session| {
            let mut roster_wanted = Vec::new();
            for source in &writer.take_over {
                claim::take_over(txn, writer, source, now)?;
            }
            for source in &writer.sources {
                if session.claim(txn, source, now)?.roster_pending {
                    roster_wanted.push(source.clone());
                }
            }
            Ok(Receipt {
                applied: receipt::read(txn, writer)?,
                roster_wanted,
            })
        })
    }

    fn send(&mut self, batch: &Batch) -> Result<(), SendError> {
        self.apply(batch, false)
    }

    fn resend(&mut self, batch: &Batch) -> Result<(), SendError> {
        self.apply(batch, true)
    }

    fn holdings(&mut self, source: &SourceName, day: Day) -> Result<Option<Holdings>, SendError> {
        let path = &self.options.path;
        let connection = connection::reading(&self.options).map_err(at_path(path))?;
        let held = holdings::read(&connection, source, day).map_err(at_path(path))?;
        Ok(Some(held))
    }

    fn send_current(&mut self, states: &[CurrentState]) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        self.in_transaction(|txn, session| {
            let stamps = session.stamps(txn, states.iter().map(|s| &s.source), now)?;
            write::current_states(txn, states, &stamps)
        })
    }

    fn send_roster(
        &mut self,
        source: &SourceName,
        agents: &[AgentChange],
        queues: &[QueueChange],
    ) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        self.in_transaction(|txn, session| {
            let stamps = session.stamps(txn, [source], now)?;
            roster::send_all(txn, agents, queues, &stamps)?;
            claim::roster_sent(txn, source)
        })
    }

    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError> {
        let now: WallTime = self.clock.now().wall;
        self.in_transaction(|txn, session| {
            write::box_row(txn, beat)?;
            for feed in &beat.feeds {
                session.claim(txn, &feed.source, now)?;
                let imported = write::feed_health(txn, beat, feed)?;
                if let (true, Some(at)) = (imported, feed.last_complete_poll_at) {
                    let stamps = session.stamps(txn, [&feed.source], now)?;
                    roster::seen(txn, &feed.source, at, stamps[&feed.source])?;
                }
            }
            Ok(())
        })
    }

    fn probe(&mut self) -> Result<(), SendError> {
        connection::probe(&self.options)
    }
}
