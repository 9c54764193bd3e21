//! Records as rows of the neutral tables, as files hold them: `docs/files.md`.
//!
//! A file is a log: it holds every record once, under its place in the journal, and reduces
//! nothing. Claims and the order of commits are a database's; here `store_id` and `record_seq` say
//! which record is newer.

use crate::domain::ids::{StateText, StoreId};
use crate::domain::interval::INTERVAL_S;
use crate::domain::record::{
    AgentChange, CoverageEntry, IntervalRecord, QueueChange, Record, SequencedRecord, StateCode,
    StateTransaction, Suspect,
};
use crate::domain::timestamp::WallTime;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Truth,
    Time,
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it may be empty: the source did not say.
    pub(super) is_optional: bool,
}

/// One kind of file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

/// The value of a column in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Empty,
    Text(&'a str),
    Number(i64),
    Truth(bool),
    Time(WallTime),
}

/// A row: as many cells as its table has columns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) table: &'static Table,
    pub(super) cells: Vec<Cell<'a>>,
}

/// The tables, in the order in which they are listed.
pub(super) const TABLES: [&Table; 6] = [&QUEUE, &AGENT, &INTERVAL, &TRANSACTION, &CODE, &COVERAGE];

const fn must(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        is_optional: false,
    }
}

const fn may(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        is_optional: true,
    }
}

const STORE: Column = must("store_id", Kind::Text);
const SEQ: Column = must("record_seq", Kind::Number);
const SOURCE: Column = must("source", Kind::Text);

pub(super) static QUEUE: Table = Table {
    name: "wfm_queue",
    columns: &[
        STORE,
        SEQ,
        SOURCE,
        must("queue_id", Kind::Text),
        must("valid_from", Kind::Time),
        must("change", Kind::Text),
        may("name", Kind::Text),
        may("description", Kind::Text),
        must("is_active", Kind::Truth),
        must("is_provisional", Kind::Truth),
        must("first_seen", Kind::Time),
    ],
};

pub(super) static AGENT: Table = Table {
    name: "wfm_agent",
    columns: &[
        STORE,
        SEQ,
        SOURCE,
        must("agent_id", Kind::Text),
        must("valid_from", Kind::Time),
        must("change", Kind::Text),
        may("username", Kind::Text),
        may("first_name", Kind::Text),
        may("last_name", Kind::Text),
        may("display_name", Kind::Text),
        may("email", Kind::Text),
        may("time_zone", Kind::Text),
        must("is_active", Kind::Truth),
        must("is_provisional", Kind::Truth),
        must("first_seen", Kind::Time),
    ],
};

pub(super) static INTERVAL: Table = Table {
    name: "wfm_queue_interval_revision",
    columns: &[
        STORE,
        SEQ,
        SOURCE,
        must("queue_id", Kind::Text),
        must("interval_start", Kind::Time),
        must("interval_s", Kind::Number),
        must("revision", Kind::Number),
        may("entered", Kind::Number),
        may("abandoned", Kind::Number),
        may("handle_time_s", Kind::Number),
        may("suspect", Kind::Text),
        must("stored_at", Kind::Time),
        must("reason", Kind::Text),
        must("run", Kind::Text),
    ],
};

pub(super) static TRANSACTION: Table = Table {
    name: "wfm_agent_state_transaction",
    columns: &[
        STORE,
        SEQ,
        SOURCE,
        must("agent_id", Kind::Text),
        must("started_at", Kind::Time),
        must("state", Kind::Text),
        must("category", Kind::Text),
        may("previous_state", Kind::Text),
        may("earliest_at", Kind::Time),
        must("observed_at", Kind::Time),
        must("origin", Kind::Text),
        must("is_clamped", Kind::Truth),
        must("is_tied", Kind::Truth),
    ],
};

pub(super) static CODE: Table = Table {
    name: "wfm_state_code",
    columns: &[
        STORE,
        SEQ,
        SOURCE,
        must("state", Kind::Text),
        must("category", Kind::Text),
        must("first_seen", Kind::Time),
        must("mapped", Kind::Truth),
    ],
};

pub(super) static COVERAGE: Table = Table {
    name: "wfm_interval_coverage",
    columns: &[
        STORE,
        SEQ,
        SOURCE,
        must("feed", Kind::Text),
        must("interval_start", Kind::Time),
        must("status", Kind::Text),
        must("attempts", Kind::Number),
        may("last_error", Kind::Text),
        must("rows", Kind::Number),
        may("fetched_at", Kind::Time),
        may("final_at", Kind::Time),
        may("polls_expected", Kind::Number),
        may("polls_made", Kind::Number),
        may("unknown_s", Kind::Number),
    ],
};

