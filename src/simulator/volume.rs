//! Contact volume: what entered, what was abandoned, what was handled, per queue and interval, as
//! known at any moment.
//!
//! Every (queue, interval) is a stream of draws of its own, so that any window of the past costs
//! only itself. A contact counts in the interval in which it entered: `entered` at once,
//! `abandoned` when the caller hangs up, handle time second by second until the wrap-up ends.
//! Volume and agent states are two halves of one model with the same laws and the same totals;
//! no single contact links them, because nothing that the API answers could show the link.

use super::draws::{Draws, Stream};
use super::shape::{Shape, interval_share};

/// The length of an interval in seconds.
pub const QUARTER_HOUR_S: i64 = 900;

/// The three sums of one queue and interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Volume {
    /// Contacts that entered.
    pub entered: u64,
    /// Contacts that hung up unanswered.
    pub abandoned: u64,
    /// Talk and wrap-up of the interval's contacts, in whole seconds.
    pub handle_time_s: u64,
}

impl Volume {
    /// Whether nothing happened.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// Share of the contacts that an agent takes at once; the others wait.
const ANSWERED_AT_ONCE_SHARE: f64 = 0.6;
/// Mean wait of the others, exponential.
const WAIT_MEAN_S: f64 = 60.0;
/// Mean patience, exponential.
const PATIENCE_MEAN_S: f64 = 350.0;
/// The longest handle time of one contact: what bounds settling.
const HANDLE_TIME_MAX_S: f64 = 3.0 * 3_600.0;

/// Talk time in seconds: 5 % uniform(0, 10), the rest lognormal(4.8, 0.95).
pub(super) fn talk_s(draws: &mut Draws) -> f64 {
    if draws.chance(0.05) {
        draws.unit() * 10.0
    } else {
        draws.lognormal(4.8, 0.95).min(HANDLE_TIME_MAX_S)
    }
}

/// Wrap-up time in seconds: lognormal(3.2, 0.8).
pub(super) fn wrap_up_s(draws: &mut Draws) -> f64 {
    draws.lognormal(3.2, 0.8).min(HANDLE_TIME_MAX_S)
}

/// The figures of a queue place and the interval that starts at `start_s` (UTC seconds), as known
/// at `known_at_ms`. `mean` is what [`mean_contacts`] gives, times the queue's share.
pub(super) fn volume(
    seed: u64,
    shape: &Shape,
    queue: u32,
    mean: f64,
    start_s: i64,
    known_at_ms: i64,
) -> Volume {
    let mut sum = Volume::default();
    #[expect(clippy::cast_precision_loss, reason = "times within 3 h of each other")]
    let known_after_s = (known_at_ms - start_s * 1_000) as f64 / 1_000.0;
    if known_after_s <= 0.0 {
        return sum;
    }
    let mut draws = Draws::of(seed, Stream::Contacts, &[i64::from(queue), start_s]);
    let contacts = draws.poisson(mean);
    let mut handle_s = 0.0;
    for _ in 0..contacts {
        let contact = Contact::draw(&mut draws);
        sum.entered += u64::from(contact.entered_s < known_after_s);
        sum.abandoned += u64::from(contact.abandoned_s.is_some_and(|at| at < known_after_s));
        handle_s += contact.handled_by(known_after_s);
    }
    handle_s += correction_s(seed, shape, queue, start_s, known_after_s, contacts);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a non-negative sum of at most 3 h a contact"
    )]
    {
        sum.handle_time_s = handle_s as u64;
    }
    sum
}

/// The contacts that the whole centre expects in an interval, its random factors included.
pub(super) fn mean_contacts(seed: u64, shape: &Shape, start_s: i64) -> f64 {
    let local_s = start_s + shape.utc_offset_s;
    let day = local_s.div_euclid(86_400);
    let day_factor = Draws::of(seed, Stream::DayVolume, &[day]).gamma_mean_one(shape.day_cv);
    let interval_factor =
        Draws::of(seed, Stream::IntervalVolume, &[start_s]).gamma_mean_one(shape.interval_cv);
    shape.contacts_per_day * interval_share(local_s) * day_factor * interval_factor
}

/// One contact, in seconds after the start of its interval.
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name")]
struct Contact {
    entered_s: f64,
    abandoned_s: Option<f64>,
    answered_s: f64,
    handle_s: f64,
}

impl Contact {
    #[expect(clippy::cast_precision_loss, reason = "900 fits")]
    fn draw(draws: &mut Draws) -> Self {
        let entered_s = draws.unit() * QUARTER_HOUR_S as f64;
        let wait_s = if draws.chance(ANSWERED_AT_ONCE_SHARE) {
            0.0
        } else {
            draws.exponential(WAIT_MEAN_S)
        };
        let patience_s = draws.exponential(PATIENCE_MEAN_S);
        let handle_s = talk_s(draws) + wrap_up_s(draws);
        let abandons = patience_s < wait_s;
        Self {
            entered_s,
            abandoned_s: abandons.then_some(entered_s + patience_s),
            answered_s: entered_s + wait_s,
            handle_s: if abandons {
                0.0
            } else {
                handle_s.min(HANDLE_TIME_MAX_S)
            },
        }
    }

    fn handled_by(&self, known_after_s: f64) -> f64 {
        (known_after_s - self.answered_s).clamp(0.0, self.handle_s)
    }
}

/// A correction by hand, long after the calls: a few minutes more.
fn correction_s(
    seed: u64,
    shape: &Shape,
    queue: u32,
    start_s: i64,
    known_after_s: f64,
    contacts: u32,
) -> f64 {
    const EARLIEST_S: f64 = 30.0 * 3_600.0;
    const LATEST_S: f64 = 5.0 * 86_400.0;
    if contacts == 0 || known_after_s < EARLIEST_S {
        return 0.0;
    }
    let mut draws = Draws::of(seed, Stream::Correction, &[i64::from(queue), start_s]);
    let corrected = draws.chance(shape.correction_share);
    let after_s = EARLIEST_S + draws.unit() * (LATEST_S - EARLIEST_S);
    if corrected && known_after_s >= after_s {
        60.0 + draws.unit() * 240.0
    } else {
        0.0
    }
}
