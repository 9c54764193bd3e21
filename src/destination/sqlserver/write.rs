//! The rows of one batch: each table's are loaded into their stage, and from there written by an
//! update of what is older and an insert of what is new. Each write is keyed, and guarded by
//! (`claim_no`, `record_seq`), so that a row never goes back to an older record.
//!
//! The source's row, which every transaction locks first, keeps two writers of a source apart, so
//! that nothing comes in between update and insert. No MERGE, which does less than it says.
//!
//! What only matters where records come out of order (an older revision after a newer one) is
//! looked for only where the guard has let a row of the batch down.

use super::super::SendError;
use super::super::rows::{IntervalRow, LastSeen, Row, Rows};
use super::super::sql::{Key, Parts, Replaced, Stamps, current_of, figure, newest_of, number};
use super::connection::Session;
use super::value::{Value, at, bit, int, key, maybe_at, maybe_int, maybe_key, maybe_text, text};
use super::{receipt, roster, stage};
use crate::domain::batch::CurrentState;
use crate::domain::ids::{SeqRange, StateText};
use crate::domain::interval::INTERVAL_S;
use crate::domain::record::{CoverageEntry, IntervalRecord, StateCode, StateTransaction, Suspect};
use crate::domain::timestamp::WallTime;

// In every statement but the last: @P1 the source, @P2 the claim, @P3 the applied number.

pub(super) const STATE_CODES: &str =
    "UPDATE t SET category = u.category, first_seen = u.first_seen,
  mapped = u.mapped, claim_no = @P2, record_seq = u.seq, applied_no = @P3
FROM {t}state_code AS t
JOIN #thrio_edge_state_code AS u ON u.state = t.state
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
INSERT INTO {t}state_code
  (source, state, category, first_seen, mapped, claim_no, record_seq, applied_no)
SELECT @P1, u.state, u.category, u.first_seen, u.mapped, @P2, u.seq, @P3
FROM #thrio_edge_state_code AS u
WHERE NOT EXISTS (SELECT 1 FROM {t}state_code AS t WHERE t.source = @P1 AND t.state = u.state);
TRUNCATE TABLE #thrio_edge_state_code;";

/// Domain rule 3, at the end: the status of figures follows from the coverage that is stored now.
/// In portions, so that a day of many queues does not lock the whole table.
pub(super) const COVERAGE: &str = "UPDATE t SET status = u.status, attempts = u.attempts,
  last_error = u.last_error, rows = u.rows, fetched_at = u.fetched_at, final_at = u.final_at,
  polls_expected = u.polls_expected, polls_made = u.polls_made, unknown_s = u.unknown_s,
  claim_no = @P2, record_seq = u.seq, applied_no = @P3
FROM {t}interval_coverage AS t
JOIN #thrio_edge_coverage AS u ON u.feed = t.feed AND u.interval_start = t.interval_start
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
INSERT INTO {t}interval_coverage (source, feed, interval_start, status, attempts, last_error, rows,
  fetched_at, final_at, polls_expected, polls_made, unknown_s, claim_no, record_seq, applied_no)
SELECT @P1, u.feed, u.interval_start, u.status, u.attempts, u.last_error, u.rows, u.fetched_at,
  u.final_at, u.polls_expected, u.polls_made, u.unknown_s, @P2, u.seq, @P3
FROM #thrio_edge_coverage AS u
WHERE NOT EXISTS (SELECT 1 FROM {t}interval_coverage AS t
  WHERE t.source = @P1 AND t.feed = u.feed AND t.interval_start = u.interval_start);
