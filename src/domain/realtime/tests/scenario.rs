//! A box, a source and a journal in memory: polls as sentences, transactions as answers.

use std::time::Duration;

use fastrand::Rng;

use crate::domain::batch::CurrentState;
use crate::domain::call::{
    AgentState, CallFailure, Decision, Do, FailureKind, RejectReason, Snapshot, Timing,
};
use crate::domain::health::{FeedCounts, FeedState};
use crate::domain::ids::{AgentId, RecordSeq, SourceName};
use crate::domain::realtime::{RealtimeMachine, RealtimeOptions, Restored};
use crate::domain::record::{Category, CoverageEntry, Origin, Record, StateCode, StateTransaction};
use crate::domain::roster::Roster;
use crate::domain::timestamp::{MonoTime, Now, WallTime};

/// 2026-07-25T16:00:00Z; scenario times are seconds after it.
pub(crate) const BASE_S: i64 = 1_784_995_200;

pub(crate) fn wall(s: f64) -> WallTime {
    #[expect(clippy::cast_possible_truncation, reason = "scenario times are small")]
    WallTime::from_ms(BASE_S * 1000 + (s * 1000.0).round() as i64)
}

pub(crate) fn now(s: f64) -> Now {
    Now {
        wall: wall(s),
        mono: MonoTime::new(Duration::from_secs_f64(s + 1_000.0)),
    }
}

/// One transaction, short enough to compare in a test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tx {
    pub agent: String,
    pub state: String,
    pub origin: Origin,
    pub started_s: f64,
}

pub(crate) fn tx(agent: &str, state: &str, origin: Origin, started_s: f64) -> Tx {
    Tx {
        agent: agent.to_owned(),
        state: state.to_owned(),
        origin,
        started_s,
    }
}

fn short(t: &StateTransaction) -> Tx {
    #[expect(clippy::cast_precision_loss, reason = "scenario times are small")]
    let started_s = t.started_at.ms_since(wall(0.0)) as f64 / 1000.0;
    tx(t.agent.as_str(), t.state.as_str(), t.origin, started_s)
}

pub(crate) struct Scenario {
    pub machine: RealtimeMachine,
    pub options: RealtimeOptions,
    pub roster: Roster,
    pub journal: Vec<Record>,
    pub stored: FeedState,
    /// Seconds from sending a poll to its answer.
    pub latency_s: f64,
    source: SourceName,
    seen: usize,
    commits: u64,
}

impl Scenario {
    pub(crate) fn new() -> Self {
        Self::with(RealtimeOptions::default())
    }

    pub(crate) fn with(options: RealtimeOptions) -> Self {
        let source = SourceName::new("main").unwrap();
        let machine = machine(&source, &options, None, &[], &[]);
        Self {
            stored: machine.feed_state(),
            machine,
            options,
            roster: Roster::default(),
            journal: Vec::new(),
            latency_s: 0.0,
            source,
            seen: 0,
            commits: 0,
        }
    }

    /// A poll that is answered with these agents and states.
    pub(crate) fn poll_at(self, s: f64, rows: &[(&str, &str)]) -> Self {
        let rows: Vec<_> = rows.iter().map(|(a, t)| (*a, *t, None)).collect();
        self.poll_with_times_at(s, &rows)
    }

    /// A poll whose rows say since when (seconds of the scenario).
    pub(crate) fn poll_with_times_at(self, s: f64, rows: &[(&str, &str, Option<f64>)]) -> Self {
        let mut snapshot = Snapshot::default();
        for (agent, state, since) in rows {
            snapshot.push(AgentState {
                agent,
                by_username: agent.contains('@'),
                state,
                since: since.map(wall),
            });
        }
        self.snapshot_at(s, &snapshot)
    }

