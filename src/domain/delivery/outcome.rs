//! The machine of one destination: what an outcome means.

use crate::domain::batch::Lane;
use crate::domain::ids::{RecordSeq, SeqRange};
use crate::domain::timestamp::{MonoTime, Now};

use super::REFUSED_IN_A_ROW_MAX;
use super::failure::SendError;
use super::machine::{Calling, DeliveryMachine, JournalView, Mood, OpenVerdict, Sent, Step};
use super::options::StartAt;
use super::seq_ranges::SeqRanges;

/// The search for a refused record: a batch known to hold one is halved until it is alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bisect {
    pub(super) lane: Lane,
    /// The last position of the batch that was refused.
    pub(super) until: RecordSeq,
    /// Records that may be the refused one.
    pub(super) suspects: usize,
    /// Records of the next batch.
    pub(super) limit: usize,
}

impl DeliveryMachine {
    /// The destination is open and holds `receipt` of the current `store_id`. Where it is ready,
    /// [`Self::progress`] must be durable before anything is sent, or the next start would take
    /// what was sent for another store's.
    /// `rosters` is how many sources' rosters it asked for.
    pub fn opened(
        &mut self,
        journal: JournalView,
        receipt: &[SeqRange],
        rosters: usize,
    ) -> OpenVerdict {
        self.calling = None;
        self.rosters = rosters;
        let receipt = SeqRanges::from_ranges(receipt);
        // Before the first send of this life nothing can lie beyond the head it began with.
        let bound = self.progress.unread_since.unwrap_or(journal.head);
        if receipt.highest() > bound {
            self.connected = false;
            return OpenVerdict::RolledBack;
        }
        self.progress.unread_since = None;
        self.connected = true;
        self.mood = Mood::Good;
        self.heartbeat_at = MonoTime::ZERO;
        self.reconcile(&receipt);
        if self.live_from.is_none() && self.done.has_holes() {
            self.live_from = Some(self.done.highest().next());
        }
        OpenVerdict::Ready
    }

    /// A cursor that was lost is found in the receipt: what was applied is not sent again.
    fn reconcile(&mut self, receipt: &SeqRanges) {
        let Some(first) = receipt.as_slice().first().map(|range| range.first) else {
            self.begun_now = false;
            return;
        };
        let cursor_lost = std::mem::take(&mut self.begun_now);
        if cursor_lost && self.options.start == StartAt::Now {
            // `start` was decided long ago: only what lies before the receipt was skipped then.
            self.done = SeqRanges::default();
            self.progress.counts.skipped = 0;
            if first > RecordSeq::new(1) {
                let skipped = SeqRange::new(RecordSeq::new(1), RecordSeq::new(first.get() - 1));
                self.progress.counts.skipped = self.done.insert(skipped);
            }
        }
        for range in receipt.as_slice() {
            let within = self.quarantined.range(range.first..=range.last);
            let refused = within.filter(|seq| !self.done.contains(**seq)).count() as u64;
            let new = self.done.insert(*range);
            self.progress.counts.quarantined += refused;
            self.progress.counts.acknowledged += new - refused;
        }
        self.note_done();
    }

    /// The current states were sent; `remaining` of them were not yet.
    pub fn current_sent(&mut self, now: Now, sent: usize, remaining: usize) {
        let Some(calling) = self.calling.take() else {
            return;
        };
        self.succeeded(now);
        if let Step::Current { offset, .. } = calling.step {
            self.fresh = (remaining > 0 && sent > 0).then_some(offset + sent);
        }
    }

    /// The destination took what the step sent. Answers the record that has left the quarantine.
    pub fn accepted(&mut self, now: Now) -> Option<RecordSeq> {
        let calling = self.calling.take()?;
        match calling.step {
            // Reachable again: connect at once.
            Step::Probe => self.mood = Mood::Good,
            Step::Open | Step::Current { .. } => self.succeeded(now),
            Step::Roster => {
                self.succeeded(now);
                self.rosters -= 1;
            }
            Step::Heartbeat => {
                self.succeeded(now);
                self.heartbeat_at = self.next_heartbeat(now.mono);
            }
            Step::Send(cut) => {
                self.succeeded(now);
                self.last_acknowledged_at = Some(now.wall);
                let sent = calling.sent.expect("a batch was cut for the step");
                self.refused_in_a_row = if sent.records > 0 {
                    0
                } else {
                    self.refused_in_a_row
                };
                if !self.early_cursor {
                    self.acknowledge(&sent);
                }
                self.go_on_bisecting(&sent);
                self.adapt(&calling, now.mono, sent.records >= cut.records);
            }
            Step::Retry(seq) => {
                self.succeeded(now);
                self.release(seq);
                return Some(seq);
            }
            Step::Resend { limit } => {
                self.succeeded(now);
                self.resent(limit);
            }
        }
        None
    }

