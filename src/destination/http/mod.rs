//! Batches over HTTP: `docs/upstream-protocol.md`. The other end is `thrio-edge receive`, or any
//! receiver that follows the protocol, or (`ndjson`) one that takes JSON lines.
//!
//! - A batch is acknowledged only by the receiver's word that all of it is applied; an answer that
//!   could be a captive portal's is none, and after five of them a person is told.
//! - No redirect is followed, no proxy is taken from the environment, no answer is read beyond a
//!   bound, and no message holds a secret.
//! - The receiver is asked what it has before the first batch; where it cannot say, a file beside
//!   the store does.

mod answer;
mod compress;
pub(super) mod encode;
mod high_water;
mod json;
mod options;
pub mod protocol;

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};

use self::answer::{Answer, Judge, Verdict};
use self::compress::Compressor;
use self::encode::Encoder;
use self::high_water::HighWater;
use self::protocol::{Applied, AppliedRanges, Claim};
use super::{Destination, Interrupter, Receipt, Secret, SendError, Writer};

pub use super::Credentials;
use crate::clock::Clock;
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{SeqRange, SourceName, StoreId};
use crate::domain::record::{AgentChange, QueueChange};
use crate::transport::mask::Secrets;
use crate::transport::{self, AgentOptions, Trouble};

pub use super::tls::ClientIdentity;
pub use options::{Acknowledge, Compression, Format, Header, HttpOptions, parse_url};

/// The most of an answer that is read: reasons for each event of a large batch.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// One call at a time, and a probe.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// Answers in a row that acknowledge nothing and refuse nothing, after which a person is needed.
const STRANGE_MAX: u32 = 5;

/// A receiver of batches over HTTP.
pub struct HttpDestination {
    options: HttpOptions,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    line: Arc<Line>,
    session: Option<Session>,
    compressor: Compressor,
    /// Strange answers since the last good one.
    strange: u32,
}

/// The library's handle, where the interrupter finds it.
#[derive(Default)]
struct Line(Mutex<(Option<ureq::Agent>, bool)>);

/// How the receiver is called.
struct Connection {
    agent: ureq::Agent,
    authorization: Option<SecretString>,
    secrets: Secrets,
}

/// What is known after opening.
struct Session {
    connection: Connection,
    store_id: StoreId,
    encoder: Encoder,
    /// Kept where the receiver cannot be asked.
    high_water: Option<HighWater>,
}

impl std::fmt::Debug for HttpDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpDestination")
            .field("options", &self.options)
            .field("open", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl Line {
    fn replace(&self, agent: &ureq::Agent) -> Result<(), SendError> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.1 {
            return Err(SendError::unreachable("stopped"));
        }
        slot.0 = Some(agent.clone());
        Ok(())
    }

    fn cut(&self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.1 = true;
        if let Some(agent) = slot.0.take() {
            agent.shutdown();
        }
    }
}

