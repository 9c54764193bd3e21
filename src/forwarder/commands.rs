//! What a person may ask of a destination's worker.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{ForwardBoard, ForwardReport, ForwardWorker};
use crate::domain::delivery::DeliveryOptions;
use crate::domain::ids::{RecordSeq, SourceName};
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
    /// Take the source over from another box.
    Claim(SourceName),
}

/// How others reach a destination's worker.
#[derive(Debug, Clone)]
pub struct ForwardHandle {
    commands: Sender<ForwardCommand>,
    waker: Waker,
    board: Arc<ForwardBoard>,
}

impl ForwardHandle {
    pub(super) fn new(
        commands: Sender<ForwardCommand>,
        waker: Waker,
        board: Arc<ForwardBoard>,
    ) -> Self {
        Self {
            commands,
            waker,
            board,
        }
    }

    /// Sends a wish and wakes the worker. False where the worker has ended.
    pub fn send(&self, command: ForwardCommand) -> bool {
        let sent = self.commands.send(command).is_ok();
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

impl ForwardWorker {
    pub(super) fn obey_all(&mut self, now: Now) -> Result<(), StoreError> {
        while let Ok(command) = self.commands.try_recv() {
            tracing::info!(destination = %self.name, ?command, "asked for");
            self.obey(command, now)?;
        }
        Ok(())
    }

    fn obey(&mut self, command: ForwardCommand, now: Now) -> Result<(), StoreError> {
        match command {
            ForwardCommand::Configure(options, sources) => {
                self.options = (*options).clone();
                self.sources = sources;
                self.machine.set_options(*options);
            }
            ForwardCommand::RetryNow => self.machine.retry_now(),
            ForwardCommand::ReplayFromSeq(from) => self.replay(from),
            ForwardCommand::ReplayFrom(at) => {
                let from = self.store.seq_at(at)?;
                self.replay(from);
            }
            ForwardCommand::StopReplay => {
                self.machine.stop_replay();
                self.note_progress();
            }
            ForwardCommand::RetryQuarantined(seqs) => self.machine.retry_quarantined(seqs),
            ForwardCommand::DiscardQuarantined(seqs) => {
                // A position that is not done yet stays left out, or it would be sent after all.
                self.store.quarantine_remove(&self.name, &seqs, now)?;
                for seq in seqs {
                    self.machine.discarded(seq);
                }
            }
            ForwardCommand::Claim(source) => {
                self.take_over.push(source);
                self.machine.retry_now();
            }
        }
        Ok(())
    }

    fn replay(&mut self, from: RecordSeq) {
        // What has expired cannot be sent again.
        self.machine
            .replay(from.max(self.store.first()), self.store.head());
        self.note_progress();
    }
}
