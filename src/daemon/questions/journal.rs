//! The journal, its transactions, and what was refused.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::super::Parts;
use super::super::commands::plain;
use super::page;
use crate::control::question::{PAGE_ROWS_MAX, Span};
use crate::control::rows::{JournalRows, QuarantineRow, Rows, TransactionRow};
use crate::domain::ids::{AgentId, DestinationName, RecordSeq, SourceName};
use crate::domain::record::{Record, StateTransaction};
use crate::store::{ReadLimit, StoreError};

/// What one page of transactions reads of the journal at most; a rare agent's page may be empty
/// and still have a next one.
const LOOKED_AT: ReadLimit = ReadLimit {
    records: 10 * PAGE_ROWS_MAX,
    bytes: 16 << 20,
};
/// A transaction may be journaled after one that started later by this much: an agent that vanished
/// is timed at its first absence.
const OUT_OF_ORDER_MS: i64 = 3_600_000;
/// Bytes of a page of the journal.
const PAGE_BYTES: usize = 4 << 20;

/// Which transactions are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) source: Option<&'a SourceName>,
    pub(super) agent: Option<&'a AgentId>,
    pub(super) span: Span,
}

impl Wanted<'_> {
    fn takes(&self, transaction: &StateTransaction) -> bool {
        self.source.is_none_or(|name| *name == transaction.source)
            && self.agent.is_none_or(|id| *id == transaction.agent)
            && transaction.started_at >= self.span.from
            && transaction.started_at < self.span.to
    }

    /// Whether everything of this source that is journaled from here on started after the span.
    fn is_over(&self, transaction: &StateTransaction) -> bool {
        let earliest = transaction.earliest_at;
        earliest.is_some_and(|at| at.ms_since(self.span.to) > OUT_OF_ORDER_MS)
    }
}

impl Parts {
    pub(super) fn transactions(
        &self,
        wanted: &Wanted<'_>,
        after: Option<RecordSeq>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let from = match after {
            Some(after) => after.next(),
            None => self.store.seq_at(wanted.span.from)?,
        };
        let looked = self.store.read(from, LOOKED_AT)?;
        let mut open: HashSet<SourceName> = self.meant(wanted.source).into_iter().collect();
        let (mut rows, mut last) = (Vec::new(), looked.next.get().saturating_sub(1));
        for found in looked.records {
            let Record::Transaction(transaction) = found.record else {
                continue;
            };
            if wanted.is_over(&transaction) {
                open.remove(&transaction.source);
            }
            if wanted.takes(&transaction) {
                rows.push(TransactionRow::new(found.seq, transaction));
            }
            if rows.len() == limit || open.is_empty() {
                last = found.seq.get();
                break;
            }
        }
        let is_end = open.is_empty() || last >= self.store.head().get();
        self.name_agents(&mut rows)?;
        let next = (!is_end).then(|| last.to_string());
        Ok(plain(&Rows { rows, next }))
    }

    fn name_agents(&self, rows: &mut [TransactionRow]) -> Result<(), StoreError> {
        let mut names: HashMap<(SourceName, AgentId), Option<String>> = HashMap::new();
        for row in rows {
            let key = (row.source.clone(), row.agent_id.clone());
            if !names.contains_key(&key) {
                let entry = self.store.agent(&row.source, &row.agent_id)?;
                let name = entry.and_then(|entry| entry.details.display_name);
                names.insert(key.clone(), name);
            }
            row.display_name = names.get(&key).cloned().flatten();
        }
        Ok(())
    }

    pub(super) fn journal(
        &self,
        from: Option<RecordSeq>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let last = self.store.head();
        let tail = (last.get() + 1).saturating_sub(limit as u64);
        let from = from.unwrap_or_else(|| RecordSeq::new(tail).max(self.store.first()));
        let limit = ReadLimit {
            records: limit,
            bytes: PAGE_BYTES,
        };
        let page = self.store.read(from, limit)?;
        Ok(plain(&JournalRows {
            rows: page.records,
            next_seq: page.next,
            first_seq: self.store.first(),
            last_seq: last,
            expired: page.expired,
            damaged: page.damaged,
        }))
    }

    pub(super) fn quarantine(
        &self,
        destination: Option<&DestinationName>,
        after: Option<&(DestinationName, RecordSeq)>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let mut names = match destination {
            Some(name) => vec![name.clone()],
            None => self.configured_destinations(),
        };
        names.sort();
        let mut rows = Vec::new();
        for name in names {
            if after.is_some_and(|(last, _)| name < *last) || rows.len() > limit {
                continue;
            }
            let from = match after {
                Some((last, seq)) if *last == name => seq.next(),
                _ => RecordSeq::new(1),
            };
            let found = self
                .store
                .quarantine_list(&name, from, limit + 1 - rows.len())?;
            rows.extend(found.into_iter().map(|one| QuarantineRow {
                destination: one.destination,
                seq: one.record.seq,
                reason: one.reason,
                at: one.at,
                record: one.record,
            }));
        }
        Ok(page(rows, limit, |row| {
            format!("{}/{}", row.destination, row.seq)
        }))
    }
}
