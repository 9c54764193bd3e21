//! Which store writes a source: `wfm_source`, one claim at a time. The rule is `sql::claiming`'s.

use tiberius::Row;

use super::super::SendError;
use super::super::sql::{Claim, Claiming, Held, Standing};
use super::connection::Session;
use super::value::{at, int, key, key_read, text};
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;

/// Held to the end of the transaction by whoever migrates or claims. The answer says whether it was
/// had: below zero, it was not.
pub(super) const LOCK: &str = "DECLARE @had int;
EXEC @had = sp_getapplock @Resource = N'thrio-edge {t}', @LockMode = N'Exclusive',
  @LockOwner = N'Transaction', @LockTimeout = 30000;
SELECT CAST(@had AS bigint) AS had;";

pub(super) const CURRENT: &str =
    "SELECT claim_no, box_id, store_id, roster_pending FROM {t}source WHERE source = @P1";

pub(super) const HAD_CLAIM: &str = "SELECT TOP (1) claim_no FROM {t}source_claim
WHERE source = @P1 AND box_id = @P2 AND store_id = @P3";

/// The caller holds the lock, so nobody takes the same number.
pub(super) const NEW_CLAIM: &str = "DECLARE @claim bigint;
SELECT @claim = ISNULL(MAX(claim_no), 0) + 1 FROM {t}source_claim;
INSERT INTO {t}source_claim (claim_no, source, box_id, store_id, claimed_at)
VALUES (@claim, @P1, @P2, @P3, @P4);
UPDATE {t}source SET claim_no = @claim, box_id = @P2, store_id = @P3, claimed_at = @P4,
  confirmed_at = @P4, last_applied_no = last_applied_no + 1, roster_pending = 1
WHERE source = @P1;
IF @@ROWCOUNT = 0
  INSERT INTO {t}source (source, claim_no, box_id, store_id, claimed_at, confirmed_at,
    last_applied_no, roster_pending)
  VALUES (@P1, @claim, @P2, @P3, @P4, @P4, 1, 1);
SELECT @claim AS claim_no, last_applied_no FROM {t}source WHERE source = @P1;";

/// A version that began after this box's clock ends where it began. In portions, so that a large
/// roster does not lock the whole table.
pub(super) const CLOSE: &str = "DECLARE @now datetime2(3) = @P2;
WHILE 1 = 1
BEGIN
  UPDATE TOP (2000) {t}agent
  SET valid_to = CASE WHEN valid_from > @now THEN valid_from ELSE @now END, applied_no = @P3
  WHERE source = @P1 AND valid_to IS NULL;
  IF @@ROWCOUNT < 2000 BREAK;
END;
WHILE 1 = 1
BEGIN
  UPDATE TOP (2000) {t}queue
  SET valid_to = CASE WHEN valid_from > @now THEN valid_from ELSE @now END, applied_no = @P3
  WHERE source = @P1 AND valid_to IS NULL;
  IF @@ROWCOUNT < 2000 BREAK;
END;";

pub(super) const NEXT: &str = "UPDATE {t}source
SET last_applied_no = last_applied_no + 1, confirmed_at = @P3
WHERE source = @P1 AND claim_no = @P2;
SELECT last_applied_no FROM {t}source WHERE source = @P1 AND claim_no = @P2;";

pub(super) const ROSTER_SENT: &str = "UPDATE {t}source SET roster_pending = 0 WHERE source = @P1";

/// What `after_apply` has not been called for yet; the row is this transaction's already.
pub(super) const AFTER_APPLIED: &str = "DECLARE @first bigint, @last bigint;
SELECT @first = after_applied_no + 1, @last = last_applied_no FROM {t}source WHERE source = @P1;
UPDATE {t}source SET after_applied_no = @last WHERE source = @P1;
SELECT @first AS first_no, @last AS last_no;";

impl Claiming for Session {
    fn standing(&mut self) -> &mut Standing {
        &mut self.standing
    }

    async fn lock(&mut self) -> Result<(), SendError> {
        let rows = self.query(LOCK, Vec::new()).await?;
        had_lock(&rows)
    }

    async fn current(&mut self, source: &SourceName) -> Result<Option<Held>, SendError> {
        let rows = self.query(CURRENT, vec![text(source.as_str())]).await?;
        Ok(rows.first().map(|row| Held {
            claim_no: number(row, 0),
            box_id: key_read(word(row, 1)).into_owned(),
            store_id: word(row, 2).to_owned(),
            roster_pending: row.get(3).unwrap_or(false),
        }))
    }

    async fn had_claim(&mut self, source: &SourceName) -> Result<bool, SendError> {
        let (box_id, store_id) = self.writer_ids();
        let values = vec![text(source.as_str()), key(&box_id), text(&store_id)];
        let rows = self.query(HAD_CLAIM, values).await?;
        Ok(!rows.is_empty())
    }

    async fn take(&mut self, source: &SourceName, now: WallTime) -> Result<Claim, SendError> {
        let (box_id, store_id) = self.writer_ids();
        let name = text(source.as_str());
        let values = vec![name.clone(), key(&box_id), text(&store_id), at(now)];
        let rows = self.query(NEW_CLAIM, values).await?;
        let row = rows.first().expect("a statement that ends with its row");
        let (claim_no, applied_no) = (number(row, 0), number(row, 1));
        let closing = vec![name, at(now), int(applied_no)];
        self.query(CLOSE, closing).await?;
        Ok(Claim {
            claim_no,
            roster_pending: true,
        })
    }

    async fn next_applied_no(
        &mut self,
        source: &SourceName,
        claim_no: i64,
        now: WallTime,
    ) -> Result<Option<i64>, SendError> {
        let values = vec![text(source.as_str()), int(claim_no), at(now)];
        let rows = self.query(NEXT, values).await?;
        Ok(rows.first().map(|row| number(row, 0)))
    }
}

/// Whether [`LOCK`] was had; it is somebody else's for longer than it may be only where that one
/// hangs.
pub(super) fn had_lock(rows: &[Row]) -> Result<(), SendError> {
    if rows.first().is_some_and(|row| number(row, 0) >= 0) {
        return Ok(());
    }
    Err(SendError::later(
        "another program holds the lock of the tables (sp_getapplock)",
    ))
}

/// The roster was sent under the claim.
pub(super) async fn roster_sent(
    session: &mut Session,
    source: &SourceName,
) -> Result<(), SendError> {
    let values = vec![text(source.as_str())];
    session.query(ROSTER_SENT, values).await.map(drop)
}

/// The range that `after_apply` is called with.
pub(super) async fn after_applied(
    session: &mut Session,
    source: &SourceName,
) -> Result<(i64, i64), SendError> {
    let values = vec![text(source.as_str())];
    let rows = session.query(AFTER_APPLIED, values).await?;
    let row = rows.first().expect("a statement that ends with its row");
    Ok((number(row, 0), number(row, 1)))
}

/// A column that is never NULL.
pub(super) fn number(row: &Row, column: usize) -> i64 {
    row.get(column).unwrap_or_default()
}

/// The same of a text.
pub(super) fn word(row: &Row, column: usize) -> &str {
    row.get(column).unwrap_or_default()
}
