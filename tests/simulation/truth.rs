//! What really happened in the simulated centre. Plain numbers and texts: nothing here is shared
//! with the code under test, so that a wrong rule cannot agree with itself.

use fastrand::Rng;

pub(crate) const AGENTS: usize = 12;
pub(crate) const QUEUES: usize = 4;
pub(crate) const QUARTER_S: i64 = 900;

/// The custom states show that nothing is dropped or cut.
const STATES: [&str; 6] = [
    "Available",
    "busy",
    "Wrapup",
    "Coaching – B-Team",
    "No Answer",
    "Logged out",
];

/// The centre's own timeline, fixed by its seed.
pub(crate) struct Truth {
    /// For each agent the changes in order: (milliseconds, state).
    agents: Vec<Vec<(i64, &'static str)>>,
    volume_seed: u64,
}

/// The three sums of a queue and quarter hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Volume {
    pub entered: u64,
    pub abandoned: u64,
    pub handle_time_s: u64,
}

impl Truth {
    /// A centre whose agents change state from `from_ms` until `until_ms`.
    pub(crate) fn new(seed: u64, from_ms: i64, until_ms: i64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let agents = (0..AGENTS)
            .map(|_| timeline(&mut rng, from_ms, until_ms))
            .collect();
        Self {
            agents,
            volume_seed: rng.u64(..),
        }
    }

    pub(crate) fn agent_id(agent: usize) -> String {
        format!("agent-{agent}")
    }

    pub(crate) fn queue_id(queue: usize) -> String {
        format!("queue-{queue}")
    }

    /// The state of an agent at a moment.
    pub(crate) fn state(&self, agent: usize, at_ms: i64) -> &'static str {
        let changes = &self.agents[agent];
        let after = changes.partition_point(|(ms, _)| *ms <= at_ms);
        changes[after.saturating_sub(1)].1
    }

    /// When the state that holds at a moment began.
    pub(crate) fn state_since(&self, agent: usize, at_ms: i64) -> i64 {
        let changes = &self.agents[agent];
        let after = changes.partition_point(|(ms, _)| *ms <= at_ms);
        changes[after.saturating_sub(1)].0
    }

    /// The figures of a quarter hour as the source knows them at a moment: handle time grows for
    /// two hours after the quarter hour, and one in forty is restated after a day and a half.
    /// `None`: the source has no row, as sparse sources do for silence.
    pub(crate) fn volume(&self, queue: usize, start_s: i64, at_ms: i64) -> Option<Volume> {
        let mut rng = self.rng(queue, start_s);
        let entered = match rng.u32(..10) {
            0..=2 => return None,
            _ => rng.u64(1..60),
        };
        let abandoned = rng.u64(..=entered / 3);
        let whole = entered * rng.u64(60..600);
        let settle_s = rng.i64(0..7200);
        let restated = rng.u32(..40) == 0;
        let age_s = at_ms.div_euclid(1000) - (start_s + QUARTER_S);
        let handle_time_s = if age_s >= settle_s {
            whole
        } else {
            // In ten steps, as calls end.
            whole * u64::try_from((age_s * 10 / settle_s).max(0)).unwrap() / 10
        };
        let late = u64::from(restated && age_s > 36 * 3600);
        Some(Volume {
            entered: entered + late,
            abandoned,
            handle_time_s,
        })
    }

    fn rng(&self, queue: usize, start_s: i64) -> Rng {
        let key = self.volume_seed
            ^ (queue as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ start_s.unsigned_abs().wrapping_mul(0xd1b5_4a32_d192_ed03);
        Rng::with_seed(key)
    }
}

fn timeline(rng: &mut Rng, from_ms: i64, until_ms: i64) -> Vec<(i64, &'static str)> {
    let mut changes = vec![(from_ms - rng.i64(1..3_600_000), STATES[0])];
    let mut at = from_ms;
    while at < until_ms {
        // From seconds to hours: many changes fall between two polls, some states last for long.
        at += match rng.u32(..10) {
            0..=2 => rng.i64(2_000..60_000),
            3..=8 => rng.i64(60_000..1_200_000),
            _ => rng.i64(1_200_000..14_400_000),
        };
        let last = changes[changes.len() - 1].1;
        let state = *rng.choice(&STATES).expect("a constant list");
        if state != last {
            changes.push((at, state));
        }
    }
    changes
}
