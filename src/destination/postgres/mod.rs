//! The neutral tables in a PostgreSQL database, where a WFM product reads them. `docs/tables.md`
//! describes them.
//!
//! - Rows and `wfm_delivery` are written in one transaction; a site's own procedure
//!   (`after_apply`) runs inside it.
//! - A write counts only if its (`claim_no`, `record_seq`) is newer than the row's, so lanes,
//!   replays and duplicates may come in any order.
//! - `applied_no` is taken from the source's row, whose lock is held to the end of the
//!   transaction: its order is the order of commits.
//! - A connection that an error broke is dropped, and the next call opens another one.
//! - TLS is verified, host name included, wherever it is on.

mod claim;
mod connection;
mod error;
mod heartbeat;
mod holdings;
mod options;
mod pipeline;
mod receipt;
mod roster;
mod schema;
mod statements;
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
use crate::domain::ids::SourceName;
use crate::domain::reconcile::{Day, Holdings};
use crate::domain::record::{AgentChange, QueueChange};
use crate::domain::timestamp::WallTime;

pub use super::sql::{Migration, ProcedureName, SqlName};
pub use options::{PostgresOptions, ServerHost, ServerUrl};
pub use schema::MIGRATIONS;

/// A PostgreSQL database that holds the neutral tables.
pub struct PostgresDestination {
    options: PostgresOptions,
    password: Option<Secret>,
    clock: Arc<dyn Clock>,
    migrations: &'static [Migration],
    runtime: Option<Arc<Runtime>>,
    session: Option<Session>,
}

impl std::fmt::Debug for PostgresDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresDestination")
            .field("options", &self.options)
            .field("open", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl PostgresDestination {
    /// A destination that connects with the first [`Destination::open`].
    pub fn new(options: PostgresOptions, password: Option<Secret>, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            password,
            clock,
            migrations: MIGRATIONS,
            runtime: None,
            session: None,
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
            let client = connection::connect(options, password).await?;
            let preparing = async {
                schema::prepare(&client, options, migrations, now).await?;
                Session::prepare(client, options, writer).await
            };
            within(options.limit(), preparing).await?
        };
        self.session = Some(runtime.block_on(opening)?);
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
        self.in_transaction(async |session| {
            let stamps = sql::stamps(session, rows.sources.iter().copied(), now).await?;
            if again {
                holdings::forget(session, &rows, &stamps).await?;
            }
            write::batch(session, &rows, batch.range, &stamps, now).await?;
            session.after_apply(&stamps).await
        })
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

impl Destination for PostgresDestination {
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
            let client = connection::connect(options, password).await?;
            within(
                options.limit(),
                holdings::read(&client, options, source, day),
            )
            .await?
        })?;
        Ok(Some(held))
    }

    fn send_current(&mut self, states: &[CurrentState]) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        self.in_transaction(async |session| {
            let sources = states.iter().map(|state| &state.source);
            let stamps = sql::stamps(session, sources, now).await?;
            write::current_states(session, states, &stamps).await?;
            session.after_apply(&stamps).await
        })
    }

    fn send_roster(
        &mut self,
        source: &SourceName,
        agents: &[AgentChange],
        queues: &[QueueChange],
    ) -> Result<(), SendError> {
        let now = self.clock.now().wall;
        self.in_transaction(async |session| {
            let stamps = sql::stamps(session, [source], now).await?;
            roster::send_all(session, source, agents, queues, stamps[source]).await?;
            claim::roster_sent(session, source).await?;
            session.after_apply(&stamps).await
        })
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
            let client = connection::connect(options, password).await?;
            within(options.limit(), schema::check(&client, options, migrations)).await?
        })
    }
}
