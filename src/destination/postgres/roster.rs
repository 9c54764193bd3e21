//! `wfm_queue` and `wfm_agent`: versions that close each other, in whatever order they arrive.
//!
//! A version ends where the next one begins. A deletion is a row too, valid at no moment
//! (`valid_to` = `valid_from`), so that it ends its predecessor even where it comes first.
//!
//! A version that an upsert has written carries this transaction's `applied_no` with its own
//! `record_seq`: that tells it from one that was newer already.

use super::super::SendError;
use super::super::rows::Row;
use super::super::sql::{Key, Stamp, number};
use super::connection::Session;
use super::pipeline::{OwnedParams, Pipeline, at, column, maybe_text, text};
use super::write::keyed;
use crate::domain::ids::{RecordSeq, SourceName};
use crate::domain::record::{AgentChange, QueueChange, RosterChange};
use crate::domain::timestamp::WallTime;

pub(super) const AGENTS: &str = "INSERT INTO {t}agent AS t
    (source, agent_id, valid_from, username, first_name, last_name, display_name, email,
     time_zone, is_active, is_provisional, first_seen, last_seen, last_seen_in_realtime,
     claim_no, record_seq, applied_no)
  SELECT $1::text, u.agent_id, u.valid_from, u.username, u.first_name, u.last_name,
    u.display_name, u.email, u.time_zone, u.is_active, u.is_provisional, u.first_seen,
    u.valid_from, c.last_observed_hour, $2::bigint, u.seq, $3::bigint
  FROM unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[],
      $10::text[], $11::text[], $12::text[], $13::boolean[], $14::boolean[], $15::timestamptz[])
    AS u(seq, agent_id, valid_from, username, first_name, last_name, display_name, email,
      time_zone, is_active, is_provisional, first_seen)
  LEFT JOIN {t}agent_state_current AS c ON c.source = $1 AND c.agent_id = u.agent_id
  ON CONFLICT (source, agent_id, valid_from) DO UPDATE SET username = excluded.username,
    first_name = excluded.first_name, last_name = excluded.last_name,
    display_name = excluded.display_name, email = excluded.email,
    time_zone = excluded.time_zone, is_active = excluded.is_active,
    is_provisional = excluded.is_provisional, first_seen = excluded.first_seen,
    claim_no = excluded.claim_no, record_seq = excluded.record_seq,
    applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

pub(super) const QUEUES: &str = "INSERT INTO {t}queue AS t
    (source, queue_id, valid_from, name, description, is_active, is_provisional, first_seen,
     last_seen, claim_no, record_seq, applied_no)
  SELECT $1::text, u.queue_id, u.valid_from, u.name, u.description, u.is_active,
    u.is_provisional, u.first_seen, u.valid_from, $2::bigint, u.seq, $3::bigint
  FROM unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::boolean[],
      $10::boolean[], $11::timestamptz[])
    AS u(seq, queue_id, valid_from, name, description, is_active, is_provisional, first_seen)
  ON CONFLICT (source, queue_id, valid_from) DO UPDATE SET name = excluded.name,
    description = excluded.description, is_active = excluded.is_active,
    is_provisional = excluded.is_provisional, first_seen = excluded.first_seen,
    claim_no = excluded.claim_no, record_seq = excluded.record_seq,
    applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

/// Ends what was written where the next version begins, a deletion where it begins itself.
pub(super) const END_AGENTS: &str = "UPDATE {t}agent AS t
  SET valid_to = CASE WHEN u.closed THEN t.valid_from ELSE
    (SELECT MIN(n.valid_from) FROM {t}agent AS n
      WHERE n.source = $1 AND n.agent_id = t.agent_id AND n.valid_from > t.valid_from) END
  FROM unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::boolean[])
    AS u(seq, id, valid_from, closed)
  WHERE t.source = $1::text AND t.agent_id = u.id AND t.valid_from = u.valid_from
    AND t.claim_no = $2::bigint AND t.record_seq = u.seq AND t.applied_no = $3::bigint";

pub(super) const END_QUEUES: &str = "UPDATE {t}queue AS t
  SET valid_to = CASE WHEN u.closed THEN t.valid_from ELSE
    (SELECT MIN(n.valid_from) FROM {t}queue AS n
      WHERE n.source = $1 AND n.queue_id = t.queue_id AND n.valid_from > t.valid_from) END
  FROM unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::boolean[])
    AS u(seq, id, valid_from, closed)
  WHERE t.source = $1::text AND t.queue_id = u.id AND t.valid_from = u.valid_from
    AND t.claim_no = $2::bigint AND t.record_seq = u.seq AND t.applied_no = $3::bigint";

/// Ends the version before each that was written.
pub(super) const END_FORMER_AGENTS: &str = "UPDATE {t}agent AS t
  SET valid_to = w.valid_from, applied_no = $3::bigint
  FROM (SELECT n.agent_id, n.valid_from,
      (SELECT MAX(f.valid_from) FROM {t}agent AS f WHERE f.source = $1 AND f.agent_id = n.agent_id
        AND f.valid_from < n.valid_from) AS former
    FROM unnest($4::bigint[], $5::text[], $6::timestamptz[]) AS u(seq, id, valid_from)
    JOIN {t}agent AS n ON n.source = $1::text AND n.agent_id = u.id AND n.valid_from = u.valid_from
      AND n.claim_no = $2::bigint AND n.record_seq = u.seq AND n.applied_no = $3) AS w
  WHERE t.source = $1 AND t.agent_id = w.agent_id AND t.valid_from = w.former
    AND (t.valid_to IS NULL OR t.valid_to > w.valid_from)";

