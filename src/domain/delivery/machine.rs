//! The machine of one destination: what it does next.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::HOLES_MAX;
use super::options::{DeliveryOptions, StartAt};
use super::outcome::Bisect;
use super::pace::PaceMeter;
use super::progress::DeliveryProgress;
use super::seq_ranges::SeqRanges;
use crate::domain::backoff::Backoff;
use crate::domain::batch::{Cut, DeliveryFilter, Lane, Parcel, ParcelCounts};
use crate::domain::call::Do;
use crate::domain::ids::{RecordSeq, SeqRange};
use crate::domain::timestamp::{MonoTime, Now, WallTime};

/// A heartbeat leaves after this part of its period, so that it has arrived when the period ends.
const HEARTBEAT_PART: f64 = 5.0 / 6.0;

/// What the machine needs to know of the journal at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalView {
    /// The oldest record that is kept; what lies before it has expired.
    pub first: RecordSeq,
    /// The last journaled record; zero if none.
    pub head: RecordSeq,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connect, and read the receipt; then call [`DeliveryMachine::opened`].
    Open,
    /// Ask whether it can be reached.
    Probe,
    /// Send the agents' current states, leaving out as many as were sent already.
    Current {
        /// How many were sent already; with 0, read them anew from the store.
        offset: usize,
        /// How many to send at most.
        limit: usize,
    },
    /// Send the roster of the next source that the receipt asked for.
    Roster,
    /// Send the heartbeat.
    Heartbeat,
    /// Send a batch cut like this; tell it by [`DeliveryMachine::sending`].
    Send(Cut),
    /// Send this quarantined record once more.
    Retry(RecordSeq),
    /// Send the records of [`DeliveryMachine::resend_chunk`] once more, over what became of them.
    Resend {
        /// How many at most.
        limit: usize,
    },
}

/// What the receipt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenVerdict {
    /// It fits; sending begins.
    Ready,
    /// It reaches beyond the journal: the store was rolled back. Take a new `store_id`
    /// (architecture §2, invariant 2); the machine opens again.
    RolledBack,
}

/// What is known of a batch that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) lane: Lane,
    pub(super) range: SeqRange,
    pub(super) records: usize,
    /// The only record, where it is one.
    pub(super) only: Option<RecordSeq>,
    pub(super) counts: ParcelCounts,
}

/// The call that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calling {
    pub(super) step: Step,
    pub(super) since: MonoTime,
    pub(super) sent: Option<Sent>,
}

/// Whether it may be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Waiting {
        until: MonoTime,
        /// When a destination that could not be reached is probed before that.
        probe_at: Option<MonoTime>,
    },
    Held {
        reason: String,
        remedy: String,
        until: MonoTime,
    },
}

/// Serves one destination: see the module's invariants.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts: connected, begun, outage, and the planted bug"
)]
pub struct DeliveryMachine {
    pub(super) options: DeliveryOptions,
    pub(super) filter: DeliveryFilter,
    pub(super) rng: Rng,
    pub(super) backoff: Backoff,
    pub(super) mood: Mood,
    pub(super) connected: bool,
    pub(super) calling: Option<Calling>,
    /// `start` was decided in this life, without having seen a receipt.
    pub(super) begun_now: bool,
    pub(super) done: SeqRanges,
    pub(super) progress: DeliveryProgress,
    pub(super) live_from: Option<RecordSeq>,
    pub(super) last_lane: Lane,
    /// Look whether the current states should go first, once.
    pub(super) outage: bool,
    /// How many of the current states were sent, while they go first.
    pub(super) fresh: Option<usize>,
    /// The most of them in one call; halved where that is too large.
    pub(super) current_limit: usize,
    /// Rosters that the receipt asked for and that were not sent yet.
    pub(super) rosters: usize,
    pub(super) heartbeat_at: MonoTime,
    /// Since when unsent records lie at the journal's end.
    pub(super) tail_since: Option<MonoTime>,
    /// Records per batch at present.
    pub(super) size: usize,
    pub(super) bisect: Option<Bisect>,
    /// What is left out of batches: records that were refused (their positions are done with the
    /// batch that spans them), and those of them that were thrown away before they were done.
    pub(super) quarantined: BTreeSet<RecordSeq>,
    pub(super) refused_in_a_row: u32,
    pub(super) last_error: Option<String>,
    pub(super) last_success: Option<MonoTime>,
    pub(super) last_acknowledged_at: Option<WallTime>,
    pub(super) held_since: Option<WallTime>,
    pub(super) pace: PaceMeter,
    /// Records that are sent once more because the destination lost or altered them.
    pub(super) resends: BTreeSet<RecordSeq>,
    /// The most of them in one batch; halved where they are refused together.
    pub(super) resend_limit: usize,
    /// The planted bug: a batch is done when it leaves.
    pub(super) early_cursor: bool,
}

