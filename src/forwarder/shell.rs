//! The thread around a worker: makes the calls, and waits where a stop or a wake-up can end the
//! wait.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{DeliveryCall, DeliveryOutcome, ForwardWorker};
use crate::clock::Clock;
use crate::destination::Destination;
use crate::domain::call::Do;
use crate::domain::timestamp::MonoTime;
use crate::stop::Waker;

/// A worker steps at least this often (in real time), so that the watchdog sees it live.
const STEP_MAX: Duration = Duration::from_secs(5);
/// The pause after the store could not be used, in the clock's own time.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread of a destination. It ends with the stop token of `waker`, after the call
/// that is under way; a panic in it is the joiner's to see.
pub fn spawn(
    name: String,
    mut worker: ForwardWorker,
    mut destination: Box<dyn Destination>,
    clock: Arc<dyn Clock>,
    waker: Waker,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(move || {
        while !waker.token().is_stopped() {
            let until = step(&mut worker, destination.as_mut(), &*clock);
            let wait = clock.real(until.since(clock.now().mono));
            if !wait.is_zero() {
                waker.wait(wait.min(STEP_MAX));
            }
        }
    })
}

/// One call, or none; answers when to step again.
fn step(
    worker: &mut ForwardWorker,
    destination: &mut dyn Destination,
    clock: &dyn Clock,
) -> MonoTime {
    let now = clock.now();
    match worker.begin(now) {
        Ok(Do::WaitUntil(until)) => until,
        Ok(Do::Call(call)) => {
            let outcome = execute(destination, &call);
            worker.take_back(call);
            match worker.complete(clock.now(), outcome) {
                Ok(()) => now.mono,
                Err(error) => {
                    tracing::error!(%error, "a destination's answer could not be stored");
                    now.mono.plus(STORE_PAUSE)
                }
            }
        }
        Err(error) => {
            tracing::error!(%error, "the journal could not be read for a destination");
            now.mono.plus(STORE_PAUSE)
        }
    }
}

/// Makes the call: the one part that blocks.
pub fn execute(destination: &mut dyn Destination, call: &DeliveryCall) -> DeliveryOutcome {
    DeliveryOutcome::Done(match call {
        DeliveryCall::Open(writer) => return DeliveryOutcome::Opened(destination.open(writer)),
        DeliveryCall::Probe => destination.probe(),
        DeliveryCall::Current(states) => destination.send_current(states),
        DeliveryCall::Roster(source, agents, queues) => {
            destination.send_roster(source, agents, queues)
        }
        DeliveryCall::Heartbeat(beat) => destination.heartbeat(beat),
        DeliveryCall::Send(batch) => destination.send(batch),
        DeliveryCall::Resend(batch) => destination.resend(batch),
    })
}
