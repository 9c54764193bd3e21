//! Where time comes from: one trait, so that a test can hold the hands.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::timestamp::{MonoTime, Now, WallTime};

/// Reads both clocks. Implementations never block and never fail.
pub trait Clock: Send + Sync {
    /// The wall clock and the monotonic clock, read together.
    fn now(&self) -> Now;

    /// How long to really sleep for this much of the clock's own time: the same, but for clocks
    /// that run scaled (the demo).
    fn real(&self, virtual_time: std::time::Duration) -> std::time::Duration {
        virtual_time
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic readings start at zero now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the monotonic clock"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            wall: system_wall_time(),
            mono: MonoTime::new(self.start.elapsed()),
        }
    }
}

/// The machine's clocks sped up: `speed` seconds pass in one, starting from the present.
#[derive(Debug)]
pub struct ScaledClock {
    wall_start: WallTime,
    start: Instant,
    speed: f64,
}

impl ScaledClock {
    /// A clock that runs `speed` times as fast as the machine's.
    ///
    /// # Panics
    /// Where `speed` is not a positive finite number; the command line checks it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the monotonic clock"
    )]
    pub fn new(speed: f64) -> Self {
        assert!(
            speed.is_finite() && speed > 0.0,
            "speed {speed} is not a positive number"
        );
        Self {
            wall_start: system_wall_time(),
            start: Instant::now(),
            speed,
        }
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Now {
        let passed = self.start.elapsed().mul_f64(self.speed);
        Now {
            wall: self.wall_start.plus(passed),
            mono: MonoTime::new(passed),
        }
    }

    fn real(&self, virtual_time: std::time::Duration) -> std::time::Duration {
        virtual_time.div_f64(self.speed)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn system_wall_time() -> WallTime {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    WallTime::from_ms(ms)
}
