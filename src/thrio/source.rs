//! What a worker calls: each feed's request, its answer parsed, its failure explained.

use std::io::{BufReader, Read as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::api::{ApiOptions, RequestTemplate, Values};
use super::connection::{
    Ask, ThrioConnection, historical_ask, historical_queues, page_ask, realtime_ask,
};
use super::error::{Cause, ThrioError};
use super::http::{self, BodyFailure, Reply};
use super::paging::all_pages;
use super::wire::{AgentsParser, HistoricalParser, Page, QueuesParser, RealtimeParser, WireError};
use super::{Answered, Source, not_thrio};
use crate::clock::Clock;
use crate::domain::call::{
    ConfigurationAnswer, ConfigurationCall, HistoricalAnswer, HistoricalCall, RealtimeCall,
    Snapshot, Timing,
};
use crate::stop::StopToken;
use crate::transport::mask::Secrets;

/// The parser asks for single bytes: few calls into the decompressor.
const STREAM_BUFFER_BYTES: usize = 32 * 1024;

/// One worker's view of a tenant.
pub(super) struct ThrioSource {
    connection: ThrioConnection,
    api: ApiOptions,
    clock: Arc<dyn Clock>,
    stop: StopToken,
    realtime: RealtimeParser,
    historical: HistoricalParser,
    queues: QueuesParser,
    agents: AgentsParser,
    /// The realtime body, reused from poll to poll.
    body: Vec<u8>,
}

impl ThrioSource {
    pub(super) fn new(
        connection: ThrioConnection,
        api: &ApiOptions,
        clock: Arc<dyn Clock>,
        stop: StopToken,
    ) -> Self {
        Self {
            connection,
            realtime: RealtimeParser::new(&api.realtime),
            historical: HistoricalParser::new(&api.historical),
            queues: QueuesParser::new(&api.queues),
            agents: AgentsParser::new(&api.agents),
            api: api.clone(),
            clock,
            stop,
            body: Vec::new(),
        }
    }
}

impl Source for ThrioSource {
    fn realtime(
        &mut self,
        call: &RealtimeCall,
        into: &mut Snapshot,
    ) -> Result<Answered<()>, ThrioError> {
        into.clear();
        let clock = &*self.clock;
        let ask = realtime_ask(&self.api, call, &self.connection, clock, &self.stop);
        let (parser, buffer) = (&mut self.realtime, &mut self.body);
        self.connection.call(&ask, |reply, secrets| {
            refuse_status(reply, secrets, &ask)?;
            buffer.clear();
            // A failure is told by the body itself, below.
            let _ = reply.body.read_to_end(buffer);
            let result = match reply.body.failure() {
                Some(_) => Err(WireError::Syntax("the body is not whole".to_owned())),
                None => parser.parse(buffer, into).map(drop),
            };
            result.map_err(|error| unusable(reply, &error, secrets))
        })
    }

    fn historical(
        &mut self,
        call: &HistoricalCall,
    ) -> Result<Answered<HistoricalAnswer>, ThrioError> {
        let queues: Vec<&str> = historical_queues(call);
        let clock = &*self.clock;
        let ask = historical_ask(
            &self.api,
            call,
            &queues,
            &self.connection,
            clock,
            &self.stop,
        );
        let parser = &mut self.historical;
        self.connection.call(&ask, |reply, secrets| {
            refuse_status(reply, secrets, &ask)?;
            let body = BufReader::with_capacity(STREAM_BUFFER_BYTES, &mut reply.body);
            match parser.parse(call, body) {
                Ok((answer, _)) => Ok(answer),
                Err(error) => Err(unusable(reply, &error, secrets)),
            }
        })
    }

    fn configuration(
        &mut self,
        call: ConfigurationCall,
    ) -> Result<Answered<ConfigurationAnswer>, ThrioError> {
        let mut timing: Option<Timing> = None;
        let mut note = |page: Timing| match &mut timing {
            // The first page's sending and the last one's receipt bound the whole.
            Some(timing) => {
                timing.received = page.received;
                timing.server_date = page.server_date.or(timing.server_date);
            }
            None => timing = Some(page),
        };
        let (connection, clock, stop) = (&self.connection, &*self.clock, &self.stop);
        let value = match call {
            ConfigurationCall::Queues => {
                let parser = &mut self.queues;
                let request = self.api.queues.request();
                let lister = Lister {
                    connection,
                    operation: "queues",
                    request,
                    rows: self.api.queues.page_rows,
                    clock,
                    stop,
                };
                ConfigurationAnswer::Queues(all_pages(
                    lister.is_paged(),
                    |entry: &crate::domain::queue::QueueEntry| entry.id.clone(),
                    |offset| lister.page(offset, &mut note, |body| parser.parse(body)),
                )?)
            }
            ConfigurationCall::Agents => {
                let parser = &mut self.agents;
                let request = self.api.agents.request();
                let lister = Lister {
                    connection,
                    operation: "agents",
                    request,
                    rows: self.api.agents.page_rows,
                    clock,
                    stop,
                };
                ConfigurationAnswer::Agents(all_pages(
                    lister.is_paged(),
                    |entry: &crate::domain::agent::AgentEntry| entry.id.clone(),
                    |offset| lister.page(offset, &mut note, |body| parser.parse(body)),
                )?)
            }
        };
        let timing = timing.expect("a list has at least one page");
        Ok(Answered { timing, value })
    }
}

/// Fetches the pages of one list.
struct Lister<'a> {
    connection: &'a ThrioConnection,
    operation: &'static str,
    request: RequestTemplate<'a>,
    rows: u32,
    clock: &'a dyn Clock,
    stop: &'a StopToken,
}

