//! When certificates, tokens and passwords began and end, and from when on that is worth a word.

use std::time::Duration;

use super::timestamp::WallTime;

/// From here on a person should renew what nobody else does.
const NEAR: Duration = Duration::from_hours(21 * 24);
/// From here on it is urgent.
const DUE: Duration = Duration::from_hours(72);
/// What lives for weeks only is renewed by a program in the last third of its life; it is worth a
/// word in the last fifth.
const NEAR_PART: u32 = 5;
/// Likewise.
const DUE_PART: u32 = 20;

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryKind {
    /// A certificate.
    Certificate,
    /// A token that says itself when it ends.
    Token,
    /// The token of a login, which the program renews by itself.
    Session,
    /// A password: it says nothing of its end, only its file says since when it is this one.
    Password,
}

impl ExpiryKind {
    /// Its word in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Session => "session",
            Self::Password => "password",
        }
    }
}

/// From when to when something counts, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Term {
    /// The first moment.
    pub since: Option<WallTime>,
    /// The last one.
    pub until: Option<WallTime>,
}

/// How near an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nearness {
    /// Nothing needs to be done yet, or nobody knows.
    Far,
    /// It should be renewed.
    Near,
    /// It ends within days, or has ended.
    Due,
}

impl Term {
    /// The part of both that counts: from the later beginning to the earlier end.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = |a: Option<WallTime>, b: Option<WallTime>, pick: fn(WallTime, WallTime) -> _| {
            a.zip(b).map(|(a, b)| pick(a, b)).or(a).or(b)
        };
        Self {
            since: both(self.since, other.since, WallTime::max),
            until: both(self.until, other.until, WallTime::min),
        }
    }

    /// How near the end is.
    pub fn nearness(&self, now: WallTime) -> Nearness {
        let Some(until) = self.until else {
            return Nearness::Far;
        };
        let life = self.since.map(|since| until.ms_since(since));
        let life = life.and_then(|ms| u64::try_from(ms).ok());
        let before = |longest: Duration, part: u32| {
            let share = life.map_or(longest, |ms| Duration::from_millis(ms) / part);
            until.minus(longest.min(share))
        };
        if now >= before(DUE, DUE_PART) {
            Nearness::Due
        } else if now >= before(NEAR, NEAR_PART) {
            Nearness::Near
        } else {
            Nearness::Far
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;

    fn check(life_days: i64, left_days: i64, expected: Nearness) {
        let term = Term {
            since: Some(WallTime::from_s(0)),
            until: Some(WallTime::from_s(life_days * DAY_S)),
        };
        let now = WallTime::from_s((life_days - left_days) * DAY_S);
        assert_eq!(term.nearness(now), expected, "{left_days} of {life_days}");
    }

    #[test]
    fn a_year_is_near_in_its_last_three_weeks_and_due_in_its_last_three_days() {
        check(365, 22, Nearness::Far);
        check(365, 21, Nearness::Near);
        check(365, 4, Nearness::Near);
        check(365, 3, Nearness::Due);
        check(365, -1, Nearness::Due);
    }

    #[test]
    fn what_lives_for_weeks_and_is_renewed_by_a_program_is_left_the_time_for_it() {
        check(45, 15, Nearness::Far);
        check(45, 9, Nearness::Near);
        check(45, 2, Nearness::Due);
        check(5, 2, Nearness::Far);
        check(5, 1, Nearness::Near);
        check(5, 0, Nearness::Due);
    }

    #[test]
    fn an_end_that_nobody_knows_is_far() {
        let now = WallTime::from_s(0);
        assert_eq!(Term::default().nearness(now), Nearness::Far);
        let until = Some(now.plus(NEAR));
        let since = None;
        assert_eq!(Term { since, until }.nearness(now), Nearness::Near);
    }

    #[test]
    fn a_chain_ends_with_its_first_link() {
        let of = |since: i64, until: i64| Term {
            since: Some(WallTime::from_s(since)),
            until: Some(WallTime::from_s(until)),
        };
        assert_eq!(of(0, 9).and(of(3, 7)), of(3, 7));
        assert_eq!(of(3, 7).and(Term::default()), of(3, 7));
    }
}
