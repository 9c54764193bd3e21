//! What a person may ask of a destination's worker.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{ForwardBoard, ForwardReport, ForwardWorker};
use crate::domain::delivery::DeliveryOptions;
use crate::domain::ids::{RecordSeq, SeqRange, SourceName};
use crate::domain::timestamp::{Now, WallTime};
use crate::stop::Waker;
use crate::store::StoreError;

/// What a person may ask of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardCommand {
    /// New settings, and the sources of the box.
    Configure(Box<DeliveryOptions>, Vec<SourceName>),
    /// Try now, whatever it waits for.
    RetryNow,
    /// Send everything from this seq on once more.
    ReplayFromSeq(RecordSeq),
    /// Send everything about this moment and later once more.
    ReplayFrom(WallTime),
    /// End a replay.
    StopReplay,
    /// Send these quarantined records once more.
    RetryQuarantined(Vec<RecordSeq>),
    /// Throw these quarantined records away.
    DiscardQuarantined(Vec<RecordSeq>),
    /// Send these records once more, over what became of their rows.
    Resend(Vec<RecordSeq>),
    /// Take the source over from another box.
    Claim(SourceName),
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obeyed {
    /// It is done, or its wish is noted.
    Done,
    /// What is sent once more; nothing where nothing is kept from there on.
    Replaying(Option<SeqRange>),
    /// The destination has answered a claim.
    Claimed,
    /// The destination did not take a claim yet, for this reason; it is asked again.
    NotClaimedYet(String),
}

/// What a command comes to, or why the store did not let it.
pub type Answer = Result<Obeyed, StoreError>;

/// A command, and who waits for what comes of it.
pub(super) type Asked = (ForwardCommand, Option<Sender<Answer>>);

/// How others reach a destination's worker.
#[derive(Debug, Clone)]
pub struct ForwardHandle {
    commands: Sender<Asked>,
    waker: Waker,
    board: Arc<ForwardBoard>,
}

impl ForwardHandle {
    pub(super) fn new(commands: Sender<Asked>, waker: Waker, board: Arc<ForwardBoard>) -> Self {
        Self {
            commands,
            waker,
            board,
        }
    }

    /// Sends a wish and wakes the worker. False where the worker has ended.
    pub fn send(&self, command: ForwardCommand) -> bool {
        self.pass((command, None))
    }

    /// The same, and where the answer will come: after the call that is under way, of a claim
    /// after the next opening. None where the worker has ended.
    pub fn ask(&self, command: ForwardCommand) -> Option<Receiver<Answer>> {
        let (reply, answer) = bounded(1);
        self.pass((command, Some(reply))).then_some(answer)
    }

    fn pass(&self, asked: Asked) -> bool {
        let sent = self.commands.send(asked).is_ok();
        self.waker.wake();
        sent
    }

    /// Wakes the worker: something was journaled.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// The worker's last report; none before its first step.
    pub fn report(&self) -> Option<ForwardReport> {
        self.board.report()
    }
}

/// A source that is taken over with the next opening, whoever has it.
#[derive(Debug, Clone)]
pub(super) struct TakeOver {
    pub(super) source: SourceName,
    reply: Option<Sender<Answer>>,
}

/// Whoever asked may have gone meanwhile.
fn answer(reply: Option<Sender<Answer>>, outcome: Answer) {
    if let Some(reply) = reply {
        let _ = reply.send(outcome);
    }
}

impl ForwardWorker {
    /// Does at once what is asked of a destination that nobody serves now, and makes it durable.
    /// What needs the destination itself waits for the worker that serves it next.
    pub fn obey_at_rest(mut self, command: ForwardCommand, now: Now) -> Answer {
        let obeyed = self.obey(command, now)?;
        self.note_progress();
        self.store.flush(now)?;
        Ok(obeyed)
    }

    pub(super) fn obey_all(&mut self, now: Now) -> Result<(), StoreError> {
        while let Ok((command, reply)) = self.commands.try_recv() {
            tracing::info!(destination = %self.name, ?command, "asked for");
            if let ForwardCommand::Claim(source) = command {
                self.take_over.push(TakeOver { source, reply });
                self.machine.retry_now();
                continue;
            }
            let outcome = self.obey(command, now);
            let failed = outcome.as_ref().err().cloned();
            answer(reply, outcome);
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: ForwardCommand, now: Now) -> Answer {
        match command {
            ForwardCommand::Configure(options, sources) => {
                self.options = (*options).clone();
                self.sources = sources;
                self.machine.set_options(*options);
            }
            ForwardCommand::RetryNow => self.machine.retry_now(),
            ForwardCommand::ReplayFromSeq(from) => return Ok(self.replay(from)),
            ForwardCommand::ReplayFrom(at) => {
                let from = self.store.seq_at(at)?;
                return Ok(self.replay(from));
            }
            ForwardCommand::StopReplay => {
                self.machine.stop_replay();
                self.note_progress();
            }
            ForwardCommand::RetryQuarantined(seqs) => {
                self.machine.retry_quarantined(seqs);
                self.note_progress();
            }
            ForwardCommand::DiscardQuarantined(seqs) => self.discard(&seqs, now)?,
            ForwardCommand::Resend(seqs) => self.machine.resend(seqs),
            ForwardCommand::Claim(source) => self.take_over.push(TakeOver {
                source,
                reply: None,
            }),
        }
        Ok(Obeyed::Done)
    }

    fn discard(&mut self, seqs: &[RecordSeq], now: Now) -> Result<(), StoreError> {
        for seq in seqs {
            self.machine.discard(*seq);
        }
        // That they are left out is durable before the quarantine forgets them: a process that is
        // killed in between finds them in both.
        self.note_progress();
        self.store.flush(now)?;
        self.store.quarantine_remove(&self.name, seqs, now)
    }

    fn replay(&mut self, from: RecordSeq) -> Obeyed {
        // What has expired cannot be sent again.
        self.machine
            .replay(from.max(self.store.first()), self.store.head());
        self.note_progress();
        let replay = self.machine.progress().replay;
        Obeyed::Replaying(replay.map(|replay| replay.remaining))
    }

    /// The destination has every source that was to be taken over.
    pub(super) fn claimed(&mut self) {
        for wish in self.take_over.drain(..) {
            answer(wish.reply, Ok(Obeyed::Claimed));
        }
    }

    /// The destination could not be opened: the claims wait, and whoever asked is told.
    pub(super) fn not_claimed(&mut self, why: &str) {
        for wish in &mut self.take_over {
            answer(wish.reply.take(), Ok(Obeyed::NotClaimedYet(why.to_owned())));
        }
    }
}
