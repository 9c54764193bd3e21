//! Randomness that can be asked for anywhere: a stream of draws is named by a key, so that any
//! past hour is computed without the hours before it, and the same on every run.

use std::f64::consts::TAU;

/// Names of the streams; one number each, never reused, so that streams stay independent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    DayVolume = 1,
    IntervalVolume = 2,
    Contacts = 3,
    Correction = 4,
    Attendance = 5,
    Shift = 6,
    Tenure = 7,
    Identity = 8,
}

/// A seeded stream of draws (`SplitMix64`: tiny, and its output is fixed for good).
#[derive(Debug, Clone)]
pub(super) struct Draws {
    state: u64,
    spare_normal: Option<f64>,
}

impl Draws {
    /// The stream of this name under these keys.
    pub(super) fn of(seed: u64, stream: Stream, keys: &[i64]) -> Self {
        let mut state = mix(seed ^ (stream as u64).wrapping_mul(0xA24B_AED4_963E_E407));
        for key in keys {
            state = mix(state ^ mix(key.cast_unsigned().wrapping_add(0x9E37_79B9_7F4A_7C15)));
        }
        Self {
            state,
            spare_normal: None,
        }
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `[0, below)`; zero where `below` is zero.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        u64::try_from((u128::from(self.bits()) * u128::from(below)) >> 64)
            .expect("a 64-bit fraction of a 64-bit number")
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with this mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Standard normal (Box-Muller, both halves used).
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.unit()).sin_cos();
        self.spare_normal = Some(radius * sine);
        radius * cosine
    }

    /// Lognormal with these parameters of the underlying normal.
    pub(super) fn lognormal(&mut self, mu: f64, sigma: f64) -> f64 {
        (mu + sigma * self.normal()).exp()
    }

    /// Gamma with mean 1 and this coefficient of variation, at most 0.5 (Marsaglia and Tsang,
    /// whose method needs a shape of at least 1; here it is at least 4).
    pub(super) fn gamma_mean_one(&mut self, cv: f64) -> f64 {
        if cv <= 0.0 {
            return 1.0;
        }
        let shape = 1.0 / (cv * cv);
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v / shape;
            }
        }
    }

    /// Poisson with this mean, as arrivals of a unit-rate process; linear in the mean, which is
    /// what drawing the contacts themselves costs anyway.
    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        let mut time = self.exponential(1.0);
        let mut count = 0;
        while time < mean {
            count += 1;
            time += self.exponential(1.0);
        }
        count
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_cv(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let n = 40_000;
        let values: Vec<f64> = (0..n).map(|_| draw()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        (mean, variance.sqrt() / mean)
    }

    #[test]
    fn a_stream_is_the_same_every_time_and_differs_by_each_key() {
        let first = |seed, stream, keys: &[i64]| Draws::of(seed, stream, keys).bits();
        let base = first(1, Stream::Shift, &[2, 3]);
        assert_eq!(base, first(1, Stream::Shift, &[2, 3]));
        assert_ne!(base, first(2, Stream::Shift, &[2, 3]));
        assert_ne!(base, first(1, Stream::Tenure, &[2, 3]));
        assert_ne!(base, first(1, Stream::Shift, &[3, 2]));
        assert_ne!(base, first(1, Stream::Shift, &[2, -3]));
    }

    #[test]
    fn the_distributions_have_the_moments_of_their_names() {
        let mut draws = Draws::of(7, Stream::Contacts, &[]);
        let close = |(mean, cv): (f64, f64), expected_mean: f64, expected_cv: f64| {
            assert!((mean / expected_mean - 1.0).abs() < 0.03, "mean {mean}");
            assert!((cv / expected_cv - 1.0).abs() < 0.05, "cv {cv}");
        };
        close(mean_and_cv(|| draws.exponential(350.0)), 350.0, 1.0);
        close(mean_and_cv(|| draws.gamma_mean_one(0.07)), 1.0, 0.07);
        close(mean_and_cv(|| draws.gamma_mean_one(0.05)), 1.0, 0.05);
        close(
            mean_and_cv(|| f64::from(draws.poisson(9.0))),
            9.0,
            1.0 / 3.0,
        );
        let sigma: f64 = 0.8;
        close(
            mean_and_cv(|| draws.lognormal(3.2, sigma)),
            (3.2 + sigma * sigma / 2.0).exp(),
            ((sigma * sigma).exp() - 1.0).sqrt(),
        );
    }
}
