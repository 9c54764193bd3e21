//! Ids and texts that many decoded records share.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::bytes::{BadBytes, utf8};
use crate::domain::ids::{AgentId, IdError, QueueId, SourceName, StateText};

/// Entries of one kind that are kept: three times the agents of preset XL, some 5 MiB. Beyond it
/// the set starts anew; records that were decoded keep their texts.
const KEPT_MAX: usize = 65_536;

/// Hands out one shared copy of each text. Texts are asked for as bytes: one that is known is UTF-8
/// and an id, and is not checked again.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    sources: Known<SourceName>,
    agents: Known<AgentId>,
    queues: Known<QueueId>,
    states: Known<StateText>,
}

type Known<T> = HashSet<AsBytes<T>, foldhash::fast::RandomState>;

/// A text that is looked for by its bytes.
#[derive(Debug)]
struct AsBytes<T>(T);

impl<T: Borrow<str>> Borrow<[u8]> for AsBytes<T> {
    fn borrow(&self) -> &[u8] {
        self.0.borrow().as_bytes()
    }
}

impl<T: Borrow<str>> Hash for AsBytes<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<[u8]>::borrow(self).hash(state);
    }
}

impl<T: Borrow<str>> PartialEq for AsBytes<T> {
    fn eq(&self, other: &Self) -> bool {
        Borrow::<[u8]>::borrow(self) == Borrow::<[u8]>::borrow(other)
    }
}

impl<T: Borrow<str>> Eq for AsBytes<T> {}

impl Interner {
    pub(crate) fn source(&mut self, text: &[u8]) -> Result<SourceName, BadBytes> {
        intern(&mut self.sources, text, SourceName::new)
    }

    pub(crate) fn agent(&mut self, text: &[u8]) -> Result<AgentId, BadBytes> {
        intern(&mut self.agents, text, AgentId::new)
    }

    pub(crate) fn queue(&mut self, text: &[u8]) -> Result<QueueId, BadBytes> {
        intern(&mut self.queues, text, QueueId::new)
    }

    pub(crate) fn state(&mut self, text: &[u8]) -> Result<StateText, BadBytes> {
        intern(&mut self.states, text, StateText::new)
    }
}

fn intern<T: Clone + Borrow<str>>(
    known: &mut Known<T>,
    text: &[u8],
    make: impl Fn(&str) -> Result<T, IdError>,
) -> Result<T, BadBytes> {
    if let Some(shared) = known.get(text) {
        return Ok(shared.0.clone());
    }
    let new = make(utf8(text)?).map_err(|_| BadBytes("a text is no id"))?;
    if known.len() >= KEPT_MAX {
        known.clear();
    }
    known.insert(AsBytes(new.clone()));
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_share_one_text() {
        let mut interner = Interner::default();
        let first = interner.agent("é".as_bytes()).unwrap();
        let second = interner.agent("é".as_bytes()).unwrap();
        assert!(std::ptr::eq(first.as_str(), second.as_str()));
        assert_ne!(interner.agent(b"e").unwrap(), first);
    }

    #[test]
    fn what_is_no_text_or_no_id_is_refused_each_time() {
        let mut interner = Interner::default();
        for _ in 0..2 {
            assert!(interner.state(b"\xff").is_err());
            assert!(interner.agent(b" ").is_err());
            assert!(interner.source(b"Upper").is_err());
        }
    }
}
