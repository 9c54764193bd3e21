//! A box without threads: one historical machine, a journal in memory, and a Thrio that answers
//! after a second of virtual time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::domain::call::{
    COMMIT_RECORDS_MAX, CallFailure, Decision, Do, FailureKind, HistoricalAnswer, HistoricalCall,
    HistoricalRow, Rejections, Timing,
};
use crate::domain::clock_offset::ClockOptions;
use crate::domain::health::{FeedCounts, FeedState};
use crate::domain::historical::{
    HistoricalMachine, HistoricalOptions, HistoricalStart, KnownInterval, KnownIntervals,
};
use crate::domain::ids::{Feed, QueueId, RecordSeq, SourceName};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::{CoverageEntry, CoverageStatus, Figures, IntervalRecord, Record, Run};
use crate::domain::timestamp::{MonoTime, Now, WallTime};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// What Thrio says of a queue and interval when it is asked at that moment.
pub(super) type Truth = Box<dyn Fn(&QueueId, IntervalStart, WallTime) -> Option<Figures>>;
/// How a call fails, if it does.
pub(super) type Fault = Box<dyn FnMut(WallTime, &HistoricalCall) -> Option<FailureKind>>;

pub(super) struct Rig {
    pub(super) options: HistoricalOptions,
    pub(super) queues: Vec<QueueId>,
    /// What the roster knows of them at each start.
    pub(super) roster: Vec<QueueId>,
    pub(super) truth: Truth,
    pub(super) fault: Fault,
    pub(super) latency: Duration,
    /// Thrio's clock minus the box's.
    pub(super) thrio_ahead: Duration,
    /// Commits that the store still takes; `None` = all.
    pub(super) commits_left: Option<u32>,
    pub(super) now: Now,
    pub(super) installed_at: WallTime,
    pub(super) machine: HistoricalMachine,
    pub(super) journal: Vec<Record>,
    /// The kinds of its records, counted.
    journaled: FeedCounts,
    pub(super) known: HashMap<(QueueId, IntervalStart), KnownInterval>,
    pub(super) coverage: BTreeMap<IntervalStart, CoverageEntry>,
    pub(super) stored: Option<FeedState>,
    pub(super) calls: Vec<Made>,
    pub(super) import_wanted: bool,
}

/// A call that was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) sent: Now,
    pub(super) call: HistoricalCall,
    pub(super) answered: bool,
}

pub(super) fn at(text: &str) -> WallTime {
    let time = chrono::DateTime::parse_from_rfc3339(text).expect("a test's own time");
    WallTime::from_ms(time.timestamp_millis())
}

pub(super) fn interval(text: &str) -> IntervalStart {
    IntervalStart::aligned_s(at(text).s()).expect("a test's own interval")
}

pub(super) fn queue(name: &str) -> QueueId {
    QueueId::new(name).expect("a test's own queue")
}

pub(super) fn figures(entered: u64, abandoned: u64, handle_time_s: u64) -> Figures {
    Figures {
        entered: Some(entered),
        abandoned: Some(abandoned),
        handle_time_s: Some(handle_time_s),
    }
}

/// The box is installed at this time in every scenario.
pub(super) const INSTALLED: &str = "2026-03-10T10:07:00Z";

/// A box just installed, with two queues that never change, a week of history, and no jitter.
pub(super) fn box_with(options: HistoricalOptions) -> Rig {
    let now = Now {
        wall: at(INSTALLED),
        mono: MonoTime::new(HOUR),
    };
    let queues = vec![queue("sales"), queue("support")];
    let start = HistoricalStart {
        source: source(),
        options: options.clone(),
        clock: ClockOptions::default(),
        installed_at: now.wall,
        queues: queues.iter().map(|q| (q.clone(), true)).collect(),
        coverage: Vec::new(),
        state: None,
        seed: 1,
    };
    Rig {
        options,
        roster: queues.clone(),
        queues,
        truth: Box::new(|_, _, _| Some(figures(7, 1, 900))),
        fault: Box::new(|_, _| None),
        latency: SECOND,
        thrio_ahead: Duration::ZERO,
        commits_left: None,
        now,
        installed_at: now.wall,
        machine: HistoricalMachine::new(start),
        journal: Vec::new(),
        journaled: FeedCounts::default(),
        known: HashMap::new(),
        coverage: BTreeMap::new(),
        stored: None,
        calls: Vec::new(),
        import_wanted: false,
    }
}

pub(super) fn week() -> HistoricalOptions {
    HistoricalOptions {
        start_jitter: Duration::ZERO,
        max_backfill: 7 * DAY,
        ..HistoricalOptions::default()
    }
}

pub(super) fn source() -> SourceName {
    SourceName::new("main").expect("a test's own name")
}

impl Rig {
    pub(super) fn fails(
        &mut self,
        fault: impl FnMut(WallTime, &HistoricalCall) -> Option<FailureKind> + 'static,
    ) {
        self.fault = Box::new(fault);
    }