impl HttpDestination {
    /// A destination that connects with the first [`Destination::open`].
    pub fn new(options: HttpOptions, credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            credentials,
            clock,
            line: Arc::default(),
            session: None,
            compressor: Compressor::default(),
            strange: 0,
        }
    }

    /// Files and secrets are read anew, so that a replaced one counts with the next attempt.
    fn connect(&self) -> Result<Connection, SendError> {
        let agent = agent(&self.options)?;
        self.line.replace(&agent)?;
        let mut secrets = Secrets::default();
        for header in &self.options.headers {
            secrets.hide(header.value.expose_secret());
        }
        let authorization = self.authorization(&mut secrets)?;
        Ok(Connection {
            agent,
            authorization,
            secrets,
        })
    }

    fn authorization(&self, secrets: &mut Secrets) -> Result<Option<SecretString>, SendError> {
        let read = |secret: &Secret| {
            secret.read().map_err(|why| {
                SendError::held(why, "put the secret there; it is read with each attempt")
            })
        };
        if let Some(token) = &self.credentials.token {
            let token = read(token)?;
            secrets.hide(token.expose_secret());
            let header = format!("Bearer {}", token.expose_secret());
            return Ok(Some(SecretString::from(header)));
        }
        let Some(user) = &self.options.username else {
            return Ok(None);
        };
        let password = match &self.credentials.password {
            Some(password) => read(password)?,
            None => SecretString::from(String::new()),
        };
        let pair = format!("{user}:{}", password.expose_secret());
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        secrets.hide(password.expose_secret());
        secrets.hide(&pair);
        Ok(Some(SecretString::from(format!("Basic {pair}"))))
    }

    fn host(&self) -> String {
        transport::host_of(&self.options.url)
    }

    fn judge<'a>(&self, connection: &'a Connection, store_id: StoreId, host: &'a str) -> Judge<'a> {
        Judge {
            host,
            secrets: &connection.secrets,
            acknowledge: self.options.acknowledge,
            store_id,
            now: self.clock.now().wall,
        }
    }

    /// Sends the body that the encoder wrote last.
    fn post(&mut self, range: Option<SeqRange>) -> Result<Applied, SendError> {
        let host = self.host();
        let session = self.session.as_ref().ok_or_else(not_open)?;
        let connection = &session.connection;
        let events = session.encoder.events();
        let body = self
            .compressor
            .compressed(self.options.compression, session.encoder.body())?;
        let kind = match self.options.format {
            Format::CloudEvents => protocol::EVENTS_TYPE,
            Format::Ndjson => protocol::LINES_TYPE,
        };
        let mut builder = connection
            .request("POST", &self.options)
            .header("content-type", kind);
        builder = match self.options.compression {
            Compression::Gzip => builder.header("content-encoding", "gzip"),
            Compression::Zstd => builder.header("content-encoding", "zstd"),
            Compression::None => builder,
        };
        builder = builder.header(protocol::STORE, session.store_id.to_string());
        if let Some(range) = range {
            let text = protocol::range_text(range);
            let label = format!("{}:{text}", session.store_id);
            builder = builder
                .header(protocol::RANGE, text)
                .header(protocol::IDEMPOTENCY_KEY, label);
        }
        let answer = connection
            .call(builder, body)
            .map_err(|error| trouble(&host, &error))?;
        let judge = self.judge(connection, session.store_id, &host);
        let verdict = judge.verdict(&answer, events);
        self.take(verdict)
    }

    fn take(&mut self, verdict: Verdict) -> Result<Applied, SendError> {
        match verdict {
            Verdict::Good(applied) => {
                self.strange = 0;
                Ok(applied)
            }
            Verdict::Strange(what) => Err(self.note_strange(&what)),
            Verdict::Failed(error) => Err(error),
        }
    }

    fn note_strange(&mut self, what: &str) -> SendError {
        self.strange += 1;
        let message = format!("{} {what}", self.host());
        if self.strange < STRANGE_MAX {
            return SendError::later(message);
        }
        SendError::held(
            format!("{message} ({} times in a row)", self.strange),
            "see what answers there: a captive portal, a proxy, or another service than the \
             receiver",
        )
    }

    /// What the receiver has of the store; none where it cannot say.
    fn ask_applied(&mut self) -> Result<Option<Vec<SeqRange>>, SendError> {
        if self.options.acknowledge == Acknowledge::Status {
            return Ok(None);
        }
        let session = self.session.as_ref().ok_or_else(not_open)?;
        let host = self.host();
        let connection = &session.connection;
        let builder = connection
            .request("GET", &self.options)
            .header(protocol::STORE, session.store_id.to_string());
        let answer = connection
            .call(builder, ())
            .map_err(|error| trouble(&host, &error))?;
        let judge = self.judge(connection, session.store_id, &host);
        match answer.status {
            200..=299 => {
                if let Ok(ranges) = serde_json::from_slice::<AppliedRanges>(&answer.body) {
                    return Ok(Some(ranges.applied));
                }
                let strange = judge.strange(&answer);
                self.take(strange).map(|_| None)
            }
            // It takes batches only; whether it does, the first one shows.
            404 | 405 | 501 => Ok(None),
            _ => {
                let verdict = judge.verdict(&answer, 0);
                self.take(verdict).map(|_| None)
            }
        }
    }

    fn receipt(&mut self) -> Result<Vec<SeqRange>, SendError> {
        if let Some(applied) = self.ask_applied()? {
            return Ok(applied);
        }
        let path = self.options.high_water.as_deref();
        let session = self.session.as_mut().ok_or_else(not_open)?;
        let high_water = HighWater::open(path, session.store_id).map_err(|error| {
            let path = path.unwrap_or(std::path::Path::new("")).display();
            SendError::held(
                format!("{path} cannot be read: {error}"),
                "it says how far the receiver has come: let the program read it",
            )
        })?;
        let applied = high_water.applied().to_vec();
        session.high_water = Some(high_water);
        Ok(applied)
    }

    fn claim(&mut self, writer: &Writer) -> Result<Vec<SourceName>, SendError> {
        if self.options.format == Format::Ndjson || writer.sources.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session.as_mut().ok_or_else(not_open)?;
        session.encoder.claim(&Claim {
            sources: writer.sources.clone(),
            take_over: writer.take_over.clone(),
        });
        self.post(None).map(|applied| applied.roster_wanted)
    }

    fn encoder(&mut self) -> Result<&mut Encoder, SendError> {
        self.session
            .as_mut()
            .map(|session| &mut session.encoder)
            .ok_or_else(not_open)
    }

    fn note_applied(&mut self, range: SeqRange) {
        let session = self.session.as_mut();
        let Some(high_water) = session.and_then(|session| session.high_water.as_mut()) else {
            return;
        };
        if let Err(error) = high_water.add(range) {
            // It may lag behind; the journal's own cursor moves on.
            tracing::warn!(%error, "the high-water file of a destination cannot be written");
        }
    }
}