    /// A poll with one row that could not be taken, beside these.
    pub(crate) fn incomplete_poll_at(self, s: f64, rows: &[(&str, &str)]) -> Self {
        let mut snapshot = Snapshot::default();
        for (agent, state) in rows {
            snapshot.push(AgentState {
                agent,
                by_username: false,
                state,
                since: None,
            });
        }
        snapshot
            .rejected
            .push(RejectReason::MissingId, || "a row without an id".to_owned());
        self.snapshot_at(s, &snapshot)
    }

    pub(crate) fn snapshot_at(mut self, s: f64, snapshot: &Snapshot) -> Self {
        let decision = self.finish(s, Ok(snapshot));
        self.commit(&decision);
        self
    }

    /// A poll that fails.
    pub(crate) fn fail_at(mut self, s: f64, kind: FailureKind) -> Self {
        let decision = self.finish(s, Err(kind));
        self.commit(&decision);
        self
    }

    /// A poll that is answered, but the store does not take what it showed.
    pub(crate) fn lost_poll_at(mut self, s: f64, rows: &[(&str, &str)]) -> Self {
        let mut snapshot = Snapshot::default();
        for (agent, state) in rows {
            snapshot.push(AgentState {
                agent,
                by_username: false,
                state,
                since: None,
            });
        }
        self.finish(s, Ok(&snapshot));
        self
    }

    pub(crate) fn finish(&mut self, s: f64, outcome: Result<&Snapshot, FailureKind>) -> Decision {
        let timing = Timing {
            sent: now(s),
            received: now(s + self.latency_s),
            server_date: None,
        };
        let failure = outcome.err().map(|kind| CallFailure {
            kind,
            message: "no answer".to_owned(),
        });
        let outcome = match (&outcome, &failure) {
            (Ok(snapshot), _) => Ok(*snapshot),
            (Err(_), Some(failure)) => Err(failure),
            (Err(_), None) => unreachable!("made above"),
        };
        self.machine.finish(&timing, outcome, &self.roster)
    }

    pub(crate) fn commit(&mut self, decision: &Decision) {
        assert!(decision.commits.len() <= 1, "a poll is one transaction");
        let mut state = self.machine.feed_state();
        state.counts = state.counts.plus(decision.counts);
        for record in decision.commits.iter().flatten() {
            self.roster.apply(record);
            self.journal.push(record.clone());
        }
        self.machine.committed(now(0.0));
        assert_eq!(self.machine.feed_state(), state, "told and stored differ");
        self.stored = state;
        self.commits += 1;
        // All of it each time while that is cheap.
        if self.journal.len() < 200 || self.commits.is_multiple_of(32) {
            self.check();
        }
    }

    pub(crate) fn check(&self) {
        self.check_balance();
        self.check_order();
    }

    /// The process ends and starts again with what the journal and the feed state hold.
    pub(crate) fn restart(mut self) -> Self {
        let agents = self.current_states();
        let codes = self.codes();
        self.machine = machine(
            &self.source,
            &self.options,
            Some(&self.stored),
            &agents,
            &codes,
        );
        self
    }

    /// The transactions since the last look are these, in this order.
    pub(crate) fn writes(mut self, expected: &[Tx]) -> Self {
        let found: Vec<Tx> = self.new_transactions().iter().map(short).collect();
        assert_eq!(found, expected);
        self
    }

    /// Looks away.
    pub(crate) fn whatever(mut self) -> Self {
        self.seen = self.journal.len();
        self
    }

    pub(crate) fn new_transactions(&mut self) -> Vec<StateTransaction> {
        let from = std::mem::replace(&mut self.seen, self.journal.len());
        transactions(&self.journal[from..]).cloned().collect()
    }

    pub(crate) fn counts(&self) -> FeedCounts {
        self.stored.counts
    }

    pub(crate) fn coverage(&self) -> Vec<&CoverageEntry> {
        let entries = self.journal.iter().filter_map(|record| match record {
            Record::Coverage(entry) => Some(entry),
            _ => None,
        });
        entries.collect()
    }

