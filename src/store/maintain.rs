//! What the daemon asks for every few seconds: riding state, checkpoint, space, damage.

use std::time::Duration;

use super::append::{RIDE_MAX, checkpoint_due};
use super::engine::{Engine, lock};
use super::live::Live;
use super::{Maintained, StoreError, WhenFull};
use crate::domain::age_clock::AgeClock;
use crate::domain::ids::{DestinationName, RecordSeq};
use crate::domain::retention::Pressure;
use crate::domain::timestamp::{MonoTime, Now, WallTime};

/// A cursor without a configured destination is kept this long, in case it comes back.
const ORPHAN_KEPT: Duration = Duration::from_hours(35 * 24);

/// What upkeep remembers between its calls.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Blocks before this hold no interval records that could be given up.
    pub(super) hollow_to: RecordSeq,
    /// How much smaller packing made the last blocks.
    pub(super) pack_ratio: Option<f64>,
    /// When it was compacted last, and the bytes of live entries then.
    pub(super) compacted: Option<(MonoTime, u64)>,
    /// By which records and cursors grow old.
    pub(super) ages: AgeClock,
    /// The policy says that nothing more is collected.
    pub(super) refuses: bool,
}

impl Engine {
    /// See [`super::Store::maintain`].
    pub(super) fn maintain(
        &self,
        now: Now,
        configured: &[DestinationName],
    ) -> Result<Maintained, StoreError> {
        let mut live = self.lock_live();
        self.ensure_open(&mut live, now)?;
        let mut done = Maintained {
            replaced: std::mem::take(&mut *lock(&self.replaced)),
            ..Maintained::default()
        };
        done.damaged = self.set_aside_blocks(&mut live, now)?;
        let aged = lock(&self.upkeep).ages.read(now);
        forget_orphans(&mut live, configured, aged);
        if !live.riding.is_empty() {
            live.riding.since.get_or_insert(now.mono);
        }
        let waited = live.riding.since.map(|since| now.mono.since(since));
        if waited.is_some_and(|waited| waited >= RIDE_MAX) || checkpoint_due(&live, now) {
            self.write_riding(&mut live, now)?;
        }
        self.pack(&mut live, now)?;
        self.make_room(&mut live, configured, aged, now, &mut done)?;
        let compact = self.compaction_due(&live, &lock(&self.upkeep), now);
        if compact {
            lock(&self.upkeep).compacted = Some((now.mono, live.position.live_bytes));
            self.compact_file(&mut live, now)?;
            done.compacted = true;
        }
        self.keep_reserve(&live);
        Ok(done)
    }

    /// Age is counted on from the newest block; where that cannot be read, from now.
    pub(super) fn begin_ageing(&self, now: Now) {
        let newest = self.newest_block_at(&self.lock_live()).unwrap_or_default();
        lock(&self.upkeep).ages = AgeClock::after(newest, now);
    }

    /// When a block is journaled now: by the wall clock, unless that has just fallen back.
    pub(super) fn label(&self, now: Now) -> WallTime {
        now.wall.max(lock(&self.upkeep).ages.read(now))
    }

    fn make_room(
        &self,
        live: &mut Live,
        configured: &[DestinationName],
        aged: WallTime,
        now: Now,
        done: &mut Maintained,
    ) -> Result<(), StoreError> {
        let mut pressure = self.pressure(live);
        if pressure == Pressure::Full {
            self.release_reserve();
        }
        done.expired_acknowledged =
            self.expire_acknowledged(live, configured, pressure, aged, now)?;
        if pressure == Pressure::Full {
            pressure = self.pressure(live);
        }
        if pressure == Pressure::Full {
            // What is given up lies before the checkpoint.
            self.checkpoint(live, now)?;
            done.expired = self.give_up(live, now)?;
        }
        let refuses = self.options.when_full == WhenFull::StopCollecting
            && self.pressure(live) == Pressure::Full;
        lock(&self.upkeep).refuses = refuses;
        done.pressure = Some(self.pressure(live));
        Ok(())
    }
}

/// A cursor without a destination pins nothing; after 35 days it is forgotten.
fn forget_orphans(live: &mut Live, configured: &[DestinationName], aged: WallTime) {
    let oldest = aged.minus(ORPHAN_KEPT);
    let orphans: Vec<_> = live
        .cursors
        .iter()
        .filter(|(name, cursor)| {
            !configured.contains(name) && cursor.moved_at.is_some_and(|at| at < oldest)
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in orphans {
        live.cursors.remove(&name);
        live.riding.destinations.insert(name);
    }
}
