//! Queues and agents: the configuration feed's part of a worker.

use std::sync::Arc;

use crossbeam_channel::Sender;
use fastrand::Rng;

use super::{FeedDetail, FeedLogic, SourceBoard};
use crate::domain::call::{
    CallFailure, ConfigurationAnswer, ConfigurationCall, Decision, Do, Timing,
};
use crate::domain::configuration::{
    ConfigurationMachine, ConfigurationOptions, ImportPlan, KnownRoster,
};
use crate::domain::health::FeedState;
use crate::domain::ids::{Feed, SourceName};
use crate::domain::record::{AgentChange, QueueChange};
use crate::domain::timestamp::Now;
use crate::store::{Store, StoreError};
use crate::thrio::Source;

/// What an import found, or why it brought nothing (it is tried again, unasked).
pub type ImportOutcome = Result<Arc<ImportPlan>, String>;

/// The configuration feed of one source.
pub struct ConfigurationFeed {
    source: SourceName,
    machine: ConfigurationMachine,
    rng: Rng,
    /// Who waits for which import.
    waiting: Vec<(u64, Sender<ImportOutcome>)>,
}

/// What a person may ask of the configuration feed.
#[derive(Debug)]
pub enum ConfigurationCommand {
    /// Import now.
    Import {
        /// Write nothing, only say what would change.
        dry_run: bool,
        /// Who wants to know what it found.
        reply: Sender<ImportOutcome>,
    },
    /// What a held list lacks is really gone: import now, and close it.
    Confirm {
        /// Who wants to know whether a list was held.
        reply: Sender<bool>,
    },
    /// New settings.
    SetOptions(Box<ConfigurationOptions>),
}

impl ConfigurationFeed {
    /// The feed as the store remembers it.
    pub fn new(
        source: SourceName,
        options: ConfigurationOptions,
        store: &Store,
        seed: u64,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        let machine = restored(&source, options, store, rng.fork());
        Self {
            source,
            machine,
            rng,
            waiting: Vec::new(),
        }
    }

    fn answer_all(&mut self, outcome: &ImportOutcome, up_to: u64) {
        self.waiting.retain(|(number, reply)| {
            let waits = *number > up_to;
            if !waits {
                // Who asked may have gone meanwhile; there is nobody to tell then.
                let _ = reply.send(outcome.clone());
            }
            waits
        });
    }
}

fn restored(
    source: &SourceName,
    options: ConfigurationOptions,
    store: &Store,
    rng: Rng,
) -> ConfigurationMachine {
    let state = store.feed_state(source, Feed::Configuration);
    ConfigurationMachine::new(source.clone(), options, state, rng)
}

/// The roster where it lies.
struct Stored<'a> {
    store: &'a Store,
    source: &'a SourceName,
}

impl KnownRoster for Stored<'_> {
    type Error = StoreError;

    fn agents(&self, look: &mut dyn FnMut(&AgentChange)) -> Result<(), StoreError> {
        self.store.for_each_agent(self.source, look)
    }

    fn queues(&self, look: &mut dyn FnMut(&QueueChange)) -> Result<(), StoreError> {
        self.store.for_each_queue(self.source, look)
    }
}

impl FeedLogic for ConfigurationFeed {
    type Call = ConfigurationCall;
    type Answer = ConfigurationAnswer;
    type Command = ConfigurationCommand;

    fn feed(&self) -> Feed {
        Feed::Configuration
    }

    fn begin(&mut self, now: Now, board: &SourceBoard) -> Do<ConfigurationCall> {
        if board.take_import_wanted() {
            self.machine.wish();
        }
        self.machine.begin(now)
    }

    fn finish(
        &mut self,
        store: &Store,
        _board: &SourceBoard,
        _call: &ConfigurationCall,
        timing: Timing,
        outcome: Result<&ConfigurationAnswer, &CallFailure>,
    ) -> Result<Decision, StoreError> {
        let known = Stored {
            store,
            source: &self.source,
        };
        self.machine.finish(&timing, outcome, &known)
    }

    fn part_committed(&mut self) {
        self.machine.part_committed();
    }

    fn committed(&mut self, now: Now) {
        self.machine.committed(now);
        if let Some(error) = self.machine.feed_state_between().last_error {
            self.answer_all(&Err(error), self.machine.current());
        } else if let Some(plan) = self.machine.last_plan().cloned() {
            self.answer_all(&Ok(plan), self.machine.finished());
        }
    }

    fn feed_state(&self) -> FeedState {
        self.machine.feed_state()
    }

    fn feed_state_between(&self) -> FeedState {
        self.machine.feed_state_between()
    }

    fn restore(&mut self, store: &Store, _now: Now) -> Result<(), StoreError> {
        let options = self.machine.options().clone();
        self.machine = restored(&self.source, options, store, self.rng.fork());
        let gone = Err("the store was replaced meanwhile; ask again".to_owned());
        self.answer_all(&gone, u64::MAX);
        Ok(())
    }

    fn obey(&mut self, command: ConfigurationCommand, _store: &Store, _now: Now) {
        match command {
            ConfigurationCommand::Import { dry_run, reply } => {
                let number = self.machine.request(dry_run);
                self.waiting.push((number, reply));
            }
            ConfigurationCommand::Confirm { reply } => {
                let _ = reply.send(self.machine.confirm());
            }
            ConfigurationCommand::SetOptions(options) => self.machine.set_options(*options),
        }
    }

    fn detail(&self, now: Now) -> FeedDetail {
        FeedDetail::Configuration(self.machine.status(now))
    }

    fn ask(
        source: &mut dyn Source,
        call: &ConfigurationCall,
    ) -> (Timing, Result<ConfigurationAnswer, CallFailure>) {
        match source.configuration(*call) {
            Ok(answered) => (answered.timing, Ok(answered.value)),
            Err(error) => (error.timing, Err(error.failure())),
        }
    }
}
