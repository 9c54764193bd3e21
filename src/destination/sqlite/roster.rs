//! `wfm_queue` and `wfm_agent`: versions that close each other, in whatever order they arrive.
//!
//! A version ends where the next one begins. A deletion is a row too, valid at no moment
//! (`valid_to` = `valid_from`), so that it ends its predecessor even where it comes first.

use rusqlite::{Transaction, params};

use super::super::SendError;
use super::super::rows::Row;
use super::super::sql::{Stamp, Stamps, number};
use super::error::sql;
use crate::domain::ids::{RecordSeq, SourceName};
use crate::domain::record::{AgentChange, QueueChange, RosterChange};
use crate::domain::timestamp::WallTime;

pub(super) fn agents(
    txn: &Transaction<'_>,
    rows: &[Row<'_, AgentChange>],
    stamps: &Stamps,
) -> rusqlite::Result<()> {
    let mut upsert = txn.prepare_cached(
        "INSERT INTO wfm_agent (source, agent_id, valid_from, username, first_name, last_name,
           display_name, email, time_zone, is_active, is_provisional, first_seen, last_seen,
           last_seen_in_realtime, claim_no, record_seq, applied_no)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?3,
           (SELECT last_observed_hour FROM wfm_agent_state_current
              WHERE source = ?1 AND agent_id = ?2),
           ?13, ?14, ?15)
         ON CONFLICT (source, agent_id, valid_from) DO UPDATE SET username = excluded.username,
           first_name = excluded.first_name, last_name = excluded.last_name,
           display_name = excluded.display_name, email = excluded.email,
           time_zone = excluded.time_zone, is_active = excluded.is_active,
           is_provisional = excluded.is_provisional, first_seen = excluded.first_seen,
           claim_no = excluded.claim_no, record_seq = excluded.record_seq,
           applied_no = excluded.applied_no
         WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
    )?;
    for Row { seq, record } in rows {
        let stamp = stamps[&record.source];
        let details = &record.details;
        let closed = record.change == RosterChange::Closed;
        let changed = upsert.execute(params![
            record.source.as_str(),
            record.agent.as_str(),
            record.valid_from.ms(),
            details.username,
            details.first_name,
            details.last_name,
            details.display_name,
            details.email,
            details.time_zone,
            details.is_active && !closed,
            record.provisional,
            record.first_seen.ms(),
            stamp.claim_no,
            number(*seq),
            stamp.applied_no,
        ])?;
        if changed > 0 {
            let version = Version {
                source: &record.source,
                id: record.agent.as_str(),
                valid_from: record.valid_from.ms(),
                closed,
            };
            link(txn, &AGENT, &version, stamp)?;
        }
    }
    Ok(())
}

pub(super) fn queues(
    txn: &Transaction<'_>,
    rows: &[Row<'_, QueueChange>],
    stamps: &Stamps,
) -> rusqlite::Result<()> {
    let mut upsert = txn.prepare_cached(
        "INSERT INTO wfm_queue (source, queue_id, valid_from, name, description, is_active,
           is_provisional, first_seen, last_seen, claim_no, record_seq, applied_no)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?3, ?9, ?10, ?11)
         ON CONFLICT (source, queue_id, valid_from) DO UPDATE SET name = excluded.name,
           description = excluded.description, is_active = excluded.is_active,
           is_provisional = excluded.is_provisional, first_seen = excluded.first_seen,
           claim_no = excluded.claim_no, record_seq = excluded.record_seq,
           applied_no = excluded.applied_no
         WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
    )?;
    for Row { seq, record } in rows {
        let stamp = stamps[&record.source];
        let closed = record.change == RosterChange::Closed;
        let changed = upsert.execute(params![
            record.source.as_str(),
            record.queue.as_str(),
            record.valid_from.ms(),
            record.details.name,
            record.details.description,
            record.details.is_active && !closed,
            record.provisional,
            record.first_seen.ms(),
            stamp.claim_no,
            number(*seq),
            stamp.applied_no,
        ])?;
        if changed > 0 {
            let version = Version {
                source: &record.source,
                id: record.queue.as_str(),
                valid_from: record.valid_from.ms(),
                closed,
            };
            link(txn, &QUEUE, &version, stamp)?;
        }
    }
    Ok(())
}

