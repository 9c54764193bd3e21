//! A worker per destination: asks its machine what to do, reads the journal for it, and carries
//! the destination's answer into the store.
//!
//! Invariants:
//! - [`ForwardWorker::begin`] and [`ForwardWorker::complete`] hold no thread and wait for nothing
//!   but the store; the destination is called between them, by [`shell::spawn`] or a simulation.
//! - A refused record is in the store's quarantine before it is left out of a batch.
//! - When [`Store::epoch`] has moved, what the machine knows is loaded anew before it acts.
//! - No read of the store lives across a call to the destination.

mod commands;
mod prepare;
mod report;
pub mod shell;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};
use fastrand::Rng;

pub use commands::{Answer, ForwardCommand, ForwardHandle, Obeyed};
pub use report::{ForwardBoard, ForwardReport};

use commands::{Asked, TakeOver};
use report::Oldest;

use crate::destination::{Receipt, SendError, Writer};
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::call::Do;
use crate::domain::delivery::{
    DeliveryMachine, DeliveryOptions, DeliveryPhase, JournalView, OpenVerdict, Step,
};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{DestinationName, RecordSeq, SourceName, StoreId};
use crate::domain::record::{AgentChange, QueueChange, SequencedRecord};
use crate::domain::timestamp::Now;
use crate::stop::Waker;
use crate::store::{Quarantined, ReadLimit, Store, StoreError};

/// Quarantined records read at once at start.
const QUARANTINE_PAGE: usize = 1_000;

/// What a heartbeat says of the box; the worker adds what is particular to its destination.
pub type HeartbeatFacts = Box<dyn Fn(Now) -> Heartbeat + Send>;

/// One call to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryCall {
    /// [`crate::destination::Destination::open`].
    Open(Writer),
    /// [`crate::destination::Destination::probe`].
    Probe,
    /// [`crate::destination::Destination::send_current`].
    Current(Vec<CurrentState>),
    /// [`crate::destination::Destination::send_roster`].
    Roster(SourceName, Vec<AgentChange>, Vec<QueueChange>),
    /// [`crate::destination::Destination::heartbeat`].
    Heartbeat(Heartbeat),
    /// [`crate::destination::Destination::send`].
    Send(Batch),
    /// [`crate::destination::Destination::resend`].
    Resend(Batch),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Of [`DeliveryCall::Open`].
    Opened(Result<Receipt, SendError>),
    /// Of any other call.
    Done(Result<(), SendError>),
}

/// What a worker serves, and for whom.
pub struct ForwardSettings {
    /// The destination.
    pub name: DestinationName,
    /// How it is served.
    pub options: DeliveryOptions,
    /// The sources of the box.
    pub sources: Vec<SourceName>,
    /// What its heartbeats say.
    pub heartbeat: HeartbeatFacts,
    /// Spreads the backoff over boxes.
    pub seed: u64,
}

/// The worker of one destination, without its thread.
pub struct ForwardWorker {
    name: DestinationName,
    options: DeliveryOptions,
    sources: Vec<SourceName>,
    heartbeat: HeartbeatFacts,
    store: Store,
    machine: DeliveryMachine,
    rng: Rng,
    commands: Receiver<Asked>,
    board: Arc<ForwardBoard>,
    epoch: u64,
    /// The identity under which the destination was opened.
    opened_as: Option<StoreId>,
    /// Sources to take over with the next opening, whoever has them.
    take_over: Vec<TakeOver>,
    /// Sources whose roster the destination wants.
    rosters: VecDeque<SourceName>,
    /// The current states that are being sent, of which some may be sent already.
    fresh: Vec<CurrentState>,
    /// How many current states are out.
    fresh_out: usize,
    /// The memory of the last batch, while one follows the other: it is more than the heap keeps, and
    /// taking it from the system each time costs as much as reading a quarter of the batch.
    spare: Vec<SequencedRecord>,
    oldest: Oldest,
    store_ids_taken: u64,
    /// Since when the receipt was not read, or that it was, is durable.
    unread_noted: bool,
    early_cursor: bool,
}

