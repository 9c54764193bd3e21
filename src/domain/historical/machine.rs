//! The machine of the historical feed: begin, finish, committed.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use fastrand::Rng;

use super::super::backfill::{BackfillChange, CHANGES_LISTED_MAX};
use super::super::call::{
    CallFailure, Decision, Do, FailureKind, HistoricalAnswer, HistoricalCall, Timing,
};
use super::super::clock_offset::{ClockOptions, OffsetEstimator};
use super::super::coverage::{Cover, Coverage, Horizon};
use super::super::health::{FeedCounts, FeedState};
use super::super::ids::{Feed, QueueId, SourceName};
use super::super::interval::{INTERVALS_PER_DAY, IntervalStart, Window};
use super::super::record::{CoverageEntry, CoverageStatus, Record};
use super::super::schedule::{Schedule, intervals_in};
use super::super::timestamp::{MonoTime, Now, WallTime, millis};
use super::KnownIntervals;
use super::answer::{Reaction, Reading};
use super::commits::Commits;
use super::failure::FailedAttempt;
use super::manual::note_backfill;
use super::options::{HistoricalOptions, IntervalFrom, QueueFrom};
use super::pace::{Gates, Sizing};
use super::progress::HistoricalProgress;
use super::track::{Lane, Track};

/// No wait is longer, so that a step of the wall clock is noticed.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);
/// An answer that was asked for by a clock this much off is not used.
const PLAN_OFFSET_MS_MAX: i64 = 60_000;
/// History before the installation is asked for this much longer than `max_backfill`, so that its
/// oldest day is not lost while the rest is being fetched.
const HISTORY_GRACE: i64 = INTERVALS_PER_DAY;
/// Intervals that a box missed are listed one by one at most this far back: a year.
const ACCOUNTED_MAX: i64 = 366 * INTERVALS_PER_DAY;

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

/// What is taken over when the decision is in the store.
#[derive(Debug)]
pub(super) struct Pending {
    /// Per commit of the decision, what follows from it.
    parts: VecDeque<Part>,
    /// What changes in memory alone.
    covers: Vec<(IntervalStart, Cover)>,
    pub(super) changes: Vec<BackfillChange>,
    /// The feed's state with the decision, but for its counts.
    pub(super) state: FeedState,
    pub(super) track: Option<(Lane, Track)>,
}

/// What follows from one commit.
#[derive(Debug, Default)]
struct Part {
    counts: FeedCounts,
    covers: Vec<(IntervalStart, Cover)>,
    new_queues: Vec<QueueId>,
}

impl Pending {
    pub(super) fn new(
        decision: &Decision,
        covers: Vec<(IntervalStart, Cover)>,
        changes: Vec<BackfillChange>,
        state: FeedState,
        track: Option<(Lane, Track)>,
    ) -> Self {
        let mut covers: HashMap<IntervalStart, Cover> = covers.into_iter().collect();
        let parts = decision.parts().into_iter().map(|(records, counts)| {
            let mut part = Part {
                counts,
                ..Part::default()
            };
            for record in records {
                match record {
                    Record::Coverage(entry) => {
                        let cover = covers.remove_entry(&entry.interval_start);
                        part.covers.extend(cover);
                    }
                    Record::Queue(change) => part.new_queues.push(change.queue.clone()),
                    _ => {}
                }
            }
            part
        });
        Self {
            parts: parts.collect(),
            covers: covers.into_iter().collect(),
            changes,
            state,
            track,
        }
    }
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
        self.in_flight = None;
        if self.pending.take().is_some() {
            // The store did not take the answer: neither it nor Thrio is hurried.
            self.gates.any = self.gates.any.max(now.mono.plus(self.options.backoff_min));
        }
        let due = self.clock.due_time(now);
        let settled_to = self.schedule.settled_to(due);
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
                let next_due = now.mono.plus(std::time::Duration::from_millis(wait_ms));
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

    /// The next of the decision's commits is in the store: where a later one fails, counters and
    /// coverage still fit the journal.
    pub fn part_committed(&mut self) {
        let part = self.pending.as_mut().and_then(|p| p.parts.pop_front());
        if let Some(part) = part {
            self.take_over(part);
        }
    }

