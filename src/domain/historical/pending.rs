//! What waits for its commit, and how it is taken over: commit by commit, so that memory never
//! holds more, nor less, than the journal.

use std::collections::{HashMap, VecDeque};

use super::super::backfill::{BackfillChange, CHANGES_LISTED_MAX};
use super::super::call::Decision;
use super::super::coverage::Cover;
use super::super::health::{FeedCounts, FeedState};
use super::super::ids::QueueId;
use super::super::interval::IntervalStart;
use super::super::record::Record;
use super::super::timestamp::Now;
use super::machine::HistoricalMachine;
use super::track::{Lane, Track};

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
}
