//! What may go to a destination: by source, by feed, and by the time that a fact is about.

use super::CurrentState;
use crate::domain::health::Heartbeat;
use crate::domain::ids::{Feed, SourceName};
use crate::domain::interval::IntervalStart;
use crate::domain::record::{Origin, Record, StateTransaction};
use crate::domain::timestamp::WallTime;

/// `sources`, `feeds` and `facts_from` of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// The sources that may pass; empty = all.
    pub sources: Vec<SourceName>,
    /// The feeds that may pass; empty = all.
    pub feeds: Vec<Feed>,
    /// Earlier intervals and transactions do not pass.
    pub facts_from: Option<IntervalStart>,
}

impl DeliveryFilter {
    /// The record as the destination may see it, or nothing.
    pub fn pass(&self, mut record: Record) -> Option<Record> {
        self.narrowed(&mut record).then_some(record)
    }

    /// Makes of the record what the destination may see of it; false where that is nothing.
    ///
    /// A transaction before `facts_from` becomes the agent's first row there: a `resync` at that
    /// time. Where several of an agent come, the newest replaces the others, as they have one key.
    pub fn narrowed(&self, record: &mut Record) -> bool {
        if !self.allows(record.source(), record.feed()) {
            return false;
        }
        let Some(from) = self.facts_from else {
            return true;
        };
        match record {
            Record::Transaction(transaction) => {
                not_before(transaction, from.start());
                true
            }
            Record::Interval(interval) => interval.interval_start >= from,
            Record::Coverage(entry) => entry.interval_start >= from,
            _ => true,
        }
    }

    /// The current state as the destination may see it, or nothing.
    pub fn pass_current(&self, mut state: CurrentState) -> Option<CurrentState> {
        if !self.allows(&state.source, Feed::Realtime) {
            return None;
        }
        if let Some(from) = self.facts_from.map(IntervalStart::start)
            && state.since < from
        {
            state.since = from;
            state.origin = Origin::Resync;
        }
        Some(state)
    }

    /// Takes out of a heartbeat the feeds that may not pass.
    pub fn narrow(&self, beat: &mut Heartbeat) {
        beat.feeds.retain(|f| self.allows(&f.source, f.feed));
    }

    /// Whether anything of the feed of this source may pass.
    pub fn allows(&self, source: &SourceName, feed: Feed) -> bool {
        (self.sources.is_empty() || self.sources.contains(source))
            && (self.feeds.is_empty() || self.feeds.contains(&feed))
    }

    /// Whether agent states may pass at all.
    pub fn allows_realtime(&self) -> bool {
        self.feeds.is_empty() || self.feeds.contains(&Feed::Realtime)
    }
}

fn not_before(transaction: &mut StateTransaction, from: WallTime) {
    if transaction.started_at >= from {
        return;
    }
    transaction.started_at = from;
    transaction.previous_state = None;
    transaction.earliest_at = None;
    transaction.observed_at = transaction.observed_at.max(from);
    transaction.origin = Origin::Resync;
    transaction.clamped = false;
    transaction.tied = false;
}
