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
        self.machine.sending(&Parcel {
            lane: cut.lane,
            batch: Batch {
                range,
                records: (first.get()..=last.get()).map(record).collect(),
            },
            counts: ParcelCounts::default(),
        });
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
    bench.head = 50;
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
