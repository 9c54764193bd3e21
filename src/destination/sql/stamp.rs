//! What each row of a transaction carries beside its fact.

use std::collections::HashMap;

use super::super::rows::LastSeen;
use crate::domain::ids::{AgentId, SourceName};
use crate::domain::timestamp::WallTime;

/// What each row of a source in one transaction carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Stamp {
    pub(in super::super) claim_no: i64,
    pub(in super::super) applied_no: i64,
}

/// The stamps of one transaction, by source.
pub(in super::super) type Stamps = HashMap<SourceName, Stamp>;

/// The hour in which each agent was last seen, as far as this connection has written it.
#[derive(Debug, Default)]
pub(in super::super) struct SeenHours(HashMap<(SourceName, AgentId), WallTime>);

impl SeenHours {
    pub(in super::super) fn is_newer(&self, row: &LastSeen<'_>) -> bool {
        let key = (row.source.clone(), row.agent.clone());
        self.0.get(&key).is_none_or(|known| *known < row.hour)
    }

    pub(in super::super) fn note(&mut self, row: &LastSeen<'_>) {
        let key = (row.source.clone(), row.agent.clone());
        self.0.insert(key, row.hour);
    }
}
