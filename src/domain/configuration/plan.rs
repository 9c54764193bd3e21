//! What an import found, for the person who asked for it.

use serde::Serialize;

/// Entries of each kind that a plan lists one by one; beyond these they are only counted.
pub const PLAN_LISTED_MAX: usize = 1_000;

/// What an import did or, dry, would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ImportPlan {
    /// Nothing was written.
    pub dry_run: bool,
    /// The queues.
    pub queues: ListPlan,
    /// The agents.
    pub agents: ListPlan,
}

/// What one list changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ListPlan {
    /// How many entries it had.
    pub listed: u64,
    /// False where fewer came than the source announced: nothing is closed then.
    pub complete: bool,
    /// Seen for the first time, or open again.
    pub new: Few<Named>,
    /// Known by another name before.
    pub renamed: Few<Renamed>,
    /// Deleted, disabled, or gone from the list.
    pub closed: Few<Named>,
    /// Other details changed.
    pub changed: u64,
    /// Seen in a feed before, and confirmed now.
    pub confirmed: u64,
    /// Too many were missing at once: they stay open until the operator confirms.
    pub held: Option<Shrink>,
}

/// A count, and the first of what was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Few<T> {
    /// How many there are.
    pub count: u64,
    /// The first [`PLAN_LISTED_MAX`] of them.
    pub first: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self {
            count: 0,
            first: Vec::new(),
        }
    }
}

impl<T> Few<T> {
    pub(super) fn push(&mut self, item: T) {
        self.count += 1;
        if self.first.len() < PLAN_LISTED_MAX {
            self.first.push(item);
        }
    }
}

/// An id with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The id.
    pub id: String,
    /// The name, where the source said one.
    pub name: Option<String>,
}

impl Named {
    pub(super) fn new(id: &str, name: Option<&str>) -> Self {
        Self {
            id: id.to_owned(),
            name: name.map(str::to_owned),
        }
    }
}

/// An id whose name changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// The id.
    pub id: String,
    /// The name until now.
    pub old: Option<String>,
    /// The name from now on.
    pub new: Option<String>,
}

/// A shrink that waits for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shrink {
    /// How many open entries the list lacks.
    pub missing: u64,
    /// Of how many.
    pub open: u64,
}
