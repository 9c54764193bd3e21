//! The rows of one batch, in one statement per source and kind of record: what two tables keep of a
//! record is sent once, and the server writes it to both. Each write is keyed, and guarded by
//! (`claim_no`, `record_seq`), so that a row never goes back to an older record.
//!
//! What only matters where records come out of order (an older revision after a newer one) is
//! looked for only where the guard has let a row of the batch down.

use std::iter::repeat_n;

use chrono::{DateTime, Utc};

use super::super::SendError;
use super::super::rows::{IntervalRow, LastSeen, Row, Rows};
use super::super::sql::{Key, Parts, Replaced, Stamps, figure, newest_of, number};
use super::connection::Session;
use super::pipeline::{OwnedParams, Pipeline, at, column, maybe_text, text};
use super::{receipt, roster};
use crate::domain::batch::CurrentState;
use crate::domain::ids::{Feed, RecordSeq, SeqRange, StateText};
use crate::domain::interval::INTERVAL_S;
use crate::domain::record::{CoverageEntry, IntervalRecord, StateCode, StateTransaction, Suspect};
use crate::domain::timestamp::WallTime;

// In every statement: $1 the source, $2 the claim, $3 the applied number, then the columns.

pub(super) const STATE_CODES: &str = "INSERT INTO {t}state_code AS t
    (source, state, category, first_seen, mapped, claim_no, record_seq, applied_no)
  SELECT $1::text, u.state, u.category, u.first_seen, u.mapped, $2::bigint, u.seq, $3::bigint
  FROM unnest($4::bigint[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[])
    AS u(seq, state, category, first_seen, mapped)
  ON CONFLICT (source, state) DO UPDATE SET category = excluded.category,
    first_seen = excluded.first_seen, mapped = excluded.mapped, claim_no = excluded.claim_no,
    record_seq = excluded.record_seq, applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

pub(super) const COVERAGE: &str = "INSERT INTO {t}interval_coverage AS t
    (source, feed, interval_start, status, attempts, last_error, rows, fetched_at, final_at,
     polls_expected, polls_made, unknown_s, claim_no, record_seq, applied_no)
  SELECT $1::text, u.feed, u.interval_start, u.status, u.attempts, u.last_error, u.rows,
    u.fetched_at, u.final_at, u.polls_expected, u.polls_made, u.unknown_s, $2::bigint, u.seq,
    $3::bigint
  FROM unnest($4::bigint[], $5::text[], $6::timestamptz[], $7::text[], $8::bigint[], $9::text[],
      $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::bigint[], $14::bigint[],
      $15::bigint[])
    AS u(seq, feed, interval_start, status, attempts, last_error, rows, fetched_at, final_at,
      polls_expected, polls_made, unknown_s)
  ON CONFLICT (source, feed, interval_start) DO UPDATE SET status = excluded.status,
    attempts = excluded.attempts, last_error = excluded.last_error, rows = excluded.rows,
    fetched_at = excluded.fetched_at, final_at = excluded.final_at,
    polls_expected = excluded.polls_expected, polls_made = excluded.polls_made,
    unknown_s = excluded.unknown_s, claim_no = excluded.claim_no,
    record_seq = excluded.record_seq, applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

/// Domain rule 3: the status of figures follows from the coverage that is stored now. Here and
/// where no claim is asked for, $2 is the applied number.
pub(super) const RESTATE: &str = "UPDATE {t}queue_interval AS t
  SET status = s.status, applied_no = $2::bigint
  FROM (SELECT q.queue_id, q.interval_start, CASE
      WHEN c.final_at IS NULL THEN 'provisional'
      WHEN q.last_changed_at > c.final_at AND q.revision > 1 THEN 'restated'
      ELSE 'final' END AS status
    FROM unnest($3::timestamptz[]) AS u(interval_start)
    JOIN {t}interval_coverage AS c ON c.source = $1::text AND c.feed = 'historical'
      AND c.interval_start = u.interval_start
    JOIN {t}queue_interval AS q ON q.source = $1 AND q.interval_start = u.interval_start) AS s
  WHERE t.source = $1 AND t.interval_start = s.interval_start AND t.queue_id = s.queue_id
    AND t.status <> s.status";

/// Both tables of the intervals from columns that are sent once, and unnested once, because both
/// read `u`. Where a newer record of the batch tells of the interval, `first_stored_at` is NULL, and
/// only the revision is written. Coverage is looked up once for each interval start, not for each
/// queue of it.
pub(super) const INTERVALS: &str = "WITH u AS (
    SELECT unnest($5::bigint[]) AS seq, unnest($6::text[]) AS queue_id,
      unnest($7::timestamptz[]) AS interval_start, unnest($8::bigint[]) AS revision,
      unnest($9::bigint[]) AS entered, unnest($10::bigint[]) AS abandoned,
      unnest($11::bigint[]) AS handle_time_s, unnest($12::text[]) AS suspect,
      unnest($13::timestamptz[]) AS stored_at, unnest($14::timestamptz[]) AS replaced_at,
      unnest($15::text[]) AS reason, unnest($16::text[]) AS run,
      unnest($17::timestamptz[]) AS first_stored_at,
      (SELECT array_agg(COALESCE(c.final_at, 'infinity') ORDER BY s.n)
        FROM unnest($18::timestamptz[]) WITH ORDINALITY AS s(interval_start, n)
        LEFT JOIN {t}interval_coverage AS c ON c.source = $1::text AND c.feed = 'historical'
          AND c.interval_start = s.interval_start)[unnest($19::int[])] AS final_at),
  revised AS (
    INSERT INTO {t}queue_interval_revision AS t
      (source, queue_id, interval_start, claim_no, revision, entered, abandoned, handle_time_s,
       suspect, stored_at, replaced_at, reason, run, record_seq, applied_no)
    SELECT $1::text, u.queue_id, u.interval_start, $2::bigint, u.revision, u.entered, u.abandoned,
      u.handle_time_s, u.suspect, u.stored_at, u.replaced_at, u.reason, u.run, u.seq, $3::bigint
    FROM u
    ON CONFLICT (source, interval_start, queue_id, claim_no, revision) DO UPDATE SET
      entered = excluded.entered, abandoned = excluded.abandoned,
      handle_time_s = excluded.handle_time_s, suspect = excluded.suspect,
      stored_at = excluded.stored_at, reason = excluded.reason, run = excluded.run,
      record_seq = excluded.record_seq, applied_no = excluded.applied_no
    WHERE excluded.record_seq > t.record_seq)
  INSERT INTO {t}queue_interval AS t
    (source, queue_id, interval_start, interval_s, entered, abandoned, handle_time_s, status,
     suspect, revision, first_stored_at, last_changed_at, claim_no, record_seq, applied_no)
  SELECT $1, u.queue_id, u.interval_start, $4::bigint, u.entered, u.abandoned, u.handle_time_s,
    CASE
      WHEN u.final_at = 'infinity' THEN 'provisional'
      WHEN u.stored_at > u.final_at AND u.revision > 1 THEN 'restated'
      ELSE 'final' END,
    u.suspect, u.revision, u.first_stored_at, u.stored_at, $2, u.seq, $3
  FROM u
  WHERE u.first_stored_at IS NOT NULL
  ON CONFLICT (source, interval_start, queue_id) DO UPDATE SET entered = excluded.entered,
    abandoned = excluded.abandoned, handle_time_s = excluded.handle_time_s,
    status = excluded.status, suspect = excluded.suspect, revision = excluded.revision,
    first_stored_at = LEAST(t.first_stored_at, excluded.first_stored_at),
    last_changed_at = excluded.last_changed_at, claim_no = excluded.claim_no,
    record_seq = excluded.record_seq, applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

