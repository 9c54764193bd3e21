//! Transactions grouped by what they have in common, some forty groups of a hundred: the texts of a
//! group are looked at once.

use super::FastMap;
use super::facts::flags;
use super::names::{category_number, origin_number};
use super::words::Place;
use crate::domain::record::StateTransaction;

/// Transactions by group.
pub(super) struct Groups<'a> {
    /// The first of each group.
    pub(super) first: Vec<&'a StateTransaction>,
    /// The group of each transaction, by its place among the first ones.
    pub(super) of: Vec<u32>,
}

/// What a group has in common: where its texts lie, and the small fields.
#[derive(PartialEq, Eq, Hash)]
struct Common {
    source: Place,
    state: Place,
    previous: Option<Place>,
    small: [u8; 3],
}

impl<'a> Groups<'a> {
    pub(super) fn of(all: &[&'a StateTransaction]) -> Self {
        let mut known: FastMap<Common, u32> = FastMap::default();
        let mut first = Vec::new();
        let of = all.iter().map(|t| {
            *known.entry(Common::of(t)).or_insert_with(|| {
                first.push(*t);
                u32::try_from(first.len() - 1).expect("a block has at most 5,000 records")
            })
        });
        let of = of.collect();
        Self { first, of }
    }
}

impl Common {
    fn of(t: &StateTransaction) -> Self {
        Self {
            source: Place::of(t.source.as_str()),
            state: Place::of(t.state.as_str()),
            previous: t.previous_state.as_ref().map(|s| Place::of(s.as_str())),
            small: [
                category_number(t.category),
                origin_number(t.origin),
                flags(t),
            ],
        }
    }
}
