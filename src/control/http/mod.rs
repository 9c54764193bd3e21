//! The control server (architecture §6): the page, the JSON API, the metrics.
//!
//! It runs on a runtime of one worker that is built after any fork. What is read comes from the
//! reader thread; what is changed goes through [`Operations::perform`] on one of a few blocking
//! threads. Connections, their life, bodies, waits and changes are bounded. On loopback, reading is
//! open to whoever is on the box, and a request whose `Host` is no loopback name is refused, so that
//! a web page elsewhere cannot read the box through a browser that resolves its name to 127.0.0.1.

mod accept;
mod changes;
mod events;
mod guard;
mod parameters;
mod problem;
mod reading;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::protocol::Request;
use super::question::Question;
use super::reader::{Busy, Reader};
use super::status::Status;
use super::token::AdminToken;
use super::{ControlOptions, Operations, metrics, page};
use crate::domain::timestamp::WallTime;
pub use accept::ControlTls;
use problem::Problem;
use sessions::{Asker, Sessions};

/// How long an answer of the reader may take before the asker hears 503.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a change may take before the asker hears 504; it goes on by itself.
const CHANGE_TIMEOUT: Duration = Duration::from_mins(5);
/// Changes at once, an import or a test of a connection among them.
const CHANGES_MAX: usize = 4;
/// How long blocking threads may take when the process stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// The contract.
const OPENAPI: &str = include_str!("../../../docs/openapi.yaml");

/// The running server. Dropping it ends it.
#[derive(Debug)]
pub struct ControlServer {
    address: SocketAddr,
    tls: Option<ControlTls>,
    serving: JoinHandle<()>,
    runtime: Option<Runtime>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An address that others can reach, without what protects it.
    #[error("control.listen = {0} is open to the network: {1}")]
    Unprotected(SocketAddr, &'static str),
    /// The certificate or its key cannot be used.
    #[error("{0}")]
    Tls(String),
    /// Another program listens there, or the address is not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread for the runtime.
    #[error("cannot start the control server: {0}")]
    Runtime(io::Error),
}

/// What every handler asks through. Cheap to clone.
#[derive(Clone)]
struct Desk {
    reader: Reader,
    operations: Arc<dyn Operations>,
    sessions: Arc<Sessions>,
    changing: Arc<Semaphore>,
    places: events::Places,
    is_loopback: bool,
    is_secure: bool,
}

impl ControlServer {
    /// Listens and serves. `token` says who may change something, and on an address that others
    /// can reach, who may read.
    pub fn start(
        options: &ControlOptions,
        reader: Reader,
        operations: Arc<dyn Operations>,
        token: AdminToken,
    ) -> Result<Self, HttpError> {
        let address = options.listen;
        let is_loopback = address.ip().is_loopback();
        let unprotected = |what| Err(HttpError::Unprotected(address, what));
        if !is_loopback && options.tls.is_none() {
            return unprotected("set control.certificate and control.key");
        }
        if !is_loopback && !token.exists() {
            return unprotected("make an admin token first, with `thrio-edge admin-token`");
        }
        let tls = options.tls.as_ref().map(ControlTls::read).transpose();
        let tls = tls.map_err(HttpError::Tls)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(CHANGES_MAX)
            .thread_name("control-server")
            .enable_all()
            .build()
            .map_err(HttpError::Runtime)?;
        let bind = |source| HttpError::Bind { address, source };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let desk = Desk {
            reader,
            operations,
            sessions: Arc::new(Sessions::new(token)),
            changing: Arc::new(Semaphore::new(CHANGES_MAX)),
            places: events::Places::default(),
            is_loopback,
            is_secure: tls.is_some(),
        };
        let serving = runtime.spawn(accept::serve(listener, tls.clone(), router(desk)));
        Ok(Self {
            address,
            tls,
            serving,
            runtime: Some(runtime),
        })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate, where it speaks TLS.
    pub fn tls(&self) -> Option<ControlTls> {
        self.tls.clone()
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.serving.abort();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        }
    }
}

fn router(desk: Desk) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .nest("/api/v1", api())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(desk.clone(), guard::guard))
        .with_state(desk)
}

