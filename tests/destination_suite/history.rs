//! Journals as a box could have written them, from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::{SourceName, StateText};
use thrio_edge::domain::record::{
    Category, IntervalRecord, Origin, Record, RosterChange, StateCode, Suspect,
};
use thrio_edge::domain::timestamp::WallTime;

use super::records;

/// The first moment of a history; an hour's start.
const BEGIN_MS: i64 = 1_764_000_000_000;
const STATES: [&str; 4] = ["Available", "Busy", "Bereit für Ä", "昼休み"];
const ORIGINS: [Origin; 5] = [
    Origin::Source,
    Origin::Observed,
    Origin::Inferred,
    Origin::Resync,
    Origin::Gap,
];

/// The sources of a history.
pub(crate) fn sources() -> Vec<SourceName> {
    ["main", "other"]
        .map(|name| SourceName::new(name).expect("a name"))
        .to_vec()
}

/// Writes `count` records of every kind, about few keys, so that most are written more than once.
pub(crate) fn random(rng: &mut Rng, count: usize) -> Vec<Record> {
    let mut now_ms = BEGIN_MS;
    let mut revisions: BTreeMap<(usize, u8, i64), u32> = BTreeMap::new();
    let sources = sources();
    let one = |_| {
        now_ms += rng.i64(1..900_000);
        // Mostly one source, as in life.
        let of = usize::from(rng.u8(0..5) == 0);
        let mut record = match rng.u8(0..12) {
            0..5 => transaction(rng, now_ms),
            5..8 => interval(rng, now_ms, of, &mut revisions),
            8 => coverage(rng, now_ms),
            9 => agent(rng, now_ms),
            10 => queue(rng, now_ms),
            _ => state_code(rng, now_ms),
        };
        set_source(&mut record, &sources[of]);
        record
    };
    (0..count).map(one).collect()
}

/// Cuts records into batches of random sizes, in order.
pub(crate) fn cut(rng: &mut Rng, first: u64, records: &[Record]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut from = 0;
    while from < records.len() {
        let to = (from + rng.usize(1..12)).min(records.len());
        batches.push(records::batch(first + from as u64, &records[from..to]));
        from = to;
    }
    batches
}

fn set_source(record: &mut Record, source: &SourceName) {
    let place = match record {
        Record::Interval(record) => &mut record.source,
        Record::Transaction(record) => &mut record.source,
        Record::Agent(record) => &mut record.source,
        Record::Queue(record) => &mut record.source,
        Record::Coverage(record) => &mut record.source,
        Record::StateCode(record) => &mut record.source,
    };
    *place = source.clone();
}

fn transaction(rng: &mut Rng, now_ms: i64) -> Record {
    let agent = format!("a-{}", rng.u8(0..5));
    let state = STATES[rng.usize(0..STATES.len())];
    let mut made = records::transaction(&agent, now_ms, state);
    made.origin = ORIGINS[rng.usize(0..ORIGINS.len())];
    made.category = Category::ALL[rng.usize(0..Category::ALL.len())];
    made.clamped = rng.bool();
    made.tied = rng.bool();
    made.previous_state = rng
        .bool()
        .then(|| StateText::new("Break").expect("a state"));
    made.earliest_at = rng.bool().then(|| WallTime::from_ms(now_ms - 15_000));
    Record::Transaction(made)
}

fn interval(
    rng: &mut Rng,
    now_ms: i64,
    of: usize,
    revisions: &mut BTreeMap<(usize, u8, i64), u32>,
) -> Record {
    let (queue, n) = (rng.u8(0..3), rng.i64(0..4));
    let revision = revisions.entry((of, queue, n)).or_insert(0);
    *revision += 1;
    let mut made: IntervalRecord = records::interval(&format!("q-{queue}"), n, *revision, now_ms);
    made.figures.entered = rng.bool().then(|| rng.u64(0..50));
    made.figures.abandoned = rng.bool().then(|| rng.u64(0..5));
    made.suspect = (rng.u8(0..8) == 0).then_some(Suspect::Both);
    Record::Interval(made)
}

fn coverage(rng: &mut Rng, now_ms: i64) -> Record {
    let mut made = records::coverage(rng.i64(0..4), rng.bool().then_some(now_ms));
    made.attempts = rng.u32(1..5);
    made.last_error = rng.bool().then(|| "timed out".to_owned());
    made.polls_made = rng.bool().then_some(60);
    Record::Coverage(made)
}

fn roster_change(rng: &mut Rng) -> RosterChange {
    if rng.u8(0..3) == 0 {
        RosterChange::Closed
    } else {
        RosterChange::Changed
    }
}

fn agent(rng: &mut Rng, now_ms: i64) -> Record {
    let mut made = records::agent(&format!("a-{}", rng.u8(0..4)), now_ms, "Kim");
    made.change = roster_change(rng);
    made.provisional = rng.u8(0..4) == 0;
    Arc::make_mut(&mut made.details).email = rng.bool().then(|| "kim@example.com".to_owned());
    Record::Agent(made)
}

fn queue(rng: &mut Rng, now_ms: i64) -> Record {
    let change = roster_change(rng);
    let made = records::queue(&format!("q-{}", rng.u8(0..3)), now_ms, change);
    Record::Queue(made)
}

fn state_code(rng: &mut Rng, now_ms: i64) -> Record {
    Record::StateCode(StateCode {
        source: records::source(),
        state: StateText::new(STATES[rng.usize(0..STATES.len())]).expect("a state"),
        category: Category::ALL[rng.usize(0..Category::ALL.len())],
        first_seen: WallTime::from_ms(now_ms),
        mapped: rng.bool(),
    })
}
