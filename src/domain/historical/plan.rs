//! Which run is due, whose turn it is, and what its next call asks for.

use super::super::call::HistoricalCall;
use super::super::coverage::Horizon;
use super::super::ids::QueueId;
use super::super::interval::{INTERVALS_PER_DAY, IntervalStart, Window};
use super::super::schedule::{Schedule, intervals_in};
use super::super::timestamp::{MonoTime, WallTime, millis};
use super::machine::{HistoricalMachine, InFlight, PLAN_OFFSET_MS_MAX, WAIT_MAX};
use super::options::{HistoricalOptions, QueueFrom};
use super::track::{Lane, Track};

/// History before the installation is asked for this much longer than `max_backfill`, so that its
/// oldest day is not lost while the rest is being fetched.
const HISTORY_GRACE: i64 = INTERVALS_PER_DAY;

impl HistoricalMachine {
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
    pub(super) fn remembered_from(&self, settled_to: IntervalStart) -> IntervalStart {
        settled_to.plus(-memory_back(&self.options))
    }

    /// The first interval that was ever expected.
    pub(super) fn history_start(&self) -> IntervalStart {
        let back = intervals_in(self.options.max_backfill);
        IntervalStart::containing(self.installed_at).plus(-back)
    }

    /// The part of a window that is expected.
    pub(super) fn expected_part(&self, window: Window) -> Window {
        let from = window.from.max(self.history_start());
        Window::new(from.min(window.to), window.to)
    }

    /// A run that was planned by a clock that turned out wrong may reach into the future: it is
    /// planned anew.
    pub(super) fn forget_runs_of_a_wrong_clock(&mut self, due: WallTime, mono: MonoTime) {
        let zero_ms = due.ms() - millis(mono.since_start());
        let before = self.due_zero_ms.replace(zero_ms);
        if before.is_some_and(|before| (before - zero_ms).abs() > PLAN_OFFSET_MS_MAX) {
            self.live = None;
            self.hourly = None;
            self.nightly = None;
            self.heal = None;
        }
    }

    /// Starts the runs whose time has come.
    pub(super) fn start_runs(&mut self, due: WallTime, settled_to: IntervalStart) {
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
            let window = self.expected_part(self.schedule.hourly_window(settled_to));
            self.hourly = Some(Track::new(hour, window, false));
        }
        let night = self.schedule.night(due);
        let done = self.progress().last_nightly;
        if is_new_slot(done, night) && is_new_slot(self.nightly.as_ref().map(|t| t.slot), night) {
            // The first start fetches its history by healing.
            let window = self.expected_part(self.schedule.nightly_window(settled_to));
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
    pub(super) fn start_healing(&mut self, settled_to: IntervalStart, now: MonoTime) {
        if self.heal.as_ref().is_none_or(|t| t.piece.is_none()) {
            let len_max = self.sizing.len_max(&self.options, self.active.len());
            let horizon = self.horizon(settled_to);
            let gap = self.coverage.next_gap(&horizon, now, len_max);
            self.heal = gap.map(|gap| Track::new(gap.from.index(), gap, false));
        }
    }

    /// The run whose turn it is, or when to look again.
    pub(super) fn choose(
        &mut self,
        settled_to: IntervalStart,
        now: MonoTime,
    ) -> Result<Lane, MonoTime> {
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
    pub(super) fn call(
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
}

/// How many intervals of coverage memory holds: all that any run but a manual one reads.
pub(super) fn memory_back(options: &HistoricalOptions) -> i64 {
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
