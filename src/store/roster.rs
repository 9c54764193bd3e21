//! What the state tables know of agents, queues and states.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::append::later;
use super::codec::{BadBytes, Reader, rows as record_rows};
use super::dictionary::KIND_STATE_CODE;
use super::engine::Engine;
use super::live::Live;
use super::rows::{self, AgentRow};
use super::tables::{
    AGENT_STATES, DICTIONARY, Number, ROSTER, ROSTER_AGENT, ROSTER_QUEUE, SourceNumber, agent_key,
    number_of_key, roster_key,
};
use super::{StoreError, StoredRoster};
use crate::domain::batch::CurrentState;
use crate::domain::ids::{AgentId, QueueId, RecordSeq, SourceName};
use crate::domain::record::{AgentChange, QueueChange, StateCode};

/// Versions that are read at once.
const ROSTER_PAGE: usize = 500;

impl Engine {
    /// See [`super::Store::roster`].
    pub(super) fn roster(&self, source: &SourceName) -> Result<StoredRoster, StoreError> {
        let mut roster = StoredRoster::default();
        self.for_each_agent(source, &mut |agent| roster.agents.push(agent.clone()))?;
        self.for_each_queue(source, &mut |queue| roster.queues.push(queue.clone()))?;
        Ok(roster)
    }

