//! Draining to PostgreSQL against hand-written SQL: the same tables, indexes, guards, batches and
//! receipt row, on the same real server, without reduction, claims or `applied_no`'s counter.
//! Prints records per second of ours, of `INSERT … SELECT FROM unnest` and of `COPY` into a
//! temporary table with an upsert from there, and the ratio to the faster of both; the goal is
//! 0.8 or more. `THRIO_EDGE_BENCH_BATCHES` sets how many batches a round has (50; for 10 M
//! records: 5000).

#[path = "../tests/support/postgres_server.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod postgres_server;

use std::fmt::Write as _;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::SinkExt as _;
use postgres_server::{PASSWORD, PostgresServer, USER};
use secrecy::SecretString;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions};
use thrio_edge::destination::{Destination, Secret, Writer};
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
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

const BATCH: u64 = 2_000;
const BATCHES: u64 = 50;
const ROUNDS: u32 = 3;
const AGENTS: u64 = 3_000;
const QUEUES: u64 = 500;

fn main() {
    let server = PostgresServer::start();
    let batches = std::env::var("THRIO_EDGE_BENCH_BATCHES").ok();
    let batches = batches.map_or(BATCHES, |text| text.parse().expect("a number"));
    for (name, make) in [
        ("transactions", transaction as fn(u64) -> Record),
        ("intervals", interval),
    ] {
        let bench = Bench {
            server: &server,
            batches,
            make,
        };
        let mut best = [Duration::MAX; 3];
        // Rounds alternate, and the best of each counts: a busy machine slows all.
        for _ in 0..ROUNDS {
            let times = [
                bench.ours(),
                bench.by_hand(Way::Unnest),
                bench.by_hand(Way::Copy),
            ];
            for (best, time) in best.iter_mut().zip(times) {
                *best = time.min(*best);
            }
        }
        let records = f64::from(u32::try_from(BATCH * batches).expect("fewer than 2^32"));
        let [ours, unnest, copy] = best.map(|time| records / time.as_secs_f64());
        println!(
            "postgres_drain/{name}: {ours:.0} records/s, by hand: unnest {unnest:.0}, \
             copy {copy:.0} records/s, ratio {:.2}",
            ours / unnest.max(copy)
        );
    }
}

struct Bench<'a> {
    server: &'a PostgresServer,
    batches: u64,
    make: fn(u64) -> Record,
}

impl Bench<'_> {
    fn ours(&self) -> Duration {
        let clock = Arc::new(SystemClock::new());
        let mut to = opened(self.server, &self.server.new_database(), &clock);
        let mut spent = Duration::ZERO;
        for n in 0..self.batches {
            let batch = batch(n, self.make);
            let start = clock.now().mono;
            to.send(&batch).expect("sent");
            spent += clock.now().mono.since(start);
        }
        spent
    }

    fn by_hand(&self, way: Way) -> Duration {
        let clock = Arc::new(SystemClock::new());
        let database = self.server.new_database();
        // Its tables are ours.
        drop(opened(self.server, &database, &clock));
        let by_hand = ByHand::new(self.server, &database, way);
        let mut spent = Duration::ZERO;
        for n in 0..self.batches {
            let batch = batch(n, self.make);
            let start = clock.now().mono;
            by_hand.send(&batch);
            spent += clock.now().mono.since(start);
        }
        spent
    }
}

fn opened(
    server: &PostgresServer,
    database: &str,
    clock: &Arc<SystemClock>,
) -> PostgresDestination {
    let options = PostgresOptions::new(server.url(database).parse().expect("a URL"));
    let password = Secret::new(Arc::new(|| Ok(SecretString::from(PASSWORD))));
    let mut to = PostgresDestination::new(options, Some(password), clock.clone());
    to.open(&Writer {
        box_id: BoxId::new("bench").expect("an id"),
        store_id: StoreId::from_bits(1),
        sources: vec![source()],
        take_over: Vec::new(),
    })
    .expect("opened");
    to
}

fn batch(n: u64, make: fn(u64) -> Record) -> Batch {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Unnest,
    Copy,
}