    fn take_over(&mut self, part: Part) {
        self.state.counts = self.state.counts.plus(part.counts);
        for (start, cover) in part.covers {
            self.coverage.set(start, cover);
        }
        for queue in part.new_queues {
            if self.roster.insert(queue.clone()) {
                self.active.push(queue);
            }
        }
    }

    /// The last decision is in the store, all of it: take it over.
    pub fn committed(&mut self, now: Now) {
        let Some(mut pending) = self.pending.take() else {
            return;
        };
        for part in std::mem::take(&mut pending.parts) {
            self.take_over(part);
        }
        let counts = self.state.counts;
        self.state = pending.state;
        self.state.counts = counts;
        for (start, cover) in pending.covers {
            self.coverage.set(start, cover);
        }
        if let Some((lane, track)) = pending.track {
            if let Lane::Manual(id) = lane {
                let listed = self.changes.entry(id).or_default();
                let room = CHANGES_LISTED_MAX.saturating_sub(listed.len());
                listed.extend(pending.changes.into_iter().take(room));
            }
            *self.track_mut(lane) = Some(track);
        }
        let settled_to = self.schedule.settled_to(self.clock.due_time(now));
        let horizon = self.horizon(settled_to);
        let remembered_from = self.remembered_from(settled_to);
        // What has no entry yet is accounted for first.
        let from = remembered_from.min(self.accounted_to(&horizon));
        self.coverage.prune(from, settled_to);
    }

    /// The feed's state as it belongs into the commit of the last decision's last part (the shell
    /// adds the counts of that part), or beside the next commit where nothing is pending.
    pub fn feed_state(&self) -> FeedState {
        match &self.pending {
            Some(pending) => FeedState {
                counts: self.state.counts,
                ..pending.state.clone()
            },
            None => self.state.clone(),
        }
    }

