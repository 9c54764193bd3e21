//! The machine of the historical feed: begin, finish, committed.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use fastrand::Rng;

use super::super::backfill::BackfillChange;
use super::super::call::{
    CallFailure, Decision, Do, FailureKind, HistoricalAnswer, HistoricalCall, Timing,
};
use super::super::clock_offset::{ClockOptions, OffsetEstimator};
use super::super::coverage::Coverage;
use super::super::health::FeedState;
use super::super::ids::{Feed, QueueId, SourceName};
use super::super::interval::{INTERVALS_PER_DAY, IntervalStart, Window};
use super::super::record::CoverageEntry;
use super::super::schedule::{Schedule, intervals_in};
use super::super::timestamp::{MonoTime, Now, WallTime};
use super::KnownIntervals;
use super::options::HistoricalOptions;
use super::pace::{Gates, Sizing};
use super::pending::Pending;
use super::plan::memory_back;
use super::progress::HistoricalProgress;
use super::track::{Lane, Track};

/// No wait is longer, so that a step of the wall clock is noticed.
pub(super) const WAIT_MAX: Duration = Duration::from_mins(1);
/// An answer that was asked for by a clock this much off is not used.
pub(super) const PLAN_OFFSET_MS_MAX: i64 = 60_000;

/// What a machine starts from.
#[derive(Debug, Clone)]
pub struct HistoricalStart {
    /// The source.
    pub source: SourceName,
    /// The settings.
    pub options: HistoricalOptions,
    /// How much the box's clock is trusted.
    pub clock: ClockOptions,
    /// The first start ever of this state directory.
    pub installed_at: WallTime,
    /// The queues of the roster, and whether each is active.
    pub queues: Vec<(QueueId, bool)>,
    /// The stored coverage of [`HistoricalMachine::coverage_window`].
    pub coverage: Vec<CoverageEntry>,
    /// The stored state of the feed.
    pub state: Option<FeedState>,
    /// Seeds backoff and jitter.
    pub seed: u64,
}

/// The historical feed of one source.
#[derive(Debug)]
pub struct HistoricalMachine {
    pub(super) source: SourceName,
    pub(super) options: HistoricalOptions,
    pub(super) schedule: Schedule,
    pub(super) rng: Rng,
    pub(super) clock: OffsetEstimator,
    pub(super) installed_at: WallTime,
    pub(super) roster: HashSet<QueueId>,
    pub(super) active: Vec<QueueId>,
    pub(super) coverage: Coverage,
    /// As it is in the store, or will be with the next commit.
    pub(super) state: FeedState,
    pub(super) live: Option<Track>,
    pub(super) hourly: Option<Track>,
    pub(super) nightly: Option<Track>,
    pub(super) heal: Option<Track>,
    pub(super) manual: Option<Track>,
    /// Healing and manual calls take turns.
    pub(super) manual_next: bool,
    pub(super) sizing: Sizing,
    pub(super) gates: Gates,
    pub(super) held: Option<String>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) pending: Option<Pending>,
    /// Changes that each backfill listed in this process.
    pub(super) changes: BTreeMap<u64, Vec<BackfillChange>>,
    /// The last wait that was told, for `status`.
    pub(super) next_at: MonoTime,
    /// What the monotonic clock is behind due times, in milliseconds: it moves only when a clock
    /// turns out to be wrong.
    pub(super) due_zero_ms: Option<i64>,
}

/// The call that is under way.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub(super) lane: Lane,
    pub(super) window: Window,
    pub(super) queue: Option<QueueId>,
    pub(super) settled_to: IntervalStart,
    /// What was added to the wall clock to plan it.
    pub(super) plan_offset_ms: i64,
}

impl HistoricalMachine {
    /// The stored coverage that a machine wants to start from.
    pub fn coverage_window(
        options: &HistoricalOptions,
        state: Option<&FeedState>,
        now: Now,
    ) -> Window {
        let accounted_to = state
            .and_then(|s| s.historical.as_ref())
            .and_then(|p| p.accounted_to);
        let here = IntervalStart::containing(now.wall);
        let oldest = accounted_to.map_or(here, |to| to.min(here));
        let newest = accounted_to.map_or(here, |to| to.max(here));
        let back = memory_back(options) + INTERVALS_PER_DAY;
        Window::new(oldest.plus(-back), newest.plus(2 * INTERVALS_PER_DAY))
    }

