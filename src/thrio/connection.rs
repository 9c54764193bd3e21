//! One connection to Thrio and the sources that its workers call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use secrecy::SecretString;

use super::api::{ApiOptions, RequestTemplate, Values};
use super::error::{Cause, ThrioError};
use super::hold::Held;
use super::http::{self, Failure, Head, Reply, Request};
use super::login::below;
use super::options::{ConnectionOptions, OptionProblem, PasswordProvider};
use super::session::{LoggedIn, Session, Sessions};
use super::source::ThrioSource;
use super::{Answered, Source};
use crate::clock::Clock;
use crate::domain::call::{HistoricalCall, RealtimeCall, Timing};
use crate::domain::ids::QueueId;
use crate::domain::timestamp::Now;
use crate::stop::StopToken;
use crate::transport::{self, mask::Secrets};

/// How long a throttled realtime feed waits at most: it is worthless when stale.
const REALTIME_RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// How long the others wait at most.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);
/// A feed that was redirected to another host asks again after this.
const ELSEWHERE_HOLD: Duration = Duration::from_mins(5);
/// One account at one login host: its session, shared by every source made from it. Clones share
/// it too.
#[derive(Clone)]
pub struct ThrioConnection {
    sessions: Arc<Sessions>,
    /// Whether somebody was told that `_id` and the named id differ.
    pub(super) told_ids_differ: Arc<AtomicBool>,
}

impl fmt::Debug for ThrioConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrioConnection")
            .field("options", self.sessions.options())
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

impl ThrioConnection {
    /// Prepares a connection; nothing is sent before the first call. The problem names the option
    /// that cannot be used (a `ca_file` that is not there, for example).
    pub fn new(
        options: ConnectionOptions,
        password: PasswordProvider,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OptionProblem> {
        Ok(Self {
            sessions: Arc::new(Sessions::new(options, password, clock)?),
            told_ids_differ: Arc::default(),
        })
    }

    /// A worker's own view of the tenant. `clock` labels its calls; holds and renewals go by the
    /// connection's clock.
    pub fn source(
        &self,
        api: &ApiOptions,
        clock: Arc<dyn Clock>,
        stop: StopToken,
    ) -> Box<dyn Source> {
        Box::new(ThrioSource::new(self.clone(), api, clock, stop))
    }

    /// Ends every call at once, now and from now on: the last thing that is done with it.
    pub fn shutdown(&self) {
        self.sessions.shutdown();
    }

    /// Why and until when the connection waits for a person, if it does.
    pub fn held(&self) -> Option<Held> {
        self.sessions.held()
    }

    /// The login that counts now, if there is one.
    pub fn logged_in(&self) -> Option<LoggedIn> {
        self.sessions.logged_in()
    }

    /// Reads the password again and ends a hold that another one caused; whether it did. Workers
    /// that wait for the hold's end should then be woken. Every call does this too.
    pub fn end_hold_if_password_changed(&self) -> bool {
        self.sessions.end_hold_if_password_changed()
    }

    /// Logs in (unless there is a token) and asks nothing: what `check --connect` begins with.
    pub fn log_in(&self) -> Result<(), ThrioError> {
        self.sessions.session().map(drop)
    }

    /// Whether nothing more should be sent.
    fn is_stopped(&self, stop: &StopToken) -> bool {
        stop.is_stopped() || self.sessions.is_shut_down()
    }

    /// One data call: at most one login and two requests (`thrio-api.md` §5).
    pub(super) fn call<T>(
        &self,
        ask: &Ask<'_>,
        read: impl FnMut(&mut Reply, &Secrets) -> Result<T, Cause>,
    ) -> Result<Answered<T>, ThrioError> {
        if self.is_stopped(ask.stop) {
            let now = ask.clock.now();
            return Err(self.sessions.error(Cause::Stopped, now));
        }
        let session = self.sessions.session()?;
        let (scheme, authorization) = self.sessions.authorization(&session);
        let mut attempt = Attempt {
            connection: self,
            ask,
            read,
        };
        let (refusal, session) = match attempt.send(&session, &authorization)? {
            Sent::Answered(answered) => {
                self.sessions.accepted(&session, scheme);
                return Ok(answered);
            }
            Sent::Refused(refusal) => (refusal, session),
        };
        // A token that worked before has ended: one login. One that is fresh would come back the
        // same: only the way it travels is still in question.
        let (session, again) = if session.is_fresh() {
            let other = self.sessions.other_authorization(scheme, &session);
            (session, other)
        } else {
            let renewed = self.sessions.renewed(&session)?;
            let again = self.sessions.authorization(&renewed);
            (renewed, Some(again))
        };
        let refusal = match again {
            None => refusal,
            Some((scheme, authorization)) => match attempt.send(&session, &authorization)? {
                Sent::Answered(answered) => {
                    self.sessions.accepted(&session, scheme);
                    return Ok(answered);
                }
                Sent::Refused(refusal) => refusal,
            },
        };
        let cause = self
            .sessions
            .hold_refused(&session, ask.operation, refusal.message);
        Err(attempt.error(&session, cause, refusal.timing))
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) operation: &'static str,
    pub(super) request: RequestTemplate<'a>,
    pub(super) values: Values<'a>,
    pub(super) bytes_max: u64,
    pub(super) retry_after_max: Duration,
    pub(super) clock: &'a dyn Clock,
    pub(super) stop: &'a StopToken,
}

struct Attempt<'a, F> {
    connection: &'a ThrioConnection,
    ask: &'a Ask<'a>,
    read: F,
}

