//! Who writes a subject, as its last message says.
//!
//! A subject that another box wrote last is that box's until a person claims it. Of one box the
//! store that came later writes, and the one that it replaced is held: of a cloned disk the twins
//! do not take turns.

use async_nats::HeaderMap;

use super::super::http::protocol::parse_range;
use crate::domain::ids::SeqRange;

/// Whose records the message holds: 32 hexadecimal digits.
pub(super) const STORE: &str = "Thrio-Edge-Store";
/// The box that published it, percent-encoded.
pub(super) const BOX: &str = "Thrio-Edge-Box";
/// The positions that the message stands for, `first-last`.
pub(super) const RANGE: &str = "Thrio-Edge-Range";
/// How far the store's records are in the stream with this message, `first-last`.
pub(super) const APPLIED: &str = "Thrio-Edge-Applied";
/// The stores of the same box that the store has replaced here, the last one last.
pub(super) const REPLACED: &str = "Thrio-Edge-Replaced";

/// A box's store is replaced after a rollback or a restore: a handful in its life.
const REPLACED_MAX: usize = 16;

/// Who wants to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Percent-encoded.
    pub(super) box_id: String,
    pub(super) store: String,
}

/// The end of a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The sequence of its last message; 0 = there is none.
    pub(super) sequence: u64,
    /// The stores that ours has replaced here.
    pub(super) replaced: Vec<String>,
}

/// What follows for who wants to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its own last message, and how far its records are in the stream with it.
    Ours(Option<SeqRange>),
    /// It may write: nobody has, or a store that it replaces.
    Free,
    /// Another has it, and a person must say who shall.
    Theirs(String),
}

/// What the headers of a subject's last message say.
pub(super) fn verdict(sequence: u64, headers: &HeaderMap, me: &Identity) -> (End, Verdict) {
    let header = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let mut end = End {
        sequence,
        replaced: Vec::new(),
    };
    let (Some(their_box), Some(their_store)) = (header(BOX), header(STORE)) else {
        // Not a box's: somebody tried something out.
        return (end, Verdict::Free);
    };
    if their_box != me.box_id {
        return (end, Verdict::Theirs(format!("box \"{their_box}\"")));
    }
    end.replaced = header(REPLACED)
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    if their_store == me.store {
        let applied = header(APPLIED).as_deref().and_then(parse_range);
        return (end, Verdict::Ours(applied));
    }
    let is_over = end.replaced.contains(&me.store);
    end.replaced.retain(|store| *store != me.store);
    end.replaced.push(their_store.clone());
    let over = end.replaced.len().saturating_sub(REPLACED_MAX);
    end.replaced.drain(..over);
    let verdict = if is_over {
        let who = format!("store {their_store} of a box with the same id \"{their_box}\"");
        Verdict::Theirs(who)
    } else {
        Verdict::Free
    };
    (end, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordSeq;

    fn me(box_id: &str, store: &str) -> Identity {
        Identity {
            box_id: box_id.to_owned(),
            store: store.to_owned(),
        }
    }

    fn written_by(who: &Identity, more: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(BOX, who.box_id.as_str());
        headers.insert(STORE, who.store.as_str());
        for (name, value) in more {
            headers.insert(*name, *value);
        }
        headers
    }

    #[test]
    fn the_own_last_message_says_how_far_the_store_has_come() {
        let headers = written_by(&me("a", "1"), &[(APPLIED, "3-9")]);
        let (end, verdict) = verdict(7, &headers, &me("a", "1"));
        assert_eq!(end.sequence, 7);
        let range = SeqRange::new(RecordSeq::new(3), RecordSeq::new(9));
        assert_eq!(verdict, Verdict::Ours(Some(range)));
    }

    #[test]
    fn another_box_has_it_and_a_message_of_nobody_says_nothing() {
        let headers = written_by(&me("b", "2"), &[(APPLIED, "3-9")]);
        let (_, theirs) = verdict(7, &headers, &me("a", "1"));
        assert_eq!(theirs, Verdict::Theirs("box \"b\"".to_owned()));
        let (end, free) = verdict(7, &HeaderMap::new(), &me("a", "1"));
        assert_eq!((end.sequence, free), (7, Verdict::Free));
    }

    #[test]
    fn a_store_follows_another_of_its_box_and_the_replaced_one_never_returns_by_itself() {
        let headers = written_by(&me("a", "1"), &[]);
        let (end, free) = verdict(7, &headers, &me("a", "2"));
        assert_eq!(free, Verdict::Free);
        assert_eq!(end.replaced, ["1"]);
        let headers = written_by(&me("a", "2"), &[(REPLACED, &end.replaced.join(","))]);
        let (end, over) = verdict(8, &headers, &me("a", "1"));
        assert!(matches!(&over, Verdict::Theirs(who) if who.contains("same id")));
        // A person who says so brings it back, and then the other one is over.
        assert_eq!(end.replaced, ["2"]);
        let headers = written_by(&me("a", "1"), &[(REPLACED, "2")]);
        let (_, over) = verdict(9, &headers, &me("a", "2"));
        assert!(matches!(over, Verdict::Theirs(_)));
    }
}
