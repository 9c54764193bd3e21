//! Contact volume by queue and interval.

use std::collections::HashMap;

use serde_json::Value;

use super::super::Parts;
use super::super::commands::plain;
use super::page;
use crate::control::question::Span;
use crate::control::rows::{IntervalRow, Rows};
use crate::domain::ids::{Feed, QueueId, SourceName};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::{CoverageEntry, CoverageStatus, IntervalRecord};
use crate::store::StoreError;

/// Where the page before ended.
pub(super) type After = (SourceName, IntervalStart, QueueId);

impl Parts {
    /// What is stored, whatever the queue.
    pub(super) fn intervals(
        &self,
        source: Option<&SourceName>,
        span: Span,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let window = window(span);
        let mut rows = Vec::new();
        for name in self.meant(source) {
            if after.is_some_and(|(last, ..)| name < *last) || rows.len() > limit {
                continue;
            }
            let place = after
                .filter(|(last, ..)| name == *last)
                .map(|(_, start, queue)| (*start, queue.clone()));
            let left = limit + 1 - rows.len();
            let found = self
                .store
                .interval_page(&name, window, place.as_ref(), left)?;
            rows.extend(self.interval_rows(&name, found)?);
        }
        Ok(page(rows, limit, |row| {
            format!("{}/{}/{}", row.source, row.interval_start.s(), row.queue_id)
        }))
    }

    /// One queue, with a row for every closed interval of the span.
    pub(super) fn intervals_of(
        &self,
        source: Option<&SourceName>,
        queue: &QueueId,
        span: Span,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Value, StoreError> {
        let now = IntervalStart::containing(self.clock.now().wall);
        let whole = window(span);
        let whole = Window::new(whole.from, whole.to.min(now));
        let mut rows = Vec::new();
        let mut next = None;
        for name in self.meant(source) {
            if after.is_some_and(|(last, ..)| name < *last) {
                continue;
            }
            let from = match after {
                Some((last, start, _)) if *last == name => whole.from.max(start.plus(1)),
                _ => whole.from,
            };
            let count = i64::try_from(limit - rows.len()).unwrap_or(i64::MAX);
            let part = Window::new(from, whole.to.min(from.plus(count)));
            rows.extend(self.every_interval(&name, queue, part)?);
            if rows.len() == limit {
                next = part
                    .starts()
                    .next_back()
                    .or(Some(whole.from.plus(-1)))
                    .map(|last| format!("{name}/{}/{queue}", last.s()));
                break;
            }
        }
        Ok(plain(&Rows { rows, next }))
    }

    fn every_interval(
        &self,
        name: &SourceName,
        queue: &QueueId,
        window: Window,
    ) -> Result<Vec<IntervalRow>, StoreError> {
        let found = self.store.queue_intervals(name, queue, window)?;
        let stored = self.interval_rows(name, found)?;
        let mut stored: HashMap<i64, IntervalRow> = stored
            .into_iter()
            .map(|row| (row.interval_start.s(), row))
            .collect();
        let coverage = self.covered(name, window)?;
        let row = |start: IntervalStart| {
            stored.remove(&start.s()).unwrap_or_else(|| {
                let status = absent_status(coverage.get(&start));
                IntervalRow::absent(name.clone(), queue.clone(), start, status)
            })
        };
        Ok(window.starts().map(row).collect())
    }

    fn interval_rows(
        &self,
        name: &SourceName,
        found: Vec<(crate::domain::ids::RecordSeq, IntervalRecord)>,
    ) -> Result<Vec<IntervalRow>, StoreError> {
        let (Some((_, first)), Some((_, last))) = (found.first(), found.last()) else {
            return Ok(Vec::new());
        };
        let window = Window::new(first.interval_start, last.interval_start.plus(1));
        let coverage = self.covered(name, window)?;
        let names = self.queue_names(name)?;
        let rows = found.into_iter().map(|(seq, record)| {
            let final_at = coverage
                .get(&record.interval_start)
                .and_then(|entry| entry.final_at);
            let queue_name = names.get(&record.queue).cloned().flatten();
            IntervalRow {
                queue_name,
                ..IntervalRow::stored(record, seq, final_at)
            }
        });
        Ok(rows.collect())
    }

    fn queue_names(
        &self,
        name: &SourceName,
    ) -> Result<HashMap<QueueId, Option<String>>, StoreError> {
        let mut names = HashMap::new();
        self.store.for_each_queue(name, &mut |queue| {
            names.insert(queue.queue.clone(), queue.details.name.clone());
        })?;
        Ok(names)
    }

    fn covered(
        &self,
        name: &SourceName,
        window: Window,
    ) -> Result<HashMap<IntervalStart, CoverageEntry>, StoreError> {
        let entries = self.store.coverage(name, Feed::Historical, window)?;
        Ok(entries.into_iter().map(|e| (e.interval_start, e)).collect())
    }
}

/// The intervals that begin in the span.
pub(in super::super) fn window(span: Span) -> Window {
    let first_from = |at: crate::domain::timestamp::WallTime| {
        let start = IntervalStart::containing(at);
        if start.start() == at {
            start
        } else {
            start.plus(1)
        }
    };
    Window::new(first_from(span.from), first_from(span.to))
}

fn absent_status(entry: Option<&CoverageEntry>) -> &'static str {
    match entry.map(|entry| entry.status) {
        Some(CoverageStatus::Fetched | CoverageStatus::EmptyConfirmed) => "not_said",
        _ => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::WallTime;

    #[test]
    fn a_span_holds_the_intervals_that_begin_in_it() {
        let check = |from: i64, to: i64, expected: &[i64]| {
            let span = Span {
                from: WallTime::from_s(from),
                to: WallTime::from_s(to),
            };
            let starts: Vec<i64> = window(span).starts().map(IntervalStart::s).collect();
            assert_eq!(starts, expected, "{from} {to}");
        };
        check(900, 2_700, &[900, 1_800]);
        check(1, 1_801, &[900, 1_800]);
        check(901, 1_800, &[]);
        check(2_700, 900, &[]);
    }
}