WHILE 1 = 1
BEGIN
  UPDATE TOP (2000) q SET applied_no = @P3, status = CASE
    WHEN c.final_at IS NULL THEN N'provisional'
    WHEN q.last_changed_at > c.final_at AND q.revision > 1 THEN N'restated'
    ELSE N'final' END
  FROM {t}queue_interval AS q
  JOIN #thrio_edge_coverage AS u ON u.feed = N'historical'
    AND u.interval_start = q.interval_start
  JOIN {t}interval_coverage AS c ON c.source = q.source AND c.feed = u.feed
    AND c.interval_start = q.interval_start
  WHERE q.source = @P1 AND q.status <> CASE
    WHEN c.final_at IS NULL THEN N'provisional'
    WHEN q.last_changed_at > c.final_at AND q.revision > 1 THEN N'restated'
    ELSE N'final' END;
  IF @@ROWCOUNT < 2000 BREAK;
END;
TRUNCATE TABLE #thrio_edge_coverage;";

/// @P4 is the interval's length, @P5 whether the batch itself has a revision and a later one but
/// not all between. The revisions follow in the same statement: whether a row was let down says
/// whether to look for what came out of order.
pub(super) const INTERVALS: &str = "DECLARE @written int, @given int;
UPDATE t SET entered = u.entered, abandoned = u.abandoned, handle_time_s = u.handle_time_s,
  status = CASE
    WHEN c.final_at IS NULL THEN N'provisional'
    WHEN u.last_changed_at > c.final_at AND u.revision > 1 THEN N'restated'
    ELSE N'final' END,
  suspect = u.suspect, revision = u.revision,
  first_stored_at = CASE WHEN u.first_stored_at < t.first_stored_at
    THEN u.first_stored_at ELSE t.first_stored_at END,
  last_changed_at = u.last_changed_at, claim_no = @P2, record_seq = u.seq, applied_no = @P3
FROM {t}queue_interval AS t
JOIN #thrio_edge_interval AS u ON u.interval_start = t.interval_start AND u.queue_id = t.queue_id
LEFT JOIN {t}interval_coverage AS c ON c.source = @P1 AND c.feed = N'historical'
  AND c.interval_start = u.interval_start
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
SET @written = @@ROWCOUNT;
INSERT INTO {t}queue_interval (source, queue_id, interval_start, interval_s, entered, abandoned,
  handle_time_s, status, suspect, revision, first_stored_at, last_changed_at, claim_no, record_seq,
  applied_no)
SELECT @P1, u.queue_id, u.interval_start, @P4, u.entered, u.abandoned, u.handle_time_s, CASE
    WHEN c.final_at IS NULL THEN N'provisional'
    WHEN u.last_changed_at > c.final_at AND u.revision > 1 THEN N'restated'
    ELSE N'final' END,
  u.suspect, u.revision, u.first_stored_at, u.last_changed_at, @P2, u.seq, @P3
FROM #thrio_edge_interval AS u
LEFT JOIN {t}interval_coverage AS c ON c.source = @P1 AND c.feed = N'historical'
  AND c.interval_start = u.interval_start
WHERE NOT EXISTS (SELECT 1 FROM {t}queue_interval AS t
  WHERE t.source = @P1 AND t.interval_start = u.interval_start AND t.queue_id = u.queue_id);
SET @written = @written + @@ROWCOUNT;
UPDATE t SET entered = u.entered, abandoned = u.abandoned, handle_time_s = u.handle_time_s,
  suspect = u.suspect, stored_at = u.stored_at, reason = u.reason, run = u.run,
  record_seq = u.seq, applied_no = @P3
FROM {t}queue_interval_revision AS t
JOIN #thrio_edge_revision AS u ON u.interval_start = t.interval_start
  AND u.queue_id = t.queue_id AND u.revision = t.revision
WHERE t.source = @P1 AND t.claim_no = @P2 AND t.record_seq < u.seq;
INSERT INTO {t}queue_interval_revision (source, queue_id, interval_start, claim_no, revision,
  entered, abandoned, handle_time_s, suspect, stored_at, replaced_at, reason, run, record_seq,
  applied_no)
SELECT @P1, u.queue_id, u.interval_start, @P2, u.revision, u.entered, u.abandoned,
  u.handle_time_s, u.suspect, u.stored_at, u.replaced_at, u.reason, u.run, u.seq, @P3