    fn succeeded(&mut self, now: Now) {
        self.backoff.reset();
        self.mood = Mood::Good;
        self.last_error = None;
        self.held_since = None;
        self.last_success = Some(now.mono);
    }

    /// The one place where positions become done.
    pub(super) fn acknowledge(&mut self, sent: &Sent) {
        if sent.lane == Lane::Replay {
            self.advance_replay(sent);
            return;
        }
        let new = self.done.insert(sent.range);
        assert_eq!(
            new,
            sent.range.count(),
            "range {:?} was partly done before",
            sent.range
        );
        let counts = &mut self.progress.counts;
        counts.filtered += sent.counts.filtered;
        counts.quarantined += sent.counts.quarantined;
        counts.damaged += sent.counts.damaged;
        counts.expired += sent.counts.expired;
        counts.acknowledged +=
            new - sent.counts.quarantined - sent.counts.damaged - sent.counts.expired;
        self.note_done();
    }

    fn advance_replay(&mut self, sent: &Sent) {
        self.progress.counts.replayed += sent.records as u64;
        let Some(replay) = &mut self.progress.replay else {
            return;
        };
        // A replay that was asked for meanwhile begins elsewhere and is not moved.
        if replay.remaining.first != sent.range.first {
            return;
        }
        replay.sent += sent.records as u64;
        if sent.range.last >= replay.remaining.last {
            self.progress.replay = None;
        } else {
            replay.remaining.first = sent.range.last.next();
        }
    }

    fn go_on_bisecting(&mut self, sent: &Sent) {
        let Some(bisect) = &mut self.bisect else {
            return;
        };
        if bisect.lane != sent.lane {
            return;
        }
        bisect.suspects = bisect.suspects.saturating_sub(sent.records);
        bisect.limit = (bisect.suspects / 2).max(1);
        if bisect.suspects == 0 || sent.range.last >= bisect.until {
            self.bisect = None;
        }
    }

    fn adapt(&mut self, calling: &Calling, now: MonoTime, full: bool) {
        let took = now.since(calling.since);
        if took > self.options.slow {
            self.size = (self.size / 2).max(1);
        } else if full && took < self.options.quick && self.bisect.is_none() {
            self.size = self.size.saturating_mul(2).min(self.options.batch_records);
        }
    }

    /// The destination did not take it. Answers the records to put into quarantine, with the
    /// destination's reason; tell [`Self::set_apart`] once the store has them.
    pub fn failed(&mut self, now: Now, error: &SendError) -> Vec<(RecordSeq, String)> {
        let Some(calling) = self.calling.take() else {
            return Vec::new();
        };
        self.last_error = Some(error.to_string());
        match error {
            SendError::Retry {
                retry_after,
                unreachable,
                ..
            } => {
                if now.mono.since(calling.since) > self.options.slow {
                    self.size = (self.size / 2).max(1);
                }
                self.wait(now.mono, *retry_after, *unreachable);
            }
            SendError::Held { reason, remedy } | SendError::Claimed { reason, remedy } => {
                self.hold(now, reason, remedy);
            }
            SendError::Refused { message, records } => {
                return self.refused(now, &calling, message, records);
            }
            SendError::TooLarge { message } => return self.too_large(now, &calling, message),
        }
        Vec::new()
    }

    fn wait(&mut self, now: MonoTime, retry_after: Option<std::time::Duration>, unreachable: bool) {
        self.held_since = None;
        let wait = self.backoff.next(&mut self.rng, retry_after);
        self.connected &= !unreachable;
        self.broken_off();
        self.mood = Mood::Waiting {
            until: now.plus(wait),
            probe_at: unreachable.then(|| now.plus(self.options.probe_period)),
        };
    }

    fn hold(&mut self, now: Now, reason: &str, remedy: &str) {
        self.held_since.get_or_insert(now.wall);
        self.connected = false;
        self.broken_off();
        self.mood = Mood::Held {
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
            until: now.mono.plus(self.options.hold_period),
        };
    }

    fn broken_off(&mut self) {
        self.outage = true;
        self.fresh = None;
    }

