//! The machine of the configuration feed: when to import, and what the lists mean.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::ConfigurationOptions;
use super::compare::{self, Outcome, Terms};
use super::plan::{ImportPlan, ListPlan, Shrink};
use crate::domain::backoff::Backoff;
use crate::domain::call::{
    COMMIT_RECORDS_MAX, CallFailure, ConfigurationAnswer, ConfigurationCall, Decision, Do,
    FailureKind, Rejections, Timing,
};
use crate::domain::clock_offset::OffsetEstimator;
use crate::domain::health::{FeedCounts, FeedState};
use crate::domain::ids::{Feed, SourceName};
use crate::domain::realtime::FeedPhase;
use crate::domain::record::{AgentChange, QueueChange, Record};
use crate::domain::timestamp::{MonoTime, Now};

/// The bounds of the wait after a failed import.
const BACKOFF_MIN: Duration = Duration::from_secs(15);
const BACKOFF_MAX: Duration = Duration::from_hours(1);
/// How often a feed that waits for a person tries by itself.
const FEED_HOLD_RETRY: Duration = Duration::from_mins(15);
/// Imports that other feeds wish for lie at least this far apart.
pub const WISHED_IMPORTS_APART: Duration = Duration::from_mins(10);

/// The last versions of the roster, as the store holds them. They are shown one by one: nobody
/// needs them all at once, and of twenty thousand agents they are some ten megabytes.
pub trait KnownRoster {
    /// Why they cannot be shown.
    type Error;

    /// Shows the version of every agent.
    fn agents(&self, look: &mut dyn FnMut(&AgentChange)) -> Result<(), Self::Error>;

    /// Shows the version of every queue.
    fn queues(&self, look: &mut dyn FnMut(&QueueChange)) -> Result<(), Self::Error>;
}

/// Imports queues and agents: at start, each period, and on wish.
#[derive(Debug)]
pub struct ConfigurationMachine {
    source: SourceName,
    options: ConfigurationOptions,
    rng: Rng,
    backoff: Backoff,
    clock: OffsetEstimator,
    phase: FeedPhase,
    state: FeedState,
    /// The import under way.
    import: Option<Import>,
    /// When the next call is due.
    next: Option<MonoTime>,
    /// When the last import ended well.
    ended: Option<MonoTime>,
    wished: bool,
    /// Imports that persons asked for, each whether it is dry.
    requests: VecDeque<bool>,
    /// How many imports began.
    begun: u64,
    /// How many ended well.
    finished: u64,
    held: Shrinks,
    /// Confirmed by the operator, for the next import.
    confirmed: Shrinks,
    last_plan: Option<Arc<ImportPlan>>,
    rejected: Rejections,
    pending: Option<Pending>,
}

#[derive(Debug, Clone)]
struct Import {
    list: ConfigurationCall,
    plan: ImportPlan,
    /// Rows were lost on the way, or a list was not whole.
    complete: bool,
}

/// What each list lacks too much of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shrinks {
    queues: Option<Shrink>,
    agents: Option<Shrink>,
}

/// What becomes known with the commit.
#[derive(Debug)]
struct Pending {
    state: FeedState,
    /// What each part adds, the first first.
    parts: VecDeque<FeedCounts>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    /// This list is done.
    Listed(Box<Import>),
    Failed,
}

/// The configuration feed at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationStatus {
    /// How it is doing.
    pub phase: FeedPhase,
    /// When it acts next.
    pub next_at: MonoTime,
    /// An import is under way.
    pub importing: bool,
    /// Queues that are missing from the list, waiting for the operator.
    pub held_queues: Option<Shrink>,
    /// Agents that are missing from the list, waiting for the operator.
    pub held_agents: Option<Shrink>,
    /// What the last import found.
    pub last_plan: Option<Arc<ImportPlan>>,
    /// The entries of the last list that were not taken.
    pub rejected: Rejections,
}

