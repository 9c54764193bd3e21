//! Agent states: one service day of one agent is one stream of draws.
//!
//! A service day runs from 04:00 to 04:00 of the centre's clock, when nobody works, so that each
//! agent's day is complete in itself: it begins and ends logged out, and no moment needs the days
//! before it.

use super::draws::{Draws, Stream};
use super::shape::{Shape, weekday};
use super::volume::{talk_s, wrap_up_s};

/// A state as the centre means it; [`State::text`] says how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not logged in.
    LoggedOut,
    /// Logged in, not ready yet.
    LoggedIn,
    /// Ready for a contact.
    Available,
    /// On a contact.
    Busy,
    /// After-contact work.
    Wrapup,
    /// Did not answer an offered contact.
    NoAnswer,
    /// Working on something else.
    Working,
    /// Custom: a short pause.
    Pause,
    /// Custom: lunch.
    Lunch,
    /// Custom: coaching.
    Coaching,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::LoggedOut,
        Self::LoggedIn,
        Self::Available,
        Self::Busy,
        Self::Wrapup,
        Self::NoAnswer,
        Self::Working,
        Self::Pause,
        Self::Lunch,
        Self::Coaching,
    ];

    /// The text in words, as Thrio shows it; the last three are what a customer typed.
    pub const fn text(self) -> &'static str {
        match self {
            Self::LoggedOut => "Logged out",
            Self::LoggedIn => "Logged in",
            Self::Available => "Available",
            Self::Busy => "Busy",
            Self::Wrapup => "Wrapup",
            Self::NoAnswer => "No Answer",
            Self::Working => "Working",
            Self::Pause => "Pause ☕",
            Self::Lunch => "Lunch / Mittag",
            Self::Coaching => "Coaching: Team 3",
        }
    }

    /// The other spelling of the built-in states; custom ones have only one.
    pub const fn text_in_camel_case(self) -> &'static str {
        match self {
            Self::LoggedOut => "loggedOut",
            Self::LoggedIn => "loggedIn",
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Wrapup => "wrapup",
            Self::NoAnswer => "noAnswer",
            Self::Working => "working",
            custom => custom.text(),
        }
    }
}

/// A change of state: from `at_ms` (after the start of the service day) on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at_ms: u32,
    pub(super) state: State,
}

/// When a service day begins on the centre's clock.
const DAY_STARTS_AT_S: i64 = 4 * 3_600;
/// The end of whatever was forgotten, 03:30 on the centre's clock.
const SESSIONS_END_MS: u32 = (23 * 3_600 + 1_800) * 1_000;
/// No contact begins after 03:00, so that every day ends inside itself.
const LAST_MS: u32 = 23 * 3_600 * 1_000;

/// The service day that a moment lies in, and how far into it, in milliseconds.
pub(super) fn service_day(shape: &Shape, at_ms: i64) -> (i64, u32) {
    let local_ms = at_ms + (shape.utc_offset_s - DAY_STARTS_AT_S) * 1_000;
    let into = u32::try_from(local_ms.rem_euclid(86_400_000)).expect("a day's milliseconds");
    (local_ms.div_euclid(86_400_000), into)
}

/// The UTC moment at which a service day begins, in milliseconds.
pub(super) fn service_day_starts_ms(shape: &Shape, day: i64) -> i64 {
    day * 86_400_000 - (shape.utc_offset_s - DAY_STARTS_AT_S) * 1_000
}

/// Appends the changes of one agent's service day, ascending; none where the agent is off. The
/// state before the first is logged out.
pub(super) fn write_day(
    seed: u64,
    shape: &Shape,
    agent: u32,
    tenure: i64,
    day: i64,
    changes: &mut Vec<Change>,
) {
    if !works(seed, agent, tenure, day) {
        return;
    }
    let draws = Draws::of(seed, Stream::Shift, &[i64::from(agent), tenure, day]);
    Shift::plan(draws, shape.forgotten_logout_share, changes).live();
}

/// Five days of a week: most have the weekend off, the others any two days; 8 % are absent.
fn works(seed: u64, agent: u32, tenure: i64, day: i64) -> bool {
    let mut pattern = Draws::of(seed, Stream::Attendance, &[i64::from(agent), tenure]);
    let weekends_off = pattern.chance(0.6);
    let first_off = pattern.below(7);
    let second_off = (first_off + 1 + pattern.below(6)) % 7;
    let today = u64::try_from(weekday(day)).expect("below seven");
    let off = if weekends_off {
        today >= 5
    } else {
        today == first_off || today == second_off
    };
    let mut attendance = Draws::of(seed, Stream::Attendance, &[i64::from(agent), tenure, day]);
    !off && !attendance.chance(0.08)
}

/// Share of the offered contacts that the agent does not answer.
const NO_ANSWER_SHARE: f64 = 0.015;
/// Share of the contacts that are followed by other work.
const WORKING_SHARE: f64 = 0.02;

/// Idle time between two contacts, in seconds: *queued or quiet*. In 44 % of the cases a contact
/// waits already and comes as soon as the router offers it, lognormal(1.9, 0.5); else the agent
/// waits for one, exponential with mean 280 s. Fitted so that polling loses the between-call
/// states that domain rule 9 names: 3.5 %, 23.9 % and 44.0 % at 5, 15 and 60 s against the
/// measured 3.9 %, 23.9 % and 43.9 %.
fn idle_s(draws: &mut Draws) -> f64 {
    if draws.chance(0.44) {
        draws.lognormal(1.9, 0.5)
    } else {
        draws.exponential(280.0)
    }
}

