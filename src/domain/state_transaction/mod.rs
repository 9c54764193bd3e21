//! State transactions from snapshots (domain rules 5 and 6): what a poll shows, compared with what
//! is known of each agent, makes one transaction per change.
//!
//! Invariants:
//! - `started_at` strictly increases per agent.
//! - `earliest_at` is the moment up to which somebody saw the former state, `observed_at` the
//!   moment at which the new one was seen; `started_at` lies between them (but for a tie).
//! - A span that nobody saw is claimed by no state: it becomes `(unknown)`.
//! - Nothing that is known changes before [`StateDiff::committed`].

mod compare;
mod known;
mod listing;

use compare::{Changes, Comparison};
use known::{KnownAgent, KnownStates, PollNumber, RESTORED};
use listing::Listing;

use super::batch::CurrentState;
use super::call::{Rejections, Snapshot};
use super::category::StateMap;
use super::health::FeedCounts;
use super::ids::{SourceName, StateText};
use super::realtime::{MissingAgent, SnapshotKind};
use super::record::{Record, StateCode};
use super::roster::Roster;
use super::timestamp::WallTime;

/// The vanish guard applies only where the last complete poll listed more agents than this
/// (thrio-api.md §3).
const GUARD_AGENTS_OVER: usize = 10;
/// How long a guarded absence lasts before it is believed.
const GUARD_MS: i64 = 5 * 60 * 1000;

/// When a poll was sent and answered, in label time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PollTimes {
    number: PollNumber,
    /// When it was sent.
    pub sent: WallTime,
    /// When its answer was received.
    pub received: WallTime,
}

/// One answered poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poll<'a> {
    /// When it was sent.
    pub sent: WallTime,
    /// When its answer was received; not before any answer before it.
    pub received: WallTime,
    /// More than two periods had passed without an answered poll.
    pub after_gap: bool,
    /// What it listed.
    pub snapshot: &'a Snapshot,
}

/// The polls that the store remembers.
#[derive(Debug, Clone, Copy)]
pub(super) struct RestoredPolls {
    /// When the last answered one was received.
    pub answered_at: Option<WallTime>,
    /// When the last complete one was sent and received.
    pub complete: Option<(WallTime, WallTime)>,
    /// Since when agents that no answer has listed were not seen, while a gap is still open.
    pub gap_since: Option<WallTime>,
}

/// What absence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absence {
    /// Whether answers list every agent.
    pub snapshot: SnapshotKind,
    /// What follows from two absences.
    pub missing: MissingAgent,
}

/// What one poll showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Transactions, provisional agents and state codes, in the order in which they are journaled.
    pub records: Vec<Record>,
    /// Rows and records by rule 13.
    pub counts: FeedCounts,
    /// Whether the poll was complete.
    pub complete: bool,
    /// An agent was seen that the roster does not know.
    pub unknown_agent: bool,
}

/// Since when a guarded absence lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guard {
    first: PollTimes,
}

/// A state text that nobody mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmappedState {
    /// The text.
    pub state: StateText,
    /// When it was first seen, where the journal has it already.
    pub first_seen: Option<WallTime>,
}

/// The last known states of one source's agents, and the comparison of answers with them.
#[derive(Debug, Clone)]
pub(super) struct StateDiff {
    known: KnownStates,
    polls: Polls,
    listing: Listing,
    pending: Option<Pending>,
}

/// The polls that the bounds of transactions come from.
#[derive(Debug, Clone, Copy, Default)]
struct Polls {
    last_number: PollNumber,
    /// The last answered poll.
    answered: Option<PollTimes>,
    /// The last complete poll.
    complete: Option<PollTimes>,
    /// The complete poll before that.
    before: Option<PollTimes>,
    /// Agents that no poll from this one on has listed were not seen through a gap.
    gap_before: Option<PollNumber>,
    /// The receipt of the last answered poll before that gap.
    gap_since: Option<WallTime>,
    guard: Option<Guard>,
    /// How many agents were listed before a guarded absence that was believed, until most are back.
    mass_absence: Option<usize>,
}

/// What becomes known when the records are in the store.
#[derive(Debug, Clone)]
struct Pending {
    number: PollNumber,
    polls: Polls,
    changes: Changes,
    received: WallTime,
}

impl StateDiff {
    /// Goes on from what the store remembers.
    pub(super) fn restore(
        states: &[CurrentState],
        codes: &[StateCode],
        map: &StateMap,
        polls: &RestoredPolls,
    ) -> Self {
        let answered_at = polls.answered_at;
        let complete = polls.complete.map(|(sent, received)| PollTimes {
            number: RESTORED,
            sent,
            received,
        });
        // Which agents an incomplete poll after the last complete one listed is not remembered.
        let answered = match (answered_at, complete) {
            (Some(at), Some(complete)) if at <= complete.received => Some(complete),
            (Some(at), _) => Some(PollTimes {
                number: RESTORED + 1,
                sent: at,
                received: at,
            }),
            (None, complete) => complete,
        };
        let mut diff = Self {
            known: KnownStates::restore(states, codes, map, polls.gap_since),
            polls: Polls {
                last_number: RESTORED + 1,
                answered,
                complete,
                gap_since: polls.gap_since,
                gap_before: polls.gap_since.map(|_| RESTORED),
                ..Polls::default()
            },
            listing: Listing::default(),
            pending: None,
        };
        diff.map_anew(map);
        diff
    }

    /// Gives every text its meaning by this map; what differs is journaled with the next poll.
    pub(super) fn map_anew(&mut self, map: &StateMap) {
        self.known.texts.map_anew(map);
    }

    /// When the last answered poll was received.
    pub(super) fn answered_at(&self) -> Option<WallTime> {
        self.polls.answered.map(|poll| poll.received)
    }

