//! A worker per feed: asks its machine what to do, carries the answer through the store, and only
//! then lets the machine take it over.
//!
//! Invariants:
//! - [`FeedWorker::begin`] and [`FeedWorker::complete`] hold no thread and wait for nothing but
//!   the store: the seeded simulation drives the same two that [`shell::spawn`] drives.
//! - A decision's records and the counters that count them are one commit; where a commit fails,
//!   the machine is not told, and the next answer is compared with what the journal holds.
//! - When [`Store::epoch`] has moved, what the machine knows is loaded anew before it acts.

pub mod board;
pub mod configuration;
pub mod historical;
pub mod realtime;
pub mod shell;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

pub use board::{FeedDetail, FeedReport, SourceBoard};

use crate::domain::call::{CallFailure, Decision, Do, Timing};
use crate::domain::health::FeedState;
use crate::domain::ids::Feed;
use crate::domain::timestamp::Now;
use crate::stop::Waker;
use crate::store::{Commit, Store, StoreError};
use crate::thrio::Source;

/// Wishes that wait for a worker; a call may take half a minute, and nobody sends more by hand.
const COMMANDS_MAX: usize = 64;

/// What is particular to one kind of feed: its machine, and how a call of it is made.
pub trait FeedLogic: Send {
    /// What the machine asks for.
    type Call: Clone + Send;
    /// What comes back.
    type Answer: Send;
    /// What a person may ask of the feed.
    type Command: Send;

    /// Which feed.
    fn feed(&self) -> Feed;

    /// The machine's next step.
    fn begin(&mut self, now: Now, board: &SourceBoard) -> Do<Self::Call>;

    /// What the outcome means; changes nothing that is known.
    fn finish(
        &mut self,
        store: &Store,
        board: &SourceBoard,
        call: &Self::Call,
        timing: Timing,
        outcome: Result<&Self::Answer, &CallFailure>,
    ) -> Result<Decision, StoreError>;

    /// One of several commits is in the store, and not the last.
    fn part_committed(&mut self);

    /// The whole decision is in the store.
    fn committed(&mut self, now: Now);

    /// The feed's state with the decision, but for the decision's counts.
    fn feed_state(&self) -> FeedState;

    /// The feed's state as far as the store has it: after the commits so far of a decision.
    fn feed_state_between(&self) -> FeedState;

    /// Forgets what the machine knows and loads it from the store.
    fn restore(&mut self, store: &Store, now: Now) -> Result<(), StoreError>;

    /// Carries out a person's wish.
    fn obey(&mut self, command: Self::Command, store: &Store, now: Now);

    /// What `status` shows beside the feed's state.
    fn detail(&self, now: Now) -> FeedDetail;

    /// Makes the call, the one part that blocks.
    fn ask(
        source: &mut dyn Source,
        call: &Self::Call,
    ) -> (Timing, Result<Self::Answer, CallFailure>);
}

/// The worker of one feed, without its thread.
pub struct FeedWorker<L: FeedLogic> {
    logic: L,
    store: Store,
    board: Arc<SourceBoard>,
    commands: Receiver<L::Command>,
    call: Option<L::Call>,
    epoch: u64,
    /// Why the store last failed, until an answer is carried through.
    store_error: Option<String>,
}

/// How others reach a feed's worker.
#[derive(Debug)]
pub struct FeedHandle<C> {
    commands: Sender<C>,
    waker: Waker,
}

impl<C> Clone for FeedHandle<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            waker: self.waker.clone(),
        }
    }
}

impl<C> FeedHandle<C> {
    /// Sends a wish and wakes the worker. False where the worker has ended, or has not yet come
    /// to the last 64 wishes.
    pub fn send(&self, command: C) -> bool {
        let sent = self.commands.try_send(command).is_ok();
        self.waker.wake();
        sent
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

impl<L: FeedLogic> FeedWorker<L> {
    /// A worker whose machine has just been restored from `store`, and the way to reach it.
    pub fn new(
        logic: L,
        store: Store,
        board: Arc<SourceBoard>,
        waker: Waker,
    ) -> (Self, FeedHandle<L::Command>) {
        let (sender, commands) = bounded(COMMANDS_MAX);
        let handle = FeedHandle {
            commands: sender,
            waker,
        };
        let epoch = store.epoch();
        let worker = Self {
            logic,
            store,
            board,
            commands,
            call: None,
            epoch,
            store_error: None,
        };
        (worker, handle)
    }

    /// What to do now. An error means that the store could not be read again after it was
    /// replaced; nothing is asked for until it can.
    pub fn begin(&mut self, now: Now) -> Result<Do<L::Call>, StoreError> {
        if let Err(error) = self.restore_where_needed(now) {
            self.store_error = Some(error.to_string());
            self.publish(now);
            return Err(error);
        }
        while let Ok(command) = self.commands.try_recv() {
            self.logic.obey(command, &self.store, now);
        }
        let step = self.logic.begin(now, &self.board);
        self.call = match &step {
            Do::Call(call) => Some(call.clone()),
            Do::WaitUntil(_) => None,
        };
        self.publish(now);
        Ok(step)
    }

    /// Carries the outcome of the last call through the store.
    ///
    /// # Panics
    /// Where no call was under way: a programmer's error.
    pub fn complete(
        &mut self,
        now: Now,
        timing: Timing,
        outcome: Result<&L::Answer, &CallFailure>,
    ) -> Result<(), StoreError> {
        let call = self.call.take().expect("complete follows a call of begin");
        let done = self.journal(now, &call, timing, outcome);
        self.store_error = done.as_ref().err().map(ToString::to_string);
        self.publish(now);
        done
    }

    fn journal(
        &mut self,
        now: Now,
        call: &L::Call,
        timing: Timing,
        outcome: Result<&L::Answer, &CallFailure>,
    ) -> Result<(), StoreError> {
        // From the look at the roster to the commit of what follows from it: else two feeds could
        // both find an id unknown, and a provisional entry overwrite an imported one.
        let _turn = self.board.turn();
        let (logic, store) = (&mut self.logic, &self.store);
        let decision = logic.finish(store, &self.board, call, timing, outcome)?;
        let parts = decision.parts();
        let last = parts.len() - 1;
        let mut journaled = false;
        for (n, (records, counts)) in parts.into_iter().enumerate() {
            let mut state = if n == last {
                logic.feed_state()
            } else {
                logic.feed_state_between()
            };
            state.counts = state.counts.plus(counts);
            if records.is_empty() {
                store.note_feed_state(state);
            } else {
                let commit = Commit {
                    records,
                    feed_states: &[state],
                };
                store.append(&commit, now)?;
                self.board.apply(records);
                journaled = true;
            }
            if n < last {
                logic.part_committed();
            }
        }
        logic.committed(now);
        if decision.import_wanted {
            self.board.want_import();
        }
        if journaled {
            self.board.journaled();
        }
        Ok(())
    }

    fn restore_where_needed(&mut self, now: Now) -> Result<(), StoreError> {
        let epoch = self.store.epoch();
        if epoch == self.epoch {
            return Ok(());
        }
        self.board.restore(&self.store)?;
        self.logic.restore(&self.store, now)?;
        self.epoch = epoch;
        Ok(())
    }

    fn publish(&self, now: Now) {
        let report = FeedReport {
            state: self.logic.feed_state_between(),
            detail: self.logic.detail(now),
            stepped_at: now.mono,
            is_calling: self.call.is_some(),
            store_error: self.store_error.clone(),
        };
        self.board.publish(self.logic.feed(), report);
    }
}