fn api() -> Router<Desk> {
    Router::new()
        .route("/openapi.yaml", get(openapi))
        .route("/status", get(api_status))
        .route("/alarms", get(alarms))
        .route("/alarms/test", post(changes::test_alarms))
        .route("/agents", get(reading::agents))
        .route("/queues", get(reading::queues))
        .route("/intervals", get(reading::intervals))
        .route("/coverage", get(reading::coverage))
        .route("/transactions", get(reading::transactions))
        .route("/quarantine", get(reading::quarantine))
        .route("/journal", get(reading::journal))
        .route("/state-codes", get(reading::state_codes))
        .route("/events", get(events::events))
        .route("/session", get(session))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/reload", post(changes::reload))
        .route("/import", post(changes::import))
        .route("/backfill", post(changes::backfill))
        .route("/quarantine/retry", post(changes::retry_quarantined))
        .route("/quarantine/discard", post(changes::discard_quarantined))
        .route("/replay", post(changes::replay))
        .route("/replay/stop", post(changes::stop_replay))
        .route("/destinations/retry", post(changes::retry_destination))
        .route("/state-mapping", post(changes::map_state))
        .route("/sources", get(reading::sources).post(changes::save_source))
        .route("/sources/check", post(changes::check_source))
        .route("/sources/probe", post(changes::probe_source))
        .route("/sources/remove", post(changes::remove_source))
}

impl Desk {
    /// Asks the reader thread.
    async fn look(&self, question: Question) -> Result<Value, Problem> {
        let answer = self.reader.look(question);
        wait(answer).await?.map_err(Problem::from)
    }

    async fn picture(&self) -> Result<Status, Problem> {
        wait(self.reader.ask()).await
    }

    /// The box's own time: in a demo it is not the world's.
    async fn now(&self) -> Result<WallTime, Problem> {
        Ok(self.picture().await?.at)
    }

    /// Does a change on a thread that may block.
    async fn perform(&self, request: Request) -> Result<Json<Value>, Problem> {
        let busy = |_| Problem::unavailable("other changes are under way; try again in a moment");
        let place = Arc::clone(&self.changing)
            .try_acquire_owned()
            .map_err(busy)?;
        let operations = Arc::clone(&self.operations);
        let doing = tokio::task::spawn_blocking(move || {
            let _place = place;
            tracing::info!(?request, "change");
            operations.perform(&request, &mut |_| true)
        });
        match timeout(CHANGE_TIMEOUT, doing).await {
            Ok(Ok(done)) => Ok(Json(done?)),
            Ok(Err(_)) => Err(Problem::unavailable("stopping")),
            Err(_) => Err(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "slow",
                "it takes longer, and goes on by itself",
            )),
        }
    }
}

async fn wait<T>(asked: Result<oneshot::Receiver<T>, Busy>) -> Result<T, Problem> {
    let answer = asked.map_err(|error| Problem::unavailable(error.to_string()))?;
    match timeout(PICTURE_TIMEOUT, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(Problem::unavailable("stopping")),
        Err(_) => Err(Problem::unavailable(format!(
            "no answer within {PICTURE_TIMEOUT:?}"
        ))),
    }
}

async fn readyz(State(desk): State<Desk>) -> Result<Response, Problem> {
    let status = desk.picture().await?;
    if status.ready {
        return Ok("ready\n".into_response());
    }
    let late = status.workers.iter().filter(|worker| !worker.in_time);
    let mut text = "not ready\n".to_owned();
    for worker in late {
        let note = worker.note.as_deref().unwrap_or("late");
        text.extend([&worker.name, ": ", note, "\n"]);
    }
    if let Some(error) = &status.store.error {
        text.extend(["store: ", error, "\n"]);
    }
    Ok((StatusCode::SERVICE_UNAVAILABLE, text).into_response())
}

async fn show_metrics(State(desk): State<Desk>) -> Result<Response, Problem> {
    let status = desk.picture().await?;
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], metrics::encode(&status)).into_response())
}

async fn openapi() -> Response {
    let kind = HeaderValue::from_static("application/yaml");
    ([(header::CONTENT_TYPE, kind)], OPENAPI).into_response()
}

async fn api_status(State(desk): State<Desk>) -> Result<Json<Status>, Problem> {
    Ok(Json(desk.picture().await?))
}