    /// See [`super::Store::for_each_agent`].
    pub(super) fn for_each_agent(
        &self,
        source: &SourceName,
        look: &mut dyn FnMut(&AgentChange),
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.roster_agents(source, after.as_ref(), ROSTER_PAGE)?;
            for (_, agent) in &page {
                look(agent);
            }
            match page.last() {
                Some((_, last)) if page.len() == ROSTER_PAGE => after = Some(last.agent.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// See [`super::Store::for_each_queue`].
    pub(super) fn for_each_queue(
        &self,
        source: &SourceName,
        look: &mut dyn FnMut(&QueueChange),
    ) -> Result<(), StoreError> {
        // A source has hundreds of them, not thousands.
        for (_, queue) in self.roster_queues(source, None, usize::MAX)? {
            look(&queue);
        }
        Ok(())
    }

    /// See [`super::Store::roster_agents`].
    pub(super) fn roster_agents(
        &self,
        source: &SourceName,
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, AgentChange)>, StoreError> {
        let live = self.lock_live();
        let after = after.and_then(|agent| live.dictionary.known_agent(agent));
        self.roster_page(&live, source, (ROSTER_AGENT, after), limit, |id, reader| {
            let agent = live.dictionary.agent_name(id)?;
            Ok(record_rows::read_agent(reader, source.clone(), agent))
        })
    }

    /// See [`super::Store::roster_queues`].
    pub(super) fn roster_queues(
        &self,
        source: &SourceName,
        after: Option<&QueueId>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, QueueChange)>, StoreError> {
        let live = self.lock_live();
        let after = after.and_then(|queue| live.dictionary.known_queue(queue));
        self.roster_page(&live, source, (ROSTER_QUEUE, after), limit, |id, reader| {
            let queue = live.dictionary.queue_name(id)?;
            Ok(record_rows::read_queue(reader, source.clone(), queue))
        })
    }

    fn roster_page<T>(
        &self,
        live: &Live,
        source: &SourceName,
        (kind, after): (u8, Option<Number>),
        limit: usize,
        read: impl Fn(Number, &mut Reader<'_>) -> Result<Result<T, BadBytes>, StoreError>,
    ) -> Result<Vec<(RecordSeq, T)>, StoreError> {
        let mut found = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(found);
        };
        let from = roster_key(number, kind, after.map_or(0, |last| last + 1));
        self.read(|txn| {
            ROSTER.read(txn)?.scan(&from, &[], |key, value| {
                if found.len() == limit || key[..3] != from[..3] {
                    return Ok(false);
                }
                let damaged = |error| ROSTER.damaged(key, error);
                let id = number_of_key(key).map_err(damaged)?;
                let (seq, mut reader) = rows::split_seq(value).map_err(damaged)?;
                found.push((seq, read(id, &mut reader)?.map_err(damaged)?));
                Ok(true)
            })
        })?;
        Ok(found)
    }

    /// See [`super::Store::agent`].
    pub(super) fn agent(
        &self,
        source: &SourceName,
        agent: &AgentId,
    ) -> Result<Option<AgentChange>, StoreError> {
        let live = self.lock_live();
        let known = live
            .dictionary
            .known_source(source)
            .zip(live.dictionary.known_agent(agent));
        let Some((number, id)) = known else {
            return Ok(None);
        };
        let key = roster_key(number, ROSTER_AGENT, id);
        let value = self.read(|txn| ROSTER.read(txn)?.get(&key))?;
        value
            .map(|value| roster_agent(&key, &value, source, agent))
            .transpose()
    }

    /// See [`super::Store::state_codes`].
    pub(super) fn state_codes(&self, source: &SourceName) -> Result<Vec<StateCode>, StoreError> {
        let live = self.lock_live();
        let mut codes = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(codes);
        };
        let mut prefix = vec![KIND_STATE_CODE];
        prefix.extend_from_slice(&number.to_be_bytes());
        self.read(|txn| {
            DICTIONARY.read(txn)?.scan_prefix(&prefix, |key, value| {
                let damaged = |error| DICTIONARY.damaged(key, error);
                let state = live
                    .dictionary
                    .state_name(number_of_key(key).map_err(damaged)?)?;
                let code = rows::split_seq(value).and_then(|(_, mut reader)| {
                    record_rows::read_state_code(&mut reader, source.clone(), state)
                });
                codes.push(code.map_err(damaged)?);
                Ok(())
            })
        })?;
        Ok(codes)
    }

    /// See [`super::Store::agent_states`].
    pub(super) fn agent_states(
        &self,
        source: &SourceName,
    ) -> Result<Vec<CurrentState>, StoreError> {
        let mut live = self.lock_live();
        live.settle();
        let mut states = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(states);
        };
        let live = &*live;
        let mut stored_agents = HashSet::new();
        self.read(|txn| {
            AGENT_STATES
                .read(txn)?
                .scan_prefix(&number.to_be_bytes(), |key, value| {
                    let damaged = |error| AGENT_STATES.damaged(key, error);
                    let agent = number_of_key(key).map_err(damaged)?;
                    let stored = AgentRow::read(value, |n| live.dictionary.state_name(n).ok());
                    let stored = stored.map_err(damaged)?;
                    let row = later(Some(stored), live.agents.get(&(number, agent)));
                    states.push(current(live, source, agent, row.expect("one was given"))?);
                    stored_agents.insert(agent);
                    Ok(())
                })
        })?;
        for ((of, agent), row) in &live.agents {
            if *of == number && !stored_agents.contains(agent) {
                states.push(current(live, source, *agent, row.clone())?);
            }
        }
        states.sort_by(|a, b| a.agent.cmp(&b.agent));
        Ok(states)
    }

    /// See [`super::Store::agent_page`].
    pub(super) fn agent_page(
        &self,
        source: &SourceName,
        after: Option<&AgentId>,
        limit: usize,
    ) -> Result<Vec<(CurrentState, Option<AgentChange>)>, StoreError> {
        let mut live = self.lock_live();
        live.settle();
        let mut found = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(found);
        };
        let after = after.and_then(|agent| live.dictionary.known_agent(agent));
        let first = after.map_or(0, |agent| agent + 1);
        let fresh = fresh_agents(&live, number, first, limit);
        self.read(|txn| {
            let stored = stored_agents(&live, txn, number, first, limit)?;
            let agents: BTreeSet<Number> = stored.keys().chain(&fresh).copied().collect();
            let roster = ROSTER.read(txn)?;
            for agent in agents.into_iter().take(limit) {
                let fresh = live.agents.get(&(number, agent));
                let row = later(stored.get(&agent).cloned(), fresh).expect("one of them has it");
                let state = current(&live, source, agent, row)?;
                let key = roster_key(number, ROSTER_AGENT, agent);
                let entry = roster.get(&key)?;
                let entry = entry.map(|value| roster_agent(&key, &value, source, &state.agent));
                found.push((state, entry.transpose()?));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The first `limit` agents from this number on that changed since the checkpoint. It looks at
/// every one's number, which is far less than one row of a page costs.
fn fresh_agents(live: &Live, source: SourceNumber, first: Number, limit: usize) -> Vec<Number> {
    let of_source = live.agents.keys().filter(|(of, _)| *of == source);
    let mut agents: Vec<Number> = of_source
        .map(|(_, agent)| *agent)
        .filter(|agent| *agent >= first)
        .collect();
    agents.sort_unstable();
    agents.truncate(limit);
    agents
}

/// The first `limit` agents from this number on that the checkpoint has.
fn stored_agents(
    live: &Live,
    txn: &redb::ReadTransaction,
    source: SourceNumber,
    first: Number,
    limit: usize,
) -> Result<BTreeMap<Number, AgentRow>, StoreError> {
    let mut stored = BTreeMap::new();
    let (from, of_source) = (agent_key(source, first), source.to_be_bytes());
    AGENT_STATES.read(txn)?.scan(&from, &[], |key, value| {
        if stored.len() == limit || !key.starts_with(&of_source) {
            return Ok(false);
        }
        let damaged = |error| AGENT_STATES.damaged(key, error);
        let agent = number_of_key(key).map_err(damaged)?;
        let row = AgentRow::read(value, |n| live.dictionary.state_name(n).ok());
        stored.insert(agent, row.map_err(damaged)?);
        Ok(true)
    })?;
    Ok(stored)
}

fn roster_agent(
    key: &[u8],
    value: &[u8],
    source: &SourceName,
    agent: &AgentId,
) -> Result<AgentChange, StoreError> {
    rows::split_seq(value)
        .and_then(|(_, mut reader)| {
            record_rows::read_agent(&mut reader, source.clone(), agent.clone())
        })
        .map_err(|error| ROSTER.damaged(key, error))
}

fn current(
    live: &Live,
    source: &SourceName,
    agent: u32,
    row: AgentRow,
) -> Result<CurrentState, StoreError> {
    Ok(CurrentState {
        source: source.clone(),
        agent: live.dictionary.agent_name(agent)?,
        state: row.state,
        category: row.category,
        since: row.since,
        origin: row.origin,
        record_seq: row.seq,
    })
}