impl ConfigurationMachine {
    /// A machine that imports at once.
    pub fn new(
        source: SourceName,
        options: ConfigurationOptions,
        state: Option<FeedState>,
        rng: Rng,
    ) -> Self {
        Self {
            state: state.unwrap_or_else(|| FeedState::new(source.clone(), Feed::Configuration)),
            clock: OffsetEstimator::new(options.clock.clone()),
            backoff: Backoff::new(BACKOFF_MIN, BACKOFF_MAX),
            source,
            options,
            rng,
            phase: FeedPhase::Running,
            import: None,
            next: None,
            ended: None,
            wished: false,
            requests: VecDeque::new(),
            begun: 0,
            finished: 0,
            held: Shrinks::default(),
            confirmed: Shrinks::default(),
            last_plan: None,
            rejected: Rejections::default(),
            pending: None,
        }
    }

    /// What to do now.
    pub fn begin(&mut self, now: Now) -> Do<ConfigurationCall> {
        if self.pending.take().is_some() {
            // The store did not take the answer: neither it nor Thrio is hurried.
            self.next = Some(now.mono.plus(BACKOFF_MIN));
        }
        let due = self.due(now);
        if now.mono < due {
            return Do::WaitUntil(due);
        }
        self.next = Some(now.mono);
        if self.import.is_none() {
            self.wished = false;
            self.begun += 1;
            self.import = Some(Import {
                list: ConfigurationCall::Queues,
                plan: ImportPlan {
                    dry_run: self.requests.pop_front().unwrap_or(false),
                    ..ImportPlan::default()
                },
                complete: true,
            });
        }
        let list = self.import.as_ref().map(|import| import.list);
        Do::Call(list.expect("an import is under way"))
    }

    /// What the list means, compared with the store's roster. Changes nothing that is known. Fails
    /// only where the roster does.
    pub fn finish<K: KnownRoster>(
        &mut self,
        timing: &Timing,
        outcome: Result<&ConfigurationAnswer, &CallFailure>,
        known: &K,
    ) -> Result<Decision, K::Error> {
        self.pending = None;
        self.clock.observe(timing);
        let Some(import) = self.import.clone() else {
            return Ok(Decision::default());
        };
        Ok(match outcome {
            Ok(_) if !self.clock.is_credible(timing.received) => {
                self.failed(timing, &crate::domain::realtime::unknown_time())
            }
            Ok(answer) => return self.listed(timing, answer, known, import),
            Err(failure) if failure.kind == FailureKind::Stopped => Decision::default(),
            Err(failure) => self.failed(timing, failure),
        })
    }

    /// One of the decision's commits is in the store, and others follow.
    pub fn part_committed(&mut self) {
        if let Some(pending) = &mut self.pending
            && let Some(part) = pending.parts.pop_front()
        {
            self.state.counts = self.state.counts.plus(part);
        }
    }

