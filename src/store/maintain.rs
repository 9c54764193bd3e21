//! What the daemon asks for every few seconds: riding state, checkpoint, space, damage.

use super::append::RIDE_MAX;
use super::engine::{Engine, lock};
use super::{Maintained, StoreError};
use crate::domain::ids::DestinationName;
use crate::domain::timestamp::Now;

/// What upkeep remembers between its calls.
#[derive(Debug, Default)]
pub(super) struct Upkeep {}

impl Engine {
    /// See [`super::Store::maintain`].
    pub(super) fn maintain(
        &self,
        now: Now,
        _configured: &[DestinationName],
    ) -> Result<Maintained, StoreError> {
        let mut live = self.lock_live();
        self.ensure_open(&mut live, now)?;
        if !live.riding.is_empty() {
            live.riding.since.get_or_insert(now.mono);
        }
        let waited = live.riding.since.map(|since| now.mono.since(since));
        if waited.is_some_and(|waited| waited >= RIDE_MAX) {
            self.write_riding(&mut live, now)?;
        }
        let damaged = self.set_aside_blocks(&mut live, now)?;
        Ok(Maintained {
            damaged,
            replaced: std::mem::take(&mut *lock(&self.replaced)),
        })
    }
}
