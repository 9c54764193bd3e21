//! A database that is stuck: what waits, and what hears at once that it must.

use std::sync::{Arc, Condvar, Mutex};

use thrio_edge::destination::{Destination, Receipt, SendError, Writer};
use thrio_edge::domain::batch::{Batch, CurrentState};
use thrio_edge::domain::health::Heartbeat;

use crate::protocol::{Sent, batch, post};
use crate::site::{Site, token};

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
    let url = site.url();
    let send = move |n: u64| {
        let url = url.clone();
        std::thread::spawn(move || post(&url, token("front-desk"), &batch(n, n)))
    };
    let first = send(1);
    gate.wait_for_a_caller();
    let others: Vec<_> = (2..=40).map(&send).collect();
    // Those that do not fit are answered while the gate is shut.
    let mut waiting = Vec::new();
    let mut refused = 0;
    for other in others {
        if waiting.len() < 8 && !is_soon_finished(&other, refused) {
            waiting.push(other);
            continue;
        }
        let answer: Sent = other.join().expect("no panic");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.retry_after.is_some());
        refused += 1;
    }
    assert_eq!(refused + waiting.len(), 39);
    assert!(waiting.len() <= 8, "the queue holds eight");
    gate.open();
    assert_eq!(first.join().expect("no panic").status, 200);
    for one in waiting {
        assert_eq!(one.join().expect("no panic").status, 200);
    }
    assert_eq!(gate.passed(), 40 - refused as u64);
}

/// Whether the call was refused, as most must be; those that wait do so until the gate opens.
fn is_soon_finished(call: &std::thread::JoinHandle<Sent>, _refused: usize) -> bool {
    for _ in 0..500 {
        if call.is_finished() {
            return true;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    false
}
