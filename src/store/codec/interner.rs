//! Ids and texts that many decoded records share.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;

use super::bytes::BadBytes;
use crate::domain::ids::{AgentId, IdError, QueueId, SourceName, StateText};

/// Entries of one kind that are kept: three times the agents of preset XL, some 5 MiB. Beyond it
/// the set starts anew; records that were decoded keep their texts.
const KEPT_MAX: usize = 65_536;

/// Hands out one shared copy of each text.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    sources: HashSet<SourceName>,
    agents: HashSet<AgentId>,
    queues: HashSet<QueueId>,
    states: HashSet<StateText>,
}

impl Interner {
    pub(crate) fn source(&mut self, text: &str) -> Result<SourceName, BadBytes> {
        intern(&mut self.sources, text, SourceName::new)
    }

    pub(crate) fn agent(&mut self, text: &str) -> Result<AgentId, BadBytes> {
        intern(&mut self.agents, text, AgentId::new)
    }

    pub(crate) fn queue(&mut self, text: &str) -> Result<QueueId, BadBytes> {
        intern(&mut self.queues, text, QueueId::new)
    }

    pub(crate) fn state(&mut self, text: &str) -> Result<StateText, BadBytes> {
        intern(&mut self.states, text, StateText::new)
    }
}

fn intern<T: Clone + Eq + Hash + Borrow<str>>(
    known: &mut HashSet<T>,
    text: &str,
    make: impl Fn(&str) -> Result<T, IdError>,
) -> Result<T, BadBytes> {
    if let Some(shared) = known.get(text) {
        return Ok(shared.clone());
    }
    let new = make(text).map_err(|_| BadBytes("a text is no id"))?;
    if known.len() >= KEPT_MAX {
        known.clear();
    }
    known.insert(new.clone());
    Ok(new)
}
