//! The rows of one batch, table by table. Each write is keyed, and guarded by
//! (`claim_no`, `record_seq`), so that a row never goes back to an older record.

use std::collections::HashSet;

use rusqlite::{Statement, Transaction, params};

use super::super::SendError;
use super::super::rows::{IntervalRow, LastSeen, Row, Rows};
use super::super::sql::{SeenHours, Stamp, Stamps, count, current_of, figure, number};
use super::error::sql;
use super::roster;
use crate::domain::batch::CurrentState;
use crate::domain::health::{FeedHealth, Heartbeat};
use crate::domain::ids::{Feed, QueueId, SourceName};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::record::{CoverageEntry, IntervalRecord, StateCode, StateTransaction};
use crate::domain::timestamp::WallTime;

/// Writes every table's rows. Coverage goes before the intervals whose status follows from it.
pub(super) fn rows(
    txn: &Transaction<'_>,
    rows: &Rows<'_>,
    stamps: &Stamps,
    seen: &mut SeenHours,
) -> Result<(), SendError> {
    let mut write = || -> rusqlite::Result<()> {
        roster::queues(txn, &rows.queues, stamps)?;
        roster::agents(txn, &rows.agents, stamps)?;
        state_codes(txn, &rows.codes, stamps)?;
        coverage(txn, &rows.coverage, stamps)?;
        let late = intervals(txn, &rows.intervals, stamps)?;
        revisions(txn, &rows.revisions, stamps, &late)?;
        transactions(txn, &rows.transactions, stamps)?;
        let mut current = txn.prepare_cached(CURRENT)?;
        for row in &rows.current {
            current_state(&mut current, &current_of(row), stamps)?;
        }
        last_seen(txn, &rows.last_seen, stamps, seen)
    };
    write().map_err(sql)
}

fn ms(at: Option<WallTime>) -> Option<i64> {
    at.map(WallTime::ms)
}

fn state_codes(
    txn: &Transaction<'_>,
    rows: &[Row<'_, StateCode>],
    stamps: &Stamps,
) -> rusqlite::Result<()> {
    let mut upsert = txn.prepare_cached(
        "INSERT INTO wfm_state_code (source, state, category, first_seen, mapped,
           claim_no, record_seq, applied_no)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (source, state) DO UPDATE SET category = excluded.category,
           first_seen = excluded.first_seen, mapped = excluded.mapped,
           claim_no = excluded.claim_no, record_seq = excluded.record_seq,
           applied_no = excluded.applied_no
         WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
    )?;
    for Row { seq, record } in rows {
        let stamp = stamps[&record.source];
        upsert.execute(params![
            record.source.as_str(),
            record.state.as_str(),
            record.category.as_str(),
            record.first_seen.ms(),
            record.mapped,
            stamp.claim_no,
            number(*seq),
            stamp.applied_no,
        ])?;
    }
    Ok(())
}

fn coverage(
    txn: &Transaction<'_>,
    rows: &[Row<'_, CoverageEntry>],
    stamps: &Stamps,
) -> rusqlite::Result<()> {
    let mut upsert = txn.prepare_cached(
        "INSERT INTO wfm_interval_coverage (source, feed, interval_start, status, attempts,
           last_error, rows, fetched_at, final_at, polls_expected, polls_made, unknown_s,
           claim_no, record_seq, applied_no)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (source, feed, interval_start) DO UPDATE SET status = excluded.status,
           attempts = excluded.attempts, last_error = excluded.last_error,
           rows = excluded.rows, fetched_at = excluded.fetched_at,
           final_at = excluded.final_at, polls_expected = excluded.polls_expected,
           polls_made = excluded.polls_made, unknown_s = excluded.unknown_s,
           claim_no = excluded.claim_no, record_seq = excluded.record_seq,
           applied_no = excluded.applied_no
         WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
    )?;
    let mut restate = txn.prepare_cached(
        "UPDATE wfm_queue_interval SET applied_no = ?4, status = CASE
             WHEN ?3 IS NULL THEN 'provisional'
             WHEN last_changed_at > ?3 AND revision > 1 THEN 'restated'
             ELSE 'final' END
         WHERE source = ?1 AND interval_start = ?2 AND status <> CASE
             WHEN ?3 IS NULL THEN 'provisional'
             WHEN last_changed_at > ?3 AND revision > 1 THEN 'restated'
             ELSE 'final' END",
    )?;
    for Row { seq, record } in rows {
        let stamp = stamps[&record.source];
        let changed = upsert.execute(params![
            record.source.as_str(),
            record.feed.as_str(),
            record.interval_start.s(),
            record.status.as_str(),
            record.attempts,
            record.last_error,
            record.rows,
            ms(record.fetched_at),
            ms(record.final_at),
            record.polls_expected,
            record.polls_made,
            record.unknown_s,
            stamp.claim_no,
            number(*seq),
            stamp.applied_no,
        ])?;
        if changed > 0 && record.feed == Feed::Historical {
            restate.execute(params![
                record.source.as_str(),
                record.interval_start.s(),
                ms(record.final_at),
                stamp.applied_no,
            ])?;
        }
    }
    Ok(())
}

