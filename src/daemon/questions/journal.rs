//! The journal, its transactions, and what was refused.

use std::collections::HashMap;

use serde_json::Value;

use super::super::Parts;
use super::super::commands::plain;
use super::super::transactions::Wanted;
use super::page;
use crate::control::rows::{JournalRows, QuarantineRow, Rows, TransactionRow};
use crate::domain::ids::{AgentId, DestinationName, RecordSeq, SourceName};
use crate::store::{ReadLimit, StoreError};

/// Bytes of a page of the journal.
const PAGE_BYTES: usize = 4 << 20;

impl Parts {
    pub(super) fn transactions(
        &self,
        wanted: &Wanted<'_>,
        after: Option<RecordSeq>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let open = self.meant(wanted.source).into_iter().collect();
        let found = wanted.page(&self.store, open, after, limit)?;
        let rows = found.transactions.into_iter();
        let mut rows: Vec<_> = rows.map(|(seq, t)| TransactionRow::new(seq, t)).collect();
        self.name_agents(&mut rows)?;
        let next = found.next.map(|last| last.to_string());
        Ok(plain(&Rows { rows, next }))
    }

    fn name_agents(&self, rows: &mut [TransactionRow]) -> Result<(), StoreError> {
        let mut names: HashMap<(SourceName, AgentId), Option<String>> = HashMap::new();
        for row in rows {
            let key = (row.source.clone(), row.agent_id.clone());
            if !names.contains_key(&key) {
                let entry = self.store.agent(&row.source, &row.agent_id)?;
                let name = entry.and_then(|entry| entry.details.display_name.clone());
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