impl Lister<'_> {
    fn is_paged(&self) -> bool {
        self.request.uses("offset")
    }

    fn page<T>(
        &self,
        offset: u64,
        note: &mut impl FnMut(Timing),
        mut parse: impl FnMut(BufReader<&mut http::Body>) -> Result<Page<T>, WireError>,
    ) -> Result<Page<T>, ThrioError> {
        let ask = list_ask(self, offset);
        let answered = self.connection.call(&ask, |reply, secrets| {
            refuse_status(reply, secrets, &ask)?;
            let body = BufReader::with_capacity(STREAM_BUFFER_BYTES, &mut reply.body);
            parse(body).map_err(|error| unusable(reply, &error, secrets))
        })?;
        note(answered.timing);
        let page = answered.value;
        if let Some(id) = &page.ids_differ
            && !self
                .connection
                .told_ids_differ
                .swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                operation = self.operation,
                id,
                "Thrio gives two different ids for one entry; the named one is used, see \
                 fields.id in [source.api]"
            );
        }
        Ok(page)
    }
}

fn list_ask<'a>(lister: &Lister<'a>, offset: u64) -> Ask<'a> {
    let first = page_ask(
        lister.connection,
        lister.operation,
        lister.request,
        lister.rows,
        lister.clock,
        lister.stop,
    );
    Ask {
        values: Values {
            offset: Some(offset),
            ..first.values
        },
        ..first
    }
}

/// Anything but 2xx is no answer.
fn refuse_status(reply: &mut Reply, secrets: &Secrets, ask: &Ask<'_>) -> Result<(), Cause> {
    if (200..300).contains(&reply.head.status) {
        return Ok(());
    }
    let now = ask.clock.now().wall;
    Err(http::cause_of_status(
        reply,
        secrets,
        now,
        ask.retry_after_max,
    ))
}

/// Why a 2xx is no answer.
fn unusable(reply: &Reply, error: &WireError, secrets: &Secrets) -> Cause {
    match (reply.body.failure(), error) {
        (Some(BodyFailure::Cause(cause)), _) => cause.clone(),
        (Some(BodyFailure::TooLarge), _) => Cause::TooLarge {
            limit_bytes: reply.body.limit(),
        },
        // Halving the window helps, as it does for too many bytes.
        (_, WireError::TooManyRows(_)) => Cause::TooLarge {
            limit_bytes: reply.body.received(),
        },
        (Some(BodyFailure::Cut(how)), _) => {
            let head = reply.body.head_text();
            not_thrio(&reply.head, &reply.body, &head, how, secrets)
        }
        (None, error) => {
            let head = reply.body.head_text();
            not_thrio(&reply.head, &reply.body, &head, &error.to_string(), secrets)
        }
    }
}
