//! Which store writes a source: `wfm_source`, one claim at a time. The rule is `sql::claiming`'s.

use super::super::SendError;
use super::super::sql::{Claim, Claiming, Held, Standing};
use super::connection::Session;
use super::pipeline::at;
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;

/// Held to the end of the transaction by whoever migrates or claims.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('thrio-edge {t}', 0))";

pub(super) const CURRENT: &str =
    "SELECT claim_no, box_id, store_id, roster_pending FROM {t}source WHERE source = $1::text";

pub(super) const HAD_CLAIM: &str = "SELECT 1 FROM {t}source_claim
  WHERE source = $1::text AND box_id = $2::text AND store_id = $3::text LIMIT 1";

pub(super) const NEW_CLAIM: &str =
    "INSERT INTO {t}source_claim (claim_no, source, box_id, store_id, claimed_at)
  SELECT COALESCE(MAX(claim_no), 0) + 1, $1::text, $2::text, $3::text, $4::timestamptz
    FROM {t}source_claim
  RETURNING claim_no";

pub(super) const TAKE: &str = "INSERT INTO {t}source AS s (source, claim_no, box_id, store_id,
    claimed_at, confirmed_at, last_applied_no, roster_pending)
  VALUES ($1::text, $2::bigint, $3::text, $4::text, $5::timestamptz, $5, 1, true)
  ON CONFLICT (source) DO UPDATE SET claim_no = excluded.claim_no, box_id = excluded.box_id,
    store_id = excluded.store_id, claimed_at = excluded.claimed_at,
    confirmed_at = excluded.confirmed_at, last_applied_no = s.last_applied_no + 1,
    roster_pending = true
  RETURNING last_applied_no";

/// A version that began after this box's clock ends where it began.
pub(super) const CLOSE_AGENTS: &str =
    "UPDATE {t}agent SET valid_to = GREATEST(valid_from, $2::timestamptz), applied_no = $3::bigint
  WHERE source = $1::text AND valid_to IS NULL";

pub(super) const CLOSE_QUEUES: &str =
    "UPDATE {t}queue SET valid_to = GREATEST(valid_from, $2::timestamptz), applied_no = $3::bigint
  WHERE source = $1::text AND valid_to IS NULL";

pub(super) const NEXT: &str =
    "UPDATE {t}source SET last_applied_no = last_applied_no + 1, confirmed_at = $3::timestamptz
  WHERE source = $1::text AND claim_no = $2::bigint RETURNING last_applied_no";

pub(super) const ROSTER_SENT: &str =
    "UPDATE {t}source SET roster_pending = false WHERE source = $1::text";

/// What `after_apply` has not been called for yet; the row is this transaction's already.
pub(super) const AFTER_APPLIED: &str =
    "UPDATE {t}source AS s SET after_applied_no = last_applied_no
  FROM (SELECT source, after_applied_no + 1 AS first FROM {t}source WHERE source = $1::text) AS f
  WHERE s.source = f.source RETURNING f.first, s.last_applied_no";

impl Claiming for Session {
    fn standing(&mut self) -> &mut Standing {
        &mut self.standing
    }

    async fn lock(&mut self) -> Result<(), SendError> {
        self.query_opt(LOCK, &[]).await.map(drop)
    }

    async fn current(&mut self, source: &SourceName) -> Result<Option<Held>, SendError> {
        let row = self.query_opt(CURRENT, &[&source.as_str()]).await?;
        Ok(row.map(|row| Held {
            claim_no: row.get(0),
            box_id: row.get(1),
            store_id: row.get(2),
            roster_pending: row.get(3),
        }))
    }

    async fn had_claim(&mut self, source: &SourceName) -> Result<bool, SendError> {
        let key = source.as_str();
        let (box_id, store_id) = (self.writer().box_id.as_str(), self.store_id());
        let row = self
            .query_opt(HAD_CLAIM, &[&key, &box_id, &store_id])
            .await?;
        Ok(row.is_some())
    }

    async fn take(&mut self, source: &SourceName, now: WallTime) -> Result<Claim, SendError> {
        let (source, now) = (source.as_str(), at(now));
        let (box_id, store_id) = (self.writer().box_id.as_str(), self.store_id());
        let claim_no = number(
            self.query_opt(NEW_CLAIM, &[&source, &box_id, &store_id, &now])
                .await?,
        );
        let applied_no = number(
            self.query_opt(TAKE, &[&source, &claim_no, &box_id, &store_id, &now])
                .await?,
        );
        for close in [CLOSE_AGENTS, CLOSE_QUEUES] {
            self.execute(close, &[&source, &now, &applied_no]).await?;
        }
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
        let key = source.as_str();
        let next = self.query_opt(NEXT, &[&key, &claim_no, &at(now)]).await?;
        Ok(next.map(|row| row.get(0)))
    }
}

fn number(row: Option<tokio_postgres::Row>) -> i64 {
    row.expect("an insert that returns its row").get(0)
}

/// The roster was sent under the claim.
pub(super) async fn roster_sent(session: &Session, source: &SourceName) -> Result<(), SendError> {
    let key = source.as_str();
    session.execute(ROSTER_SENT, &[&key]).await.map(drop)
}