/// An older revision that comes late changes nothing but this.
pub(super) const STORED_BEFORE: &str = "UPDATE {t}queue_interval AS t
  SET first_stored_at = u.first_stored_at, applied_no = $2::bigint
  FROM unnest($3::text[], $4::timestamptz[], $5::timestamptz[])
    AS u(queue_id, interval_start, first_stored_at)
  WHERE t.source = $1::text AND t.interval_start = u.interval_start AND t.queue_id = u.queue_id
    AND t.first_stored_at > u.first_stored_at";

/// Ends the stored revisions that those of the batch replace.
pub(super) const REPLACED: &str = "UPDATE {t}queue_interval_revision AS t
  SET replaced_at = u.stored_at, applied_no = $3::bigint
  FROM unnest($4::text[], $5::timestamptz[], $6::bigint[], $7::timestamptz[])
    AS u(queue_id, interval_start, revision, stored_at)
  WHERE t.source = $1::text AND t.claim_no = $2::bigint AND t.queue_id = u.queue_id
    AND t.interval_start = u.interval_start AND t.revision = u.revision - 1
    AND t.replaced_at IS DISTINCT FROM u.stored_at";

/// Ends the revisions of the batch whose next one is stored already.
pub(super) const REPLACED_BY: &str = "UPDATE {t}queue_interval_revision AS t
  SET replaced_at = n.stored_at, applied_no = $3::bigint
  FROM unnest($4::text[], $5::timestamptz[], $6::bigint[])
    AS u(queue_id, interval_start, revision)
  JOIN {t}queue_interval_revision AS n ON n.source = $1::text AND n.claim_no = $2::bigint
    AND n.queue_id = u.queue_id AND n.interval_start = u.interval_start
    AND n.revision = u.revision + 1
  WHERE t.source = $1 AND t.claim_no = $2 AND t.queue_id = u.queue_id
    AND t.interval_start = u.interval_start AND t.revision = u.revision
    AND t.replaced_at IS DISTINCT FROM n.stored_at";

