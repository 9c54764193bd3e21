//! Agents as the roster knows them (domain rule 10).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::AgentId;

/// What the source says of one agent; `None` = the source did not say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct AgentDetails {
    /// The login name.
    pub username: Option<String>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// Thrio's `name`, else first and last name.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The IANA name of the agent's time zone.
    pub time_zone: Option<String>,
    /// False for an agent that Thrio disabled or deleted.
    pub is_active: bool,
}

/// One agent of a configuration answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEntry {
    /// Thrio's id.
    pub id: AgentId,
    /// What Thrio says of it; the record that comes of it shares this.
    pub details: Arc<AgentDetails>,
}
