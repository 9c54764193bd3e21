//! `wfm_delivery`: which seqs of which store are in the tables, as merged ranges.

use super::super::SendError;
use super::super::sql::{number, seq};
use super::connection::Session;
use super::pipeline::{OwnedParams, at};
use crate::domain::ids::SeqRange;
use crate::domain::timestamp::WallTime;

pub(super) const READ: &str = "SELECT first_seq, last_seq FROM {t}delivery
  WHERE box_id = $1::text AND store_id = $2::text ORDER BY first_seq";

/// Adds a range, and merges it with those that it touches. The insert reads what the delete
/// answers, so the old rows are gone before it.
pub(super) const ADD: &str = "WITH touching AS (
    DELETE FROM {t}delivery
    WHERE box_id = $1::text AND store_id = $2::text
      AND first_seq <= $4::bigint + 1 AND last_seq >= $3::bigint - 1
    RETURNING first_seq, last_seq)
  INSERT INTO {t}delivery (box_id, store_id, first_seq, last_seq, updated_at)
  SELECT $1, $2, LEAST($3, MIN(first_seq)), GREATEST($4, MAX(last_seq)), $5::timestamptz
    FROM touching";

/// The applied ranges of the writer's store, ascending.
pub(super) async fn read(session: &Session) -> Result<Vec<SeqRange>, SendError> {
    let (box_id, store_id) = (session.writer().box_id.as_str(), session.store_id());
    let rows = session.query(READ, &[&box_id, &store_id]).await?;
    let range = |row: &tokio_postgres::Row| SeqRange::new(seq(row.get(0)), seq(row.get(1)));
    Ok(rows.iter().map(range).collect())
}

/// What [`ADD`] takes.
pub(super) fn added(session: &Session, range: SeqRange, now: WallTime) -> OwnedParams<'_> {
    vec![
        Box::new(session.writer().box_id.as_str()),
        Box::new(session.store_id()),
        Box::new(number(range.first)),
        Box::new(number(range.last)),
        Box::new(at(now)),
    ]
}
