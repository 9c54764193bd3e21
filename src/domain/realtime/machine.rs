//! The machine of the realtime feed: when to poll, and what an answer or a failure means.

use std::time::Duration;

use fastrand::Rng;

use super::quarter::{self, Attempt};
use super::status::{FeedPhase, RealtimeStatus, Rejected};
use super::{RealtimeOptions, SnapshotKind};
use crate::domain::backoff::Backoff;
use crate::domain::batch::CurrentState;
use crate::domain::call::{CallFailure, Decision, Do, FailureKind, RealtimeCall, Snapshot, Timing};
use crate::domain::clock_offset::OffsetEstimator;
use crate::domain::health::{FeedCounts, FeedState};
use crate::domain::ids::SourceName;
use crate::domain::record::{Record, StateCode};
use crate::domain::roster::Roster;
use crate::domain::state_transaction::{Absence, Poll, RestoredPolls, StateDiff};
use crate::domain::timestamp::{MonoTime, Now, WallTime, millis};

/// The bounds of the wait after a failed poll: short, because after two periods the feed is blind.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// The longest `Retry-After` that a realtime feed heeds (thrio-api.md §5).
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// How often a feed that waits for a person tries by itself.
pub const FEED_HOLD_RETRY: Duration = Duration::from_mins(5);
/// This much over two periods is still no gap: timers fire late and answers take their time.
const GAP_SLACK: Duration = Duration::from_millis(500);
/// Without an answer for more than this many periods the feed is blind (domain rule 5).
const GAP_PERIODS: u32 = 2;

/// What the store remembers of the feed.
#[derive(Debug, Clone, Copy)]
pub struct Restored<'a> {
    /// The feed's state, if it ever ran.
    pub state: Option<&'a FeedState>,
    /// The last known state of each agent.
    pub agents: &'a [CurrentState],
    /// The state codes that the journal holds.
    pub codes: &'a [StateCode],
}

/// Polls agent states and makes transactions of them. Pure: see the module's invariants.
#[derive(Debug)]
pub struct RealtimeMachine {
    source: SourceName,
    options: RealtimeOptions,
    rng: Rng,
    backoff: Backoff,
    clock: OffsetEstimator,
    diff: StateDiff,
    timetable: Option<Timetable>,
    phase: FeedPhase,
    state: FeedState,
    rows: u32,
    rejected: Rejected,
    answered: Option<MonoTime>,
    pending: Option<Pending>,
}

/// When polls are due: on a fixed grid, so that nothing drifts.
#[derive(Debug, Clone, Copy)]
struct Timetable {
    anchor: MonoTime,
    next: MonoTime,
}

/// What becomes known with the commit.
#[derive(Debug)]
struct Pending {
    state: FeedState,
    counts: FeedCounts,
    answered: Option<MonoTime>,
    rows: u32,
}

impl RealtimeMachine {
    /// A machine that goes on from what the store remembers. `rng` makes start and backoff of
    /// many boxes fall apart.
    pub fn new(
        source: SourceName,
        options: RealtimeOptions,
        restored: &Restored<'_>,
        rng: Rng,
    ) -> Self {
        let state = restored
            .state
            .cloned()
            .unwrap_or_else(|| FeedState::new(source.clone(), crate::domain::ids::Feed::Realtime));
        let diff = StateDiff::restore(
            restored.agents,
            restored.codes,
            &options.states,
            &RestoredPolls {
                answered_at: state.last_success_at,
                complete: state
                    .last_complete_poll_sent_at
                    .zip(state.last_complete_poll_at),
                gap_since: state.gap_since,
            },
        );
        Self {
            backoff: Backoff::new(BACKOFF_MIN, BACKOFF_MAX),
            clock: OffsetEstimator::new(options.clock.clone()),
            source,
            options,
            rng,
            diff,
            timetable: None,
            phase: FeedPhase::Running,
            state,
            rows: 0,
            rejected: Rejected::default(),
            answered: None,
            pending: None,
        }
    }

    /// What to do now. Polls of one feed never overlap: the shell asks again only after `finish`.
    pub fn begin(&mut self, now: Now) -> Do<RealtimeCall> {
        self.forget();
        let timetable = self.timetable(now);
        if now.mono < timetable.next {
            return Do::WaitUntil(timetable.next);
        }
        Do::Call(RealtimeCall {
            since: self.diff.complete().map(|poll| poll.sent),
        })
    }

    /// What the poll showed, or what its failure means. Changes nothing that is known.
    pub fn finish(
        &mut self,
        timing: &Timing,
        outcome: Result<&Snapshot, &CallFailure>,
        roster: &Roster,
    ) -> Decision {
        self.forget();
        self.clock.observe(timing);
        let credible = self.clock.is_credible(timing.received);
        match outcome {
            Ok(snapshot) if credible => self.answered(timing, snapshot, roster),
            Ok(_) => self.failed(timing, &unknown_time()),
            Err(failure) => self.failed(timing, failure),
        }
    }

