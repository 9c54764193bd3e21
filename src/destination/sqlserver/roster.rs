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
use super::stage;
use super::value::{at, bit, int, key, maybe_text, text};
use super::write::keyed;
use crate::domain::ids::{RecordSeq, SourceName};
use crate::domain::record::{AgentChange, QueueChange, RosterChange};
use crate::domain::timestamp::WallTime;

/// Writes the versions, ends what was written where the next version begins (a deletion where it
/// begins itself), and ends the version before each that was written.
pub(super) const AGENTS: &str = "UPDATE t SET username = u.username, first_name = u.first_name,
  last_name = u.last_name, display_name = u.display_name, email = u.email,
  time_zone = u.time_zone, is_active = u.is_active, is_provisional = u.is_provisional,
  first_seen = u.first_seen, claim_no = @P2, record_seq = u.seq, applied_no = @P3
FROM {t}agent AS t
JOIN #thrio_edge_agent AS u ON u.agent_id = t.agent_id AND u.valid_from = t.valid_from
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
INSERT INTO {t}agent (source, agent_id, valid_from, username, first_name, last_name, display_name,
  email, time_zone, is_active, is_provisional, first_seen, last_seen, last_seen_in_realtime,
  claim_no, record_seq, applied_no)
SELECT @P1, u.agent_id, u.valid_from, u.username, u.first_name, u.last_name, u.display_name,
  u.email, u.time_zone, u.is_active, u.is_provisional, u.first_seen, u.valid_from,
  c.last_observed_hour, @P2, u.seq, @P3
FROM #thrio_edge_agent AS u
LEFT JOIN {t}agent_state_current AS c ON c.source = @P1 AND c.agent_id = u.agent_id
WHERE NOT EXISTS (SELECT 1 FROM {t}agent AS t
  WHERE t.source = @P1 AND t.agent_id = u.agent_id AND t.valid_from = u.valid_from);
UPDATE t SET valid_to = CASE WHEN u.is_closed = 1 THEN t.valid_from ELSE
  (SELECT MIN(n.valid_from) FROM {t}agent AS n
    WHERE n.source = @P1 AND n.agent_id = t.agent_id AND n.valid_from > t.valid_from) END
FROM {t}agent AS t
JOIN #thrio_edge_agent AS u ON u.agent_id = t.agent_id AND u.valid_from = t.valid_from
WHERE t.source = @P1 AND t.claim_no = @P2 AND t.record_seq = u.seq AND t.applied_no = @P3;
UPDATE t SET valid_to = w.valid_from, applied_no = @P3
FROM {t}agent AS t
JOIN (SELECT n.agent_id, n.valid_from,
    (SELECT MAX(f.valid_from) FROM {t}agent AS f WHERE f.source = @P1
      AND f.agent_id = n.agent_id AND f.valid_from < n.valid_from) AS former
  FROM #thrio_edge_agent AS u
  JOIN {t}agent AS n ON n.source = @P1 AND n.agent_id = u.agent_id AND n.valid_from = u.valid_from
    AND n.claim_no = @P2 AND n.record_seq = u.seq AND n.applied_no = @P3) AS w
  ON w.agent_id = t.agent_id AND w.former = t.valid_from
WHERE t.source = @P1 AND (t.valid_to IS NULL OR t.valid_to > w.valid_from);
TRUNCATE TABLE #thrio_edge_agent;";

/// The same for queues.
pub(super) const QUEUES: &str = "UPDATE t SET name = u.name, description = u.description,
  is_active = u.is_active, is_provisional = u.is_provisional, first_seen = u.first_seen,
  claim_no = @P2, record_seq = u.seq, applied_no = @P3
FROM {t}queue AS t
JOIN #thrio_edge_queue AS u ON u.queue_id = t.queue_id AND u.valid_from = t.valid_from
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
INSERT INTO {t}queue (source, queue_id, valid_from, name, description, is_active, is_provisional,
  first_seen, last_seen, claim_no, record_seq, applied_no)
SELECT @P1, u.queue_id, u.valid_from, u.name, u.description, u.is_active, u.is_provisional,
  u.first_seen, u.valid_from, @P2, u.seq, @P3
FROM #thrio_edge_queue AS u
WHERE NOT EXISTS (SELECT 1 FROM {t}queue AS t
  WHERE t.source = @P1 AND t.queue_id = u.queue_id AND t.valid_from = u.valid_from);
UPDATE t SET valid_to = CASE WHEN u.is_closed = 1 THEN t.valid_from ELSE
  (SELECT MIN(n.valid_from) FROM {t}queue AS n
    WHERE n.source = @P1 AND n.queue_id = t.queue_id AND n.valid_from > t.valid_from) END
