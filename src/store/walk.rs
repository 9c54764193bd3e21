//! What each commit writes, weighed against what a start after a kill takes.
//!
//! redb must know which pages are in use before it can write. A commit may save that (quick repair):
//! four or five pages of the ten that it writes, and more as the file grows. Or a start after a kill
//! finds it out by walking every page in use and checking it, at up to two milliseconds a mebibyte. So
//! a small store is walked, and in a large one each commit saves. Both can follow each other in any
//! order: what a commit saved is deleted by the next one, and is believed only where it carries the
//! number of the last.
//!
//! Both commit in two phases: the pages are durable before the head names them. So a start finds the
//! last commit, or damage that it tells of; in one phase a page that a disk lost after all would turn
//! the store back by a commit without a word.

use redb::{Durability, WriteTransaction};

use super::live::Live;
use crate::domain::retention;

/// Says how a transaction that holds everything is committed: it saves where the store is larger than
/// a start may walk.
pub(super) fn decide(txn: &mut WriteTransaction, live: &Live, walk_max: u64) {
    let in_use = retention::bytes_in_use(live.position.live_bytes);
    make_durable(txn, in_use > walk_max);
}

/// Durable when the commit returns; `saves` what spares a start the walk.
pub(super) fn make_durable(txn: &mut WriteTransaction, saves: bool) {
    txn.set_durability(Durability::Immediate)
        .expect("no savepoint is ever made");
    txn.set_two_phase_commit(true);
    txn.set_quick_repair(saves);
}
