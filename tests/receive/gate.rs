//! A database that is stuck: what waits, and what hears at once that it must.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use thrio_edge::destination::{Destination, Receipt, SendError, Writer};
use thrio_edge::domain::batch::{Batch, CurrentState};
use thrio_edge::domain::health::Heartbeat;

use crate::protocol::{Sent, batch, post};
use crate::site::{Site, token};

/// Calls at once.
const CALLS: u64 = 40;
/// How many of them the queue holds, beside the one that is being written.
const QUEUED: u64 = 8;
/// An answer that takes longer has been forgotten.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets nothing through while it is shut.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, u64, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.2 = true;
        self.changed.notify_all();
        let mut state = self
            .changed
            .wait_while(state, |(is_open, _, _)| !*is_open)
            .expect("no panic");
        state.1 += 1;
    }

    fn wait_for_a_caller(&self) {
        let state = self.state.lock().expect("no panic");
        let waited = self
            .changed
            .wait_while(state, |(_, _, is_entered)| !*is_entered);
        drop(waited.expect("no panic"));
    }

    fn open(&self) {
        self.state.lock().expect("no panic").0 = true;
        self.changed.notify_all();
    }

    fn passed(&self) -> u64 {
        self.state.lock().expect("no panic").1
    }
}

struct Gated(Arc<Gate>);

impl Destination for Gated {
    fn open(&mut self, _: &Writer) -> Result<Receipt, SendError> {
        Ok(Receipt::default())
    }

    fn send(&mut self, _: &Batch) -> Result<(), SendError> {
        self.0.pass();
        Ok(())
    }

    fn send_current(&mut self, _: &[CurrentState]) -> Result<(), SendError> {
        Ok(())
    }

    fn heartbeat(&mut self, _: &Heartbeat) -> Result<(), SendError> {
        Ok(())
    }

    fn probe(&mut self) -> Result<(), SendError> {
        Ok(())
    }
}

#[test]
fn while_the_database_is_stuck_a_few_wait_and_the_others_hear_503_at_once() {
    let gate = Arc::new(Gate::default());
    let make = {
        let gate = Arc::clone(&gate);
        move || -> Box<dyn Destination> { Box::new(Gated(Arc::clone(&gate))) }
    };
    let site = Site::with(tempfile::tempdir().expect("a folder"), Box::new(make));
    let (answers, answered) = crossbeam_channel::unbounded();
    let send = |n: u64| {
        let (url, answers) = (site.url(), answers.clone());
        std::thread::spawn(move || {
            let answer = post(&url, token("front-desk"), &batch(n, n));
            answers.send(answer).expect("somebody counts");
        });
    };
    let answer = || -> Sent { answered.recv_timeout(PATIENCE).expect("an answer") };
    send(1);
    gate.wait_for_a_caller();
    (2..=CALLS).for_each(send);
    // While the gate is shut nothing leaves the queue: all that does not fit is answered now.
    for _ in QUEUED..CALLS - 1 {
        let answer = answer();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains("busy"), "{answer:?}");
        assert!(answer.retry_after.is_some());
    }
    // And what is left waits, or it could not be applied once the gate opens.
    gate.open();
    for _ in 0..=QUEUED {
        let answer = answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(gate.passed(), QUEUED + 1);
}
