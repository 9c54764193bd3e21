//! The thread around a worker: makes the calls, and waits where a stop or a wish can end the wait.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{FeedLogic, FeedWorker};
use crate::clock::Clock;
use crate::domain::call::Do;
use crate::domain::timestamp::MonoTime;
use crate::stop::Waker;
use crate::thrio::Source;

/// A worker steps at least this often (in real time), so that the watchdog sees it live.
const STEP_MAX: Duration = Duration::from_secs(5);
/// The pause after the store failed, in the clock's own time: neither it nor Thrio is hurried.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread of a feed. It ends with the stop token of `waker`; a panic in it is the
/// joiner's to see.
pub fn spawn<L>(
    name: String,
    mut worker: FeedWorker<L>,
    mut source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    waker: Waker,
) -> io::Result<JoinHandle<()>>
where
    L: FeedLogic + 'static,
{
    std::thread::Builder::new().name(name).spawn(move || {
        while !waker.token().is_stopped() {
            let until = step(&mut worker, source.as_mut(), &*clock);
            let wait = clock.real(until.since(clock.now().mono));
            if !wait.is_zero() {
                waker.wait(wait.min(STEP_MAX));
            }
        }
    })
}

/// One call, or none; answers when to step again.
fn step<L: FeedLogic>(
    worker: &mut FeedWorker<L>,
    source: &mut dyn Source,
    clock: &dyn Clock,
) -> MonoTime {
    let now = clock.now();
    match worker.begin(now) {
        Ok(Do::WaitUntil(until)) => until,
        Ok(Do::Call(call)) => {
            // Freed before the next one: a large centre's answer takes megabytes.
            let (timing, answer) = L::ask(source, &call);
            match worker.complete(clock.now(), timing, answer.as_ref()) {
                Ok(()) => now.mono,
                Err(error) => {
                    tracing::error!(%error, "what the source answered could not be journaled");
                    clock.now().mono.plus(STORE_PAUSE)
                }
            }
        }
        Err(error) => {
            tracing::error!(%error, "the store could not be read");
            now.mono.plus(STORE_PAUSE)
        }
    }
}
