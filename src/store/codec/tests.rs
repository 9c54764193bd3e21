use std::sync::Arc;

use super::*;
use crate::domain::agent::AgentDetails;
use crate::domain::ids::Feed;
use crate::domain::interval::IntervalStart;
use crate::domain::queue::QueueDetails;
use crate::domain::record::{
    Category, CoverageStatus, Figures, Origin, RevisionReason, RosterChange, Run, Suspect,
};

const STORE: StoreId = StoreId::from_bits(0x0123_4567_89ab_cdef);
const FIRST: RecordSeq = RecordSeq::new(41);
const AT: WallTime = WallTime::from_s(1_785_000_000);

fn source() -> SourceName {
    SourceName::new("main").unwrap()
}

fn state(text: &str) -> StateText {
    StateText::new(text).unwrap()
}

fn transaction(n: u64) -> StateTransaction {
    let observed_at = AT.plus_ms(n.cast_signed() / 450 * 15_000);
    let earliest_at = (!n.is_multiple_of(7)).then(|| observed_at.plus_ms(-15_000));
    StateTransaction {
        source: source(),
        agent: AgentId::new(&format!("{:024x}", n * 7919 % 3_000 * 0x1_0001)).unwrap(),
        started_at: earliest_at.map_or(observed_at, |e| e.midpoint(observed_at)),
        state: state(
            ["Available", "Busy", "Wrapup", "Mittagspause"][usize::try_from(n % 4).unwrap()],
        ),
        category: Category::ALL[usize::try_from(n % 10).unwrap()],
        previous_state: (!n.is_multiple_of(3)).then(|| state("Logged out")),
        earliest_at,
        observed_at,
        origin: [Origin::Observed, Origin::Source, Origin::Gap][usize::try_from(n % 3).unwrap()],
        clamped: n.is_multiple_of(5),
        tied: n.is_multiple_of(11),
    }
}

fn one_of_each() -> Vec<Record> {
    let start = IntervalStart::containing(AT);
    vec![
        Record::Coverage(CoverageEntry {
            source: source(),
            feed: Feed::Realtime,
            interval_start: start,
            status: CoverageStatus::Failed,
            attempts: 3,
            last_error: Some("cut off".to_owned()),
            rows: 9,
            fetched_at: None,
            final_at: Some(AT),
            polls_expected: Some(60),
            polls_made: Some(0),
            unknown_s: None,
        }),
        Record::Transaction(transaction(1)),
        Record::Interval(IntervalRecord {
            source: source(),
            queue: QueueId::all(),
            interval_start: start.plus(-9),
            figures: Figures {
                entered: Some(0),
                abandoned: None,
                handle_time_s: Some(86_400),
            },
            revision: 2,
            answered_at: AT,
            run: Run::Heal,
            reason: RevisionReason::Late,
            suspect: Some(Suspect::Both),
        }),
        Record::Agent(AgentChange {
            source: source(),
            agent: AgentId::new("kim").unwrap(),
            change: RosterChange::Changed,
            details: Arc::new(AgentDetails {
                username: Some("kim".to_owned()),
                first_name: Some(String::new()),
                is_active: true,
                ..AgentDetails::default()
            }),
            valid_from: AT,
            first_seen: WallTime::from_ms(-1),
            provisional: false,
        }),
        Record::Queue(QueueChange {
            source: source(),
            queue: QueueId::new("q-1").unwrap(),
            change: RosterChange::Closed,
            details: QueueDetails::default(),
            valid_from: AT,
            first_seen: AT,
            provisional: true,
        }),
        Record::StateCode(StateCode {
            source: source(),
            state: state("Mittagspause"),
            category: Category::Unmapped,
            first_seen: AT,
            mapped: false,
        }),
        Record::Transaction(transaction(2)),
    ]
}

fn block_of(records: &[Record]) -> Vec<u8> {
    let slots: Vec<_> = records.iter().map(SlotRef::Record).collect();
    encode(STORE, FIRST, AT, &slots)
}

fn records_of(block: Block) -> Vec<Record> {
    let records = block.slots.into_iter().map(|slot| match slot {
        Slot::Record(record) => record,
        hole => panic!("{hole:?} in a block without holes"),
    });
    records.collect()
}