impl DeliveryMachine {
    /// A machine that goes on where `progress` ends. `head_at_start` is the journal's head before
    /// this life sent anything, `quarantined` the records that the destination refused earlier.
    /// Its [`Self::progress`] must be durable before the head moves on, or a rolled-back store may
    /// pass for one that is not.
    pub fn new(
        options: DeliveryOptions,
        progress: DeliveryProgress,
        head_at_start: RecordSeq,
        mut quarantined: BTreeSet<RecordSeq>,
        rng: Rng,
    ) -> Self {
        quarantined.extend(&progress.discarded);
        let mut machine = Self {
            filter: options.filter(),
            rng,
            backoff: Backoff::new(options.backoff_min, options.backoff_max),
            mood: Mood::Good,
            connected: false,
            calling: None,
            begun_now: false,
            done: SeqRanges::from_ranges(&progress.done),
            progress,
            live_from: None,
            last_lane: Lane::Backlog,
            outage: true,
            fresh: None,
            current_limit: options.batch_records.max(1),
            rosters: 0,
            heartbeat_at: MonoTime::ZERO,
            tail_since: None,
            size: (options.batch_records / 4).max(1),
            bisect: None,
            quarantined,
            refused_in_a_row: 0,
            last_error: None,
            last_success: None,
            last_acknowledged_at: None,
            held_since: None,
            pace: PaceMeter::default(),
            resends: BTreeSet::new(),
            resend_limit: options.batch_records.max(1),
            early_cursor: false,
            options,
        };
        machine.progress.unread_since.get_or_insert(head_at_start);
        machine.decide_start(head_at_start);
        machine
    }

    fn decide_start(&mut self, head: RecordSeq) {
        if self.progress.begun {
            return;
        }
        self.progress.begun = true;
        self.begun_now = true;
        if self.options.start == StartAt::Now && head > RecordSeq::ZERO {
            let skipped = SeqRange::new(RecordSeq::new(1), head);
            self.progress.counts.skipped += self.done.insert(skipped);
        }
        self.note_done();
    }

    /// What to do now. A call that was out and whose outcome was never told counts as not made.
    pub fn begin(&mut self, now: Now, journal: JournalView) -> Do<Step> {
        let now = now.mono;
        if self.calling.take().is_some() {
            self.connected = false;
        }
        let backlog = self.balance(journal.head).backlog;
        self.pace.note(now, self.done.count(), backlog);
        self.note_tail(now, journal);
        if self.options.paused {
            return Do::WaitUntil(now.plus(self.options.hold_period));
        }
        match self.mood {
            Mood::Waiting { until, probe_at } if now < until => match probe_at {
                Some(at) if now >= at => return self.call(now, Step::Probe),
                Some(at) => return Do::WaitUntil(at.min(until)),
                None => return Do::WaitUntil(until),
            },
            Mood::Held { until, .. } if now < until => return Do::WaitUntil(until),
            _ => {}
        }
        if !self.connected {
            return self.call(now, Step::Open);
        }
        match self.work(now, journal) {
            Some(step) => self.call(now, step),
            None => Do::WaitUntil(self.wake_at(now)),
        }
    }

    fn call(&mut self, now: MonoTime, step: Step) -> Do<Step> {
        self.calling = Some(Calling {
            step,
            since: now,
            sent: None,
        });
        Do::Call(step)
    }

    fn work(&mut self, now: MonoTime, journal: JournalView) -> Option<Step> {
        if std::mem::take(&mut self.outage) && self.fresh_first_pays(journal) {
            self.fresh = Some(0);
            self.live_from = Some(journal.head.next());
        }
        if let Some(offset) = self.fresh {
            let limit = self.current_limit;
            return Some(Step::Current { offset, limit });
        }
        if self.rosters > 0 {
            return Some(Step::Roster);
        }
        if now >= self.heartbeat_at {
            return Some(Step::Heartbeat);
        }
        if let Some(cut) = self.next_cut(now, journal) {
            return Some(Step::Send(cut));
        }
        if let Some(seq) = self.progress.retries.first() {
            return Some(Step::Retry(*seq));
        }
        let limit = self.resend_limit;
        (!self.resends.is_empty()).then_some(Step::Resend { limit })
    }

    /// Whether so much waits that the first batch would not bring the present.
    fn fresh_first_pays(&self, journal: JournalView) -> bool {
        self.options.lanes
            && self.filter.allows_realtime()
            && self.done.as_slice().len() < HOLES_MAX
            && journal.head.since(self.done.highest()) > self.size as u64
    }

