//! Contact volume: the historical feed's part of a worker.

use crossbeam_channel::Sender;
use fastrand::Rng;

use super::{FeedDetail, FeedLogic, SourceBoard};
use crate::domain::backfill::BackfillReport;
use crate::domain::call::{CallFailure, Decision, Do, HistoricalAnswer, HistoricalCall, Timing};
use crate::domain::clock_offset::ClockOptions;
use crate::domain::health::FeedState;
use crate::domain::historical::{HistoricalMachine, HistoricalOptions, HistoricalStart};
use crate::domain::ids::{Feed, QueueId, SourceName};
use crate::domain::interval::Window;
use crate::domain::timestamp::Now;
use crate::store::{KnownIntervals, Store, StoreError};
use crate::thrio::Source;

/// The historical feed of one source.
pub struct HistoricalFeed {
    source: SourceName,
    options: HistoricalOptions,
    clock: ClockOptions,
    machine: HistoricalMachine,
    /// The roster that the machine knows; none before its first step.
    roster_version: Option<u64>,
    rng: Rng,
}

/// What a person may ask of the historical feed.
#[derive(Debug)]
pub enum HistoricalCommand {
    /// Reads a window again; answers the number under which it is reported.
    Backfill {
        /// The intervals.
        window: Window,
        /// Only this queue.
        queue: Option<QueueId>,
        /// Only says what would change.
        dry_run: bool,
        /// Who wants the number.
        reply: Sender<u64>,
    },
    /// Ends a backfill.
    CancelBackfill {
        /// Its number.
        id: u64,
        /// Who wants to know whether it was there.
        reply: Sender<bool>,
    },
    /// New settings: the feed starts anew from what the store holds.
    SetOptions {
        /// The settings of the feed.
        options: Box<HistoricalOptions>,
        /// How much the box's clock is trusted.
        clock: ClockOptions,
    },
    /// How far a backfill is, and what it changed.
    BackfillReport {
        /// Its number.
        id: u64,
        /// Who wants to know.
        reply: Sender<Option<BackfillReport>>,
    },
}

impl HistoricalFeed {
    /// The feed as the store remembers it.
    pub fn new(
        source: SourceName,
        options: HistoricalOptions,
        clock: ClockOptions,
        store: &Store,
        now: Now,
        seed: u64,
    ) -> Result<Self, StoreError> {
        let mut rng = Rng::with_seed(seed);
        let machine = restored(&source, &options, &clock, store, now, rng.u64(..))?;
        Ok(Self {
            source,
            options,
            clock,
            machine,
            roster_version: None,
            rng,
        })
    }
}

impl HistoricalFeed {
    fn look_at_roster(&mut self, board: &SourceBoard) {
        let version = Some(board.roster_version());
        if version == self.roster_version {
            return;
        }
        let roster = board.roster();
        // A closed queue stays known: old intervals still name it.
        let queues = roster
            .queues()
            .map(|(queue, standing)| (queue.clone(), standing.open && standing.active));
        self.machine.set_queues(queues);
        self.roster_version = version;
    }

    /// What a person was promised outlives a power cut.
    fn remember(&self, store: &Store, now: Now) {
        store.note_feed_state(self.machine.feed_state());
        if let Err(error) = store.flush(now) {
            tracing::warn!(%error, "the wish is not on disk yet; it goes with the next commit");
        }
    }

    fn load(&mut self, store: &Store, now: Now) -> Result<(), StoreError> {
        let seed = self.rng.u64(..);
        let (options, clock) = (&self.options, &self.clock);
        self.machine = restored(&self.source, options, clock, store, now, seed)?;
        self.roster_version = None;
        Ok(())
    }
}

fn restored(
    source: &SourceName,
    options: &HistoricalOptions,
    clock: &ClockOptions,
    store: &Store,
    now: Now,
    seed: u64,
) -> Result<HistoricalMachine, StoreError> {
    let state = store.feed_state(source, Feed::Historical);
    let window = HistoricalMachine::coverage_window(options, state.as_ref(), now);
    let coverage = store.coverage(source, Feed::Historical, window)?;
    Ok(HistoricalMachine::new(HistoricalStart {
        source: source.clone(),
        options: options.clone(),
        clock: clock.clone(),
        installed_at: store.installed_at(),
        queues: Vec::new(),
        coverage,
        state,
        seed,
    }))
}

impl FeedLogic for HistoricalFeed {
    type Call = HistoricalCall;
    type Answer = HistoricalAnswer;
    type Command = HistoricalCommand;

    fn feed(&self) -> Feed {
        Feed::Historical
    }

    fn begin(&mut self, now: Now, board: &SourceBoard) -> Do<HistoricalCall> {
        self.look_at_roster(board);
        self.machine.begin(now)
    }

    fn finish(
        &mut self,
        store: &Store,
        board: &SourceBoard,
        call: &HistoricalCall,
        timing: Timing,
        outcome: Result<&HistoricalAnswer, &CallFailure>,
    ) -> Result<Decision, StoreError> {
        let known = match outcome {
            Ok(_) => store.known_intervals(&self.source, call.window)?,
            Err(_) => KnownIntervals::new(),
        };
        // An import may have come in while the call was under way.
        self.look_at_roster(board);
        Ok(self.machine.finish(timing, outcome, &known))
    }

    fn part_committed(&mut self) {
        self.machine.part_committed();
    }

    fn committed(&mut self, now: Now) {
        self.machine.committed(now);
    }

    fn feed_state(&self) -> FeedState {
        self.machine.feed_state()
    }

    fn feed_state_between(&self) -> FeedState {
        self.machine.feed_state_between()
    }

    fn restore(&mut self, store: &Store, now: Now) -> Result<(), StoreError> {
        self.load(store, now)
    }

    fn obey(&mut self, command: HistoricalCommand, store: &Store, now: Now) {
        // A closed reply means that who asked has gone; there is nobody to tell.
        match command {
            HistoricalCommand::Backfill {
                window,
                queue,
                dry_run,
                reply,
            } => {
                let id = self.machine.request_backfill(window, queue, dry_run);
                self.remember(store, now);
                let _ = reply.send(id);
            }
            HistoricalCommand::CancelBackfill { id, reply } => {
                let was_there = self.machine.cancel_backfill(id);
                self.remember(store, now);
                let _ = reply.send(was_there);
            }
            HistoricalCommand::BackfillReport { id, reply } => {
                let _ = reply.send(self.machine.backfill_report(id));
            }
            HistoricalCommand::SetOptions { options, clock } => {
                self.options = *options;
                self.clock = clock;
                if let Err(error) = self.load(store, now) {
                    // The settings hold from the next load on; the feed goes on as it was.
                    tracing::error!(%error, "the historical feed could not take its new settings");
                }
            }
        }
    }

    fn detail(&self, now: Now) -> FeedDetail {
        FeedDetail::Historical(self.machine.status(now))
    }

    fn ask(
        source: &mut dyn Source,
        call: &HistoricalCall,
    ) -> (Timing, Result<HistoricalAnswer, CallFailure>) {
        match source.historical(call) {
            Ok(answered) => (answered.timing, Ok(answered.value)),
            Err(error) => (error.timing, Err(error.failure())),
        }
    }
}
