//! The neutral tables in a SQL Server database (2012 or later), where a WFM product reads them.
//! `docs/tables.md` describes them.
//!
//! - Rows and `wfm_delivery` are written in one transaction of at most 2,000 records; a site's own
//!   procedure (`after_apply`) runs inside it.
//! - A write counts only if its (`claim_no`, `record_seq`) is newer than the row's, so lanes,
//!   replays and duplicates may come in any order.
//! - `applied_no` is taken from the source's row, whose lock is held to the end of the
//!   transaction: its order is the order of commits.
//! - Every session has `XACT_ABORT` on: an error takes the whole transaction back.
//! - A connection that an error broke is dropped, and the next call opens another one.

mod claim;
mod connection;
mod error;
mod heartbeat;
mod holdings;
mod options;
mod receipt;
mod roster;
mod schema;
#[cfg(test)]
mod shape;
mod stage;
mod value;
mod write;

use std::sync::Arc;

use tokio::runtime::Runtime;

use self::connection::Session;
use super::rows::Rows;
use super::sql::{self, claim_all, kept_runtime, not_open, transact, within};
use super::{Destination, Receipt, Secret, SendError, Writer};
use crate::clock::Clock;
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{SeqRange, SourceName};
use crate::domain::reconcile::{Day, Holdings};
use crate::domain::record::{AgentChange, QueueChange, Record};
use crate::domain::timestamp::WallTime;

pub use super::sql::{Migration, ProcedureName, SqlName};
pub use options::{Protection, SqlServerOptions, SqlServerUrl};
pub use schema::MIGRATIONS;

/// The most records of one transaction. A statement that locks 5,000 rows locks the whole table
/// instead, and the product's readers with it; a record locks its row and its index's.
pub const RECORDS_MAX: usize = 2_000;

/// A SQL Server database that holds the neutral tables.
pub struct SqlServerDestination {
    options: SqlServerOptions,
    password: Option<Secret>,
    clock: Arc<dyn Clock>,
    migrations: &'static [Migration],
    runtime: Option<Arc<Runtime>>,
    session: Option<Session>,
    /// The range that met a key which was there already; at the second time it is the content.
    met_duplicate: Option<SeqRange>,
}

impl std::fmt::Debug for SqlServerDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlServerDestination")
            .field("options", &self.options)
            .field("open", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl SqlServerDestination {
    /// A destination that connects with the first [`Destination::open`].
    pub fn new(options: SqlServerOptions, password: Option<Secret>, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            password,
            clock,
            migrations: MIGRATIONS,
            runtime: None,
            session: None,
            met_duplicate: None,
        }
    }

    /// Makes it the program of another version, so that a test can let two versions share tables.
    #[doc(hidden)]
    #[must_use]
    pub fn with_migrations(mut self, migrations: &'static [Migration]) -> Self {
        self.migrations = migrations;
        self
    }

    fn connect(&mut self, writer: &Writer, now: WallTime) -> Result<(), SendError> {
        // The former connection is closed first: its locks must not stand in the new one's way.
        self.session = None;
        let runtime = kept_runtime(&mut self.runtime)?;
        let (options, migrations) = (&self.options, self.migrations);
        let password = self.password.as_ref();
        let opening = async {
            let mut client = connection::connect(options, password).await?;
            let preparing = Box::pin(async {
                schema::prepare(&mut client, options, migrations, now).await?;
                Session::prepare(client, options, writer).await
            });
            within(options.limit(), preparing).await?
        };
        self.session = Some(runtime.block_on(opening)?);
        Ok(())
    }

    /// Applies a batch, over rows that its records wrote before where it is sent `again`.
    fn apply(&mut self, batch: &Batch, again: bool) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        let rows = Rows::of(batch);
        storable(batch, &rows)?;
        let applied = self.in_transaction(async |session| {
            let stamps = sql::stamps(session, rows.sources.iter().copied(), now).await?;
            if again {
                holdings::forget(session, &rows, &stamps).await?;
            }
            write::batch(session, &rows, batch.range, &stamps, now).await?;
            session.after_apply(&stamps).await
        });
        self.judge_duplicate(applied, batch.range)
    }

    /// A key that was there already may be another connection's in the same moment, so the batch is
    /// tried once more; twice the same is a rule of the site's that its content breaks.
    fn judge_duplicate(
        &mut self,
        applied: Result<(), SendError>,
        range: SeqRange,
    ) -> Result<(), SendError> {
        let met = self.session.as_ref().is_some_and(|s| s.met_duplicate);
        let before = self.met_duplicate.take();
        match applied {
            Err(SendError::Retry { message, .. }) if met && before == Some(range) => {
                Err(SendError::refused(message))
            }
            other => {
                self.met_duplicate = met.then_some(range);
                other
            }
        }
    }

    /// Runs `work` in one transaction; commits where it succeeds.
    fn in_transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        let session = self.session.take().ok_or_else(not_open)?;
        let runtime = kept_runtime(&mut self.runtime)?;
        let working = transact(session, self.options.limit(), work);
        let (result, session) = runtime.block_on(working);
        self.session = session;
        result
    }
}

