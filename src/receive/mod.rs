//! `thrio-edge receive`: the other end of the HTTP destination (`docs/upstream-protocol.md`).
//!
//! - An answer comes after the commit, or says why there was none.
//! - Who writes is told by the token; what a body says of itself is compared with it.
//! - Memory is bounded: connections, bodies in flight, what a body may become, the queue. What does
//!   not fit is answered 503, so that it waits in the boxes' journals and not here.
//! - One thread writes. It goes through [`Destination`](crate::destination::Destination), so every
//!   kind of database that boxes write to directly can stand behind a receiver.

mod answers;
mod body;
mod identity;
mod listener;
mod options;
mod server;
mod tokens;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::stop::StopToken;
use crate::transport::install_crypto_provider;

use self::identity::Identity;
use self::listener::Bounded;
use self::server::Desk;
use self::tokens::Tokens;

pub use options::{AllowedBox, BODY_TIMEOUT, CERTIFICATE_LOOK, ReceiveOptions, ServerIdentity};
pub use server::EVENTS_PATH;
pub use writer::MakeDestination;

/// Requests, TLS and bodies; the database is the writer thread's.
const WORKERS: usize = 2;
/// How often the end of the writer thread is looked for while stopping.
const LOOK: Duration = Duration::from_millis(20);

/// The running receiver.
pub struct Receiver {
    address: SocketAddr,
    desk: Arc<Desk>,
    identity: Option<Arc<Identity>>,
    shutdown: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
    runtime: Runtime,
    writer: JoinHandle<()>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Tokens and records would travel in the clear.
    #[error(
        "receive.listen = {0}: an address that others can reach needs a certificate; set certificate and key"
    )]
    NotLoopback(SocketAddr),
    /// Certificate or key cannot be used.
    #[error("receive: {0}")]
    Certificate(String),
    /// Another program listens there, or the address is not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread.
    #[error("cannot start the receiver: {0}")]
    System(io::Error),
}

impl Receiver {
    /// Listens and serves. `on_failure` is called if the writer dies.
    pub fn start(
        options: ReceiveOptions,
        make: MakeDestination,
        clock: Arc<dyn Clock>,
        on_failure: Box<dyn FnOnce() + Send>,
    ) -> Result<Self, ReceiveError> {
        install_crypto_provider();
        let address = options.listen;
        let identity = match options.identity {
            Some(files) => {
                let identity = Identity::read(files).map_err(ReceiveError::Certificate)?;
                Some(Arc::new(identity))
            }
            None if address.ip().is_loopback() => None,
            None => return Err(ReceiveError::NotLoopback(address)),
        };
        let (tokens, problems) = Tokens::read(&options.boxes);
        log_problems(&problems);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(1)
            .thread_name("receive")
            .enable_all()
            .build()
            .map_err(ReceiveError::System)?;
        let bind = |source| ReceiveError::Bind { address, source };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let (handle, writer) =
            writer::spawn(make, clock, on_failure).map_err(ReceiveError::System)?;
        let desk = Desk::new(options.boxes, tokens, handle, options.body_timeout);
        let desk = Arc::new(desk);
        let router = server::router(Arc::clone(&desk));
        let (shutdown, stopped) = oneshot::channel::<()>();
        let listener = Bounded::new(listener, identity.clone());
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        if let Some(identity) = &identity {
            runtime.spawn(watch(Arc::clone(identity), options.certificate_look));
        }
        let serving = runtime.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the receiver ended");
            }
        });
        Ok(Self {
            address,
            desk,
            identity,
            shutdown,
            serving,
            runtime,
            writer,
        })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads the tokens and the certificate anew. What cannot be used is logged; a token of which
    /// that is true lets nobody in, a certificate leaves the former one in place.
    pub fn renew(&self) {
        log_problems(&self.desk.read_tokens());
        if let Some(identity) = &self.identity {
            log_renewal(&identity.renew());
        }
    }

    /// Takes no more, answers what is under way, and ends. Whether all was answered in time; what
    /// was not is sent again.
    pub fn stop(self, limit: Duration) -> bool {
        let _ = self.shutdown.send(());
        let runtime = self.runtime;
        let serving = self.serving;
        let answered = runtime
            .block_on(async { tokio::time::timeout(limit, serving).await })
            .is_ok();
        runtime.shutdown_timeout(LOOK);
        drop(self.desk);
        // Its last handle is gone with the routes, so it ends after the write that is under way.
        let wait = StopToken::new();
        let mut looks = limit.as_millis() / LOOK.as_millis();
        while !self.writer.is_finished() && looks > 0 {
            wait.wait(LOOK);
            looks -= 1;
        }
        answered && self.writer.is_finished() && self.writer.join().is_ok()
    }
}

/// Looks now and then whether another certificate lies there.
async fn watch(identity: Arc<Identity>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if let Some(renewal) = identity.renew_if_changed() {
            log_renewal(&renewal);
        }
    }
}

fn log_renewal(renewal: &Result<(), String>) {
    match renewal {
        Ok(()) => tracing::info!("the certificate was read anew, and is shown from now on"),
        Err(why) => tracing::error!("the former certificate is still shown: {why}"),
    }
}

fn log_problems(problems: &[String]) {
    for problem in problems {
        tracing::error!("{problem}");
    }
}