/// What a staged or unnested row of either workload holds.
const TRANSACTION_COLUMNS: &str = "seq bigint, agent_id text, started_at timestamptz, state text,
    category text, previous_state text, earliest_at timestamptz, observed_at timestamptz,
    origin text, is_clamped boolean, is_tied boolean";
const INTERVAL_COLUMNS: &str = "seq bigint, queue_id text, interval_start timestamptz,
    entered bigint, abandoned bigint, handle_time_s bigint, revision bigint, stored_at timestamptz,
    reason text, run text";
const RECEIPT: &str = "INSERT INTO wfm_delivery VALUES ('bench', '1', 1, $1, now())
    ON CONFLICT (box_id, store_id, first_seq) DO UPDATE SET last_seq = excluded.last_seq";

fn transactions_from(rows: &str) -> [String; 2] {
    [
        format!(
            "INSERT INTO wfm_agent_state_transaction AS t
             SELECT 'main', agent_id, started_at, state, category, previous_state, earliest_at,
               observed_at, origin, is_clamped, is_tied, 1, seq, seq / 2000 FROM {rows}
             ON CONFLICT (source, agent_id, started_at) DO UPDATE SET state = excluded.state,
               category = excluded.category, record_seq = excluded.record_seq,
               applied_no = excluded.applied_no
             WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)"
        ),
        format!(
            "INSERT INTO wfm_agent_state_current AS t
             SELECT DISTINCT ON (agent_id) 'main', agent_id, state, category, started_at, origin,
               NULL::timestamptz, 1, seq, seq / 2000 FROM {rows} ORDER BY agent_id, seq DESC
             ON CONFLICT (source, agent_id) DO UPDATE SET state = excluded.state,
               category = excluded.category, since = excluded.since, origin = excluded.origin,
               record_seq = excluded.record_seq, applied_no = excluded.applied_no
             WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)"
        ),
    ]
}

fn intervals_from(rows: &str) -> [String; 2] {
    [
        format!(
            "INSERT INTO wfm_queue_interval AS t
             SELECT 'main', queue_id, interval_start, 900, entered, abandoned, handle_time_s,
               'provisional', NULL, revision, stored_at, stored_at, 1, seq, seq / 2000 FROM {rows}
             ON CONFLICT (source, interval_start, queue_id) DO UPDATE SET
               entered = excluded.entered, abandoned = excluded.abandoned,
               handle_time_s = excluded.handle_time_s, revision = excluded.revision,
               record_seq = excluded.record_seq, applied_no = excluded.applied_no
             WHERE (excluded.claim_no, excluded.record_seq) > (t.claim_no, t.record_seq)"
        ),
        format!(
            "INSERT INTO wfm_queue_interval_revision
             SELECT 'main', queue_id, interval_start, 1, revision, entered, abandoned,
               handle_time_s, NULL, stored_at, NULL, reason, run, seq, seq / 2000 FROM {rows}
             ON CONFLICT DO NOTHING"
        ),
    ]
}

/// `unnest($1::bigint[], …) AS u(seq, …)`
fn unnested(columns: &str) -> String {
    let pairs = columns.split(',').map(|pair| {
        let mut words = pair.split_whitespace();
        (words.next().expect("a name"), words.next().expect("a type"))
    });
    let (names, types): (Vec<_>, Vec<_>) = pairs.unzip();
    let arrays = types
        .iter()
        .enumerate()
        .map(|(n, kind)| format!("${}::{kind}[]", n + 1));
    let arrays: Vec<_> = arrays.collect();
    format!("unnest({}) AS u({})", arrays.join(", "), names.join(", "))
}

struct ByHand {
    runtime: Runtime,
    client: Client,
    way: Way,
    transactions: Vec<Statement>,
    intervals: Vec<Statement>,
    receipt: Statement,
}

