//! From a step of the machine to the call: what the journal has to say to it.

use super::{DeliveryCall, ForwardWorker};
use crate::destination::Writer;
use crate::domain::batch::{Batch, Builder, Cut};
use crate::domain::call::Do;
use crate::domain::delivery::Step;
use crate::domain::health::Heartbeat;
use crate::domain::ids::{Feed, RecordSeq, SeqRange};
use crate::domain::record::SequencedRecord;
use crate::domain::timestamp::Now;
use crate::store::{ReadLimit, StoreError};

impl ForwardWorker {
    /// The machine's next step as a call. Steps that turn out to have nothing to send are passed
    /// over; each such step leaves the machine with one less, so this ends.
    pub(super) fn next_call(&mut self, now: Now) -> Result<Do<DeliveryCall>, StoreError> {
        loop {
            let step = match self.machine.begin(now, self.view()) {
                Do::WaitUntil(until) => return Ok(Do::WaitUntil(until)),
                Do::Call(step) => step,
            };
            let call = match step {
                Step::Open => Some(DeliveryCall::Open(self.writer())),
                Step::Probe => Some(DeliveryCall::Probe),
                Step::Current { offset, limit } => self.current(offset, limit)?,
                Step::Roster => Some(self.roster()?),
                Step::Heartbeat => Some(DeliveryCall::Heartbeat(self.beat(now))),
                Step::Retry(seq) => self.retry(seq)?,
                Step::Resend { limit } => self.resend(limit)?,
                Step::Send(cut) => {
                    let Some(batch) = self.batch(cut)? else {
                        // The journal gave nothing although it has more: look again later.
                        self.machine.not_sent();
                        let again = now.mono.plus(self.options.poll_period);
                        return Ok(Do::WaitUntil(again));
                    };
                    Some(DeliveryCall::Send(batch))
                }
            };
            match call {
                Some(call) => return Ok(Do::Call(call)),
                None => self.machine.nothing_to_send(),
            }
        }
    }

    fn writer(&mut self) -> Writer {
        let filter = self.machine.filter();
        let allowed = |source| filter.sources.is_empty() || filter.sources.contains(source);
        let sources = self.sources.iter().filter(|s| allowed(s)).cloned();
        let store_id = self.store.store_id();
        self.opened_as = Some(store_id);
        Writer {
            box_id: self.store.box_id(),
            store_id,
            sources: sources.collect(),
            take_over: self.take_over.iter().map(|t| t.source.clone()).collect(),
        }
    }

    fn current(&mut self, offset: usize, limit: usize) -> Result<Option<DeliveryCall>, StoreError> {
        if offset == 0 {
            self.fresh.clear();
            for source in &self.sources {
                let states = self.store.agent_states(source)?;
                let filter = self.machine.filter();
                let passed = states.into_iter().filter_map(|s| filter.pass_current(s));
                self.fresh.extend(passed);
            }
        }
        let rest = self.fresh.get(offset..).unwrap_or_default();
        let chunk: Vec<_> = rest.iter().take(limit).cloned().collect();
        self.fresh_out = chunk.len();
        Ok((!chunk.is_empty()).then_some(DeliveryCall::Current(chunk)))
    }

    fn roster(&self) -> Result<DeliveryCall, StoreError> {
        let source = self.rosters.front().expect("the receipt asked for it");
        let (mut agents, mut queues) = (Vec::new(), Vec::new());
        // Where rosters may not go there, an empty one answers the wish.
        if self.machine.filter().allows(source, Feed::Configuration) {
            let stored = self.store.roster(source)?;
            (agents, queues) = (stored.agents, stored.queues);
        }
        Ok(DeliveryCall::Roster(source.clone(), agents, queues))
    }

    fn beat(&mut self, now: Now) -> Heartbeat {
        let head = self.store.head();
        let mut beat = (self.heartbeat)(now);
        self.machine.filter().narrow(&mut beat);
        beat.backlog = self.machine.balance(head).backlog;
        beat.oldest_unsent_at = self.oldest.journaled_at;
        beat
    }

    fn retry(&mut self, seq: RecordSeq) -> Result<Option<DeliveryCall>, StoreError> {
        let found = self.store.quarantine_list(&self.name, seq, 1)?;
        let entry = found.into_iter().find(|entry| entry.record.seq == seq);
        let filter = self.machine.filter();
        Ok(entry.and_then(|entry| {
            let record = filter.pass(entry.record.record)?;
            Some(DeliveryCall::Send(Batch {
                range: SeqRange::new(seq, seq),
                records: vec![SequencedRecord { seq, record }],
            }))
        }))
    }

    /// The records that are sent once more, as far as the journal still holds them.
    fn resend(&self, limit: usize) -> Result<Option<DeliveryCall>, StoreError> {
        let chunk = self.machine.resend_chunk(limit);
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else {
            return Ok(None);
        };
        let filter = self.machine.filter();
        let mut records = Vec::with_capacity(chunk.len());
        for seq in &chunk {
            let page = self.store.read(*seq, ReadLimit::ONE)?;
            let found = page.records.into_iter().find(|entry| entry.seq == *seq);
            let passed = found.and_then(|entry| filter.pass(entry.record));
            records.extend(passed.map(|record| SequencedRecord { seq: *seq, record }));
        }
        let range = SeqRange::new(*first, *last);
        Ok((!records.is_empty()).then_some(DeliveryCall::Resend(Batch { range, records })))
    }

    fn batch(&mut self, cut: Cut) -> Result<Option<Batch>, StoreError> {
        let (filter, quarantined) = (self.machine.filter(), self.machine.quarantined());
        let mut building = Builder::new(cut, self.store.first(), filter, quarantined);
        while let Some((from, records, bytes)) = building.wants() {
            let spare = std::mem::take(&mut self.spare);
            let limit = ReadLimit { records, bytes };
            let page = self.store.read_into(from, limit, spare)?;
            building.take(page.records, &page.expired, &page.damaged);
        }
        let Some(parcel) = building.finish() else {
            return Ok(None);
        };
        self.machine.sending(&parcel);
        if self.early_cursor {
            self.note_progress();
        }
        Ok(Some(parcel.batch))
    }
}
