//! What a person would write by hand.

use chrono::{DateTime, Utc};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::StateText;
use thrio_edge::domain::record::{IntervalRecord, Record, StateTransaction};
use thrio_edge::domain::timestamp::WallTime;
use tokio::runtime::Runtime;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

use crate::postgres_server::{PASSWORD, PostgresServer, USER};
use crate::rows::{figure, number};

/// How the rows get to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As arrays, for each table.
    Unnest,
    /// Into a temporary table, once.
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

/// A connection, and the statements of both workloads.
pub(crate) struct ByHand {
    runtime: Runtime,
    client: Client,
    way: Way,
    transactions: Vec<Statement>,
    intervals: Vec<Statement>,
    receipt: Statement,
}

impl ByHand {
    pub(crate) fn new(server: &PostgresServer, database: &str, way: Way) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (t, i) = match way {
            Way::Unnest => (unnested(TRANSACTION_COLUMNS), unnested(INTERVAL_COLUMNS)),
            Way::Copy => ("staged_t".to_owned(), "staged_i".to_owned()),
        };
        let connecting = async {
            let client = connect(server.port(), database).await;
            let transactions = prepare(&client, &transactions_from(&t)).await;
            let intervals = prepare(&client, &intervals_from(&i)).await;
            let receipt = client.prepare(RECEIPT).await.expect("prepared");
            (client, transactions, intervals, receipt)
        };
        let (client, transactions, intervals, receipt) = runtime.block_on(connecting);
        Self {
            runtime,
            client,
            way,
            transactions,
            intervals,
            receipt,
        }
    }

    pub(crate) fn send(&mut self, batch: &Batch) {
        let last = number(batch.range.last);
        self.runtime.block_on(async {
            self.client.batch_execute("BEGIN").await.expect("begun");
            if let Record::Transaction(_) = &batch.records[0].record {
                let columns = transactions(batch);
                self.write("staged_t", &columns, &self.transactions).await;
            } else {
                let columns = intervals(batch);
                self.write("staged_i", &columns, &self.intervals).await;
            }
            let written = self.client.execute(&self.receipt, &[&last]).await;
            written.expect("written");
            let committed = self.client.batch_execute("COMMIT").await;
            committed.expect("committed");
        });
    }

    async fn write(&self, staged: &str, columns: &[Column<'_>], statements: &[Statement]) {
        let mut params = Vec::new();
        match self.way {
            Way::Unnest => params.extend(columns.iter().map(Column::whole)),
            Way::Copy => self.copy(staged, columns).await,
        }
        for statement in statements {
            let written = self.client.execute(statement, &params).await;
            written.expect("written");
        }
    }

    async fn copy(&self, staged: &str, columns: &[Column<'_>]) {
        let copy = format!("COPY {staged} FROM STDIN (FORMAT binary)");
        let sink = self.client.copy_in(&copy).await.expect("begun");
        let types: Vec<_> = columns.iter().map(Column::kind).collect();
        let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
        let mut row = Vec::with_capacity(columns.len());
        for n in 0..columns[0].len() {
            row.clear();
            row.extend(columns.iter().map(|column| column.cell(n)));
            writer.as_mut().write(&row).await.expect("staged");
        }
        writer.finish().await.expect("staged");
    }
}

async fn connect(port: u16, database: &str) -> Client {
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
    let staged =
        |name, columns| format!("CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DELETE ROWS;");
    let set_up = [
        "SET jit = off;".to_owned(),
        staged("staged_t", TRANSACTION_COLUMNS),
        staged("staged_i", INTERVAL_COLUMNS),
    ];
    let made = client.batch_execute(&set_up.concat()).await;
    made.expect("made");
    client
}

async fn prepare(client: &Client, texts: &[String]) -> Vec<Statement> {
    let mut prepared = Vec::new();
    for text in texts {
        prepared.push(client.prepare(text).await.expect("prepared"));
    }
    prepared
}

/// The values of one column.
enum Column<'a> {
    Number(Vec<Option<i64>>),
    Text(Vec<Option<&'a str>>),
    Moment(Vec<Option<DateTime<Utc>>>),
    Truth(Vec<bool>),
}

impl Column<'_> {
    fn whole(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Number(values) => values,
            Self::Text(values) => values,
            Self::Moment(values) => values,
            Self::Truth(values) => values,
        }
    }

    fn cell(&self, n: usize) -> &(dyn ToSql + Sync) {
        match self {
            Self::Number(values) => &values[n],
            Self::Text(values) => &values[n],
            Self::Moment(values) => &values[n],
            Self::Truth(values) => &values[n],
        }
    }

    fn kind(&self) -> Type {
        match self {
            Self::Number(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Moment(_) => Type::TIMESTAMPTZ,
            Self::Truth(_) => Type::BOOL,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Moment(values) => values.len(),
            Self::Truth(values) => values.len(),
        }
    }
}