/// The transactions, and from those that are an agent's newest its current state.
pub(super) const TRANSACTIONS: &str = "WITH u AS (
    SELECT unnest($4::bigint[]) AS seq, unnest($5::text[]) AS agent_id,
      unnest($6::timestamptz[]) AS started_at, unnest($7::text[]) AS state,
      unnest($8::text[]) AS category, unnest($9::text[]) AS previous_state,
      unnest($10::timestamptz[]) AS earliest_at, unnest($11::timestamptz[]) AS observed_at,
      unnest($12::text[]) AS origin, unnest($13::boolean[]) AS is_clamped,
      unnest($14::boolean[]) AS is_tied, unnest($15::boolean[]) AS is_newest),
  changed AS (
    INSERT INTO {t}agent_state_transaction AS t
      (source, agent_id, started_at, state, category, previous_state, earliest_at, observed_at,
       origin, is_clamped, is_tied, claim_no, record_seq, applied_no)
    SELECT $1::text, u.agent_id, u.started_at, u.state, u.category, u.previous_state,
      u.earliest_at, u.observed_at, u.origin, u.is_clamped, u.is_tied, $2::bigint, u.seq,
      $3::bigint
    FROM u
    ON CONFLICT (source, agent_id, started_at) DO UPDATE SET state = excluded.state,
      category = excluded.category, previous_state = excluded.previous_state,
      earliest_at = excluded.earliest_at, observed_at = excluded.observed_at,
      origin = excluded.origin, is_clamped = excluded.is_clamped, is_tied = excluded.is_tied,
      claim_no = excluded.claim_no, record_seq = excluded.record_seq,
      applied_no = excluded.applied_no
    WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq))
  INSERT INTO {t}agent_state_current AS t
    (source, agent_id, state, category, since, origin, claim_no, record_seq, applied_no)
  SELECT $1, u.agent_id, u.state, u.category, u.started_at, u.origin, $2, u.seq, $3
  FROM u WHERE u.is_newest
  ON CONFLICT (source, agent_id) DO UPDATE SET state = excluded.state,
    category = excluded.category, since = excluded.since, origin = excluded.origin,
    claim_no = excluded.claim_no, record_seq = excluded.record_seq,
    applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

/// The fresh states of [`current_states`].
pub(super) const CURRENT: &str = "INSERT INTO {t}agent_state_current AS t
    (source, agent_id, state, category, since, origin, claim_no, record_seq, applied_no)
  SELECT $1::text, u.agent_id, u.state, u.category, u.since, u.origin, $2::bigint, u.seq,
    $3::bigint
  FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[])
    AS u(seq, agent_id, state, category, since, origin)
  ON CONFLICT (source, agent_id) DO UPDATE SET state = excluded.state,
    category = excluded.category, since = excluded.since, origin = excluded.origin,
    claim_no = excluded.claim_no, record_seq = excluded.record_seq,
    applied_no = excluded.applied_no
  WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)";

