//! Which store writes a source: `wfm_source`, one claim at a time.
//!
//! The rule is `sql::verdict`.

use rusqlite::{OptionalExtension, Transaction, params};

use super::super::sql::{Claim, Held, Verdict, claimed_by, vanished, verdict};
use super::super::{SendError, Writer};
use super::error::sql;
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;

/// Our claim of the source, taken now where nothing speaks against it.
pub(super) fn hold_or_take(
    txn: &Transaction<'_>,
    writer: &Writer,
    source: &SourceName,
    now: WallTime,
) -> Result<Claim, SendError> {
    match verdict(current(txn, source).map_err(sql)?, writer) {
        Verdict::Ours(claim) => Ok(claim),
        Verdict::TakeIfNew(held) if had_claim(txn, writer, source).map_err(sql)? => {
            Err(claimed_by(&held, writer, source))
        }
        Verdict::Take | Verdict::TakeIfNew(_) => take(txn, writer, source, now),
        Verdict::Theirs(held) => Err(claimed_by(&held, writer, source)),
    }
}

/// Takes the source over where it is not ours already: a person said so.
pub(super) fn take_over(
    txn: &Transaction<'_>,
    writer: &Writer,
    source: &SourceName,
    now: WallTime,
) -> Result<(), SendError> {
    let held = current(txn, source).map_err(sql)?;
    let ours = held.is_some_and(|held| held.is_by(writer));
    if !ours {
        take(txn, writer, source, now)?;
    }
    Ok(())
}

/// The next `claim_no` for the source, whoever has it; the former claim's open roster versions
/// end with it.
fn take(
    txn: &Transaction<'_>,
    writer: &Writer,
    source: &SourceName,
    now: WallTime,
) -> Result<Claim, SendError> {
    let take = || -> rusqlite::Result<i64> {
        let claim_no: i64 = txn.query_row(
            "INSERT INTO wfm_source_claim (claim_no, source, box_id, store_id, claimed_at)
             SELECT COALESCE(MAX(claim_no), 0) + 1, ?1, ?2, ?3, ?4 FROM wfm_source_claim
             RETURNING claim_no",
            params![
                source.as_str(),
                writer.box_id.as_str(),
                writer.store_id.to_string(),
                now.ms()
            ],
            |row| row.get(0),
        )?;
        let applied_no: i64 = txn.query_row(
            "INSERT INTO wfm_source (source, claim_no, box_id, store_id, claimed_at,
               confirmed_at, last_applied_no, roster_pending)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1, 1)
             ON CONFLICT (source) DO UPDATE SET claim_no = excluded.claim_no,
               box_id = excluded.box_id, store_id = excluded.store_id,
               claimed_at = excluded.claimed_at, confirmed_at = excluded.confirmed_at,
               last_applied_no = last_applied_no + 1, roster_pending = 1
             RETURNING last_applied_no",
            params![
                source.as_str(),
                claim_no,
                writer.box_id.as_str(),
                writer.store_id.to_string(),
                now.ms()
            ],
            |row| row.get(0),
        )?;
        for table in ["wfm_agent", "wfm_queue"] {
            // A version that began after this box's clock ends where it began.
            let sql = format!(
                "UPDATE {table} SET valid_to = MAX(valid_from, ?2), applied_no = ?3
                 WHERE source = ?1 AND valid_to IS NULL"
            );
            txn.execute(&sql, params![source.as_str(), now.ms(), applied_no])?;
        }
        Ok(claim_no)
    };
    Ok(Claim {
        claim_no: take().map_err(sql)?,
        roster_pending: true,
    })
}

/// The next `applied_no` of the source, as long as the claim is ours.
pub(super) fn next_applied_no(
    txn: &Transaction<'_>,
    writer: &Writer,
    source: &SourceName,
    claim_no: i64,
    now: WallTime,
) -> Result<i64, SendError> {
    let next = || {
        txn.prepare_cached(
            "UPDATE wfm_source SET last_applied_no = last_applied_no + 1, confirmed_at = ?3
             WHERE source = ?1 AND claim_no = ?2 RETURNING last_applied_no",
        )?
        .query_row(params![source.as_str(), claim_no, now.ms()], |row| {
            row.get(0)
        })
        .optional()
    };
    if let Some(applied_no) = next().map_err(sql)? {
        return Ok(applied_no);
    }
    match current(txn, source).map_err(sql)? {
        Some(held) => Err(claimed_by(&held, writer, source)),
        None => Err(vanished(source)),
    }
}

/// The roster was sent under the claim.
pub(super) fn roster_sent(txn: &Transaction<'_>, source: &SourceName) -> Result<(), SendError> {
    txn.execute(
        "UPDATE wfm_source SET roster_pending = 0 WHERE source = ?",
        [source.as_str()],
    )
    .map(drop)
    .map_err(sql)
}

fn current(txn: &Transaction<'_>, source: &SourceName) -> rusqlite::Result<Option<Held>> {
    txn.prepare_cached(
        "SELECT claim_no, box_id, store_id, roster_pending FROM wfm_source WHERE source = ?",
    )?
    .query_row([source.as_str()], |row| {
        Ok(Held {
            claim_no: row.get(0)?,
            box_id: row.get(1)?,
            store_id: row.get(2)?,
            roster_pending: row.get(3)?,
        })
    })
    .optional()
}

fn had_claim(
    txn: &Transaction<'_>,
    writer: &Writer,
    source: &SourceName,
) -> rusqlite::Result<bool> {
    txn.query_row(
        "SELECT EXISTS (SELECT 1 FROM wfm_source_claim
           WHERE source = ? AND box_id = ? AND store_id = ?)",
        params![
            source.as_str(),
            writer.box_id.as_str(),
            writer.store_id.to_string()
        ],
        |row| row.get(0),
    )
}