impl ByHand {
    fn new(server: &PostgresServer, database: &str, way: Way) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let port = server.port();
        let (client, transactions, intervals, receipt) = runtime.block_on(async {
            let (client, other_half) = tokio_postgres::Config::new()
                .host("127.0.0.1")
                .port(port)
                .user(USER)
                .password(PASSWORD)
                .dbname(database)
                .connect(NoTls)
                .await
                .expect("connected");
            tokio::spawn(other_half);
            client
                .batch_execute(&format!(
                    "SET jit = off;
                     CREATE TEMPORARY TABLE staged_t ({TRANSACTION_COLUMNS});
                     CREATE TEMPORARY TABLE staged_i ({INTERVAL_COLUMNS});"
                ))
                .await
                .expect("made");
            let (t, i) = match way {
                Way::Unnest => (unnested(TRANSACTION_COLUMNS), unnested(INTERVAL_COLUMNS)),
                Way::Copy => ("staged_t".to_owned(), "staged_i".to_owned()),
            };
            let mut prepared = [Vec::new(), Vec::new()];
            for (into, texts) in prepared
                .iter_mut()
                .zip([transactions_from(&t), intervals_from(&i)])
            {
                for text in texts {
                    into.push(client.prepare(&text).await.expect("prepared"));
                }
            }
            let [transactions, intervals] = prepared;
            let receipt = client.prepare(RECEIPT).await.expect("prepared");
            (client, transactions, intervals, receipt)
        });
        Self {
            runtime,
            client,
            way,
            transactions,
            intervals,
            receipt,
        }
    }

    fn send(&self, batch: &Batch) {
        self.runtime.block_on(async {
            self.client.batch_execute("BEGIN").await.expect("begun");
            match (self.way, &batch.records[0].record) {
                (Way::Unnest, Record::Transaction(_)) => self.unnest_transactions(batch).await,
                (Way::Unnest, _) => self.unnest_intervals(batch).await,
                (Way::Copy, Record::Transaction(_)) => {
                    self.copy("staged_t", lines(batch), &self.transactions)
                        .await;
                }
                (Way::Copy, _) => self.copy("staged_i", lines(batch), &self.intervals).await,
            }
            let last = number(batch.range.last);
            self.client
                .execute(&self.receipt, &[&last])
                .await
                .expect("written");
            self.client
                .batch_execute("COMMIT")
                .await
                .expect("committed");
        });
    }

    async fn copy(&self, table: &str, lines: String, statements: &[Statement]) {
        let copy = format!("COPY {table} FROM STDIN");
        let sink = self
            .client
            .copy_in::<_, Cursor<Vec<u8>>>(&copy)
            .await
            .expect("begun");
        let mut sink = std::pin::pin!(sink);
        sink.send(Cursor::new(lines.into_bytes()))
            .await
            .expect("sent");
        sink.close().await.expect("staged");
        for statement in statements {
            self.client.execute(statement, &[]).await.expect("written");
        }
        let empty = format!("TRUNCATE {table}");
        self.client.batch_execute(&empty).await.expect("emptied");
    }

    async fn unnest_transactions(&self, batch: &Batch) {
        let rows: Vec<_> = transactions(batch).collect();
        let seqs: Vec<_> = rows.iter().map(|(seq, _)| number(*seq)).collect();
        let agents: Vec<_> = rows.iter().map(|(_, r)| r.agent.as_str()).collect();
        let started: Vec<_> = rows.iter().map(|(_, r)| at(r.started_at)).collect();
        let states: Vec<_> = rows.iter().map(|(_, r)| r.state.as_str()).collect();
        let categories: Vec<_> = rows.iter().map(|(_, r)| r.category.as_str()).collect();
        let previous: Vec<_> = rows
            .iter()
            .map(|(_, r)| r.previous_state.as_ref().map(StateText::as_str))
            .collect();
        let earliest: Vec<_> = rows.iter().map(|(_, r)| r.earliest_at.map(at)).collect();
        let observed: Vec<_> = rows.iter().map(|(_, r)| at(r.observed_at)).collect();
        let origins: Vec<_> = rows.iter().map(|(_, r)| r.origin.as_str()).collect();
        let clamped: Vec<_> = rows.iter().map(|(_, r)| r.clamped).collect();
        let tied: Vec<_> = rows.iter().map(|(_, r)| r.tied).collect();
        for statement in &self.transactions {
            self.client
                .execute(
                    statement,
                    &[
                        &seqs,
                        &agents,
                        &started,
                        &states,
                        &categories,
                        &previous,
                        &earliest,
                        &observed,
                        &origins,
                        &clamped,
                        &tied,
                    ],
                )
                .await
                .expect("written");
        }
    }

    async fn unnest_intervals(&self, batch: &Batch) {
        let rows: Vec<_> = intervals(batch).collect();
        let seqs: Vec<_> = rows.iter().map(|(seq, _)| number(*seq)).collect();
        let queues: Vec<_> = rows.iter().map(|(_, r)| r.queue.as_str()).collect();
        let starts: Vec<_> = rows
            .iter()
            .map(|(_, r)| at(r.interval_start.start()))
            .collect();
        let entered: Vec<_> = rows
            .iter()
            .map(|(_, r)| figure(r.figures.entered))
            .collect();
        let abandoned: Vec<_> = rows
            .iter()
            .map(|(_, r)| figure(r.figures.abandoned))
            .collect();
        let handle: Vec<_> = rows
            .iter()
            .map(|(_, r)| figure(r.figures.handle_time_s))
            .collect();
        let revisions: Vec<_> = rows.iter().map(|(_, r)| i64::from(r.revision)).collect();
        let stored: Vec<_> = rows.iter().map(|(_, r)| at(r.answered_at)).collect();
        let reasons: Vec<_> = rows.iter().map(|(_, r)| r.reason.as_str()).collect();
        let runs: Vec<_> = rows.iter().map(|(_, r)| r.run.as_str()).collect();
        for statement in &self.intervals {
            self.client
                .execute(
                    statement,
                    &[
                        &seqs, &queues, &starts, &entered, &abandoned, &handle, &revisions,
                        &stored, &reasons, &runs,
                    ],
                )
                .await
                .expect("written");
        }
    }
}

