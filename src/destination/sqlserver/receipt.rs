//! `wfm_delivery`: which seqs of which store are in the tables, as merged ranges.

use super::super::SendError;
use super::super::sql::{number, seq};
use super::claim;
use super::connection::Session;
use super::value::{at, int, key, text};
use crate::domain::ids::SeqRange;
use crate::domain::timestamp::WallTime;

pub(super) const READ: &str = "SELECT first_seq, last_seq FROM {t}delivery
WHERE box_id = @P1 AND store_id = @P2 ORDER BY first_seq";

/// Adds a range, and merges it with those that it touches.
pub(super) const ADD: &str = "DECLARE @first bigint = @P3, @last bigint = @P4;
SELECT @first = CASE WHEN MIN(first_seq) < @P3 THEN MIN(first_seq) ELSE @P3 END,
  @last = CASE WHEN MAX(last_seq) > @P4 THEN MAX(last_seq) ELSE @P4 END
FROM {t}delivery
WHERE box_id = @P1 AND store_id = @P2 AND first_seq <= @P4 + 1 AND last_seq >= @P3 - 1;
DELETE FROM {t}delivery
WHERE box_id = @P1 AND store_id = @P2 AND first_seq <= @P4 + 1 AND last_seq >= @P3 - 1;
INSERT INTO {t}delivery (box_id, store_id, first_seq, last_seq, updated_at)
VALUES (@P1, @P2, @first, @last, @P5);";

/// The applied ranges of the writer's store, ascending.
pub(super) async fn read(session: &mut Session) -> Result<Vec<SeqRange>, SendError> {
    let (box_id, store_id) = session.writer_ids();
    let rows = session
        .query(READ, vec![key(&box_id), text(&store_id)])
        .await?;
    let range = |row| SeqRange::new(seq(claim::number(row, 0)), seq(claim::number(row, 1)));
    Ok(rows.iter().map(range).collect())
}

pub(super) async fn add(
    session: &mut Session,
    range: SeqRange,
    now: WallTime,
) -> Result<(), SendError> {
    let (box_id, store_id) = session.writer_ids();
    let values = vec![
        key(&box_id),
        text(&store_id),
        int(number(range.first)),
        int(number(range.last)),
        at(now),
    ];
    session.query(ADD, values).await.map(drop)
}