impl Connection {
    fn request(&self, method: &str, options: &HttpOptions) -> ureq::http::request::Builder {
        let mut builder = ureq::http::Request::builder()
            .method(method)
            .uri(options.url.as_str());
        if let Some(authorization) = &self.authorization {
            builder = builder.header("authorization", authorization.expose_secret());
        }
        for header in &options.headers {
            builder = builder.header(&header.name, header.value.expose_secret());
        }
        builder
    }

    fn call(
        &self,
        builder: ureq::http::request::Builder,
        body: impl ureq::AsSendBody,
    ) -> Result<Answer, ureq::Error> {
        let request = builder.body(body)?;
        read(self.agent.run(request)?)
    }
}

fn agent(options: &HttpOptions) -> Result<ureq::Agent, SendError> {
    let unusable = |key: &str, why: String| {
        SendError::held(
            format!("{key}: {why}"),
            "let it be PEM, readable by the program's user",
        )
    };
    let roots =
        transport::roots(options.ca_file.as_deref()).map_err(|why| unusable("ca_file", why))?;
    let client = options.client.as_ref();
    let client = client
        .map(|client| transport::client_certificate(&client.certificate, &client.key))
        .transpose()
        .map_err(|why| unusable("client_certificate and client_key", why))?;
    Ok(transport::agent(AgentOptions {
        roots,
        client_certificate: client,
        proxy: None,
        connect_timeout: options.connect_timeout,
        call_timeout: options.call_timeout,
        idle_connections_max: IDLE_CONNECTIONS_MAX,
    }))
}

fn not_open() -> SendError {
    SendError::unreachable("the receiver was not asked yet")
}

fn trouble(host: &str, error: &ureq::Error) -> SendError {
    match Trouble::of(error) {
        Trouble::Network(text) => SendError::unreachable(format!("{host}: {text}")),
        Trouble::Tls(text) => SendError::held(
            format!("{host}: TLS: {text}"),
            "see whether certificate, host name and clock fit, and ca_file or client_certificate \
             are right",
        ),
    }
}

fn read(response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut answer = Answer {
        status: response.status().as_u16(),
        content_type: header("content-type").unwrap_or_else(|| "no content type".to_owned()),
        retry_after: header("retry-after"),
        location: header("location"),
        server_date: header("date").as_deref().and_then(transport::http_date),
        body: Vec::new(),
    };
    // What lies beyond the bound is not read: no receiver says so much.
    let reader = response
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader();
    reader
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer.body)
        .map_err(ureq::Error::Io)?;
    Ok(answer)
}

impl Destination for HttpDestination {
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError> {
        self.session = None;
        self.session = Some(Session {
            connection: self.connect()?,
            store_id: writer.store_id,
            encoder: Encoder::new(self.options.format, &writer.box_id, writer.store_id),
            high_water: None,
        });
        Ok(Receipt {
            applied: self.receipt()?,
            roster_wanted: self.claim(writer)?,
        })
    }

    fn send(&mut self, batch: &Batch) -> Result<(), SendError> {
        self.encoder()?.batch(batch);
        // Lines say nothing of a range, so an empty body would say nothing at all.
        if self.options.format == Format::CloudEvents || !batch.records.is_empty() {
            self.post(Some(batch.range))?;
        }
        self.note_applied(batch.range);
        Ok(())
    }

    fn send_current(&mut self, states: &[CurrentState]) -> Result<(), SendError> {
        self.encoder()?.current(states);
        self.post(None).map(drop)
    }

    fn send_roster(
        &mut self,
        source: &SourceName,
        agents: &[AgentChange],
        queues: &[QueueChange],
    ) -> Result<(), SendError> {
        self.encoder()?.roster(source, agents, queues);
        self.post(None).map(drop)
    }

    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError> {
        self.encoder()?.heartbeat(beat);
        self.post(None).map(drop)
    }

    /// OPTIONS: whether it is there and knows us. A receiver need not know the method.
    fn probe(&mut self) -> Result<(), SendError> {
        let made;
        let connection = if let Some(session) = &self.session {
            &session.connection
        } else {
            made = self.connect()?;
            &made
        };
        let host = self.host();
        let builder = connection.request("OPTIONS", &self.options);
        let answer = connection
            .call(builder, ())
            .map_err(|error| trouble(&host, &error))?;
        let judge = self.judge(connection, StoreId::from_bits(0), &host);
        match answer.status {
            401 | 403 | 408 | 429 | 500 | 502..=599 => Err(judge.failure(&answer)),
            300..=399 => {
                let verdict = judge.verdict(&answer, 0);
                self.take(verdict).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn interrupter(&self) -> Option<Interrupter> {
        let line = Arc::clone(&self.line);
        Some(Box::new(move || line.cut()))
    }
}
