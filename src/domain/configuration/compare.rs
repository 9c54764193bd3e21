//! One imported list against the roster: which versions open and close (domain rule 10).
//!
//! Queues and agents follow the same rules, told once over two small traits.

use std::collections::{HashMap, HashSet};

use super::plan::{ListPlan, Named, Renamed, Shrink};
use crate::domain::agent::AgentEntry;
use crate::domain::call::RosterList;
use crate::domain::ids::SourceName;
use crate::domain::queue::QueueEntry;
use crate::domain::record::{AgentChange, QueueChange, Record, RosterChange};
use crate::domain::timestamp::WallTime;

/// An entry of an imported list.
pub(super) trait Entry {
    type Version: Version;
    fn id(&self) -> &str;
    fn name(&self) -> Option<&str>;
    fn is_active(&self) -> bool;
    /// A user name, where the entry has one.
    fn username(&self) -> Option<&str>;
    fn same_details(&self, version: &Self::Version) -> bool;
    fn version(&self, source: &SourceName, opening: Opening) -> Self::Version;
}

/// A version of the roster.
pub(super) trait Version {
    fn id(&self) -> &str;
    fn name(&self) -> Option<&str>;
    fn change(&self) -> RosterChange;
    fn is_active(&self) -> bool;
    fn provisional(&self) -> bool;
    fn first_seen(&self) -> WallTime;
    fn valid_from(&self) -> WallTime;
    fn closed(&self, at: WallTime) -> Record;
    fn record(self) -> Record;
}

/// How a version begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub change: RosterChange,
    pub valid_from: WallTime,
    pub first_seen: WallTime,
}

/// What a list means.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Each record, and whether a row stands for it.
    pub records: Vec<(Record, bool)>,
    pub unchanged: u64,
    pub plan: ListPlan,
}

/// What a comparison depends on beside the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub source: &'a SourceName,
    pub at: WallTime,
    pub max_shrink_percent: u8,
    /// Up to so many missing entries were confirmed by the operator.
    pub confirmed: Option<u64>,
}

/// Compares one list with the last versions of the roster.
pub(super) fn compare<E: Entry>(
    list: &RosterList<E>,
    known: &[E::Version],
    terms: &Terms<'_>,
) -> Outcome {
    let by_id: HashMap<&str, &E::Version> = known.iter().map(|v| (v.id(), v)).collect();
    let mut outcome = Outcome::default();
    outcome.plan.listed = list.entries.len() as u64;
    outcome.plan.complete = list.complete;
    for entry in &list.entries {
        match listed(
            entry,
            by_id.get(entry.id()).copied(),
            terms,
            &mut outcome.plan,
        ) {
            Some(record) => outcome.records.push((record, true)),
            None => outcome.unchanged += 1,
        }
    }
    let ids: HashSet<&str> = list.entries.iter().map(Entry::id).collect();
    let usernames: HashSet<&str> = list.entries.iter().filter_map(Entry::username).collect();
    for version in superseded(known, &ids, &usernames) {
        outcome.plan.closed.push(named(version));
        let record = version.closed(after(version, terms.at));
        outcome.records.push((record, false));
    }
    close_missing(list.complete, known, &ids, terms, &mut outcome);
    outcome
}

/// What one listed entry changes; `None` = nothing.
fn listed<E: Entry>(
    entry: &E,
    former: Option<&E::Version>,
    terms: &Terms<'_>,
    plan: &mut ListPlan,
) -> Option<Record> {
    let new = |change| {
        entry.version(
            terms.source,
            Opening {
                change,
                valid_from: former.map_or(terms.at, |former| after(former, terms.at)),
                first_seen: former.map_or(terms.at, Version::first_seen),
            },
        )
    };
    let entry_named = || Named::new(entry.id(), entry.name());
    let Some(former) = former else {
        // Also one that is deleted already: it is stored inactive.
        plan.new.push(entry_named());
        return Some(new(RosterChange::Added).record());
    };
    let open = former.change() != RosterChange::Closed;
    match (open, entry.is_active()) {
        (false, false) => None,
        (false, true) => {
            plan.new.push(entry_named());
            Some(new(RosterChange::Changed).record())
        }
        (true, false) if former.is_active() => {
            plan.closed.push(entry_named());
            Some(new(RosterChange::Closed).record())
        }
        (true, _) if former.provisional() => {
            plan.confirmed += 1;
            Some(new(RosterChange::Changed).record())
        }
        (true, _) if entry.same_details(former) => None,
        (true, _) => {
            if entry.name() == former.name() {
                plan.changed += 1;
            } else {
                plan.renamed.push(Renamed {
                    id: entry.id().to_owned(),
                    old: former.name().map(str::to_owned),
                    new: entry.name().map(str::to_owned),
                });
            }
            Some(new(RosterChange::Changed).record())
        }
    }
}