/// Domain rule 3, as the statement in [`coverage`] says it.
fn status_of(record: &IntervalRecord, final_at: Option<i64>) -> &'static str {
    match final_at {
        None => "provisional",
        Some(at) if record.answered_at.ms() > at && record.revision > 1 => "restated",
        Some(_) => "final",
    }
}

/// The intervals of which the table holds a later word than the batch.
type Late<'a> = HashSet<(&'a SourceName, IntervalStart, &'a QueueId)>;

fn intervals<'a>(
    txn: &Transaction<'_>,
    rows: &[IntervalRow<'a>],
    stamps: &Stamps,
) -> rusqlite::Result<Late<'a>> {
    let mut late = Late::new();
    let mut upsert = txn.prepare_cached(
        "INSERT INTO wfm_queue_interval (source, queue_id, interval_start, interval_s, entered,
           abandoned, handle_time_s, status, suspect, revision, first_stored_at,
           last_changed_at, claim_no, record_seq, applied_no)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (source, interval_start, queue_id) DO UPDATE SET
           entered = excluded.entered, abandoned = excluded.abandoned,
           handle_time_s = excluded.handle_time_s, status = excluded.status,
           suspect = excluded.suspect, revision = excluded.revision,
           first_stored_at = MIN(first_stored_at, excluded.first_stored_at),
           last_changed_at = excluded.last_changed_at, claim_no = excluded.claim_no,
           record_seq = excluded.record_seq, applied_no = excluded.applied_no
         WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
    )?;
    // An older revision that comes late changes nothing but this.
    let mut stored_before = txn.prepare_cached(
        "UPDATE wfm_queue_interval SET first_stored_at = ?4, applied_no = ?5
         WHERE source = ?1 AND interval_start = ?2 AND queue_id = ?3 AND first_stored_at > ?4",
    )?;
    let mut final_at = FinalAt::new(txn)?;
    for IntervalRow {
        row: Row { seq, record },
        first_stored_at,
    } in rows
    {
        let stamp = stamps[&record.source];
        let final_at = final_at.of(&record.source, record.interval_start)?;
        let changed = upsert.execute(params![
            record.source.as_str(),
            record.queue.as_str(),
            record.interval_start.s(),
            INTERVAL_S,
            figure(record.figures.entered),
            figure(record.figures.abandoned),
            figure(record.figures.handle_time_s),
            status_of(record, final_at),
            record.suspect.map(crate::domain::record::Suspect::as_str),
            record.revision,
            first_stored_at.ms(),
            record.answered_at.ms(),
            stamp.claim_no,
            number(*seq),
            stamp.applied_no,
        ])?;
        if changed == 0 {
            stored_before.execute(params![
                record.source.as_str(),
                record.interval_start.s(),
                record.queue.as_str(),
                first_stored_at.ms(),
                stamp.applied_no,
            ])?;
            late.insert((&record.source, record.interval_start, &record.queue));
        }
    }
    Ok(late)
}

/// `final_at` of the interval asked for last: rows come sorted by interval.
struct FinalAt<'a> {
    query: rusqlite::CachedStatement<'a>,
    last: Option<(SourceName, IntervalStart, Option<i64>)>,
}

impl<'a> FinalAt<'a> {
    fn new(txn: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        let query = txn.prepare_cached(
            "SELECT final_at FROM wfm_interval_coverage
             WHERE source = ? AND feed = 'historical' AND interval_start = ?",
        )?;
        Ok(Self { query, last: None })
    }

    fn of(&mut self, source: &SourceName, start: IntervalStart) -> rusqlite::Result<Option<i64>> {
        if let Some((s, i, final_at)) = &self.last
            && s == source
            && *i == start
        {
            return Ok(*final_at);
        }
        let mut rows = self.query.query(params![source.as_str(), start.s()])?;
        let final_at = match rows.next()? {
            Some(row) => row.get(0)?,
            None => None,
        };
        drop(rows);
        self.last = Some((source.clone(), start, final_at));
        Ok(final_at)
    }
}

