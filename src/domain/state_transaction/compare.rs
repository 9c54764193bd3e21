//! One answer against what is known: the transactions that follow.

use super::known::{KnownAgent, KnownStates, PollNumber, RESTORED, Slot, TextIndex, UNKNOWN};
use super::listing::{FreshAgent, Listing};
use super::{Absence, PollTimes, Polls, Shown};
use crate::domain::call::Snapshot;
use crate::domain::category::StateMap;
use crate::domain::ids::{AgentId, SourceName, StateText};
use crate::domain::realtime::{MissingAgent, SnapshotKind};
use crate::domain::record::{Category, Origin, Record, StateTransaction};
use crate::domain::roster::{self, Roster};
use crate::domain::timestamp::WallTime;

/// The text of the state that an absent agent is in by `missing_agent = "logged_out"`.
const LOGGED_OUT: &str = "Logged out";
/// A source time of an unchanged state means that the state was left and entered again only if it
/// lies this far after the last sight of it: the two clocks may differ by 2 s, and sources round.
const ENTERED_AGAIN_AFTER_MS: i64 = 3_000;
/// A source time that lies further back says nothing (0, or a date from a template): as
/// `max_backfill`.
const SOURCE_AGE_MAX_MS: i64 = 35 * 24 * 3_600_000;

/// All that a comparison depends on beside the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison<'a> {
    pub source: &'a SourceName,
    pub map: &'a StateMap,
    pub roster: &'a Roster,
    pub poll: PollTimes,
    /// The polls before this one.
    pub former: Polls,
    pub gap_before: Option<PollNumber>,
    pub absence: Absence,
    pub complete: bool,
    /// The first poll of a guarded absence that is believed now.
    pub believed: Option<PollTimes>,
}

/// What an answer changes, once it is journaled.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    pub known: Vec<(Slot, WallTime, TextIndex)>,
    /// For each fresh agent, in the order of their slots.
    pub fresh: Vec<(WallTime, TextIndex)>,
}

/// An estimate of when a state began.
#[derive(Debug, Clone, Copy)]
struct Began {
    at: WallTime,
    origin: Origin,
    clamped: bool,
}

/// One transaction, before the texts are looked up.
#[derive(Debug, Clone, Copy)]
struct Draft {
    began: Began,
    text: TextIndex,
    earliest: Option<WallTime>,
    observed: WallTime,
}

/// Where a run of transactions of one agent stands.
#[derive(Debug, Clone, Copy)]
struct Line {
    started_at: Option<WallTime>,
    text: Option<TextIndex>,
}

struct Writer<'a> {
    comparison: &'a Comparison<'a>,
    shown: Shown,
    changes: Changes,
    /// Provisional agents whose state went on under another id.
    handed_over: Vec<Slot>,
}

/// Compares, without changing what is known of any agent.
pub(super) fn compare(
    known: &mut KnownStates,
    listing: &Listing,
    comparison: &Comparison<'_>,
    snapshot: &Snapshot,
) -> (Changes, Shown) {
    let logged_out = text_of_absence(known, listing, comparison);
    let mut writer = Writer {
        comparison,
        shown: Shown::default(),
        changes: Changes::default(),
        handed_over: Vec::new(),
    };
    let unseen = (WallTime::default(), UNKNOWN);
    writer.changes.fresh.resize(listing.fresh.len(), unseen);
    for (row, taken) in snapshot.rows().zip(listing.taken()) {
        let Some((slot, text)) = taken else {
            continue;
        };
        if let Some(agent) = known.agents.get(slot as usize) {
            writer.listed(known, slot, agent, text, row.since);
        } else {
            let place = slot as usize - known.agents.len();
            writer.fresh(known, place, &listing.fresh[place], text, row.since);
        }
    }
    if comparison.complete {
        for (slot, agent) in known.agents.iter().enumerate() {
            if !listing.lists(slot) {
                writer.absent(known, slot, agent, logged_out);
            }
        }
    }
    (writer.changes, writer.shown)
}