/// A pause of the plan: when it is due, how long it takes, what it is called.
struct Pause {
    due_ms: u32,
    length_s: f64,
    state: State,
}

struct Shift<'a> {
    draws: Draws,
    changes: &'a mut Vec<Change>,
    at_ms: u32,
    ends_ms: u32,
    /// Latest first.
    pauses: Vec<Pause>,
    forgets_logout: bool,
}

impl<'a> Shift<'a> {
    fn plan(mut draws: Draws, forgotten_share: f64, changes: &'a mut Vec<Change>) -> Self {
        const QUARTER_MS: u32 = 900_000;
        // Quarter hours after 04:00: early 07:00 to 10:00, middle 10:00 to 12:00, late 14:00 to
        // 15:30; with eight hours each the last go at 23:30.
        let kind = draws.unit();
        let (first, count) = if kind < 0.55 {
            (12, 13)
        } else if kind < 0.70 {
            (24, 9)
        } else {
            (40, 7)
        };
        let quarter = first + u32::try_from(draws.below(count)).expect("below 13");
        let starts_ms = quarter * QUARTER_MS;
        let hour_ms = 3_600_000;
        let mut pauses = vec![
            Pause {
                due_ms: starts_ms + 6 * hour_ms,
                length_s: 900.0,
                state: State::Pause,
            },
            Pause {
                due_ms: starts_ms + 4 * hour_ms,
                length_s: 1_800.0,
                state: State::Lunch,
            },
            Pause {
                due_ms: starts_ms + 2 * hour_ms,
                length_s: 900.0,
                state: State::Pause,
            },
        ];
        if draws.chance(0.05) {
            pauses.insert(
                0,
                Pause {
                    due_ms: starts_ms + 7 * hour_ms,
                    length_s: 1_800.0,
                    state: State::Coaching,
                },
            );
        }
        let at_ms = login_ms(&mut draws, starts_ms);
        let forgets_logout = draws.chance(forgotten_share);
        Self {
            draws,
            changes,
            at_ms,
            ends_ms: starts_ms + 8 * hour_ms,
            pauses,
            forgets_logout,
        }
    }

    fn live(mut self) {
        self.enter(State::LoggedIn);
        let settling_s = 5.0 + self.draws.exponential(20.0);
        self.pass(settling_s);
        while self.at_ms < self.ends_ms {
            match self.pauses.pop_if(|pause| pause.due_ms <= self.at_ms) {
                Some(pause) => self.take(&pause),
                None => self.next_contact(),
            }
        }
        if self.forgets_logout {
            self.enter(State::Available);
            self.at_ms = SESSIONS_END_MS;
        }
        self.enter(State::LoggedOut);
    }

    fn take(&mut self, pause: &Pause) {
        self.enter(pause.state);
        let length_s = pause.length_s * (1.0 + 0.1 * self.draws.normal()).max(0.5);
        self.pass(length_s);
    }

    /// Available, then a contact with all that follows; or a shift's end while still available.
    fn next_contact(&mut self) {
        self.enter(State::Available);
        let idle = idle_s(&mut self.draws);
        self.pass(idle);
        if self.at_ms >= self.ends_ms {
            self.at_ms = self.ends_ms;
            return;
        }
        if self.draws.chance(NO_ANSWER_SHARE) {
            self.enter(State::NoAnswer);
            let away_s = 10.0 + self.draws.exponential(30.0);
            self.pass(away_s);
            return;
        }
        self.enter(State::Busy);
        let talk = talk_s(&mut self.draws);
        self.pass(talk);
        self.enter(State::Wrapup);
        let wrap_up = wrap_up_s(&mut self.draws);
        self.pass(wrap_up);
        if self.draws.chance(WORKING_SHARE) {
            self.enter(State::Working);
            let working_s = self.draws.exponential(300.0);
            self.pass(working_s);
        }
    }

    fn enter(&mut self, state: State) {
        if self.changes_state_to(state) {
            self.changes.push(Change {
                at_ms: self.at_ms,
                state,
            });
        }
    }

    fn changes_state_to(&self, state: State) -> bool {
        // The list may begin with other agents' days; those end logged out, as this one begins.
        self.changes
            .last()
            .map_or(state != State::LoggedOut, |last| last.state != state)
    }

    fn pass(&mut self, seconds: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive time of a few hours at most"
        )]
        let ms = ((seconds * 1_000.0) as u32).max(1);
        self.at_ms = self.at_ms.saturating_add(ms).min(LAST_MS);
    }
}

/// 25 % of a shift log in within 60 s of its start, the others within eight minutes around it.
fn login_ms(draws: &mut Draws, starts_ms: u32) -> u32 {
    let ms = |below: u64, draws: &mut Draws| u32::try_from(draws.below(below)).expect("minutes");
    match draws.unit() {
        share if share < 0.25 => starts_ms + ms(60_000, draws),
        share if share < 0.65 => starts_ms - 480_000 + ms(480_000, draws),
        _ => starts_ms + 60_000 + ms(420_000, draws),
    }
}