FROM #thrio_edge_revision AS u
WHERE NOT EXISTS (SELECT 1 FROM {t}queue_interval_revision AS t
  WHERE t.source = @P1 AND t.interval_start = u.interval_start AND t.queue_id = u.queue_id
    AND t.claim_no = @P2 AND t.revision = u.revision);
UPDATE t SET replaced_at = u.stored_at, applied_no = @P3
FROM {t}queue_interval_revision AS t
JOIN #thrio_edge_revision AS u ON u.interval_start = t.interval_start
  AND u.queue_id = t.queue_id AND u.revision - 1 = t.revision
WHERE t.source = @P1 AND t.claim_no = @P2
  AND (t.replaced_at IS NULL OR t.replaced_at <> u.stored_at);
SELECT @given = COUNT(*) FROM #thrio_edge_interval;
IF @P5 = 1 OR @written < @given
BEGIN
  UPDATE t SET first_stored_at = u.first_stored_at, applied_no = @P3
  FROM {t}queue_interval AS t
  JOIN #thrio_edge_interval AS u ON u.interval_start = t.interval_start
    AND u.queue_id = t.queue_id
  WHERE t.source = @P1 AND t.first_stored_at > u.first_stored_at;
  UPDATE t SET replaced_at = n.stored_at, applied_no = @P3
  FROM {t}queue_interval_revision AS t
  JOIN #thrio_edge_revision AS u ON u.interval_start = t.interval_start
    AND u.queue_id = t.queue_id AND u.revision = t.revision
  JOIN {t}queue_interval_revision AS n ON n.source = t.source AND n.claim_no = t.claim_no
    AND n.queue_id = t.queue_id AND n.interval_start = t.interval_start
    AND n.revision = t.revision + 1
  WHERE t.source = @P1 AND t.claim_no = @P2
    AND (t.replaced_at IS NULL OR t.replaced_at <> n.stored_at);
END;
TRUNCATE TABLE #thrio_edge_interval;
TRUNCATE TABLE #thrio_edge_revision;";

pub(super) const TRANSACTIONS: &str = "UPDATE t SET state = u.state, category = u.category,
  previous_state = u.previous_state, earliest_at = u.earliest_at, observed_at = u.observed_at,
  origin = u.origin, is_clamped = u.is_clamped, is_tied = u.is_tied, claim_no = @P2,
  record_seq = u.seq, applied_no = @P3
FROM {t}agent_state_transaction AS t
JOIN #thrio_edge_transaction AS u ON u.agent_id = t.agent_id AND u.started_at = t.started_at
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
INSERT INTO {t}agent_state_transaction (source, agent_id, started_at, state, category,
  previous_state, earliest_at, observed_at, origin, is_clamped, is_tied, claim_no, record_seq,
  applied_no)
SELECT @P1, u.agent_id, u.started_at, u.state, u.category, u.previous_state, u.earliest_at,
  u.observed_at, u.origin, u.is_clamped, u.is_tied, @P2, u.seq, @P3
FROM #thrio_edge_transaction AS u
WHERE NOT EXISTS (SELECT 1 FROM {t}agent_state_transaction AS t
  WHERE t.source = @P1 AND t.agent_id = u.agent_id AND t.started_at = u.started_at);
TRUNCATE TABLE #thrio_edge_transaction;";

pub(super) const CURRENT: &str =
    "UPDATE t SET state = u.state, category = u.category, since = u.since,
  origin = u.origin, claim_no = @P2, record_seq = u.seq, applied_no = @P3
FROM {t}agent_state_current AS t
JOIN #thrio_edge_current AS u ON u.agent_id = t.agent_id
WHERE t.source = @P1 AND (t.claim_no < @P2 OR (t.claim_no = @P2 AND t.record_seq < u.seq));
INSERT INTO {t}agent_state_current (source, agent_id, state, category, since, origin, claim_no,
  record_seq, applied_no)
