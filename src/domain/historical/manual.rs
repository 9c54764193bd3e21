//! Backfills by hand: one after another, in turns with the healing of gaps.

use super::super::backfill::{BackfillReport, BackfillState, BackfillTally, FINISHED_KEPT_MAX};
use super::super::health::FeedState;
use super::super::ids::QueueId;
use super::super::interval::{IntervalStart, Window};
use super::machine::{HistoricalMachine, progress_mut};
use super::track::Track;

impl HistoricalMachine {
    /// Reads the window again and reports what changed (`dry_run`: would change), not bounded by
    /// `max_backfill`. Intervals that are not settled when its turn comes are left to the live run.
    /// The shell hands [`Self::feed_state`] to the store, so that it goes on after a restart.
    pub fn request_backfill(
        &mut self,
        window: Window,
        queue: Option<QueueId>,
        dry_run: bool,
    ) -> u64 {
        let progress = progress_mut(&mut self.state);
        let id = progress.next_backfill_id;
        progress.next_backfill_id += 1;
        let state = BackfillState {
            id,
            window,
            queue,
            dry_run,
            next: window.from,
            tally: BackfillTally::default(),
        };
        progress.backfills.push(state.clone());
        forget_oldest_finished(&mut progress.backfills);
        // A decision that waits for its commit must not take the request back.
        if let Some(pending) = &mut self.pending {
            let progress = progress_mut(&mut pending.state);
            progress.next_backfill_id = id + 1;
            progress.backfills.push(state);
        }
        id
    }

    /// Ends a backfill where it is; false where there is none that goes on.
    pub fn cancel_backfill(&mut self, id: u64) -> bool {
        let cancel = |state: &mut FeedState| {
            let mut backfills = progress_mut(state).backfills.iter_mut();
            let found = backfills.find(|b| b.id == id && !b.is_finished());
            found.map(|b| b.window.to = b.next).is_some()
        };
        let cancelled = cancel(&mut self.state);
        if let Some(pending) = &mut self.pending {
            cancel(&mut pending.state);
        }
        if self.manual.as_ref().is_some_and(|t| t.slot == slot(id)) {
            self.manual = None;
        }
        cancelled
    }

    /// What a backfill found so far; none where the id is unknown or long gone.
    pub fn backfill_report(&self, id: u64) -> Option<BackfillReport> {
        let state = self.backfill_state(id)?.clone();
        let changes = self.changes.get(&id).cloned().unwrap_or_default();
        Some(BackfillReport { state, changes })
    }

    /// The backfills that are under way, and the last ones that finished, oldest first.
    pub fn backfills(&self) -> &[BackfillState] {
        &self.progress().backfills
    }

    pub(super) fn backfill_state(&self, id: u64) -> Option<&BackfillState> {
        self.progress().backfills.iter().find(|b| b.id == id)
    }

    fn backfill_goes_on(&self, slot: i64) -> bool {
        self.backfill_state(slot.unsigned_abs())
            .is_some_and(|b| !b.is_finished())
    }

    /// Takes up the oldest backfill that is not finished.
    pub(super) fn start_manual(&mut self, settled_to: IntervalStart) {
        let goes_on = |t: &Track| !t.is_done() && self.backfill_goes_on(t.slot);
        if self.manual.as_ref().is_some_and(goes_on) {
            return;
        }
        let backfills = &mut progress_mut(&mut self.state).backfills;
        for backfill in backfills.iter_mut() {
            backfill.window.to = backfill.window.to.min(settled_to).max(backfill.next);
        }
        let kept: Vec<u64> = backfills.iter().map(|b| b.id).collect();
        let next = backfills.iter().find(|b| !b.is_finished());
        self.manual = next.map(|b| {
            let rest = Window::new(b.next, b.window.to);
            Track::new(slot(b.id), rest, false)
        });
        self.changes.retain(|id, _| kept.contains(id));
    }
}

fn slot(id: u64) -> i64 {
    i64::try_from(id).expect("ids count up from zero")
}

fn forget_oldest_finished(backfills: &mut Vec<BackfillState>) {
    let finished = backfills.iter().filter(|b| b.is_finished()).count();
    let mut surplus = finished.saturating_sub(FINISHED_KEPT_MAX);
    backfills.retain(|b| {
        let goes = surplus > 0 && b.is_finished();
        surplus -= usize::from(goes);
        !goes
    });
}

/// Puts what a call found, and how far its run is, into the feed's state.
pub(super) fn note_backfill(id: u64, track: &Track, tally: &BackfillTally, state: &mut FeedState) {
    let mut backfills = progress_mut(state).backfills.iter_mut();
    let Some(backfill) = backfills.find(|b| b.id == id) else {
        return;
    };
    backfill.next = track.rest.from;
    backfill.tally.add(tally);
    let first = backfill.tally.oldest_row.unwrap_or(backfill.next);
    let before = first.index() - backfill.window.from.index();
    backfill.tally.intervals_before = before.unsigned_abs();
}