/// Inserts a revision; what follows is when it was replaced.
macro_rules! insert_revision {
    ($replaced_at:literal) => {
        concat!(
            "INSERT INTO wfm_queue_interval_revision (source, queue_id, interval_start, claim_no,
               revision, entered, abandoned, handle_time_s, suspect, stored_at, replaced_at,
               reason, run, record_seq, applied_no)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ",
            $replaced_at,
            ", ?11, ?12, ?13, ?14)
             ON CONFLICT (source, interval_start, queue_id, claim_no, revision) DO UPDATE SET
               entered = excluded.entered, abandoned = excluded.abandoned,
               handle_time_s = excluded.handle_time_s, suspect = excluded.suspect,
               stored_at = excluded.stored_at, reason = excluded.reason, run = excluded.run,
               record_seq = excluded.record_seq, applied_no = excluded.applied_no
             WHERE excluded.record_seq > record_seq"
        )
    };
}

/// Every revision. Only of a late interval can the one that replaced it be there already; asking
/// for it every time costs as much as the insert.
fn revisions<'a>(
    txn: &Transaction<'_>,
    rows: &[Row<'a, IntervalRecord>],
    stamps: &Stamps,
    late: &Late<'a>,
) -> rusqlite::Result<()> {
    let mut insert = txn.prepare_cached(insert_revision!("NULL"))?;
    let mut insert_late = txn.prepare_cached(insert_revision!(
        "(SELECT stored_at FROM wfm_queue_interval_revision WHERE source = ?1
            AND interval_start = ?3 AND queue_id = ?2 AND claim_no = ?4 AND revision = ?5 + 1)"
    ))?;
    let mut replace = txn.prepare_cached(
        "UPDATE wfm_queue_interval_revision SET replaced_at = ?6, applied_no = ?7
         WHERE source = ?1 AND interval_start = ?3 AND queue_id = ?2 AND claim_no = ?4
           AND revision = ?5 - 1 AND replaced_at IS NOT ?6",
    )?;
    for Row { seq, record } in rows {
        let stamp = stamps[&record.source];
        let (source, queue) = (record.source.as_str(), record.queue.as_str());
        let (start, stored_at) = (record.interval_start.s(), record.answered_at.ms());
        let key = (&record.source, record.interval_start, &record.queue);
        let upsert = if late.contains(&key) {
            &mut insert_late
        } else {
            &mut insert
        };
        upsert.execute(params![
            source,
            queue,
            start,
            stamp.claim_no,
            record.revision,
            figure(record.figures.entered),
            figure(record.figures.abandoned),
            figure(record.figures.handle_time_s),
            record.suspect.map(crate::domain::record::Suspect::as_str),
            stored_at,
            record.reason.as_str(),
            record.run.as_str(),
            number(*seq),
            stamp.applied_no,
        ])?;
        if record.revision > 1 {
            replace.execute(params![
                source,
                queue,
                start,
                stamp.claim_no,
                record.revision,
                stored_at,
                stamp.applied_no
            ])?;
        }
    }
    Ok(())
}

fn transactions(
    txn: &Transaction<'_>,
    rows: &[Row<'_, StateTransaction>],
    stamps: &Stamps,
) -> rusqlite::Result<()> {
    let mut upsert = txn.prepare_cached(
        "INSERT INTO wfm_agent_state_transaction (source, agent_id, started_at, state, category,
           previous_state, earliest_at, observed_at, origin, is_clamped, is_tied, claim_no,
           record_seq, applied_no)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (source, agent_id, started_at) DO UPDATE SET state = excluded.state,
           category = excluded.category, previous_state = excluded.previous_state,
           earliest_at = excluded.earliest_at, observed_at = excluded.observed_at,
           origin = excluded.origin, is_clamped = excluded.is_clamped,
           is_tied = excluded.is_tied, claim_no = excluded.claim_no,
           record_seq = excluded.record_seq, applied_no = excluded.applied_no
         WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
    )?;
    for Row { seq, record } in rows {
        let stamp = stamps[&record.source];
        upsert.execute(params![
            record.source.as_str(),
            record.agent.as_str(),
            record.started_at.ms(),
            record.state.as_str(),
            record.category.as_str(),
            record
                .previous_state
                .as_ref()
                .map(crate::domain::ids::StateText::as_str),
            ms(record.earliest_at),
            record.observed_at.ms(),
            record.origin.as_str(),
            record.clamped,
            record.tied,
            stamp.claim_no,
            number(*seq),
            stamp.applied_no,
        ])?;
    }
    Ok(())
}

const CURRENT: &str = "INSERT INTO wfm_agent_state_current (source, agent_id, state, category,
       since, origin, claim_no, record_seq, applied_no)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (source, agent_id) DO UPDATE SET state = excluded.state,
       category = excluded.category, since = excluded.since, origin = excluded.origin,
       claim_no = excluded.claim_no, record_seq = excluded.record_seq,
       applied_no = excluded.applied_no
     WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)";