    pub(super) fn says(
        &mut self,
        truth: impl Fn(&QueueId, IntervalStart, WallTime) -> Option<Figures> + 'static,
    ) {
        self.truth = Box::new(truth);
    }

    /// Lets the box work until this time.
    pub(super) fn run_until(&mut self, until: &str) {
        self.run_to(at(until));
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        self.run_to(self.now.wall.plus(span));
    }

    pub(super) fn run_to(&mut self, until: WallTime) {
        while self.now.wall < until {
            match self.machine.begin(self.now) {
                Do::WaitUntil(mono) => {
                    let wait = mono.since(self.now.mono).max(Duration::from_millis(1));
                    let left = until.ms_since(self.now.wall).unsigned_abs();
                    self.pass(wait.min(Duration::from_millis(left)));
                }
                Do::Call(call) => self.perform(call),
            }
        }
    }

    /// The box is switched off for so long, and starts again from what the journal holds.
    pub(super) fn off_for(&mut self, span: Duration) {
        self.pass(span);
        self.now.mono = MonoTime::new(HOUR);
        let window =
            HistoricalMachine::coverage_window(&self.options, self.stored.as_ref(), self.now);
        let coverage = self.coverage.range(window.from..window.to);
        self.machine = HistoricalMachine::new(HistoricalStart {
            source: source(),
            options: self.options.clone(),
            clock: ClockOptions::default(),
            installed_at: self.installed_at,
            queues: self.roster.iter().map(|q| (q.clone(), true)).collect(),
            coverage: coverage.map(|(_, entry)| entry.clone()).collect(),
            state: self.stored.clone(),
            seed: self.now.wall.ms().unsigned_abs(),
        });
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.now = Now {
            wall: self.now.wall.plus(span),
            mono: self.now.mono.plus(span),
        };
    }

    pub(super) fn perform(&mut self, call: HistoricalCall) {
        self.assert_allowed(&call);
        let sent = self.now;
        let fault = (self.fault)(sent.wall, &call);
        self.pass(self.latency);
        let thrio_now = self.now.wall.plus(self.thrio_ahead);
        let timing = Timing {
            sent,
            received: self.now,
            server_date: Some(WallTime::from_s(thrio_now.s())),
        };
        let known = self.known_in(call.window);
        let decision = if let Some(kind) = fault {
            let failure = CallFailure {
                kind,
                message: format!("{kind:?}"),
            };
            self.machine.finish(timing, Err(&failure), &known)
        } else {
            let answer = self.answer(&call, thrio_now);
            self.machine.finish(timing, Ok(&answer), &known)
        };
        self.calls.push(Made {
            sent,
            call,
            answered: fault.is_none(),
        });
        self.commit(&decision);
    }

    fn known_in(&self, window: Window) -> KnownIntervals {
        let keys = window
            .starts()
            .flat_map(|start| self.queues.iter().map(move |q| (q.clone(), start)));
        keys.filter_map(|key| Some((key.clone(), *self.known.get(&key)?)))
            .collect()
    }

    pub(super) fn answer(&self, call: &HistoricalCall, thrio_now: WallTime) -> HistoricalAnswer {
        let queues = self.queues.iter();
        let asked = queues.filter(|q| call.queue.as_ref().is_none_or(|asked| asked == *q));
        let rows = asked
            .flat_map(|queue| {
                call.window.starts().filter_map(|interval_start| {
                    Some(HistoricalRow {
                        queue: queue.clone(),
                        interval_start,
                        figures: (self.truth)(queue, interval_start, thrio_now)?,
                    })
                })
            })
            .collect();
        HistoricalAnswer {
            rows,
            rejected: Rejections::default(),
        }
    }

    /// As the shell does it: part by part, then told, unless the store fails on the way.
    fn commit(&mut self, decision: &Decision) {
        assert_cut_at_intervals(decision);
        self.import_wanted |= decision.import_wanted;
        let parts = decision.parts();
        for (n, (records, counts)) in parts.iter().enumerate() {
            if let Some(left) = &mut self.commits_left {
                let Some(fewer) = left.checked_sub(1) else {
                    return;
                };
                *left = fewer;
            }
            let mut state = if n + 1 == parts.len() {
                self.machine.feed_state()
            } else {
                self.machine.feed_state_between()
            };
            state.counts = state.counts.plus(*counts);
            for record in *records {
                self.append(record);
            }
            assert_balanced(&self.journaled, &state.counts);
            self.stored = Some(state);
            self.machine.part_committed();
        }
        self.machine.committed(self.now);
        let told = self.machine.feed_state();
        assert_eq!(
            Some(&told),
            self.stored.as_ref(),
            "memory follows the store"
        );
    }

