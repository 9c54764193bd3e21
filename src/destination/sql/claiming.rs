//! Claims as every kind takes them: the rule of `claim.rs` over a connection's statements.
//!
//! Claims are taken under the schema's lock, so that two boxes that start at once do not take the
//! same number.

use super::super::SendError;
use super::{Claim, Held, Stamp, Stamps, Standing, Verdict, claimed_by, vanished, verdict};
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;

/// A connection that can read and take claims, within a transaction.
pub(in super::super) trait Claiming {
    /// What it knows already.
    fn standing(&mut self) -> &mut Standing;

    /// Waits until nobody else migrates or claims, to the end of the transaction.
    async fn lock(&mut self) -> Result<(), SendError>;

    /// The row of `wfm_source`.
    async fn current(&mut self, source: &SourceName) -> Result<Option<Held>, SendError>;

    /// Whether the writer's store ever had a claim of the source.
    async fn had_claim(&mut self, source: &SourceName) -> Result<bool, SendError>;

    /// The next `claim_no` for the source, whoever has it; the former claim's open roster versions
    /// end with it. The caller holds the lock.
    async fn take(&mut self, source: &SourceName, now: WallTime) -> Result<Claim, SendError>;

    /// The next `applied_no` of the source, none where the claim is not ours. Its row is locked
    /// from here to the end of the transaction, so that the order of numbers is the order of
    /// commits.
    async fn next_applied_no(
        &mut self,
        source: &SourceName,
        claim_no: i64,
        now: WallTime,
    ) -> Result<Option<i64>, SendError>;
}

/// Our claim of the source, taken now where nothing speaks against it.
pub(in super::super) async fn hold_or_take(
    session: &mut impl Claiming,
    source: &SourceName,
    now: WallTime,
) -> Result<Claim, SendError> {
    let claim = held_or_taken(session, source, now).await?;
    session.standing().note_claim(source, claim.claim_no);
    Ok(claim)
}

async fn held_or_taken(
    session: &mut impl Claiming,
    source: &SourceName,
    now: WallTime,
) -> Result<Claim, SendError> {
    let held = session.current(source).await?;
    if let Verdict::Ours(claim) = verdict(held, session.standing().writer()) {
        return Ok(claim);
    }
    session.lock().await?;
    // Another may have taken it since.
    let held = session.current(source).await?;
    match verdict(held, session.standing().writer()) {
        Verdict::Ours(claim) => Ok(claim),
        Verdict::TakeIfNew(held) if session.had_claim(source).await? => {
            Err(claimed_by(&held, session.standing().writer(), source))
        }
        Verdict::Take | Verdict::TakeIfNew(_) => session.take(source, now).await,
        Verdict::Theirs(held) => Err(claimed_by(&held, session.standing().writer(), source)),
    }
}

/// Takes the source over where it is not ours already: a person said so.
pub(in super::super) async fn take_over(
    session: &mut impl Claiming,
    source: &SourceName,
    now: WallTime,
) -> Result<(), SendError> {
    session.lock().await?;
    let held = session.current(source).await?;
    if !held.is_some_and(|held| held.is_by(session.standing().writer())) {
        session.take(source, now).await?;
    }
    Ok(())
}

/// Takes over what a person said, claims what may be claimed; answers the sources whose roster is
/// wanted.
pub(in super::super) async fn claim_all(
    session: &mut impl Claiming,
    now: WallTime,
) -> Result<Vec<SourceName>, SendError> {
    let writer = session.standing().writer().clone();
    for source in &writer.take_over {
        take_over(session, source, now).await?;
    }
    let mut roster_wanted = Vec::new();
    for source in writer.sources {
        if hold_or_take(session, &source, now).await?.roster_pending {
            roster_wanted.push(source);
        }
    }
    Ok(roster_wanted)
}

/// The claim and the next `applied_no` of each source.
pub(in super::super) async fn stamps<'a>(
    session: &mut impl Claiming,
    sources: impl IntoIterator<Item = &'a SourceName>,
    now: WallTime,
) -> Result<Stamps, SendError> {
    let mut stamps = Stamps::new();
    for source in sources {
        if stamps.contains_key(source) {
            continue;
        }
        let claim_no = match session.standing().claim(source) {
            Some(claim_no) => claim_no,
            None => hold_or_take(session, source, now).await?.claim_no,
        };
        let Some(applied_no) = session.next_applied_no(source, claim_no, now).await? else {
            return Err(lost(session, source).await?);
        };
        let stamp = Stamp {
            claim_no,
            applied_no,
        };
        stamps.insert(source.clone(), stamp);
    }
    Ok(stamps)
}

async fn lost(session: &mut impl Claiming, source: &SourceName) -> Result<SendError, SendError> {
    Ok(match session.current(source).await? {
        Some(held) => claimed_by(&held, session.standing().writer(), source),
        None => vanished(source),
    })
}