pub(super) const LAST_SEEN: &str = "WITH moved AS (
    UPDATE {t}agent_state_current AS t SET last_observed_hour = u.hour
    FROM unnest($3::text[], $4::timestamptz[]) AS u(agent_id, hour)
    WHERE t.source = $1::text AND t.agent_id = u.agent_id
      AND (t.last_observed_hour IS NULL OR t.last_observed_hour < u.hour)
    RETURNING t.agent_id, u.hour)
  UPDATE {t}agent AS a SET last_seen_in_realtime = m.hour, applied_no = $2::bigint
  FROM moved AS m
  WHERE a.source = $1 AND a.agent_id = m.agent_id
    AND (a.last_seen_in_realtime IS NULL OR a.last_seen_in_realtime < m.hour)";

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
        of_source(session, rows, key).await?;
    }
    for row in &rows.last_seen {
        session.standing.seen_mut().note(row);
    }
    let mut pipeline = session.pipeline();
    pipeline.push(receipt::ADD, receipt::added(session, range, now));
    pipeline.run().await.map(drop)
}

/// Source, claim and applied number.
pub(super) fn keyed(key: Key<'_>) -> OwnedParams<'_> {
    vec![
        Box::new(key.source.as_str()),
        Box::new(key.stamp.claim_no),
        Box::new(key.stamp.applied_no),
    ]
}

/// Source and applied number.
fn keyed_without_claim(key: Key<'_>) -> OwnedParams<'_> {
    vec![
        Box::new(key.source.as_str()),
        Box::new(key.stamp.applied_no),
    ]
}

/// Coverage goes before the intervals whose status follows from it, versions of the roster before
/// what is seen of them.
async fn of_source(session: &Session, rows: &Rows<'_>, key: Key<'_>) -> Result<(), SendError> {
    let parts = Parts::of(rows, key.source, session.standing.seen());
    let mut pipeline = session.pipeline();
    roster::push_queues(&mut pipeline, key, parts.queues);
    roster::push_agents(&mut pipeline, key, parts.agents);
    push_state_codes(&mut pipeline, key, parts.codes);
    push_coverage(&mut pipeline, key, parts.coverage);
    let written = push_intervals(&mut pipeline, key, parts.intervals, parts.revisions);
    push_transactions(&mut pipeline, key, parts.transactions, parts.current);
    push_last_seen(&mut pipeline, key, &parts.last_seen);
    let changed = pipeline.run().await?;

    let is_out_of_order = written.is_some_and(|written| {
        written.has_holes || changed[written.place] < parts.intervals.len() as u64
    });
    if is_out_of_order {
        out_of_order(session, key, parts.intervals, parts.revisions).await?;
    }
    Ok(())
}

fn push_state_codes<'a>(pipeline: &mut Pipeline<'a>, key: Key<'a>, rows: &'a [Row<'a, StateCode>]) {
    if rows.is_empty() {
        return;
    }
    let mut params = keyed(key);
    params.push(column(rows, |row| number(row.seq)));
    params.push(column(rows, |row| text(row.record.state.as_str())));
    params.push(column(rows, |row| row.record.category.as_str()));
    params.push(column(rows, |row| at(row.record.first_seen)));
    params.push(column(rows, |row| row.record.mapped));
    pipeline.push(STATE_CODES, params);
}

fn push_coverage<'a>(
    pipeline: &mut Pipeline<'a>,
    key: Key<'a>,
    rows: &'a [Row<'a, CoverageEntry>],
) {
    if rows.is_empty() {
        return;
    }
    let maybe = |n: Option<u32>| n.map(i64::from);
    let mut params = keyed(key);
    params.push(column(rows, |row| number(row.seq)));
    params.push(column(rows, |row| row.record.feed.as_str()));
    params.push(column(rows, |row| at(row.record.interval_start.start())));
    params.push(column(rows, |row| row.record.status.as_str()));
    params.push(column(rows, |row| i64::from(row.record.attempts)));
    params.push(column(rows, |row| {
        maybe_text(row.record.last_error.as_deref())
    }));
    params.push(column(rows, |row| i64::from(row.record.rows)));
    params.push(column(rows, |row| row.record.fetched_at.map(at)));
    params.push(column(rows, |row| row.record.final_at.map(at)));
    params.push(column(rows, |row| maybe(row.record.polls_expected)));
    params.push(column(rows, |row| maybe(row.record.polls_made)));
    params.push(column(rows, |row| maybe(row.record.unknown_s)));
    pipeline.push(COVERAGE, params);

    let historical = rows
        .iter()
        .filter(|row| row.record.feed == Feed::Historical);
    let starts: Vec<_> = historical
        .map(|row| at(row.record.interval_start.start()))
        .collect();
    if !starts.is_empty() {
        let mut params = keyed_without_claim(key);
        params.push(Box::new(starts));
        pipeline.push(RESTATE, params);
    }
}

