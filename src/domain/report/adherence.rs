//! Schedule adherence: what an agent was scheduled to do against what the agent did.
//!
//! - adherence = 100 x (1 - out-of-adherence seconds / scheduled seconds), not below 0;
//! - conformance = 100 x actual in-service seconds / scheduled in-service seconds, which may pass
//!   100: work outside of the schedule counts.
//!
//! These are the formulas of the field, as Genesys publishes them ("How Genesys Cloud calculates
//! adherence and conformance", help.mypurecloud.com) and as ICMI's literature uses the words.
//!
//! Time that nobody saw is neither: it is taken out of the scheduled seconds and told beside the
//! figure. A ratio over no seconds is empty.
//!
//! States come in the order in which they began, so that a report over a month holds one tally a
//! scheduled line and not a month of states.

use std::collections::BTreeMap;

use crate::domain::category::same_text;
use crate::domain::ids::{AgentId, SourceName, StateText};
use crate::domain::record::Category;
use crate::domain::timestamp::WallTime;

/// The categories in which an agent serves contacts.
pub const IN_SERVICE: [Category; 4] = [
    Category::Available,
    Category::Busy,
    Category::Working,
    Category::Wrapup,
];

/// What is expected of an agent; any of several fulfils a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Any of [`IN_SERVICE`].
    InService,
    /// This category.
    Category(Category),
    /// This state, whatever it is mapped to.
    State(StateText),
}

/// A line of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// From this moment on ...
    pub from: WallTime,
    /// ... until before this one.
    pub to: WallTime,
    /// What is expected, any of them.
    pub expected: Vec<Expected>,
}

/// Deviations that are forgiven whole; a longer one counts whole. Zero forgives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thresholds {
    /// At the beginning of a line, in milliseconds.
    pub late_start_ms: i64,
    /// At its end, in milliseconds.
    pub early_end_ms: i64,
}

/// Who is meant: ids are a source's own.
pub type AgentKey = (SourceName, AgentId);

/// Two lines of a schedule claim the same time of one agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two lines of agent {agent} overlap at {at}")]
pub struct Overlap {
    /// The agent.
    pub agent: AgentId,
    /// Where the later one begins.
    pub at: WallTime,
}

/// What an agent is in from some moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// The state; `None` = nobody saw it.
    pub state: Option<(StateText, Category)>,
}

impl Doing {
    /// A state; one of category UNKNOWN is one that nobody saw.
    pub fn state(state: StateText, category: Category) -> Self {
        Self {
            state: (category != Category::Unknown).then_some((state, category)),
        }
    }

    /// Nobody saw it.
    pub const UNKNOWN: Self = Self { state: None };

    fn fulfils(&self, expected: &[Expected]) -> Option<bool> {
        let (state, category) = self.state.as_ref()?;
        Some(expected.iter().any(|one| match one {
            Expected::InService => IN_SERVICE.contains(category),
            Expected::Category(wanted) => wanted == category,
            Expected::State(wanted) => same_text(wanted.as_str(), state.as_str()),
        }))
    }

    fn is_in_service(&self) -> bool {
        let category = self.state.as_ref().map(|(_, category)| category);
        category.is_some_and(|category| IN_SERVICE.contains(category))
    }
}

/// The figures of one agent, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdherenceSums {
    /// Scheduled, without what is unknown.
    pub scheduled_ms: i64,
    /// Of it, as scheduled or forgiven.
    pub adherent_ms: i64,
    /// Of it, not.
    pub out_ms: i64,
    /// Scheduled, and nobody saw what the agent did.
    pub unknown_ms: i64,
    /// In service in the span of the report, scheduled or not.
    pub in_service_ms: i64,
    /// Scheduled to be in service, without what is unknown.
    pub in_service_scheduled_ms: i64,
}

impl AdherenceSums {
    /// In percent.
    pub fn adherence(&self) -> Option<f64> {
        ratio(self.out_ms, self.scheduled_ms).map(|out| (100.0 * (1.0 - out)).max(0.0))
    }

    /// In percent.
    pub fn conformance(&self) -> Option<f64> {
        ratio(self.in_service_ms, self.in_service_scheduled_ms).map(|part| 100.0 * part)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of centuries are below 2^52"
)]
fn ratio(of: i64, over: i64) -> Option<f64> {
    (over > 0).then(|| of as f64 / over as f64)
}

/// Compares a schedule with the states of its agents, which are told in order.
#[derive(Debug)]
pub struct AdherenceReport {
    from: WallTime,
    to: WallTime,
    thresholds: Thresholds,
    agents: BTreeMap<AgentKey, Agent>,
}

#[derive(Debug)]
struct Agent {
    lines: Vec<Line>,
    /// Lines before this one are over.
    first_open: usize,
    doing: Option<(WallTime, Doing)>,
    in_service_ms: i64,
}

#[derive(Debug)]
struct Line {
    scheduled: Scheduled,
    adherent_ms: i64,
    out_ms: i64,
    unknown_ms: i64,
    /// Out of adherence from the line's beginning on, without a break.
    late_ms: i64,
    /// Out of adherence up to where the states are told, without a break.
    early_ms: i64,
}