enum Sent<T> {
    Answered(Answered<T>),
    /// 401.
    Refused(Refusal),
}

struct Refusal {
    message: String,
    timing: Timing,
}

impl<F> Attempt<'_, F> {
    fn send<T>(
        &mut self,
        session: &Session,
        authorization: &SecretString,
    ) -> Result<Sent<T>, ThrioError>
    where
        F: FnMut(&mut Reply, &Secrets) -> Result<T, Cause>,
    {
        let ask = self.ask;
        let mut secrets = self.connection.sessions.secrets(session);
        // A mapping's headers may hold a gateway's key.
        for value in ask.request.headers.values() {
            secrets.hide(value);
        }
        let sent = ask.clock.now();
        let reply = self.exchange(session, authorization);
        let mut reply = match reply {
            Ok(reply) => reply,
            Err(cause) => {
                let timing = self.timing(sent, None);
                return Err(self.error(session, cause, timing));
            }
        };
        if reply.head.status == 401 {
            let message = http::said(&mut reply, &secrets);
            let timing = self.timing(sent, Some(&reply.head));
            return Ok(Sent::Refused(Refusal { message, timing }));
        }
        let outcome = (self.read)(&mut reply, &secrets);
        let timing = self.timing(reply.head.sent, Some(&reply.head));
        match outcome {
            Ok(value) => Ok(Sent::Answered(Answered { timing, value })),
            Err(cause) => Err(self.error(session, cause, timing)),
        }
    }

    fn exchange(&self, session: &Session, authorization: &SecretString) -> Result<Reply, Cause> {
        let ask = self.ask;
        let target = ask.request.path_and_query(&ask.values);
        let Some(url) = below(&session.base, &target) else {
            return Err(Cause::Network(
                "the path makes no URL; check path".to_owned(),
            ));
        };
        let body = ask.request.body(&ask.values);
        let headers: Vec<(&str, &str)> = ask
            .request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = Request {
            method: ask.request.method.as_str(),
            url: &url,
            authorization,
            headers: &headers,
            body: body.as_deref(),
            bytes_max: ask.bytes_max,
        };
        let sessions = &self.connection.sessions;
        sessions
            .http
            .exchange(&request, ask.clock)
            .map_err(|failure| match failure {
                Failure::Cause(cause) => cause,
                Failure::Elsewhere(message) => Cause::HostNotAllowed {
                    message,
                    held_until: sessions.clock.now().mono.plus(ELSEWHERE_HOLD),
                },
            })
    }

    fn timing(&self, sent: Now, head: Option<&Head>) -> Timing {
        Timing {
            sent,
            received: self.ask.clock.now(),
            server_date: head.and_then(|head| head.server_date),
        }
    }

    fn error(&self, session: &Session, cause: Cause, timing: Timing) -> ThrioError {
        let cause = if self.connection.is_stopped(self.ask.stop) {
            Cause::Stopped
        } else {
            cause
        };
        ThrioError {
            operation: self.ask.operation,
            host: transport::host_of(&session.base),
            cause,
            timing,
        }
    }
}

/// The request of a list's first page.
pub(super) fn page_ask<'a>(
    connection: &ThrioConnection,
    operation: &'static str,
    request: RequestTemplate<'a>,
    rows: u32,
    clock: &'a dyn Clock,
    stop: &'a StopToken,
) -> Ask<'a> {
    Ask {
        operation,
        request,
        values: Values {
            offset: Some(0),
            rows: Some(rows),
            ..Values::default()
        },
        bytes_max: connection.sessions.options().body_bytes_max,
        retry_after_max: RETRY_AFTER_MAX,
        clock,
        stop,
    }
}

/// The request of a realtime poll.
pub(super) fn realtime_ask<'a>(
    api: &'a ApiOptions,
    call: &RealtimeCall,
    connection: &ThrioConnection,
    clock: &'a dyn Clock,
    stop: &'a StopToken,
) -> Ask<'a> {
    let first_since = Duration::from_secs(api.realtime.first_since_s);
    let since = call
        .since
        .unwrap_or_else(|| clock.now().wall.minus(first_since));
    Ask {
        operation: "realtime",
        request: api.realtime.request(),
        values: Values {
            since: Some(since),
            ..Values::default()
        },
        bytes_max: connection.sessions.options().realtime_body_bytes_max,
        retry_after_max: REALTIME_RETRY_AFTER_MAX,
        clock,
        stop,
    }
}

/// The queues that a request names: the one asked for, or all that the template stands for.
pub(super) fn historical_queues(call: &HistoricalCall) -> Vec<&str> {
    match &call.queue {
        Some(queue) => vec![queue.as_str()],
        None => call.queues.iter().map(QueueId::as_str).collect(),
    }
}

/// The request of a window of contact volume.
pub(super) fn historical_ask<'a>(
    api: &'a ApiOptions,
    call: &'a HistoricalCall,
    queues: &'a [&'a str],
    connection: &ThrioConnection,
    clock: &'a dyn Clock,
    stop: &'a StopToken,
) -> Ask<'a> {
    Ask {
        operation: "historical",
        request: api.historical.request(),
        values: Values {
            start: Some(call.window.from.start()),
            end: Some(call.window.to.start()),
            queues,
            queue: call.queue.as_ref().map(QueueId::as_str),
            ..Values::default()
        },
        bytes_max: connection.sessions.options().body_bytes_max,
        retry_after_max: RETRY_AFTER_MAX,
        clock,
        stop,
    }
}