    pub(crate) fn codes(&self) -> Vec<StateCode> {
        let mut codes: Vec<StateCode> = Vec::new();
        for record in &self.journal {
            if let Record::StateCode(code) = record {
                codes.retain(|known| known.state != code.state);
                codes.push(code.clone());
            }
        }
        codes
    }

    /// Seconds until the next poll.
    pub(crate) fn next_poll_s(&mut self, s: f64) -> f64 {
        match self.machine.begin(now(s)) {
            Do::Call(_) => 0.0,
            Do::WaitUntil(at) => at.since(now(s).mono).as_secs_f64(),
        }
    }

    fn current_states(&self) -> Vec<CurrentState> {
        let mut states: Vec<CurrentState> = Vec::new();
        for t in transactions(&self.journal) {
            states.retain(|state| state.agent != t.agent);
            states.push(CurrentState {
                source: t.source.clone(),
                agent: t.agent.clone(),
                state: t.state.clone(),
                category: t.category,
                since: t.started_at,
                origin: t.origin,
                record_seq: RecordSeq::ZERO,
            });
        }
        states
    }

    /// Rule 13, by the counters and by the journal itself.
    fn check_balance(&self) {
        let counts = self.stored.counts;
        assert!(counts.rows_balance(), "{counts:?}");
        assert_eq!(counts.records(), self.journal.len() as u64, "{counts:?}");
        let of = |is: &dyn Fn(&Record) -> bool| self.journal.iter().filter(|r| is(r)).count();
        let by_origin = |origin| {
            transactions(&self.journal)
                .filter(|t| t.origin == origin)
                .count()
        };
        assert_eq!(counts.gap, by_origin(Origin::Gap) as u64);
        assert_eq!(counts.inferred, by_origin(Origin::Inferred) as u64);
        let bounded = by_origin(Origin::Observed) + by_origin(Origin::Source);
        let rest = counts.rows_changed + counts.resync;
        assert_eq!(rest, (bounded + by_origin(Origin::Resync)) as u64);
        let coverage = of(&|r| matches!(r, Record::Coverage(_)));
        assert_eq!(counts.coverage, coverage as u64);
        assert_eq!(counts.roster, of(&|r| matches!(r, Record::Agent(_))) as u64);
        let codes = of(&|r| matches!(r, Record::StateCode(_)));
        assert_eq!(counts.state_codes, codes as u64);
    }

    /// Rule 5: `started_at` strictly increases per agent, inside its bounds but for a tie, and
    /// each transaction names the state before it.
    fn check_order(&self) {
        let mut last: std::collections::HashMap<&AgentId, &StateTransaction> =
            std::collections::HashMap::new();
        for t in transactions(&self.journal) {
            if let Some(before) = last.insert(&t.agent, t) {
                assert!(before.started_at < t.started_at, "{before:?} then {t:?}");
                assert_eq!(t.previous_state.as_ref(), Some(&before.state));
            }
            let inside = t
                .earliest_at
                .is_none_or(|earliest| earliest <= t.started_at)
                && t.started_at <= t.observed_at;
            assert!(inside || t.tied, "{t:?}");
            assert_eq!(
                t.category == Category::Unknown,
                t.state.as_str() == "(unknown)"
            );
        }
    }
}

fn machine(
    source: &SourceName,
    options: &RealtimeOptions,
    state: Option<&FeedState>,
    agents: &[CurrentState],
    codes: &[StateCode],
) -> RealtimeMachine {
    let restored = Restored {
        state,
        agents,
        codes,
    };
    RealtimeMachine::new(
        source.clone(),
        options.clone(),
        &restored,
        Rng::with_seed(1),
    )
}

pub(crate) fn transactions(records: &[Record]) -> impl Iterator<Item = &StateTransaction> {
    records.iter().filter_map(|record| match record {
        Record::Transaction(t) => Some(t),
        _ => None,
    })
}
