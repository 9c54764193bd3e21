//! What one connection knows beside its database, and how a transaction on it goes.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::super::{SendError, Writer, runtime};
use super::SeenHours;
use crate::domain::ids::SourceName;

/// The server's own limit on a statement comes first where the server lives.
const SERVER_SILENCE_MAX: Duration = Duration::from_secs(30);

/// Who writes through a connection, and what it has learnt so far.
#[derive(Debug)]
pub(in super::super) struct Standing {
    writer: Writer,
    /// Claims that this connection holds; a lost one is noticed by the next stamp.
    claims: HashMap<SourceName, i64>,
    /// Taken in the transaction that runs; known only once it is committed.
    fresh: HashMap<SourceName, i64>,
    seen: SeenHours,
}

impl Standing {
    pub(in super::super) fn new(writer: &Writer) -> Self {
        Self {
            writer: writer.clone(),
            claims: HashMap::new(),
            fresh: HashMap::new(),
            seen: SeenHours::default(),
        }
    }

    pub(in super::super) fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(in super::super) fn seen(&self) -> &SeenHours {
        &self.seen
    }

    pub(in super::super) fn seen_mut(&mut self) -> &mut SeenHours {
        &mut self.seen
    }

    /// The claim of the source as far as it is known.
    pub(in super::super) fn claim(&self, source: &SourceName) -> Option<i64> {
        let known = self.claims.get(source).or(self.fresh.get(source));
        known.copied()
    }

    /// The transaction that runs has read or taken this claim.
    pub(in super::super) fn note_claim(&mut self, source: &SourceName, claim_no: i64) {
        self.fresh.insert(source.clone(), claim_no);
    }

    pub(in super::super) fn begun(&mut self) {
        self.fresh.clear();
    }

    pub(in super::super) fn committed(&mut self) {
        self.claims.extend(self.fresh.drain());
    }

    /// Forgets what the transaction had.
    pub(in super::super) fn rolled_back(&mut self) {
        self.fresh.clear();
        self.seen = SeenHours::default();
    }
}

/// A connection on which transactions run.
pub(in super::super) trait Transactional {
    /// Begins one.
    async fn begin(&mut self) -> Result<(), SendError>;

    /// Makes it count.
    async fn commit(&mut self) -> Result<(), SendError>;

    /// Takes it back; whether the connection can be used on.
    async fn roll_back(&mut self) -> bool;
}

/// How long a call may take, and whom it calls.
#[derive(Clone, Copy)]
pub(in super::super) struct Limit<'a> {
    pub(in super::super) place: &'a dyn Display,
    pub(in super::super) statement_timeout: Duration,
}

/// A call that the server does not answer in time is given up, and its connection with it.
pub(in super::super) async fn within<T>(
    limit: Limit<'_>,
    call: impl Future<Output = T>,
) -> Result<T, SendError> {
    let longest = limit.statement_timeout + SERVER_SILENCE_MAX;
    timeout(longest, call).await.map_err(|_| {
        SendError::unreachable(format!(
            "{}: no answer within {} s",
            limit.place,
            longest.as_secs()
        ))
    })
}

/// Runs `work` in one transaction, and commits where it succeeds. Hands the connection back where
/// it can be used on.
pub(in super::super) async fn transact<S: Transactional, T>(
    mut session: S,
    limit: Limit<'_>,
    work: impl AsyncFnOnce(&mut S) -> Result<T, SendError>,
) -> (Result<T, SendError>, Option<S>) {
    let done = async {
        session.begin().await?;
        let value = work(&mut session).await?;
        session.commit().await?;
        Ok(value)
    };
    let result = within(limit, done).await.flatten();
    let reusable = match &result {
        Ok(_) => true,
        Err(
            SendError::Retry {
                unreachable: true, ..
            }
            | SendError::Held { .. }
            | SendError::Claimed { .. },
        ) => false,
        Err(_) => within(limit, session.roll_back()).await == Ok(true),
    };
    (result, reusable.then_some(session))
}

/// The loop opens again after this.
pub(in super::super) fn not_open() -> SendError {
    SendError::unreachable("the database is not open")
}

/// The runtime that all destinations share, kept by each that uses it.
pub(in super::super) fn kept_runtime(
    kept: &mut Option<Arc<Runtime>>,
) -> Result<Arc<Runtime>, SendError> {
    if let Some(runtime) = kept {
        return Ok(Arc::clone(runtime));
    }
    let made = runtime::shared()
        .map_err(|error| SendError::later(format!("the runtime cannot be started: {error}")))?;
    Ok(Arc::clone(kept.insert(made)))
}