/// What the statement of the intervals leaves to be looked at.
struct Written {
    /// The place of its result, the number of intervals whose figures it has written.
    place: usize,
    /// The batch has a revision and a later one, but not all between.
    has_holes: bool,
}

/// `intervals` are the newest of `rows`, in the same order.
fn push_intervals<'a>(
    pipeline: &mut Pipeline<'a>,
    key: Key<'a>,
    intervals: &[IntervalRow<'a>],
    rows: &'a [Row<'a, IntervalRecord>],
) -> Option<Written> {
    if rows.is_empty() {
        return None;
    }
    let replaced = Replaced::of(rows);
    let replaced_at: Vec<_> = replaced.at.iter().map(|end| end.map(at)).collect();
    let mut params = keyed(key);
    params.push(Box::new(INTERVAL_S));
    params.push(column(rows, |row| number(row.seq)));
    params.push(column(rows, |row| text(row.record.queue.as_str())));
    params.push(column(rows, |row| at(row.record.interval_start.start())));
    params.push(column(rows, |row| i64::from(row.record.revision)));
    params.push(column(rows, |row| figure(row.record.figures.entered)));
    params.push(column(rows, |row| figure(row.record.figures.abandoned)));
    params.push(column(rows, |row| figure(row.record.figures.handle_time_s)));
    params.push(column(rows, |row| row.record.suspect.map(Suspect::as_str)));
    params.push(column(rows, |row| at(row.record.answered_at)));
    params.push(Box::new(replaced_at));
    params.push(column(rows, |row| row.record.reason.as_str()));
    params.push(column(rows, |row| row.record.run.as_str()));
    let first_stored_at: Vec<_> = matched(rows, intervals, |newest| newest.row.seq)
        .into_iter()
        .map(|newest| newest.map(|newest| at(newest.first_stored_at)))
        .collect();
    params.push(Box::new(first_stored_at));
    let (starts, places) = starts(rows);
    params.push(Box::new(starts));
    params.push(Box::new(places));
    let place = pipeline.push(INTERVALS, params);

    let later: Vec<_> = rows.iter().filter(|row| row.record.revision > 1).collect();
    if !later.is_empty() {
        let mut params = keyed(key);
        params.extend(revision_keys(later.iter().copied()));
        let stored: Vec<_> = later.iter().map(|row| at(row.record.answered_at)).collect();
        params.push(Box::new(stored));
        pipeline.push(REPLACED, params);
    }
    Some(Written {
        place,
        has_holes: replaced.has_holes,
    })
}

/// Each interval start of the rows once, and for each row the place of its own, from 1. Rows are
/// sorted by it.
fn starts(rows: &[Row<'_, IntervalRecord>]) -> (Vec<DateTime<Utc>>, Vec<i32>) {
    let mut starts = Vec::new();
    let mut place = 0;
    let places = rows.chunk_by(|a, b| a.record.interval_start == b.record.interval_start);
    let places = places.flat_map(|of_start| {
        starts.push(at(of_start[0].record.interval_start.start()));
        place += 1;
        repeat_n(place, of_start.len())
    });
    let places = places.collect();
    (starts, places)
}

/// For each row what `newest` holds of the same record. It has some of the rows' records, in the
/// rows' order.
fn matched<'a, R, N>(
    rows: &[Row<'_, R>],
    newest: &'a [N],
    seq: impl Fn(&N) -> RecordSeq,
) -> Vec<Option<&'a N>> {
    let mut left = newest.iter().peekable();
    let matched = rows
        .iter()
        .map(|row| left.next_if(|next| seq(next) == row.seq))
        .collect();
    let unmatched = left.next().map(seq);
    assert_eq!(unmatched, None, "the newest records are sorted as all are");
    matched
}