    /// The last decision is in the store, all of it.
    pub fn committed(&mut self, now: Now) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let left = pending.parts.into_iter();
        let counts = left.fold(self.state.counts, FeedCounts::plus);
        self.state = pending.state;
        self.state.counts = counts;
        if let Then::Listed(import) = pending.then {
            self.take_over(*import, now);
        }
    }

    /// What the store keeps of the feed with the decision's last commit, but for that part's
    /// counts, which the shell adds.
    pub fn feed_state(&self) -> FeedState {
        match &self.pending {
            Some(pending) => FeedState {
                counts: self.state.counts,
                ..pending.state.clone()
            },
            None => self.state.clone(),
        }
    }

    /// What the store keeps of the feed with the commits before the last one of a decision.
    pub fn feed_state_between(&self) -> FeedState {
        self.state.clone()
    }

    /// Another feed met an unknown id: an import should run soon.
    pub fn wish(&mut self) {
        self.wished = true;
    }

    /// A person wants an import now; dry, it writes nothing and only makes its plan. Returns the
    /// number of that import, see [`Self::finished`].
    pub fn request(&mut self, dry_run: bool) -> u64 {
        self.requests.push_back(dry_run);
        self.begun + self.requests.len() as u64
    }

    /// The number of the import under way, or of the last one.
    pub fn current(&self) -> u64 {
        self.begun
    }

    /// How many imports ended: all up to this number. [`Self::last_plan`] is what that one found.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// The operator says that the missing entries are really gone: the next import, at once,
    /// closes up to as many. False where nothing waits.
    pub fn confirm(&mut self) -> bool {
        if self.held == Shrinks::default() {
            return false;
        }
        self.confirmed = self.held;
        self.request(false);
        true
    }

    /// The settings in force.
    pub fn options(&self) -> &ConfigurationOptions {
        &self.options
    }

    /// Takes new settings.
    pub fn set_options(&mut self, options: ConfigurationOptions) {
        self.clock.set_options(options.clock.clone());
        self.options = options;
    }

    /// What the last import found.
    pub fn last_plan(&self) -> Option<&Arc<ImportPlan>> {
        self.last_plan.as_ref()
    }

    /// The source's clock, as this feed knows it.
    pub fn clock(&self) -> &OffsetEstimator {
        &self.clock
    }

    /// What a person wants to know.
    pub fn status(&self, now: Now) -> ConfigurationStatus {
        ConfigurationStatus {
            phase: self.phase.clone(),
            next_at: self.due(now),
            importing: self.import.is_some(),
            held_queues: self.held.queues,
            held_agents: self.held.agents,
            last_plan: self.last_plan.clone(),
            rejected: self.rejected.clone(),
        }
    }

    fn due(&self, now: Now) -> MonoTime {
        let planned = self.next.unwrap_or(now.mono);
        let waits = self.phase.held().is_some() || self.phase == FeedPhase::BackingOff;
        if !self.requests.is_empty() && self.import.is_none() {
            return now.mono;
        }
        if !self.wished || self.import.is_some() || waits {
            return planned;
        }
        let earliest = self.ended.map(|ended| ended.plus(WISHED_IMPORTS_APART));
        planned.min(earliest.unwrap_or(now.mono))
    }

    fn listed<K: KnownRoster>(
        &mut self,
        timing: &Timing,
        answer: &ConfigurationAnswer,
        known: &K,
        mut import: Import,
    ) -> Result<Decision, K::Error> {
        let received = self.clock.label(timing.received);
        let terms = |confirmed: Option<Shrink>| Terms {
            source: &self.source,
            at: received,
            max_shrink_percent: self.options.max_shrink_percent,
            confirmed: confirmed.map(|shrink| shrink.missing),
        };
        let (outcome, rejected) = match answer {
            ConfigurationAnswer::Queues(list) => {
                let terms = terms(self.confirmed.queues);
                let outcome = compare::compare(list, |look| known.queues(look), &terms)?;
                (outcome, &list.rejected)
            }
            ConfigurationAnswer::Agents(list) => {
                let terms = terms(self.confirmed.agents);
                let outcome = compare::compare(list, |look| known.agents(look), &terms)?;
                (outcome, &list.rejected)
            }
        };
        self.rejected = rejected.clone();
        import.complete &= outcome.plan.complete && rejected.count == 0;
        import.list = match answer {
            ConfigurationAnswer::Queues(_) => ConfigurationCall::Queues,
            ConfigurationAnswer::Agents(_) => ConfigurationCall::Agents,
        };
        *import.plan_of_list() = outcome.plan.clone();
        let decision = decide(outcome, rejected.count, import.plan.dry_run);
        let mut state = self.state.clone();
        state.last_success_at = Some(received);
        state.consecutive_failures = 0;
        state.last_error = None;
        state.clock_offset_ms = self.clock.offset_ms(timing.received);
        let last_list = import.list == ConfigurationCall::Agents;
        if last_list && import.complete && !import.plan.dry_run {
            state.last_complete_poll_at = Some(received);
            state.last_complete_poll_sent_at = Some(self.clock.label(timing.sent));
        }
        if decision.counts.records() > 0 {
            state.last_data_at = Some(received);
        }
        self.phase = FeedPhase::Running;
        self.backoff.reset();
        self.next = Some(timing.received.mono);
        self.pending = Some(Pending {
            state,
            parts: decision.parts().into_iter().map(|(_, part)| part).collect(),
            then: Then::Listed(Box::new(import)),
        });
        Ok(decision)
    }

    fn failed(&mut self, timing: &Timing, failure: &CallFailure) -> Decision {
        let now = timing.received.mono;
        let (wait, phase) = match failure.kind {
            FailureKind::ConnectionHeld { until } => (
                until.since(now),
                FeedPhase::ConnectionHeld(failure.message.clone()),
            ),
            FailureKind::FeedHeld => (
                FEED_HOLD_RETRY,
                FeedPhase::FeedHeld(failure.message.clone()),
            ),
            FailureKind::Throttled { retry_after } => {
                let asked = retry_after.map(|asked| asked.max(BACKOFF_MIN));
                (
                    self.backoff.next(&mut self.rng, asked),
                    FeedPhase::BackingOff,
                )
            }
            _ => (
                self.backoff.next(&mut self.rng, None),
                FeedPhase::BackingOff,
            ),
        };
        self.phase = phase;
        self.next = Some(now.plus(wait));
        let mut state = self.state.clone();
        state.consecutive_failures = state.consecutive_failures.saturating_add(1);
        state.last_error = Some(failure.message.clone());
        state.clock_offset_ms = self.clock.offset_ms(timing.received);
        let counts = FeedCounts {
            failures: 1,
            ..FeedCounts::default()
        };
        self.pending = Some(Pending {
            state,
            parts: [counts].into(),
            then: Then::Failed,
        });
        Decision {
            counts,
            ..Decision::default()
        }
    }

    fn take_over(&mut self, mut import: Import, now: Now) {
        if !import.plan.dry_run {
            // Dry or not whole, a list settles no confirmation.
            match import.list {
                ConfigurationCall::Queues => {
                    self.held.queues = import.plan.queues.held;
                    self.confirmed.queues = None;
                }
                ConfigurationCall::Agents => {
                    self.held.agents = import.plan.agents.held;
                    self.confirmed.agents = None;
                }
            }
        }
        if import.list == ConfigurationCall::Queues {
            import.list = ConfigurationCall::Agents;
            self.import = Some(import);
            return;
        }
        self.import = None;
        self.last_plan = Some(Arc::new(import.plan));
        self.finished = self.begun;
        self.ended = Some(now.mono);
        self.next = Some(now.mono.plus(self.options.period));
    }
}