/// The text form of a store's identity, made once a segment.
#[derive(Debug)]
pub(super) struct StoreText(String);

impl StoreText {
    pub(super) fn new(store_id: StoreId) -> Self {
        Self(store_id.to_string())
    }
}

/// The record's row.
pub(super) fn row<'a>(store: &'a StoreText, entry: &'a SequencedRecord) -> Row<'a> {
    let (table, own) = match &entry.record {
        Record::Interval(record) => (&INTERVAL, interval(record)),
        Record::Transaction(record) => (&TRANSACTION, transaction(record)),
        Record::Agent(record) => (&AGENT, agent(record)),
        Record::Queue(record) => (&QUEUE, queue(record)),
        Record::Coverage(record) => (&COVERAGE, coverage(record)),
        Record::StateCode(record) => (&CODE, code(record)),
    };
    let mut cells = vec![
        Cell::Text(&store.0),
        number(entry.seq.get()),
        Cell::Text(entry.record.source().as_str()),
    ];
    cells.extend(own);
    assert_eq!(cells.len(), table.columns.len(), "a row of {}", table.name);
    Row { table, cells }
}

fn queue(r: &QueueChange) -> Vec<Cell<'_>> {
    vec![
        Cell::Text(r.queue.as_str()),
        Cell::Time(r.valid_from),
        Cell::Text(r.change.as_str()),
        text(r.details.name.as_deref()),
        text(r.details.description.as_deref()),
        Cell::Truth(r.details.is_active),
        Cell::Truth(r.provisional),
        Cell::Time(r.first_seen),
    ]
}

fn agent(r: &AgentChange) -> Vec<Cell<'_>> {
    vec![
        Cell::Text(r.agent.as_str()),
        Cell::Time(r.valid_from),
        Cell::Text(r.change.as_str()),
        text(r.details.username.as_deref()),
        text(r.details.first_name.as_deref()),
        text(r.details.last_name.as_deref()),
        text(r.details.display_name.as_deref()),
        text(r.details.email.as_deref()),
        text(r.details.time_zone.as_deref()),
        Cell::Truth(r.details.is_active),
        Cell::Truth(r.provisional),
        Cell::Time(r.first_seen),
    ]
}

fn interval(r: &IntervalRecord) -> Vec<Cell<'_>> {
    vec![
        Cell::Text(r.queue.as_str()),
        Cell::Time(r.interval_start.start()),
        Cell::Number(INTERVAL_S),
        number(r.revision),
        r.figures.entered.map_or(Cell::Empty, number),
        r.figures.abandoned.map_or(Cell::Empty, number),
        r.figures.handle_time_s.map_or(Cell::Empty, number),
        text(r.suspect.map(Suspect::as_str)),
        Cell::Time(r.answered_at),
        Cell::Text(r.reason.as_str()),
        Cell::Text(r.run.as_str()),
    ]
}

fn transaction(r: &StateTransaction) -> Vec<Cell<'_>> {
    vec![
        Cell::Text(r.agent.as_str()),
        Cell::Time(r.started_at),
        Cell::Text(r.state.as_str()),
        Cell::Text(r.category.as_str()),
        text(r.previous_state.as_ref().map(StateText::as_str)),
        r.earliest_at.map_or(Cell::Empty, Cell::Time),
        Cell::Time(r.observed_at),
        Cell::Text(r.origin.as_str()),
        Cell::Truth(r.clamped),
        Cell::Truth(r.tied),
    ]
}

fn code(r: &StateCode) -> Vec<Cell<'_>> {
    vec![
        Cell::Text(r.state.as_str()),
        Cell::Text(r.category.as_str()),
        Cell::Time(r.first_seen),
        Cell::Truth(r.mapped),
    ]
}

fn coverage(r: &CoverageEntry) -> Vec<Cell<'_>> {
    vec![
        Cell::Text(r.feed.as_str()),
        Cell::Time(r.interval_start.start()),
        Cell::Text(r.status.as_str()),
        number(r.attempts),
        text(r.last_error.as_deref()),
        number(r.rows),
        r.fetched_at.map_or(Cell::Empty, Cell::Time),
        r.final_at.map_or(Cell::Empty, Cell::Time),
        r.polls_expected.map_or(Cell::Empty, number),
        r.polls_made.map_or(Cell::Empty, number),
        r.unknown_s.map_or(Cell::Empty, number),
    ]
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Empty, Cell::Text)
}

/// Figures past 63 bits are refused before they come here.
fn number<'a>(number: impl Into<u64>) -> Cell<'a> {
    Cell::Number(i64::try_from(number.into()).unwrap_or(i64::MAX))
}
