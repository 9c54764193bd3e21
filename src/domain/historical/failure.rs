//! What a call without a usable answer means: how long to wait, how much less to ask for, and what
//! the coverage says meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::super::backfill::BackfillTally;
use super::super::call::{CallFailure, Decision, FailureKind, Timing};
use super::super::coverage::Cover;
use super::super::health::FeedCounts;
use super::super::interval::IntervalStart;
use super::super::record::{CoverageStatus, Record};
use super::super::timestamp::{MonoTime, Now};
use super::commits::Commits;
use super::machine::{HistoricalMachine, InFlight};
use super::manual::note_backfill;
use super::options::QueueFrom;
use super::pending::Pending;
use super::track::{Lane, Track};

/// How soon a gap that failed is asked for again; four times as late with each failure.
const GAP_RETRY_MIN: Duration = Duration::from_mins(1);
/// How late at most; the night and a recovery end every wait.
const GAP_RETRY_MAX: Duration = Duration::from_hours(6);
/// History before the installation is given up after this many failures in a row: by then each
/// interval was asked for alone.
const HISTORY_FAILURES_MAX: u32 = 8;
/// From this failure in a row on, less is asked for, where an answer came that is none.
const UNUSABLE_HALVED_FROM: u32 = 2;
/// The same, where none came: a source that is down answers no half either.
const UNAVAILABLE_HALVED_FROM: u32 = 4;
/// A backfill passes over a window that did not answer this often: by the backoff's length the
/// live run was answered meanwhile.
const UNAVAILABLE_SKIPPED_FROM: u32 = 12;

/// An attempt at the intervals of a call that brought nothing.
pub(super) struct FailedAttempt<'a> {
    pub(super) flight: &'a InFlight,
    pub(super) reason: Arc<str>,
    /// Whether it tells something of these intervals, and not only of the source.
    pub(super) counts_as_failure: bool,
    pub(super) now: MonoTime,
}

impl HistoricalMachine {
    pub(super) fn finish_failed(
        &mut self,
        flight: &InFlight,
        timing: Timing,
        failure: &CallFailure,
        is_misplanned: bool,
    ) -> Decision {
        let received = timing.received;
        self.state.consecutive_failures = self.state.consecutive_failures.saturating_add(1);
        self.state.last_error = Some(failure.message.clone());
        let reason: Arc<str> = Arc::from(failure.message.as_str());
        let mut track = self.track_mut(flight.lane).clone();
        let mut tally = BackfillTally {
            last_error: Some(failure.message.clone()),
            ..BackfillTally::default()
        };
        let asks_for_less = failure.kind == FailureKind::TooLarge && flight.window.len() > 1;
        if let Some(track) = &mut track {
            let skipped_before = track.skipped;
            self.adapt(flight, failure, received, track, &reason);
            tally.intervals_failed = (track.skipped - skipped_before).unsigned_abs();
        }
        let mut state = self.state.clone();
        let mut commits = Commits::default();
        let mut covers = Vec::new();
        commits.count(FeedCounts {
            failures: 1,
            ..FeedCounts::default()
        });
        if !is_misplanned {
            if !asks_for_less {
                let attempt = FailedAttempt {
                    flight,
                    reason,
                    counts_as_failure: tells_of_the_window(failure.kind),
                    now: received.mono,
                };
                self.cover_failed(&attempt, &mut commits, &mut covers);
            }
            self.account(flight.settled_to, &mut commits, &mut covers, &mut state);
        }
        if let (Lane::Manual(id), Some(track)) = (flight.lane, &track) {
            note_backfill(id, track, &tally, &mut state);
        }
        let decision = commits.into_decision(false);
        let track = track.map(|track| (flight.lane, track));
        self.pending = Some(Pending::new(&decision, covers, Vec::new(), state, track));
        decision
    }

