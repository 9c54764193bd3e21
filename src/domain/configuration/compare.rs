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
pub(super) trait Version: Clone {
    fn id(&self) -> &str;
    fn name(&self) -> Option<&str>;
    fn change(&self) -> RosterChange;
    fn is_active(&self) -> bool;
    fn provisional(&self) -> bool;
    fn first_seen(&self) -> WallTime;
    fn valid_from(&self) -> WallTime;
    fn closed(self, at: WallTime) -> Record;
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

/// Compares one list with the last versions of the roster. `known` shows them one by one; of those
/// that the list changes nothing of, none is kept.
pub(super) fn compare<E: Entry, X>(
    list: &RosterList<E>,
    known: impl FnOnce(&mut dyn FnMut(&E::Version)) -> Result<(), X>,
    terms: &Terms<'_>,
) -> Result<Outcome, X> {
    let mut comparison = Comparison::new(list);
    known(&mut |version| comparison.look(version))?;
    Ok(comparison.outcome(terms))
}

/// A list, and what was seen of the roster beside it.
struct Comparison<'a, E: Entry> {
    list: &'a RosterList<E>,
    places: HashMap<&'a str, usize>,
    usernames: HashSet<&'a str>,
    /// What the roster has of each entry of the list.
    formers: Vec<Former<E::Version>>,
    /// Provisional entries under a user name that this list says belongs to somebody.
    superseded: Vec<E::Version>,
    /// How many versions are open that were in a list once.
    open: u64,
    /// Those of them that a complete list lacks.
    missing: Vec<E::Version>,
}

/// What the roster has of an entry of the list.
#[derive(Clone)]
enum Former<V> {
    Unknown,
    Same,
    Other(Box<V>, Meaning),
}

/// What an entry changes of its former version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Opened,
    Closed,
    Confirmed,
    Changed,
}

impl<'a, E: Entry> Comparison<'a, E> {
    fn new(list: &'a RosterList<E>) -> Self {
        let ids = list.entries.iter().map(Entry::id);
        Self {
            list,
            places: ids.enumerate().map(|(place, id)| (id, place)).collect(),
            usernames: list.entries.iter().filter_map(Entry::username).collect(),
            formers: vec![Former::Unknown; list.entries.len()],
            superseded: Vec::new(),
            open: 0,
            missing: Vec::new(),
        }
    }

    /// Takes what the list says of this version; the version is kept only where it is needed again.
    fn look(&mut self, version: &E::Version) {
        let is_open = version.change() != RosterChange::Closed;
        // What a feed alone has shown was never in a list, and is not missing from one.
        let was_imported = is_open && !version.provisional();
        self.open += u64::from(was_imported);
        if let Some(place) = self.places.get(version.id()) {
            self.formers[*place] = match meaning(&self.list.entries[*place], version) {
                None => Former::Same,
                Some(meaning) => Former::Other(Box::new(version.clone()), meaning),
            };
        } else if was_imported && self.list.complete {
            self.missing.push(version.clone());
        } else if is_open && version.provisional() && self.usernames.contains(version.id()) {
            self.superseded.push(version.clone());
        }
    }

    fn outcome(self, terms: &Terms<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.plan.listed = self.list.entries.len() as u64;
        outcome.plan.complete = self.list.complete;
        for (entry, former) in self.list.entries.iter().zip(self.formers) {
            let record = match former {
                Former::Same => {
                    outcome.unchanged += 1;
                    continue;
                }
                Former::Unknown => added(entry, terms, &mut outcome.plan),
                Former::Other(former, meaning) => {
                    note(entry, &*former, meaning, &mut outcome.plan);
                    changed(entry, &*former, meaning, terms)
                }
            };
            outcome.records.push((record, true));
        }
        close(self.superseded, terms, &mut outcome);
        close_missing(self.missing, self.open, terms, &mut outcome);
        outcome
    }
}

/// An entry that the roster does not know, also one that is deleted already: it is stored inactive.
fn added<E: Entry>(entry: &E, terms: &Terms<'_>, plan: &mut ListPlan) -> Record {
    plan.new.push(Named::new(entry.id(), entry.name()));
    let opening = Opening {
        change: RosterChange::Added,
        valid_from: terms.at,
        first_seen: terms.at,
    };
    entry.version(terms.source, opening).record()
}

/// Puts what an entry changes into the plan.
fn note<E: Entry>(entry: &E, former: &E::Version, meaning: Meaning, plan: &mut ListPlan) {
    match meaning {
        Meaning::Opened => plan.new.push(Named::new(entry.id(), entry.name())),
        Meaning::Closed => plan.closed.push(Named::new(entry.id(), entry.name())),
        Meaning::Confirmed => plan.confirmed += 1,
        Meaning::Changed if entry.name() == former.name() => plan.changed += 1,
        Meaning::Changed => plan.renamed.push(Renamed {
            id: entry.id().to_owned(),
            old: former.name().map(str::to_owned),
            new: entry.name().map(str::to_owned),
        }),
    }
}

/// The version of an entry that says something else than its former one.
fn changed<E: Entry>(
    entry: &E,
    former: &E::Version,
    meaning: Meaning,
    terms: &Terms<'_>,
) -> Record {
    let change = match meaning {
        Meaning::Closed => RosterChange::Closed,
        _ => RosterChange::Changed,
    };
    let opening = Opening {
        change,
        valid_from: after(former, terms.at),
        first_seen: former.first_seen(),
    };
    entry.version(terms.source, opening).record()
}

/// What an entry changes of its former version; `None` = nothing.
fn meaning<E: Entry>(entry: &E, former: &E::Version) -> Option<Meaning> {
    let open = former.change() != RosterChange::Closed;
    match (open, entry.is_active()) {
        (false, false) => None,
        (false, true) => Some(Meaning::Opened),
        (true, false) if former.is_active() => Some(Meaning::Closed),
        (true, _) if former.provisional() => Some(Meaning::Confirmed),
        (true, _) if entry.same_details(former) => None,
        (true, _) => Some(Meaning::Changed),
    }
}

/// Whom a complete list lacks is closed, unless that is too many at once.
fn close_missing<V: Version>(missing: Vec<V>, open: u64, terms: &Terms<'_>, outcome: &mut Outcome) {
    let count = missing.len() as u64;
    if count == 0 {
        return;
    }
    let is_empty = outcome.plan.listed == 0;
    let too_many = count * 100 > open * u64::from(terms.max_shrink_percent) || is_empty;
    if too_many && terms.confirmed.is_none_or(|confirmed| count > confirmed) {
        outcome.plan.held = Some(Shrink {
            missing: count,
            open,
        });
        return;
    }
    close(missing, terms, outcome);
}

fn close<V: Version>(versions: Vec<V>, terms: &Terms<'_>, outcome: &mut Outcome) {
    for version in versions {
        outcome.plan.closed.push(named(&version));
        let at = after(&version, terms.at);
        outcome.records.push((version.closed(at), false));
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
        self.details == version.details
    }

    fn version(&self, source: &SourceName, opening: Opening) -> AgentChange {
        AgentChange {
            source: source.clone(),
            agent: self.id.clone(),
            change: opening.change,
            details: self.details.clone(),
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

            fn closed(self, at: WallTime) -> Record {
                Record::$record(Self {
                    change: RosterChange::Closed,
                    valid_from: at,
                    ..self
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
