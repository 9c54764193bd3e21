//! What the tables hold of a source and day, to be compared with the journal.

use tiberius::Row;

use super::super::SendError;
use super::super::rows::Rows;
use super::super::sql::{Stamps, number};
use super::claim::{self, word};
use super::connection::{self, Client, Session};
use super::value::{at, int, key, key_read, text};
use super::{SqlServerOptions, error, stage};
use crate::domain::ids::{AgentId, QueueId, SourceName};
use crate::domain::reconcile::{Day, Holdings, VolumeTally};

pub(super) const VOLUMES: &str = "DECLARE @from datetime2(3) = @P2, @to datetime2(3) = @P3;
SELECT queue_id, COUNT_BIG(*) AS intervals,
  CAST(COALESCE(SUM(entered), 0) AS bigint) AS entered,
  CAST(COALESCE(SUM(abandoned), 0) AS bigint) AS abandoned,
  CAST(COALESCE(SUM(handle_time_s), 0) AS bigint) AS handle_time_s
FROM {t}queue_interval
WHERE source = @P1 AND interval_start >= @from AND interval_start < @to
GROUP BY queue_id";

/// By agent, so that only the day's part of the primary key is read. Every agent with a transaction
/// has a current state.
pub(super) const TRANSACTIONS: &str = "DECLARE @from datetime2(3) = @P2, @to datetime2(3) = @P3;
SELECT c.agent_id, CAST((SELECT COUNT(*) FROM {t}agent_state_transaction AS t
    WHERE t.source = c.source AND t.agent_id = c.agent_id
      AND t.started_at >= @from AND t.started_at < @to) AS bigint) AS transactions
FROM {t}agent_state_current AS c WHERE c.source = @P1";

/// Lets records be written once more over rows that they wrote before. @P2 is the claim.
pub(super) const FORGET: &str = "UPDATE t SET record_seq = -1
FROM {t}queue_interval AS t
JOIN #thrio_edge_forgotten AS u ON u.interval_start = t.interval_start
  AND u.queue_id = t.queue_id AND u.seq = t.record_seq
WHERE t.source = @P1 AND t.claim_no = @P2;
TRUNCATE TABLE #thrio_edge_forgotten;";

/// What the database holds of the day.
pub(super) async fn read(
    client: &mut Client,
    options: &SqlServerOptions,
    source: &SourceName,
    day: Day,
) -> Result<Holdings, SendError> {
    let mut holdings = Holdings::default();
    let count = |row: &Row, column| u64::try_from(claim::number(row, column)).unwrap_or(0);
    for row in query(client, options, VOLUMES, source, day).await? {
        // A row under what can be no id is nobody's of ours.
        let Ok(queue) = QueueId::new(&key_read(word(&row, 0))) else {
            continue;
        };
        let tally = VolumeTally {
            intervals: count(&row, 1),
            entered: count(&row, 2),
            abandoned: count(&row, 3),
            handle_time_s: count(&row, 4),
        };
        holdings.volumes.insert(queue, tally);
    }
    for row in query(client, options, TRANSACTIONS, source, day).await? {
        let agent = AgentId::new(&key_read(word(&row, 0)));
        if let (Ok(agent), transactions @ 1..) = (agent, count(&row, 1)) {
            holdings.transactions.insert(agent, transactions);
        }
    }
    Ok(holdings)
}

async fn query(
    client: &mut Client,
    options: &SqlServerOptions,
    template: &str,
    source: &SourceName,
    day: Day,
) -> Result<Vec<Row>, SendError> {
    let place = options.server.to_string();
    let values = vec![text(source.as_str()), at(day.start()), at(day.end())];
    let rows = connection::query(client, options, template, values).await;
    rows.map_err(error::sql(&place))
}

/// Lets the batch's records be written once more over rows that they wrote before: those rows were
/// altered since.
pub(super) async fn forget(
    session: &mut Session,
    rows: &Rows<'_>,
    stamps: &Stamps,
) -> Result<(), SendError> {
    for (source, stamp) in stamps {
        let of_source = rows.intervals.iter().map(|interval| interval.row);
        let staged: Vec<_> = of_source
            .filter(|row| row.record.source == *source)
            .map(|row| {
                vec![
                    int(number(row.seq)),
                    key(row.record.queue.as_str()),
                    at(row.record.interval_start.start()),
                ]
            })
            .collect();
        if staged.is_empty() {
            continue;
        }
        session.load(&stage::FORGOTTEN, staged.into_iter()).await?;
        let values = vec![text(source.as_str()), int(stamp.claim_no)];
        session.query(FORGET, values).await?;
    }
    Ok(())
}