/// Provisional entries under a user name that this list says belongs to somebody.
fn superseded<'a, V: Version>(
    known: &'a [V],
    ids: &'a HashSet<&str>,
    usernames: &'a HashSet<&str>,
) -> impl Iterator<Item = &'a V> {
    known.iter().filter(|version| {
        version.provisional()
            && version.change() != RosterChange::Closed
            && !ids.contains(version.id())
            && usernames.contains(version.id())
    })
}

/// Whom a complete list lacks is closed, unless that is too many at once. What a feed alone has
/// shown was never in a list, and is not missing from one.
fn close_missing<V: Version>(
    complete: bool,
    known: &[V],
    ids: &HashSet<&str>,
    terms: &Terms<'_>,
    outcome: &mut Outcome,
) {
    let imported = |v: &&V| v.change() != RosterChange::Closed && !v.provisional();
    let open = known.iter().filter(imported).count() as u64;
    let missing: Vec<&V> = known
        .iter()
        .filter(imported)
        .filter(|version| !ids.contains(version.id()))
        .collect();
    let count = missing.len() as u64;
    if !complete || count == 0 {
        return;
    }
    let too_many = count * 100 > open * u64::from(terms.max_shrink_percent) || ids.is_empty();
    if too_many && terms.confirmed.is_none_or(|confirmed| count > confirmed) {
        outcome.plan.held = Some(Shrink {
            missing: count,
            open,
        });
        return;
    }
    for version in missing {
        outcome.plan.closed.push(named(version));
        let record = version.closed(after(version, terms.at));
        outcome.records.push((record, false));
    }
}

/// A version begins after the one before it, whatever the clock did.
fn after<V: Version>(former: &V, at: WallTime) -> WallTime {
    at.max(former.valid_from().plus_ms(1))
}

fn named<V: Version>(version: &V) -> Named {
    Named::new(version.id(), version.name())
}

impl Entry for QueueEntry {
    type Version = QueueChange;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn name(&self) -> Option<&str> {
        self.details.name.as_deref()
    }

    fn is_active(&self) -> bool {
        self.details.is_active
    }

    fn username(&self) -> Option<&str> {
        None
    }

    fn same_details(&self, version: &QueueChange) -> bool {
        self.details == version.details
    }

    fn version(&self, source: &SourceName, opening: Opening) -> QueueChange {
        QueueChange {
            source: source.clone(),
            queue: self.id.clone(),
            change: opening.change,
            details: self.details.clone(),
            valid_from: opening.valid_from,
            first_seen: opening.first_seen,
            provisional: false,
        }
    }
}

impl Entry for AgentEntry {
    type Version = AgentChange;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn name(&self) -> Option<&str> {
        self.details.display_name.as_deref()
    }

    fn is_active(&self) -> bool {
        self.details.is_active
    }

    fn username(&self) -> Option<&str> {
        self.details.username.as_deref()
    }

    fn same_details(&self, version: &AgentChange) -> bool {
        self.details == *version.details
    }

    fn version(&self, source: &SourceName, opening: Opening) -> AgentChange {
        AgentChange {
            source: source.clone(),
            agent: self.id.clone(),
            change: opening.change,
            details: Box::new(self.details.clone()),
            valid_from: opening.valid_from,
            first_seen: opening.first_seen,
            provisional: false,
        }
    }
}

macro_rules! version {
    ($change:ident, $id:ident, $record:ident, $name:ident) => {
        impl Version for $change {
            fn id(&self) -> &str {
                self.$id.as_str()
            }

            fn name(&self) -> Option<&str> {
                self.details.$name.as_deref()
            }

            fn change(&self) -> RosterChange {
                self.change
            }

            fn is_active(&self) -> bool {
                self.details.is_active
            }

            fn provisional(&self) -> bool {
                self.provisional
            }

            fn first_seen(&self) -> WallTime {
                self.first_seen
            }

            fn valid_from(&self) -> WallTime {
                self.valid_from
            }

            fn closed(&self, at: WallTime) -> Record {
                Record::$record(Self {
                    change: RosterChange::Closed,
                    valid_from: at,
                    ..self.clone()
                })
            }

            fn record(self) -> Record {
                Record::$record(self)
            }
        }
    };
}

version!(QueueChange, queue, Queue, name);
version!(AgentChange, agent, Agent, display_name);
