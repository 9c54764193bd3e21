//! Draining to SQLite against a prepared-statement loop in one transaction per batch: the same
//! tables, indexes, guards, settings and receipt row, written by hand without reduction, claims
//! or `applied_no`'s counter. Prints the ratio of records per second; the goal is 0.8 or more.

#[path = "support/rows.rs"]
#[allow(dead_code, reason = "the drain to PostgreSQL uses the rest")]
mod rows;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rows::{BATCH, WORKLOADS, batch, figure, number};
use rusqlite::{Connection, Statement, params};
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::destination::Destination;
use thrio_edge::destination::sqlite::{SqliteDestination, SqliteOptions};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::StateText;
use thrio_edge::domain::record::{IntervalRecord, Record, SequencedRecord, StateTransaction};
use thrio_edge::domain::timestamp::WallTime;

const BATCHES: u64 = 50;
const ROUNDS: u32 = 5;

fn main() {
    for (name, make) in WORKLOADS {
        let batches: Vec<_> = (0..BATCHES).map(|n| batch(n, make)).collect();
        let (mut ours, mut by_hand) = (Duration::MAX, Duration::MAX);
        // Rounds alternate, and the best of each counts: a busy machine slows both.
        for _ in 0..ROUNDS {
            ours = ours.min(timed(|path| drain(path, &batches)));
            by_hand = by_hand.min(timed(|path| loop_by_hand(path, &batches)));
        }
        let rate = |time: Duration| {
            f64::from(u32::try_from(BATCH * BATCHES).unwrap()) / time.as_secs_f64()
        };
        println!(
            "sqlite_drain/{name}: {:.0} records/s, by hand {:.0} records/s, ratio {:.2}",
            rate(ours),
            rate(by_hand),
            rate(ours) / rate(by_hand)
        );
    }
}

fn timed(run: impl FnOnce(&Path) -> Duration) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    run(&folder.path().join("wfm.db"))
}

fn drain(path: &Path, batches: &[Batch]) -> Duration {
    let clock = Arc::new(SystemClock::new());
    let mut destination = opened(path, &clock);
    let start = clock.now().mono;
    for batch in batches {
        destination.send(batch).expect("sent");
    }
    clock.now().mono.since(start)
}

fn opened(path: &Path, clock: &Arc<SystemClock>) -> SqliteDestination {
    let options = SqliteOptions {
        path: path.to_path_buf(),
        ..SqliteOptions::default()
    };
    let mut destination = SqliteDestination::new(options, clock.clone());
    destination.open(&rows::writer()).expect("opened");
    destination
}

fn loop_by_hand(path: &Path, batches: &[Batch]) -> Duration {
    let clock = Arc::new(SystemClock::new());
    drop(opened(path, &clock));
    let connection = Connection::open(path).expect("opened");
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;
             PRAGMA wal_autocheckpoint = 16384;",
        )
        .expect("set");
    let mut by_hand = ByHand::new(&connection);
    let start = clock.now().mono;
    for batch in batches {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        for SequencedRecord { seq, record } in &batch.records {
            let seq = number(*seq);
            match record {
                Record::Transaction(record) => by_hand.transaction(seq, record),
                Record::Interval(record) => by_hand.interval(seq, record),
                _ => unreachable!("the workloads have no others"),
            }
        }
        let last = number(batch.range.last);
        by_hand.receipt.execute([last]).expect("written");
        connection.execute_batch("COMMIT").expect("committed");
    }
    clock.now().mono.since(start)
}

struct ByHand<'a> {
    transaction: Statement<'a>,
    current: Statement<'a>,
    interval: Statement<'a>,
    revision: Statement<'a>,
    receipt: Statement<'a>,
}

impl<'a> ByHand<'a> {
    fn new(connection: &'a Connection) -> Self {
        let prepare = |sql| connection.prepare(sql).expect("prepared");
        Self {
            transaction: prepare(
                "INSERT INTO wfm_agent_state_transaction VALUES
                   (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
                 ON CONFLICT (source, agent_id, started_at) DO UPDATE SET
                   state = excluded.state, category = excluded.category,
                   record_seq = excluded.record_seq, applied_no = excluded.applied_no
                 WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
            ),
            current: prepare(
                "INSERT INTO wfm_agent_state_current VALUES (?, ?, ?, ?, ?, ?, NULL, 1, ?, ?)
                 ON CONFLICT (source, agent_id) DO UPDATE SET
                   state = excluded.state, category = excluded.category, since = excluded.since,
                   origin = excluded.origin, record_seq = excluded.record_seq,
                   applied_no = excluded.applied_no
                 WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
            ),
            interval: prepare(
                "INSERT INTO wfm_queue_interval VALUES
                   (?, ?, ?, 900, ?, ?, ?, 'provisional', NULL, ?, ?, ?, 1, ?, ?)
                 ON CONFLICT (source, interval_start, queue_id) DO UPDATE SET
                   entered = excluded.entered, abandoned = excluded.abandoned,
                   handle_time_s = excluded.handle_time_s, revision = excluded.revision,
                   record_seq = excluded.record_seq, applied_no = excluded.applied_no
                 WHERE (excluded.claim_no, excluded.record_seq) > (claim_no, record_seq)",
            ),
            revision: prepare(
                "INSERT INTO wfm_queue_interval_revision VALUES
                   (?, ?, ?, 1, ?, ?, ?, ?, NULL, ?, NULL, ?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            ),
            receipt: prepare("INSERT OR REPLACE INTO wfm_delivery VALUES ('bench', '1', 1, ?, 0)"),
        }
    }

    fn transaction(&mut self, seq: i64, record: &StateTransaction) {
        let (source, agent) = (record.source.as_str(), record.agent.as_str());
        let (state, category) = (record.state.as_str(), record.category.as_str());
        let (at, origin) = (record.started_at.ms(), record.origin.as_str());
        let applied_no = seq / 2_000;
        let row = params![
            source,
            agent,
            at,
            state,
            category,
            record.previous_state.as_ref().map(StateText::as_str),
            record.earliest_at.map(WallTime::ms),
            record.observed_at.ms(),
            origin,
            record.clamped,
            record.tied,
            seq,
            applied_no
        ];
        self.transaction.execute(row).expect("written");
        let row = params![source, agent, state, category, at, origin, seq, applied_no];
        self.current.execute(row).expect("written");
    }

    fn interval(&mut self, seq: i64, record: &IntervalRecord) {
        let (source, queue) = (record.source.as_str(), record.queue.as_str());
        let start = record.interval_start.s();
        let figures = record.figures;
        let (entered, abandoned) = (figure(figures.entered), figure(figures.abandoned));
        let (handle, at) = (figure(figures.handle_time_s), record.answered_at.ms());
        let applied_no = seq / 2_000;
        let revision = record.revision;
        let row = params![
            source, queue, start, entered, abandoned, handle, revision, at, at, seq, applied_no
        ];
        self.interval.execute(row).expect("written");
        let (reason, run) = (record.reason.as_str(), record.run.as_str());
        let row = params![
            source, queue, start, revision, entered, abandoned, handle, at, reason, run, seq,
            applied_no
        ];
        self.revision.execute(row).expect("written");
    }
}
