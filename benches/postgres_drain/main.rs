//! Draining to PostgreSQL against hand-written SQL: the same tables, indexes, guards, batches and
//! receipt row, on the same real server, without reduction, claims, `applied_no`'s counter or the
//! look at coverage. By hand are `INSERT … SELECT FROM unnest` and a binary `COPY` into a temporary
//! table with an upsert from there. The goal is 0.8 or more of the faster one's records per second.
//!
//! All drain in turn, a few batches at a time, each into a database of its own, so that what else
//! the machine does slows all alike; a checkpoint comes every so many batches, and at no other time.
//!
//! Arguments choose workloads and rivals: `cargo bench --bench postgres_drain -- transactions copy`.
//! `THRIO_EDGE_BENCH_BATCHES` says how many batches each drains (100; for ten million records 5000).

#[path = "../../tests/support/postgres_server.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod postgres_server;
#[path = "../support/rows.rs"]
mod rows;

mod by_hand;

use std::sync::Arc;
use std::time::Duration;

use by_hand::{ByHand, Way};
use postgres_server::{PASSWORD, PostgresServer};
use rows::{BATCH, Make, WORKLOADS, batch, interval_starts_s, writer};
use secrecy::SecretString;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions};
use thrio_edge::destination::{Destination, Secret};
use thrio_edge::domain::batch::Batch;

const BATCHES: u64 = 100;
/// Batches of one turn.
const TURN: u64 = 10;
/// Batches of each between two checkpoints: half a million records.
const CHECKPOINT: u64 = 250;

fn main() {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let is_chosen = |name: &str, all: &[&str]| {
        let none = !chosen.iter().any(|word| all.contains(&word.as_str()));
        none || chosen.iter().any(|word| word == name)
    };
    let batches = std::env::var("THRIO_EDGE_BENCH_BATCHES").ok();
    let batches = batches.map_or(BATCHES, |text| text.parse().expect("a number"));

    let server = PostgresServer::start();
    let admin = server.admin("postgres");
    admin.run("ALTER SYSTEM SET max_wal_size = '8GB'");
    admin.run("ALTER SYSTEM SET checkpoint_timeout = '1h'");
    admin.run("SELECT pg_reload_conf()");
    for (name, make) in WORKLOADS {
        if !is_chosen(name, &WORKLOADS.map(|(name, _)| name)) {
            continue;
        }
        let database = server.new_database();
        let mut to = opened(&server, &database);
        cover(&server, &database, batches);
        let ours = move |batch: &Batch| to.send(batch).expect("sent");
        let mut drains = vec![Drain::new("ours", ours)];
        for (rival, way) in [("unnest", Way::Unnest), ("copy", Way::Copy)] {
            if is_chosen(rival, &["unnest", "copy"]) {
                let database = server.new_database();
                // Its tables are ours.
                drop(opened(&server, &database));
                let mut by_hand = ByHand::new(&server, &database, way);
                drains.push(Drain::new(rival, move |batch: &Batch| by_hand.send(batch)));
            }
        }
        let mut first = 0;
        while first < batches {
            if first % CHECKPOINT == 0 {
                admin.run("CHECKPOINT");
            }
            let turn = first..batches.min(first + TURN);
            // Whoever went first goes last.
            drains.rotate_left(1);
            for drain in &mut drains {
                drain.send(turn.clone(), make);
            }
            first = turn.end;
        }
        report(name, batches, drains);
    }
}

fn report(name: &str, batches: u64, mut drains: Vec<Drain<'_>>) {
    drains.sort_by_key(|drain| drain.spent);
    let ours = drains.iter().position(|drain| drain.name == "ours");
    let ours = drains.remove(ours.expect("it drained"));
    let best = drains.first().expect("a rival");
    let records = f64::from(u32::try_from(BATCH * batches).expect("fewer than 2^32"));
    let rate = |drain: &Drain<'_>| format!("{} {:.0}", drain.name, records / drain.spent_s());
    let rivals: Vec<_> = drains.iter().map(rate).collect();
    let mut by_turn: Vec<_> = ours.turns_s.iter().zip(&best.turns_s).collect();
    by_turn.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let quartile = |n: usize| {
        let (ours, best) = by_turn[(by_turn.len() - 1) * n / 4];
        best / ours
    };
    println!(
        "postgres_drain/{name}: {records} records, {} records/s, by hand: {}, ratio {:.2} \
         (half of the turns {:.2} to {:.2})",
        rate(&ours),
        rivals.join(", "),
        best.spent_s() / ours.spent_s(),
        quartile(1),
        quartile(3)
    );
}

/// One of those that drain, and what it took.
struct Drain<'a> {
    name: &'static str,
    send: Box<dyn FnMut(&Batch) + 'a>,
    spent: Duration,
    turns_s: Vec<f64>,
}

impl<'a> Drain<'a> {
    fn new(name: &'static str, send: impl FnMut(&Batch) + 'a) -> Self {
        Self {
            name,
            send: Box::new(send),
            spent: Duration::ZERO,
            turns_s: Vec::new(),
        }
    }

    fn send(&mut self, turn: std::ops::Range<u64>, make: Make) {
        let clock = SystemClock::new();
        let mut spent = Duration::ZERO;
        for n in turn {
            let batch = batch(n, make);
            let start = clock.now().mono;
            (self.send)(&batch);
            spent += clock.now().mono.since(start);
        }
        self.spent += spent;
        self.turns_s.push(spent.as_secs_f64());
    }

    fn spent_s(&self) -> f64 {
        self.spent.as_secs_f64()
    }
}

/// Coverage of every interval that is drained, which ours looks at.
fn cover(server: &PostgresServer, database: &str, batches: u64) {
    let (first, last) = interval_starts_s(batches);
    server.admin(database).run(&format!(
        "INSERT INTO wfm_interval_coverage (source, feed, interval_start, status, attempts, rows,
           fetched_at, claim_no, record_seq, applied_no)
         SELECT 'main', 'historical', to_timestamp(s), 'complete', 1, 1, now(), 1, 1, 1
         FROM generate_series({first}, {last}, 900) AS s;
         ANALYZE wfm_interval_coverage"
    ));
}

/// The destination as the daemon has it.
fn opened(server: &PostgresServer, database: &str) -> PostgresDestination {
    let options = PostgresOptions::new(server.url(database).parse().expect("a URL"));
    let password = Secret::new(Arc::new(|| Ok(SecretString::from(PASSWORD))));
    let clock = Arc::new(SystemClock::new());
    let mut to = PostgresDestination::new(options, Some(password), clock);
    to.open(&writer()).expect("opened");
    to
}
