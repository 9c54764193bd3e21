use super::*;
use crate::domain::ids::{AgentId, Feed, SourceName, StateText};
use crate::domain::interval::IntervalStart;
use crate::domain::record::{Category, Origin, StateTransaction};
use crate::domain::timestamp::WallTime;

fn seq(n: u64) -> RecordSeq {
    RecordSeq::new(n)
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange::new(seq(first), seq(last))
}

fn transaction(n: u64, source: &str, at_s: i64) -> SequencedRecord {
    SequencedRecord {
        seq: seq(n),
        record: Record::Transaction(StateTransaction {
            source: SourceName::new(source).unwrap(),
            agent: AgentId::new("a-1").unwrap(),
            started_at: WallTime::from_s(at_s),
            state: StateText::new("Ready").unwrap(),
            category: Category::Available,
            previous_state: None,
            earliest_at: Some(WallTime::from_s(at_s - 15)),
            observed_at: WallTime::from_s(at_s + 15),
            origin: Origin::Observed,
            clamped: false,
            tied: true,
        }),
    }
}

fn cut(first: u64, last: u64, records: usize) -> Cut {
    Cut {
        lane: Lane::Backlog,
        within: SeqRange::new(seq(first), seq(last)),
        records,
        bytes: usize::MAX,
    }
}

fn seqs(parcel: &Parcel) -> Vec<u64> {
    parcel.batch.records.iter().map(|r| r.seq.get()).collect()
}

#[test]
fn every_position_of_the_range_is_accounted_for_once() {
    let filter = DeliveryFilter {
        sources: vec![SourceName::new("main").unwrap()],
        ..DeliveryFilter::default()
    };
    let refused = BTreeSet::from([seq(12)]);
    let mut building = Builder::new(cut(3, 20, 100), seq(6), &filter, &refused);
    assert_eq!(building.wants().map(|w| w.0), Some(seq(6)));
    // 3..=5 and 15..=17 have expired, 8, 9 and 14 are damaged, 10 belongs to another tenant, 12 was refused.
    building.take(
        vec![
            transaction(6, "main", 0),
            transaction(7, "main", 1),
            transaction(10, "other", 2),
            transaction(11, "main", 3),
            transaction(12, "main", 4),
        ],
        &[],
        &[range(8, 9)],
    );
    building.take(
        vec![transaction(13, "main", 5)],
        &[range(15, 17)],
        &[range(14, 14)],
    );
    let parcel = building.finish().unwrap();
    assert_eq!(seqs(&parcel), [6, 7, 11, 13]);
    assert_eq!(parcel.batch.range, range(3, 17));
    let expected = ParcelCounts {
        filtered: 1,
        quarantined: 1,
        damaged: 3,
        expired: 6,
    };
    assert_eq!(parcel.counts, expected);
    assert_eq!(parcel.batch.range.count(), 4 + 1 + 1 + 6 + 3);
}

#[test]
fn a_batch_ends_at_its_record_count_its_bytes_and_its_lane() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let page = || {
        (1..=9)
            .map(|n| transaction(n, "main", 0))
            .collect::<Vec<_>>()
    };

    let mut by_count = Builder::new(cut(1, 9, 4), seq(1), &filter, &none);
    by_count.take(page(), &[], &[]);
    assert_eq!(by_count.wants(), None);
    assert_eq!(by_count.finish().unwrap().batch.range.last, seq(4));

    let one = approx_json_bytes(&transaction(1, "main", 0).record);
    let small = Cut {
        bytes: one * 2 + 1,
        ..cut(1, 9, 100)
    };
    let mut by_bytes = Builder::new(small, seq(1), &filter, &none);
    by_bytes.take(page(), &[], &[]);
    assert_eq!(seqs(&by_bytes.finish().unwrap()), [1, 2]);

    let mut by_lane = Builder::new(cut(1, 3, 100), seq(1), &filter, &none);
    by_lane.take(page(), &[], &[]);
    assert_eq!(by_lane.finish().unwrap().batch.range.last, seq(3));
}

#[test]
fn one_record_over_the_byte_limit_is_sent_alone() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let tiny = Cut {
        bytes: 1,
        ..cut(1, 9, 100)
    };
    let mut building = Builder::new(tiny, seq(1), &filter, &none);
    building.take(
        vec![transaction(1, "main", 0), transaction(2, "main", 1)],
        &[],
        &[],
    );
    assert_eq!(seqs(&building.finish().unwrap()), [1]);
}