#[test]
fn a_block_gives_back_every_field_of_every_kind_in_order() {
    let records = one_of_each();
    let block = decode(&block_of(&records), &mut Interner::default()).unwrap();
    assert_eq!(block.header.store_id, STORE);
    assert_eq!(block.header.range(), SeqRange::new(FIRST, FIRST.plus(6)));
    assert_eq!(block.header.journaled_at, AT);
    assert_eq!(records_of(block), records);
}

#[test]
fn a_block_holds_its_holes_and_knows_what_they_are() {
    let records = one_of_each();
    let slots = [
        SlotRef::Expired,
        SlotRef::Record(&records[1]),
        SlotRef::Damaged,
        SlotRef::Damaged,
    ];
    let block = decode(&encode(STORE, FIRST, AT, &slots), &mut Interner::default()).unwrap();
    assert_eq!(
        block.slots,
        [
            Slot::Expired,
            Slot::Record(records[1].clone()),
            Slot::Damaged,
            Slot::Damaged
        ]
    );
}

#[test]
fn a_block_is_the_same_wherever_its_texts_lie() {
    let apart: Vec<StateTransaction> = (0..120).map(transaction).collect();
    let together = apart.iter().map(|t| {
        let shared = apart.iter().find(|of| of.state == t.state).unwrap();
        let before = apart.iter().find_map(|of| of.previous_state.clone());
        StateTransaction {
            source: apart[0].source.clone(),
            state: shared.state.clone(),
            previous_state: t.previous_state.as_ref().and(before),
            ..t.clone()
        }
    });
    let together: Vec<Record> = together.map(Record::Transaction).collect();
    let apart: Vec<Record> = apart.into_iter().map(Record::Transaction).collect();
    assert_eq!(block_of(&together), block_of(&apart));
}

#[test]
fn a_lazy_block_makes_at_each_place_what_the_whole_block_has_there() {
    let records = one_of_each();
    let mut slots: Vec<_> = records.iter().map(SlotRef::Record).collect();
    slots.insert(2, SlotRef::Expired);
    slots.push(SlotRef::Damaged);
    let bytes = encode(STORE, FIRST, AT, &slots);
    let lazy = LazyBlock::decode(&bytes, &mut Interner::default()).unwrap();
    let block = decode(&bytes, &mut Interner::default()).unwrap();
    assert_eq!(lazy.len(), block.slots.len());
    // In any order, and more than once.
    for n in (0..lazy.len()).rev().chain(0..lazy.len()) {
        assert_eq!(lazy.slot(n), block.slots[n], "{n}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_an_error_and_never_another_record() {
    let block = block_of(&one_of_each());
    for position in 0..block.len() {
        for bit in 0..8 {
            let mut damaged = block.clone();
            damaged[position] ^= 1 << bit;
            let result = decode(&damaged, &mut Interner::default());
            assert!(result.is_err(), "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn a_payload_of_any_bytes_under_a_right_checksum_never_panics() {
    let seed = 0x7e57_0001;
    let mut rng = fastrand::Rng::with_seed(seed);
    let block = block_of(&one_of_each());
    for round in 0..20_000 {
        let mut bytes = block.clone();
        for _ in 0..rng.usize(1..6) {
            let position = rng.usize(HEADER_BYTES..bytes.len());
            bytes[position] = rng.u8(..);
        }
        let sum = crc(&bytes);
        bytes[CRC_AT..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        let caught = std::panic::catch_unwind(|| decode(&bytes, &mut Interner::default()).is_ok());
        assert!(caught.is_ok(), "seed {seed:#x}, round {round}");
    }
}

#[test]
fn a_poll_of_preset_l_costs_few_bytes_a_record() {
    let records: Vec<_> = (0..450)
        .map(|n| Record::Transaction(transaction(n * 13)))
        .collect();
    let block = block_of(&records);
    assert!(block.len() < 450 * 12, "{} bytes", block.len());
    let back = records_of(decode(&block, &mut Interner::default()).unwrap());
    assert_eq!(back, records);
}

/// Bytes as lines of text, so that a difference can be read.
fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn a_block_of_version_1_is_written_and_read_as_the_golden_file_says() {
    let golden = include_str!("../../../tests/golden/store/block-1.hex");
    let written = hex(&block_of(&one_of_each()));
    assert_eq!(
        written, golden,
        "a change of the layout is a new BLOCK_VERSION"
    );
    let digits: String = golden.split_whitespace().collect();
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    let block = decode(&bytes, &mut Interner::default()).unwrap();
    assert_eq!(records_of(block), one_of_each());
}
