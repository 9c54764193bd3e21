//! The one thread that writes: jobs come through a short queue, and what is answered is committed.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::body::{self, About, Beside, BodyError, Content};
use crate::clock::Clock;
use crate::destination::http::protocol::{
    Applied, AppliedRanges, Claim, EventError, NotApplied, event_id,
};
use crate::destination::{Destination, SendError, Writer};
use crate::domain::batch::CurrentState;
use crate::domain::ids::{BoxId, SourceName, StoreId};
use crate::domain::timestamp::MonoTime;

/// Jobs that wait: so few that what waits is written within a call's time-out, or refused at once.
const QUEUE_MAX: usize = 8;
/// Open destinations: each holds a connection to the database and its prepared statements. A fleet
/// that is larger takes turns.
const OPEN_MAX: usize = 16;
/// The largest body, decompressed: the roster of 20,000 agents takes about 8 MiB.
pub(super) const BODY_BYTES_MAX: usize = 32 << 20;
/// What a box is told to wait where the database does not say.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The same where a person is needed here.
const HELD_RETRY_AFTER: Duration = Duration::from_secs(30);
/// One write that takes longer makes the receiver unready.
const STUCK: Duration = Duration::from_secs(30);

/// Makes a destination, which connects by itself.
pub type MakeDestination = Box<dyn Fn() -> Box<dyn Destination> + Send>;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) box_id: BoxId,
    pub(super) sources: Vec<SourceName>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// What is applied of this store?
    Applied(StoreId),
    /// Apply this body.
    Apply(About, Vec<u8>),
}

/// What is answered.
#[derive(Debug)]
pub(super) enum Outcome {
    Ranges(AppliedRanges),
    Applied(Applied),
    /// Content that will never be taken.
    Refused(NotApplied),
    TooLarge(String),
    /// Another box has the source.
    Claimed(NotApplied),
    Later(String, Duration),
}

