//! State transactions of a span, page by page, in the order of the journal.

use std::collections::HashSet;

use crate::control::question::{PAGE_ROWS_MAX, Span};
use crate::domain::ids::{AgentId, RecordSeq, SourceName};
use crate::domain::record::{Record, StateTransaction};
use crate::store::{ReadLimit, Store, StoreError};

/// What one page reads of the journal at most; a rare agent's page may be empty and still have a
/// next one.
const LOOKED_AT: ReadLimit = ReadLimit {
    records: 10 * PAGE_ROWS_MAX,
    bytes: 16 << 20,
};
/// A transaction may be journaled after one that started later by this much: an agent that vanished
/// is timed at its first absence.
const OUT_OF_ORDER_MS: i64 = 3_600_000;

/// Which transactions are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) source: Option<&'a SourceName>,
    pub(super) agent: Option<&'a AgentId>,
    pub(super) span: Span,
}

/// One page of them.
pub(super) struct Found {
    pub(super) transactions: Vec<(RecordSeq, StateTransaction)>,
    /// The last seq that was looked at, where more may follow.
    pub(super) next: Option<RecordSeq>,
}

impl Wanted<'_> {
    /// The first of them after this seq, at most `limit`; `open` are the sources that are meant.
    pub(super) fn page(
        &self,
        store: &Store,
        mut open: HashSet<SourceName>,
        after: Option<RecordSeq>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let from = match after {
            Some(after) => after.next(),
            None => store.seq_at(self.span.from)?,
        };
        let looked = store.read(from, LOOKED_AT)?;
        let mut transactions = Vec::new();
        let mut last = RecordSeq::new(looked.next.get().saturating_sub(1));
        for found in looked.records {
            let Record::Transaction(transaction) = found.record else {
                continue;
            };
            if self.is_over(&transaction) {
                open.remove(&transaction.source);
            }
            if self.takes(&transaction) {
                transactions.push((found.seq, transaction));
            }
            if transactions.len() == limit || open.is_empty() {
                last = found.seq;
                break;
            }
        }
        let is_end = open.is_empty() || last >= store.head();
        Ok(Found {
            transactions,
            next: (!is_end).then_some(last),
        })
    }

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
