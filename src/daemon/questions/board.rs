//! Agents, queues and state texts as they are now.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::super::commands::plain;
use super::super::{Parts, lock};
use super::page;
use crate::collector::{FeedDetail, SourceBoard};
use crate::control::question::PAGE_ROWS_MAX;
use crate::control::rows::{AgentRow, AgentState, Changes, QueueRow, StateCodeRow};
use crate::domain::batch::CurrentState;
use crate::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SourceName, StateText};
use crate::domain::record::{AgentChange, Category, Record, RosterChange, StateCode};
use crate::domain::timestamp::WallTime;
use crate::store::{ReadLimit, StoreError};

/// What a state can be mapped to.
const CATEGORIES: [Category; 8] = [
    Category::LoggedOut,
    Category::LoggedIn,
    Category::Available,
    Category::Busy,
    Category::Working,
    Category::Wrapup,
    Category::NoAnswer,
    Category::Aux,
];

/// How much of the journal one look for changes reads: five thousand agents logging in at once
/// are told by "read anew".
const CHANGES_READ: ReadLimit = ReadLimit {
    records: 4 * PAGE_ROWS_MAX,
    bytes: 8 << 20,
};

/// Whether, and until when, a source's states are confirmed.
#[derive(Clone, Copy)]
struct Seen {
    last_confirmed_at: Option<WallTime>,
    is_stale: bool,
}

impl Parts {
    pub(super) fn agents(
        &self,
        source: Option<&SourceName>,
        after: Option<&(SourceName, AgentId)>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let seq = self.store.head();
        let mut rows = Vec::new();
        for name in self.meant(source) {
            if after.is_some_and(|(last, _)| name < *last) || rows.len() > limit {
                continue;
            }
            let after = after.filter(|(last, _)| name == *last).map(|(_, id)| id);
            let wanted = limit + 1 - rows.len();
            let agents = self.store.agent_page(&name, after, wanted)?;
            let codes: HashMap<StateText, bool> = self
                .store
                .state_codes(&name)?
                .into_iter()
                .map(|code| (code.state, code.mapped))
                .collect();
            let seen = self.seen(&name);
            for (state, entry) in agents {
                let mapped = codes.get(&state.state).copied().unwrap_or(true);
                rows.push(agent_row(state, entry, mapped, seen));
            }
        }
        let mut page = page(rows, limit, |row: &AgentRow| {
            format!("{}/{}", row.state.source, row.state.agent_id)
        });
        page["seq"] = seq.get().into();
        Ok(page)
    }

    fn seen(&self, name: &SourceName) -> Seen {
        let sources = lock(&self.sources);
        let running = sources.iter().find(|source| source.config.name == *name);
        running.map_or(
            Seen {
                last_confirmed_at: None,
                is_stale: true,
            },
            |running| seen(&running.board),
        )
    }

    pub(super) fn queues(
        &self,
        source: Option<&SourceName>,
        after: Option<&(SourceName, QueueId)>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let mut rows = Vec::new();
        for name in self.meant(source) {
            self.store.for_each_queue(&name, &mut |queue| {
                rows.push(QueueRow {
                    is_active: queue.details.is_active && queue.change != RosterChange::Closed,
                    source: queue.source.clone(),
                    queue_id: queue.queue.clone(),
                    name: queue.details.name.clone(),
                    description: queue.details.description.clone(),
                    first_seen: queue.first_seen,
                    valid_from: queue.valid_from,
                    provisional: queue.provisional,
                });
            })?;
        }
        let key = |row: &QueueRow| (row.source.clone(), row.queue_id.clone());
        rows.retain(|row| after.is_none_or(|last| key(row) > *last));
        rows.sort_by_key(key);
        Ok(page(rows, limit, |row| {
            format!("{}/{}", row.source, row.queue_id)
        }))
    }

    pub(super) fn state_codes(
        &self,
        source: Option<&SourceName>,
        after: Option<&(SourceName, StateText)>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let mut rows = Vec::new();
        for name in self.meant(source) {
            let codes = self.store.state_codes(&name)?;
            rows.extend(codes.into_iter().map(|code| self.state_code(code)));
        }
        let key = |row: &StateCodeRow| (row.source.clone(), row.state.clone());
        rows.retain(|row| after.is_none_or(|last| key(row) > *last));
        rows.sort_by_key(key);
        let mut page = page(rows, limit, |row| format!("{}/{}", row.source, row.state));
        page["categories"] = plain(&CATEGORIES);
        Ok(page)
    }

    fn state_code(&self, code: StateCode) -> StateCodeRow {
        let managed = self.mapped_by(&code);
        StateCodeRow {
            source: code.source,
            state: code.state,
            category: code.category,
            first_seen: code.first_seen,
            mapped: code.mapped,
            managed,
        }
    }

    /// The last word on every agent that changed after this seq.
    pub(super) fn changes(&self, since: Option<RecordSeq>) -> Result<Value, StoreError> {
        let head = self.store.head();
        let from = since.unwrap_or(head).next();
        let page = self.store.read(from, CHANGES_READ)?;
        let mut last = BTreeMap::new();
        for found in page.records {
            if let Record::Transaction(transaction) = found.record {
                let key = (transaction.source.clone(), transaction.agent.clone());
                let state = AgentState {
                    source: transaction.source,
                    agent_id: transaction.agent,
                    state: transaction.state,
                    category: transaction.category,
                    since: transaction.started_at,
                    origin: transaction.origin,
                    seq: found.seq,
                };
                last.insert(key, state);
            }
        }
        let is_gone = since.is_some_and(|since| since > head || since.next() < self.store.first());
        let too_many = page.next <= head || last.len() > PAGE_ROWS_MAX || is_gone;
        let rows = if too_many {
            Vec::new()
        } else {
            last.into_values().collect()
        };
        Ok(plain(&Changes {
            rows,
            seq: head,
            too_many,
        }))
    }
}

fn seen(board: &SourceBoard) -> Seen {
    let report = board.report(Feed::Realtime);
    let is_stale = report.as_ref().is_none_or(
        |report| !matches!(&report.detail, FeedDetail::Realtime(status) if !status.is_stale),
    );
    Seen {
        last_confirmed_at: report.and_then(|report| report.state.last_complete_poll_at),
        is_stale,
    }
}

fn agent_row(
    state: CurrentState,
    entry: Option<AgentChange>,
    mapped: bool,
    seen: Seen,
) -> AgentRow {
    let is_active = entry
        .as_ref()
        .is_none_or(|entry| entry.change != RosterChange::Closed && entry.details.is_active);
    let details = entry.map(|entry| entry.details);
    let (display_name, username) = details.map_or((None, None), |d| {
        (d.display_name.clone(), d.username.clone())
    });
    AgentRow {
        state: AgentState {
            source: state.source,
            agent_id: state.agent,
            state: state.state,
            category: state.category,
            since: state.since,
            origin: state.origin,
            seq: state.record_seq,
        },
        display_name,
        username,
        is_active,
        mapped,
        last_confirmed_at: seen.last_confirmed_at,
        is_stale: seen.is_stale,
    }
}
