//! What the state tables know of intervals and of their coverage.

use super::codec::{names, rows as record_rows};
use super::engine::Engine;
use super::live::Live;
use super::rows;
use super::tables::{
    COVERAGE, INTERVALS, coverage_key, interval_key, interval_of_key, interval_prefix,
    number_of_key,
};
use super::{KnownInterval, KnownIntervals, StoreError};
use crate::domain::ids::{Feed, QueueId, RecordSeq, SourceName};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::{CoverageEntry, Figures, IntervalRecord};

impl Engine {
    /// See [`super::Store::known_intervals`].
    pub(super) fn known_intervals(
        &self,
        source: &SourceName,
        window: Window,
    ) -> Result<KnownIntervals, StoreError> {
        let mut known = KnownIntervals::new();
        self.scan_intervals(source, window, usize::MAX, |row| {
            let figures = if row.given_up {
                Figures::default()
            } else {
                row.record.figures
            };
            known.insert(
                (row.record.queue, row.record.interval_start),
                KnownInterval {
                    figures,
                    revision: row.record.revision,
                    seq: row.seq,
                },
            );
        })?;
        Ok(known)
    }

    /// See [`super::Store::intervals`].
    pub(super) fn intervals(
        &self,
        source: &SourceName,
        window: Window,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        let mut found = Vec::new();
        self.scan_intervals(source, window, limit, |row| {
            found.push((row.seq, row.record));
        })?;
        Ok(found)
    }

    /// See [`super::Store::interval_page`].
    pub(super) fn interval_page(
        &self,
        source: &SourceName,
        window: Window,
        after: Option<&(IntervalStart, QueueId)>,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        let live = self.lock_live();
        let mut found = Vec::new();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(found);
        };
        let mut from = interval_prefix(number, window.from).to_vec();
        if let Some((start, queue)) = after.filter(|(start, _)| *start >= window.from) {
            // The key after the last one of the page before; a queue that nobody knows is after none.
            let queue = live.dictionary.known_queue(queue);
            from = queue.map_or_else(
                || interval_prefix(number, *start).to_vec(),
                |queue| [&interval_key(number, *start, queue)[..], &[0]].concat(),
            );
        }
        let to = interval_prefix(number, window.to);
        self.read(|txn| {
            INTERVALS.read(txn)?.scan(&from, &to, |key, value| {
                let row = interval_row(&live, source, key, value)?;
                found.push((row.seq, row.record));
                Ok(found.len() < limit)
            })
        })?;
        Ok(found)
    }

    /// See [`super::Store::queue_intervals`].
    pub(super) fn queue_intervals(
        &self,
        source: &SourceName,
        queue: &QueueId,
        window: Window,
    ) -> Result<Vec<(RecordSeq, IntervalRecord)>, StoreError> {
        let live = self.lock_live();
        let known = live
            .dictionary
            .known_source(source)
            .zip(live.dictionary.known_queue(queue));
        let mut found = Vec::new();
        let Some((number, queue)) = known else {
            return Ok(found);
        };
        self.read(|txn| {
            let table = INTERVALS.read(txn)?;
            for start in window.starts() {
                let key = interval_key(number, start, queue);
                if let Some(value) = table.get(&key)? {
                    let row = interval_row(&live, source, &key, &value)?;
                    found.push((row.seq, row.record));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn scan_intervals(
        &self,
        source: &SourceName,
        window: Window,
        limit: usize,
        mut each: impl FnMut(rows::IntervalRow),
    ) -> Result<(), StoreError> {
        let live = self.lock_live();
        let Some(number) = live.dictionary.known_source(source) else {
            return Ok(());
        };
        if window.is_empty() {
            return Ok(());
        }
        let (from, to) = (
            interval_prefix(number, window.from),
            interval_prefix(number, window.to),
        );
        let mut left = limit;
        self.read(|txn| {
            INTERVALS.read(txn)?.scan(&from, &to, |key, value| {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                each(interval_row(&live, source, key, value)?);
                Ok(true)
            })
        })
    }

    /// See [`super::Store::coverage`].
    pub(super) fn coverage(
        &self,
        source: &SourceName,
        feed: Feed,
        window: Window,
    ) -> Result<Vec<CoverageEntry>, StoreError> {
        let entries = self.coverage_page(source, feed, window, usize::MAX)?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// See [`super::Store::coverage_page`].
    pub(super) fn coverage_page(
        &self,
        source: &SourceName,
        feed: Feed,
        window: Window,
        limit: usize,
    ) -> Result<Vec<(RecordSeq, CoverageEntry)>, StoreError> {
        let Some(number) = self.lock_live().dictionary.known_source(source) else {
            return Ok(Vec::new());
        };
        let feed_number = names::feed_number(feed);
        let (from, to) = (
            coverage_key(number, feed_number, window.from),
            coverage_key(number, feed_number, window.to),
        );
        let mut entries = Vec::new();
        self.read(|txn| {
            COVERAGE.read(txn)?.scan(&from, &to, |key, value| {
                if entries.len() == limit {
                    return Ok(false);
                }
                let entry = interval_of_key(&key[3..]).and_then(|start| {
                    let (seq, mut reader) = rows::split_seq(value)?;
                    let source = source.clone();
                    let entry = record_rows::read_coverage(&mut reader, source, feed, start)?;
                    Ok((seq, entry))
                });
                entries.push(entry.map_err(|error| COVERAGE.damaged(key, error))?);
                Ok(true)
            })
        })?;
        Ok(entries)
    }
}

fn interval_row(
    live: &Live,
    source: &SourceName,
    key: &[u8],
    value: &[u8],
) -> Result<rows::IntervalRow, StoreError> {
    let damaged = |error| INTERVALS.damaged(key, error);
    let start = interval_of_key(&key[2..6]).map_err(damaged)?;
    let queue = live
        .dictionary
        .queue_name(number_of_key(key).map_err(damaged)?)?;
    rows::read_interval(value, source.clone(), queue, start).map_err(damaged)
}
