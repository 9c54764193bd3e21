//! What is lost is said: as coverage, never as silence (architecture §2.4, §2.7).

use std::collections::BTreeMap;

use super::StoreError;
use super::codec::{names, rows as record_rows};
use super::live::Live;
use super::rows;
use super::tables::{COVERAGE, ReadTable, coverage_key};
use crate::domain::ids::{Feed, SourceName};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::record::{CoverageEntry, CoverageStatus, Record};
use crate::domain::timestamp::WallTime;

/// Quarter hours that one loss names: 35 days, the longest that can be asked for again.
const QUARTERS_MAX: i64 = 35 * 96;

/// Seconds that a loss made blind, by source and quarter hour.
#[derive(Debug, Default)]
pub(super) struct Blind {
    seconds: BTreeMap<(SourceName, IntervalStart), u32>,
}

impl Blind {
    /// Every source with agent states was blind from `from` until `to`.
    pub(super) fn span(&mut self, live: &Live, from: WallTime, to: WallTime) {
        let first = IntervalStart::containing(from);
        let last = IntervalStart::containing(to).min(first.plus(QUARTERS_MAX));
        let sources = live.feed_states.keys();
        let sources: Vec<_> = sources
            .filter(|(_, feed)| *feed == Feed::Realtime)
            .collect();
        let mut quarter = first;
        while quarter <= last {
            let start = from.max(quarter.start());
            let end = to.min(quarter.end());
            let seconds = end.ms_since(start).max(0).saturating_add(999) / 1_000;
            for (source, _) in &sources {
                self.add(source, quarter, seconds);
            }
            quarter = quarter.plus(1);
        }
    }

    /// One transaction is lost: nobody can say any more what its quarter hour held.
    pub(super) fn transaction(&mut self, source: &SourceName, at: WallTime) {
        self.add(source, IntervalStart::containing(at), INTERVAL_S);
    }

    fn add(&mut self, source: &SourceName, quarter: IntervalStart, seconds: i64) {
        let known = self.seconds.entry((source.clone(), quarter)).or_default();
        let sum = i64::from(*known)
            .saturating_add(seconds)
            .clamp(0, INTERVAL_S);
        *known = u32::try_from(sum).expect("clamped to a quarter hour");
    }

    /// The coverage entries that say so: those that are there, with more unknown seconds.
    pub(super) fn entries(
        self,
        coverage: &ReadTable,
        live: &Live,
        reason: &str,
    ) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for ((source, quarter), seconds) in self.seconds {
            if seconds == 0 {
                continue;
            }
            let known = read_entry(coverage, live, &source, Feed::Realtime, quarter)?;
            let mut entry =
                known.unwrap_or_else(|| new_entry(source.clone(), Feed::Realtime, quarter));
            let before = entry.unknown_s.unwrap_or(0);
            let seconds = before.saturating_add(seconds).min(900);
            if entry.status == CoverageStatus::Failed && before == seconds {
                continue;
            }
            // The past cannot be asked for again.
            entry.status = CoverageStatus::Failed;
            entry.unknown_s = Some(seconds);
            entry.last_error = Some(reason.to_owned());
            records.push(Record::Coverage(entry));
        }
        Ok(records)
    }
}

/// The entry that makes an interval be asked for again.
pub(super) fn missing_interval(
    coverage: &ReadTable,
    live: &Live,
    source: &SourceName,
    interval: IntervalStart,
    reason: &str,
) -> Result<Record, StoreError> {
    let known = read_entry(coverage, live, source, Feed::Historical, interval)?;
    let mut entry = known.unwrap_or_else(|| new_entry(source.clone(), Feed::Historical, interval));
    entry.status = CoverageStatus::Missing;
    entry.last_error = Some(reason.to_owned());
    Ok(Record::Coverage(entry))
}

fn read_entry(
    coverage: &ReadTable,
    live: &Live,
    source: &SourceName,
    feed: Feed,
    interval: IntervalStart,
) -> Result<Option<CoverageEntry>, StoreError> {
    let Some(number) = live.dictionary.known_source(source) else {
        return Ok(None);
    };
    let key = coverage_key(number, names::feed_number(feed), interval);
    let value = coverage.get(&key)?;
    let entry = value.map(|value| {
        let (_, mut reader) = rows::split_seq(&value)?;
        record_rows::read_coverage(&mut reader, source.clone(), feed, interval)
    });
    entry
        .transpose()
        .map_err(|error| COVERAGE.damaged(&key, error))
}

fn new_entry(source: SourceName, feed: Feed, interval_start: IntervalStart) -> CoverageEntry {
    CoverageEntry {
        source,
        feed,
        interval_start,
        status: CoverageStatus::Missing,
        attempts: 0,
        last_error: None,
        rows: 0,
        fetched_at: None,
        final_at: None,
        polls_expected: None,
        polls_made: None,
        unknown_s: None,
    }
}
