//! The last known state of every agent, kept small: 20,000 agents take about 3 MiB.
//!
//! State texts are kept once. Agents lie in the order in which they were first seen, and the
//! order of the last answer is kept beside, because the next answer nearly always repeats it.

use std::collections::HashMap;

use crate::domain::batch::CurrentState;
use crate::domain::call::{RejectReason, state_text};
use crate::domain::category::StateMap;
use crate::domain::ids::{AgentId, SourceName, StateText};
use crate::domain::record::{Category, Origin, StateCode};
use crate::domain::timestamp::WallTime;

/// The place of an agent in [`KnownStates`].
pub(super) type Slot = u32;
/// The place of a state text in [`StateTexts`].
pub(super) type TextIndex = u32;
/// The number of a poll; 0 = none of this process's polls, nor the last one before it.
pub(super) type PollNumber = u64;

/// The poll that what was restored at start stands for.
pub(super) const RESTORED: PollNumber = 1;
/// The text of a state that nobody saw; always the first one.
pub(super) const UNKNOWN: TextIndex = 0;

/// The last known state of one agent.
#[derive(Debug, Clone)]
pub(super) struct KnownAgent {
    pub id: AgentId,
    pub started_at: WallTime,
    /// The last answered poll that listed the agent.
    pub listed: PollNumber,
    pub text: TextIndex,
    /// Where the last answer listed the agent.
    pub position: u32,
}

/// The last known states, and what the texts mean.
#[derive(Debug, Clone)]
pub(super) struct KnownStates {
    pub agents: Vec<KnownAgent>,
    index: HashMap<AgentId, Slot>,
    /// The slots of the last answer's rows, in its order.
    pub order: Vec<Slot>,
    pub texts: StateTexts,
}

impl KnownStates {
    /// What the store remembers. An agent that was inferred to be gone was not listed any more,
    /// and one whose state is older than a gap that is still open has not been listed since.
    pub(super) fn restore(
        states: &[CurrentState],
        codes: &[StateCode],
        map: &StateMap,
        gap_since: Option<WallTime>,
    ) -> Self {
        let mut known = Self {
            agents: Vec::with_capacity(states.len()),
            index: HashMap::with_capacity(states.len()),
            order: Vec::with_capacity(states.len()),
            texts: StateTexts::restore(codes),
        };
        for state in states {
            let gone = state.origin == Origin::Inferred && state.category == Category::LoggedOut;
            let unseen = gap_since.is_some_and(|since| state.since <= since);
            let text = if state.category == Category::Unknown {
                UNKNOWN
            } else {
                known
                    .texts
                    .intern(state.state.as_str(), map)
                    .expect("a text of the journal is a state text")
            };
            known.push(KnownAgent {
                id: state.agent.clone(),
                started_at: state.since,
                listed: if gone || unseen { 0 } else { RESTORED },
                text,
                position: 0,
            });
        }
        known
    }

    pub(super) fn slot(&self, id: &str) -> Option<Slot> {
        self.index.get(id).copied()
    }

    pub(super) fn push(&mut self, agent: KnownAgent) {
        let slot = Slot::try_from(self.agents.len()).expect("far fewer agents than 2^32");
        self.index.insert(agent.id.clone(), slot);
        self.agents.push(agent);
    }

    pub(super) fn category(&self, agent: &KnownAgent) -> Category {
        self.texts.get(agent.text).category
    }
}

/// A state text with what it means.
#[derive(Debug, Clone)]
pub(super) struct KnownText {
    pub text: StateText,
    pub category: Category,
    pub mapped: bool,
    /// When the source first showed it.
    pub first_seen: Option<WallTime>,
    /// Whether the journal holds its code with this meaning.
    pub journaled: bool,
}

/// Every state text that was ever seen, once.
#[derive(Debug, Clone)]
pub(super) struct StateTexts {
    list: Vec<KnownText>,
    index: HashMap<StateText, TextIndex>,
}

impl StateTexts {
    fn restore(codes: &[StateCode]) -> Self {
        let unknown = KnownText {
            text: StateText::unknown(),
            category: Category::Unknown,
            mapped: true,
            first_seen: None,
            journaled: true,
        };
        let mut texts = Self {
            list: vec![unknown],
            index: HashMap::new(),
        };
        for code in codes {
            texts.push(KnownText {
                text: code.state.clone(),
                category: code.category,
                mapped: code.mapped,
                first_seen: Some(code.first_seen),
                journaled: true,
            });
        }
        texts
    }

    /// The text's place; a new text is added, with its code still to be journaled.
    pub(super) fn intern(&mut self, text: &str, map: &StateMap) -> Result<TextIndex, RejectReason> {
        if let Some(&found) = self.index.get(text) {
            return Ok(found);
        }
        let state = state_text(text)?;
        let meaning = map.meaning(text);
        Ok(self.push(KnownText {
            text: state,
            category: meaning.category,
            mapped: meaning.mapped,
            first_seen: None,
            journaled: false,
        }))
    }

    fn push(&mut self, text: KnownText) -> TextIndex {
        let index = TextIndex::try_from(self.list.len()).expect("far fewer texts than 2^32");
        self.index.insert(text.text.clone(), index);
        self.list.push(text);
        index
    }

    pub(super) fn get(&self, index: TextIndex) -> &KnownText {
        &self.list[index as usize]
    }

    /// Gives every text its meaning by this map; those that differ are to be journaled anew.
    pub(super) fn map_anew(&mut self, map: &StateMap) {
        for known in self.list.iter_mut().skip(1) {
            let meaning = map.meaning(known.text.as_str());
            if (known.category, known.mapped) != (meaning.category, meaning.mapped) {
                known.category = meaning.category;
                known.mapped = meaning.mapped;
                known.journaled = false;
            }
        }
    }

    /// The codes that the journal lacks.
    pub(super) fn codes_to_journal<'a>(
        &'a self,
        source: &'a SourceName,
        now: WallTime,
    ) -> impl Iterator<Item = StateCode> + 'a {
        let new = self.list.iter().filter(|known| !known.journaled);
        new.map(move |known| StateCode {
            source: source.clone(),
            state: known.text.clone(),
            category: known.category,
            first_seen: known.first_seen.unwrap_or(now),
            mapped: known.mapped,
        })
    }

    pub(super) fn journaled(&mut self, now: WallTime) {
        for known in self.list.iter_mut().filter(|known| !known.journaled) {
            known.journaled = true;
            known.first_seen.get_or_insert(now);
        }
    }

    /// The texts that nobody mapped, with when each was first seen.
    pub(super) fn unmapped(&self) -> impl Iterator<Item = &KnownText> {
        self.list.iter().filter(|known| !known.mapped)
    }
}