impl ForwardWorker {
    /// A worker that goes on where the store says, and the way to reach it.
    pub fn new(
        settings: ForwardSettings,
        store: Store,
        waker: Waker,
    ) -> Result<(Self, ForwardHandle), StoreError> {
        let ForwardSettings {
            name,
            options,
            sources,
            heartbeat,
            seed,
        } = settings;
        let (sender, commands) = unbounded();
        let board = Arc::new(ForwardBoard::default());
        let handle = ForwardHandle::new(sender, waker, board.clone());
        let mut rng = Rng::with_seed(seed);
        let epoch = store.epoch();
        let machine = restored(&name, options.clone(), &store, rng.fork())?;
        store.note_progress(&name, machine.progress().clone());
        let worker = Self {
            name,
            options,
            sources,
            heartbeat,
            store,
            machine,
            rng,
            commands,
            board,
            epoch,
            opened_as: None,
            take_over: Vec::new(),
            rosters: VecDeque::new(),
            fresh: Vec::new(),
            fresh_out: 0,
            spare: Vec::new(),
            oldest: Oldest::default(),
            store_ids_taken: 0,
            unread_noted: false,
            early_cursor: false,
        };
        Ok((worker, handle))
    }

    /// The destination.
    pub fn name(&self) -> &DestinationName {
        &self.name
    }

    /// The machine, to be looked at.
    pub fn machine(&self) -> &DeliveryMachine {
        &self.machine
    }

    /// What to do now. An error means that the journal could not be read; nothing is sent until it
    /// can.
    pub fn begin(&mut self, now: Now) -> Result<Do<DeliveryCall>, StoreError> {
        let begun = self.begin_inner(now);
        let is_calling = matches!(begun, Ok(Do::Call(_)));
        self.publish(now, is_calling, begun.as_ref().err());
        if !is_calling {
            self.spare = Vec::new();
        }
        begun
    }

    fn begin_inner(&mut self, now: Now) -> Result<Do<DeliveryCall>, StoreError> {
        self.restore_where_needed()?;
        self.make_unread_durable(now);
        self.obey_all(now)?;
        if self.opened_as.is_some_and(|id| id != self.store.store_id()) {
            self.machine.reopen();
        }
        self.note_oldest(now)?;
        let result = self.next_call(now);
        if result.is_err() {
            self.machine.not_sent();
        }
        result
    }

    /// Takes a batch back that was sent, or not: what it held is done with, its memory is not.
    pub fn take_back(&mut self, call: DeliveryCall) {
        if let DeliveryCall::Send(batch) = call {
            self.spare = batch.records;
            self.spare.clear();
        }
    }

    /// Carries the outcome of the last call into the machine and the store.
    pub fn complete(&mut self, now: Now, outcome: DeliveryOutcome) -> Result<(), StoreError> {
        let before = self.machine.status(self.store.head());
        let done = match outcome {
            DeliveryOutcome::Opened(Ok(receipt)) => self.opened(now, receipt),
            DeliveryOutcome::Done(Ok(())) => self.accepted(now),
            DeliveryOutcome::Opened(Err(error)) | DeliveryOutcome::Done(Err(error)) => {
                self.failed(now, &error)
            }
        };
        self.log_change(&before.phase);
        self.publish(now, false, done.as_ref().err());
        done
    }

    fn view(&self) -> JournalView {
        JournalView {
            first: self.store.first(),
            head: self.store.head(),
        }
    }

    fn opened(&mut self, now: Now, receipt: Receipt) -> Result<(), StoreError> {
        let view = self.view();
        let wanted = receipt.roster_wanted.len();
        let first_of_life = self.machine.progress().unread_since.is_some();
        match self.machine.opened(view, &receipt.applied, wanted) {
            OpenVerdict::Ready => {
                self.claimed();
                self.rosters = receipt.roster_wanted.into();
                self.note_progress();
                self.unread_noted &= !first_of_life;
                self.make_unread_durable(now);
            }
            OpenVerdict::RolledBack => {
                let former = self.store.store_id();
                let id = self.store.new_store_id(now)?;
                self.store_ids_taken += 1;
                tracing::warn!(
                    destination = %self.name, %former, %id, held = %receipt.highest(), head = %view.head,
                    "the destination holds more than the journal: the store was rolled back; \
                     what is unacknowledged is sent under a new store id"
                );
            }
        }
        Ok(())
    }