SELECT @P1, u.agent_id, u.state, u.category, u.since, u.origin, @P2, u.seq, @P3
FROM #thrio_edge_current AS u
WHERE NOT EXISTS (SELECT 1 FROM {t}agent_state_current AS t
  WHERE t.source = @P1 AND t.agent_id = u.agent_id);
TRUNCATE TABLE #thrio_edge_current;";

/// Versions of the roster follow where the current state's hour moves on; that one is moved last.
/// @P2 is the applied number.
pub(super) const LAST_SEEN: &str = "UPDATE a SET last_seen_in_realtime = u.hour, applied_no = @P2
FROM {t}agent AS a
JOIN #thrio_edge_last_seen AS u ON u.agent_id = a.agent_id
JOIN {t}agent_state_current AS t ON t.source = a.source AND t.agent_id = a.agent_id
WHERE a.source = @P1 AND (t.last_observed_hour IS NULL OR t.last_observed_hour < u.hour)
  AND (a.last_seen_in_realtime IS NULL OR a.last_seen_in_realtime < u.hour);
UPDATE t SET last_observed_hour = u.hour
FROM {t}agent_state_current AS t
JOIN #thrio_edge_last_seen AS u ON u.agent_id = t.agent_id
WHERE t.source = @P1 AND (t.last_observed_hour IS NULL OR t.last_observed_hour < u.hour);
TRUNCATE TABLE #thrio_edge_last_seen;";

/// Writes every table's rows, and the receipt.
pub(super) async fn batch(
    session: &mut Session,
    rows: &Rows<'_>,
    range: SeqRange,
    stamps: &Stamps,
    now: WallTime,
) -> Result<(), SendError> {
    for source in &rows.sources {
        let key = Key {
            source,
            stamp: stamps[*source],
        };
        let parts = Parts::of(rows, source, session.standing.seen());
        of_source(session, key, &parts).await?;
    }
    for row in &rows.last_seen {
        session.standing.seen_mut().note(row);
    }
    receipt::add(session, range, now).await
}

/// Source, claim and applied number.
pub(super) fn keyed(key: Key<'_>) -> Vec<Value<'_>> {
    vec![
        text(key.source.as_str()),
        int(key.stamp.claim_no),
        int(key.stamp.applied_no),
    ]
}

/// Coverage goes before the intervals whose status follows from it, versions of the roster before
/// what is seen of them.
async fn of_source(
    session: &mut Session,
    key: Key<'_>,
    parts: &Parts<'_>,
) -> Result<(), SendError> {
    roster::queues(session, key, parts.queues).await?;
    roster::agents(session, key, parts.agents).await?;
    state_codes(session, key, parts.codes).await?;
    coverage(session, key, parts.coverage).await?;
    intervals(session, key, parts.intervals, parts.revisions).await?;
    transactions(session, key, parts.transactions).await?;
    let states: Vec<_> = parts.current.iter().map(current_of).collect();
    current(session, key, &states).await?;
    last_seen(session, key, &parts.last_seen).await
}

async fn state_codes(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[Row<'_, StateCode>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        vec![
            int(number(row.seq)),
            key(row.record.state.as_str()),
            text(row.record.category.as_str()),
            at(row.record.first_seen),
            bit(row.record.mapped),
        ]
    });
    session.load(&stage::STATE_CODES, staged).await?;
    session.query(STATE_CODES, keyed(key_of)).await.map(drop)
}

async fn coverage(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[Row<'_, CoverageEntry>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        let record = row.record;
        vec![
            int(number(row.seq)),
            text(record.feed.as_str()),
            at(record.interval_start.start()),
            text(record.status.as_str()),
            int(i64::from(record.attempts)),
            maybe_text(record.last_error.as_deref()),
            int(i64::from(record.rows)),
            maybe_at(record.fetched_at),
            maybe_at(record.final_at),
            maybe_int(record.polls_expected.map(i64::from)),
            maybe_int(record.polls_made.map(i64::from)),
            maybe_int(record.unknown_s.map(i64::from)),
        ]
    });
    session.load(&stage::COVERAGE, staged).await?;
    session.query(COVERAGE, keyed(key_of)).await.map(drop)
}

