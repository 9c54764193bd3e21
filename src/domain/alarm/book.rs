//! What stands: conditions on their way to being raised, and alarms on their way to being cleared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::timestamp::{MonoTime, Now, WallTime};
use super::{Alarm, AlarmOptions, Condition};

/// Conditions that are followed at once: every code of 50 sources with three feeds each, and of
/// their destinations. More are shown by `status`, but raise nothing.
const FOLLOWED_MAX: usize = 2_000;
/// After a start feeds and destinations need this long to find out that a former condition still
/// stands.
const START_GRACE: Duration = Duration::from_mins(1);

/// Which condition: its code and its subject.
type Key = (String, String);

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// It has stood long enough.
    Raised(Alarm),
    /// It has been gone long enough.
    Cleared(Alarm),
}

/// A condition that is followed, whether raised or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What was seen last.
    pub condition: Condition,
    /// Since when it stands.
    pub since: WallTime,
    /// The alarm's id and when it was raised, if it was.
    pub raised: Option<(u64, WallTime)>,
}

#[derive(Debug, Clone)]
struct Entry {
    condition: Condition,
    since: WallTime,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    /// Seen at every look since then.
    Seen { from: MonoTime },
    /// Raised; gone since then, where it is gone.
    Raised {
        id: u64,
        at: WallTime,
        gone: Option<MonoTime>,
    },
}

/// What stands.
#[derive(Debug, Default)]
pub struct AlarmBook {
    entries: BTreeMap<Key, Entry>,
    next_id: u64,
}

/// The raised alarms as they survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedBook {
    next_id: u64,
    standing: Vec<Alarm>,
}

impl SavedBook {
    /// What was raised.
    pub fn standing(&self) -> &[Alarm] {
        &self.standing
    }
}

impl AlarmBook {
    /// The book as it was saved. What is not seen again is cleared like everything else, after the
    /// feeds had the time to look.
    pub fn restore(saved: SavedBook, now: Now) -> Self {
        let entries = saved.standing.into_iter().map(|alarm| {
            let stage = Stage::Raised {
                id: alarm.id,
                at: alarm.raised_at,
                gone: Some(now.mono.plus(START_GRACE)),
            };
            let entry = Entry {
                since: alarm.since,
                condition: alarm.condition,
                stage,
            };
            (key(&entry.condition), entry)
        });
        Self {
            entries: entries.collect(),
            next_id: saved.next_id,
        }
    }

    /// What a restart needs.
    pub fn save(&self) -> SavedBook {
        SavedBook {
            next_id: self.next_id,
            standing: self.raised().collect(),
        }
    }

    /// Takes in what is seen now: everything that stands, and nothing else.
    pub fn observe(
        &mut self,
        now: Now,
        seen: Vec<Condition>,
        options: &AlarmOptions,
    ) -> Vec<Transition> {
        let seen = by_key(seen);
        let mut changed = self.miss(now, &seen, options);
        for (key, condition) in seen {
            self.see(now, key, condition);
        }
        changed.extend(self.raise(now, options));
        changed
    }

    /// Everything that is followed.
    pub fn standing(&self) -> impl Iterator<Item = Standing> + '_ {
        self.entries.values().map(|entry| Standing {
            condition: entry.condition.clone(),
            since: entry.since,
            raised: match entry.stage {
                Stage::Seen { .. } => None,
                Stage::Raised { id, at, .. } => Some((id, at)),
            },
        })
    }

    /// What is raised.
    pub fn raised(&self) -> impl Iterator<Item = Alarm> + '_ {
        self.standing().filter_map(|standing| {
            let (id, raised_at) = standing.raised?;
            Some(Alarm {
                id,
                condition: standing.condition,
                since: standing.since,
                raised_at,
                cleared_at: None,
            })
        })
    }

    /// Since when this condition stands, if it is followed.
    pub fn since(&self, code: &str, subject: &str) -> Option<WallTime> {
        let key = (code.to_owned(), subject.to_owned());
        self.entries.get(&key).map(|entry| entry.since)
    }

    fn see(&mut self, now: Now, key: Key, condition: Condition) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.condition = condition;
            if let Stage::Raised { gone, .. } = &mut entry.stage {
                *gone = None;
            }
        } else if self.entries.len() < FOLLOWED_MAX {
            let entry = Entry {
                condition,
                since: now.wall,
                stage: Stage::Seen { from: now.mono },
            };
            self.entries.insert(key, entry);
        }
    }

    /// Drops what is not seen and was never raised, and clears what has been gone for long.
    fn miss(
        &mut self,
        now: Now,
        seen: &BTreeMap<Key, Condition>,
        options: &AlarmOptions,
    ) -> Vec<Transition> {
        let mut cleared = Vec::new();
        self.entries.retain(|key, entry| {
            if seen.contains_key(key) {
                return true;
            }
            let Stage::Raised { id, at, gone } = &mut entry.stage else {
                return false;
            };
            let since = *gone.get_or_insert(now.mono);
            if now.mono < since || now.mono.since(since) < options.clear_after {
                return true;
            }
            cleared.push(Transition::Cleared(Alarm {
                id: *id,
                condition: entry.condition.clone(),
                since: entry.since,
                raised_at: *at,
                cleared_at: Some(now.wall),
            }));
            false
        });
        cleared
    }

    fn raise(&mut self, now: Now, options: &AlarmOptions) -> Vec<Transition> {
        let mut raised = Vec::new();
        for entry in self.entries.values_mut() {
            let Stage::Seen { from } = entry.stage else {
                continue;
            };
            if now.mono.since(from) < options.raise_after {
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            entry.stage = Stage::Raised {
                id,
                at: now.wall,
                gone: None,
            };
            raised.push(Transition::Raised(Alarm {
                id,
                condition: entry.condition.clone(),
                since: entry.since,
                raised_at: now.wall,
                cleared_at: None,
            }));
        }
        raised
    }
}

fn key(condition: &Condition) -> Key {
    (condition.code.clone(), condition.subject.clone())
}

/// One condition for each key; what several say of the same is put together.
fn by_key(seen: Vec<Condition>) -> BTreeMap<Key, Condition> {
    let mut all: BTreeMap<Key, Condition> = BTreeMap::new();
    for condition in seen {
        let Some(same) = all.get_mut(&key(&condition)) else {
            all.insert(key(&condition), condition);
            continue;
        };
        if !same.message.contains(&condition.message) {
            same.message = format!("{}; {}", same.message, condition.message);
        }
        same.by = same.by.into_iter().chain(condition.by).min();
        same.severity = same.severity.min(condition.severity);
    }
    all
}
