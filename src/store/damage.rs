//! A damaged block is set aside, named, and what can be told again is told again (invariant 4).
//!
//! The state tables still hold the last revision of everything but transactions: those records
//! are journaled once more under new seqs. What a lost transaction said is gone, and its quarter
//! hours say so.

use std::fs;
use std::ops::ControlFlow;

use redb::ReadTransaction;

use super::StoreError;
use super::codec::{self, SlotRef, rows as record_rows};
use super::dictionary::KIND_STATE_CODE;
use super::engine::{Engine, lock};
use super::journal;
use super::live::Live;
use super::loss::Blind;
use super::rows;
use super::tables::{
    COVERAGE, DICTIONARY, INTERVALS, JOURNAL, ROSTER, ROSTER_AGENT, interval_of_key, number_of_key,
};
use crate::domain::ids::{RecordSeq, SeqRange};
use crate::domain::record::Record;
use crate::domain::timestamp::{Now, WallTime};

impl Engine {
    /// Deals with the damaged blocks that readers came by; says which ranges are lost.
    pub(super) fn set_aside_blocks(
        &self,
        live: &mut Live,
        now: Now,
    ) -> Result<Vec<SeqRange>, StoreError> {
        let found = std::mem::take(&mut *lock(&self.found_damaged));
        let mut lost = Vec::new();
        for span in found.into_values() {
            // A block that was acknowledged and deleted meanwhile needs nothing more.
            if span.first < live.position.first {
                continue;
            }
            self.set_aside_block(live, span, now)?;
            lost.push(span);
        }
        Ok(lost)
    }

    fn set_aside_block(&self, live: &mut Live, span: SeqRange, now: Now) -> Result<(), StoreError> {
        let (bytes, records) = self.read(|txn| {
            let bytes = txn.open_table(JOURNAL)?.get(span.first.get())?;
            let bytes = bytes
                .map(|value| value.value().to_vec())
                .unwrap_or_default();
            let mut records = told_again(txn, live, span)?;
            let (from, to) = neighbours(txn, live, span, now.wall)?;
            let mut blind = Blind::default();
            blind.span(live, from, to);
            let reason = format!(
                "journal block {}..={} was damaged; its transactions are lost",
                span.first, span.last
            );
            records.extend(blind.entries(&COVERAGE.read(txn)?, live, &reason)?);
            Ok((bytes, records))
        })?;
        if let Some(folder) = self.place.folder() {
            // For a person to look at; the store does not need it.
            let _ = fs::write(folder.join(format!("damaged-block-{}", span.first)), &bytes);
        }
        self.append_own(live, &records, now, |_, table, live| {
            let holes = vec![SlotRef::Damaged; usize::try_from(span.count()).unwrap_or(usize::MAX)];
            let mut first = span.first;
            for run in holes.chunks(codec::BLOCK_RECORDS_MAX) {
                let block = codec::encode(live.store_id, first, now.wall, run);
                table.insert(first.get(), block.as_slice())?;
                first = first.plus(run.len() as u64);
                live.position
                    .grow(i64::try_from(journal::allocated(block.len())).unwrap_or(0));
            }
            live.position
                .grow(-i64::try_from(journal::allocated(bytes.len())).unwrap_or(0));
            live.position.damaged += span.count();
            Ok(())
        })
    }
}

/// When the blocks before and behind the damaged one were journaled: what it held lies between.
fn neighbours(
    txn: &ReadTransaction,
    live: &Live,
    span: SeqRange,
    now: WallTime,
) -> Result<(WallTime, WallTime), StoreError> {
    let (mut before, mut behind) = (None, None);
    let from = RecordSeq::new(span.first.get().saturating_sub(1).max(1));
    journal::for_each_block(txn, from, live.position.last, |found| {
        let at = found.header().map(|header| header.journaled_at);
        if found.span.last < span.first {
            before = at;
        } else if found.first > span.last && at.is_some() {
            behind = at;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let to = behind.unwrap_or(now);
    Ok((before.unwrap_or(to.plus_ms(-1)).min(to), to))
}

/// The records that are still known from the state tables although their block is not.
pub(super) fn told_again(
    txn: &ReadTransaction,
    live: &Live,
    span: SeqRange,
) -> Result<Vec<Record>, StoreError> {
    let mut records: Vec<(RecordSeq, Record)> = Vec::new();
    let source_of = |key: &[u8]| {
        live.dictionary
            .source_name(u32::from(u16::from_be_bytes([key[0], key[1]])))
    };
    INTERVALS.read(txn)?.scan(&[], &[], |key, value| {
        let damaged = |error| INTERVALS.damaged(key, error);
        let (seq, _) = rows::split_seq(value.get(1..).unwrap_or_default()).map_err(damaged)?;
        if span.contains(seq) {
            let start = interval_of_key(&key[2..6]).map_err(damaged)?;
            let queue = live
                .dictionary
                .queue_name(number_of_key(key).map_err(damaged)?)?;
            let row = rows::read_interval(value, source_of(key)?, queue, start).map_err(damaged)?;
            if !row.given_up {
                records.push((seq, Record::Interval(row.record)));
            }
        }
        Ok(true)
    })?;
    COVERAGE.read(txn)?.scan(&[], &[], |key, value| {
        let damaged = |error| COVERAGE.damaged(key, error);
        let (seq, mut reader) = rows::split_seq(value).map_err(damaged)?;
        if span.contains(seq) {
            let feed = codec::names::feed_from(key[2]).map_err(damaged)?;
            let start = interval_of_key(&key[3..]).map_err(damaged)?;
            let entry = record_rows::read_coverage(&mut reader, source_of(key)?, feed, start);
            records.push((seq, Record::Coverage(entry.map_err(damaged)?)));
        }
        Ok(true)
    })?;
    ROSTER.read(txn)?.scan(&[], &[], |key, value| {
        let damaged = |error| ROSTER.damaged(key, error);
        let (seq, mut reader) = rows::split_seq(value).map_err(damaged)?;
        if span.contains(seq) {
            let id = number_of_key(key).map_err(damaged)?;
            let source = source_of(key)?;
            records.push((
                seq,
                if key[2] == ROSTER_AGENT {
                    let agent = live.dictionary.agent_name(id)?;
                    Record::Agent(
                        record_rows::read_agent(&mut reader, source, agent).map_err(damaged)?,
                    )
                } else {
                    let queue = live.dictionary.queue_name(id)?;
                    Record::Queue(
                        record_rows::read_queue(&mut reader, source, queue).map_err(damaged)?,
                    )
                },
            ));
        }
        Ok(true)
    })?;
    DICTIONARY
        .read(txn)?
        .scan_prefix(&[KIND_STATE_CODE], |key, value| {
            let damaged = |error| DICTIONARY.damaged(key, error);
            let (seq, mut reader) = rows::split_seq(value).map_err(damaged)?;
            if span.contains(seq) {
                let state = live
                    .dictionary
                    .state_name(number_of_key(key).map_err(damaged)?)?;
                let code = record_rows::read_state_code(&mut reader, source_of(&key[1..])?, state);
                records.push((seq, Record::StateCode(code.map_err(damaged)?)));
            }
            Ok(())
        })?;
    records.sort_by_key(|(seq, _)| *seq);
    Ok(records.into_iter().map(|(_, record)| record).collect())
}
