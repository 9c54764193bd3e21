//! Which store writes a source: `wfm_source`, one claim at a time. The rule is `sql::verdict`.
//!
//! Claims are taken under the schema's advisory lock, so that two boxes that start at once do not
//! take the same number.

use super::super::SendError;
use super::super::sql::{Claim, Held, Verdict, claimed_by, vanished, verdict};
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

/// Our claim of the source, taken now where nothing speaks against it.
pub(super) async fn hold_or_take(
    session: &Session,
    source: &SourceName,
    now: WallTime,
) -> Result<Claim, SendError> {
    let writer = session.writer();
    if let Verdict::Ours(claim) = verdict(current(session, source).await?, writer) {
        return Ok(claim);
    }
    session.query_opt(LOCK, &[]).await?;
    // Another may have taken it since.
    match verdict(current(session, source).await?, writer) {
        Verdict::Ours(claim) => Ok(claim),
        Verdict::TakeIfNew(held) if had_claim(session, source).await? => {
            Err(claimed_by(&held, writer, source))
        }
        Verdict::Take | Verdict::TakeIfNew(_) => take(session, source, now).await,
        Verdict::Theirs(held) => Err(claimed_by(&held, writer, source)),
    }
}

/// Takes the source over where it is not ours already: a person said so.
pub(super) async fn take_over(
    session: &Session,
    source: &SourceName,
    now: WallTime,
) -> Result<(), SendError> {
    session.query_opt(LOCK, &[]).await?;
    let held = current(session, source).await?;
    if !held.is_some_and(|held| held.is_by(session.writer())) {
        take(session, source, now).await?;
    }
    Ok(())
}

/// The next `claim_no` for the source, whoever has it; the former claim's open roster versions
/// end with it. The caller holds the lock.
async fn take(session: &Session, source: &SourceName, now: WallTime) -> Result<Claim, SendError> {
    let (source, now) = (source.as_str(), at(now));
    let box_id = session.writer().box_id.as_str();
    let store_id = session.writer().store_id.to_string();
    let claim_no = number(
        session
            .query_opt(NEW_CLAIM, &[&source, &box_id, &store_id, &now])
            .await?,
    );
    let applied_no = number(
        session
            .query_opt(TAKE, &[&source, &claim_no, &box_id, &store_id, &now])
            .await?,
    );
    for close in [CLOSE_AGENTS, CLOSE_QUEUES] {
        session
            .execute(close, &[&source, &now, &applied_no])
            .await?;
    }
    Ok(Claim {
        claim_no,
        roster_pending: true,
    })
}

fn number(row: Option<tokio_postgres::Row>) -> i64 {
    row.expect("an insert that returns its row").get(0)
}

/// The next `applied_no` of the source, as long as the claim is ours. Its row is locked from here
/// to the end of the transaction, so that the order of numbers is the order of commits.
pub(super) async fn next_applied_no(
    session: &Session,
    source: &SourceName,
    claim_no: i64,
    now: WallTime,
) -> Result<i64, SendError> {
    let key = source.as_str();
    let next = session
        .query_opt(NEXT, &[&key, &claim_no, &at(now)])
        .await?;
    if let Some(row) = next {
        return Ok(row.get(0));
    }
    match current(session, source).await? {
        Some(held) => Err(claimed_by(&held, session.writer(), source)),
        None => Err(vanished(source)),
    }
}

/// The roster was sent under the claim.
pub(super) async fn roster_sent(session: &Session, source: &SourceName) -> Result<(), SendError> {
    let key = source.as_str();
    session.execute(ROSTER_SENT, &[&key]).await.map(drop)
}

async fn current(session: &Session, source: &SourceName) -> Result<Option<Held>, SendError> {
    let key = source.as_str();
    let row = session.query_opt(CURRENT, &[&key]).await?;
    Ok(row.map(|row| Held {
        claim_no: row.get(0),
        box_id: row.get(1),
        store_id: row.get(2),
        roster_pending: row.get(3),
    }))
}

async fn had_claim(session: &Session, source: &SourceName) -> Result<bool, SendError> {
    let key = source.as_str();
    let writer = session.writer();
    let (box_id, store_id) = (writer.box_id.as_str(), writer.store_id.to_string());
    let row = session
        .query_opt(HAD_CLAIM, &[&key, &box_id, &store_id])
        .await?;
    Ok(row.is_some())
}
