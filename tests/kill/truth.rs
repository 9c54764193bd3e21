//! What must be in the tables in the end.

use std::collections::BTreeMap;

/// Agent and moment (ms) of a state transaction.
pub(crate) type TransactionKey = (String, i64);
/// Queue and start (s) of an interval.
pub(crate) type VolumeKey = (String, i64);
/// Entered, abandoned, handle time.
pub(crate) type Sums = (i64, i64, i64);

/// The part of the centre's truth that was prepared as a backlog.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// The state that each transaction leads to.
    pub(crate) transactions: BTreeMap<TransactionKey, String>,
    pub(crate) volumes: BTreeMap<VolumeKey, Sums>,
}

impl Expected {
    /// How many records it took to journal it.
    pub(crate) fn records(&self) -> usize {
        self.transactions.len() + self.volumes.len()
    }

    /// Another part of it.
    pub(crate) fn extend(&mut self, other: Self) {
        self.transactions.extend(other.transactions);
        self.volumes.extend(other.volumes);
    }

    /// The tables hold all of it.
    pub(crate) fn assert_within(
        &self,
        transactions: &BTreeMap<TransactionKey, String>,
        volumes: &BTreeMap<VolumeKey, Sums>,
    ) {
        compare(
            "of the centre's transactions",
            &self.transactions,
            transactions,
        );
        compare("of the centre's intervals", &self.volumes, volumes);
    }
}

/// Everything that the journal holds.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) head: u64,
    pub(crate) transactions: BTreeMap<TransactionKey, String>,
    pub(crate) volumes: BTreeMap<VolumeKey, Sums>,
}

/// The tables are what was journaled, and what was journaled is the centre's truth.
pub(crate) fn assert_delivered(
    journal: &Journal,
    expected: &Expected,
    transactions: &BTreeMap<TransactionKey, String>,
    volumes: &BTreeMap<VolumeKey, Sums>,
) {
    expected.assert_within(transactions, volumes);
    compare(
        "of the journal's transactions",
        &journal.transactions,
        transactions,
    );
    compare("of the journal's intervals", &journal.volumes, volumes);
    assert_eq!(
        transactions.len(),
        journal.transactions.len(),
        "transactions nobody made"
    );
    assert_eq!(
        volumes.len(),
        journal.volumes.len(),
        "intervals nobody made"
    );
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) {
    let missing = wanted
        .keys()
        .filter(|key| !found.contains_key(*key))
        .count();
    let other = wanted
        .iter()
        .filter(|(key, value)| found.get(*key).is_some_and(|there| there != *value));
    let other: Vec<_> = other.take(3).collect();
    assert!(
        missing == 0 && other.is_empty(),
        "{missing} {what} are missing; these differ: {other:?}"
    );
}
