//! What `export` and `report` read, page by page: the same whether a daemon runs or the store is
//! looked at by the command itself.

use std::collections::HashSet;

use serde_json::Value;

use super::commands::{plain, refuse_store};
use super::questions::window;
use super::transactions::Wanted;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::control::protocol::{
    AgentsNowPage, ExportPage, ExportPlace, ExportQuestion, ExportTable,
};
use crate::control::question::{PAGE_ROWS_MAX, Span};
use crate::control::{Refusal, Request};
use crate::domain::ids::{AgentId, Feed, RecordSeq, SourceName};
use crate::domain::record::{Record, SequencedRecord};
use crate::lifecycle::exit::Exit;
use crate::store::{Store, StoreError};

/// The journal of a box whose daemon does not run, looked at without changing anything.
pub struct Books(Store);

impl Books {
    /// Looks at the store, whose lock must be free.
    pub fn look(config: &Config) -> Result<Self, Refusal> {
        let store = Store::look(&config.store, SystemClock::new().now());
        store.map(Self).map_err(refuse_store)
    }

    /// Answers [`Request::Export`] and [`Request::AgentsNow`].
    pub fn answer(&self, request: &Request) -> Result<Value, Refusal> {
        answer(&self.0, request)
    }
}

/// Answers a page of them.
pub(super) fn answer(store: &Store, request: &Request) -> Result<Value, Refusal> {
    let page = match request {
        Request::Export(question) => export(store, question).map(|page| plain(&page)),
        Request::AgentsNow { source, after } => {
            agents_now(store, source, after.as_ref()).map(|page| plain(&page))
        }
        other => {
            let message = format!("{other:?} is no question of an export");
            return Err(Refusal::new(Exit::Usage, message));
        }
    };
    page.map_err(refuse_store)
}

fn export(store: &Store, question: &ExportQuestion) -> Result<ExportPage, StoreError> {
    let (records, next) = match question.table {
        ExportTable::Intervals => intervals(store, question)?,
        ExportTable::Transactions => return transactions(store, question),
        ExportTable::Agents => agents(store, question)?,
        ExportTable::Queues => queues(store, question)?,
        ExportTable::Coverage => coverage(store, question)?,
    };
    Ok(ExportPage {
        store_id: store.store_id(),
        next: next.filter(|_| records.len() == PAGE_ROWS_MAX),
        records,
    })
}

/// The records of a page, and the place of its last one.
type Part = (Vec<SequencedRecord>, Option<ExportPlace>);

fn part<T>(
    found: Vec<(RecordSeq, T)>,
    place: impl Fn(&T) -> ExportPlace,
    record: impl Fn(T) -> Record,
) -> Part {
    let next = found.last().map(|(_, last)| place(last));
    let records = found.into_iter().map(|(seq, one)| SequencedRecord {
        seq,
        record: record(one),
    });
    (records.collect(), next)
}

fn span(question: &ExportQuestion) -> Span {
    Span {
        from: question.from,
        to: question.to,
    }
}

fn intervals(store: &Store, question: &ExportQuestion) -> Result<Part, StoreError> {
    let after = match &question.after {
        Some(ExportPlace::Interval(start, queue)) => Some((*start, queue.clone())),
        _ => None,
    };
    let (source, window) = (&question.source, window(span(question)));
    let found = store.interval_page(source, window, after.as_ref(), PAGE_ROWS_MAX)?;
    Ok(part(
        found,
        |last| ExportPlace::Interval(last.interval_start, last.queue.clone()),
        Record::Interval,
    ))
}

fn transactions(store: &Store, question: &ExportQuestion) -> Result<ExportPage, StoreError> {
    let wanted = Wanted {
        source: Some(&question.source),
        agent: None,
        span: span(question),
    };
    let after = match question.after {
        Some(ExportPlace::Seq(seq)) => Some(seq),
        _ => None,
    };
    let open = HashSet::from([question.source.clone()]);
    let found = wanted.page(store, open, after, PAGE_ROWS_MAX)?;
    let (records, _) = part(
        found.transactions,
        |last| ExportPlace::Agent(last.agent.clone()),
        Record::Transaction,
    );
    Ok(ExportPage {
        store_id: store.store_id(),
        records,
        next: found.next.map(ExportPlace::Seq),
    })
}

fn agents(store: &Store, question: &ExportQuestion) -> Result<Part, StoreError> {
    let after = match &question.after {
        Some(ExportPlace::Agent(agent)) => Some(agent),
        _ => None,
    };
    let found = store.roster_agents(&question.source, after, PAGE_ROWS_MAX)?;
    Ok(part(
        found,
        |last| ExportPlace::Agent(last.agent.clone()),
        Record::Agent,
    ))
}

fn queues(store: &Store, question: &ExportQuestion) -> Result<Part, StoreError> {
    let after = match &question.after {
        Some(ExportPlace::Queue(queue)) => Some(queue),
        _ => None,
    };
    let found = store.roster_queues(&question.source, after, PAGE_ROWS_MAX)?;
    Ok(part(
        found,
        |last| ExportPlace::Queue(last.queue.clone()),
        Record::Queue,
    ))
}

fn coverage(store: &Store, question: &ExportQuestion) -> Result<Part, StoreError> {
    let whole = window(span(question));
    let (first, after) = match question.after {
        Some(ExportPlace::Coverage(feed, start)) => (feed, Some(start)),
        _ => (Feed::ALL[0], None),
    };
    let mut found = Vec::new();
    for feed in Feed::ALL.into_iter().skip_while(|feed| *feed != first) {
        let mut rest = whole;
        if let Some(after) = after.filter(|_| feed == first) {
            rest.from = after.plus(1);
        }
        let left = PAGE_ROWS_MAX - found.len();
        found.extend(store.coverage_page(&question.source, feed, rest, left)?);
    }
    Ok(part(
        found,
        |last| ExportPlace::Coverage(last.feed, last.interval_start),
        Record::Coverage,
    ))
}

fn agents_now(
    store: &Store,
    source: &SourceName,
    after: Option<&AgentId>,
) -> Result<AgentsNowPage, StoreError> {
    let agents = store.agent_page(source, after, PAGE_ROWS_MAX)?;
    let feed = store.feed_state(source, Feed::Realtime);
    Ok(AgentsNowPage {
        more: agents.len() == PAGE_ROWS_MAX,
        agents,
        codes: store.state_codes(source)?,
        seen_until: feed.and_then(|feed| feed.last_complete_poll_at),
    })
}
