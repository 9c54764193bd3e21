//! A connection that waits for a person: for how long, and what ends it.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::ThrioError;
use super::error::Cause;
use crate::domain::call::Timing;
use crate::domain::timestamp::{MonoTime, Now};

/// The first hold after bad credentials.
pub const HOLD_MIN: Duration = Duration::from_mins(5);
/// The longest.
pub const HOLD_MAX: Duration = Duration::from_hours(1);

/// A connection that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub reason: String,
    /// Until when it stays quiet, unless the password changes.
    pub until: MonoTime,
}

/// What a connection is held for.
pub(super) struct Refusal {
    pub(super) cause: Cause,
    pub(super) operation: &'static str,
    pub(super) host: String,
    /// The password that did not work.
    pub(super) password: Option<SecretString>,
    /// The login that it came from.
    pub(super) generation: u64,
}

/// The hold of a connection, and how long the next one lasts.
pub(super) struct Holds {
    present: Option<(Refusal, MonoTime)>,
    next: Duration,
}

impl Holds {
    pub(super) const fn none() -> Self {
        Self {
            present: None,
            next: HOLD_MIN,
        }
    }

    pub(super) const fn is_any(&self) -> bool {
        self.present.is_some()
    }

    /// The hold as people are told of it, while it lasts.
    pub(super) fn held(&self, now: MonoTime) -> Option<Held> {
        let (refusal, until) = self.present.as_ref().filter(|(_, until)| now < *until)?;
        Some(Held {
            reason: format!(
                "{} at {}: {}",
                refusal.operation, refusal.host, refusal.cause
            ),
            until: *until,
        })
    }

    /// The error of every call while the hold lasts; `Ok(true)` says that it has just ended.
    pub(super) fn check(&mut self, now: Now) -> Result<bool, ThrioError> {
        let Some((refusal, until)) = &self.present else {
            return Ok(false);
        };
        if now.mono < *until {
            return Err(ThrioError {
                operation: refusal.operation,
                host: refusal.host.clone(),
                cause: refusal.cause.clone(),
                timing: Timing {
                    sent: now,
                    received: now,
                    server_date: None,
                },
            });
        }
        self.present = None;
        Ok(true)
    }

    /// Why the tokens of this login are held already.
    pub(super) fn cause_for(&self, generation: u64, now: MonoTime) -> Option<Cause> {
        let (refusal, until) = self.present.as_ref()?;
        (refusal.generation == generation && now < *until).then(|| refusal.cause.clone())
    }

    /// Begins a hold, twice as long as the last: its cause, which now says until when.
    pub(super) fn begin(&mut self, mut refusal: Refusal, now: MonoTime) -> Cause {
        let until = now.plus(self.next);
        self.next = (self.next * 2).min(HOLD_MAX);
        if let Cause::Unauthorized { held_until, .. } | Cause::HostNotAllowed { held_until, .. } =
            &mut refusal.cause
        {
            *held_until = until;
        }
        let cause = refusal.cause.clone();
        self.present = Some((refusal, until));
        cause
    }

    /// Ends the hold where it was for another password than this; whether it did.
    pub(super) fn end_if_other(&mut self, password: &SecretString) -> bool {
        let is_other = self.present.as_ref().is_some_and(|(refusal, _)| {
            let old = refusal.password.as_ref();
            old.is_some_and(|old| old.expose_secret() != password.expose_secret())
        });
        if is_other {
            *self = Self::none();
        }
        is_other
    }

    /// Credentials are good: the next hold is a short one again.
    pub(super) const fn relax(&mut self) {
        self.next = HOLD_MIN;
    }
}
