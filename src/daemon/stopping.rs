//! The ordered stop: who goes first, how long each may take, and what remains.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Parts, lock, pause};
use crate::clock::{Clock, SystemClock};
use crate::domain::delivery::DeliveryPhase;
use crate::domain::timestamp::MonoTime;
use crate::forwarder::ForwardHandle;
use crate::store::StoreError;

/// How often an end is looked for.
const LOOK_PERIOD: Duration = Duration::from_millis(10);
/// Of the time that is left after the feeds, how much the destinations may use to empty their
/// backlog; the rest is for the call that is under way then, and for the store.
const LAST_CHANCE_PART: f64 = 0.5;

/// A moment of real time, whatever clock the daemon runs on.
pub(super) struct Deadline {
    clock: SystemClock,
    at: MonoTime,
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        let clock = SystemClock::new();
        let at = clock.now().mono.plus(timeout);
        Self { clock, at }
    }

    fn left(&self) -> Duration {
        self.at.since(self.clock.now().mono)
    }

    /// Waits until it is so, or the deadline; whether it is so.
    pub(super) fn wait_until(&self, mut is_so: impl FnMut() -> bool) -> bool {
        loop {
            if is_so() {
                return true;
            }
            if self.left().is_zero() {
                return false;
            }
            pause(LOOK_PERIOD);
        }
    }
}

/// What a stop left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StopReport {
    /// Records in the journal.
    pub last_seq: u64,
    /// What each destination still lacks; it is sent after the next start.
    pub remaining: Vec<Remaining>,
    /// Workers that did not end in time.
    pub still_running: Vec<String>,
    /// Why the store could not be flushed, if it could not; what was journaled is safe.
    pub flush_error: Option<String>,
}

/// What one destination still lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remaining {
    /// The destination.
    pub destination: String,
    /// Records that it has not acknowledged.
    pub backlog: u64,
}

impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped; {} records journaled", self.last_seq)?;
        for Remaining {
            destination,
            backlog,
        } in &self.remaining
        {
            match backlog {
                0 => write!(f, "; {destination} has all")?,
                _ => write!(
                    f,
                    "; {destination} lacks {backlog}, sent after the next start"
                )?,
            }
        }
        if !self.still_running.is_empty() {
            write!(f, "; cut off: {}", self.still_running.join(", "))?;
        }
        match &self.flush_error {
            Some(error) => write!(f, "; not flushed: {error}"),
            None => Ok(()),
        }
    }
}

impl Parts {
    /// Ends the feeds: nothing more is collected.
    pub(super) fn stop_sources(&self, deadline: &Deadline) {
        let sources = std::mem::take(&mut *lock(&self.sources));
        sources.iter().for_each(super::RunningSource::ask_to_stop);
        for source in sources {
            let late = source.join(deadline);
            lock(&self.health).cut_off.extend(late);
        }
    }

    /// Lets the destinations that answer take what was journaled last.
    pub(super) fn last_chance(&self, deadline: &Deadline) {
        let handles: Vec<ForwardHandle> = {
            let destinations = lock(&self.destinations);
            destinations.iter().map(|d| d.handle.clone()).collect()
        };
        handles.iter().for_each(ForwardHandle::wake);
        let chance = Deadline::after(deadline.left().mul_f64(LAST_CHANCE_PART));
        chance.wait_until(|| {
            handles
                .iter()
                .all(|handle| self.has_all_it_can_take(handle))
        });
    }

    fn has_all_it_can_take(&self, handle: &ForwardHandle) -> bool {
        let Some(report) = handle.report() else {
            return true;
        };
        let answers = matches!(
            report.status.phase,
            DeliveryPhase::Idle | DeliveryPhase::Sending
        );
        let behind = self.store.head() > report.status.balance.last_seq;
        !answers || (report.status.balance.backlog == 0 && !behind)
    }

    /// Ends the destinations.
    pub(super) fn stop_destinations(&self, deadline: &Deadline) {
        let destinations = std::mem::take(&mut *lock(&self.destinations));
        for destination in &destinations {
            destination.ask_to_stop();
            // Its thread may be in a wait that only its own bell ends.
            destination.handle.wake();
        }
        for destination in destinations {
            let name = destination.config.name.to_string();
            let handle = destination.handle.clone();
            let late = destination.join(deadline);
            let mut health = lock(&self.health);
            health.cut_off.extend(late);
            let backlog = handle.report().map_or(0, |r| r.status.balance.backlog);
            health.remaining.push(Remaining {
                destination: name,
                backlog,
            });
        }
    }

    /// What remains.
    pub(super) fn stop_report(&self, flushed: Result<(), StoreError>) -> StopReport {
        let health = lock(&self.health);
        StopReport {
            last_seq: self.store.head().get(),
            remaining: health.remaining.clone(),
            still_running: health.cut_off.clone(),
            flush_error: flushed.err().map(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_what_each_destination_lacks() {
        let report = StopReport {
            last_seq: 40,
            remaining: vec![
                Remaining {
                    destination: "local".into(),
                    backlog: 0,
                },
                Remaining {
                    destination: "far".into(),
                    backlog: 12,
                },
            ],
            still_running: Vec::new(),
            flush_error: None,
        };
        assert_eq!(
            report.to_string(),
            "stopped; 40 records journaled; local has all; far lacks 12, sent after the next start"
        );
    }

    #[test]
    fn a_deadline_ends_a_wait_for_what_never_comes() {
        let deadline = Deadline::after(Duration::from_millis(20));
        assert!(!deadline.wait_until(|| false));
        assert!(deadline.wait_until(|| true));
    }
}
