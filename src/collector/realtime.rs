//! Agent states: the realtime feed's part of a worker.

use fastrand::Rng;

use super::{FeedDetail, FeedLogic, SourceBoard};
use crate::domain::call::{CallFailure, Decision, Do, RealtimeCall, Snapshot, Timing};
use crate::domain::health::FeedState;
use crate::domain::ids::{Feed, SourceName};
use crate::domain::realtime::{RealtimeMachine, RealtimeOptions, Restored};
use crate::domain::timestamp::Now;
use crate::store::{Store, StoreError};
use crate::thrio::Source;

/// The realtime feed of one source.
pub struct RealtimeFeed {
    source: SourceName,
    machine: RealtimeMachine,
    rng: Rng,
}

/// What a person may ask of the realtime feed.
#[derive(Debug)]
pub enum RealtimeCommand {
    /// Poll at once, also where the feed is held.
    PollNow,
    /// New settings, from the next poll on.
    SetOptions(Box<RealtimeOptions>),
}

impl RealtimeFeed {
    /// The feed as the store remembers it. `seed` spreads start and backoff over boxes.
    pub fn new(
        source: SourceName,
        options: RealtimeOptions,
        store: &Store,
        seed: u64,
    ) -> Result<Self, StoreError> {
        let mut rng = Rng::with_seed(seed);
        let machine = restored(&source, options, store, rng.fork())?;
        Ok(Self {
            source,
            machine,
            rng,
        })
    }
}

fn restored(
    source: &SourceName,
    options: RealtimeOptions,
    store: &Store,
    rng: Rng,
) -> Result<RealtimeMachine, StoreError> {
    let state = store.feed_state(source, Feed::Realtime);
    let agents = store.agent_states(source)?;
    let codes = store.state_codes(source)?;
    let remembered = Restored {
        state: state.as_ref(),
        agents: &agents,
        codes: &codes,
    };
    Ok(RealtimeMachine::new(
        source.clone(),
        options,
        &remembered,
        rng,
    ))
}

impl FeedLogic for RealtimeFeed {
    type Call = RealtimeCall;
    type Answer = Snapshot;
    type Command = RealtimeCommand;

    fn feed(&self) -> Feed {
        Feed::Realtime
    }

    fn begin(&mut self, now: Now, _board: &SourceBoard) -> Do<RealtimeCall> {
        self.machine.begin(now)
    }

    fn finish(
        &mut self,
        _store: &Store,
        board: &SourceBoard,
        _call: &RealtimeCall,
        timing: Timing,
        outcome: Result<&Snapshot, &CallFailure>,
    ) -> Result<Decision, StoreError> {
        Ok(self.machine.finish(&timing, outcome, &board.roster()))
    }

    fn part_committed(&mut self) {}

    fn committed(&mut self, now: Now) {
        self.machine.committed(now);
    }

    fn feed_state(&self) -> FeedState {
        self.machine.feed_state()
    }

    fn feed_state_between(&self) -> FeedState {
        self.machine.feed_state_between()
    }

    fn restore(&mut self, store: &Store, _now: Now) -> Result<(), StoreError> {
        let options = self.machine.options().clone();
        self.machine = restored(&self.source, options, store, self.rng.fork())?;
        Ok(())
    }

    fn obey(&mut self, command: RealtimeCommand, _store: &Store, now: Now) {
        match command {
            RealtimeCommand::PollNow => self.machine.poll_now(now),
            RealtimeCommand::SetOptions(options) => self.machine.set_options(*options, now),
        }
    }

    fn detail(&self, now: Now) -> FeedDetail {
        FeedDetail::Realtime(self.machine.status(now))
    }

    fn ask(
        source: &mut dyn Source,
        call: &RealtimeCall,
    ) -> (Timing, Result<Snapshot, CallFailure>) {
        let mut answer = Snapshot::default();
        match source.realtime(call, &mut answer) {
            Ok(answered) => (answered.timing, Ok(answer)),
            Err(error) => (error.timing, Err(error.failure())),
        }
    }
}