pub(super) const END_FORMER_QUEUES: &str = "UPDATE {t}queue AS t
  SET valid_to = w.valid_from, applied_no = $3::bigint
  FROM (SELECT n.queue_id, n.valid_from,
      (SELECT MAX(f.valid_from) FROM {t}queue AS f WHERE f.source = $1 AND f.queue_id = n.queue_id
        AND f.valid_from < n.valid_from) AS former
    FROM unnest($4::bigint[], $5::text[], $6::timestamptz[]) AS u(seq, id, valid_from)
    JOIN {t}queue AS n ON n.source = $1::text AND n.queue_id = u.id AND n.valid_from = u.valid_from
      AND n.claim_no = $2::bigint AND n.record_seq = u.seq AND n.applied_no = $3) AS w
  WHERE t.source = $1 AND t.queue_id = w.queue_id AND t.valid_from = w.former
    AND (t.valid_to IS NULL OR t.valid_to > w.valid_from)";

/// An import has seen every open version that it did not change.
pub(super) const AGENTS_SEEN: &str =
    "UPDATE {t}agent SET last_seen = $3::timestamptz, applied_no = $2::bigint
  WHERE source = $1::text AND valid_to IS NULL AND NOT is_provisional AND last_seen < $3";

pub(super) const QUEUES_SEEN: &str =
    "UPDATE {t}queue SET last_seen = $3::timestamptz, applied_no = $2::bigint
  WHERE source = $1::text AND valid_to IS NULL AND NOT is_provisional AND last_seen < $3";

pub(super) fn push_agents<'a>(
    pipeline: &mut Pipeline<'a>,
    key: Key<'a>,
    rows: &'a [Row<'a, AgentChange>],
) {
    if rows.is_empty() {
        return;
    }
    let is_closed = |row: &Row<'_, AgentChange>| row.record.change == RosterChange::Closed;
    let keys = || -> OwnedParams<'a> {
        let mut params = keyed(key);
        params.push(column(rows, |row| number(row.seq)));
        params.push(column(rows, |row| text(row.record.agent.as_str())));
        params.push(column(rows, |row| at(row.record.valid_from)));
        params
    };
    let mut params = keys();
    params.push(column(rows, |row| {
        maybe_text(row.record.details.username.as_deref())
    }));
    params.push(column(rows, |row| {
        maybe_text(row.record.details.first_name.as_deref())
    }));
    params.push(column(rows, |row| {
        maybe_text(row.record.details.last_name.as_deref())
    }));
    params.push(column(rows, |row| {
        maybe_text(row.record.details.display_name.as_deref())
    }));
    params.push(column(rows, |row| {
        maybe_text(row.record.details.email.as_deref())
    }));
    params.push(column(rows, |row| {
        maybe_text(row.record.details.time_zone.as_deref())
    }));
    params.push(column(rows, |row| {
        row.record.details.is_active && !is_closed(row)
    }));
    params.push(column(rows, |row| row.record.provisional));
    params.push(column(rows, |row| at(row.record.first_seen)));
    pipeline.push(AGENTS, params);
    let mut params = keys();
    params.push(column(rows, is_closed));
    pipeline.push(END_AGENTS, params);
    pipeline.push(END_FORMER_AGENTS, keys());
}

pub(super) fn push_queues<'a>(
    pipeline: &mut Pipeline<'a>,
    key: Key<'a>,
    rows: &'a [Row<'a, QueueChange>],
) {
    if rows.is_empty() {
        return;
    }
    let is_closed = |row: &Row<'_, QueueChange>| row.record.change == RosterChange::Closed;
    let keys = || -> OwnedParams<'a> {
        let mut params = keyed(key);
        params.push(column(rows, |row| number(row.seq)));
        params.push(column(rows, |row| text(row.record.queue.as_str())));
        params.push(column(rows, |row| at(row.record.valid_from)));
        params
    };
    let mut params = keys();
    params.push(column(rows, |row| {
        maybe_text(row.record.details.name.as_deref())
    }));
    params.push(column(rows, |row| {
        maybe_text(row.record.details.description.as_deref())
    }));
    params.push(column(rows, |row| {
        row.record.details.is_active && !is_closed(row)
    }));
    params.push(column(rows, |row| row.record.provisional));
    params.push(column(rows, |row| at(row.record.first_seen)));
    pipeline.push(QUEUES, params);
    let mut params = keys();
    params.push(column(rows, is_closed));
    pipeline.push(END_QUEUES, params);
    pipeline.push(END_FORMER_QUEUES, keys());
}

/// The roster as the box knows it, sent once under each new claim: it opens again the versions
/// that the claim closed. Its records' seqs are not told, so any record of the claim is newer.
pub(super) async fn send_all(
    session: &Session,
    source: &SourceName,
    agents: &[AgentChange],
    queues: &[QueueChange],
    stamp: Stamp,
) -> Result<(), SendError> {
    let seq = RecordSeq::ZERO;
    let agents: Vec<_> = agents.iter().map(|record| Row { seq, record }).collect();
    let queues: Vec<_> = queues.iter().map(|record| Row { seq, record }).collect();
    let key = Key { source, stamp };
    let mut pipeline = session.pipeline();
    push_agents(&mut pipeline, key, &agents);
    push_queues(&mut pipeline, key, &queues);
    pipeline.run().await.map(drop)
}

/// See [`AGENTS_SEEN`].
pub(super) async fn seen(
    session: &Session,
    source: &SourceName,
    seen_at: WallTime,
    stamp: Stamp,
) -> Result<(), SendError> {
    let (source, seen_at) = (source.as_str(), at(seen_at));
    for seen in [AGENTS_SEEN, QUEUES_SEEN] {
        session
            .execute(seen, &[&source, &stamp.applied_no, &seen_at])
            .await?;
    }
    Ok(())
}
