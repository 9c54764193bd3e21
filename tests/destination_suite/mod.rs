//! What every SQL destination must do, said once: each kind passes the same tests, and ends in the
//! same tables as SQLite.
//!
//! A kind brings [`Kind`]; `suite!` turns it into tests.

pub(crate) mod document;
pub(crate) mod facts;
#[path = "../support/forwarding_box.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
pub(crate) mod forwarding_box;
pub(crate) mod history;
pub(crate) mod records;
pub(crate) mod scenarios;
pub(crate) mod sqlite;
pub(crate) mod switch_over;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thrio_edge::clock::Clock;
use thrio_edge::destination::{Destination, Writer};
use thrio_edge::domain::ids::{BoxId, SourceName, StoreId};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};

/// A row: each column's value as text, moments as milliseconds, truth values as 0 and 1.
pub(crate) type Cells = BTreeMap<String, Option<String>>;

/// One kind of destination.
pub(crate) trait Kind {
    /// An empty place of its own.
    fn place(&self) -> Box<dyn Place>;
}

/// Where one set of the neutral tables is.
pub(crate) trait Place {
    /// A destination that writes there; it is not open yet.
    fn destination(&self, clock: Arc<dyn Clock>) -> Box<dyn Destination>;

    /// Whether anything was made there.
    fn has_tables(&self) -> bool;

    /// The rows of a table or view that the condition takes, in any order.
    fn rows(&self, table: &str, condition: &str) -> Vec<Cells>;

    /// All rows.
    fn table(&self, table: &str) -> Vec<Cells> {
        self.rows(table, "1 = 1")
    }
}

/// A clock that a test moves.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(ms: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(ms)))
    }

    pub(crate) fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let ms = self.0.load(Ordering::Relaxed);
        Now {
            wall: WallTime::from_ms(ms),
            mono: MonoTime::new(Duration::from_millis(ms.unsigned_abs())),
        }
    }
}

/// A box's writer for these sources.
pub(crate) fn writer(box_id: &str, store: u128, sources: &[SourceName]) -> Writer {
    Writer {
        box_id: BoxId::new(box_id).expect("an id"),
        store_id: StoreId::from_bits(store),
        sources: sources.to_vec(),
        take_over: Vec::new(),
    }
}

/// The seed of a randomised test: printed, and taken from `THRIO_EDGE_SEED` where that is set.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("THRIO_EDGE_SEED").ok();
    let seed = given.map_or_else(
        || fastrand::u64(..),
        |text| text.parse().expect("THRIO_EDGE_SEED is a number"),
    );
    println!("THRIO_EDGE_SEED={seed}");
    seed
}

/// One test for each scenario, on the kind that the expression makes; of a kind that needs what this
/// machine may lack, only where the second expression finds it.
macro_rules! suite {
    ($kind:expr, if $is_there:expr; $($scenario:ident),+ $(,)?) => {
        $(
            #[test]
            fn $scenario() {
                if $is_there {
                    $crate::destination_suite::scenarios::$scenario(&$kind);
                }
            }
        )+
    };
    ($kind:expr) => {
        $crate::destination_suite::suite! { $kind, if true }
    };
    ($kind:expr, if $is_there:expr) => {
        $crate::destination_suite::suite! { $kind, if $is_there;
            any_order_of_lanes_replays_and_duplicates_ends_in_the_same_tables,
            boxes_that_take_a_source_from_each_other_end_in_the_same_tables,
            a_batch_that_is_sent_twice_changes_nothing,
            a_batch_of_several_sources_writes_each_under_its_own_claim,
            the_newest_record_of_a_key_counts,
            a_reader_that_asks_by_applied_no_misses_nothing,
            the_status_of_an_interval_follows_from_its_coverage,
            each_revision_ends_where_the_next_begins_in_any_order,
            spans_end_where_the_next_transaction_begins,
            fresh_states_are_shown_at_once_and_never_set_back_by_the_backlog,
            a_source_belongs_to_one_box_until_a_person_says_otherwise,
            a_claim_goes_to_another_box_and_back,
            a_new_store_of_the_same_box_goes_on_and_its_elder_twin_is_held,
            a_claim_closes_the_roster_and_the_roster_opens_it_again,
            a_version_ends_where_the_next_begins_whichever_comes_first,
            an_import_is_seen_by_every_version_that_it_left_as_it_was,
            a_quiet_agent_is_told_from_a_dead_box,
            receipts_are_merged_whatever_their_order,
            a_record_that_no_database_can_hold_is_named,
            a_probe_writes_nothing,
            a_switch_over_leaves_no_hole_and_counts_nothing_twice,
        }
    };
}
pub(crate) use suite;