fn transactions(batch: &Batch) -> [Column<'_>; 11] {
    let rows = batch.records.iter().map(|entry| match &entry.record {
        Record::Transaction(record) => (number(entry.seq), record),
        _ => unreachable!("the workload has no others"),
    });
    let rows: Vec<_> = rows.collect();
    [
        Column::Number(rows.iter().map(|(seq, _)| Some(*seq)).collect()),
        Column::Text(rows.iter().map(|(_, r)| Some(r.agent.as_str())).collect()),
        Column::Moment(rows.iter().map(|(_, r)| Some(at(r.started_at))).collect()),
        Column::Text(rows.iter().map(|(_, r)| Some(r.state.as_str())).collect()),
        Column::Text(
            rows.iter()
                .map(|(_, r)| Some(r.category.as_str()))
                .collect(),
        ),
        Column::Text(rows.iter().map(|(_, r)| before(r)).collect()),
        Column::Moment(rows.iter().map(|(_, r)| r.earliest_at.map(at)).collect()),
        Column::Moment(rows.iter().map(|(_, r)| Some(at(r.observed_at))).collect()),
        Column::Text(rows.iter().map(|(_, r)| Some(r.origin.as_str())).collect()),
        Column::Truth(rows.iter().map(|(_, r)| r.clamped).collect()),
        Column::Truth(rows.iter().map(|(_, r)| r.tied).collect()),
    ]
}

fn intervals(batch: &Batch) -> [Column<'_>; 10] {
    let rows = batch.records.iter().map(|entry| match &entry.record {
        Record::Interval(record) => (number(entry.seq), record),
        _ => unreachable!("the workload has no others"),
    });
    let rows: Vec<_> = rows.collect();
    let figures = || rows.iter().map(|(_, r)| r.figures);
    let start = |r: &IntervalRecord| Some(at(r.interval_start.start()));
    let revision = |r: &IntervalRecord| Some(i64::from(r.revision));
    [
        Column::Number(rows.iter().map(|(seq, _)| Some(*seq)).collect()),
        Column::Text(rows.iter().map(|(_, r)| Some(r.queue.as_str())).collect()),
        Column::Moment(rows.iter().map(|(_, r)| start(r)).collect()),
        Column::Number(figures().map(|f| figure(f.entered)).collect()),
        Column::Number(figures().map(|f| figure(f.abandoned)).collect()),
        Column::Number(figures().map(|f| figure(f.handle_time_s)).collect()),
        Column::Number(rows.iter().map(|(_, r)| revision(r)).collect()),
        Column::Moment(rows.iter().map(|(_, r)| Some(at(r.answered_at))).collect()),
        Column::Text(rows.iter().map(|(_, r)| Some(r.reason.as_str())).collect()),
        Column::Text(rows.iter().map(|(_, r)| Some(r.run.as_str())).collect()),
    ]
}

fn before(record: &StateTransaction) -> Option<&str> {
    record.previous_state.as_ref().map(StateText::as_str)
}

fn at(time: WallTime) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.ms()).expect("a moment")
}
