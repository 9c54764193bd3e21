//! What the tables hold of a source and day, to be compared with the journal.

use tokio_postgres::{Client, Row};

use super::super::SendError;
use super::super::rows::Rows;
use super::super::sql::{Stamps, number};
use super::connection::Session;
use super::pipeline::at;
use super::{PostgresOptions, error};
use crate::domain::ids::{AgentId, QueueId, SourceName};
use crate::domain::reconcile::{Day, Holdings, VolumeTally};

const VOLUMES: &str = "SELECT queue_id, COUNT(*)::bigint, COALESCE(SUM(entered), 0)::bigint,
    COALESCE(SUM(abandoned), 0)::bigint, COALESCE(SUM(handle_time_s), 0)::bigint
  FROM {t}queue_interval
  WHERE source = $1::text AND interval_start >= $2::timestamptz
    AND interval_start < $3::timestamptz GROUP BY queue_id";

/// By agent, so that only the day's part of the primary key is read. Every agent with a transaction
/// has a current state.
const TRANSACTIONS: &str = "SELECT c.agent_id, (SELECT COUNT(*)
    FROM {t}agent_state_transaction t WHERE t.source = c.source AND t.agent_id = c.agent_id
      AND t.started_at >= $2::timestamptz AND t.started_at < $3::timestamptz)::bigint
  FROM {t}agent_state_current c WHERE c.source = $1::text";

/// Lets records be written once more over rows that they wrote before.
pub(super) const FORGET: &str = "UPDATE {t}queue_interval SET record_seq = -1
  WHERE source = $1::text AND interval_start = $2::timestamptz AND queue_id = $3::text
    AND claim_no = $4::bigint AND record_seq = $5::bigint";

/// What the database holds of the day.
pub(super) async fn read(
    client: &Client,
    options: &PostgresOptions,
    source: &SourceName,
    day: Day,
) -> Result<Holdings, SendError> {
    let mut holdings = Holdings::default();
    let count = |row: &Row, column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    for row in query(client, options, VOLUMES, source, day).await? {
        // A row under what can be no id is nobody's of ours.
        let Ok(queue) = QueueId::new(row.get(0)) else {
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
        if let (Ok(agent), transactions @ 1..) = (AgentId::new(row.get(0)), count(&row, 1)) {
            holdings.transactions.insert(agent, transactions);
        }
    }
    Ok(holdings)
}

async fn query(
    client: &Client,
    options: &PostgresOptions,
    template: &str,
    source: &SourceName,
    day: Day,
) -> Result<Vec<Row>, SendError> {
    let place = options.server.to_string();
    let rows = client
        .query(
            &options.fill(template),
            &[&source.as_str(), &at(day.start()), &at(day.end())],
        )
        .await;
    rows.map_err(error::sql(&place))
}

/// Lets the batch's records be written once more over rows that they wrote before: those rows were
/// altered since.
pub(super) async fn forget(
    session: &Session,
    rows: &Rows<'_>,
    stamps: &Stamps,
) -> Result<(), SendError> {
    for row in rows.intervals.iter().map(|interval| interval.row) {
        let record = row.record;
        let key: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [
            &record.source.as_str(),
            &at(record.interval_start.start()),
            &record.queue.as_str(),
            &stamps[&record.source].claim_no,
            &number(row.seq),
        ];
        session.execute(FORGET, &key).await?;
    }
    Ok(())
}
