//! One worker thread as its supervisor sees it.

use std::thread::JoinHandle;
use std::time::Duration;

use super::stopping::Deadline;
use crate::clock::Clock;
use crate::domain::timestamp::MonoTime;

/// A worker that waits takes a step at least every 5 s of real time; four missed are late.
pub(super) const STEP_LATE_AFTER: Duration = Duration::from_secs(20);

/// A thread and how long its calls may take.
#[derive(Debug)]
pub(super) struct WorkerThread {
    pub(super) name: String,
    pub(super) thread: JoinHandle<()>,
    /// Longer than any call may take by its own time-outs, in real time.
    pub(super) call_limit: Duration,
}

/// When a worker last stepped, and whether it is in a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) at: MonoTime,
    pub(super) is_calling: bool,
}

impl WorkerThread {
    /// What is wrong with it, if something is. `started` stands for its first step.
    pub(super) fn lateness(
        &self,
        step: Option<Step>,
        started: MonoTime,
        clock: &dyn Clock,
    ) -> Option<String> {
        if self.thread.is_finished() {
            return Some("its thread has ended".to_owned());
        }
        let Step { at, is_calling } = step.unwrap_or(Step {
            at: started,
            is_calling: false,
        });
        let limit = if is_calling {
            self.call_limit
        } else {
            STEP_LATE_AFTER
        };
        let since = clock.real(clock.now().mono.since(at));
        let what = if is_calling {
            "in one call"
        } else {
            "without a step"
        };
        (since > limit).then(|| format!("{} s {what}", since.as_secs()))
    }

    /// Waits for its end until the deadline. False where it still runs then.
    pub(super) fn join(self, deadline: &Deadline) -> bool {
        if !deadline.wait_until(|| self.thread.is_finished()) {
            return false;
        }
        // A panic was logged where it happened.
        let _ = self.thread.join();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::{Now, WallTime};

    struct At(Duration);

    impl Clock for At {
        fn now(&self) -> Now {
            Now {
                wall: WallTime::from_s(0),
                mono: MonoTime::new(self.0),
            }
        }
    }

    fn worker(thread: JoinHandle<()>) -> WorkerThread {
        WorkerThread {
            name: "main/realtime".to_owned(),
            thread,
            call_limit: Duration::from_mins(3),
        }
    }

    #[test]
    fn a_worker_is_late_by_what_it_is_doing() {
        let (end, ended) = crossbeam_channel::bounded::<()>(0);
        let worker = worker(std::thread::spawn(move || {
            let _ = ended.recv();
        }));
        let late = |seconds, is_calling| {
            let step = Step {
                at: MonoTime::ZERO,
                is_calling,
            };
            let clock = At(Duration::from_secs(seconds));
            worker
                .lateness(Some(step), MonoTime::ZERO, &clock)
                .is_some()
        };
        assert!(!late(20, false) && late(21, false));
        assert!(!late(180, true) && late(181, true));
        drop(end);
    }

    #[test]
    fn a_thread_that_has_ended_is_late_at_once() {
        let thread = std::thread::spawn(|| {});
        while !thread.is_finished() {
            std::thread::yield_now();
        }
        let note = worker(thread).lateness(None, MonoTime::ZERO, &At(Duration::ZERO));
        assert_eq!(note.as_deref(), Some("its thread has ended"));
    }
}
