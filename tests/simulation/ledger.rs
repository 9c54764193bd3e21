//! The bookkeeping of a run: what was durable at which moment, and what the polls showed. It reads
//! the journal and keeps its own folds, so that neither a counter nor a table vouches for itself.

use std::collections::{BTreeMap, HashMap};

use thrio_edge::domain::call::Snapshot;
use thrio_edge::domain::health::FeedState;
use thrio_edge::domain::ids::RecordSeq;
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::record::{CoverageEntry, IntervalRecord, Origin, Record, StateTransaction};
use thrio_edge::store::{ReadLimit, Store};

use crate::truth::{AGENTS, Truth};
use crate::world::{PERIOD_MS, UPKEEP_PERIOD_MS};

/// How far a label may be from the truth: the clock rule's two seconds and a half for rounding.
const LABEL_ERROR_MS: i64 = 2_500;
/// What a poll without a change leaves behind rides in a later commit, at the latest after 60 s
/// (architecture, invariant 1), looked at by each upkeep. So after a power cut a blind span may seem to
/// begin that much and one period earlier than the last poll that this ledger saw.
const RIDING_MS: i64 = 60_000 + UPKEEP_PERIOD_MS + PERIOD_MS;
/// The poll that fell into the power cut may be in the journal, though nobody lives to tell.
const IN_THE_CUT_MS: i64 = PERIOD_MS + 30_000;
/// Before this age an interval is not asked for. Due times follow the box's clock while it is off
/// by less than a minute (thrio-api.md §5).
const SETTLE_MS: i64 = 300_000 - 60_000;

#[derive(Default)]
pub(crate) struct Ledger {
    /// Every record that was ever seen durable.
    pub records: BTreeMap<RecordSeq, Record>,
    /// The last transaction of each agent.
    pub states: HashMap<String, StateTransaction>,
    /// The last revision of each queue and interval.
    pub figures: HashMap<(String, IntervalStart), IntervalRecord>,
    /// The last coverage entry of each feed and interval.
    pub coverage: HashMap<(String, IntervalStart), CoverageEntry>,
    /// Complete polls that were committed: when they were really received.
    last_poll: Option<i64>,
    last_complete_label: Option<i64>,
    /// A start lies between the last poll and now.
    restarted: bool,
    pub compared_polls: u64,
    /// Changes whose bounds were compared with the truth.
    pub bounded_changes: u64,
    pub gaps: u64,
    /// What must never happen.
    pub offences: Vec<String>,
}

impl Ledger {
    fn accuse(&mut self, offence: String) {
        if self.offences.len() < 20 {
            self.offences.push(offence);
        }
    }

    /// After a start: all that was durable is still there, unchanged.
    pub(crate) fn reopened(&mut self, store: &Store) {
        let mut from = store.first();
        let mut seen = 0;
        loop {
            let page = store.read(from, LIMIT).expect("a whole disk");
            for record in &page.records {
                match self.records.get(&record.seq) {
                    Some(before) if *before != record.record => {
                        let seq = record.seq;
                        self.accuse(format!("record {seq} changed over a restart"));
                    }
                    Some(_) => seen += 1,
                    None => {}
                }
            }
            if !page.damaged.is_empty() {
                self.accuse(format!("damaged after a power cut: {:?}", page.damaged));
            }
            if page.next == from {
                break;
            }
            from = page.next;
        }
        let kept = self.records.range(store.first()..).count();
        if store.first() > RecordSeq::new(1) {
            // The retention is 35 days, the run a week, whatever the wall clock said meanwhile.
            let first = store.first();
            self.accuse(format!("everything before {first} was deleted"));
        }
        if seen != kept {
            self.accuse(format!("{} durable records are gone", kept - seen));
        }
        self.restarted = true;
        self.read_on(store);
    }

    /// Reads what is new in the journal.
    pub(crate) fn read_on(&mut self, store: &Store) {
        let mut from = self
            .records
            .keys()
            .next_back()
            .map_or(RecordSeq::new(1), |s| s.next());
        while from <= store.head() {
            let Ok(page) = store.read(from, LIMIT) else {
                return;
            };
            for record in page.records {
                if record.seq != from {
                    self.accuse(format!("{} follows {from}: a hole", record.seq));
                }
                from = record.seq.next();
                self.fold(&record.record);
                self.records.insert(record.seq, record.record);
            }
            if page.next > from {
                self.accuse(format!("{from}..{} cannot be read", page.next));
                from = page.next;
            }
        }
    }

    fn fold(&mut self, record: &Record) {
        match record {
            Record::Transaction(t) => self.fold_transaction(t),
            Record::Interval(r) => {
                let key = (r.queue.to_string(), r.interval_start);
                let age_ms = r.answered_at.ms_since(r.interval_start.end());
                if age_ms < SETTLE_MS - LABEL_ERROR_MS {
                    self.accuse(format!("asked for too early: {r:?}"));
                }
                let before = self.figures.insert(key, r.clone());
                let expected = before.as_ref().map_or(1, |b| b.revision + 1);
                if r.revision != expected {
                    self.accuse(format!(
                        "revision {} where {expected} follows: {r:?}",
                        r.revision
                    ));
                }
                if before.is_some_and(|b| b.figures == r.figures) {
                    self.accuse(format!("a revision without a change: {r:?}"));
                }
            }
            Record::Coverage(c) => {
                let key = (c.feed.to_string(), c.interval_start);
                self.coverage.insert(key, c.clone());
            }
            _ => {}
        }
    }