    /// A machine that knows what the store holds.
    pub fn new(start: HistoricalStart) -> Self {
        let mut rng = Rng::with_seed(start.seed);
        let jitter = start.options.start_jitter.mul_f64(rng.f64());
        let mut state = start
            .state
            .unwrap_or_else(|| FeedState::new(start.source.clone(), Feed::Historical));
        state.historical.get_or_insert_default();
        let mut machine = Self {
            schedule: Schedule {
                settle: start.options.settle_delay + jitter,
                live_intervals: i64::from(start.options.live_intervals).max(1),
                hourly_intervals: intervals_in(start.options.hourly_span),
                nightly_intervals: intervals_in(start.options.nightly_span),
                night_at: start.options.night_at,
            },
            gates: Gates::new(&start.options),
            rng,
            clock: OffsetEstimator::new(start.clock),
            installed_at: start.installed_at,
            roster: HashSet::new(),
            active: Vec::new(),
            coverage: Coverage::restored(&start.coverage),
            state,
            live: None,
            hourly: None,
            nightly: None,
            heal: None,
            manual: None,
            manual_next: false,
            sizing: Sizing::default(),
            held: None,
            in_flight: None,
            pending: None,
            changes: BTreeMap::new(),
            next_at: MonoTime::ZERO,
            due_zero_ms: None,
            source: start.source,
            options: start.options,
        };
        machine.set_queues(start.queues);
        machine
    }

    /// The roster after an import: every queue that it knows, and whether it is active.
    pub fn set_queues(&mut self, queues: impl IntoIterator<Item = (QueueId, bool)>) {
        self.roster.clear();
        self.active.clear();
        for (queue, is_active) in queues {
            if is_active {
                self.active.push(queue.clone());
            }
            self.roster.insert(queue);
        }
        self.active.sort_unstable();
    }

    /// What to do now.
    pub fn begin(&mut self, now: Now) -> Do<HistoricalCall> {
        let is_unfinished = self.in_flight.take().is_some();
        if self.pending.take().is_some() || is_unfinished {
            // The store did not take the answer, or could not be asked what is known: neither it
            // nor Thrio is hurried.
            self.gates.any = self.gates.any.max(now.mono.plus(self.options.backoff_min));
        }
        let due = self.clock.due_time(now);
        let settled_to = self.schedule.settled_to(due);
        self.forget_runs_of_a_wrong_clock(due, now.mono);
        self.start_runs(due, settled_to);
        let turn = if now.mono < self.gates.any {
            Err(self.gates.any)
        } else {
            self.choose(settled_to, now.mono)
        };
        let turn = turn.and_then(|lane| {
            self.call(lane, settled_to, due.ms_since(now.wall))
                .ok_or_else(|| now.mono.plus(WAIT_MAX))
        });
        match turn {
            Ok(call) => Do::Call(call),
            Err(until) => {
                let next_due = self.schedule.next_settled_at(due);
                let next_due = next_due.min(self.schedule.next_night_at(due));
                let wait_ms = u64::try_from(next_due.ms_since(due)).unwrap_or(0);
                let next_due = now.mono.plus(Duration::from_millis(wait_ms));
                // While a gate is shut, a new run cannot begin either.
                let until = if until <= self.gates.any {
                    until
                } else {
                    until.min(next_due)
                };
                self.next_at = until.min(now.mono.plus(WAIT_MAX));
                Do::WaitUntil(self.next_at)
            }
        }
    }

    /// What the outcome means. Changes nothing that is known; [`Self::committed`] does.
    pub fn finish(
        &mut self,
        timing: Timing,
        outcome: Result<&HistoricalAnswer, &CallFailure>,
        known: &KnownIntervals,
    ) -> Decision {
        self.pending = None;
        let Some(flight) = self.in_flight.take() else {
            return Decision::default();
        };
        self.clock.observe(&timing);
        let received = timing.received;
        self.state.clock_offset_ms = self.clock.offset_ms(received);
        let plan_error_ms =
            self.clock.due_time(received).ms_since(received.wall) - flight.plan_offset_ms;
        let is_misplanned =
            plan_error_ms.abs() > PLAN_OFFSET_MS_MAX || !self.clock.is_credible(received);
        match outcome {
            Err(failure) if failure.kind == FailureKind::Stopped => Decision::default(),
            Ok(_) if is_misplanned => self.discard(&flight, received),
            Ok(answer) => self.finish_answered(&flight, timing, answer, known),
            Err(failure) => self.finish_failed(&flight, timing, failure, is_misplanned),
        }
    }

    /// Records of this window were lost or given up: it is a gap again.
    pub fn lose(&mut self, window: Window) {
        self.coverage.lose(window);
    }

    pub(super) fn progress(&self) -> &HistoricalProgress {
        self.state
            .historical
            .as_deref()
            .expect("a machine's state always has its progress")
    }

    pub(super) fn track_mut(&mut self, lane: Lane) -> &mut Option<Track> {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Hourly => &mut self.hourly,
            Lane::Nightly => &mut self.nightly,
            Lane::Heal => &mut self.heal,
            Lane::Manual(_) => &mut self.manual,
        }
    }

    pub(super) fn track(&self, lane: Lane) -> Option<&Track> {
        match lane {
            Lane::Live => self.live.as_ref(),
            Lane::Hourly => self.hourly.as_ref(),
            Lane::Nightly => self.nightly.as_ref(),
            Lane::Heal => self.heal.as_ref(),
            Lane::Manual(_) => self.manual.as_ref(),
        }
    }
}

pub(super) fn progress_mut(state: &mut FeedState) -> &mut HistoricalProgress {
    state.historical.get_or_insert_default()
}
