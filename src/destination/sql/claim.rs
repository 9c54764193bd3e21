//! Which store writes a source: the rule, without a database.
//!
//! A store claims by itself where nobody has, or where its own box has by a store that it
//! replaces. A store whose claim is over never takes the source back by itself: of a cloned disk
//! the older twin is held, instead of both taking turns.

use super::super::{SendError, Writer};
use crate::domain::ids::SourceName;

/// A claim that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Claim {
    pub(in super::super) claim_no: i64,
    /// The roster as the box knows it was not sent under this claim yet.
    pub(in super::super) roster_pending: bool,
}

/// The row of `wfm_source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Held {
    pub(in super::super) claim_no: i64,
    pub(in super::super) box_id: String,
    pub(in super::super) store_id: String,
    pub(in super::super) roster_pending: bool,
}

impl Held {
    fn is_by_box_of(&self, writer: &Writer) -> bool {
        self.box_id == writer.box_id.as_str()
    }

    /// Whether the writer itself has the source.
    pub(in super::super) fn is_by(&self, writer: &Writer) -> bool {
        self.is_by_box_of(writer) && self.store_id == writer.store_id.to_string()
    }
}

/// What follows for a writer who wants the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// It has it.
    Ours(Claim),
    /// It takes it.
    Take,
    /// It takes it if it never had it, and is held if it had: another store of its box has it.
    TakeIfNew(Held),
    /// Another box has it.
    Theirs(Held),
}

/// What follows from the row of `wfm_source`.
pub(in super::super) fn verdict(held: Option<Held>, writer: &Writer) -> Verdict {
    match held {
        None => Verdict::Take,
        Some(held) if held.is_by(writer) => Verdict::Ours(Claim {
            claim_no: held.claim_no,
            roster_pending: held.roster_pending,
        }),
        Some(held) if held.is_by_box_of(writer) => Verdict::TakeIfNew(held),
        Some(held) => Verdict::Theirs(held),
    }
}

/// Why the writer is held.
pub(in super::super) fn claimed_by(
    other: &Held,
    writer: &Writer,
    source: &SourceName,
) -> SendError {
    let who = if other.is_by_box_of(writer) {
        format!(
            "store {} of a box with the same id \"{}\"",
            other.store_id, other.box_id
        )
    } else {
        format!("box \"{}\"", other.box_id)
    };
    SendError::claimed(
        format!(
            "source {source} is claimed by {who} (claim {})",
            other.claim_no
        ),
        format!(
            "if this box shall write it, run `thrio-edge claim --source {source} \
             --destination NAME` here, and stop the other"
        ),
    )
}

/// Why the writer is held where somebody deleted its claim.
pub(in super::super) fn vanished(source: &SourceName) -> SendError {
    SendError::held(
        format!("the claim of source {source} has vanished from wfm_source"),
        "see who deletes rows there; the claim is taken anew with the next attempt",
    )
}
