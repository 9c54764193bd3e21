//! Faults that the simulated Thrio shows on request, by file or at run time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::draws::{Draws, Stream};

/// How a simulated Thrio behaves: how it speaks, and what goes wrong.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How it speaks.
    pub speech: super::Speech,
    /// What goes wrong; of several that match, the first does.
    pub faults: Vec<Fault>,
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The token.
    Login,
    /// Agent states.
    Realtime,
    /// Contact volume.
    Historical,
    /// The list of queues.
    Queues,
    /// The list of users.
    Users,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Which calls; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Route>,
    /// What happens to them.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// It begins this long after it was switched on, in seconds of the simulated clock.
    #[serde(default)]
    pub after_s: f64,
    /// It lasts this long from then on; absent = until it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
    /// It happens to this many calls; absent = to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// It happens to this share of the calls, by chance; absent = to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl Fault {
    /// A fault of every call, from now on.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            on: None,
            kind,
            after_s: 0.0,
            for_s: None,
            times: None,
            share: None,
        }
    }

    /// The same for one kind of call only.
    #[must_use]
    pub fn on(mut self, route: Route) -> Self {
        self.on = Some(route);
        self
    }

    /// The same for this many calls only.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// The same for this many seconds of the simulated clock only.
    #[must_use]
    pub fn for_s(mut self, seconds: f64) -> Self {
        self.for_s = Some(seconds);
        self
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// 401 with a JSON body.
    Unauthorized,
    /// 403 with a JSON body.
    Forbidden,
    /// 404 with HTML.
    NotFoundHtml,
    /// 200 with the HTML of a login page.
    LoginPage,
    /// Any status, with a JSON body.
    Status {
        /// The status.
        status: u16,
    },
    /// 429 or 503.
    Throttle {
        /// The status.
        status: u16,
        /// The value of `Retry-After`, as it is.
        retry_after: Option<String>,
    },
    /// 200 without a body.
    Empty,
    /// The connection breaks in the middle of the body.
    Cut,
    /// 200 with bytes that are no JSON.
    Garbage,
    /// Rows that cannot be taken, among the good ones.
    BadRows,
    /// No answer at all.
    Hang,
    /// The answer comes late.
    Slow {
        /// How much, in milliseconds of the simulated clock.
        ms: u64,
    },
    /// The connection is reset instead of an answer; with `for_s`, an outage.
    Reset,
    /// A body of this size.
    Huge {
        /// Its size.
        bytes: usize,
    },
    /// The server's clock is off: `Date`, states and figures follow it.
    ClockOffset {
        /// By this much.
        offset_s: i64,
    },
    /// Every page of a list is the first one.
    RepeatPages,
    /// The list of states holds everybody, whatever the speech says.
    ListFull,
    /// The list of states holds changes only, whatever the speech says.
    ListDelta,
    /// This share of the agents is missing from the list of states.
    Vanish {
        /// The share, 0 to 1.
        share: f64,
    },
    /// A redirect to there.
    Redirect {
        /// The value of `Location`.
        to: String,
    },
}

/// The faults that are switched on, with what is left of each.
#[derive(Debug)]
pub(super) struct Switchboard {
    seed: u64,
    inner: Mutex<Switched>,
}

#[derive(Debug, Default)]
struct Switched {
    faults: Vec<(Fault, u64)>,
    since_ms: i64,
    draws: i64,
}

impl Switchboard {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            inner: Mutex::default(),
        }
    }

    /// Replaces all faults; their times count from `now_ms`.
    pub(super) fn switch(&self, faults: Vec<Fault>, now_ms: i64) {
        let mut inner = self.lock();
        inner.faults = faults.into_iter().map(|fault| (fault, 0)).collect();
        inner.since_ms = now_ms;
    }

    /// What is switched on.
    pub(super) fn faults(&self) -> Vec<Fault> {
        self.lock()
            .faults
            .iter()
            .map(|(fault, _)| fault.clone())
            .collect()
    }

    /// What goes wrong with a call at that moment: counted as used.
    pub(super) fn strike(&self, route: Route, now_ms: i64) -> Option<FaultKind> {
        let mut inner = self.lock();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a process does not live that long"
        )]
        let passed_s = (now_ms - inner.since_ms) as f64 / 1_000.0;
        inner.draws += 1;
        let chance = Draws::of(self.seed, Stream::Correction, &[-1, inner.draws]).unit();
        let (fault, used) = inner.faults.iter_mut().find(|(fault, used)| {
            fault.on.is_none_or(|on| on == route)
                && passed_s >= fault.after_s
                && fault
                    .for_s
                    .is_none_or(|length| passed_s < fault.after_s + length)
                && fault.times.is_none_or(|times| *used < times)
                && fault.share.is_none_or(|share| chance < share)
        })?;
        *used += 1;
        Some(fault.kind.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Switched> {
        // Plain fields, each assigned whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_route_in_its_time_and_not_more_often_than_it_may() {
        let board = Switchboard::new(1);
        let fault = r#"[{"kind":"throttle","status":429,"retry_after":"7",
                         "on":"realtime","after_s":10,"for_s":60,"times":2}]"#;
        board.switch(serde_json::from_str(fault).unwrap(), 1_000);
        let strikes = |route, at_s: i64| board.strike(route, at_s * 1_000).is_some();
        assert!(
            !strikes(Route::Realtime, 10),
            "9 s after it was switched on"
        );
        assert!(!strikes(Route::Login, 12), "another route");
        assert!(strikes(Route::Realtime, 12));
        assert!(strikes(Route::Realtime, 13));
        assert!(!strikes(Route::Realtime, 14), "used up");
        board.switch(board.faults(), 0);
        assert!(!strikes(Route::Realtime, 70), "over");
    }

    #[test]
    fn a_share_strikes_about_that_share() {
        let board = Switchboard::new(1);
        let mut fault = Fault::new(FaultKind::Empty);
        fault.share = Some(0.25);
        board.switch(vec![fault], 0);
        let struck = (0..4_000)
            .filter(|_| board.strike(Route::Login, 0).is_some())
            .count();
        assert!((900..1_100).contains(&struck), "{struck}");
    }
}
