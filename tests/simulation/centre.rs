//! The simulated Thrio: turns the truth into answers as the client would hand them on, and knows
//! what is wrong with the line at a moment.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use thrio_edge::domain::agent::{AgentDetails, AgentEntry};
use thrio_edge::domain::call::{
    AgentState, CallFailure, ConfigurationAnswer, ConfigurationCall, FailureKind, HistoricalAnswer,
    HistoricalCall, HistoricalRow, Rejections, RosterList, Snapshot,
};
use thrio_edge::domain::ids::{AgentId, QueueId};
use thrio_edge::domain::queue::{QueueDetails, QueueEntry};
use thrio_edge::domain::record::Figures;

use crate::truth::{AGENTS, QUEUES, Truth};

/// What happens to calls for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing comes back until the time-out.
    Hang,
    /// Refused at once.
    Down,
    /// 5xx now and then: one call in three.
    Flaky,
    /// Throttled, with a wish.
    Throttled,
    /// 200 with something else.
    Nonsense,
}

impl Trouble {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.u32(..5) {
            0 => Self::Hang,
            1 => Self::Down,
            2 => Self::Flaky,
            3 => Self::Throttled,
            _ => Self::Nonsense,
        }
    }

    /// How long a call takes under it, and how it fails, if it does.
    pub(crate) fn outcome(self, rng: &mut Rng) -> (i64, Option<CallFailure>) {
        let failure = |kind, message: &str| {
            Some(CallFailure {
                kind,
                message: message.to_owned(),
            })
        };
        match self {
            Self::Hang => (30_000, failure(FailureKind::Unavailable, "timed out")),
            Self::Down => (2, failure(FailureKind::Unavailable, "connection refused")),
            Self::Flaky if rng.u32(..3) > 0 => (latency(rng), None),
            Self::Flaky => (
                latency(rng),
                failure(FailureKind::Unavailable, "answered 502"),
            ),
            Self::Throttled => {
                let retry_after = Some(Duration::from_secs(rng.u64(1..90)));
                (
                    latency(rng),
                    failure(FailureKind::Throttled { retry_after }, "throttled with 429"),
                )
            }
            Self::Nonsense => (
                latency(rng),
                failure(FailureKind::Unusable, "not a Thrio API answer"),
            ),
        }
    }
}

/// Milliseconds that a healthy call takes: mostly quick, now and then long.
pub(crate) fn latency(rng: &mut Rng) -> i64 {
    match rng.u32(..50) {
        0 => rng.i64(2_000..20_000),
        _ => rng.i64(20..400),
    }
}

/// Every agent's state at a moment, in no fixed order.
pub(crate) fn snapshot(truth: &Truth, at_ms: i64, rng: &mut Rng, into: &mut Snapshot) {
    into.clear();
    let mut agents: Vec<usize> = (0..AGENTS).collect();
    if rng.u32(..4) == 0 {
        rng.shuffle(&mut agents);
    }
    for agent in agents {
        into.push(AgentState {
            agent: &Truth::agent_id(agent),
            by_username: false,
            state: truth.state(agent, at_ms),
            since: None,
        });
    }
}

/// The figures of the asked window as they are known at a moment; silent queues have no row.
pub(crate) fn volume(truth: &Truth, call: &HistoricalCall, at_ms: i64) -> HistoricalAnswer {
    let mut rows = Vec::new();
    for start in call.window.starts() {
        for queue in 0..QUEUES {
            let id = QueueId::new(&Truth::queue_id(queue)).expect("a short id");
            if call.queue.as_ref().is_some_and(|asked| *asked != id) {
                continue;
            }
            let Some(volume) = truth.volume(queue, start.s(), at_ms) else {
                continue;
            };
            rows.push(HistoricalRow {
                queue: id,
                interval_start: start,
                figures: Figures {
                    entered: Some(volume.entered),
                    abandoned: Some(volume.abandoned),
                    handle_time_s: Some(volume.handle_time_s),
                },
            });
        }
    }
    HistoricalAnswer {
        rows,
        rejected: Rejections::default(),
    }
}

/// The roster; agent 0 is renamed at the turn of each third day ([`agent_name`]).
pub(crate) fn configuration(call: ConfigurationCall, at_ms: i64) -> ConfigurationAnswer {
    match call {
        ConfigurationCall::Queues => ConfigurationAnswer::Queues(RosterList {
            entries: (0..QUEUES).map(queue).collect(),
            complete: true,
            rejected: Rejections::default(),
        }),
        ConfigurationCall::Agents => ConfigurationAnswer::Agents(RosterList {
            entries: (0..AGENTS).map(|n| agent(n, at_ms)).collect(),
            complete: true,
            rejected: Rejections::default(),
        }),
    }
}

fn queue(number: usize) -> QueueEntry {
    QueueEntry {
        id: QueueId::new(&Truth::queue_id(number)).expect("a short id"),
        details: QueueDetails {
            name: Some(format!("Queue {number}")),
            description: None,
            is_active: true,
        },
    }
}

/// What an agent is called at a moment.
pub(crate) fn agent_name(number: usize, at_ms: i64) -> String {
    let married = if number == 0 {
        at_ms.div_euclid(3 * 86_400_000)
    } else {
        0
    };
    format!("Agent {number} {married}")
}

fn agent(number: usize, at_ms: i64) -> AgentEntry {
    AgentEntry {
        id: AgentId::new(&Truth::agent_id(number)).expect("a short id"),
        details: Arc::new(AgentDetails {
            username: Some(format!("user{number}")),
            display_name: Some(agent_name(number, at_ms)),
            is_active: true,
            ..AgentDetails::default()
        }),
    }
}
