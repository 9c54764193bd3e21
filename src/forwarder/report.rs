//! How a destination is doing, for whoever asks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ForwardWorker;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::{DestinationName, RecordSeq};
use crate::domain::timestamp::{MonoTime, Now, WallTime};
use crate::store::StoreError;

/// How one destination is doing.
#[derive(Debug, Clone)]
pub struct ForwardReport {
    /// The destination.
    pub name: DestinationName,
    /// What its machine says.
    pub status: DeliveryStatus,
    /// When the oldest unsent record was journaled, as of the last look.
    pub oldest_unsent_at: Option<WallTime>,
    /// Records that it refused for good.
    pub quarantined: usize,
    /// How often the store took a new identity because this destination held more than it.
    pub store_ids_taken: u64,
    /// When its worker last took a step: what readiness and the watchdog go by.
    pub stepped_at: MonoTime,
    /// Whether a call is under way.
    pub is_calling: bool,
    /// Why the store could not be used, if it could not.
    pub store_error: Option<String>,
}

/// Where a worker's last report lies.
#[derive(Debug, Default)]
pub struct ForwardBoard(Mutex<Option<ForwardReport>>);

impl ForwardBoard {
    /// The last report; none before the worker's first step.
    pub fn report(&self) -> Option<ForwardReport> {
        self.lock().clone()
    }

    fn publish(&self, report: ForwardReport) {
        *self.lock() = Some(report);
    }

    fn lock(&self) -> MutexGuard<'_, Option<ForwardReport>> {
        // A report is replaced whole, so a panic elsewhere cannot leave half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the oldest unsent record is looked at while it changes.
const OLDEST_LOOK: Duration = Duration::from_secs(5);

/// The oldest unsent record, as of the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oldest {
    seq: Option<RecordSeq>,
    looked_at: MonoTime,
    /// When it was journaled.
    pub(super) journaled_at: Option<WallTime>,
}

impl ForwardWorker {
    /// Looks at the oldest unsent record: at once where there was none or is none any more.
    pub(super) fn note_oldest(&mut self, now: Now) -> Result<(), StoreError> {
        let seq = self.machine.oldest_unsent(self.store.head());
        let same = seq == self.oldest.seq;
        let recently = now.mono.since(self.oldest.looked_at) < OLDEST_LOOK;
        if same || (recently && seq.is_some() && self.oldest.seq.is_some()) {
            return Ok(());
        }
        let journaled_at = seq
            .map(|seq| self.store.journaled_at(seq))
            .transpose()?
            .flatten();
        self.oldest = Oldest {
            seq,
            looked_at: now.mono,
            journaled_at,
        };
        Ok(())
    }

    pub(super) fn publish(&self, now: Now, is_calling: bool, error: Option<&StoreError>) {
        self.board.publish(ForwardReport {
            name: self.name.clone(),
            status: self.machine.status(self.store.head()),
            oldest_unsent_at: self.oldest.journaled_at,
            quarantined: self.machine.quarantined_count(),
            store_ids_taken: self.store_ids_taken,
            stepped_at: now.mono,
            is_calling,
            store_error: error.map(ToString::to_string),
        });
    }
}
