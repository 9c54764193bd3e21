//! Under which names (or JSON pointers) the fields of a row are found.

use serde::{Deserialize, Deserializer, Serialize};

use super::OptionProblem;

/// Names of one field, best first. A name matches ignoring case, `-` and `_`; one that starts with
/// `/` is a JSON pointer into the row and matches exactly. One text stands for a list of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Names(Vec<String>);

impl Names {
    /// These names, best first.
    pub fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|&name| name.to_owned()).collect())
    }

    /// Whether there is none: the field is never read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a field name, or a list of them")]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(name) => Self(vec![name]),
            OneOrMany::Many(names) => Self(names),
        })
    }
}

/// More names than a field can sensibly have.
const NAMES_MAX: usize = 32;

fn check(
    table: &str,
    names: &[(&'static str, &Names)],
    required: &[&str],
    problems: &mut Vec<OptionProblem>,
) {
    for (field, list) in names {
        let key = format!("{table}.{field}");
        if list.is_empty() && required.contains(field) {
            problems.push(OptionProblem::new(
                key.as_str(),
                "[]",
                "at least one name: rows are useless without it",
            ));
        }
        if list.0.len() > NAMES_MAX {
            problems.push(OptionProblem::new(
                key.as_str(),
                format!("{} names", list.0.len()),
                format!("at most {NAMES_MAX} names"),
            ));
        }
        for name in list.iter() {
            if name.is_empty() || name == "/" {
                problems.push(OptionProblem::new(
                    key.as_str(),
                    name,
                    "a field's name, or a JSON pointer such as \"/agent/id\"",
                ));
            }
        }
    }
}

/// The fields of an agent's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealtimeFields {
    /// The agent's id.
    pub agent: Names,
    /// The agent's user name, for rows without an id.
    pub username: Names,
    /// The state.
    pub state: Names,
    /// Since when.
    pub since: Names,
}

impl Default for RealtimeFields {
    fn default() -> Self {
        Self {
            agent: Names::new(&["agent-id", "userId", "_id", "uKey"]),
            username: Names::new(&["username"]),
            state: Names::new(&["agent-status", "status", "statusName", "statusCode"]),
            since: Names::new(&["lastStatusChange", "since"]),
        }
    }
}

impl RealtimeFields {
    pub(super) fn check(&self, table: &str, problems: &mut Vec<OptionProblem>) {
        let names = [
            ("agent", &self.agent),
            ("username", &self.username),
            ("state", &self.state),
            ("since", &self.since),
        ];
        check(table, &names, &["state"], problems);
        if self.agent.is_empty() && self.username.is_empty() {
            problems.push(OptionProblem::new(
                format!("{table}.agent"),
                "[]",
                "a name for the agent's id, or one for username",
            ));
        }
    }
}

/// The fields of a queue's interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoricalFields {
    /// The queue's id.
    pub queue: Names,
    /// The interval's start (or end, by `interval_label`).
    pub interval: Names,
    /// The sum of handle times.
    pub handle_time: Names,
    /// Contacts that entered.
    pub entered: Names,
    /// Contacts that were abandoned.
    pub abandoned: Names,
}

impl Default for HistoricalFields {
    fn default() -> Self {
        Self {
            queue: Names::new(&["queueId", "_id"]),
            interval: Names::new(&["interval", "intervalStart", "startTime", "timestamp"]),
            handle_time: Names::new(&["sumHandleTime"]),
            entered: Names::new(&["enteredCount"]),
            abandoned: Names::new(&["abandonedCount"]),
        }
    }
}

impl HistoricalFields {
    pub(super) fn check(&self, table: &str, problems: &mut Vec<OptionProblem>) {
        let names = [
            ("queue", &self.queue),
            ("interval", &self.interval),
            ("handle_time", &self.handle_time),
            ("entered", &self.entered),
            ("abandoned", &self.abandoned),
        ];
        check(table, &names, &[], problems);
        if self.handle_time.is_empty() && self.entered.is_empty() && self.abandoned.is_empty() {
            problems.push(OptionProblem::new(
                format!("{table}.entered"),
                "[]",
                "at least one of handle_time, entered and abandoned needs a name",
            ));
        }
    }
}

/// The fields of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueFields {
    /// The id.
    pub id: Names,
    /// The name.
    pub name: Names,
    /// The description.
    pub description: Names,
    /// When it was deleted.
    pub deleted_at: Names,
}

impl Default for QueueFields {
    fn default() -> Self {
        Self {
            id: Names::new(&["queueId", "_id"]),
            name: Names::new(&["name"]),
            description: Names::new(&["description"]),
            deleted_at: Names::new(&["deletedAt"]),
        }
    }
}

impl QueueFields {
    pub(super) fn check(&self, table: &str, problems: &mut Vec<OptionProblem>) {
        let names = [
            ("id", &self.id),
            ("name", &self.name),
            ("description", &self.description),
            ("deleted_at", &self.deleted_at),
        ];
        check(table, &names, &["id"], problems);
    }
}

/// The fields of a user. Nothing else of the object is read or kept: it also holds passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentFields {
    /// The id.
    pub id: Names,
    /// The login name.
    pub username: Names,
    /// The first name.
    pub first_name: Names,
    /// The last name.
    pub last_name: Names,
    /// The display name.
    pub name: Names,
    /// The e-mail address.
    pub email: Names,
    /// Whether the account is enabled.
    pub enabled: Names,
    /// The IANA name of the time zone.
    pub time_zone: Names,
    /// When it was deleted.
    pub deleted_at: Names,
}

impl Default for AgentFields {
    fn default() -> Self {
        Self {
            id: Names::new(&["userId", "_id"]),
            username: Names::new(&["username"]),
            first_name: Names::new(&["firstName"]),
            last_name: Names::new(&["lastName"]),
            name: Names::new(&["name"]),
            email: Names::new(&["emailAddress"]),
            enabled: Names::new(&["enabled"]),
            time_zone: Names::new(&["timezone"]),
            deleted_at: Names::new(&["deletedAt"]),
        }
    }
}

impl AgentFields {
    pub(super) fn check(&self, table: &str, problems: &mut Vec<OptionProblem>) {
        let names = [
            ("id", &self.id),
            ("username", &self.username),
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("name", &self.name),
            ("email", &self.email),
            ("enabled", &self.enabled),
            ("time_zone", &self.time_zone),
            ("deleted_at", &self.deleted_at),
        ];
        check(table, &names, &["id"], problems);
    }
}
