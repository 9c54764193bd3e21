//! Whom an answer lists: each row found among the known agents.

use std::collections::HashMap;

use super::known::{KnownStates, PollNumber, Slot, TextIndex};
use crate::domain::call::{AgentState, RejectReason, Rejections, Snapshot};
use crate::domain::category::StateMap;
use crate::domain::ids::{AgentId, IdError};
use crate::domain::roster::Roster;

/// The slot of a row that was not taken.
const REJECTED: Slot = Slot::MAX;

/// The rows of one answer, found. The buffers of the rows are kept from poll to poll.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    rows: Vec<(Slot, TextIndex)>,
    /// For each slot, known or fresh, the row that lists it plus one; 0 = not listed.
    listed_by: Vec<u32>,
    /// Agents that are not known yet; their slots follow those of the known ones.
    pub fresh: Vec<FreshAgent>,
    fresh_index: HashMap<AgentId, Slot>,
    /// Rows that could not be taken although the parse took them.
    pub rejected: Rejections,
}

/// An agent that is listed for the first time.
#[derive(Debug, Clone)]
pub(super) struct FreshAgent {
    pub id: AgentId,
    /// The user name that the row had instead of an id.
    pub username: Option<Box<str>>,
}

impl Listing {
    /// Finds every row. Only state texts are added to what is known (their meaning is no claim
    /// about any agent).
    pub(super) fn resolve(
        &mut self,
        known: &mut KnownStates,
        roster: &Roster,
        map: &StateMap,
        snapshot: &Snapshot,
    ) {
        self.rows.clear();
        self.listed_by.clear();
        self.listed_by.resize(known.agents.len(), 0);
        // Not cleared: the first poll finds thousands, and the later ones hardly any.
        self.fresh = Vec::new();
        self.fresh_index = HashMap::new();
        self.rejected.clear();
        let mut expected = 0;
        for (number, row) in (1..).zip(snapshot.rows()) {
            match self.resolve_row(known, roster, map, &row, &mut expected) {
                Ok((slot, text)) => {
                    self.list(slot, number, &row);
                    self.rows.push((slot, text));
                }
                Err(reason) => {
                    self.rejected.push(reason, || describe(&row));
                    self.rows.push((REJECTED, 0));
                }
            }
        }
    }

    fn resolve_row(
        &mut self,
        known: &mut KnownStates,
        roster: &Roster,
        map: &StateMap,
        row: &AgentState<'_>,
        expected: &mut usize,
    ) -> Result<(Slot, TextIndex), RejectReason> {
        let owner = row
            .by_username
            .then(|| roster.agent_by_username(row.agent))
            .flatten();
        let id = owner.map_or(row.agent, AgentId::as_str);
        if let Some(slot) = find_known(known, id, expected) {
            return Ok((slot, text_of(known, slot, row.state, map)?));
        }
        // The text first: a row that is rejected must leave no agent behind.
        let text = known.texts.intern(row.state, map)?;
        if let Some(&slot) = self.fresh_index.get(id) {
            return Ok((slot, text));
        }
        let id = match roster.agent_id(id) {
            Some(known) => known.clone(),
            None => AgentId::new(id).map_err(|error| match error {
                IdError::Empty { .. } => RejectReason::MissingId,
                _ => RejectReason::TooLong,
            })?,
        };
        let slot = Slot::try_from(self.listed_by.len()).expect("far fewer agents than 2^32");
        self.listed_by.push(0);
        self.fresh_index.insert(id.clone(), slot);
        self.fresh.push(FreshAgent {
            id,
            username: row.by_username.then(|| row.agent.into()),
        });
        Ok((slot, text))
    }

    /// Of two rows of one agent the last counts; the earlier one is rejected.
    fn list(&mut self, slot: Slot, number: u32, row: &AgentState<'_>) {
        let former = std::mem::replace(&mut self.listed_by[slot as usize], number);
        if former != 0 {
            self.rows[former as usize - 1].0 = REJECTED;
            self.rejected
                .push(RejectReason::Duplicate, || describe(row));
        }
    }

    /// The rows that were taken: number in the answer, slot and state text.
    pub(super) fn taken(&self) -> impl Iterator<Item = Option<(Slot, TextIndex)>> + '_ {
        let taken = |&(slot, text): &(Slot, TextIndex)| (slot != REJECTED).then_some((slot, text));
        self.rows.iter().map(taken)
    }

    pub(super) fn lists(&self, slot: usize) -> bool {
        self.listed_by[slot] != 0
    }

    /// How many agents the poll listed that are not listed now, and how many it listed at all.
    pub(super) fn vanished_since(&self, known: &KnownStates, poll: PollNumber) -> (usize, usize) {
        let mut counts = (0, 0);
        for (slot, agent) in known.agents.iter().enumerate() {
            if agent.listed >= poll {
                counts.1 += 1;
                counts.0 += usize::from(!self.lists(slot));
            }
        }
        counts
    }
}

/// Most answers list the agents in the order of the last one, so that is tried before the hash.
fn find_known(known: &KnownStates, id: &str, expected: &mut usize) -> Option<Slot> {
    if let Some(&slot) = known.order.get(*expected)
        && known.agents[slot as usize].id.as_str() == id
    {
        *expected += 1;
        return Some(slot);
    }
    let slot = known.slot(id)?;
    *expected = known.agents[slot as usize].position as usize + 1;
    Some(slot)
}

fn text_of(
    known: &mut KnownStates,
    slot: Slot,
    state: &str,
    map: &StateMap,
) -> Result<TextIndex, RejectReason> {
    if let Some(agent) = known.agents.get(slot as usize)
        && known.texts.get(agent.text).text.as_str() == state
    {
        return Ok(agent.text);
    }
    known.texts.intern(state, map)
}

fn describe(row: &AgentState<'_>) -> String {
    let cut = |text: &str| text.chars().take(40).collect::<String>();
    format!("agent \"{}\", state \"{}\"", cut(row.agent), cut(row.state))
}
