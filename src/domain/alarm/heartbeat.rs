//! When the address is called that hears from the box while all is well.

use std::time::Duration;

use super::super::timestamp::MonoTime;

/// The plan of the calls.
#[derive(Debug, Default)]
pub struct HeartbeatPlan {
    next_at: MonoTime,
    is_well: bool,
    last_error: Option<String>,
}

impl HeartbeatPlan {
    /// Whether all is well; while it is not, the address hears nothing, and it hears of a box that
    /// starts or recovers only once all has been well for a period: one that starts again and again
    /// must not look healthy.
    pub fn observe(&mut self, now: MonoTime, is_well: bool, period: Duration) {
        if is_well && !self.is_well {
            self.next_at = now.plus(period);
        }
        self.is_well = is_well;
    }

    /// When the next call is due, while all is well.
    pub fn due_at(&self) -> Option<MonoTime> {
        self.is_well.then_some(self.next_at)
    }

    /// A call was made. One that failed is not repeated: the next one says the same.
    pub fn finish(&mut self, sent: MonoTime, outcome: Result<(), String>, period: Duration) {
        self.next_at = sent.plus(period);
        self.last_error = outcome.err();
    }

    /// Why the last call failed, if it did.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}
