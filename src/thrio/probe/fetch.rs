//! Real requests, answers kept whole.

use std::io::Read as _;
use std::sync::Arc;

use super::{ProbeFeed, RequestSeen, Sample};
use crate::clock::Clock;
use crate::domain::call::{HistoricalCall, RealtimeCall};
use crate::domain::timestamp::{WallTime, millis};
use crate::stop::StopToken;
use crate::thrio::api::ApiOptions;
use crate::thrio::connection::{Ask, historical_ask, historical_queues, page_ask, realtime_ask};
use crate::thrio::error::Cause;
use crate::thrio::http::BodyFailure;
use crate::thrio::{ThrioConnection, ThrioError};

/// What one probe asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A poll; `since` for sources that answer with changes.
    Realtime(Option<WallTime>),
    /// A window of contact volume.
    Historical(HistoricalCall),
    /// The first page of queues.
    Queues,
    /// The first page of users.
    Agents,
}

impl Asked {
    /// What it probes.
    pub const fn feed(&self) -> ProbeFeed {
        match self {
            Self::Realtime(_) => ProbeFeed::Realtime,
            Self::Historical(_) => ProbeFeed::Historical,
            Self::Queues => ProbeFeed::Queues,
            Self::Agents => ProbeFeed::Agents,
        }
    }
}

/// Asks as the feeds do, through the same session rules, and keeps what comes.
pub struct Prober {
    connection: ThrioConnection,
    api: ApiOptions,
    clock: Arc<dyn Clock>,
    stop: StopToken,
}

impl Prober {
    /// A prober of this connection and mapping.
    pub fn new(
        connection: ThrioConnection,
        api: ApiOptions,
        clock: Arc<dyn Clock>,
        stop: StopToken,
    ) -> Self {
        Self {
            connection,
            api,
            clock,
            stop,
        }
    }

    /// One call. Any status but 401 is a sample; what brought no whole answer is an error.
    pub fn ask(&self, asked: &Asked) -> Result<Sample, ThrioError> {
        let (connection, clock, stop) = (&self.connection, &*self.clock, &self.stop);
        match asked {
            Asked::Realtime(since) => {
                let call = RealtimeCall { since: *since };
                self.send(&realtime_ask(&self.api, &call, connection, clock, stop))
            }
            Asked::Historical(call) => {
                let queues = historical_queues(call);
                let ask = historical_ask(&self.api, call, &queues, connection, clock, stop);
                let mut sample = self.send(&ask)?;
                sample.window = Some(call.window);
                Ok(sample)
            }
            Asked::Queues => {
                let (request, rows) = (self.api.queues.request(), self.api.queues.page_rows);
                self.send(&page_ask(connection, "queues", request, rows, clock, stop))
            }
            Asked::Agents => {
                let (request, rows) = (self.api.agents.request(), self.api.agents.page_rows);
                self.send(&page_ask(connection, "agents", request, rows, clock, stop))
            }
        }
    }

    fn send(&self, ask: &Ask<'_>) -> Result<Sample, ThrioError> {
        let answered = self.connection.call(ask, |reply, secrets| {
            let mut body = Vec::new();
            // A failure is told by the body itself, below.
            let _ = reply.body.read_to_end(&mut body);
            match reply.body.failure() {
                Some(BodyFailure::Cause(cause)) => return Err(cause.clone()),
                Some(BodyFailure::TooLarge) => {
                    return Err(Cause::TooLarge {
                        limit_bytes: reply.body.limit(),
                    });
                }
                // A cut body is shown as it came.
                Some(BodyFailure::Cut(_)) | None => {}
            }
            Ok((
                reply.head.status,
                secrets.excerpt(&reply.head.content_type),
                body,
            ))
        })?;
        let (status, content_type, body) = answered.value;
        let timing = answered.timing;
        let took = timing.received.mono.since(timing.sent.mono);
        Ok(Sample {
            request: Some(RequestSeen {
                method: ask.request.method.as_str().to_owned(),
                target: ask.request.path_and_query(&ask.values),
                body: ask.request.body(&ask.values),
            }),
            status,
            content_type,
            body,
            took_ms: millis(took).unsigned_abs(),
            window: None,
        })
    }
}
