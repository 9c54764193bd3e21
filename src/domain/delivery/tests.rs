//! The machine alone, against a journal that is only a number.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::domain::batch::{Batch, Cut, Lane, Parcel, ParcelCounts};
use crate::domain::call::Do;
use crate::domain::ids::{AgentId, RecordSeq, SeqRange, SourceName, StateText};
use crate::domain::record::{Category, Origin, Record, SequencedRecord, StateTransaction};
use crate::domain::timestamp::{Now, WallTime};

/// A machine with its journal and the receipt that its destination would show.
struct Bench {
    machine: DeliveryMachine,
    now: Now,
    head: u64,
    receipt: SeqRanges,
    /// Room for a batch, kept so that ten million records need not be made.
    records: Vec<SequencedRecord>,
}

fn seq(n: u64) -> RecordSeq {
    RecordSeq::new(n)
}

fn record(n: u64) -> SequencedRecord {
    SequencedRecord {
        seq: seq(n),
        record: Record::Transaction(StateTransaction {
            source: SourceName::new("main").unwrap(),
            agent: AgentId::new("a-1").unwrap(),
            started_at: WallTime::from_ms(1),
            state: StateText::new("Ready").unwrap(),
            category: Category::Available,
            previous_state: None,
            earliest_at: None,
            observed_at: WallTime::from_ms(1),
            origin: Origin::Observed,
            clamped: false,
            tied: false,
        }),
    }
}

fn gone() -> SendError {
    SendError::Retry {
        message: "gone".to_owned(),
        retry_after: None,
        unreachable: true,
    }
}

impl Bench {
    fn new(batch_records: usize) -> Self {
        let options = DeliveryOptions {
            batch_records,
            ..DeliveryOptions::default()
        };
        let progress = DeliveryProgress::default();
        let rng = Rng::with_seed(5);
        Self {
            machine: DeliveryMachine::new(options, progress, seq(0), BTreeSet::new(), rng),
            now: Now::default(),
            head: 0,
            receipt: SeqRanges::default(),
            records: Vec::new(),
        }
    }

    fn view(&self) -> JournalView {
        JournalView {
            first: seq(1),
            head: seq(self.head),
        }
    }

    /// The next step, however long the machine wants to wait for it.
    fn next_step(&mut self) -> Step {
        loop {
            match self.machine.begin(self.now, self.view()) {
                Do::Call(step) => return step,
                Do::WaitUntil(until) => {
                    assert!(until > self.now.mono, "a wait that does not end");
                    self.now.mono = until;
                }
            }
        }
    }

    /// Carries out one step with a destination that takes everything.
    fn succeed(&mut self) -> Step {
        let step = self.next_step();
        match step {
            Step::Open => {
                let view = self.view();
                let verdict = self.machine.opened(view, self.receipt.as_slice(), 0);
                assert_eq!(verdict, OpenVerdict::Ready);
            }
            Step::Current { .. } => self.machine.current_sent(self.now, 3, 0),
            Step::Send(cut) => {
                let range = self.cut(cut);
                self.receipt.insert(range);
                self.machine.accepted(self.now);
            }
            _ => drop(self.machine.accepted(self.now)),
        }
        self.check();
        step
    }

    fn cut(&mut self, cut: Cut) -> SeqRange {
        let first = cut.within.first;
        let last = seq(first.get() + cut.records as u64 - 1).min(cut.within.last);
        let range = SeqRange::new(first, last);
        let mut records = std::mem::take(&mut self.records);
        let count = usize::try_from(range.count()).unwrap();
        records.resize(records.len().max(count), record(first.get()));
        let mut spare = records.split_off(count);
        records[0].seq = first;
        let parcel = Parcel {
            lane: cut.lane,
            batch: Batch { range, records },
            counts: ParcelCounts::default(),
        };
        self.machine.sending(&parcel);
        self.records = parcel.batch.records;
        self.records.append(&mut spare);
        range
    }

    fn fail(&mut self) {
        if let Step::Send(cut) = self.next_step() {
            self.cut(cut);
        }
        self.machine.failed(self.now, &gone());
        self.check();
    }

    fn check(&self) {
        let status = self.machine.status(seq(self.head));
        assert!(status.balance.holds(), "{status:?}");
        assert!(status.ranges <= HOLES_MAX, "{} ranges", status.ranges);
    }
}