fn current_state(
    upsert: &mut Statement<'_>,
    state: &CurrentState,
    stamps: &Stamps,
) -> rusqlite::Result<()> {
    let Stamp {
        claim_no,
        applied_no,
    } = stamps[&state.source];
    upsert.execute(params![
        state.source.as_str(),
        state.agent.as_str(),
        state.state.as_str(),
        state.category.as_str(),
        state.since.ms(),
        state.origin.as_str(),
        claim_no,
        number(state.record_seq),
        applied_no,
    ])?;
    Ok(())
}

/// The fresh states after an outage.
pub(super) fn current_states(
    txn: &Transaction<'_>,
    states: &[CurrentState],
    stamps: &Stamps,
) -> Result<(), SendError> {
    let write = || -> rusqlite::Result<()> {
        let mut upsert = txn.prepare_cached(CURRENT)?;
        for state in states {
            current_state(&mut upsert, state, stamps)?;
        }
        Ok(())
    };
    write().map_err(sql)
}

fn last_seen(
    txn: &Transaction<'_>,
    rows: &[LastSeen<'_>],
    stamps: &Stamps,
    seen: &mut SeenHours,
) -> rusqlite::Result<()> {
    let mut current = txn.prepare_cached(
        "UPDATE wfm_agent_state_current SET last_observed_hour = ?3
         WHERE source = ?1 AND agent_id = ?2
           AND (last_observed_hour IS NULL OR last_observed_hour < ?3)",
    )?;
    let mut roster = txn.prepare_cached(
        "UPDATE wfm_agent SET last_seen_in_realtime = ?3, applied_no = ?4
         WHERE source = ?1 AND agent_id = ?2
           AND (last_seen_in_realtime IS NULL OR last_seen_in_realtime < ?3)",
    )?;
    for row in rows {
        if !seen.is_newer(row) {
            continue;
        }
        let (source, agent, hour) = (row.source.as_str(), row.agent.as_str(), row.hour.ms());
        if current.execute(params![source, agent, hour])? > 0 {
            let applied_no = stamps[row.source].applied_no;
            roster.execute(params![source, agent, hour, applied_no])?;
        }
        seen.note(row);
    }
    Ok(())
}

/// The box's line of the fleet.
pub(super) fn box_row(txn: &Transaction<'_>, beat: &Heartbeat) -> Result<(), SendError> {
    let alarms = serde_json::to_string(&beat.alarms).expect("texts are JSON");
    txn.prepare_cached(
        "INSERT INTO wfm_box (box_id, version, started_at, last_seen_at, backlog,
           oldest_unsent_at, alarms)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (box_id) DO UPDATE SET version = excluded.version,
           started_at = excluded.started_at, last_seen_at = excluded.last_seen_at,
           backlog = excluded.backlog, oldest_unsent_at = excluded.oldest_unsent_at,
           alarms = excluded.alarms",
    )
    .and_then(|mut upsert| {
        upsert.execute(params![
            beat.box_id.as_str(),
            beat.version,
            beat.started_at.ms(),
            beat.at.ms(),
            count(beat.backlog),
            ms(beat.oldest_unsent_at),
            alarms,
        ])
    })
    .map(drop)
    .map_err(sql)
}

/// One feed's health. Answers whether it is the configuration's and tells of a newer import.
pub(super) fn feed_health(
    txn: &Transaction<'_>,
    beat: &Heartbeat,
    feed: &FeedHealth,
) -> Result<bool, SendError> {
    let write = || -> rusqlite::Result<bool> {
        let key = params![feed.source.as_str(), feed.feed.as_str()];
        let mut query = txn.prepare_cached(
            "SELECT last_complete_poll_at FROM wfm_feed_health WHERE source = ? AND feed = ?",
        )?;
        let mut rows = query.query(key)?;
        let known: Option<i64> = match rows.next()? {
            Some(row) => row.get(0)?,
            None => None,
        };
        drop(rows);
        txn.prepare_cached(
            "INSERT OR REPLACE INTO wfm_feed_health (source, feed, box_id, last_success_at,
               last_complete_poll_at, last_data_at, lag_s, consecutive_failures, last_error,
               clock_offset_ms, is_stale, heartbeat_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            feed.source.as_str(),
            feed.feed.as_str(),
            beat.box_id.as_str(),
            ms(feed.last_success_at),
            ms(feed.last_complete_poll_at),
            ms(feed.last_data_at),
            count(feed.lag_s),
            feed.consecutive_failures,
            feed.last_error,
            feed.clock_offset_ms,
            feed.is_stale,
            beat.at.ms(),
        ])?;
        Ok(feed.feed == Feed::Configuration && ms(feed.last_complete_poll_at) > known)
    };
    write().map_err(sql)
}