/// The state of absent agents, taken up only where somebody is absent: until then it is no state
/// of this source.
fn text_of_absence(
    known: &mut KnownStates,
    listing: &Listing,
    comparison: &Comparison<'_>,
) -> TextIndex {
    let absence = comparison.absence;
    let infers = comparison.complete
        && absence.snapshot == SnapshotKind::Full
        && absence.missing == MissingAgent::LoggedOut;
    if infers && (0..known.agents.len()).any(|slot| !listing.lists(slot)) {
        let interned = known.texts.intern(LOGGED_OUT, comparison.map);
        interned.expect("a constant, short and not empty")
    } else {
        UNKNOWN
    }
}

impl Comparison<'_> {
    /// The last poll that is known to have seen the agent as it is known.
    fn last_sight(&self, agent: &KnownAgent) -> Option<PollTimes> {
        let answered = self.former.answered;
        answered
            .filter(|poll| poll.number == agent.listed)
            .or(self.former.complete)
    }

    fn unseen_through_gap(&self, agent: &KnownAgent) -> bool {
        self.gap_before.is_some_and(|number| agent.listed < number)
    }

    /// Whether the source's time can be meant, cut to the bounds. Without a lower bound any time
    /// of the last weeks is taken as it is.
    fn by_source(&self, since: Option<WallTime>, earliest: Option<WallTime>) -> Option<Began> {
        let observed = self.poll.received;
        let since = since.filter(|at| observed.ms_since(*at) <= SOURCE_AGE_MAX_MS)?;
        let at = since.max(earliest.unwrap_or(since)).min(observed);
        Some(Began {
            at,
            origin: Origin::Source,
            clamped: at != since,
        })
    }
}