    fn append(&mut self, record: &Record) {
        self.journal.push(record.clone());
        match record {
            Record::Interval(r) => {
                self.journaled.rows_changed += 1;
                let key = (r.queue.clone(), r.interval_start);
                let revision = self.known.get(&key).map_or(1, |k| k.revision + 1);
                assert_eq!(r.revision, revision, "revisions are contiguous: {r:?}");
                let known = KnownInterval {
                    figures: r.figures,
                    revision,
                    seq: RecordSeq::new(self.journal.len() as u64),
                };
                let before = self.known.insert(key, known);
                assert_ne!(
                    before.map(|k| k.figures),
                    Some(r.figures),
                    "equal rows write nothing"
                );
            }
            Record::Coverage(entry) => {
                self.journaled.coverage += 1;
                let before = self.coverage.insert(entry.interval_start, entry.clone());
                if let Some(before) = before {
                    let same = before.status == entry.status
                        && before.rows == entry.rows
                        && before.final_at == entry.final_at;
                    assert!(!same, "an entry that says nothing new: {entry:?}");
                    assert!(
                        before.final_at.is_none() || before.final_at == entry.final_at,
                        "{before:?}\n{entry:?}"
                    );
                }
            }
            Record::Queue(change) => {
                self.journaled.roster += 1;
                self.roster.push(change.queue.clone());
            }
            other => panic!("no record of this feed: {other:?}"),
        }
    }

    fn assert_allowed(&self, call: &HistoricalCall) {
        let window = call.window;
        assert!(!window.is_empty() && window.len() <= 96, "{call:?}");
        let thrio_now = self.now.wall.plus(self.thrio_ahead);
        if self.machine.clock.is_credible(self.now)
            && self.machine.clock.offset_ms(self.now).is_some()
        {
            assert!(
                window.to.start().plus(self.options.settle_delay) <= thrio_now.plus(SECOND),
                "{} is not settled at {thrio_now}",
                window.to
            );
        }
    }

    pub(super) fn status(&self, start: IntervalStart) -> Option<CoverageStatus> {
        self.coverage.get(&start).map(|entry| entry.status)
    }

    pub(super) fn calls_of(&self, run: Run) -> Vec<Window> {
        let calls = self.calls.iter().filter(|made| made.call.run == run);
        calls.map(|made| made.call.window).collect()
    }

    pub(super) fn revisions(&self, of: &str, start: IntervalStart) -> Vec<IntervalRecord> {
        let of = queue(of);
        let records = self.journal.iter().filter_map(|record| match record {
            Record::Interval(r) if r.queue == of && r.interval_start == start => Some(r.clone()),
            _ => None,
        });
        records.collect()
    }

    pub(super) fn not_fetched(&self, window: Window) -> Vec<IntervalStart> {
        let is_fetched = |s: &IntervalStart| {
            matches!(
                self.status(*s),
                Some(CoverageStatus::Fetched | CoverageStatus::EmptyConfirmed)
            )
        };
        window.starts().filter(|s| !is_fetched(s)).collect()
    }

    /// From `back` before the installation to what is settled.
    pub(super) fn expected(&self, back: Duration) -> Window {
        // A minute more, for the call that is due just now.
        let settled = self.now.wall.minus(self.options.settle_delay + MINUTE);
        Window::new(
            IntervalStart::containing(self.installed_at.minus(back)),
            IntervalStart::containing(settled),
        )
    }

    /// What Thrio would say now, compared with what is known.
    pub(super) fn assert_knows_the_truth(&self, window: Window) {
        for start in window.starts() {
            for queue in &self.queues {
                let known = self.known.get(&(queue.clone(), start)).map(|k| k.figures);
                let truth = (self.truth)(queue, start, self.now.wall);
                assert_eq!(known, truth, "{queue} at {start}");
            }
        }
    }
}

/// Rule 13, by what the journal holds and never by the machine's counters.
fn assert_balanced(journaled: &FeedCounts, counts: &FeedCounts) {
    assert!(counts.rows_balance(), "{counts:?}");
    assert_eq!(counts.rows_changed, journaled.rows_changed, "rows changed");
    assert_eq!(counts.coverage, journaled.coverage, "coverage entries");
    assert_eq!(counts.roster, journaled.roster, "roster changes");
    assert_eq!(counts.records(), journaled.records());
}

/// Architecture §2.1: an interval is stored whole or not at all, and the writer is not blocked.
fn assert_cut_at_intervals(decision: &Decision) {
    let mut seen = BTreeSet::new();
    for commit in &decision.commits {
        assert!(!commit.is_empty() && commit.len() <= COMMIT_RECORDS_MAX);
        let intervals: BTreeSet<IntervalStart> = commit
            .iter()
            .filter_map(|record| match record {
                Record::Interval(r) => Some(r.interval_start),
                Record::Coverage(r) => {
                    assert_eq!(r.feed, Feed::Historical);
                    Some(r.interval_start)
                }
                _ => None,
            })
            .collect();
        assert!(
            seen.is_disjoint(&intervals),
            "an interval straddles commits"
        );
        seen.extend(intervals);
    }
    let sum = decision
        .parts()
        .iter()
        .fold(FeedCounts::default(), |s, (_, c)| s.plus(*c));
    assert_eq!(sum, decision.counts);
}