    /// The last decision is in the store.
    pub fn committed(&mut self, _now: Now) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.diff.committed();
        self.state = pending.state;
        self.state.counts = self.state.counts.plus(pending.counts);
        if pending.answered.is_some() {
            self.answered = pending.answered;
            self.rows = pending.rows;
        }
    }

    /// What the store keeps of the feed: between `finish` and `committed` as it will be with the
    /// decision, but for the decision's counts, which the shell adds.
    pub fn feed_state(&self) -> FeedState {
        let pending = self.pending.as_ref().map(|pending| &pending.state);
        pending.unwrap_or(&self.state).clone()
    }

    /// What the store keeps of the feed as it is known, whatever is pending.
    pub fn feed_state_between(&self) -> FeedState {
        self.state.clone()
    }

    /// Polls at the next `begin`, also where the feed is held or waits.
    pub fn poll_now(&mut self, now: Now) {
        let timetable = self.timetable(now);
        self.timetable = Some(Timetable {
            next: now.mono,
            ..timetable
        });
    }

    /// Takes new settings; a new period starts now, states mapped anew are journaled with the
    /// next poll.
    pub fn set_options(&mut self, options: RealtimeOptions, now: Now) {
        if options.period != self.options.period {
            self.timetable = Some(Timetable {
                anchor: now.mono,
                next: now.mono,
            });
        }
        if options.states != self.options.states {
            self.diff.map_anew(&options.states);
        }
        self.clock.set_options(options.clock.clone());
        self.options = options;
    }

    /// The settings in force.
    pub fn options(&self) -> &RealtimeOptions {
        &self.options
    }

    /// The source's clock, as this feed knows it.
    pub fn clock(&self) -> &OffsetEstimator {
        &self.clock
    }

    /// What a person wants to know.
    pub fn status(&self, now: Now) -> RealtimeStatus {
        RealtimeStatus {
            phase: self.phase.clone(),
            next_at: self.timetable.map_or(now.mono, |timetable| timetable.next),
            period: self.options.period,
            agents: self.diff.agents(),
            snapshot_unsaid: self.options.snapshot == SnapshotKind::Unknown,
            unmapped: self.diff.unmapped().collect(),
            rejected: self.rejected.clone(),
            guarded_since: self.diff.guarded_since(),
            mass_absence: self.diff.mass_absence(),
            is_stale: self.is_stale(now),
            labelled_by: self.clock.labelled_by(now),
            clock_offset_ms: self.clock.offset_ms(now),
        }
    }

    /// Whether more than two periods have passed since the last complete poll.
    pub fn is_stale(&self, now: Now) -> bool {
        let since = |at: WallTime| self.clock.label(now).ms_since(at);
        let complete = self.diff.complete().map(|poll| since(poll.received));
        complete.is_none_or(|ms| ms > millis(self.gap_after()))
    }

    fn answered(&mut self, timing: &Timing, snapshot: &Snapshot, roster: &Roster) -> Decision {
        let last = self.diff.answered_at();
        let received = self.clock.label(timing.received);
        let received = last.map_or(received, |last| received.max(last));
        let sent = self.clock.label(timing.sent).min(received);
        let after_gap = self.is_blind(timing.received, received);
        let shown = self.diff.poll(
            &self.source,
            Absence {
                snapshot: self.options.snapshot,
                missing: self.options.missing_agent,
            },
            &self.options.states,
            roster,
            &Poll {
                sent,
                received,
                after_gap,
                snapshot,
            },
        );
        self.rejected.note(snapshot, self.diff.rejected());
        let mut state = self.state.clone();
        let (mut records, mut counts) = (shown.records, shown.counts);
        let attempt = Attempt {
            sent,
            ended: received,
            answered: true,
            blind_from: last.filter(|_| after_gap),
        };
        counts.coverage = self.cover(&attempt, &mut state, &mut records);
        counts.answers = 1;
        if counts.rows_changed + counts.inferred > 0 {
            state.last_data_at = Some(received);
        }
        state.last_success_at = Some(received);
        state.gap_since = self.diff.gap_since();
        state.consecutive_failures = 0;
        state.last_error = None;
        state.clock_offset_ms = self.clock.offset_ms(timing.received);
        if shown.complete {
            state.last_complete_poll_at = Some(received);
            state.last_complete_poll_sent_at = Some(sent);
        }
        self.phase = FeedPhase::Running;
        self.backoff.reset();
        self.schedule(timing.received.mono, None);
        self.pending = Some(Pending {
            state,
            counts,
            answered: Some(timing.received.mono),
            rows: u32::try_from(snapshot.len()).unwrap_or(u32::MAX),
        });
        decision(records, counts, shown.unknown_agent)
    }

    fn failed(&mut self, timing: &Timing, failure: &CallFailure) -> Decision {
        let received = timing.received;
        let mut state = self.state.clone();
        let (mut records, mut counts) = (Vec::new(), FeedCounts::default());
        if failure.kind == FailureKind::Stopped {
            self.schedule(received.mono, None);
            return Decision::default();
        }
        self.wait_after(failure, received.mono);
        if self.clock.is_credible(received) {
            let last = self.diff.answered_at();
            let label = self.clock.label(received);
            let ended = last.map_or(label, |last| label.max(last));
            let attempt = Attempt {
                sent: self.clock.label(timing.sent).min(ended),
                ended,
                answered: false,
                blind_from: last.filter(|_| self.is_blind(received, ended)),
            };
            counts.coverage = self.cover_failure(&attempt, &mut state, &mut records, failure);
        }
        counts.failures = 1;
        state.consecutive_failures = state.consecutive_failures.saturating_add(1);
        state.last_error = Some(failure.message.clone());
        state.clock_offset_ms = self.clock.offset_ms(received);
        self.pending = Some(Pending {
            state,
            counts,
            answered: None,
            rows: 0,
        });
        decision(records, counts, false)
    }

    fn cover_failure(
        &self,
        attempt: &Attempt,
        state: &mut FeedState,
        records: &mut Vec<Record>,
        failure: &CallFailure,
    ) -> u64 {
        let former = state.last_error.replace(failure.message.clone());
        let written = self.cover(attempt, state, records);
        state.last_error = former;
        written
    }

    /// Counts the attempt in its quarter hour and writes the entries of those that it closes.
    fn cover(&self, attempt: &Attempt, state: &mut FeedState, records: &mut Vec<Record>) -> u64 {
        let (closed, open) = quarter::count(state.quarter, attempt);
        state.quarter = Some(open);
        let entries = closed.iter().map(|quarter| {
            Record::Coverage(quarter::entry(
                &self.source,
                quarter,
                self.options.period,
                self.rows,
                state.last_error.as_deref(),
                state.last_success_at,
            ))
        });
        records.extend(entries);
        closed.len() as u64
    }

    /// Whether more than two periods have passed without an answered poll. Within one life of the
    /// process the monotonic clock tells; across a restart only labels can.
    fn is_blind(&self, now: Now, label: WallTime) -> bool {
        match (self.answered, self.diff.answered_at()) {
            (Some(last), _) => now.mono.since(last) > self.gap_after(),
            (None, Some(last)) => label.ms_since(last) > millis(self.gap_after()),
            (None, None) => false,
        }
    }

    fn gap_after(&self) -> Duration {
        self.options.period * GAP_PERIODS + GAP_SLACK
    }

    fn wait_after(&mut self, failure: &CallFailure, now: MonoTime) {
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
                let asked = retry_after.map(|asked| asked.clamp(BACKOFF_MIN, RETRY_AFTER_MAX));
                let wait = self.backoff.next(&mut self.rng, asked);
                (wait, FeedPhase::BackingOff)
            }
            FailureKind::Unavailable
            | FailureKind::Unusable
            | FailureKind::TooLarge
            | FailureKind::Stopped => {
                let wait = self.backoff.next(&mut self.rng, None);
                (wait, FeedPhase::BackingOff)
            }
        };
        self.phase = phase;
        self.schedule(now, Some(wait));
    }

    /// The next poll: after a failure when the wait is over, else on the grid.
    fn schedule(&mut self, now: MonoTime, wait: Option<Duration>) {
        let anchor = self.timetable.map_or(now, |timetable| timetable.anchor);
        let next = match wait {
            Some(wait) => now.plus(wait),
            None => next_on_grid(anchor, self.options.period, now),
        };
        self.timetable = Some(Timetable { anchor, next });
    }

    fn timetable(&mut self, now: Now) -> Timetable {
        let period = self.options.period;
        // Half a period at most: a quick restart must not make a gap by itself.
        *self.timetable.get_or_insert_with(|| {
            let jitter = (period / 2).mul_f64(self.rng.f64());
            let anchor = now.mono.plus(jitter);
            Timetable {
                anchor,
                next: anchor,
            }
        })
    }

    fn forget(&mut self) {
        self.pending = None;
        self.diff.forget();
    }
}

fn next_on_grid(anchor: MonoTime, period: Duration, now: MonoTime) -> MonoTime {
    let period_ns = period.as_nanos().max(1);
    let passed = now.since(anchor).as_nanos() / period_ns + 1;
    let ns = u64::try_from(passed * period_ns).unwrap_or(u64::MAX);
    anchor.plus(Duration::from_nanos(ns))
}

fn decision(records: Vec<Record>, counts: FeedCounts, import_wanted: bool) -> Decision {
    Decision {
        commits: if records.is_empty() {
            Vec::new()
        } else {
            vec![records]
        },
        counts,
        import_wanted,
        ..Decision::default()
    }
}

/// The failure of an answer that came at a time that nobody knows.
pub(crate) fn unknown_time() -> CallFailure {
    CallFailure {
        kind: FailureKind::Unusable,
        message: "the box's clock is wrong and Thrio's answer has no Date header: set the clock, \
                  nothing is stored under a false time"
            .to_owned(),
    }
}