    /// Waits, and asks for less or for something else next time.
    fn adapt(
        &mut self,
        flight: &InFlight,
        failure: &CallFailure,
        received: Now,
        track: &mut Track,
        reason: &Arc<str>,
    ) {
        let now = received.mono;
        let is_live = flight.lane == Lane::Live;
        match failure.kind {
            FailureKind::TooLarge if flight.window.len() > 1 => {
                self.sizing.was_too_large(flight.window.len());
                track.halve();
                self.gates
                    .space(now, self.options.request_spacing, self.options.bulk_spacing);
            }
            FailureKind::Throttled { retry_after } => {
                self.gates
                    .throttle(now, retry_after, &self.options, &mut self.rng);
            }
            FailureKind::ConnectionHeld { until } => {
                self.held = Some(failure.message.clone());
                self.gates.any = until.max(now.plus(self.options.backoff_min));
            }
            FailureKind::FeedHeld => {
                self.held = Some(failure.message.clone());
                self.gates.any = now.plus(self.options.held_retry);
            }
            FailureKind::Stopped => {}
            FailureKind::Unavailable | FailureKind::Unusable | FailureKind::TooLarge => {
                self.gates.back_off(now, is_live, &mut self.rng);
                track.failures += 1;
                let is_refused = failure.kind != FailureKind::Unavailable;
                self.give_way(flight, is_refused, track, reason);
            }
        }
    }

    /// Narrows in on what Thrio does not answer for, so that the rest is had.
    fn give_way(&self, flight: &InFlight, is_refused: bool, track: &mut Track, reason: &Arc<str>) {
        let halved_from = if is_refused {
            UNUSABLE_HALVED_FROM
        } else {
            UNAVAILABLE_HALVED_FROM
        };
        let one_by_one = self.options.queue_from == QueueFrom::Request;
        match flight.lane {
            _ if one_by_one && is_refused => {
                if track.failures >= UNUSABLE_HALVED_FROM {
                    track.skip_queue(reason.clone());
                }
            }
            Lane::Manual(_) => {
                let given_up = if is_refused {
                    UNUSABLE_HALVED_FROM
                } else {
                    UNAVAILABLE_SKIPPED_FROM
                };
                if track.failures >= given_up {
                    track.skip();
                }
            }
            // The coverage entries say when, and how much less, is asked for again.
            Lane::Heal => track.skip(),
            Lane::Live | Lane::Hourly | Lane::Nightly if track.failures < halved_from => {}
            _ if flight.window.len() > 1 => track.halve(),
            _ => track.skip(),
        }
    }

    /// Notes a failed attempt at each interval of a call.
    pub(super) fn cover_failed(
        &self,
        attempt: &FailedAttempt<'_>,
        commits: &mut Commits,
        covers: &mut Vec<(IntervalStart, Cover)>,
    ) {
        let flight = attempt.flight;
        if let Lane::Manual(id) = flight.lane
            && self
                .backfill_state(id)
                .is_none_or(|b| b.dry_run || b.queue.is_some())
        {
            return;
        }
        let horizon = self.horizon(flight.settled_to);
        for start in flight.window.starts() {
            if horizon.is_beyond(start) {
                continue;
            }
            let old = self.coverage.get(start);
            let mut cover = old
                .cloned()
                .unwrap_or_else(|| Cover::new(CoverageStatus::Missing));
            cover.attempts = cover.attempts.saturating_add(1);
            cover.last_error = Some(attempt.reason.clone());
            if attempt.counts_as_failure {
                cover.failed_in_a_row += 1;
            }
            if flight.lane == Lane::Heal {
                cover.retry_at = Some(attempt.now.plus(gap_retry(cover.failed_in_a_row)));
            }
            if !cover.is_fetched() {
                let gives_up = start < horizon.installed
                    && attempt.counts_as_failure
                    && cover.failed_in_a_row >= HISTORY_FAILURES_MAX;
                cover.status = if gives_up {
                    CoverageStatus::Failed
                } else {
                    CoverageStatus::Missing
                };
            }
            if cover.differs_from(old) {
                let record = Record::Coverage(cover.entry(&self.source, start));
                let counts = FeedCounts {
                    coverage: 1,
                    ..FeedCounts::default()
                };
                commits.add(&mut vec![record], counts);
            }
            covers.push((start, cover));
        }
    }
}

fn tells_of_the_window(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Unavailable | FailureKind::Unusable | FailureKind::TooLarge
    )
}

fn gap_retry(failures: u32) -> Duration {
    let factor = 4_u32.saturating_pow(failures.saturating_sub(1).min(8));
    GAP_RETRY_MIN.saturating_mul(factor).min(GAP_RETRY_MAX)
}
