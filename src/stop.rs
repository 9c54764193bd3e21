//! The interruptible wait: every worker sleeps here, so that a stop or a wake-up ends the sleep.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Asks every worker that holds a clone to end. Cheap to clone; setting it is final.
#[derive(Debug, Clone, Default)]
pub struct StopToken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// Counts wake-ups, so that one that comes just before the wait is not lost.
    wakes: u64,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The time is over.
    Elapsed,
    /// Somebody called [`Waker::wake`].
    Woken,
    /// The process is stopping.
    Stopped,
}

impl StopToken {
    /// A token that nobody has set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every wait, now and from now on.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Sleeps for `timeout` of real time, or until the stop.
    pub fn wait(&self, timeout: Duration) -> Woken {
        let state = self.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |s| !s.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            Woken::Stopped
        } else {
            Woken::Elapsed
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and two plain fields cannot be half written.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's bed: it waits here for its time, a wake-up, or the stop of its token.
#[derive(Debug, Clone)]
pub struct Waker {
    token: StopToken,
    seen: Arc<Mutex<u64>>,
    mine: Arc<Mutex<u64>>,
}

impl Waker {
    /// A bed under this token.
    pub fn new(token: &StopToken) -> Self {
        Self {
            token: token.clone(),
            seen: Arc::default(),
            mine: Arc::default(),
        }
    }

    /// Ends the current wait of this worker, or the next one if it is not waiting.
    pub fn wake(&self) {
        let mut state = self.token.lock();
        *lock(&self.mine) += 1;
        state.wakes += 1;
        drop(state);
        self.token.shared.changed.notify_all();
    }

    /// Sleeps for `timeout` of real time, until a wake-up, or until the stop.
    pub fn wait(&self, timeout: Duration) -> Woken {
        let state = self.token.lock();
        let (state, _) = self
            .token
            .shared
            .changed
            .wait_timeout_while(state, timeout, |s| !s.stopped && !self.is_woken())
            .unwrap_or_else(PoisonError::into_inner);
        let woken = self.is_woken();
        *lock(&self.seen) = *lock(&self.mine);
        match (state.stopped, woken) {
            (true, _) => Woken::Stopped,
            (false, true) => Woken::Woken,
            (false, false) => Woken::Elapsed,
        }
    }

    /// The token that ends all waits.
    pub fn token(&self) -> &StopToken {
        &self.token
    }

    fn is_woken(&self) -> bool {
        *lock(&self.mine) != *lock(&self.seen)
    }
}

fn lock(count: &Mutex<u64>) -> MutexGuard<'_, u64> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_stop_ends_a_wait_at_once_and_for_good() {
        let token = StopToken::new();
        let waker = Waker::new(&token);
        let worker = std::thread::spawn({
            let waker = waker.clone();
            move || waker.wait(LONG)
        });
        token.stop();
        assert_eq!(worker.join().unwrap(), Woken::Stopped);
        assert_eq!(waker.wait(LONG), Woken::Stopped);
        assert_eq!(token.wait(LONG), Woken::Stopped);
    }

    #[test]
    fn a_wake_up_before_the_wait_is_not_lost_and_counts_once() {
        let token = StopToken::new();
        let waker = Waker::new(&token);
        let other = Waker::new(&token);
        waker.wake();
        waker.wake();
        assert_eq!(waker.wait(LONG), Woken::Woken);
        assert_eq!(waker.wait(Duration::ZERO), Woken::Elapsed);
        assert_eq!(other.wait(Duration::ZERO), Woken::Elapsed);
    }
}
