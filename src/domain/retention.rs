//! How full the store is, and what gives first (architecture §2.7).
//!
//! Usage is counted in bytes of live entries, because the engine's file never shrinks by itself
//! and its length says nothing. Where the file cannot grow, its own pages still can be used again.

use std::time::Duration;

/// Live entries lie in pages that are about four fifths full.
const PAGES_PER_ENTRY: (u64, u64) = (5, 4);

/// What the file system and the store's counters say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all entries that are kept.
    pub live: u64,
    /// Bytes that the file takes on its disk.
    pub allocated: u64,
    /// Bytes that the file system has left; `None` = not known.
    pub free: Option<u64>,
}

/// What the settings allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The most that the file may take.
    pub max_bytes: u64,
    /// What the file system must keep free.
    pub min_free: u64,
}

/// What may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Under half of the budget: acknowledged records stay for the page and for replay.
    Low,
    /// Acknowledged records go, the oldest first, until it is under half again.
    Half,
    /// The budget is used up: when the acknowledged records are gone, interval records go, then
    /// transactions by policy.
    Full,
}

/// The bytes that the store may use in all.
pub fn budget_bytes(usage: Usage, budget: Budget) -> u64 {
    let growth = usage
        .free
        .map_or(u64::MAX, |free| free.saturating_sub(budget.min_free));
    usage.allocated.saturating_add(growth).min(budget.max_bytes)
}

/// The last compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// How long ago it was.
    pub ago: Duration,
    /// Bytes of live entries then.
    pub live: u64,
}

/// The bytes of the pages that so many bytes of live entries lie in, about.
pub fn bytes_in_use(live: u64) -> u64 {
    live / PAGES_PER_ENTRY.1 * PAGES_PER_ENTRY.0
}

/// How full the store is.
pub fn pressure(usage: Usage, budget: Budget) -> Pressure {
    let bytes = budget_bytes(usage, budget);
    let used = bytes_in_use(usage.live);
    // A sixteenth is left for the transaction that gives up the rest.
    if used >= bytes - bytes / 16 {
        Pressure::Full
    } else if used >= bytes / 2 {
        Pressure::Half
    } else {
        Pressure::Low
    }
}

/// Whether more than half of the file is free pages, and little enough is live to be moved
/// between two polls.
pub fn wants_compaction(usage: Usage, last: Option<Compaction>) -> bool {
    /// It blocks the feeds for as long as it takes, and may not gain what it seems to.
    const REST: Duration = Duration::from_hours(1);
    /// Where a drain has gone on since: its room is back ten minutes after its end at the latest.
    const REST_IN_DRAIN: Duration = Duration::from_mins(5);
    /// Below this there is nothing to gain.
    const WORTH_BYTES: u64 = 64 << 20;
    /// Above this it takes too long: free pages are used again instead.
    const LIVE_BYTES_MAX: u64 = 1 << 30;
    let has_rested = last.is_none_or(|last| {
        let has_drained = usage.live <= last.live / 2;
        last.ago >= if has_drained { REST_IN_DRAIN } else { REST }
    });
    has_rested
        && usage.allocated >= WORTH_BYTES
        && usage.live < LIVE_BYTES_MAX
        && bytes_in_use(usage.live) < usage.allocated / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const BUDGET: Budget = Budget {
        max_bytes: 8 * GIB,
        min_free: GIB,
    };

    fn check(live: u64, allocated: u64, free: u64, expected: Pressure) {
        let usage = Usage {
            live,
            allocated,
            free: Some(free),
        };
        assert_eq!(pressure(usage, BUDGET), expected, "{usage:?}");
    }

    #[test]
    fn the_budget_is_the_setting_while_the_disk_has_room() {
        check(GIB, 2 * GIB, 100 * GIB, Pressure::Low);
        check(4 * GIB, 5 * GIB, 100 * GIB, Pressure::Half);
        check(7 * GIB, 8 * GIB, 100 * GIB, Pressure::Full);
    }

    #[test]
    fn on_a_full_disk_the_pages_of_the_file_itself_are_the_budget() {
        check(GIB / 4, 2 * GIB, GIB / 2, Pressure::Low);
        check(GIB, 2 * GIB, GIB / 2, Pressure::Half);
        check(2 * GIB, 2 * GIB, 0, Pressure::Full);
        check(0, 0, 0, Pressure::Full);
    }

    #[test]
    fn compaction_is_for_files_that_are_mostly_empty_and_not_too_large() {
        let usage = |live, allocated| Usage {
            live,
            allocated,
            free: None,
        };
        assert!(wants_compaction(usage(GIB / 8, GIB), None));
        assert!(!wants_compaction(usage(GIB / 2, GIB), None));
        assert!(!wants_compaction(usage(2 * GIB, 9 * GIB), None));
        assert!(!wants_compaction(usage(1, 1 << 20), None));
    }

    #[test]
    fn a_drain_that_ends_after_a_compaction_in_its_middle_has_its_room_back_within_ten_minutes() {
        let drained = Usage {
            live: GIB / 32,
            allocated: GIB / 8,
            free: None,
        };
        let after = |mins, live| {
            let ago = Duration::from_mins(mins);
            wants_compaction(drained, Some(Compaction { ago, live }))
        };
        assert!(!after(1, GIB / 8), "the feeds are not held up all the time");
        assert!(after(10, GIB / 8));
        let as_then = drained.live + 1;
        assert!(!after(10, as_then), "the last one did not gain more either");
        assert!(after(60, as_then));
    }
}