    fn fold_transaction(&mut self, t: &StateTransaction) {
        self.gaps += u64::from(t.origin == Origin::Gap);
        let before = self.states.insert(t.agent.to_string(), t.clone());
        let Some(before) = before else {
            if t.origin != Origin::Resync || t.earliest_at.is_some() {
                self.accuse(format!(
                    "the first transaction of an agent is no resync: {t:?}"
                ));
            }
            return;
        };
        if t.started_at <= before.started_at {
            self.accuse(format!("{t:?} does not follow {before:?}"));
        }
        let is_repeated = t.state == before.state && t.origin != Origin::Resync;
        if is_repeated {
            self.accuse(format!("{t:?} repeats {before:?}"));
        }
    }

    /// A poll was answered, and its commit returned. If it counted as complete, the journal says
    /// of every agent what the poll showed, and a blind span before it is written as one.
    pub(crate) fn polled(
        &mut self,
        state: Option<&FeedState>,
        snapshot: &Snapshot,
        received_ms: i64,
        served_ms: i64,
    ) {
        let label = state.and_then(|s| s.last_complete_poll_at);
        let label = label.map(thrio_edge::domain::timestamp::WallTime::ms);
        if label.is_none() || label == self.last_complete_label {
            // By a clock that cannot be right nothing is collected.
            return;
        }
        let label = label.expect("just checked");
        self.last_complete_label = Some(label);
        self.compared_polls += 1;
        if (label - received_ms).abs() > LABEL_ERROR_MS {
            self.accuse(format!("a poll of {received_ms} is labelled {label}"));
        }
        for row in snapshot.rows() {
            match self.states.get(row.agent) {
                Some(known) if known.state.as_str() == row.state => {}
                known => {
                    let known = format!("{known:?}");
                    self.accuse(format!(
                        "{row:?} was shown at {served_ms}, journaled: {known}"
                    ));
                }
            }
        }
        self.blind_span(received_ms);
        self.last_poll = Some(received_ms);
        self.restarted = false;
    }

    /// The changes that the poll showed really lie within the bounds that the journal gives them.
    pub(crate) fn bounded(&mut self, truth: &Truth, received_ms: i64, served_ms: i64) {
        for agent in 0..AGENTS {
            let Some(t) = self.states.get(&Truth::agent_id(agent)).cloned() else {
                continue;
            };
            let is_new = (t.observed_at.ms() - received_ms).abs() <= LABEL_ERROR_MS;
            let Some(earliest) = t
                .earliest_at
                .filter(|_| is_new && t.origin == Origin::Observed)
            else {
                continue;
            };
            self.bounded_changes += 1;
            let since = truth.state_since(agent, served_ms);
            let bounds = earliest.ms() - LABEL_ERROR_MS..=t.observed_at.ms() + LABEL_ERROR_MS;
            if !bounds.contains(&since) || !bounds.contains(&t.started_at.ms()) {
                self.accuse(format!("in truth it began at {since}: {t:?}"));
            }
        }
    }

    /// More than two periods between complete polls must be written as a gap for every agent.
    fn blind_span(&mut self, received_ms: i64) {
        let Some(last) = self.last_poll else {
            return;
        };
        let (earlier_ms, later_ms) = if self.restarted {
            (RIDING_MS, IN_THE_CUT_MS)
        } else {
            (0, 0)
        };
        // Answered but incomplete polls open no gap; here every answer lists every agent.
        if received_ms - last - later_ms <= 2 * PERIOD_MS + 2 * LABEL_ERROR_MS {
            return;
        }
        let begins = last - earlier_ms - LABEL_ERROR_MS..=last + later_ms + LABEL_ERROR_MS;
        let unknown = self.records.values().rev().take(RECENT).filter(|record| {
            matches!(record, Record::Transaction(t)
                if t.origin == Origin::Gap && begins.contains(&t.started_at.ms()))
        });
        let unknown = unknown.count();
        if unknown != self.states.len() {
            let blind_s = (received_ms - last) / 1000;
            let agents = self.states.len();
            // Relative to the last poll seen, newest first: who began to be unknown when.
            let shown = self
                .records
                .values()
                .rev()
                .take(64)
                .filter_map(|record| match record {
                    Record::Transaction(t) => {
                        let began_ms = t.started_at.ms() - last;
                        Some(format!("{} {} {began_ms}", t.agent, t.origin.as_str()))
                    }
                    _ => None,
                });
            let shown: Vec<_> = shown.collect();
            self.accuse(format!(
                "{blind_s} s unseen, {unknown} of {agents} agents say so: {}",
                shown.join(", ")
            ));
        }
    }
}

/// Records that are looked through for a blind span: two spans in a row are 48 transactions, and
/// coverage entries lie between them.
const RECENT: usize = 256;

const LIMIT: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 1 << 20,
};