async fn intervals(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[IntervalRow<'_>],
    revisions: &[Row<'_, IntervalRecord>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        let record = row.row.record;
        vec![
            int(number(row.row.seq)),
            key(record.queue.as_str()),
            at(record.interval_start.start()),
            maybe_int(figure(record.figures.entered)),
            maybe_int(figure(record.figures.abandoned)),
            maybe_int(figure(record.figures.handle_time_s)),
            maybe_text(record.suspect.map(Suspect::as_str)),
            int(i64::from(record.revision)),
            at(row.first_stored_at),
            at(record.answered_at),
        ]
    });
    session.load(&stage::INTERVALS, staged).await?;
    let replaced = Replaced::of(revisions);
    let staged = revisions.iter().zip(&replaced.at).map(revision);
    session.load(&stage::REVISIONS, staged).await?;
    let mut values = keyed(key_of);
    values.push(int(INTERVAL_S));
    values.push(bit(replaced.has_holes));
    session.query(INTERVALS, values).await.map(drop)
}

fn revision<'a>(
    (row, replaced_at): (&'a Row<'a, IntervalRecord>, &Option<WallTime>),
) -> Vec<Value<'a>> {
    let record = row.record;
    vec![
        int(number(row.seq)),
        key(record.queue.as_str()),
        at(record.interval_start.start()),
        int(i64::from(record.revision)),
        maybe_int(figure(record.figures.entered)),
        maybe_int(figure(record.figures.abandoned)),
        maybe_int(figure(record.figures.handle_time_s)),
        maybe_text(record.suspect.map(Suspect::as_str)),
        at(record.answered_at),
        maybe_at(*replaced_at),
        text(record.reason.as_str()),
        text(record.run.as_str()),
    ]
}

async fn transactions(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[Row<'_, StateTransaction>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        let record = row.record;
        vec![
            int(number(row.seq)),
            key(record.agent.as_str()),
            at(record.started_at),
            key(record.state.as_str()),
            text(record.category.as_str()),
            maybe_key(record.previous_state.as_ref().map(StateText::as_str)),
            maybe_at(record.earliest_at),
            at(record.observed_at),
            text(record.origin.as_str()),
            bit(record.clamped),
            bit(record.tied),
        ]
    });
    session.load(&stage::TRANSACTIONS, staged).await?;
    session.query(TRANSACTIONS, keyed(key_of)).await.map(drop)
}

async fn current(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[CurrentState],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows.iter().map(|row| {
        vec![
            int(number(row.record_seq)),
            key(row.agent.as_str()),
            key(row.state.as_str()),
            text(row.category.as_str()),
            at(row.since),
            text(row.origin.as_str()),
        ]
    });
    session.load(&stage::CURRENT, staged).await?;
    session.query(CURRENT, keyed(key_of)).await.map(drop)
}

async fn last_seen(
    session: &mut Session,
    key_of: Key<'_>,
    rows: &[LastSeen<'_>],
) -> Result<(), SendError> {
    if rows.is_empty() {
        return Ok(());
    }
    let staged = rows
        .iter()
        .map(|row| vec![key(row.agent.as_str()), at(row.hour)]);
    session.load(&stage::LAST_SEEN, staged).await?;
    let values = vec![text(key_of.source.as_str()), int(key_of.stamp.applied_no)];
    session.query(LAST_SEEN, values).await.map(drop)
}

/// The fresh states after an outage.
pub(super) async fn current_states(
    session: &mut Session,
    states: &[CurrentState],
    stamps: &Stamps,
) -> Result<(), SendError> {
    for (source, stamp) in stamps {
        let key = Key {
            source,
            stamp: *stamp,
        };
        current(session, key, &newest_of(states, source)).await?;
    }
    Ok(())
}
