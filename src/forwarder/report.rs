//! How a destination is doing, for whoever asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ForwardWorker;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::DestinationName;
use crate::domain::timestamp::{MonoTime, Now, WallTime};
use crate::store::StoreError;

/// How one destination is doing.
#[derive(Debug, Clone)]
pub struct ForwardReport {
    /// The destination.
    pub name: DestinationName,
    /// What its machine says.
    pub status: DeliveryStatus,
    /// What the oldest unsent record is about, as of the last heartbeat.
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

impl ForwardWorker {
    pub(super) fn publish(&self, now: Now, is_calling: bool, error: Option<&StoreError>) {
        self.board.publish(ForwardReport {
            name: self.name.clone(),
            status: self.machine.status(self.store.head()),
            oldest_unsent_at: self.oldest_unsent_at,
            quarantined: self.machine.quarantined_count(),
            store_ids_taken: self.store_ids_taken,
            stepped_at: now.mono,
            is_calling,
            store_error: error.map(ToString::to_string),
        });
    }
}
