//! The numbers that stand for sources, agents, queues and state texts in keys.
//!
//! Numbers are given in order of appearance and never change; the whole dictionary is held in
//! memory (22,000 texts at preset XL), so that encoding a key reads nothing.

use std::borrow::Borrow;
use std::hash::Hash;

use super::StoreError;
use super::codec::FastMap;
use super::tables::{DICTIONARY, Number, ReadTable, SourceNumber, WriteTable, number_of_key};
use crate::domain::ids::{AgentId, IdError, QueueId, SourceName, StateText};

const KIND_SOURCE: u8 = 0;
const KIND_AGENT: u8 = 1;
const KIND_QUEUE: u8 = 2;
const KIND_STATE: u8 = 3;
/// State codes live in the same table: kind, source 2, state 4.
pub(super) const KIND_STATE_CODE: u8 = 4;

/// The texts of one kind, both ways.
#[derive(Debug)]
struct Names<T> {
    number: FastMap<T, Number>,
    list: Vec<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            number: FastMap::default(),
            list: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash + Borrow<str>> Names<T> {
    fn get(&self, text: &str) -> Option<Number> {
        self.number.get(text).copied()
    }

    fn add(&mut self, name: &T) -> Number {
        let number = Number::try_from(self.list.len()).expect("memory ends before 2^32 texts");
        self.list.push(name.clone());
        self.number.insert(name.clone(), number);
        number
    }

    fn truncate(&mut self, len: usize) {
        for name in self.list.drain(len..) {
            self.number.remove::<str>(name.borrow());
        }
    }

    fn name(&self, number: Number) -> Option<&T> {
        self.list.get(usize::try_from(number).ok()?)
    }
}

/// Everything that has a number.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    sources: Names<SourceName>,
    agents: Names<AgentId>,
    queues: Names<QueueId>,
    states: Names<StateText>,
    /// Keys and texts that are not in the table yet.
    fresh: Vec<(Vec<u8>, String)>,
}

/// How long the dictionary was when a transaction began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    lens: [usize; 4],
    fresh: usize,
}

macro_rules! accessors {
    ($($number_of:ident, $known:ident, $name_of:ident, $field:ident, $type:ty, $kind:expr;)+) => {
        $(
            /// The number of this name, given now if it has none.
            pub(super) fn $number_of(&mut self, name: &$type) -> Number {
                if let Some(number) = self.$field.get(name.as_str()) {
                    return number;
                }
                let number = self.$field.add(name);
                self.fresh.push((dictionary_key($kind, number), name.as_str().to_owned()));
                number
            }

            /// The number of this name, if it has one.
            pub(super) fn $known(&self, name: &$type) -> Option<Number> {
                self.$field.get(name.as_str())
            }

            /// The name with this number.
            pub(super) fn $name_of(&self, number: Number) -> Result<$type, StoreError> {
                let name = self.$field.name(number).cloned();
                name.ok_or_else(|| {
                    DICTIONARY.damaged(&dictionary_key($kind, number), "it is missing")
                })
            }
        )+
    };
}

impl Dictionary {
    accessors! {
        source_number, known_source_number, source_name, sources, SourceName, KIND_SOURCE;
        agent, known_agent, agent_name, agents, AgentId, KIND_AGENT;
        queue, known_queue, queue_name, queues, QueueId, KIND_QUEUE;
        state, known_state, state_name, states, StateText, KIND_STATE;
    }

    /// The number of this source, given now if it has none.
    pub(super) fn source(&mut self, name: &SourceName) -> SourceNumber {
        let number = self.source_number(name);
        SourceNumber::try_from(number).expect("a box has far fewer than 65,536 sources")
    }

    /// The number of this source, if it has one.
    pub(super) fn known_source(&self, name: &SourceName) -> Option<SourceNumber> {
        self.known_source_number(name)
            .and_then(|number| SourceNumber::try_from(number).ok())
    }

    /// Every source that ever wrote.
    pub(super) fn sources(&self) -> &[SourceName] {
        &self.sources.list
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            lens: [
                self.sources.list.len(),
                self.agents.list.len(),
                self.queues.list.len(),
                self.states.list.len(),
            ],
            fresh: self.fresh.len(),
        }
    }

    /// Forgets the numbers that a failed transaction gave.
    pub(super) fn roll_back(&mut self, Mark { lens, fresh }: Mark) {
        self.sources.truncate(lens[0]);
        self.agents.truncate(lens[1]);
        self.queues.truncate(lens[2]);
        self.states.truncate(lens[3]);
        self.fresh.truncate(fresh);
    }

    /// How many numbers were given that the table does not have.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Writes the numbers that are new; returns how many bytes that takes. They stay new until
    /// [`Self::written`] hears that the transaction is committed.
    pub(super) fn write_fresh(&self, table: &mut WriteTable<'_>) -> Result<i64, StoreError> {
        let mut grown = 0;
        for (key, text) in &self.fresh {
            grown += table.put(key, text.clone().into_bytes())?;
        }
        Ok(grown)
    }

    /// The table has the first `count` of the numbers that were new.
    pub(super) fn written(&mut self, count: usize) {
        self.fresh.drain(..count);
        if self.fresh.is_empty() {
            // A new one: what the first poll of a large centre took is not needed again.
            self.fresh = Vec::new();
        }
    }

    /// Reads the whole dictionary.
    pub(super) fn load(table: &ReadTable) -> Result<Self, StoreError> {
        let mut dictionary = Self::default();
        load(table, KIND_SOURCE, &mut dictionary.sources, SourceName::new)?;
        load(table, KIND_AGENT, &mut dictionary.agents, AgentId::new)?;
        load(table, KIND_QUEUE, &mut dictionary.queues, QueueId::new)?;
        load(table, KIND_STATE, &mut dictionary.states, StateText::new)?;
        Ok(dictionary)
    }
}

fn load<T: Clone + Eq + Hash + Borrow<str>>(
    table: &ReadTable,
    kind: u8,
    names: &mut Names<T>,
    make: impl Fn(&str) -> Result<T, IdError>,
) -> Result<(), StoreError> {
    table.scan_prefix(&[kind], |key, value| {
        let name = std::str::from_utf8(value)
            .ok()
            .and_then(|text| make(text).ok());
        let name = name.ok_or_else(|| DICTIONARY.damaged(key, "it is no text"))?;
        let given = names.add(&name);
        if number_of_key(key).ok() == Some(given) {
            Ok(())
        } else {
            Err(DICTIONARY.damaged(key, "a number is missing before it"))
        }
    })
}

fn dictionary_key(kind: u8, number: Number) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The key of a state code.
pub(super) fn state_code_key(source: SourceNumber, state: Number) -> [u8; 7] {
    let mut key = [0; 7];
    key[0] = KIND_STATE_CODE;
    key[1..3].copy_from_slice(&source.to_be_bytes());
    key[3..].copy_from_slice(&state.to_be_bytes());
    key
}
