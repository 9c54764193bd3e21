//! Whatever is killed, lost or late: what is in the stream is the journal, once and in order.

use thrio_edge::destination::{Destination, SendError};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::SeqRange;
use thrio_edge::store::ReadLimit;

use crate::forwarding_box::copy_files;
use crate::nats_server::{assert_once, pause, shared};
use crate::records::{history, seq, source};
use crate::site::{Site, claimed, opened, part, writer};

#[test]
fn a_box_that_was_killed_before_it_noted_what_it_published_publishes_nothing_twice() {
    let site = Site::new();
    let mut edge = site.forwarding_box();
    edge.journal(&history());
    edge.run_until_delivered();
    edge.journal_transactions(3_000);
    let copy = tempfile::tempdir().expect("a folder");
    copy_files(edge.folder.path(), copy.path());
    edge.run_until_delivered();
    let all = 1..=3_000 + history().len() as u64;
    assert_once(&site.seqs(), all.clone());
    // The disk is as it was before the drain: every acknowledgement is lost.
    edge.restart_from(copy.path(), Box::new(site.destination()));
    assert_eq!(edge.status().balance.backlog, 3_000);
    edge.run_until_delivered();
    assert_once(&site.seqs(), all);
}

#[test]
fn a_batch_of_which_a_part_arrived_goes_on_behind_that_part() {
    let site = Site::new();
    let mut edge = site.forwarding_box();
    edge.journal(&history());
    edge.run_until_delivered();
    edge.journal(&history());
    let there = history().len() as u64;
    let mut who = writer("box-1", 0);
    who.store_id = edge.store.store_id();
    let limit = ReadLimit {
        records: 17,
        bytes: usize::MAX,
    };
    let records = edge
        .store
        .read(seq(there + 1), limit)
        .expect("read")
        .records;
    let begun = Batch {
        range: SeqRange::new(seq(there + 1), seq(there + 17)),
        records,
    };
    opened(site.destination(), &who)
        .send(&begun)
        .expect("a part of what is journaled");
    edge.run_until_delivered();
    assert_once(&site.seqs(), 1..=2 * there);
}

#[test]
fn what_arrives_late_is_refused_also_when_its_id_is_forgotten() {
    // The shortest time that a stream may remember ids.
    let site = Site::with_stream(|config| {
        config.duplicate_window = std::time::Duration::from_millis(100);
    });
    let who = writer("box-1", 1);
    let mut late = opened(site.destination(), &who);
    opened(site.destination(), &who)
        .send(&part(1, 40))
        .expect("published");
    let there = site.seqs();
    for _ in 0..4 {
        pause();
    }
    let refused = late.send(&part(1, 40));
    assert!(
        matches!(refused, Err(SendError::Retry { .. })),
        "{refused:?}"
    );
    assert_eq!(site.seqs(), there);
    // It reads anew what is there, and goes on behind.
    assert_eq!(late.open(&who).expect("opened").highest(), seq(40));
    late.send(&part(41, 10)).expect("published");
    assert_once(&site.seqs(), 1..=50);
}

#[test]
fn what_the_stream_takes_for_a_double_is_looked_at_and_not_believed() {
    let site = Site::new();
    let who = writer("box-1", 1);
    let mut late = opened(site.destination(), &who);
    let mut quick = opened(site.destination(), &who);
    let run = part(1, 2);
    quick.send(&run).expect("published");
    let doubted = late.send(&run).expect_err("it is there already");
    assert!(matches!(doubted, SendError::Retry { .. }), "{doubted:?}");
    assert_eq!(late.open(&who).expect("opened").highest(), seq(2));
    // After a purge nothing is there, and the stream still remembers the id.
    site.purge();
    assert_eq!(late.open(&who).expect("opened").applied, []);
    // Servers differ in what they look at first, so that the id may be doubted now only.
    if late.send(&run).is_err() {
        assert_eq!(late.open(&who).expect("opened").applied, []);
        late.send(&run).expect("published under another id");
    }
    assert_eq!(site.seqs(), [1, 2]);
}

#[test]
fn the_receipt_is_the_end_of_the_stream_also_behind_what_was_filtered() {
    let site = Site::new();
    let who = writer("box-1", 1);
    let mut to = opened(site.destination(), &who);
    let mut filtered = part(1, 50);
    filtered.range = SeqRange::new(seq(1), seq(70));
    to.send(&filtered).expect("published");
    let nothing = Batch {
        range: SeqRange::new(seq(71), seq(80)),
        records: Vec::new(),
    };
    to.send(&nothing).expect("nothing to publish");
    let receipt = to.open(&who).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(1), seq(70))]);
    // Another store of the same box begins anew.
    assert_eq!(to.open(&writer("box-1", 2)).expect("opened").applied, []);
}

#[test]
fn what_is_replayed_is_there_once_more_and_turns_no_receipt_back() {
    let site = Site::new();
    let who = writer("box-1", 1);
    let mut to = opened(site.destination(), &who);
    to.send(&part(1, 100)).expect("published");
    to.send(&part(1, 50)).expect("published again");
    assert_eq!(to.open(&who).expect("opened").highest(), seq(100));
    to.send(&part(101, 20)).expect("published");
    let expected: Vec<u64> = (1..=100).chain(1..=50).chain(101..=120).collect();
    assert_eq!(site.seqs(), expected);
}

#[test]
fn a_stream_that_is_purged_or_deleted_goes_on_where_the_box_was() {
    let site = Site::new();
    let mut edge = site.forwarding_box();
    edge.journal_transactions(40);
    edge.run_until_delivered();
    site.purge();
    edge.journal_transactions(10);
    edge.run_until_delivered();
    assert_once(&site.seqs(), 41..=50);
    let deleted = site.context.delete_stream(&site.options.stream);
    shared().block_on(deleted).expect("deleted");
    edge.journal_transactions(10);
    edge.run_until_delivered();
    assert_once(&site.seqs(), 51..=60);
}

#[test]
fn a_source_of_another_box_holds_until_a_person_claims_it() {
    let site = Site::new();
    let (one, two) = (writer("box 1.a", 1), writer("box-2", 2));
    let mut first = opened(site.destination(), &one);
    first.send(&part(1, 60)).expect("published");
    let mut second = site.destination();
    let why = claimed(second.open(&two));
    assert!(why.contains("claimed by box \"box%201.a\""), "{why}");
    assert!(why.contains("thrio-edge claim --source main"), "{why}");
    let mut claiming = two.clone();
    claiming.take_over.push(source());
    second.open(&claiming).expect("claimed");
    // The claim stands before anything was published, and ends the former one.
    second.open(&two).expect("opened");
    assert!(first.send(&part(61, 60)).is_err());
    claimed(first.open(&one));
    second.send(&part(1, 5)).expect("published");
    let expected: Vec<u64> = (1..=60).chain(1..=5).collect();
    assert_eq!(site.seqs(), expected, "a claim holds no record");
}

#[test]
fn of_two_stores_of_one_box_the_replaced_one_is_held_instead_of_both_taking_turns() {
    let site = Site::new();
    let (old, new) = (writer("box-1", 1), writer("box-1", 2));
    let mut twin = opened(site.destination(), &old);
    twin.send(&part(1, 20)).expect("published");
    opened(site.destination(), &new)
        .send(&part(1, 20))
        .expect("published");
    assert!(twin.send(&part(21, 20)).is_err());
    let why = claimed(twin.open(&old));
    assert!(why.contains("same id"), "{why}");
    opened(site.destination(), &new)
        .send(&part(21, 5))
        .expect("published");
}