    fn accepted(&mut self, now: Now) -> Result<(), StoreError> {
        match self.machine.calling() {
            Some(Step::Current { offset, .. }) => {
                let sent = std::mem::take(&mut self.fresh_out);
                let remaining = self.fresh.len().saturating_sub(offset + sent);
                if remaining == 0 {
                    self.fresh = Vec::new();
                }
                self.machine.current_sent(now, sent, remaining);
            }
            Some(Step::Roster) => {
                self.rosters.pop_front();
                self.machine.accepted(now);
            }
            _ => {
                let released = self.machine.accepted(now);
                self.note_progress();
                if let Some(seq) = released {
                    self.store.quarantine_remove(&self.name, &[seq], now)?;
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, now: Now, error: &SendError) -> Result<(), StoreError> {
        let calling = self.machine.calling();
        let refused = self.machine.failed(now, error);
        match calling {
            Some(Step::Open) => self.not_claimed(&error.to_string()),
            // One that was refused again is not tried again after a restart.
            Some(Step::Retry(_)) => self.note_progress(),
            _ => {}
        }
        if refused.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::new();
        for (seq, reason) in &refused {
            tracing::error!(
                destination = %self.name, %seq, reason,
                "the destination refused a record for good; it is in quarantine"
            );
            let page = self.store.read(*seq, ReadLimit::ONE)?;
            // A record that has expired since has nothing left to keep.
            let record = page.records.into_iter().find(|r| r.seq == *seq);
            kept.extend(record.map(|record| Quarantined {
                destination: self.name.clone(),
                record,
                reason: reason.clone(),
                at: now.wall,
            }));
        }
        self.store.quarantine_add(&kept, now)?;
        self.machine
            .set_apart(refused.into_iter().map(|(seq, _)| seq));
        Ok(())
    }

    /// A full disk keeps nothing from being sent: sending is what makes room. It is tried again
    /// with the next step.
    fn make_unread_durable(&mut self, now: Now) {
        if self.unread_noted {
            return;
        }
        match self.store.flush(now) {
            Ok(()) => self.unread_noted = true,
            Err(error) => tracing::debug!(destination = %self.name, %error, "not noted yet"),
        }
    }

    fn note_progress(&self) {
        self.store
            .note_progress(&self.name, self.machine.progress().clone());
    }

    fn restore_where_needed(&mut self) -> Result<(), StoreError> {
        let epoch = self.store.epoch();
        if epoch == self.epoch {
            return Ok(());
        }
        let options = self.options.clone();
        self.machine = restored(&self.name, options, &self.store, self.rng.fork())?;
        if self.early_cursor {
            self.machine.plant_early_cursor();
        }
        self.opened_as = None;
        self.rosters.clear();
        self.fresh = Vec::new();
        self.epoch = epoch;
        self.unread_noted = false;
        self.note_progress();
        Ok(())
    }

    /// Plants the bug that the whole-box simulation must catch: the cursor moves when a batch
    /// leaves, not when it is acknowledged.
    #[doc(hidden)]
    pub fn plant_early_cursor(&mut self) {
        self.early_cursor = true;
        self.machine.plant_early_cursor();
    }

    fn log_change(&self, before: &DeliveryPhase) {
        let status = self.machine.status(self.store.head());
        let destination = &self.name;
        match (before, &status.phase) {
            (DeliveryPhase::Held { reason: old, .. }, DeliveryPhase::Held { reason, .. })
                if old == reason => {}
            (_, DeliveryPhase::Held { reason, remedy, .. }) => {
                tracing::error!(%destination, reason, remedy, "the destination is held");
            }
            (DeliveryPhase::Waiting { .. }, DeliveryPhase::Waiting { .. }) => {}
            (_, DeliveryPhase::Waiting { .. }) => {
                let error = status.last_error.as_deref().unwrap_or_default();
                tracing::warn!(%destination, error, "the destination fails; nothing is lost");
            }
            (
                DeliveryPhase::Held { .. } | DeliveryPhase::Waiting { .. },
                DeliveryPhase::Idle | DeliveryPhase::Sending,
            ) => {
                let backlog = status.balance.backlog;
                tracing::info!(%destination, backlog, "the destination is back");
            }
            _ => {}
        }
    }
}

fn restored(
    name: &DestinationName,
    options: DeliveryOptions,
    store: &Store,
    rng: Rng,
) -> Result<DeliveryMachine, StoreError> {
    let mut quarantined = BTreeSet::new();
    let mut from = RecordSeq::ZERO;
    loop {
        let page = store.quarantine_list(name, from, QUARANTINE_PAGE)?;
        let Some(last) = page.last() else { break };
        from = last.record.seq.next();
        quarantined.extend(page.iter().map(|entry| entry.record.seq));
    }
    Ok(DeliveryMachine::new(
        options,
        store.progress(name),
        store.head(),
        quarantined,
        rng,
    ))
}