struct Version<'a> {
    source: &'a SourceName,
    id: &'a str,
    valid_from: i64,
    closed: bool,
}

/// The two statements that chain the versions of one table.
struct Links {
    this_end: &'static str,
    former_end: &'static str,
}

const AGENT: Links = Links {
    this_end: "UPDATE wfm_agent SET valid_to = CASE WHEN ?4 THEN ?3 ELSE
         (SELECT MIN(n.valid_from) FROM wfm_agent n
            WHERE n.source = ?1 AND n.agent_id = ?2 AND n.valid_from > ?3) END
       WHERE source = ?1 AND agent_id = ?2 AND valid_from = ?3",
    former_end: "UPDATE wfm_agent SET valid_to = ?3, applied_no = ?4
       WHERE source = ?1 AND agent_id = ?2 AND (valid_to IS NULL OR valid_to > ?3)
         AND valid_from = (SELECT MAX(f.valid_from) FROM wfm_agent f
           WHERE f.source = ?1 AND f.agent_id = ?2 AND f.valid_from < ?3)",
};

const QUEUE: Links = Links {
    this_end: "UPDATE wfm_queue SET valid_to = CASE WHEN ?4 THEN ?3 ELSE
         (SELECT MIN(n.valid_from) FROM wfm_queue n
            WHERE n.source = ?1 AND n.queue_id = ?2 AND n.valid_from > ?3) END
       WHERE source = ?1 AND queue_id = ?2 AND valid_from = ?3",
    former_end: "UPDATE wfm_queue SET valid_to = ?3, applied_no = ?4
       WHERE source = ?1 AND queue_id = ?2 AND (valid_to IS NULL OR valid_to > ?3)
         AND valid_from = (SELECT MAX(f.valid_from) FROM wfm_queue f
           WHERE f.source = ?1 AND f.queue_id = ?2 AND f.valid_from < ?3)",
};

/// Ends this version where the next begins, and the former one where this begins.
fn link(
    txn: &Transaction<'_>,
    links: &Links,
    version: &Version<'_>,
    stamp: Stamp,
) -> rusqlite::Result<()> {
    let (source, id, from) = (version.source.as_str(), version.id, version.valid_from);
    txn.prepare_cached(links.this_end)?
        .execute(params![source, id, from, version.closed])?;
    txn.prepare_cached(links.former_end)?
        .execute(params![source, id, from, stamp.applied_no])?;
    Ok(())
}

/// The roster as the box knows it, sent once under each new claim: it opens again the versions
/// that the claim closed. Its records' seqs are not told, so any record of the claim is newer.
pub(super) fn send_all(
    txn: &Transaction<'_>,
    all_agents: &[AgentChange],
    all_queues: &[QueueChange],
    stamps: &Stamps,
) -> Result<(), SendError> {
    let seq = RecordSeq::ZERO;
    let agent_rows: Vec<_> = all_agents
        .iter()
        .map(|record| Row { seq, record })
        .collect();
    let queue_rows: Vec<_> = all_queues
        .iter()
        .map(|record| Row { seq, record })
        .collect();
    agents(txn, &agent_rows, stamps)
        .and_then(|()| queues(txn, &queue_rows, stamps))
        .map_err(sql)
}

/// An import has seen every open version that it did not change.
pub(super) fn seen(
    txn: &Transaction<'_>,
    source: &SourceName,
    at: WallTime,
    stamp: Stamp,
) -> Result<(), SendError> {
    for table in ["wfm_agent", "wfm_queue"] {
        txn.prepare_cached(&format!(
            "UPDATE {table} SET last_seen = ?2, applied_no = ?3
             WHERE source = ?1 AND valid_to IS NULL AND is_provisional = 0 AND last_seen < ?2"
        ))
        .and_then(|mut update| update.execute(params![source.as_str(), at.ms(), stamp.applied_no]))
        .map_err(sql)?;
    }
    Ok(())
}