    fn next_cut(&mut self, now: MonoTime, journal: JournalView) -> Option<Cut> {
        let start = RecordSeq::new(1);
        let backlog_end = match self.live_from {
            Some(live) => journal.head.min(RecordSeq::new(live.get() - 1)),
            None => journal.head,
        };
        let mut backlog = self.done.first_gap(start, backlog_end);
        let mut live = None;
        if let Some(from) = self.live_from {
            live = self.done.first_gap(from, journal.head);
            if backlog.is_none() {
                // The backlog has joined the live lane.
                self.live_from = None;
                backlog = live.take();
            }
        }
        let backlog = backlog.filter(|gap| self.is_due(now, Lane::Backlog, *gap, journal));
        let live = live.filter(|gap| self.is_due(now, Lane::Live, *gap, journal));
        let (lane, within) = match (live, backlog) {
            // In turns, so that a busy live lane does not starve the backlog.
            (Some(gap), Some(_)) if self.last_lane != Lane::Live => (Lane::Live, gap),
            (_, Some(gap)) => (Lane::Backlog, gap),
            (Some(gap), None) => (Lane::Live, gap),
            (None, None) => (Lane::Replay, self.replay_range(journal)?),
        };
        self.last_lane = lane;
        if within.last == journal.head {
            self.tail_since = None;
        }
        Some(Cut {
            lane,
            within,
            records: self.records_limit(lane),
            bytes: self.options.batch_bytes.max(1),
        })
    }

    /// A gap that ends before the journal's head grows no more; the tail may wait to fill.
    fn is_due(&self, now: MonoTime, lane: Lane, gap: SeqRange, journal: JournalView) -> bool {
        let old = |since: MonoTime| now.since(since) >= self.options.batch_age;
        gap.last < journal.head
            || gap.count() >= self.records_limit(lane) as u64
            || self.tail_since.is_some_and(old)
    }

    fn replay_range(&self, journal: JournalView) -> Option<SeqRange> {
        let remaining = self.progress.replay?.remaining;
        (remaining.first <= journal.head)
            .then(|| SeqRange::new(remaining.first, remaining.last.min(journal.head)))
    }

    fn records_limit(&self, lane: Lane) -> usize {
        match &self.bisect {
            Some(bisect) if bisect.lane == lane => bisect.limit,
            _ => self.size,
        }
    }

    fn note_tail(&mut self, now: MonoTime, journal: JournalView) {
        if journal.head <= self.done.highest() {
            self.tail_since = None;
        } else if self.tail_since.is_none() {
            self.tail_since = Some(now);
        }
    }

    fn wake_at(&self, now: MonoTime) -> MonoTime {
        let poll = now.plus(self.options.poll_period);
        let fill = self.tail_since.map(|s| s.plus(self.options.batch_age));
        let soonest = poll.min(self.heartbeat_at);
        fill.map_or(soonest, |fill| fill.min(soonest)).max(now)
    }

    /// A batch was cut for the step [`Step::Send`]; its outcome is told by
    /// [`Self::accepted`] or [`Self::failed`].
    pub fn sending(&mut self, parcel: &Parcel) {
        let records = &parcel.batch.records;
        let sent = Sent {
            lane: parcel.lane,
            range: parcel.batch.range,
            records: records.len(),
            only: (records.len() == 1).then(|| records[0].seq),
            counts: parcel.counts,
        };
        if self.early_cursor {
            self.acknowledge(&sent);
        }
        let calling = self.calling.as_mut().expect("a batch is cut for a step");
        calling.sent = Some(sent);
    }

    /// The step could not be carried out on our own side (the journal could not be read): nothing
    /// is known of the destination.
    pub fn not_sent(&mut self) {
        self.calling = None;
    }

    /// The step turned out to have nothing to send.
    pub fn nothing_to_send(&mut self) {
        match self.calling.take().map(|calling| calling.step) {
            Some(Step::Current { .. }) => self.fresh = None,
            Some(Step::Roster) => self.rosters -= 1,
            Some(Step::Retry(seq)) => self.retried(seq),
            Some(Step::Resend { limit }) => self.resent(limit),
            _ => {}
        }
    }

    /// The step whose outcome is awaited.
    pub fn calling(&self) -> Option<Step> {
        self.calling.map(|calling| calling.step)
    }

    /// What the filter lets pass.
    pub fn filter(&self) -> &DeliveryFilter {
        &self.filter
    }

    /// How many records the quarantine holds.
    pub fn quarantined_count(&self) -> usize {
        self.quarantined.len() - self.progress.discarded.len()
    }

    /// What is left out of batches: the records that the destination refused.
    pub fn quarantined(&self) -> &BTreeSet<RecordSeq> {
        &self.quarantined
    }

    /// What is done, for the store to keep.
    pub fn progress(&self) -> &DeliveryProgress {
        &self.progress
    }

    /// Plants the bug that the whole-box simulation must catch: the cursor moves when a batch
    /// leaves, not when it is acknowledged.
    #[doc(hidden)]
    pub fn plant_early_cursor(&mut self) {
        self.early_cursor = true;
    }

    pub(super) fn next_heartbeat(&self, now: MonoTime) -> MonoTime {
        now.plus(self.options.heartbeat.mul_f64(HEARTBEAT_PART))
    }

    pub(super) fn note_done(&mut self) {
        self.progress.done = self.done.as_slice().to_vec();
        let (done, quarantined) = (&self.done, &mut self.quarantined);
        self.progress.discarded.retain(|seq| {
            let waits = !done.contains(*seq);
            if !waits {
                quarantined.remove(seq);
            }
            waits
        });
    }
}