#[test]
fn a_page_without_progress_ends_the_cut() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let mut building = Builder::new(cut(5, 9, 100), seq(1), &filter, &none);
    building.take(Vec::new(), &[], &[]);
    assert_eq!(building.wants(), None);
    assert!(building.finish().is_none());
}

/// Once, what a page did not speak of was taken for damaged, and two mistakes elsewhere left whole
/// records out.
#[test]
fn a_position_that_no_page_names_is_never_passed() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let mut building = Builder::new(cut(1, 9, 100), seq(1), &filter, &none);
    let page = [1, 2, 5].map(|n| transaction(n, "main", 0)).to_vec();
    building.take(page, &[range(7, 8)], &[range(4, 4)]);
    assert_eq!(building.wants().map(|wanted| wanted.0), Some(seq(3)));
    building.take(vec![transaction(3, "main", 0)], &[], &[range(4, 4)]);
    let parcel = building.finish().unwrap();
    assert_eq!(seqs(&parcel), [1, 2, 3]);
    assert_eq!(parcel.batch.range, range(1, 4));
    assert_eq!(parcel.counts.damaged, 1);
}

/// A hole may be longer than what is cut, and a lane ends within it.
#[test]
fn a_hole_is_passed_only_as_far_as_the_lane_goes() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let mut building = Builder::new(cut(3, 6, 100), seq(1), &filter, &none);
    let page = [3, 9].map(|n| transaction(n, "main", 0)).to_vec();
    building.take(page, &[range(1, 2), range(6, 8)], &[range(4, 5)]);
    assert_eq!(building.wants(), None);
    let parcel = building.finish().unwrap();
    assert_eq!(parcel.batch.range, range(3, 6));
    assert_eq!((parcel.counts.damaged, parcel.counts.expired), (2, 1));
}

#[test]
fn a_range_that_expired_whole_is_accounted_for_without_reading() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let building = Builder::new(cut(5, 9, 100), seq(40), &filter, &none);
    assert_eq!(building.wants(), None);
    let parcel = building.finish().unwrap();
    assert_eq!(parcel.counts.expired, 5);
    assert_eq!(parcel.batch.range, range(5, 9));
}

#[test]
fn before_facts_from_an_agents_first_row_is_a_resync_at_that_time() {
    let from = IntervalStart::aligned_s(9_000).unwrap();
    let filter = DeliveryFilter {
        facts_from: Some(from),
        feeds: vec![Feed::Realtime],
        ..DeliveryFilter::default()
    };
    let Some(Record::Transaction(moved)) = filter.pass(transaction(1, "main", 8_000).record) else {
        panic!("a transaction passes");
    };
    assert_eq!(moved.started_at, from.start());
    assert_eq!(moved.origin, Origin::Resync);
    assert_eq!((moved.earliest_at, moved.tied), (None, false));
    assert!(moved.observed_at >= moved.started_at);
    let later = transaction(2, "main", 9_000).record;
    assert_eq!(filter.pass(later.clone()), Some(later));
}

#[test]
fn the_last_record_of_a_page_that_does_not_fit_is_left_for_the_next_batch() {
    let filter = DeliveryFilter::default();
    let none = BTreeSet::new();
    let one = approx_json_bytes(&transaction(1, "main", 0).record);
    let by_bytes = Cut {
        bytes: one + 1,
        ..cut(1, 9, 100)
    };
    let by_count = cut(1, 9, 1);
    for limit in [by_bytes, by_count] {
        // Whether it comes with the one that fits, or by itself in the page after it.
        let both = vec![transaction(1, "main", 0), transaction(2, "main", 1)];
        let apart = both.iter().map(|record| vec![record.clone()]).collect();
        for pages in [vec![both], apart] {
            let mut building = Builder::new(limit, seq(1), &filter, &none);
            for page in pages {
                building.take(page, &[], &[]);
            }
            let parcel = building.finish().unwrap();
            assert_eq!(seqs(&parcel), [1]);
            assert_eq!(parcel.batch.range, range(1, 1));
            assert_eq!(parcel.counts, ParcelCounts::default());
        }
    }
}
