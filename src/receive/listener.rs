//! Connections: so many at once, each with a bounded silence, with TLS where there is a certificate.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

use super::identity::Identity;

/// A fleet of some hundred boxes, each with one or two; each costs some 40 KiB with TLS.
const CONNECTIONS_MAX: usize = 512;
/// A connection on which nothing moves for so long is closed. A box calls at least each minute, or
/// connects anew; an answer takes less.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Hands out at most [`CONNECTIONS_MAX`] connections.
pub(super) struct Bounded {
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
    permits: Arc<Semaphore>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener, identity: Option<Arc<Identity>>) -> Self {
        Self {
            listener,
            identity,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let line = match &self.identity {
            None => Line::Plain(stream),
            Some(identity) => Line::Greeting(Box::new(identity.acceptor().accept(stream))),
        };
        let connection = Connection {
            line,
            silence: Box::pin(sleep(SILENCE_MAX)),
            _permit: permit,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection. Its TLS greeting happens with its first use, so that nobody else waits for it.
pub(super) struct Connection {
    line: Line,
    silence: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

enum Line {
    Plain(TcpStream),
    Greeting(Box<Accept<TcpStream>>),
    Secured(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Does what `act` says on the stream, as soon as there is one, unless nothing has moved for
    /// too long.
    fn with<T>(
        &mut self,
        context: &mut Context<'_>,
        act: impl FnOnce(Pin<&mut (dyn Duplex + 'static)>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.silence.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Line::Greeting(greeting) = &mut self.line {
            let stream = ready!(Pin::new(greeting.as_mut()).poll(context))?;
            self.line = Line::Secured(Box::new(stream));
        }
        let moved = match &mut self.line {
            Line::Plain(stream) => act(Pin::new(stream), context),
            Line::Secured(stream) => act(Pin::new(stream.as_mut()), context),
            Line::Greeting(_) => unreachable!("the greeting is over"),
        };
        if moved.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
        }
        moved
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(context, |stream, context| stream.poll_read(context, into))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(context, |stream, context| stream.poll_write(context, from))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(context, AsyncWrite::poll_shutdown)
    }
}
