//! The one reader thread: it alone takes pictures, so that any number of curious browsers costs
//! the store no more than one reader at a time.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::Operations;
use super::status::Status;

/// Questions that wait at once; a page, a scraper and a few commands need a handful.
const QUERIES_WAITING_MAX: usize = 32;

/// Asks the reader thread. Cheap to clone; the thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Reader {
    queries: Sender<oneshot::Sender<Status>>,
}

/// Too many questions wait already, or the process is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too busy to answer, or stopping; ask again in a moment")]
pub struct Busy;

impl Reader {
    /// Starts the thread.
    pub fn spawn(operations: Arc<dyn Operations>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = bounded(QUERIES_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || answer_all(&*operations, &receiver))?;
        Ok((Self { queries: sender }, thread))
    }

    /// Puts the question; the answer comes through the receiver.
    pub fn ask(&self) -> Result<oneshot::Receiver<Status>, Busy> {
        let (sender, receiver) = oneshot::channel();
        match self.queries.try_send(sender) {
            Ok(()) => Ok(receiver),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }

    /// The picture, for a thread that may block.
    pub fn status(&self) -> Result<Status, Busy> {
        self.ask()?.blocking_recv().map_err(|_| Busy)
    }
}

fn answer_all(operations: &dyn Operations, queries: &Receiver<oneshot::Sender<Status>>) {
    for query in queries {
        // Who asked may have gone: then the picture is not worth taking.
        if !query.is_closed() {
            let _ = query.send(operations.status());
        }
    }
}
