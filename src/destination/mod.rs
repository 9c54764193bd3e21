//! Where records go: one trait, one file per kind.
//!
//! Nothing here retries: an error says whether trying again can help, and `domain::delivery`
//! decides.

pub mod file;
pub mod http;
pub mod jetstream;
pub mod postgres;
pub mod rows;
pub mod runtime;
mod secret;
mod sql;
pub mod sqlite;
pub mod sqlserver;
pub mod tls;

pub use crate::domain::delivery::SendError;
pub use secret::{Credentials, ReadSecret, Secret};

use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{BoxId, RecordSeq, SeqRange, SourceName, StoreId};
use crate::domain::reconcile::{Day, Holdings};
use crate::domain::record::{AgentChange, QueueChange};

/// Who writes: sent with each connection, so that a destination can tell stores apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The box.
    pub box_id: BoxId,
    /// The journal.
    pub store_id: StoreId,
    /// The sources that this destination receives.
    pub sources: Vec<SourceName>,
    /// The sources that are claimed now from whatever box has them: a person said so.
    pub take_over: Vec<SourceName>,
}

/// What a destination already holds of one store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The applied ranges, merged and ascending.
    pub applied: Vec<SeqRange>,
    /// The sources that were claimed anew and whose roster is wanted ([`Destination::send_roster`]):
    /// the claim has closed the former one's open versions.
    pub roster_wanted: Vec<SourceName>,
}

impl Receipt {
    /// The highest seq that was ever applied; zero if none.
    pub fn highest(&self) -> RecordSeq {
        self.applied
            .last()
            .map_or(RecordSeq::ZERO, |range| range.last)
    }
}

/// Ends the call that is under way, and every later one, at once.
pub type Interrupter = Box<dyn Fn() + Send>;

/// The seam to everything upstream. Calls block; one thread owns an instance.
pub trait Destination: Send {
    /// Connects, makes or checks what it writes into, claims the sources where that is allowed,
    /// and reads the receipt of the writer's store. Called before the first send and after every
    /// error that broke the connection.
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError>;

    /// Applies the batch's records and marks its whole range as received, both or neither.
    /// A range that was applied before is applied no second time.
    fn send(&mut self, batch: &Batch) -> Result<(), SendError>;

    /// The same for records that were applied before and whose rows were lost or altered since:
    /// what they wrote is written once more.
    fn resend(&mut self, batch: &Batch) -> Result<(), SendError> {
        self.send(batch)
    }

    /// What it holds of a source on a day, to be compared with the journal; `None` where it cannot
    /// be asked. Connects by itself, writes nothing, and needs no [`Self::open`] before it.
    fn holdings(&mut self, _source: &SourceName, _day: Day) -> Result<Option<Holdings>, SendError> {
        Ok(None)
    }

    /// Writes the current state of agents, fresh after an outage; no receipt for any seq.
    fn send_current(&mut self, states: &[CurrentState]) -> Result<(), SendError>;

    /// Writes the last version of every agent and queue of a source under a new claim, where the
    /// receipt asked for it; no receipt for any seq.
    fn send_roster(
        &mut self,
        _source: &SourceName,
        _agents: &[AgentChange],
        _queues: &[QueueChange],
    ) -> Result<(), SendError> {
        Ok(())
    }

    /// Writes the heartbeat; only the latest matters.
    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError>;

    /// Whether it could be reached, as cheaply as it can be told; writes nothing.
    fn probe(&mut self) -> Result<(), SendError>;

    /// What ends a call that would last longer than an ordered stop may; none where no call does.
    fn interrupter(&self) -> Option<Interrupter> {
        None
    }
}
