//! The one reader thread: it alone takes pictures, so that any number of curious browsers costs
//! the store no more than one reader at a time.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde_json::Value;
use tokio::sync::oneshot;

use super::question::Question;
use super::status::Status;
use super::{Operations, Refusal};

/// Questions that wait at once; a page, a scraper and a few commands need a handful.
const QUERIES_WAITING_MAX: usize = 32;

/// Asks the reader thread. Cheap to clone; the thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Reader {
    queries: Sender<Query>,
}

#[derive(Debug)]
enum Query {
    Picture(oneshot::Sender<Status>),
    Look(Question, oneshot::Sender<Result<Value, Refusal>>),
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

    /// Asks for the picture; it comes through the receiver.
    pub fn ask(&self) -> Result<oneshot::Receiver<Status>, Busy> {
        let (sender, receiver) = oneshot::channel();
        self.put(Query::Picture(sender)).map(|()| receiver)
    }

    /// Puts a question; the answer comes through the receiver.
    pub fn look(
        &self,
        question: Question,
    ) -> Result<oneshot::Receiver<Result<Value, Refusal>>, Busy> {
        let (sender, receiver) = oneshot::channel();
        self.put(Query::Look(question, sender)).map(|()| receiver)
    }

    fn put(&self, query: Query) -> Result<(), Busy> {
        match self.queries.try_send(query) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }

    /// The picture, for a thread that may block.
    pub fn status(&self) -> Result<Status, Busy> {
        self.ask()?.blocking_recv().map_err(|_| Busy)
    }
}

fn answer_all(operations: &dyn Operations, queries: &Receiver<Query>) {
    for query in queries {
        // Who asked may have gone: then the answer is not worth looking for.
        match query {
            Query::Picture(to) if !to.is_closed() => {
                let _ = to.send(operations.status());
            }
            Query::Look(question, to) if !to.is_closed() => {
                let _ = to.send(operations.look(&question));
            }
            Query::Picture(_) | Query::Look(..) => {}
        }
    }
}