    /// When the last complete poll was sent and received.
    pub(super) fn complete(&self) -> Option<PollTimes> {
        self.polls.complete
    }

    /// Since when agents that no answer has listed were not seen, after the last poll, while its
    /// decision is pending too.
    pub(super) fn gap_since(&self) -> Option<WallTime> {
        let polls = self.pending.as_ref().map_or(&self.polls, |p| &p.polls);
        polls.gap_since
    }

    /// How many agents are known.
    pub(super) fn agents(&self) -> usize {
        self.known.agents.len()
    }

    /// Since when most agents are missing from the answers, while that is not yet believed.
    pub(super) fn guarded_since(&self) -> Option<WallTime> {
        self.polls.guard.map(|guard| guard.first.received)
    }

    /// Whether a mass absence was believed and lasts.
    pub(super) fn mass_absence(&self) -> bool {
        self.polls.mass_absence.is_some()
    }

    /// Rows of the last poll that the parse took and the comparison did not.
    pub(super) fn rejected(&self) -> &Rejections {
        &self.listing.rejected
    }

    /// The state texts that nobody mapped.
    pub(super) fn unmapped(&self) -> impl Iterator<Item = UnmappedState> + '_ {
        self.known.texts.unmapped().map(|text| UnmappedState {
            state: text.text.clone(),
            first_seen: text.first_seen,
        })
    }

    /// Compares a poll with what is known, and remembers the outcome until it is committed.
    pub(super) fn poll(
        &mut self,
        source: &SourceName,
        absence: Absence,
        map: &StateMap,
        roster: &Roster,
        poll: &Poll<'_>,
    ) -> Shown {
        self.listing
            .resolve(&mut self.known, roster, map, poll.snapshot);
        let times = PollTimes {
            number: self.polls.last_number + 1,
            sent: poll.sent,
            received: poll.received,
        };
        let mut polls = self.polls;
        polls.last_number = times.number;
        if poll.after_gap {
            polls.gap_before = Some(times.number);
            let last = polls.answered.map(|poll| poll.received);
            polls.gap_since = last;
            polls.guard = None;
        }
        let rejected = poll.snapshot.rejected.count + self.listing.rejected.count;
        let believed = self.judge_absence(absence.snapshot, &mut polls, times);
        let complete = rejected == 0 && polls.guard.is_none();
        let comparison = Comparison {
            source,
            map,
            roster,
            poll: times,
            former: self.polls,
            gap_before: polls.gap_before,
            absence,
            complete,
            believed: believed.filter(|_| complete),
        };
        let (changes, mut shown) =
            compare::compare(&mut self.known, &self.listing, &comparison, poll.snapshot);
        let codes = self
            .known
            .texts
            .codes_to_journal(source, poll.received)
            .map(Record::StateCode);
        let before = shown.records.len();
        shown.records.extend(codes);
        shown.counts.state_codes = (shown.records.len() - before) as u64;
        shown.counts.rows_received = poll.snapshot.len() as u64 + poll.snapshot.rejected.count;
        shown.counts.rows_rejected = rejected;
        shown.complete = complete;
        polls.answered = Some(times);
        if complete {
            polls.before = polls.complete;
            polls.complete = Some(times);
            polls.gap_before = None;
            polls.gap_since = None;
        } else if believed.is_some() {
            // A rejected row spoils the poll that would have ended the guard: the next one ends it.
            polls.guard = believed.map(|first| Guard { first });
        }
        self.pending = Some(Pending {
            number: times.number,
            polls,
            changes,
            received: poll.received,
        });
        shown
    }

    /// The vanish guard. Returns the first guarded poll once the absence has lasted long enough.
    fn judge_absence(
        &self,
        kind: SnapshotKind,
        polls: &mut Polls,
        times: PollTimes,
    ) -> Option<PollTimes> {
        let last = polls.complete.filter(|_| kind == SnapshotKind::Full);
        let Some(last) = last else {
            polls.guard = None;
            polls.mass_absence = None;
            return None;
        };
        let (vanished, listed) = self.listing.vanished_since(&self.known, last.number);
        if listed <= GUARD_AGENTS_OVER || vanished * 2 <= listed {
            polls.guard = None;
            let present = self.listing.taken().flatten().count();
            polls.mass_absence = polls.mass_absence.filter(|before| present * 2 <= *before);
            return None;
        }
        let first = polls.guard.map_or(times, |guard| guard.first);
        if times.received.ms_since(first.received) >= GUARD_MS {
            polls.guard = None;
            polls.mass_absence = Some(listed);
            return Some(first);
        }
        polls.guard = Some(Guard { first });
        None
    }

    /// The last poll's records are in the store: what it showed is known from now on.
    pub(super) fn committed(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.polls = pending.polls;
        let known = &mut self.known;
        known.texts.journaled(pending.received);
        for (slot, started_at, text) in pending.changes.known {
            let agent = &mut known.agents[slot as usize];
            agent.started_at = started_at;
            agent.text = text;
        }
        let fresh = self.listing.fresh.drain(..).zip(pending.changes.fresh);
        for (fresh, (started_at, text)) in fresh {
            known.push(KnownAgent {
                id: fresh.id,
                started_at,
                listed: pending.number,
                text,
                position: 0,
            });
        }
        known.order.clear();
        for (slot, _) in self.listing.taken().flatten() {
            let agent = &mut known.agents[slot as usize];
            agent.listed = pending.number;
            agent.position = u32::try_from(known.order.len()).expect("rows are far below 2^32");
            known.order.push(slot);
        }
    }

    /// The last poll's records are not in the store: it showed nothing.
    pub(super) fn forget(&mut self) {
        self.pending = None;
    }
}