    /// The feed's state as it belongs into the commits before the last one of a decision.
    pub fn feed_state_between(&self) -> FeedState {
        self.state.clone()
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

    fn track(&self, lane: Lane) -> Option<&Track> {
        match lane {
            Lane::Live => self.live.as_ref(),
            Lane::Hourly => self.hourly.as_ref(),
            Lane::Nightly => self.nightly.as_ref(),
            Lane::Heal => self.heal.as_ref(),
            Lane::Manual(_) => self.manual.as_ref(),
        }
    }

    /// Whether calls must name their queues.
    pub(super) fn needs_queues(&self) -> bool {
        self.options.queue_from == QueueFrom::Request || self.options.name_queues
    }

    pub(super) fn horizon(&self, settled_to: IntervalStart) -> Horizon {
        let back = intervals_in(self.options.max_backfill);
        let ask_from = settled_to.plus(-back);
        Horizon {
            installed: IntervalStart::containing(self.installed_at),
            ask_from,
            history_from: ask_from.plus(-HISTORY_GRACE),
            live_from: self.schedule.live_window(settled_to).from,
            final_before: self.schedule.hourly_from(settled_to),
        }
    }

    /// Where memory begins: nothing before it is read but by a backfill by hand.
    fn remembered_from(&self, settled_to: IntervalStart) -> IntervalStart {
        settled_to.plus(-memory_back(&self.options))
    }

    /// The first interval that was ever expected.
    fn history_start(&self) -> IntervalStart {
        let back = intervals_in(self.options.max_backfill);
        IntervalStart::containing(self.installed_at).plus(-back)
    }

    /// The part of a window that is expected.
    fn from_history_on(&self, window: Window) -> Window {
        let from = window.from.max(self.history_start());
        Window::new(from.min(window.to), window.to)
    }

    /// Starts the runs whose time has come.
    fn start_runs(&mut self, due: WallTime, settled_to: IntervalStart) {
        let slot = settled_to.index();
        if is_new_slot(self.live.as_ref().map(|t| t.slot), slot) {
            self.live = Some(Track::new(
                slot,
                self.schedule.live_window(settled_to),
                true,
            ));
        }
        let hour = Schedule::hour(settled_to);
        let done = self.progress().last_hourly;
        if is_new_slot(done, hour) && is_new_slot(self.hourly.as_ref().map(|t| t.slot), hour) {
            let window = self.from_history_on(self.schedule.hourly_window(settled_to));
            self.hourly = Some(Track::new(hour, window, false));
        }
        let night = self.schedule.night(due);
        let done = self.progress().last_nightly;
        if is_new_slot(done, night) && is_new_slot(self.nightly.as_ref().map(|t| t.slot), night) {
            // The first start fetches its history by healing.
            let window = self.from_history_on(self.schedule.nightly_window(settled_to));
            let is_first = self.progress().accounted_to.is_none();
            let window = if is_first {
                Window::new(window.to, window.to)
            } else {
                window
            };
            self.nightly = Some(Track::new(night, window, false));
            self.sizing.forget();
            self.coverage.retry_all();
        }
        self.start_manual(settled_to);
    }

    /// The next gap, found when it is its turn: the runs before it may have filled some.
    fn start_healing(&mut self, settled_to: IntervalStart, now: MonoTime) {
        if self.heal.as_ref().is_none_or(|t| t.piece.is_none()) {
            let len_max = self.sizing.len_max(&self.options, self.active.len());
            let horizon = self.horizon(settled_to);
            let gap = self.coverage.next_gap(&horizon, now, len_max);
            self.heal = gap.map(|gap| Track::new(gap.from.index(), gap, false));
        }
    }

    /// The run whose turn it is, or when to look again.
    fn choose(&mut self, settled_to: IntervalStart, now: MonoTime) -> Result<Lane, MonoTime> {
        let has_work = |track: &Option<Track>| track.as_ref().is_some_and(|t| !t.is_done());
        if has_work(&self.live) {
            return Ok(Lane::Live);
        }
        let lane = if has_work(&self.hourly) {
            Some(Lane::Hourly)
        } else if has_work(&self.nightly) {
            Some(Lane::Nightly)
        } else {
            self.start_healing(settled_to, now);
            let manual = self.manual.as_ref().filter(|t| !t.is_done());
            let manual = manual.map(|t| Lane::Manual(t.slot.unsigned_abs()));
            let heal = has_work(&self.heal).then_some(Lane::Heal);
            if self.manual_next {
                manual.or(heal)
            } else {
                heal.or(manual)
            }
        };
        match lane {
            Some(_) if now < self.gates.bulk => Err(self.gates.bulk),
            Some(lane) => Ok(lane),
            None => {
                let horizon = self.horizon(settled_to);
                let retry_at = self.coverage.next_retry_at(&horizon);
                Err(retry_at.unwrap_or_else(|| now.plus(WAIT_MAX)))
            }
        }
    }

    /// The call that a run makes next; none where it must name queues and none is known.
    fn call(
        &mut self,
        lane: Lane,
        settled_to: IntervalStart,
        plan_offset_ms: i64,
    ) -> Option<HistoricalCall> {
        let only = match lane {
            Lane::Manual(id) => self.backfill_state(id).and_then(|b| b.queue.clone()),
            _ => None,
        };
        let queues: Vec<QueueId> = match only {
            Some(only) => vec![only],
            None if self.needs_queues() => self.active.clone(),
            None => Vec::new(),
        };
        if self.needs_queues() && queues.is_empty() {
            return None;
        }
        let one_by_one = self.options.queue_from == QueueFrom::Request;
        let expected = if one_by_one { 1 } else { self.active.len() };
        let len_max = self.sizing.len_max(&self.options, expected);
        self.manual_next = !matches!(lane, Lane::Manual(_));
        let track = self.track_mut(lane).as_mut()?;
        let piece_queues = || {
            if one_by_one {
                queues.clone()
            } else {
                Vec::new()
            }
        };
        let piece = track.piece(len_max, piece_queues);
        let (window, queue) = (piece.window, piece.queue().cloned());
        self.in_flight = Some(InFlight {
            lane,
            window,
            queue: queue.clone(),
            settled_to,
            plan_offset_ms,
        });
        Some(HistoricalCall {
            window,
            queue,
            queues: if self.options.name_queues {
                queues
            } else {
                Vec::new()
            },
            run: lane.run(),
        })
    }

    fn finish_answered(
        &mut self,
        flight: &InFlight,
        timing: Timing,
        answer: &HistoricalAnswer,
        known: &KnownIntervals,
    ) -> Decision {
        let label = self.clock.label(timing.received);
        self.succeed(flight, timing.received.mono, label);
        let Some(mut track) = self.track(flight.lane).cloned() else {
            return Decision::default();
        };
        let mut reaction = self.read(flight, &track, answer, known, label);
        let most_rows = reaction.rows.iter().copied().max().unwrap_or(0);
        if flight.queue.is_none() {
            self.sizing.saw(most_rows);
        }
        let refused = track.refused();
        track.answered(&reaction.rows);
        if let (Some(reason), true) = (refused, track.piece.is_none()) {
            let attempt = FailedAttempt {
                flight,
                reason,
                counts_as_failure: true,
                now: timing.received.mono,
            };
            self.cover_failed(&attempt, &mut reaction.commits, &mut reaction.covers);
        }
        let mut state = self.state.clone();
        if reaction.data_changed {
            state.last_data_at = Some(label);
        }
        self.account(
            flight.settled_to,
            &mut reaction.commits,
            &mut reaction.covers,
            &mut state,
        );
        Self::note_run(flight, &track, timing, label, &mut state);
        if let Lane::Manual(id) = flight.lane {
            note_backfill(id, &track, &reaction.tally, &mut state);
        }
        let import_wanted = !reaction.new_queues.is_empty();
        let decision = reaction.commits.into_decision(import_wanted);
        self.pending = Some(Pending::new(
            &decision,
            reaction.covers,
            reaction.changes,
            state,
            Some((flight.lane, track)),
        ));
        decision
    }

    fn read(
        &self,
        flight: &InFlight,
        track: &Track,
        answer: &HistoricalAnswer,
        known: &KnownIntervals,
        answered_at: WallTime,
    ) -> Reaction {
        let backfill = match flight.lane {
            Lane::Manual(id) => self.backfill_state(id),
            _ => None,
        };
        let only = backfill.and_then(|b| b.queue.as_ref());
        let silent: &[QueueId] = match (self.options.missing_means_zero, &flight.queue, only) {
            (false, _, _) => &[],
            (true, Some(queue), _) => std::slice::from_ref(queue),
            (true, None, Some(queue)) => std::slice::from_ref(queue),
            (true, None, None) => &self.active,
        };
        let piece = track.piece.as_ref();
        let nothing = vec![0; usize::try_from(flight.window.len()).unwrap_or(0)];
        let reading = Reading {
            source: &self.source,
            run: flight.lane.run(),
            window: flight.window,
            only,
            dry_run: backfill.is_some_and(|b| b.dry_run),
            silent_means_zero: silent,
            roster: &self.roster,
            coverage: &self.coverage,
            completes: piece.is_none_or(|p| p.is_last_call() && p.refused.is_none()),
            rows_before: piece.map_or(&nothing, |p| &p.rows),
            final_before: self.schedule.provisional_from(flight.settled_to),
            remembered_from: self.remembered_from(flight.settled_to),
            known,
            answered_at,
        };
        reading.react(answer)
    }

    /// The source answers: the feed is well, and gaps need not wait any longer after an outage.
    fn succeed(&mut self, flight: &InFlight, now: MonoTime, label: WallTime) {
        let is_live = flight.lane == Lane::Live;
        if is_live && self.gates.live_fails() {
            self.coverage.retry_all();
        }
        self.held = None;
        self.state.last_success_at = Some(label);
        self.state.consecutive_failures = 0;
        self.state.last_error = None;
        self.gates.succeeded(is_live);
        let by_request = self.options.interval_from == IntervalFrom::Request
            || self.options.queue_from == QueueFrom::Request;
        let (any, bulk) = if by_request {
            (self.options.request_spacing, self.options.request_spacing)
        } else {
            (std::time::Duration::ZERO, self.options.bulk_spacing)
        };
        self.gates.space(now, any, bulk);
    }

    /// A run that has read all notes it.
    fn note_run(
        flight: &InFlight,
        track: &Track,
        timing: Timing,
        label: WallTime,
        state: &mut FeedState,
    ) {
        if !track.is_done() {
            return;
        }
        match flight.lane {
            Lane::Live if track.skipped == 0 => {
                state.last_complete_poll_at = Some(label);
                let round_trip = timing.received.mono.since(timing.sent.mono);
                state.last_complete_poll_sent_at = Some(label.plus_ms(-millis(round_trip)));
            }
            Lane::Hourly => progress_mut(state).last_hourly = Some(track.slot),
            Lane::Nightly => progress_mut(state).last_nightly = Some(track.slot),
            _ => {}
        }
    }

    /// Gives every expected interval an entry, up to where the 15-minute run sees to them.
    pub(super) fn account(
        &self,
        settled_to: IntervalStart,
        commits: &mut Commits,
        covers: &mut Vec<(IntervalStart, Cover)>,
        state: &mut FeedState,
    ) {
        let horizon = self.horizon(settled_to);
        let answered: HashSet<IntervalStart> = covers.iter().map(|(start, _)| *start).collect();
        let mut write = |start: IntervalStart, cover: Cover, commits: &mut Commits| {
            let counts = FeedCounts {
                coverage: 1,
                ..FeedCounts::default()
            };
            let record = Record::Coverage(cover.entry(&self.source, start));
            commits.add(&mut vec![record], counts);
            covers.push((start, cover));
        };
        for start in self.coverage.given_up(&horizon) {
            let old = self.coverage.get(start).cloned();
            let mut cover = old.unwrap_or_else(|| Cover::new(CoverageStatus::Failed));
            cover.status = CoverageStatus::Failed;
            cover
                .last_error
                .get_or_insert_with(|| "older than max_backfill".into());
            write(start, cover, commits);
        }
        let to = horizon.live_from;
        for start in Window::new(self.accounted_to(&horizon), to).starts() {
            if answered.contains(&start) || self.coverage.get(start).is_some() {
                continue;
            }
            let mut cover = Cover::new(if horizon.is_beyond(start) {
                CoverageStatus::Failed
            } else if start < horizon.installed {
                CoverageStatus::Expected
            } else {
                CoverageStatus::Missing
            });
            if cover.status == CoverageStatus::Failed {
                cover.last_error = Some("older than max_backfill".into());
            }
            write(start, cover, commits);
        }
        let progress = progress_mut(state);
        progress.accounted_to = Some(to);
        // The first start has nothing that a night would have to make up for.
        let night = self.nightly.as_ref().filter(|t| t.is_done());
        if let (None, Some(night)) = (progress.last_nightly, night) {
            progress.last_nightly = Some(night.slot);
        }
    }

    /// Where the intervals without an entry begin.
    fn accounted_to(&self, horizon: &Horizon) -> IntervalStart {
        let from = match self.progress().accounted_to {
            Some(accounted_to) => accounted_to,
            // Of a store that lost its progress only what can still be asked for is looked at.
            None => self.history_start().max(horizon.history_from),
        };
        from.max(horizon.live_from.plus(-ACCOUNTED_MAX))
    }

    /// The call was planned by a clock that stood wrong: its answer is about other intervals.
    fn discard(&mut self, flight: &InFlight, received: Now) -> Decision {
        *self.track_mut(flight.lane) = None;
        if !self.clock.is_credible(received) {
            self.gates.back_off(received.mono, true, &mut self.rng);
        }
        let decision = Decision {
            counts: FeedCounts {
                answers: 1,
                ..FeedCounts::default()
            },
            ..Decision::default()
        };
        let state = self.state.clone();
        self.pending = Some(Pending::new(&decision, Vec::new(), Vec::new(), state, None));
        decision
    }
}

/// How many intervals of coverage memory holds: all that any run but a manual one reads.
fn memory_back(options: &HistoricalOptions) -> i64 {
    let spans = [
        options.max_backfill,
        options.nightly_span,
        options.hourly_span,
    ];
    let longest = spans.map(intervals_in).into_iter().max().unwrap_or(0);
    longest + HISTORY_GRACE
}

/// Whether a run is due: time went on, or the clock was set back by more than one slot (by one,
/// it merely wavers).
fn is_new_slot(last: Option<i64>, slot: i64) -> bool {
    last.is_none_or(|last| slot > last || slot + 1 < last)
}

pub(super) fn progress_mut(state: &mut FeedState) -> &mut HistoricalProgress {
    state.historical.get_or_insert_default()
}