#[test]
fn a_hundred_outages_in_the_middle_of_a_drain_leave_at_most_64_ranges_and_lose_nothing() {
    let mut bench = Bench::new(4);
    for _ in 0..100 {
        bench.head += 500;
        // Until something of the live lane has arrived, or it is clear that none opens.
        for _ in 0..40 {
            bench.head += 1;
            let step = bench.succeed();
            if matches!(step, Step::Send(cut) if cut.lane == Lane::Live) {
                break;
            }
        }
        bench.fail();
    }
    assert!(
        bench.machine.status(seq(bench.head)).ranges > 32,
        "holes were made"
    );
    while bench.machine.balance(seq(bench.head)).backlog > 0 {
        bench.succeed();
    }
    assert_eq!(
        bench.receipt.as_slice(),
        [SeqRange::new(seq(1), seq(bench.head))]
    );
}

#[test]
fn the_present_is_there_two_calls_after_the_first_success() {
    let mut bench = Bench::new(10);
    bench.head = 5_000;
    bench.fail();
    bench.fail();
    while !matches!(bench.next_step(), Step::Open) {
        bench.machine.accepted(bench.now);
    }
    bench.machine.reopen();
    assert_eq!(bench.succeed(), Step::Open);
    assert!(matches!(bench.succeed(), Step::Current { offset: 0, .. }));
    assert_eq!(bench.succeed(), Step::Heartbeat);
    bench.head += 10;
    let live =
        |bench: &mut Bench| matches!(bench.succeed(), Step::Send(cut) if cut.lane == Lane::Live);
    assert!(live(&mut bench) || live(&mut bench), "within two batches");
}

#[test]
fn a_short_backlog_is_simply_sent() {
    let mut bench = Bench::new(100);
    bench.head = 20;
    let steps: Vec<_> = (0..4).map(|_| bench.succeed()).collect();
    assert!(
        steps.iter().all(|s| !matches!(s, Step::Current { .. })),
        "{steps:?}"
    );
}

#[test]
fn the_lanes_take_turns_so_that_neither_starves() {
    let mut bench = Bench::new(10);
    bench.head = 2_000;
    for _ in 0..3 {
        bench.succeed();
    }
    let mut lanes = Vec::new();
    for _ in 0..40 {
        bench.head += 50;
        if let Step::Send(cut) = bench.succeed() {
            lanes.push(cut.lane);
        }
    }
    let live = lanes.iter().filter(|lane| **lane == Lane::Live).count();
    assert!((10..=30).contains(&live), "{lanes:?}");
}

#[test]
fn a_receipt_beyond_the_head_of_the_start_is_a_rolled_back_store_even_when_the_head_passed_it() {
    let mut bench = Bench::new(10);
    bench.head = 900;
    assert_eq!(bench.next_step(), Step::Open);
    let receipt = [SeqRange::new(seq(1), seq(40))];
    let verdict = bench.machine.opened(bench.view(), &receipt, 0);
    assert_eq!(verdict, OpenVerdict::RolledBack);
    // Under the new store id nothing is applied, and everything unacknowledged goes.
    assert_eq!(bench.succeed(), Step::Open);
    while bench.machine.balance(seq(900)).backlog > 0 {
        bench.succeed();
    }
    assert_eq!(bench.machine.progress().counts.acknowledged, 900);
}

#[test]
fn batches_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
    let mut bench = Bench::new(64);
    bench.head = 60;
    bench.succeed();
    let small = bench.machine.status(seq(60)).batch_records;
    bench.head = 3_000;
    for _ in 0..12 {
        bench.succeed();
    }
    let grown = bench.machine.status(seq(3_000)).batch_records;
    assert!(grown > small && grown == 64, "{small} {grown}");
    let Step::Send(cut) = bench.next_step() else {
        panic!("there is more to send");
    };
    bench.cut(cut);
    bench.now.mono = bench.now.mono.plus(Duration::from_secs(6));
    bench.machine.accepted(bench.now);
    assert_eq!(bench.machine.status(seq(3_000)).batch_records, 32);
}

#[test]
fn an_outcome_that_was_never_told_is_asked_of_the_receipt() {
    let mut bench = Bench::new(10);
    bench.succeed();
    bench.succeed();
    bench.head = 10;
    let Step::Send(cut) = bench.next_step() else {
        panic!("there is something to send");
    };
    let range = bench.cut(cut);
    bench.receipt.insert(range);
    // The process went on without an answer: the destination has it all the same.
    assert_eq!(bench.succeed(), Step::Open);
    assert!(bench.machine.progress().done.contains(&range));
}

/// A destination with a latency, in front of a journal that grows in time.
struct Drain {
    bench: Bench,
    /// Records that wait at the beginning.
    waiting: u64,
    /// Records a second.
    arriving: u64,
    per_call: Duration,
    per_record: Duration,
    /// How long each record of the live lane took from the journal to its acknowledgement.
    live: Vec<Duration>,
    backlog_next: RecordSeq,
}