impl Writer<'_> {
    /// A row of an agent that is known.
    fn listed(
        &mut self,
        known: &KnownStates,
        slot: Slot,
        agent: &KnownAgent,
        text: TextIndex,
        since: Option<WallTime>,
    ) {
        if self.comparison.unseen_through_gap(agent) {
            let same = agent.text == text;
            self.gap(known, agent, Some((text, since)), slot);
            if same {
                self.shown.counts.rows_unchanged += 1;
                self.shown.counts.resync += 1;
            } else {
                self.shown.counts.rows_changed += 1;
            }
            return;
        }
        if agent.text == text && !self.entered_again(agent, since) {
            self.shown.counts.rows_unchanged += 1;
            return;
        }
        let earliest = self.comparison.last_sight(agent).map(|poll| poll.sent);
        let mut line = Line::of(agent);
        let began = self.began(since, earliest);
        self.write(
            known,
            &agent.id,
            &mut line,
            &Draft {
                began,
                text,
                earliest,
                observed: self.comparison.poll.received,
            },
        );
        self.shown.counts.rows_changed += 1;
        self.take(slot, line);
    }

    /// The best estimate of rule 5 for a change that polls bound.
    fn began(&self, since: Option<WallTime>, earliest: Option<WallTime>) -> Began {
        let observed = self.comparison.poll.received;
        let from_source = self.comparison.by_source(since, earliest);
        from_source.unwrap_or(match earliest {
            Some(earliest) => Began {
                at: earliest.midpoint(observed),
                origin: Origin::Observed,
                clamped: false,
            },
            None => Began {
                at: observed,
                origin: Origin::Resync,
                clamped: false,
            },
        })
    }

    fn entered_again(&self, agent: &KnownAgent, since: Option<WallTime>) -> bool {
        let (Some(since), Some(sight)) = (since, self.comparison.last_sight(agent)) else {
            return false;
        };
        let seen_until = sight.received.max(agent.started_at);
        since.ms_since(seen_until) > ENTERED_AGAIN_AFTER_MS
            && since <= self.comparison.poll.received
    }

    /// An agent that no poll has listed before.
    fn fresh(
        &mut self,
        known: &KnownStates,
        place: usize,
        fresh: &FreshAgent,
        text: TextIndex,
        since: Option<WallTime>,
    ) {
        let comparison = self.comparison;
        let observed = comparison.poll.received;
        let (earliest, began) = if comparison.gap_before.is_some() {
            let earliest = comparison.former.complete.map(|poll| poll.received);
            (earliest, self.resync(since, earliest))
        } else if let Some(last) = comparison.former.complete {
            (Some(last.sent), self.began(since, Some(last.sent)))
        } else {
            (None, self.resync(since, None))
        };
        let mut line = Line {
            started_at: None,
            text: None,
        };
        let draft = Draft {
            began,
            text,
            earliest,
            observed,
        };
        self.provisional(fresh, observed);
        self.write(known, &fresh.id, &mut line, &draft);
        self.shown.counts.rows_changed += 1;
        self.changes.fresh[place] = (line.started_at.unwrap_or(observed), text);
        if let Some(username) = &fresh.username
            && username.as_ref() != fresh.id.as_str()
        {
            self.hand_over(known, username);
        }
    }

    /// An agent that the roster does not know appears in it at once.
    fn provisional(&mut self, fresh: &FreshAgent, seen_at: WallTime) {
        let comparison = self.comparison;
        if comparison.roster.agent(fresh.id.as_str()).is_some() {
            return;
        }
        let username = fresh.username.as_deref();
        let entry = roster::provisional_agent(comparison.source, &fresh.id, username, seen_at);
        self.shown.records.push(Record::Agent(entry));
        self.shown.counts.roster += 1;
        self.shown.unknown_agent = true;
    }

    /// A user name was kept as a provisional agent and is now known to be somebody's: the state
    /// goes on under the agent's id, and nothing more is known of the provisional one.
    fn hand_over(&mut self, known: &KnownStates, username: &str) {
        let Some(slot) = known.slot(username) else {
            return;
        };
        let agent = &known.agents[slot as usize];
        if agent.text == UNKNOWN {
            return;
        }
        let observed = self.comparison.poll.received;
        let draft = Draft {
            began: Began {
                at: observed,
                origin: Origin::Inferred,
                clamped: false,
            },
            text: UNKNOWN,
            earliest: self.comparison.last_sight(agent).map(|poll| poll.sent),
            observed,
        };
        let mut line = Line::of(agent);
        self.write(known, &agent.id, &mut line, &draft);
        self.shown.counts.inferred += 1;
        self.take(slot, line);
        self.handed_over.push(slot);
    }

    /// An agent that a complete answer does not list.
    fn absent(
        &mut self,
        known: &KnownStates,
        slot: usize,
        agent: &KnownAgent,
        logged_out: TextIndex,
    ) {
        let comparison = self.comparison;
        let slot = Slot::try_from(slot).expect("far fewer agents than 2^32");
        if self.handed_over.contains(&slot) {
            return;
        }
        let category = known.category(agent);
        let gone = category == Category::LoggedOut && !self.listed_last(agent);
        let mut line = Line::of(agent);
        let mut written = false;
        if comparison.unseen_through_gap(agent) && agent.text != UNKNOWN {
            match comparison.absence.snapshot {
                // A list of changes without the agent says that its state is the same.
                SnapshotKind::Delta => {
                    line = self.gap(known, agent, Some((agent.text, None)), slot);
                    self.shown.counts.resync += 1;
                }
                // Long gone, and gone still: nobody claimed to have seen it.
                SnapshotKind::Full if gone => {}
                SnapshotKind::Full | SnapshotKind::Unknown => {
                    line = self.gap(known, agent, None, slot);
                    written = true;
                }
            }
        }
        let claims_more = written || category != Category::LoggedOut;
        if claims_more && let Some(draft) = self.infer(agent, line, logged_out) {
            self.write(known, &agent.id, &mut line, &draft);
            self.shown.counts.inferred += 1;
            self.take(slot, line);
        }
    }

    fn listed_last(&self, agent: &KnownAgent) -> bool {
        let last = self.comparison.former.complete;
        last.is_some_and(|poll| agent.listed >= poll.number)
    }

    /// What absence from two complete full lists in a row means (rule 6), or from guarded lists
    /// that are believed now.
    fn infer(&self, agent: &KnownAgent, line: Line, logged_out: TextIndex) -> Option<Draft> {
        let comparison = self.comparison;
        if comparison.absence.snapshot != SnapshotKind::Full {
            return None;
        }
        let text = match comparison.absence.missing {
            MissingAgent::LoggedOut => logged_out,
            MissingAgent::Unknown => UNKNOWN,
            MissingAgent::Keep => return None,
        };
        if line.text == Some(text) {
            return None;
        }
        let former = &comparison.former;
        let (first, seen) = match (comparison.believed, former.complete) {
            (Some(first), last) if agent.listed < first.number => (first, last),
            // Across a gap two lists are not two in a row.
            (_, Some(last)) if comparison.gap_before.is_none() && agent.listed < last.number => {
                (last, former.before)
            }
            _ => return None,
        };
        // Whom the last poll before a restart listed is not remembered.
        let seen = seen.filter(|poll| agent.listed >= poll.number && poll.number != RESTORED);
        Some(Draft {
            began: Began {
                at: first.received,
                origin: Origin::Inferred,
                clamped: false,
            },
            text,
            earliest: seen.map(|poll| poll.sent),
            observed: first.received,
        })
    }

    /// The span since the last sight is unknown; where the agent is seen again, `now` says how.
    fn gap(
        &mut self,
        known: &KnownStates,
        agent: &KnownAgent,
        now: Option<(TextIndex, Option<WallTime>)>,
        slot: Slot,
    ) -> Line {
        let comparison = self.comparison;
        let observed = comparison.poll.received;
        let mut line = Line::of(agent);
        let sight = comparison.last_sight(agent);
        let from = sight.map_or(agent.started_at, |poll| poll.received);
        if agent.text != UNKNOWN {
            let draft = Draft {
                began: Began {
                    at: from,
                    origin: Origin::Gap,
                    clamped: false,
                },
                text: UNKNOWN,
                earliest: Some(from),
                observed,
            };
            self.write(known, &agent.id, &mut line, &draft);
            self.shown.counts.gap += 1;
        }
        if let Some((text, since)) = now {
            let draft = Draft {
                began: self.resync(since, Some(from)),
                text,
                earliest: Some(from),
                observed,
            };
            self.write(known, &agent.id, &mut line, &draft);
        }
        self.take(slot, line);
        line
    }

    /// When a state that is seen again (or at all) is said to have begun: at sight, or at the
    /// source's time where that is not before what was seen last. Never a midpoint.
    fn resync(&self, since: Option<WallTime>, earliest: Option<WallTime>) -> Began {
        let meant = since.filter(|at| earliest.is_none_or(|earliest| *at >= earliest));
        let at_sight = Began {
            at: self.comparison.poll.received,
            origin: Origin::Resync,
            clamped: false,
        };
        self.comparison
            .by_source(meant, earliest)
            .map_or(at_sight, |began| Began {
                origin: Origin::Resync,
                ..began
            })
    }

    fn take(&mut self, slot: Slot, line: Line) {
        if let (Some(started_at), Some(text)) = (line.started_at, line.text) {
            self.changes.known.push((slot, started_at, text));
        }
    }

    /// Writes one transaction, strictly after the agent's last one.
    fn write(&mut self, known: &KnownStates, agent: &AgentId, line: &mut Line, draft: &Draft) {
        let text = |index: TextIndex| -> StateText { known.texts.get(index).text.clone() };
        let after = line.started_at.map(|last| last.plus_ms(1));
        let tied = after.is_some_and(|after| draft.began.at < after);
        let started_at = after.filter(|_| tied).unwrap_or(draft.began.at);
        self.shown.counts.clamped += u64::from(draft.began.clamped);
        self.shown
            .records
            .push(Record::Transaction(StateTransaction {
                source: self.comparison.source.clone(),
                agent: agent.clone(),
                started_at,
                state: text(draft.text),
                category: known.texts.get(draft.text).category,
                previous_state: line.text.map(text),
                earliest_at: draft.earliest,
                observed_at: draft.observed,
                origin: draft.began.origin,
                clamped: draft.began.clamped,
                tied,
            }));
        line.started_at = Some(started_at);
        line.text = Some(draft.text);
    }
}

impl Line {
    fn of(agent: &KnownAgent) -> Self {
        Self {
            started_at: Some(agent.started_at),
            text: Some(agent.text),
        }
    }
}
