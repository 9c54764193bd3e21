//! Queues as the roster knows them (domain rule 10).

use serde::{Deserialize, Serialize};

use super::ids::QueueId;

/// What the source says of one queue; `None` = the source did not say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct QueueDetails {
    /// The name that people know it by.
    pub name: Option<String>,
    /// A longer text.
    pub description: Option<String>,
    /// False for a queue that Thrio deleted.
    pub is_active: bool,
}

/// One queue of a configuration answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// Thrio's id.
    pub id: QueueId,
    /// What Thrio says of it.
    pub details: QueueDetails,
}