fn transactions(batch: &Batch) -> impl Iterator<Item = (RecordSeq, &StateTransaction)> {
    batch
        .records
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Transaction(record) => Some((entry.seq, record)),
            _ => None,
        })
}

fn intervals(batch: &Batch) -> impl Iterator<Item = (RecordSeq, &IntervalRecord)> {
    batch
        .records
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Interval(record) => Some((entry.seq, record)),
            _ => None,
        })
}

/// The batch in COPY's text format; the workloads hold nothing that needs escaping.
fn lines(batch: &Batch) -> String {
    let mut text = String::with_capacity(200 * batch.records.len());
    for (seq, r) in transactions(batch) {
        let previous = r.previous_state.as_ref().map_or("\\N", StateText::as_str);
        let earliest = r
            .earliest_at
            .map_or_else(|| "\\N".to_owned(), |at| at.to_string());
        let _ = writeln!(
            text,
            "{seq}\t{}\t{}\t{}\t{}\t{previous}\t{earliest}\t{}\t{}\t{}\t{}",
            r.agent.as_str(),
            r.started_at,
            r.state.as_str(),
            r.category.as_str(),
            r.observed_at,
            r.origin.as_str(),
            r.clamped,
            r.tied
        );
    }
    let figure = |sum: Option<u64>| sum.map_or_else(|| "\\N".to_owned(), |sum| sum.to_string());
    for (seq, r) in intervals(batch) {
        let _ = writeln!(
            text,
            "{seq}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            r.queue.as_str(),
            r.interval_start.start(),
            figure(r.figures.entered),
            figure(r.figures.abandoned),
            figure(r.figures.handle_time_s),
            r.revision,
            r.answered_at,
            r.reason.as_str(),
            r.run.as_str()
        );
    }
    text
}

fn number(seq: RecordSeq) -> i64 {
    i64::try_from(seq.get()).expect("few")
}

fn figure(sum: Option<u64>) -> Option<i64> {
    sum.map(|sum| i64::try_from(sum).expect("small"))
}

fn at(time: WallTime) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.ms()).expect("a moment")
}
