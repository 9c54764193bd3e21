//! The parts of a batch that belong to one source, and what follows from them by themselves.

use super::super::rows::{IntervalRow, LastSeen, Row, Rows};
use super::{SeenHours, Stamp};
use crate::domain::batch::CurrentState;
use crate::domain::ids::SourceName;
use crate::domain::record::{
    AgentChange, CoverageEntry, IntervalRecord, QueueChange, StateCode, StateTransaction,
};
use crate::domain::timestamp::WallTime;

/// What all rows of one statement share.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Key<'a> {
    pub(in super::super) source: &'a SourceName,
    pub(in super::super) stamp: Stamp,
}

/// The rows of one source.
#[derive(Debug)]
pub(in super::super) struct Parts<'a> {
    pub(in super::super) queues: &'a [Row<'a, QueueChange>],
    pub(in super::super) agents: &'a [Row<'a, AgentChange>],
    pub(in super::super) codes: &'a [Row<'a, StateCode>],
    pub(in super::super) coverage: &'a [Row<'a, CoverageEntry>],
    pub(in super::super) intervals: &'a [IntervalRow<'a>],
    pub(in super::super) revisions: &'a [Row<'a, IntervalRecord>],
    pub(in super::super) transactions: &'a [Row<'a, StateTransaction>],
    pub(in super::super) current: &'a [Row<'a, StateTransaction>],
    /// What this connection has not written yet.
    pub(in super::super) last_seen: Vec<LastSeen<'a>>,
}

impl<'a> Parts<'a> {
    pub(in super::super) fn of(rows: &'a Rows<'a>, source: &SourceName, seen: &SeenHours) -> Self {
        let mut last_seen = slice(&rows.last_seen, source, |row| row.source).to_vec();
        last_seen.retain(|row| seen.is_newer(row));
        Self {
            queues: slice(&rows.queues, source, |row| &row.record.source),
            agents: slice(&rows.agents, source, |row| &row.record.source),
            codes: slice(&rows.codes, source, |row| &row.record.source),
            coverage: slice(&rows.coverage, source, |row| &row.record.source),
            intervals: slice(&rows.intervals, source, |row| &row.row.record.source),
            revisions: slice(&rows.revisions, source, |row| &row.record.source),
            transactions: slice(&rows.transactions, source, |row| &row.record.source),
            current: slice(&rows.current, source, |row| &row.record.source),
            last_seen,
        }
    }
}

/// The rows of this source: they are sorted by it.
fn slice<'a, R>(rows: &'a [R], of: &SourceName, source: impl Fn(&R) -> &SourceName) -> &'a [R] {
    let from = rows.partition_point(|row| source(row) < of);
    let to = rows.partition_point(|row| source(row) <= of);
    &rows[from..to]
}

/// When each revision was replaced, where its next one is in the batch too.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Replaced {
    /// By the revisions' order.
    pub(in super::super) at: Vec<Option<WallTime>>,
    /// The batch has a revision and a later one, but not all between.
    pub(in super::super) has_holes: bool,
}

impl Replaced {
    pub(in super::super) fn of(revisions: &[Row<'_, IntervalRecord>]) -> Self {
        let mut has_holes = false;
        let following = revisions.iter().skip(1).map(Some).chain([None]);
        let at = revisions.iter().zip(following).map(|(row, next)| {
            let next = next.filter(|next| is_same_interval(row, next))?;
            let follows = next.record.revision == row.record.revision + 1;
            has_holes |= !follows;
            follows.then_some(next.record.answered_at)
        });
        let at = at.collect();
        Self { at, has_holes }
    }
}

fn is_same_interval(a: &Row<'_, IntervalRecord>, b: &Row<'_, IntervalRecord>) -> bool {
    a.record.queue == b.record.queue && a.record.interval_start == b.record.interval_start
}

/// The newest state of each agent of the source: a statement may touch a row once.
pub(in super::super) fn newest_of(
    states: &[CurrentState],
    source: &SourceName,
) -> Vec<CurrentState> {
    let mut newest: Vec<_> = states
        .iter()
        .filter(|state| state.source == *source)
        .cloned()
        .collect();
    newest.sort_by(|a, b| (&a.agent, b.record_seq).cmp(&(&b.agent, a.record_seq)));
    newest.dedup_by(|later, kept| later.agent == kept.agent);
    newest
}
