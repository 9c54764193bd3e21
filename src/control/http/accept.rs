//! Connections: few, bounded in time, told apart from those that only sit there.
//!
//! A connection beyond the limit is closed at once, so that a thousand idle ones cost a thousand
//! accepts and nothing else; one that does not say what it wants is closed after seconds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::super::options::TlsFiles;

/// Connections at once: some browsers with six each, scrapers, scripts; each costs some 20 KiB.
const CONNECTIONS_MAX: usize = 64;
/// How long one connection lives, whatever it does: longer than any answer takes.
const CONNECTION_LIFE: Duration = Duration::from_mins(10);
/// How long a client may take for the TLS handshake, and to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head and of what is read ahead.
const BUFFER_BYTES: usize = 32 * 1024;
/// How long to wait where the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, tls: Option<ControlTls>, router: Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                    let tls = tls.as_ref().map(ControlTls::acceptor);
                    tokio::spawn(connection(stream, tls, router.clone(), permit));
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "the control server could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    _permit: OwnedSemaphorePermit,
) {
    // A small answer should not wait for the next.
    let _ = stream.set_nodelay(true);
    let served = timeout(CONNECTION_LIFE, async {
        match tls {
            None => answer(stream, router).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
                    answer(stream, router).await;
                }
            }
        }
    });
    // Cut or not: who asked sees it.
    let _ = served.await;
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, router: Router) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection of the control server");
    }
}

/// What the server proves its name with; another certificate can take its place while it serves.
/// Cheap to clone.
#[derive(Clone)]
pub struct ControlTls {
    files: TlsFiles,
    acceptor: Arc<ArcSwap<TlsAcceptor>>,
}

impl std::fmt::Debug for ControlTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ControlTls").field(&self.files).finish()
    }
}

/// A certificate and key that were read and fit each other.
pub struct FreshTls(TlsAcceptor);

impl ControlTls {
    /// Reads the configured files. The error says which one cannot be used.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, String> {
        Ok(Self {
            acceptor: Arc::new(ArcSwap::from_pointee(acceptor(files)?)),
            files: files.clone(),
        })
    }

    /// Reads the files again and changes nothing yet.
    pub fn fresh(&self) -> Result<FreshTls, String> {
        acceptor(&self.files).map(FreshTls)
    }

    /// Shows this one to whoever connects from now on; open connections keep the former.
    pub fn put(&self, fresh: FreshTls) {
        self.acceptor.store(Arc::new(fresh.0));
    }

    fn acceptor(&self) -> TlsAcceptor {
        (**self.acceptor.load()).clone()
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let certificate = files.certificate.display();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate)
        .map_err(|error| format!("control.certificate = {certificate}: {error}"))?
        .collect();
    let chain = chain.map_err(|error| format!("control.certificate = {certificate}: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("control.key = {}: {error}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("control.certificate and control.key: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
