//! `wfm_delivery`: which seqs of which store are in the tables, as merged ranges.

use rusqlite::{Transaction, params};

use super::super::sql::{number, seq};
use super::super::{SendError, Writer};
use super::error::sql;
use crate::domain::ids::SeqRange;
use crate::domain::timestamp::WallTime;

/// The applied ranges of the writer's store, ascending.
pub(super) fn read(txn: &Transaction<'_>, writer: &Writer) -> Result<Vec<SeqRange>, SendError> {
    let read = || -> rusqlite::Result<Vec<SeqRange>> {
        txn.prepare_cached(
            "SELECT first_seq, last_seq FROM wfm_delivery
             WHERE box_id = ? AND store_id = ? ORDER BY first_seq",
        )?
        .query_map(
            params![writer.box_id.as_str(), writer.store_id.to_string()],
            |row| Ok(SeqRange::new(seq(row.get(0)?), seq(row.get(1)?))),
        )?
        .collect()
    };
    read().map_err(sql)
}

/// Adds a range, and merges it with those that it touches.
pub(super) fn add(
    txn: &Transaction<'_>,
    writer: &Writer,
    range: SeqRange,
    now: WallTime,
) -> Result<(), SendError> {
    let add = || -> rusqlite::Result<()> {
        let (box_id, store_id) = (writer.box_id.as_str(), writer.store_id.to_string());
        let (mut first, mut last) = (number(range.first), number(range.last));
        let mut touching = txn.prepare_cached(
            "DELETE FROM wfm_delivery
             WHERE box_id = ?1 AND store_id = ?2 AND first_seq <= ?4 + 1 AND last_seq >= ?3 - 1
             RETURNING first_seq, last_seq",
        )?;
        let mut rows = touching.query(params![box_id, store_id, first, last])?;
        let (from, to) = (first, last);
        while let Some(row) = rows.next()? {
            first = first.min(row.get(0)?).min(from);
            last = last.max(row.get(1)?).max(to);
        }
        drop(rows);
        txn.prepare_cached(
            "INSERT INTO wfm_delivery (box_id, store_id, first_seq, last_seq, updated_at)
             VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![box_id, store_id, first, last, now.ms()])?;
        Ok(())
    };
    add().map_err(sql)
}
