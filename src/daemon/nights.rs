//! When each destination is compared by night, and what came of the last comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control::status::ReconcileStatus;
use crate::domain::ids::DestinationName;
use crate::domain::reconcile::Day;
use crate::domain::timestamp::WallTime;

/// What is known of one destination.
#[derive(Debug, Clone, Copy)]
struct Next {
    /// The time of day (UTC) that it was computed for.
    time_of_day: Duration,
    at: WallTime,
}

/// The nights of all destinations. Both are forgotten with the process.
#[derive(Debug, Default)]
pub(super) struct Nights {
    next: BTreeMap<DestinationName, Next>,
    last: BTreeMap<DestinationName, ReconcileStatus>,
}

impl Nights {
    /// Whether the time has come; it then comes again the day after.
    pub(super) fn is_due(
        &mut self,
        name: &DestinationName,
        time_of_day: Duration,
        now: WallTime,
    ) -> bool {
        let after = next(time_of_day, now);
        let fresh = Next {
            time_of_day,
            at: after,
        };
        let known = self.next.entry(name.clone()).or_insert(fresh);
        let due = known.time_of_day == time_of_day && now >= known.at;
        // Another setting, or a clock that was set back.
        if due || known.time_of_day != time_of_day || known.at > after {
            *known = fresh;
        }
        due
    }

    /// Keeps what a comparison found.
    pub(super) fn note(&mut self, name: &DestinationName, status: ReconcileStatus) {
        self.last.insert(name.clone(), status);
    }

    /// What the last comparison found.
    pub(super) fn last(&self, name: &DestinationName) -> Option<ReconcileStatus> {
        self.last.get(name).cloned()
    }
}

/// The next moment after `now` with this time of day.
fn next(time_of_day: Duration, now: WallTime) -> WallTime {
    let today = Day::containing(now);
    let at = today.start().plus(time_of_day);
    if at > now {
        at
    } else {
        today.next().start().plus(time_of_day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> WallTime {
        WallTime::from_s(1_772_409_600).plus(HOUR * hours)
    }

    #[test]
    fn it_is_due_once_a_night_and_not_at_a_start_after_it() {
        let name = DestinationName::new("wfm").unwrap();
        let mut nights = Nights::default();
        let mut due = |hours| nights.is_due(&name, HOUR * 4, at(hours));
        let found: Vec<u32> = (5..80).filter(|hours| due(*hours)).collect();
        assert_eq!(found, [28, 52, 76]);
    }

    #[test]
    fn another_time_and_a_clock_that_was_set_back_are_followed() {
        let name = DestinationName::new("wfm").unwrap();
        let mut nights = Nights::default();
        assert!(!nights.is_due(&name, HOUR * 4, at(100)));
        assert!(!nights.is_due(&name, HOUR * 6, at(100)));
        assert!(nights.is_due(&name, HOUR * 6, at(102)));
        assert!(!nights.is_due(&name, HOUR * 6, at(3)));
        assert!(nights.is_due(&name, HOUR * 6, at(6)));
    }
}