fn revision_keys<'a>(rows: impl Iterator<Item = &'a Row<'a, IntervalRecord>>) -> OwnedParams<'a> {
    let (mut queues, mut starts, mut revisions) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        queues.push(text(row.record.queue.as_str()));
        starts.push(at(row.record.interval_start.start()));
        revisions.push(i64::from(row.record.revision));
    }
    vec![Box::new(queues), Box::new(starts), Box::new(revisions)]
}

/// What an older revision tells that comes after a newer one.
async fn out_of_order(
    session: &Session,
    key: Key<'_>,
    intervals: &[IntervalRow<'_>],
    revisions: &[Row<'_, IntervalRecord>],
) -> Result<(), SendError> {
    let mut pipeline = session.pipeline();
    let mut params = keyed_without_claim(key);
    params.push(column(intervals, |row| text(row.row.record.queue.as_str())));
    params.push(column(intervals, |row| {
        at(row.row.record.interval_start.start())
    }));
    params.push(column(intervals, |row| at(row.first_stored_at)));
    pipeline.push(STORED_BEFORE, params);
    let mut params = keyed(key);
    params.extend(revision_keys(revisions.iter()));
    pipeline.push(REPLACED_BY, params);
    pipeline.run().await.map(drop)
}

/// `current` are the newest of `rows`, in the same order.
fn push_transactions<'a>(
    pipeline: &mut Pipeline<'a>,
    key: Key<'a>,
    rows: &'a [Row<'a, StateTransaction>],
    current: &'a [Row<'a, StateTransaction>],
) {
    if rows.is_empty() {
        return;
    }
    let before = |row: &'a Row<'a, StateTransaction>| {
        maybe_text(row.record.previous_state.as_ref().map(StateText::as_str))
    };
    let mut params = keyed(key);
    params.push(column(rows, |row| number(row.seq)));
    params.push(column(rows, |row| text(row.record.agent.as_str())));
    params.push(column(rows, |row| at(row.record.started_at)));
    params.push(column(rows, |row| text(row.record.state.as_str())));
    params.push(column(rows, |row| row.record.category.as_str()));
    params.push(column(rows, before));
    params.push(column(rows, |row| row.record.earliest_at.map(at)));
    params.push(column(rows, |row| at(row.record.observed_at)));
    params.push(column(rows, |row| row.record.origin.as_str()));
    params.push(column(rows, |row| row.record.clamped));
    params.push(column(rows, |row| row.record.tied));
    let newest = matched(rows, current, |newest| newest.seq);
    let is_newest: Vec<_> = newest.iter().map(Option::is_some).collect();
    params.push(Box::new(is_newest));
    pipeline.push(TRANSACTIONS, params);
}

fn push_current<'a>(pipeline: &mut Pipeline<'a>, key: Key<'a>, rows: &'a [CurrentState]) {
    if rows.is_empty() {
        return;
    }
    let mut params = keyed(key);
    params.push(column(rows, |row| number(row.record_seq)));
    params.push(column(rows, |row| text(row.agent.as_str())));
    params.push(column(rows, |row| text(row.state.as_str())));
    params.push(column(rows, |row| row.category.as_str()));
    params.push(column(rows, |row| at(row.since)));
    params.push(column(rows, |row| row.origin.as_str()));
    pipeline.push(CURRENT, params);
}

fn push_last_seen<'a>(pipeline: &mut Pipeline<'a>, key: Key<'a>, rows: &[LastSeen<'a>]) {
    if rows.is_empty() {
        return;
    }
    let agents: Vec<_> = rows.iter().map(|row| text(row.agent.as_str())).collect();
    let hours: Vec<_> = rows.iter().map(|row| at(row.hour)).collect();
    let mut params = keyed_without_claim(key);
    params.push(Box::new(agents));
    params.push(Box::new(hours));
    pipeline.push(LAST_SEEN, params);
}

/// The fresh states after an outage.
pub(super) async fn current_states(
    session: &Session,
    states: &[CurrentState],
    stamps: &Stamps,
) -> Result<(), SendError> {
    for (source, stamp) in stamps {
        let key = Key {
            source,
            stamp: *stamp,
        };
        let of_source = newest_of(states, source);
        let mut pipeline = session.pipeline();
        push_current(&mut pipeline, key, &of_source);
        pipeline.run().await?;
    }
    Ok(())
}