    fn refused(
        &mut self,
        now: Now,
        calling: &Calling,
        message: &str,
        named: &[(RecordSeq, String)],
    ) -> Vec<(RecordSeq, String)> {
        let Some(sent) = calling.sent else {
            self.refused_beside(now, calling, message);
            return Vec::new();
        };
        if sent.records == 0 {
            // There is nothing in it to refuse: the fault is not the content's.
            self.hold(
                now,
                &format!("an empty batch was refused: {message}"),
                "look at the destination's own log",
            );
            return Vec::new();
        }
        let named: Vec<_> = named
            .iter()
            .filter(|(seq, _)| sent.range.contains(*seq))
            .cloned()
            .collect();
        if !named.is_empty() {
            return self.single_out(now, named);
        }
        if let Some(seq) = sent.only {
            return self.single_out(now, vec![(seq, message.to_owned())]);
        }
        self.bisect = Some(Bisect {
            lane: sent.lane,
            until: sent.range.last,
            suspects: sent.records,
            limit: (sent.records / 2).max(1),
        });
        Vec::new()
    }

    /// A refusal of something that is no batch.
    fn refused_beside(&mut self, now: Now, calling: &Calling, message: &str) {
        match calling.step {
            // The state follows with its record, and the next heartbeat comes soon.
            Step::Current { .. } => self.fresh = None,
            Step::Heartbeat => self.heartbeat_at = self.next_heartbeat(now.mono),
            // It stays in quarantine.
            Step::Retry(seq) => self.retried(seq),
            // Together first; one that is refused alone stays as it is there.
            Step::Resend { limit: 1 } => self.resent(1),
            Step::Resend { limit } => self.resend_limit = (limit / 2).max(1),
            Step::Open | Step::Probe | Step::Roster | Step::Send(_) => {
                self.hold(now, message, "look at the destination's own log");
            }
        }
    }

    fn single_out(
        &mut self,
        now: Now,
        records: Vec<(RecordSeq, String)>,
    ) -> Vec<(RecordSeq, String)> {
        self.bisect = None;
        self.refused_in_a_row += 1;
        if self.refused_in_a_row.is_multiple_of(REFUSED_IN_A_ROW_MAX) {
            let reason = format!(
                "{} batches in a row were refused, the last because: {}",
                self.refused_in_a_row, records[0].1
            );
            self.hold(
                now,
                &reason,
                "see whether the destination fits the data; then `quarantine retry`",
            );
        }
        records
    }

    /// The store keeps these refused records now: they are left out from here on, and their
    /// positions are done with the batch that spans them.
    pub fn set_apart(&mut self, seqs: impl IntoIterator<Item = RecordSeq>) {
        self.quarantined.extend(seqs);
    }

    /// The record was taken after all.
    fn release(&mut self, seq: RecordSeq) {
        self.retried(seq);
        if !self.quarantined.remove(&seq) {
            return;
        }
        let counts = &mut self.progress.counts;
        if self.done.contains(seq) && counts.quarantined > 0 {
            counts.quarantined -= 1;
            counts.acknowledged += 1;
        }
    }

    /// A person throws the quarantined record away: its position counts as quarantined all the
    /// same, and where it is not done yet the record stays left out until it is. Tell it before
    /// the quarantine forgets the record, with [`Self::progress`] made durable in between.
    pub fn discard(&mut self, seq: RecordSeq) {
        self.retried(seq);
        if !self.quarantined.contains(&seq) {
            return;
        }
        if self.done.contains(seq) {
            self.quarantined.remove(&seq);
        } else if !self.progress.discarded.contains(&seq) {
            self.progress.discarded.push(seq);
        }
    }

    fn too_large(
        &mut self,
        now: Now,
        calling: &Calling,
        message: &str,
    ) -> Vec<(RecordSeq, String)> {
        match calling.sent {
            Some(Sent {
                only: Some(seq), ..
            }) => {
                let reason = format!("too large by itself: {message}");
                self.single_out(now, vec![(seq, reason)])
            }
            Some(sent) if sent.records > 1 => {
                self.size = (sent.records / 2).max(1);
                self.bisect = None;
                Vec::new()
            }
            _ if matches!(calling.step, Step::Current { limit: 2.., .. }) => {
                self.current_limit = (self.current_limit / 2).max(1);
                Vec::new()
            }
            _ => {
                self.refused_beside(now, calling, message);
                Vec::new()
            }
        }
    }
}
