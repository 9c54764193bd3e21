//! Comparing what the box holds with what a destination holds: per queue and day counts and sums,
//! per agent and day the number of transactions. Days are UTC.
//!
//! What a destination need not have yet (not acknowledged, refused, skipped at its start) takes
//! its queue-day or agent-day out of the comparison: half a day cannot be judged.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ids::{AgentId, QueueId, RecordSeq};
use super::record::Figures;
use super::timestamp::WallTime;

/// Milliseconds of a UTC day.
pub const DAY_MS: i64 = 86_400_000;

/// A day in UTC, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day that the moment lies in.
    pub const fn containing(at: WallTime) -> Self {
        Self(at.ms().div_euclid(DAY_MS))
    }

    /// Its first moment.
    pub const fn start(self) -> WallTime {
        WallTime::from_ms(self.0 * DAY_MS)
    }

    /// The moment after its last.
    pub const fn end(self) -> WallTime {
        self.next().start()
    }

    /// The day after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The intervals of one queue on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct VolumeTally {
    /// Intervals that have a row.
    pub intervals: u64,
    /// The sum of what was said of entered contacts.
    pub entered: u64,
    /// The sum of what was said of abandoned ones.
    pub abandoned: u64,
    /// The sum of handle time, in seconds.
    pub handle_time_s: u64,
}

impl VolumeTally {
    /// One more interval.
    pub fn add(&mut self, figures: Figures) {
        self.intervals += 1;
        // Sums past 64 bits are refused by every database, so they never meet another side.
        let sum = |sum: &mut u64, more: Option<u64>| *sum = sum.wrapping_add(more.unwrap_or(0));
        sum(&mut self.entered, figures.entered);
        sum(&mut self.abandoned, figures.abandoned);
        sum(&mut self.handle_time_s, figures.handle_time_s);
    }
}

/// What one side holds of one source and day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// By queue.
    pub volumes: BTreeMap<QueueId, VolumeTally>,
    /// Transactions by agent.
    pub transactions: BTreeMap<AgentId, u64>,
}

/// What the box holds, and of whom nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnHoldings {
    holdings: Holdings,
    open_queues: BTreeSet<QueueId>,
    open_agents: BTreeSet<AgentId>,
}

impl OwnHoldings {
    /// The newest revision of an interval of the day; `settled`: the destination must have it.
    pub fn add_interval(&mut self, queue: &QueueId, figures: Figures, settled: bool) {
        if !settled {
            self.open_queues.insert(queue.clone());
        }
        let tally = self.holdings.volumes.entry(queue.clone()).or_default();
        tally.add(figures);
    }

    /// A transaction that starts on the day.
    pub fn add_transaction(&mut self, agent: &AgentId, settled: bool) {
        if !settled {
            self.open_agents.insert(agent.clone());
        }
        *self.holdings.transactions.entry(agent.clone()).or_default() += 1;
    }

    /// Queue-days and agent-days that cannot be judged yet.
    pub fn open(&self) -> u64 {
        (self.open_queues.len() + self.open_agents.len()) as u64
    }

    /// Queue-days and agent-days that are compared.
    pub fn compared(&self) -> u64 {
        let all = self.holdings.volumes.len() + self.holdings.transactions.len();
        all as u64 - self.open()
    }

    /// Where the destination holds something else.
    pub fn differences(&self, there: &Holdings) -> Vec<Difference> {
        let mut found = Vec::new();
        let here = &self.holdings;
        let queues: BTreeSet<_> = here.volumes.keys().chain(there.volumes.keys()).collect();
        for queue in queues {
            let of = |side: &Holdings| side.volumes.get(queue).copied().unwrap_or_default();
            let (here, there) = (of(here), of(there));
            if here != there && !self.open_queues.contains(queue) {
                let queue = queue.clone();
                found.push(Difference::Volumes { queue, here, there });
            }
        }
        let agents = here.transactions.keys().chain(there.transactions.keys());
        for agent in agents.collect::<BTreeSet<_>>() {
            let of = |side: &Holdings| side.transactions.get(agent).copied().unwrap_or(0);
            let (here, there) = (of(here), of(there));
            if here != there && !self.open_agents.contains(agent) {
                let agent = agent.clone();
                found.push(Difference::Transactions { agent, here, there });
            }
        }
        found
    }
}

/// One queue-day or agent-day of which the two sides hold something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Difference {
    /// Intervals.
    Volumes {
        /// The queue.
        queue: QueueId,
        /// What the box holds.
        here: VolumeTally,
        /// What the destination holds.
        there: VolumeTally,
    },
    /// Transactions.
    Transactions {
        /// The agent.
        agent: AgentId,
        /// How many the box holds.
        here: u64,
        /// How many the destination holds.
        there: u64,
    },
}

/// Which positions a destination must have.
#[derive(Debug, Clone)]
pub struct Settled {
    done: super::delivery::SeqRanges,
    refused: BTreeSet<RecordSeq>,
    skipped_to: RecordSeq,
}

impl Settled {
    /// By the destination's progress and its quarantine.
    pub fn new(progress: &super::delivery::DeliveryProgress, refused: BTreeSet<RecordSeq>) -> Self {
        Self {
            done: super::delivery::SeqRanges::from_ranges(&progress.done),
            refused,
            // What was skipped lies before everything else.
            skipped_to: RecordSeq::new(progress.counts.skipped),
        }
    }

    /// Whether the destination must have what stands there.
    pub fn contains(&self, seq: RecordSeq) -> bool {
        seq > self.skipped_to && self.done.contains(seq) && !self.refused.contains(&seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueId {
        QueueId::new(name).unwrap()
    }

    fn agent(name: &str) -> AgentId {
        AgentId::new(name).unwrap()
    }

    fn entered(entered: u64) -> Figures {
        Figures {
            entered: Some(entered),
            ..Figures::default()
        }
    }

    #[test]
    fn equal_sides_differ_nowhere() {
        let mut own = OwnHoldings::default();
        own.add_interval(&queue("q"), entered(3), true);
        own.add_transaction(&agent("a"), true);
        assert_eq!(own.differences(&own.holdings.clone()), []);
        assert_eq!((own.compared(), own.open()), (2, 0));
    }

    #[test]
    fn what_is_missing_there_altered_there_or_more_there_is_named() {
        let mut own = OwnHoldings::default();
        own.add_interval(&queue("lost"), entered(3), true);
        own.add_interval(&queue("altered"), entered(3), true);
        own.add_transaction(&agent("a"), true);
        let mut there = Holdings::default();
        there
            .volumes
            .entry(queue("altered"))
            .or_default()
            .add(entered(4));
        there.transactions.insert(agent("a"), 1);
        there.transactions.insert(agent("stranger"), 2);
        let found = own.differences(&there);
        let named: Vec<_> = found
            .iter()
            .map(|difference| match difference {
                Difference::Volumes { queue, .. } => queue.as_str(),
                Difference::Transactions { agent, .. } => agent.as_str(),
            })
            .collect();
        assert_eq!(named, ["altered", "lost", "stranger"]);
    }

    #[test]
    fn half_a_day_is_not_judged() {
        let mut own = OwnHoldings::default();
        own.add_transaction(&agent("a"), true);
        own.add_transaction(&agent("a"), false);
        let mut there = Holdings::default();
        there.transactions.insert(agent("a"), 1);
        assert_eq!(own.differences(&there), []);
        assert_eq!((own.compared(), own.open()), (0, 1));
    }
}
