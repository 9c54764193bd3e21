//! What a person or the daemon asks of a delivery beside its daily work: new settings, a replay, a
//! record once more.

use std::collections::BTreeSet;

use super::machine::{DeliveryMachine, Mood};
use super::{DeliveryOptions, Replay};
use crate::domain::backoff::Backoff;
use crate::domain::ids::{RecordSeq, SeqRange};

impl DeliveryMachine {
    /// The journal took a new `store_id`: what the destination holds of it must be read anew.
    pub fn reopen(&mut self) {
        self.connected = false;
    }

    /// A person changed something (settings, credentials, a claim): try at once.
    pub fn retry_now(&mut self) {
        self.mood = Mood::Good;
        self.connected = false;
    }

    /// New settings, from the next step on.
    pub fn set_options(&mut self, options: DeliveryOptions) {
        self.filter = options.filter();
        self.backoff = Backoff::new(options.backoff_min, options.backoff_max);
        self.size = self.size.min(options.batch_records).max(1);
        self.options = options;
        // A new source must be claimed, and new settings may be what a hold waits for.
        self.retry_now();
    }

    /// Ends a replay; what it sent stays sent.
    pub fn stop_replay(&mut self) {
        self.progress.replay = None;
    }

    /// Sends `from` and everything after it up to the journal's head once more.
    pub fn replay(&mut self, from: RecordSeq, head: RecordSeq) {
        let from = from.max(RecordSeq::new(1));
        self.progress.replay = (from <= head).then(|| Replay {
            remaining: SeqRange::new(from, head),
            sent: 0,
        });
    }

    /// Sends quarantined records once more.
    pub fn retry_quarantined(&mut self, seqs: impl IntoIterator<Item = RecordSeq>) {
        let waiting: BTreeSet<_> = self.progress.retries.iter().copied().collect();
        let wished = seqs.into_iter().filter(|seq| !waiting.contains(seq));
        self.progress.retries.extend(wished);
    }

    /// The retry of a quarantined record is over, whatever came of it.
    pub(super) fn retried(&mut self, seq: RecordSeq) {
        self.progress.retries.retain(|waiting| *waiting != seq);
    }

    /// Sends records once more that the destination lost or altered.
    pub fn resend(&mut self, seqs: impl IntoIterator<Item = RecordSeq>) {
        self.resends.extend(seqs);
    }

    /// The next records of [`super::Step::Resend`]: all positions from the first to the last are done, so
    /// that a batch over them says nothing new to the receipt.
    pub fn resend_chunk(&self, limit: usize) -> Vec<RecordSeq> {
        let Some(first) = self.resends.first() else {
            return Vec::new();
        };
        let end = self.done.first_gap(*first, RecordSeq::new(u64::MAX));
        let within = |seq: &&RecordSeq| end.is_none_or(|gap| **seq < gap.first);
        let chunk: Vec<_> = self
            .resends
            .iter()
            .take_while(within)
            .take(limit)
            .copied()
            .collect();
        if chunk.is_empty() {
            vec![*first]
        } else {
            chunk
        }
    }

    /// The next records of [`super::Step::Resend`] are settled, whatever came of them.
    pub(super) fn resent(&mut self, limit: usize) {
        for seq in self.resend_chunk(limit) {
            self.resends.remove(&seq);
        }
        if self.resends.is_empty() {
            self.resend_limit = self.options.batch_records.max(1);
        }
    }
}