impl Drain {
    fn new(waiting: u64, per_record: Duration) -> Self {
        let mut bench = Bench::new(2_000);
        bench.head = waiting;
        Self {
            bench,
            waiting,
            arriving: 117,
            per_call: Duration::from_millis(5),
            per_record,
            live: Vec::new(),
            backlog_next: seq(1),
        }
    }

    fn journaled_at(&self, seq: RecordSeq) -> Duration {
        let after = seq.get().saturating_sub(self.waiting);
        Duration::from_micros(after * 1_000_000 / self.arriving)
    }

    fn since_start(&self) -> Duration {
        self.bench.now.mono.since_start()
    }

    fn grow(&mut self) {
        let seconds = self.since_start().as_secs_f64();
        let passed = Duration::from_secs_f64(seconds).as_micros();
        let arrived = passed * u128::from(self.arriving) / 1_000_000;
        self.bench.head = self.waiting + u64::try_from(arrived).unwrap();
    }

    /// One call, which takes its time; its step, and what it said of it.
    fn call(&mut self) -> Step {
        self.grow();
        let step = self.bench.next_step();
        self.grow();
        let range = match step {
            Step::Send(cut) => Some(self.bench.cut(cut)),
            _ => None,
        };
        let records = range.map_or(0, SeqRange::count);
        let took = self.per_call + self.per_record * u32::try_from(records).unwrap();
        self.bench.now.mono = self.bench.now.mono.plus(took);
        self.grow();
        match step {
            Step::Open => {
                let view = self.bench.view();
                let receipt = self.bench.receipt.as_slice().to_vec();
                self.bench.machine.opened(view, &receipt, 0);
            }
            Step::Current { .. } => self.bench.machine.current_sent(self.bench.now, 100, 0),
            _ => drop(self.bench.machine.accepted(self.bench.now)),
        }
        if let (Step::Send(cut), Some(range)) = (step, range) {
            self.arrived(cut.lane, range);
        }
        step
    }

    fn arrived(&mut self, lane: Lane, range: SeqRange) {
        self.bench.receipt.insert(range);
        if lane == Lane::Live {
            for n in range.first.get()..=range.last.get() {
                let took = self.since_start().saturating_sub(self.journaled_at(seq(n)));
                self.live.push(took);
            }
        } else {
            assert!(
                range.first >= self.backlog_next,
                "the backlog is sent in order"
            );
            self.backlog_next = range.last.next();
        }
    }

    /// What waited is there in one range with what came since, but for what is on its way.
    fn is_done(&self) -> bool {
        let [only] = self.bench.receipt.as_slice() else {
            return false;
        };
        only.first == seq(1) && seq(self.bench.head).since(only.last) < 5 * self.arriving
    }

    /// Nothing answers for so long, and then an attempt succeeds. How long the present took from
    /// there.
    fn outage(&mut self, time: Duration) -> Duration {
        let end = self.bench.now.mono.plus(time);
        let mut last_attempt = self.bench.now.mono;
        while self.bench.now.mono < end {
            self.bench.next_step();
            let since_last = self.bench.now.mono.since(last_attempt);
            assert!(
                since_last <= Duration::from_secs(10),
                "{since_last:?} without an attempt"
            );
            last_attempt = self.bench.now.mono;
            self.bench.machine.failed(self.bench.now, &gone());
        }
        let mut step = self.call();
        let answered = self.bench.now.mono;
        while !matches!(step, Step::Current { .. }) {
            assert!(!matches!(step, Step::Send(_)), "the present goes first");
            step = self.call();
        }
        self.bench.now.mono.since(answered)
    }

    fn live_p99(&mut self) -> Duration {
        self.live.sort_unstable();
        self.live[self.live.len() * 99 / 100]
    }
}

#[test]
fn ten_million_records_drain_in_order_behind_a_live_lane_that_stays_fresh() {
    // What SQLite takes on a small box, and a database so slow that batches nearly shrink.
    for (waiting, per_record, long) in [
        (
            10_000_000,
            Duration::from_micros(33),
            Duration::from_hours(72),
        ),
        (500_000, Duration::from_millis(2), Duration::from_hours(1)),
    ] {
        let mut drain = Drain::new(waiting, per_record);
        let mut outages = 0;
        while !drain.is_done() {
            drain.call();
            // Twice in the middle, for long (three days) and for a minute.
            let third = drain.bench.receipt.count() * 10 / (waiting * 3);
            if third > outages && outages < 2 {
                let time = [long, Duration::from_mins(1)];
                let present = drain.outage(time[usize::try_from(outages).unwrap()]);
                assert!(present <= Duration::from_secs(2), "{present:?}");
                outages += 1;
            }
            drain.bench.check();
        }
        let p99 = drain.live_p99();
        assert!(
            p99 < Duration::from_secs(10),
            "{per_record:?} a record: live p99 {p99:?}"
        );
    }
}
