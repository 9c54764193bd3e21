//! Who is known by id: the queues and agents of a source, as the journal's roster records say
//! (domain rule 10).
//!
//! This is the part of the roster that stays in memory: ids, user names and flags. It is a fold of
//! the records, as the store's own table is, so that every feed of a source sees the same one.
//! The details (names, addresses) stay in the store and are read for the length of an import.

use std::collections::HashMap;
use std::sync::Arc;

use super::agent::AgentDetails;
use super::ids::{AgentId, QueueId, SourceName};
use super::queue::QueueDetails;
use super::record::{AgentChange, QueueChange, Record, RosterChange};
use super::timestamp::WallTime;

/// The agents and queues of one source.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    agents: HashMap<AgentId, Standing>,
    usernames: HashMap<Box<str>, AgentId>,
    queues: HashMap<QueueId, Standing>,
}

/// What the roster says of one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its last version is not closed.
    pub open: bool,
    /// Thrio did not disable or delete it.
    pub active: bool,
    /// Seen in a feed only, not yet in an import.
    pub provisional: bool,
}

impl Roster {
    /// Takes over a record that is in the journal; all but roster records are ignored.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Agent(change) => self.apply_agent(change),
            Record::Queue(change) => self.apply_queue(change),
            _ => {}
        }
    }

    /// What is known of the agent with this id.
    pub fn agent(&self, id: &str) -> Option<Standing> {
        self.agents.get(id).copied()
    }

    /// The id itself, so that whoever keeps it shares its text.
    pub fn agent_id(&self, id: &str) -> Option<&AgentId> {
        self.agents.get_key_value(id).map(|(id, _)| id)
    }

    /// The agent that logs in with this name; of two, the one imported last.
    pub fn agent_by_username(&self, username: &str) -> Option<&AgentId> {
        self.usernames.get(username)
    }

    /// What is known of the queue with this id.
    pub fn queue(&self, id: &str) -> Option<Standing> {
        self.queues.get(id).copied()
    }

    /// Every queue with its standing, in no particular order.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = (&QueueId, Standing)> {
        self.queues.iter().map(|(id, standing)| (id, *standing))
    }

    /// Every agent with its standing, in no particular order.
    pub fn agents(&self) -> impl ExactSizeIterator<Item = (&AgentId, Standing)> {
        self.agents.iter().map(|(id, standing)| (id, *standing))
    }

    /// Takes over the last version of an agent.
    pub fn apply_agent(&mut self, change: &AgentChange) {
        let open = change.change != RosterChange::Closed;
        let standing = Standing {
            open,
            active: open && change.details.is_active,
            provisional: change.provisional,
        };
        self.agents.insert(change.agent.clone(), standing);
        // A provisional agent's name is not Thrio's word for who that is, so it resolves nothing.
        let Some(username) = &change.details.username else {
            return;
        };
        if open && !change.provisional {
            self.usernames
                .insert(username.as_str().into(), change.agent.clone());
        } else if self.usernames.get(username.as_str()) == Some(&change.agent) {
            self.usernames.remove(username.as_str());
        }
    }

    /// Takes over the last version of a queue.
    pub fn apply_queue(&mut self, change: &QueueChange) {
        let open = change.change != RosterChange::Closed;
        let standing = Standing {
            open,
            active: open && change.details.is_active,
            provisional: change.provisional,
        };
        self.queues.insert(change.queue.clone(), standing);
    }
}

/// The entry of an agent that a feed showed before any import did.
pub fn provisional_agent(
    source: &SourceName,
    agent: &AgentId,
    username: Option<&str>,
    seen_at: WallTime,
) -> AgentChange {
    AgentChange {
        source: source.clone(),
        agent: agent.clone(),
        change: RosterChange::Added,
        details: Arc::new(AgentDetails {
            username: username.map(str::to_owned),
            is_active: true,
            ..AgentDetails::default()
        }),
        valid_from: seen_at,
        first_seen: seen_at,
        provisional: true,
    }
}

/// The entry of a queue that a feed showed before any import did.
pub fn provisional_queue(source: &SourceName, queue: &QueueId, seen_at: WallTime) -> QueueChange {
    QueueChange {
        source: source.clone(),
        queue: queue.clone(),
        change: RosterChange::Added,
        details: QueueDetails {
            is_active: true,
            ..QueueDetails::default()
        },
        valid_from: seen_at,
        first_seen: seen_at,
        provisional: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str, username: &str, change: RosterChange) -> Record {
        let source = SourceName::new("main").unwrap();
        let id = AgentId::new(id).unwrap();
        let mut entry = provisional_agent(&source, &id, Some(username), WallTime::from_s(1));
        entry.change = change;
        entry.provisional = false;
        Record::Agent(entry)
    }

    #[test]
    fn a_username_leads_to_the_agent_until_the_entry_is_closed() {
        let mut roster = Roster::default();
        roster.apply(&agent("a-1", "kim", RosterChange::Added));
        assert_eq!(roster.agent_by_username("kim").unwrap().as_str(), "a-1");
        roster.apply(&agent("a-1", "kim", RosterChange::Closed));
        assert_eq!(roster.agent_by_username("kim"), None);
        assert!(!roster.agent("a-1").unwrap().open);
    }

    #[test]
    fn closing_a_former_owner_of_a_username_leaves_it_to_the_new_one() {
        let mut roster = Roster::default();
        roster.apply(&agent("a-1", "kim", RosterChange::Added));
        roster.apply(&agent("a-2", "kim", RosterChange::Added));
        roster.apply(&agent("a-1", "kim", RosterChange::Closed));
        assert_eq!(roster.agent_by_username("kim").unwrap().as_str(), "a-2");
    }

    #[test]
    fn a_provisional_agent_resolves_no_username() {
        let mut roster = Roster::default();
        let source = SourceName::new("main").unwrap();
        let id = AgentId::new("kim").unwrap();
        let entry = provisional_agent(&source, &id, Some("kim"), WallTime::from_s(1));
        roster.apply(&Record::Agent(entry));
        assert_eq!(roster.agent_by_username("kim"), None);
        assert!(roster.agent("kim").unwrap().provisional);
    }
}