/// Whether SQL Server can hold the batch, and in one transaction.
fn storable(batch: &Batch, rows: &Rows<'_>) -> Result<(), SendError> {
    if batch.records.len() > RECORDS_MAX {
        return Err(SendError::TooLarge {
            message: format!(
                "{} records, and a transaction takes {RECORDS_MAX}",
                batch.records.len()
            ),
        });
    }
    let mut unstorable = rows.unstorable();
    for entry in &batch.records {
        let mut moments = moments(&entry.record).into_iter().flatten();
        if let Some(moment) = moments.find(|moment| !value::is_in_calendar(*moment)) {
            let why = format!("{} ms are outside of the years 1 to 9999", moment.ms());
            unstorable.push((entry.seq, why));
        }
    }
    if unstorable.is_empty() {
        return Ok(());
    }
    Err(SendError::Refused {
        message: "figures past 64 bits, or moments outside of the calendar".to_owned(),
        records: unstorable,
    })
}

fn moments(record: &Record) -> [Option<WallTime>; 3] {
    match record {
        Record::Interval(record) => [
            Some(record.interval_start.start()),
            Some(record.answered_at),
            None,
        ],
        Record::Transaction(record) => [
            Some(record.started_at),
            record.earliest_at,
            Some(record.observed_at),
        ],
        Record::Agent(record) => [Some(record.valid_from), Some(record.first_seen), None],
        Record::Queue(record) => [Some(record.valid_from), Some(record.first_seen), None],
        Record::Coverage(record) => [
            Some(record.interval_start.start()),
            record.fetched_at,
            record.final_at,
        ],
        Record::StateCode(record) => [Some(record.first_seen), None, None],
    }
}

impl Destination for SqlServerDestination {
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError> {
        let now = self.clock.now().wall;
        self.connect(writer, now)?;
        self.in_transaction(async |session| {
            let roster_wanted = claim_all(session, now).await?;
            Ok(Receipt {
                applied: receipt::read(session).await?,
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
        let runtime = kept_runtime(&mut self.runtime)?;
        let options = &self.options;
        let password = self.password.as_ref();
        let held = runtime.block_on(async {
            let mut client = connection::connect(options, password).await?;
            let reading = holdings::read(&mut client, options, source, day);
            within(options.limit(), reading).await?
        })?;
        Ok(Some(held))
    }

    /// In portions, each a transaction of its own: states are no receipt.
    fn send_current(&mut self, states: &[CurrentState]) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        for portion in states.chunks(RECORDS_MAX) {
            self.in_transaction(async |session| {
                let sources = portion.iter().map(|state| &state.source);
                let stamps = sql::stamps(session, sources, now).await?;
                write::current_states(session, portion, &stamps).await?;
                session.after_apply(&stamps).await
            })?;
        }
        Ok(())
    }

    /// In portions, each a transaction of its own; with the last it counts as sent.
    fn send_roster(
        &mut self,
        source: &SourceName,
        agents: &[AgentChange],
        queues: &[QueueChange],
    ) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        let of_agents = agents.chunks(RECORDS_MAX).map(|agents| (agents, &[][..]));
        let of_queues = queues.chunks(RECORDS_MAX).map(|queues| (&[][..], queues));
        for portion in of_agents.chain(of_queues) {
            self.in_transaction(async |session| {
                let stamps = sql::stamps(session, [source], now).await?;
                roster::send(session, source, portion, stamps[source]).await?;
                session.after_apply(&stamps).await
            })?;
        }
        self.in_transaction(async |session| claim::roster_sent(session, source).await)
    }

    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        self.in_transaction(async |session| heartbeat::write(session, beat, now).await)
    }

    fn probe(&mut self) -> Result<(), SendError> {
        let runtime = kept_runtime(&mut self.runtime)?;
        let (options, migrations) = (&self.options, self.migrations);
        let password = self.password.as_ref();
        runtime.block_on(async {
            let mut client = connection::connect(options, password).await?;
            let checking = schema::check(&mut client, options, migrations);
            within(options.limit(), checking).await?
        })
    }
}
