//! How long to wait after a failure: exponential, with full jitter, so that a fleet that lost the
//! same destination does not return to it in one second.
//!
//! A server's own word (`Retry-After`) wins over the guess. The random numbers are passed in, so
//! that a seeded run repeats itself.

use std::time::Duration;

use fastrand::Rng;

/// A server that asks for longer than this is asked again after this: a wrong header must not
/// silence a box for days.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Doublings after which the bound stays; 2^20 times any sensible minimum is past any maximum.
const DOUBLINGS_MAX: u32 = 20;

/// The waits of one series of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits of up to `min` after the first failure, up to twice that after the second, and so
    /// on, never over `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            failures: 0,
        }
    }

    /// How long to wait after one more failure: evenly drawn between zero and the bound, or what
    /// the server asked for plus up to `min`.
    pub fn next(&mut self, rng: &mut Rng, retry_after: Option<Duration>) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX) + self.min.mul_f64(rng.f64()),
            None => bound.mul_f64(rng.f64()),
        }
    }

    /// After a success: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn bound(&self) -> Duration {
        let factor = 1_u32 << self.failures.min(DOUBLINGS_MAX);
        self.min.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_to_the_maximum_and_stay_under_their_bound() {
        let mut rng = Rng::with_seed(7);
        let mut longest = [Duration::ZERO; 8];
        for _ in 0..2_000 {
            let mut backoff = Backoff::new(S, 30 * S);
            for longest in &mut longest {
                *longest = backoff.next(&mut rng, None).max(*longest);
            }
        }
        for (n, bound) in [1, 2, 4, 8, 16, 30, 30, 30].into_iter().enumerate() {
            assert!(longest[n] <= bound * S, "{n}: {:?}", longest[n]);
            assert!(
                longest[n] >= (bound * S).mul_f64(0.95),
                "{n}: {:?}",
                longest[n]
            );
        }
    }

    #[test]
    fn what_the_server_asked_for_wins_within_reason() {
        let mut rng = Rng::with_seed(7);
        let mut backoff = Backoff::new(S, 30 * S);
        let wait = backoff.next(&mut rng, Some(120 * S));
        assert!((120 * S..=121 * S).contains(&wait), "{wait:?}");
        let wait = backoff.next(&mut rng, Some(Duration::MAX));
        assert!(wait <= RETRY_AFTER_MAX + S, "{wait:?}");
    }

    #[test]
    fn a_success_starts_the_series_anew() {
        let mut rng = Rng::with_seed(7);
        let mut backoff = Backoff::new(S, 30 * S);
        for _ in 0..100 {
            backoff.next(&mut rng, None);
        }
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.next(&mut rng, None) <= S);
    }
}
