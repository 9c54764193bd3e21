//! A destination in memory that outlives every life of the box. It keeps the promise of the seam
//! (a range is applied once, rows and receipt together) by code of its own, and breaks it never:
//! what goes wrong is the way there and back.

use std::collections::BTreeMap;

use fastrand::Rng;
use thrio_edge::destination::{Receipt, SendError};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::{RecordSeq, SeqRange, StoreId};
use thrio_edge::domain::record::Record;
use thrio_edge::forwarder::{DeliveryCall, DeliveryOutcome};

/// What happens upstream for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Nobody listens.
    Down,
    /// Applies, and the answer is lost.
    AnswerLost,
    /// Busy: half of the calls are turned away.
    Busy,
    /// Waits for a person.
    Held,
}

impl Upstream {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.u32(..4) {
            0 => Self::Down,
            1 => Self::AnswerLost,
            2 => Self::Busy,
            _ => Self::Held,
        }
    }
}

/// Everything that was ever applied, in the order of application, by store and seq.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) records: BTreeMap<(StoreId, RecordSeq), Record>,
    ranges: BTreeMap<StoreId, Vec<(u64, u64)>>,
    /// The store that opened the connection.
    connected: Option<StoreId>,
    /// How often a seq came again and was left alone.
    pub(crate) repeated: u64,
    /// How often a seq was applied a second time with another content: always a bug.
    pub(crate) contradicted: Vec<String>,
}

impl Applied {
    /// What a call that arrives does, and what comes back of it.
    pub(crate) fn answer(
        &mut self,
        call: DeliveryCall,
        trouble: Option<Upstream>,
        rng: &mut Rng,
    ) -> DeliveryOutcome {
        let is_open = matches!(call, DeliveryCall::Open(_));
        let failure = match trouble {
            None | Some(Upstream::AnswerLost) => None,
            Some(Upstream::Down) => Some(retry("connection refused", true)),
            Some(Upstream::Busy) => rng.bool().then(|| retry("busy", false)),
            Some(Upstream::Held) => Some(SendError::Held {
                reason: "permission denied".to_owned(),
                remedy: "grant it".to_owned(),
            }),
        };
        if let Some(failure) = failure {
            return outcome(is_open, Err(failure));
        }
        let receipt = match call {
            DeliveryCall::Open(writer) => {
                self.connected = Some(writer.store_id);
                self.receipt(writer.store_id)
            }
            DeliveryCall::Send(batch) => {
                let store_id = self
                    .connected
                    .expect("a destination is opened before it is sent to");
                self.apply(store_id, &batch);
                Vec::new()
            }
            _ => Vec::new(),
        };
        if trouble == Some(Upstream::AnswerLost) {
            return outcome(is_open, Err(retry("connection reset", true)));
        }
        outcome(
            is_open,
            Ok(Receipt {
                applied: receipt,
                ..Receipt::default()
            }),
        )
    }

    /// Applies what was not applied yet, and marks the whole range.
    pub(crate) fn apply(&mut self, store_id: StoreId, batch: &Batch) {
        for record in &batch.records {
            let key = (store_id, record.seq);
            match self.records.get(&key) {
                None => {
                    self.records.insert(key, record.record.clone());
                }
                Some(before) if *before == record.record => self.repeated += 1,
                Some(before) => self.contradicted.push(format!(
                    "{store_id}:{} was {before:?} and came again as {:?}",
                    record.seq, record.record
                )),
            }
        }
        let ranges = self.ranges.entry(store_id).or_default();
        ranges.push((batch.range.first.get(), batch.range.last.get()));
        merge(ranges);
    }

    /// What is applied of a store.
    pub(crate) fn receipt(&self, store_id: StoreId) -> Vec<SeqRange> {
        self.ranges
            .get(&store_id)
            .into_iter()
            .flatten()
            .map(|&(first, last)| SeqRange::new(RecordSeq::new(first), RecordSeq::new(last)))
            .collect()
    }
}

fn merge(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for &(first, last) in ranges.iter() {
        match merged.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    *ranges = merged;
}

fn retry(message: &str, unreachable: bool) -> SendError {
    SendError::Retry {
        message: message.to_owned(),
        retry_after: None,
        unreachable,
    }
}

fn outcome(is_open: bool, result: Result<Receipt, SendError>) -> DeliveryOutcome {
    if is_open {
        DeliveryOutcome::Opened(result)
    } else {
        DeliveryOutcome::Done(result.map(drop))
    }
}
