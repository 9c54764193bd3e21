//! The control server (architecture §6): loopback only, reading only.
//!
//! It runs on a runtime of one worker that is built after any fork. Pictures come from the reader
//! thread. Connections, their life, bodies and waits are bounded, and a request whose `Host` is no
//! loopback name is refused, so that a web page elsewhere cannot read the box through a browser
//! that resolves its name to 127.0.0.1.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Sleep, sleep, timeout};

use super::reader::Reader;
use super::status::Status;
use super::{ControlOptions, metrics, page};

/// Connections at once: some browsers and scrapers; each costs some 20 KiB.
const CONNECTIONS_MAX: usize = 32;
/// How long one connection lives, idle or not. A scraper connects anew; a slow one is cut.
const CONNECTION_LIFE: Duration = Duration::from_mins(1);
/// Nothing here takes a body.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a picture may take before the asker hears 503.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open answers may take when the process stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The running server. Dropping it ends it.
#[derive(Debug)]
pub struct ControlServer {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not one of this machine's own.
    #[error(
        "control.listen = {0}: only loopback addresses are served until a password and a certificate can be set"
    )]
    NotLoopback(SocketAddr),
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

impl ControlServer {
    /// Listens and serves.
    pub fn start(options: &ControlOptions, reader: Reader) -> Result<Self, HttpError> {
        let address = options.listen;
        if !address.ip().is_loopback() {
            return Err(HttpError::NotLoopback(address));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_name("control-server")
            .enable_all()
            .build()
            .map_err(HttpError::Runtime)?;
        let bind = |source| HttpError::Bind { address, source };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let (shutdown, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(Bounded::new(listener), router(reader)).with_graceful_shutdown(
            async move {
                let _ = stopped.await;
            },
        );
        runtime.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the control server ended");
            }
        });
        Ok(Self {
            address,
            shutdown: Some(shutdown),
            runtime: Some(runtime),
        })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        }
    }
}

fn router(reader: Reader) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .route("/api/v1/status", get(api_status))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(only_loopback_names))
        .with_state(reader)
}

async fn picture(reader: &Reader) -> Result<Status, Response> {
    let busy = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text + "\n").into_response();
    let answer = reader.ask().map_err(|error| busy(error.to_string()))?;
    match timeout(PICTURE_TIMEOUT, answer).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(_)) => Err(busy("stopping".to_owned())),
        Err(_) => Err(busy(format!("no picture within {PICTURE_TIMEOUT:?}"))),
    }
}

async fn readyz(State(reader): State<Reader>) -> Response {
    let status = match picture(&reader).await {
        Ok(status) => status,
        Err(response) => return response,
    };
    if status.ready {
        return "ready\n".into_response();
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
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn show_metrics(State(reader): State<Reader>) -> Response {
    match picture(&reader).await {
        Ok(status) => {
            let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
            ([(header::CONTENT_TYPE, kind)], metrics::encode(&status)).into_response()
        }
        Err(response) => response,
    }
}

async fn api_status(State(reader): State<Reader>) -> Response {
    match picture(&reader).await {
        Ok(status) => axum::Json(status).into_response(),
        Err(response) => response,
    }
}

async fn only_loopback_names(request: Request, next: Next) -> Response {
    if names_loopback(request.headers()) {
        return next.run(request).await;
    }
    let text = "this server answers under localhost only\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Hands out at most [`CONNECTIONS_MAX`] connections, each for [`CONNECTION_LIFE`].
struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Bounded {
    fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Listener for Bounded {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let stream = BoundedStream {
            stream,
            life: Box::pin(sleep(CONNECTION_LIFE)),
            _permit: permit,
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct BoundedStream {
    stream: TcpStream,
    life: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn check_life(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.life.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_life(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_life(context)?;
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::super::protocol::{Refusal, Request};
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

        fn perform(
            &self,
            _: &Request,
            _: &mut dyn FnMut(serde_json::Value) -> bool,
        ) -> Result<serde_json::Value, Refusal> {
            Ok(serde_json::Value::Null)
        }
    }

    fn serve(ready: bool) -> ControlServer {
        let (reader, _) = Reader::spawn(Arc::new(Example(ready))).unwrap();
        let options = ControlOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
        };
        ControlServer::start(&options, reader).unwrap()
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
        let (reader, _) = Reader::spawn(Arc::new(Example(true))).unwrap();
        let options = ControlOptions {
            listen: "0.0.0.0:0".parse().unwrap(),
        };
        let refused = ControlServer::start(&options, reader);
        assert!(matches!(refused, Err(HttpError::NotLoopback(_))));
    }
}