impl Import {
    fn plan_of_list(&mut self) -> &mut ListPlan {
        match self.list {
            ConfigurationCall::Queues => &mut self.plan.queues,
            ConfigurationCall::Agents => &mut self.plan.agents,
        }
    }
}

/// Cuts the records into transactions, each with the rows that stand for its records; the rows
/// that changed nothing are counted with the last one.
fn decide(outcome: Outcome, rejected: u64, dry_run: bool) -> Decision {
    let mut rest = FeedCounts {
        answers: 1,
        ..FeedCounts::default()
    };
    if dry_run {
        return Decision {
            counts: rest,
            ..Decision::default()
        };
    }
    rest.rows_unchanged = outcome.unchanged;
    rest.rows_rejected = rejected;
    rest.rows_received = outcome.unchanged + rejected;
    let mut decision = Decision::default();
    let mut records = outcome.records.into_iter().peekable();
    while records.peek().is_some() {
        let mut part = FeedCounts::default();
        let mut commit: Vec<Record> = Vec::new();
        for (record, has_row) in records.by_ref().take(COMMIT_RECORDS_MAX) {
            part.rows_received += u64::from(has_row);
            part.rows_changed += u64::from(has_row);
            part.roster += u64::from(!has_row);
            commit.push(record);
        }
        decision.commits.push(commit);
        decision.split.push(part);
    }
    match decision.split.last_mut() {
        Some(last) => *last = last.plus(rest),
        None => decision.counts = rest,
    }
    let parts = decision.split.iter().copied();
    decision.counts = parts.fold(decision.counts, FeedCounts::plus);
    decision
}
