//! What the tables hold of a source and day, to be compared with the journal.

use rusqlite::{Connection, Transaction, params};

use super::super::SendError;
use super::super::rows::Rows;
use super::super::sql::{Stamps, number};
use super::error::sql;
use crate::domain::ids::{AgentId, QueueId, SourceName};
use crate::domain::reconcile::{Day, Holdings, VolumeTally};

const VOLUMES: &str = "SELECT queue_id, COUNT(*), COALESCE(SUM(entered), 0),
    COALESCE(SUM(abandoned), 0), COALESCE(SUM(handle_time_s), 0)
  FROM wfm_queue_interval
  WHERE source = ?1 AND interval_start >= ?2 AND interval_start < ?3 GROUP BY queue_id";

/// By agent, so that only the day's part of the primary key is read. Every agent with a transaction
/// has a current state.
const TRANSACTIONS: &str = "SELECT c.agent_id, (SELECT COUNT(*)
    FROM wfm_agent_state_transaction t WHERE t.source = c.source AND t.agent_id = c.agent_id
      AND t.started_at >= ?2 AND t.started_at < ?3)
  FROM wfm_agent_state_current c WHERE c.source = ?1";

/// What the file holds of the day.
pub(super) fn read(
    connection: &Connection,
    source: &SourceName,
    day: Day,
) -> rusqlite::Result<Holdings> {
    let mut holdings = Holdings::default();
    let (from, to) = (day.start(), day.end());
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut query = connection.prepare(VOLUMES)?;
    let mut rows = query.query(params![source.as_str(), from.s(), to.s()])?;
    while let Some(row) = rows.next()? {
        // A row under what can be no id is nobody's of ours.
        let Ok(queue) = QueueId::new(&row.get::<_, String>(0)?) else {
            continue;
        };
        let tally = VolumeTally {
            intervals: count(row.get(1)?),
            entered: count(row.get(2)?),
            abandoned: count(row.get(3)?),
            handle_time_s: count(row.get(4)?),
        };
        holdings.volumes.insert(queue, tally);
    }
    let mut query = connection.prepare(TRANSACTIONS)?;
    let mut rows = query.query(params![source.as_str(), from.ms(), to.ms()])?;
    while let Some(row) = rows.next()? {
        let transactions = count(row.get(1)?);
        let agent = AgentId::new(&row.get::<_, String>(0)?);
        if let (Ok(agent), 1..) = (agent, transactions) {
            holdings.transactions.insert(agent, transactions);
        }
    }
    Ok(holdings)
}

/// Lets the batch's records be written once more over rows that they wrote before: those rows were
/// altered since.
pub(super) fn forget(
    txn: &Transaction<'_>,
    rows: &Rows<'_>,
    stamps: &Stamps,
) -> Result<(), SendError> {
    let forget = || -> rusqlite::Result<()> {
        let mut forget = txn.prepare_cached(
            "UPDATE wfm_queue_interval SET record_seq = -1
             WHERE source = ? AND interval_start = ? AND queue_id = ? AND claim_no = ?
               AND record_seq = ?",
        )?;
        for row in rows.intervals.iter().map(|interval| interval.row) {
            let record = row.record;
            forget.execute(params![
                record.source.as_str(),
                record.interval_start.s(),
                record.queue.as_str(),
                stamps[&record.source].claim_no,
                number(row.seq),
            ])?;
        }
        Ok(())
    };
    forget().map_err(sql)
}