FROM {t}queue AS t
JOIN #thrio_edge_queue AS u ON u.queue_id = t.queue_id AND u.valid_from = t.valid_from
WHERE t.source = @P1 AND t.claim_no = @P2 AND t.record_seq = u.seq AND t.applied_no = @P3;
UPDATE t SET valid_to = w.valid_from, applied_no = @P3
FROM {t}queue AS t
JOIN (SELECT n.queue_id, n.valid_from,
    (SELECT MAX(f.valid_from) FROM {t}queue AS f WHERE f.source = @P1
      AND f.queue_id = n.queue_id AND f.valid_from < n.valid_from) AS former
  FROM #thrio_edge_queue AS u
  JOIN {t}queue AS n ON n.source = @P1 AND n.queue_id = u.queue_id AND n.valid_from = u.valid_from
    AND n.claim_no = @P2 AND n.record_seq = u.seq AND n.applied_no = @P3) AS w
  ON w.queue_id = t.queue_id AND w.former = t.valid_from
WHERE t.source = @P1 AND (t.valid_to IS NULL OR t.valid_to > w.valid_from);
TRUNCATE TABLE #thrio_edge_queue;";

/// An import has seen every open version that it did not change. In portions, so that a large
/// roster does not lock the whole table.
pub(super) const SEEN: &str = "DECLARE @seen datetime2(3) = @P3;
WHILE 1 = 1
BEGIN
  UPDATE TOP (2000) {t}agent SET last_seen = @seen, applied_no = @P2
  WHERE source = @P1 AND valid_to IS NULL AND is_provisional = 0 AND last_seen < @seen;
  IF @@ROWCOUNT < 2000 BREAK;
END;
WHILE 1 = 1
BEGIN
  UPDATE TOP (2000) {t}queue SET last_seen = @seen, applied_no = @P2
  WHERE source = @P1 AND valid_to IS NULL AND is_provisional = 0 AND last_seen < @seen;
  IF @@ROWCOUNT < 2000 BREAK;
END;";

pub(super) async fn agents(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[Row<'_, AgentChange>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        let (record, details) = (row.record, &row.record.details);
        let is_closed = record.change == RosterChange::Closed;
        vec![
            int(number(row.seq)),
            key(record.agent.as_str()),
            at(record.valid_from),
            maybe_text(details.username.as_deref()),
            maybe_text(details.first_name.as_deref()),
            maybe_text(details.last_name.as_deref()),
            maybe_text(details.display_name.as_deref()),
            maybe_text(details.email.as_deref()),
            maybe_text(details.time_zone.as_deref()),
            bit(details.is_active && !is_closed),
            bit(record.provisional),
            at(record.first_seen),
            bit(is_closed),
        ]
    });
    session.load(&stage::AGENTS, staged).await?;
    session.query(AGENTS, keyed(key_of)).await.map(drop)
}

pub(super) async fn queues(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[Row<'_, QueueChange>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        let (record, details) = (row.record, &row.record.details);
        let is_closed = record.change == RosterChange::Closed;
        vec![
            int(number(row.seq)),
            key(record.queue.as_str()),
            at(record.valid_from),
            maybe_text(details.name.as_deref()),
            maybe_text(details.description.as_deref()),
            bit(details.is_active && !is_closed),
            bit(record.provisional),
            at(record.first_seen),
            bit(is_closed),
        ]
    });
    session.load(&stage::QUEUES, staged).await?;
    session.query(QUEUES, keyed(key_of)).await.map(drop)
}

/// A portion of the roster as the box knows it, sent once under each new claim: it opens again the
/// versions that the claim closed. Its records' seqs are not told, so any record of the claim is
/// newer.
pub(super) async fn send(
    session: &mut Session,
    source: &SourceName,
    (agent_rows, queue_rows): (&[AgentChange], &[QueueChange]),
    stamp: Stamp,
) -> Result<(), SendError> {
    let seq = RecordSeq::ZERO;
    let agent_rows: Vec<_> = agent_rows
        .iter()
        .map(|record| Row { seq, record })
        .collect();
    let queue_rows: Vec<_> = queue_rows
        .iter()
        .map(|record| Row { seq, record })
        .collect();
    let key = Key { source, stamp };
    agents(session, key, &agent_rows).await?;
    queues(session, key, &queue_rows).await
}

/// See [`SEEN`].
pub(super) async fn seen(
    session: &mut Session,
    source: &SourceName,
    seen_at: WallTime,
    stamp: Stamp,
) -> Result<(), SendError> {
    let values = vec![text(source.as_str()), int(stamp.applied_no), at(seen_at)];
    session.query(SEEN, values).await.map(drop)
}
