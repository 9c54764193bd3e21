//! A realtime poll of 20,000 agents, 2 % of them changed: our parse, and parse and diff, against a
//! typed `serde_json::from_slice` of the same body. The goal is a ratio of at most 1.5.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;

use thrio_edge::domain::call::{Do, Snapshot, Timing};
use thrio_edge::domain::ids::SourceName;
use thrio_edge::domain::realtime::{RealtimeMachine, RealtimeOptions, Restored, SnapshotKind};
use thrio_edge::domain::roster::Roster;
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::thrio::api::RealtimeApi;
use thrio_edge::thrio::wire::RealtimeParser;

const AGENTS: usize = 20_000;
/// One agent in fifty changes from one body to the other.
const CHANGED_EACH: usize = 50;
const STATES: [&str; 5] = ["Available", "Busy", "Working", "Wrapup", "Lunch break"];

/// What a program that knows the names would read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedRow {
    agent_id: String,
    agent_status: String,
    last_status_change: Option<i64>,
}

/// The same without owning the texts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BorrowedRow<'a> {
    agent_id: &'a str,
    agent_status: &'a str,
    last_status_change: Option<i64>,
}

fn body(turn: usize) -> String {
    let mut body = String::from("[");
    for n in 0..AGENTS {
        let moved = if n % CHANGED_EACH == 0 { turn } else { 0 };
        let state = STATES[(n + moved) % STATES.len()];
        let since = 1_785_000_000_000_i64 + i64::try_from(moved).expect("small") * 1000;
        let comma = if n == 0 { "" } else { "," };
        write!(
            body,
            r#"{comma}{{"agentId":"5f1c0ffee{n:015}","username":"agent.{n}@example.com","fullName":"First{n} Last{n}","agentStatus":"{state}","lastStatusChange":{since}}}"#
        )
        .expect("a String takes all");
    }
    body.push(']');
    body
}

/// A machine that polls every second, each poll answered at once.
struct Edge {
    machine: RealtimeMachine,
    roster: Roster,
    second: i64,
}

impl Edge {
    fn new() -> Self {
        let options = RealtimeOptions {
            period: Duration::from_secs(1),
            snapshot: SnapshotKind::Full,
            ..RealtimeOptions::default()
        };
        let restored = Restored {
            state: None,
            agents: &[],
            codes: &[],
        };
        let source = SourceName::new("main").expect("a good name");
        Self {
            machine: RealtimeMachine::new(source, options, &restored, fastrand::Rng::with_seed(1)),
            roster: Roster::default(),
            second: 0,
        }
    }

    fn poll(&mut self, snapshot: &Snapshot) -> usize {
        let now = loop {
            self.second += 1;
            let now = at(self.second);
            if let Do::Call(_) = self.machine.begin(now) {
                break now;
            }
        };
        let timing = Timing {
            sent: now,
            received: now,
            server_date: Some(now.wall),
        };
        let decision = self.machine.finish(&timing, Ok(snapshot), &self.roster);
        self.machine.committed(now);
        decision.commits.iter().map(Vec::len).sum()
    }
}

fn at(second: i64) -> Now {
    Now {
        wall: WallTime::from_s(1_785_000_000 + second),
        mono: MonoTime::new(Duration::from_secs(second.unsigned_abs())),
    }
}

fn poll(criterion: &mut Criterion) {
    let bodies = [body(0), body(1)];
    let mut group = criterion.benchmark_group("realtime_poll_20000");
    group.throughput(Throughput::Bytes(bodies[0].len() as u64));
    group.bench_function("typed_from_slice", |bench| {
        bench.iter(|| {
            let rows: Vec<TypedRow> = serde_json::from_slice(bodies[0].as_bytes()).expect("rows");
            let seen = rows
                .iter()
                .filter(|row| row.last_status_change.is_some())
                .map(|row| row.agent_id.len() + row.agent_status.len());
            black_box(seen.sum::<usize>())
        });
    });
    group.bench_function("typed_from_slice_borrowed", |bench| {
        bench.iter(|| {
            let rows: Vec<BorrowedRow<'_>> =
                serde_json::from_slice(bodies[0].as_bytes()).expect("rows");
            let seen = rows
                .iter()
                .filter(|row| row.last_status_change.is_some())
                .map(|row| row.agent_id.len() + row.agent_status.len());
            black_box(seen.sum::<usize>())
        });
    });
    let mut parser = RealtimeParser::new(&RealtimeApi::default());
    let mut snapshot = Snapshot::default();
    group.bench_function("parse", |bench| {
        bench.iter(|| {
            parser
                .parse(bodies[0].as_bytes(), &mut snapshot)
                .expect("rows");
            black_box(snapshot.len())
        });
    });
    let mut edge = Edge::new();
    parser
        .parse(bodies[1].as_bytes(), &mut snapshot)
        .expect("rows");
    edge.poll(&snapshot);
    let mut turn = 0;
    group.bench_function("parse_and_diff_2_percent", |bench| {
        bench.iter(|| {
            turn = (turn + 1) % 2;
            parser
                .parse(bodies[turn].as_bytes(), &mut snapshot)
                .expect("rows");
            black_box(edge.poll(&snapshot))
        });
    });
    group.finish();
}

criterion_group!(benches, poll);
criterion_main!(benches);
