//! A destination that keeps what it is sent, and fails as a test tells it to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use thrio_edge::destination::{Receipt, SendError};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::delivery::SeqRanges;
use thrio_edge::domain::ids::{RecordSeq, SeqRange, SourceName, StoreId};
use thrio_edge::domain::record::{Record, SequencedRecord};
use thrio_edge::domain::timestamp::WallTime;
use thrio_edge::forwarder::{DeliveryCall, DeliveryOutcome};

/// A call that came, by kind; a call while the destination was down counts too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Called {
    Open,
    Probe,
    Current(usize),
    Roster,
    Heartbeat,
    Send(SeqRange),
}

#[derive(Default)]
pub(crate) struct Scripted {
    store_id: Option<StoreId>,
    applied: HashMap<StoreId, SeqRanges>,
    records: BTreeMap<(StoreId, u64), SequencedRecord>,
    twice: u64,
    refused: BTreeSet<u64>,
    at_most: Option<usize>,
    takes: Duration,
    down_until: Option<Duration>,
    /// Errors of the next calls; the flag says that the call had its effect all the same.
    errors: VecDeque<(SendError, bool)>,
    log: Vec<(Duration, Called, bool)>,
}

impl Scripted {
    pub(crate) fn fail_next(&mut self, error: SendError, after_effect: bool) {
        self.errors.push_back((error, after_effect));
    }

    pub(crate) fn refuse(&mut self, seq: u64) {
        self.refused.insert(seq);
    }

    pub(crate) fn heal(&mut self) {
        self.refused.clear();
        self.errors.clear();
        self.at_most = None;
        self.down_until = None;
    }

    pub(crate) fn takes_at_most(&mut self, records: usize) {
        self.at_most = Some(records);
    }

    /// How long each call takes.
    pub(crate) fn takes(&mut self, time: Duration) {
        self.takes = time;
    }

    pub(crate) fn latency(&self) -> Duration {
        self.takes
    }

    pub(crate) fn down_for(&mut self, time: Duration) {
        self.down_until = Some(time);
    }

    pub(crate) fn pretend_applied(&mut self, store_id: StoreId, first: u64, last: u64) {
        let range = SeqRange::new(RecordSeq::new(first), RecordSeq::new(last));
        self.applied.entry(store_id).or_default().insert(range);
    }

    pub(crate) fn call(&mut self, elapsed: Duration, call: DeliveryCall) -> DeliveryOutcome {
        let called = match &call {
            DeliveryCall::Open(_) => Called::Open,
            DeliveryCall::Probe => Called::Probe,
            DeliveryCall::Current(states) => Called::Current(states.len()),
            DeliveryCall::Roster(..) => Called::Roster,
            DeliveryCall::Heartbeat(_) => Called::Heartbeat,
            DeliveryCall::Send(batch) | DeliveryCall::Resend(batch) => Called::Send(batch.range),
        };
        let opens = matches!(call, DeliveryCall::Open(_));
        let result = self.answer(elapsed, call);
        self.log.push((elapsed, called, result.is_ok()));
        if opens {
            DeliveryOutcome::Opened(result)
        } else {
            DeliveryOutcome::Done(result.map(drop))
        }
    }

    fn answer(&mut self, elapsed: Duration, call: DeliveryCall) -> Result<Receipt, SendError> {
        if self.down_until.is_some_and(|until| elapsed < until) {
            return Err(SendError::Retry {
                message: "no route to host".to_owned(),
                retry_after: None,
                unreachable: true,
            });
        }
        let error = self.errors.pop_front();
        if let Some((error, false)) = error {
            return Err(error);
        }
        let mut receipt = Receipt::default();
        match call {
            DeliveryCall::Open(writer) => {
                self.store_id = Some(writer.store_id);
                let applied = self.applied.entry(writer.store_id).or_default();
                receipt.applied = applied.as_slice().to_vec();
            }
            DeliveryCall::Send(batch) | DeliveryCall::Resend(batch) => self.take(batch)?,
            _ => {}
        }
        match error {
            Some((error, _)) => Err(error),
            None => Ok(receipt),
        }
    }

    fn take(&mut self, batch: Batch) -> Result<(), SendError> {
        if self.at_most.is_some_and(|most| batch.records.len() > most) {
            return Err(SendError::TooLarge {
                message: "413".to_owned(),
            });
        }
        let is_refused = |r: &SequencedRecord| self.refused.contains(&r.seq.get());
        if batch.records.iter().any(is_refused) {
            return Err(SendError::Refused {
                message: "422".to_owned(),
                records: Vec::new(),
            });
        }
        let store_id = self.store_id.expect("opened before it is sent to");
        for record in batch.records {
            let key = (store_id, record.seq.get());
            if self.records.insert(key, record).is_some() {
                self.twice += 1;
            }
        }
        self.applied
            .entry(store_id)
            .or_default()
            .insert(batch.range);
        Ok(())
    }

    pub(crate) fn held_seqs(&self) -> Vec<u64> {
        let seqs: BTreeSet<u64> = self.records.keys().map(|(_, seq)| *seq).collect();
        seqs.into_iter().collect()
    }

    pub(crate) fn held_seqs_of(&self, id: StoreId) -> Vec<u64> {
        let of_id = self.records.keys().filter(|(store_id, _)| *store_id == id);
        of_id.map(|(_, seq)| *seq).collect()
    }

    pub(crate) fn sent_twice(&self) -> u64 {
        self.twice
    }

    /// Ranges of the receipt of the store that wrote last.
    pub(crate) fn ranges(&self) -> usize {
        let id = self.store_id.expect("opened");
        self.applied[&id].as_slice().len()
    }

    pub(crate) fn calls(&self) -> Vec<Called> {
        self.log
            .iter()
            .map(|(_, called, _)| called.clone())
            .collect()
    }

    pub(crate) fn times_of(&self, wanted: &Called) -> Vec<Duration> {
        let of_kind = self.log.iter().filter(|(_, called, _)| called == wanted);
        of_kind.map(|(at, ..)| *at).collect()
    }

    /// The calls that succeeded from this moment on.
    pub(crate) fn first_success_after(&self, at: Duration) -> Vec<Called> {
        let good = self
            .log
            .iter()
            .filter(|(when, called, ok)| *when >= at && *ok && *called != Called::Probe);
        good.map(|(_, called, _)| called.clone()).collect()
    }

    pub(crate) fn sources(&self) -> Vec<SourceName> {
        let all: BTreeSet<_> = self
            .records
            .values()
            .map(|r| r.record.source().clone())
            .collect();
        all.into_iter().collect()
    }

    /// The earliest moment of an interval or transaction that is held.
    pub(crate) fn earliest_fact(&self) -> Option<WallTime> {
        let facts = self
            .records
            .values()
            .filter(|r| matches!(r.record, Record::Interval(_) | Record::Transaction(_)));
        facts.map(|r| r.record.about()).min()
    }
}
