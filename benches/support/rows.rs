//! What the drains to databases send: batches of one kind of record, as many as are asked for.

use thrio_edge::destination::Writer;
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::{
    AgentId, BoxId, QueueId, RecordSeq, SeqRange, SourceName, StateText, StoreId,
};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::record::{
    Category, Figures, IntervalRecord, Origin, Record, RevisionReason, Run, SequencedRecord,
    StateTransaction,
};
use thrio_edge::domain::timestamp::WallTime;

/// Records in a batch.
pub(crate) const BATCH: u64 = 2_000;
const AGENTS: u64 = 3_000;
const QUEUES: u64 = 500;

/// Makes the record of a sequence number.
pub(crate) type Make = fn(u64) -> Record;

/// What is drained, by name.
pub(crate) const WORKLOADS: [(&str, Make); 2] =
    [("transactions", transaction), ("intervals", interval)];

/// The `n`th batch.
pub(crate) fn batch(n: u64, make: Make) -> Batch {
    let first = n * BATCH + 1;
    let records = (first..first + BATCH).map(|seq| SequencedRecord {
        seq: RecordSeq::new(seq),
        record: make(seq),
    });
    Batch {
        range: SeqRange::new(RecordSeq::new(first), RecordSeq::new(first + BATCH - 1)),
        records: records.collect(),
    }
}

/// Who sends them.
pub(crate) fn writer() -> Writer {
    Writer {
        box_id: BoxId::new("bench").expect("an id"),
        store_id: StoreId::from_bits(1),
        sources: vec![source()],
        take_over: Vec::new(),
    }
}

fn source() -> SourceName {
    SourceName::new("main").expect("a name")
}

fn transaction(n: u64) -> Record {
    let at = WallTime::from_ms(1_764_000_000_000 + i64::try_from(n).expect("few") * 30);
    Record::Transaction(StateTransaction {
        source: source(),
        agent: AgentId::new(&format!("agent-{:06}", n * 7_919 % AGENTS)).expect("an id"),
        started_at: at,
        state: StateText::new("Ready").expect("a state"),
        category: Category::Available,
        previous_state: Some(StateText::new("Wrap-up").expect("a state")),
        earliest_at: Some(at.plus_ms(-7_000)),
        observed_at: at.plus_ms(8_000),
        origin: Origin::Observed,
        clamped: false,
        tied: false,
    })
}

fn interval(n: u64) -> Record {
    let quarter = i64::try_from(n / QUEUES).expect("few");
    Record::Interval(IntervalRecord {
        source: source(),
        queue: QueueId::new(&format!("queue-{:04}", n % QUEUES)).expect("an id"),
        interval_start: IntervalStart::containing(WallTime::from_s(1_764_000_000)).plus(quarter),
        figures: Figures {
            entered: Some(n % 40),
            abandoned: Some(n % 3),
            handle_time_s: Some(n % 40 * 280),
        },
        revision: 1,
        answered_at: WallTime::from_s(1_764_000_000 + quarter * 900 + 1_000),
        run: Run::Live,
        reason: RevisionReason::First,
        suspect: None,
    })
}

/// The first and the last start, in Unix seconds, of what so many batches of intervals hold.
pub(crate) fn interval_starts_s(batches: u64) -> (i64, i64) {
    let start_s = |n: u64| match interval(n) {
        Record::Interval(record) => record.interval_start.s(),
        _ => unreachable!("it makes intervals"),
    };
    (start_s(1), start_s(batches * BATCH))
}

/// As a database takes a sum.
pub(crate) fn figure(sum: Option<u64>) -> Option<i64> {
    sum.map(|sum| i64::try_from(sum).expect("small"))
}

/// As a database takes a place.
pub(crate) fn number(seq: RecordSeq) -> i64 {
    i64::try_from(seq.get()).expect("few")
}