async fn alarms(State(desk): State<Desk>) -> Result<Json<Value>, Problem> {
    Ok(Json(desk.picture().await?.alarm_list()))
}

async fn session(
    State(desk): State<Desk>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Value>, Problem> {
    let until = match asker {
        Asker::Browser(until) => Some(until.to_string()),
        Asker::Anyone | Asker::Script => None,
    };
    Ok(Json(json!({
        "logged_in": asker != Asker::Anyone,
        "until": until,
        "reading_needs_login": !desk.is_loopback,
        "token_exists": desk.sessions.token_exists(),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

async fn log_in(
    State(desk): State<Desk>,
    changes::Body(Login { token }): changes::Body<Login>,
) -> Result<Response, Problem> {
    let (cookie, until) = desk.sessions.log_in(token.trim(), desk.is_secure)?;
    tracing::info!("somebody logged in on the page");
    let answer = Json(json!({"logged_in": true, "until": until.to_string()}));
    Ok(([(header::SET_COOKIE, cookie)], answer).into_response())
}

async fn log_out(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let cookie = desk.sessions.log_out(&headers, desk.is_secure);
    let answer = Json(json!({"logged_in": false}));
    ([(header::SET_COOKIE, cookie)], answer).into_response()
}

async fn not_found() -> Problem {
    let message = "there is nothing here; /api/v1/openapi.yaml says what there is";
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn wrong_method() -> Problem {
    let message = "this cannot be asked that way; see /api/v1/openapi.yaml";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::super::protocol::Refusal;
    use super::super::status::tests::example;
    use super::super::{Operations, Reader};
    use super::*;

    struct Example(bool);

    impl Operations for Example {
        fn status(&self) -> Status {
            Status {
                ready: self.0,
                ..example()
            }
        }

        fn look(&self, _: &Question) -> Result<Value, Refusal> {
            Ok(json!({"rows": [], "next": null}))
        }

        fn perform(
            &self,
            _: &Request,
            _: &mut dyn FnMut(serde_json::Value) -> bool,
        ) -> Result<serde_json::Value, Refusal> {
            Ok(serde_json::Value::Null)
        }
    }

    fn serve(ready: bool) -> ControlServer {
        listen("127.0.0.1:0", ready).unwrap()
    }

    fn listen(address: &str, ready: bool) -> Result<ControlServer, HttpError> {
        let operations = Arc::new(Example(ready));
        let (reader, _) = Reader::spawn(operations.clone()).unwrap();
        let options = ControlOptions {
            listen: address.parse().unwrap(),
            tls: None,
        };
        let nowhere = AdminToken::of(std::path::Path::new("/nonexistent"));
        ControlServer::start(&options, reader, operations, nowhere)
    }

    fn get(server: &ControlServer, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn every_endpoint_answers_in_its_own_form() {
        let server = serve(true);
        let check = |path, parts: &[&str]| {
            let answer = get(&server, path, "localhost:8640");
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            for part in parts {
                assert!(answer.contains(part), "{path} lacks {part}: {answer}");
            }
        };
        check("/healthz", &["alive"]);
        check("/readyz", &["ready"]);
        check("/metrics", &["application/openmetrics-text", "# EOF"]);
        check(
            "/api/v1/status",
            &["application/json", "\"box_id\":\"front-desk\""],
        );
        check("/", &["text/html", "script-src 'self'", "<main"]);
        check("/page/views/overview.js", &["text/javascript", "nosniff"]);
    }

    #[test]
    fn a_box_that_is_not_ready_says_so() {
        let server = serve(false);
        assert!(get(&server, "/readyz", "127.0.0.1").starts_with("HTTP/1.1 503"));
        assert!(get(&server, "/healthz", "127.0.0.1").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn a_foreign_name_for_this_machine_reads_nothing() {
        let server = serve(true);
        let answer = get(&server, "/api/v1/status", "evil.example");
        assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
        assert!(!answer.contains("front-desk"));
        assert!(get(&server, "/", "[::1]:8640").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        let refused = listen("0.0.0.0:0", true);
        assert!(matches!(refused, Err(HttpError::Unprotected(..))));
    }
}