/// A job that waits. It is dropped unwritten where nobody waits for its answer any more.
struct Job {
    caller: Caller,
    question: Question,
    answer: oneshot::Sender<Outcome>,
    /// What of the bodies' budget it takes, given back with it.
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct WriterHandle {
    jobs: Sender<Job>,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
}

/// The queue is full, or the thread is gone.
#[derive(Debug)]
pub(super) struct Busy;

#[derive(Default)]
struct Health(Mutex<(Option<MonoTime>, Option<String>)>);

impl WriterHandle {
    /// Puts the question into the queue, where there is room.
    pub(super) fn ask(
        &self,
        caller: Caller,
        question: Question,
        room: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Outcome>, Busy> {
        let (answer, outcome) = oneshot::channel();
        let job = Job {
            caller,
            question,
            answer,
            _room: room,
        };
        match self.jobs.try_send(job) {
            Ok(()) => Ok(outcome),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }

    /// Why it cannot write at present, if it cannot.
    pub(super) fn trouble(&self) -> Option<String> {
        let health = self.health.lock();
        let stuck = health
            .0
            .map(|since| self.clock.now().mono.since(since))
            .filter(|time| *time > STUCK)
            .map(|time| format!("a write has taken {} s so far", time.as_secs()));
        stuck.or_else(|| health.1.clone())
    }
}

impl Health {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Option<MonoTime>, Option<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread. It ends when the last handle is gone and the queue is empty.
pub(super) fn spawn(
    make: MakeDestination,
    clock: Arc<dyn Clock>,
    on_failure: Box<dyn FnOnce() + Send>,
) -> io::Result<(WriterHandle, JoinHandle<()>)> {
    let (sender, jobs) = bounded(QUEUE_MAX);
    let health = Arc::new(Health::default());
    let handle = WriterHandle {
        jobs: sender,
        health: Arc::clone(&health),
        clock: Arc::clone(&clock),
    };
    let desk = Desk {
        make,
        clock,
        health,
        open: Vec::new(),
    };
    let thread = std::thread::Builder::new()
        .name("receive-writer".to_owned())
        .spawn(move || {
            let panicked = OnPanic(Some(on_failure));
            desk.work(&jobs);
            drop(panicked);
        })?;
    Ok((handle, thread))
}

/// Tells that the thread is gone by a panic.
struct OnPanic(Option<Box<dyn FnOnce() + Send>>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if let (true, Some(tell)) = (std::thread::panicking(), self.0.take()) {
            tell();
        }
    }
}

struct Open {
    box_id: BoxId,
    store_id: StoreId,
    destination: Box<dyn Destination>,
}

struct Desk {
    make: MakeDestination,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    /// The least recently used first.
    open: Vec<Open>,
}

impl Desk {
    fn work(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            // Its caller gave up, and will ask again.
            if job.answer.is_closed() {
                continue;
            }
            self.health.lock().0 = Some(self.clock.now().mono);
            let outcome = self.answer(&job.caller, job.question);
            self.note(&outcome);
            // A caller that is gone meanwhile learns from the ranges that it is applied.
            let _ = job.answer.send(outcome);
        }
    }

    /// Logs where it begins and where it ends to be impossible to write.
    fn note(&self, outcome: &Outcome) {
        let mut health = self.health.lock();
        health.0 = None;
        let former = health.1.take();
        match outcome {
            Outcome::Later(why, _) => {
                if former.as_ref() != Some(why) {
                    tracing::error!("not written: {why}");
                }
                health.1 = Some(why.clone());
            }
            _ if former.is_some() => tracing::info!("writing again"),
            _ => {}
        }
    }

    fn answer(&mut self, caller: &Caller, question: Question) -> Outcome {
        let done = match question {
            Question::Applied(store_id) => self.applied(caller, store_id),
            Question::Apply(about, packed) => {
                let allowed = |source: &SourceName| {
                    caller.sources.is_empty() || caller.sources.contains(source)
                };
                match body::parse(&packed, about, BODY_BYTES_MAX, &allowed) {
                    Err(error) => return refusal(error),
                    Ok(content) => self.apply(caller, about.store_id, content),
                }
            }
        };
        match done {
            Ok(outcome) => outcome,
            Err((store_id, error)) => failure(store_id, error),
        }
    }

    fn applied(
        &mut self,
        caller: &Caller,
        store_id: StoreId,
    ) -> Result<Outcome, (StoreId, SendError)> {
        let writer = writer(caller, store_id, &Claim::none());
        let receipt = self.open(&writer).map_err(|error| (store_id, error))?;
        Ok(Outcome::Ranges(AppliedRanges {
            applied: receipt.applied,
        }))
    }

    fn apply(
        &mut self,
        caller: &Caller,
        store_id: StoreId,
        content: Content,
    ) -> Result<Outcome, (StoreId, SendError)> {
        let mut answer = Applied::default();
        let done = match content {
            Content::Batch(batch) => {
                answer.applied = batch.records.len() as u64;
                self.with(caller, store_id, |destination| destination.send(&batch))
            }
            Content::Beside(events) => {
                answer.applied = events.len() as u64;
                self.beside(caller, store_id, events, &mut answer)
            }
        };
        done.map(|()| Outcome::Applied(answer))
            .map_err(|error| (store_id, error))
    }

    fn beside(
        &mut self,
        caller: &Caller,
        store_id: StoreId,
        events: Vec<Beside>,
        answer: &mut Applied,
    ) -> Result<(), SendError> {
        let mut states: Vec<CurrentState> = Vec::new();
        for event in events {
            match event {
                Beside::Current(state) => states.push(state),
                Beside::Heartbeat(mut beat) => {
                    // Who it is, is told by the token.
                    beat.box_id = caller.box_id.clone();
                    self.with(caller, store_id, |to| to.heartbeat(&beat))?;
                }
                Beside::Roster(roster) => self.with(caller, store_id, |to| {
                    to.send_roster(&roster.source, &roster.agents, &roster.queues)
                })?,
                Beside::Claim(claim) => {
                    let receipt = self.open(&writer(caller, store_id, &claim))?;
                    answer.roster_wanted.extend(receipt.roster_wanted);
                }
            }
        }
        if states.is_empty() {
            return Ok(());
        }
        self.with(caller, store_id, |to| to.send_current(&states))
    }

    /// Opens anew for this writer and keeps it open.
    fn open(&mut self, writer: &Writer) -> Result<crate::destination::Receipt, SendError> {
        let mut destination = match self.take(&writer.box_id) {
            Some(open) => open.destination,
            None => (self.make)(),
        };
        let receipt = destination.open(writer)?;
        if self.open.len() >= OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push(Open {
            box_id: writer.box_id.clone(),
            store_id: writer.store_id,
            destination,
        });
        Ok(receipt)
    }

    fn take(&mut self, box_id: &BoxId) -> Option<Open> {
        let at = self.open.iter().position(|open| open.box_id == *box_id)?;
        Some(self.open.remove(at))
    }

    /// Calls the destination that is open for this box and store. After an error that may have
    /// broken it, it is opened anew with the next call.
    fn with(
        &mut self,
        caller: &Caller,
        store_id: StoreId,
        call: impl FnOnce(&mut dyn Destination) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let is_open = |open: &Open| open.box_id == caller.box_id && open.store_id == store_id;
        if !self.open.iter().any(is_open) {
            self.open(&writer(caller, store_id, &Claim::none()))?;
        }
        let mut open = self.take(&caller.box_id).expect("it was opened above");
        let done = call(open.destination.as_mut());
        if matches!(
            done,
            Ok(()) | Err(SendError::Refused { .. } | SendError::TooLarge { .. })
        ) {
            self.open.push(open);
        }
        done
    }
}

impl Claim {
    fn none() -> Self {
        Self {
            sources: Vec::new(),
            take_over: Vec::new(),
        }
    }
}

fn writer(caller: &Caller, store_id: StoreId, claim: &Claim) -> Writer {
    Writer {
        box_id: caller.box_id.clone(),
        store_id,
        sources: claim.sources.clone(),
        take_over: claim.take_over.clone(),
    }
}

fn refusal(error: BodyError) -> Outcome {
    match error {
        BodyError::TooLarge(max) => Outcome::TooLarge(format!("it has more than {max} bytes")),
        BodyError::Malformed(message) => Outcome::Refused(NotApplied {
            message,
            ..NotApplied::default()
        }),
        BodyError::Events(errors) => Outcome::Refused(NotApplied {
            message: format!(
                "{} events cannot be taken, the first because: {}; nothing was applied",
                errors.len(),
                errors.first().map_or("", |error| error.reason.as_str())
            ),
            remedy: String::new(),
            errors,
        }),
    }
}

fn failure(store_id: StoreId, error: SendError) -> Outcome {
    match error {
        // Its box must be told, where everything else that holds is the receiver's own to mend.
        SendError::Claimed { reason, remedy } => Outcome::Claimed(NotApplied {
            message: reason,
            remedy,
            errors: Vec::new(),
        }),
        SendError::Held { reason, remedy } => {
            Outcome::Later(format!("{reason}; {remedy}"), HELD_RETRY_AFTER)
        }
        SendError::Retry {
            message,
            retry_after,
            ..
        } => Outcome::Later(message, retry_after.unwrap_or(RETRY_AFTER)),
        SendError::TooLarge { message } => Outcome::TooLarge(message),
        SendError::Refused { message, records } => Outcome::Refused(NotApplied {
            message,
            remedy: String::new(),
            errors: records
                .into_iter()
                .map(|(seq, reason)| EventError {
                    id: event_id(store_id, seq),
                    reason,
                })
                .collect(),
        }),
    }
}