impl AdherenceReport {
    /// A report over this span; what of the schedule lies outside of it does not count.
    pub fn new(
        from: WallTime,
        to: WallTime,
        thresholds: Thresholds,
        schedule: BTreeMap<AgentKey, Vec<Scheduled>>,
    ) -> Result<Self, Overlap> {
        let agents = schedule.into_iter().map(|(key, mut lines)| {
            lines.sort_by_key(|line| line.from);
            if let Some(pair) = lines.windows(2).find(|pair| pair[0].to > pair[1].from) {
                let (agent, at) = (key.1, pair[1].from);
                return Err(Overlap { agent, at });
            }
            let cut = lines.into_iter().filter_map(|line| {
                let (from, to) = (line.from.max(from), line.to.min(to));
                (from < to).then(|| Line::new(Scheduled { from, to, ..line }))
            });
            Ok((key, Agent::new(cut.collect())))
        });
        Ok(Self {
            from,
            to,
            thresholds,
            agents: agents.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the schedule has lines of this agent.
    pub fn is_scheduled(&self, agent: &AgentKey) -> bool {
        self.agents.contains_key(agent)
    }

    /// Whether nothing was told of this agent yet.
    pub fn is_untold(&self, agent: &AgentKey) -> bool {
        self.agents
            .get(agent)
            .is_some_and(|agent| agent.doing.is_none())
    }

    /// The agents of whom nothing was told.
    pub fn untold(&self) -> impl Iterator<Item = &AgentKey> {
        let untold = self.agents.iter().filter(|(_, a)| a.doing.is_none());
        untold.map(|(key, _)| key)
    }

    /// The agent is in this state from then on. Moments of one agent come in order; one that does not
    /// counts from the last on.
    pub fn tell(&mut self, agent: &AgentKey, at: WallTime, doing: Doing) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.tell(at.clamp(self.from, self.to), doing);
        }
    }

    /// The figures, by agent. From `seen_until` of a source on nobody saw its agents; `None` =
    /// nobody ever did.
    pub fn finish(
        mut self,
        seen_until: impl Fn(&SourceName) -> Option<WallTime>,
    ) -> BTreeMap<AgentKey, AdherenceSums> {
        let thresholds = self.thresholds;
        for ((source, _), agent) in &mut self.agents {
            let seen_until = seen_until(source).unwrap_or(self.from);
            let seen_until = seen_until.clamp(self.from, self.to);
            let told_until = agent.doing.as_ref().map_or(self.from, |(at, _)| *at);
            agent.tell(seen_until.max(told_until), Doing::UNKNOWN);
            agent.tell(self.to, Doing::UNKNOWN);
        }
        let agents = self.agents.into_iter();
        agents
            .map(|(key, agent)| (key, agent.sums(thresholds)))
            .collect()
    }
}

impl Agent {
    const fn new(lines: Vec<Line>) -> Self {
        Self {
            lines,
            first_open: 0,
            doing: None,
            in_service_ms: 0,
        }
    }

    fn tell(&mut self, at: WallTime, doing: Doing) {
        // What comes before the first word is unknown.
        let Some((since, before)) = self.doing.take() else {
            let first = self.lines.first().map_or(at, |line| line.scheduled.from);
            self.spend(first.min(at), at, &Doing::UNKNOWN);
            self.doing = Some((at, doing));
            return;
        };
        let at = at.max(since);
        self.spend(since, at, &before);
        self.doing = Some((at, doing));
    }

    fn spend(&mut self, from: WallTime, to: WallTime, doing: &Doing) {
        if doing.is_in_service() {
            self.in_service_ms += to.ms_since(from);
        }
        for line in &mut self.lines[self.first_open..] {
            if line.scheduled.from >= to {
                break;
            }
            line.spend(from, to, doing);
        }
        let open = &self.lines[self.first_open..];
        self.first_open += open.iter().take_while(|l| l.scheduled.to <= to).count();
    }

    fn sums(&self, thresholds: Thresholds) -> AdherenceSums {
        let mut sums = AdherenceSums {
            in_service_ms: self.in_service_ms,
            ..AdherenceSums::default()
        };
        for line in &self.lines {
            line.add_to(&mut sums, thresholds);
        }
        sums
    }
}

impl Line {
    const fn new(scheduled: Scheduled) -> Self {
        Self {
            scheduled,
            adherent_ms: 0,
            out_ms: 0,
            unknown_ms: 0,
            late_ms: 0,
            early_ms: 0,
        }
    }

    fn spend(&mut self, from: WallTime, to: WallTime, doing: &Doing) {
        let (from, to) = (from.max(self.scheduled.from), to.min(self.scheduled.to));
        let ms = to.ms_since(from);
        if ms <= 0 {
            return;
        }
        match doing.fulfils(&self.scheduled.expected) {
            Some(false) => {
                let is_late = self.adherent_ms + self.unknown_ms == 0;
                self.out_ms += ms;
                self.early_ms += ms;
                if is_late {
                    self.late_ms += ms;
                }
            }
            Some(true) => {
                self.adherent_ms += ms;
                self.early_ms = 0;
            }
            None => {
                self.unknown_ms += ms;
                self.early_ms = 0;
            }
        }
    }

    fn add_to(&self, sums: &mut AdherenceSums, thresholds: Thresholds) {
        let forgiven = |ms: i64, threshold: i64| if ms <= threshold { ms } else { 0 };
        // One who never did what was expected was not late, but absent.
        let forgiven = if self.adherent_ms > 0 {
            forgiven(self.late_ms, thresholds.late_start_ms)
                + forgiven(self.early_ms, thresholds.early_end_ms)
        } else {
            0
        };
        let known = self.adherent_ms + self.out_ms;
        sums.scheduled_ms += known;
        sums.adherent_ms += self.adherent_ms + forgiven;
        sums.out_ms += self.out_ms - forgiven;
        sums.unknown_ms += self.unknown_ms;
        if self.scheduled.is_in_service() {
            sums.in_service_scheduled_ms += known;
        }
    }
}

impl Scheduled {
    fn is_in_service(&self) -> bool {
        self.expected.iter().any(|one| match one {
            Expected::InService => true,
            Expected::Category(category) => IN_SERVICE.contains(category),
            Expected::State(_) => false,
        })
    }
}

#[cfg(test)]
mod tests;
