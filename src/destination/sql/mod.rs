//! What is the same in every SQL destination, whatever its dialect: who may write a source, what
//! each row carries, and how the domain's values become a database's.
//!
//! A kind brings its own connection, statements, schema and error words; ARCHITECTURE.md lists
//! what a further one must provide.

mod claim;
mod claiming;
mod names;
mod parts;
mod schema;
mod session;
mod stamp;

pub(super) use claim::{Claim, Held};
pub(super) use claim::{Verdict, claimed_by, vanished, verdict};
pub(super) use claiming::{Claiming, claim_all, hold_or_take, stamps};
pub(super) use names::url_part;
pub use names::{ProcedureName, SqlName};
pub(super) use parts::{Key, Parts, Replaced, newest_of};
pub use schema::Migration;
pub(super) use schema::{Found, made};
pub(super) use session::{
    Limit, Standing, Transactional, kept_runtime, not_open, transact, within,
};
pub(super) use stamp::{SeenHours, Stamp, Stamps};

use super::rows::Row;
use crate::domain::batch::CurrentState;
use crate::domain::ids::RecordSeq;
use crate::domain::record::StateTransaction;

/// A seq as the databases hold it.
pub(super) fn number(seq: RecordSeq) -> i64 {
    i64::try_from(seq.get()).expect("a journal has fewer than 2^63 records")
}

/// A seq as it was read back.
pub(super) fn seq(number: i64) -> RecordSeq {
    RecordSeq::new(number.unsigned_abs())
}

/// A sum; `rows::unstorable` has let through only what fits.
pub(super) fn figure(sum: Option<u64>) -> Option<i64> {
    sum.map(|sum| i64::try_from(sum).expect("figures past 64 bits were refused before"))
}

/// A counter of our own; past 64 bits it could as well be infinite.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The state that an agent is in by its newest transaction.
pub(super) fn current_of(row: &Row<'_, StateTransaction>) -> CurrentState {
    let record = row.record;
    CurrentState {
        source: record.source.clone(),
        agent: record.agent.clone(),
        state: record.state.clone(),
        category: record.category,
        since: record.started_at,
        origin: record.origin,
        record_seq: row.seq,
    }
}
