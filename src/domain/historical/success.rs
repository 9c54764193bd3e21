//! What a usable answer means for the runs, the pace and the feed's well-being.

use std::time::Duration;

use super::super::call::{Decision, HistoricalAnswer, Timing};
use super::super::health::{FeedCounts, FeedState};
use super::super::ids::QueueId;
use super::super::timestamp::{MonoTime, Now, WallTime, millis};
use super::KnownIntervals;
use super::answer::{Reaction, Reading};
use super::failure::FailedAttempt;
use super::machine::{HistoricalMachine, InFlight, progress_mut};
use super::manual::note_backfill;
use super::options::{IntervalFrom, QueueFrom};
use super::pending::Pending;
use super::track::{Lane, Track};

impl HistoricalMachine {
    pub(super) fn finish_answered(
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

    pub(super) fn read(
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
            (true, Some(queue), _) | (true, None, Some(queue)) => std::slice::from_ref(queue),
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
    pub(super) fn succeed(&mut self, flight: &InFlight, now: MonoTime, label: WallTime) {
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
            (Duration::ZERO, self.options.bulk_spacing)
        };
        self.gates.space(now, any, bulk);
    }

    /// A run that has read all notes it.
    pub(super) fn note_run(
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

    /// The call was planned by a clock that stood wrong: its answer is about other intervals.
    pub(super) fn discard(&mut self, flight: &InFlight, received: Now) -> Decision {
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
