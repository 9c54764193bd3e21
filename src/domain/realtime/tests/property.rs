//! Random true timelines, sampled by polls with outages, restarts, bad rows and lost commits: what
//! is written must be true.

use std::collections::HashMap;

use fastrand::Rng;

use super::scenario::{Scenario, transactions, wall};
use crate::domain::call::{AgentState, FailureKind, RejectReason, Snapshot};
use crate::domain::ids::AgentId;
use crate::domain::realtime::{MissingAgent, RealtimeOptions, SnapshotKind};
use crate::domain::record::{Category, Origin, StateTransaction};
use crate::domain::timestamp::WallTime;

const STATES: [&str; 4] = ["Available", "Busy", "Wrapup", "Lunch"];
const AGENTS: usize = 8;
const HORIZON_S: f64 = 4_000.0;

/// The truth: when each agent entered which state; `None` = logged out, and not listed.
type Timeline = Vec<(f64, Option<&'static str>)>;

fn timeline(rng: &mut Rng) -> Timeline {
    let mut line = vec![(-10.0, Some(STATES[0]))];
    let mut at = 0.0;
    while at < HORIZON_S {
        at += 3.0 + rng.f64() * 120.0;
        let state = (rng.f64() > 0.15).then(|| STATES[rng.usize(..STATES.len())]);
        if line.last().is_some_and(|last| last.1 != state) {
            line.push((at, state));
        }
    }
    line
}

fn at(line: &Timeline, s: f64) -> Option<&'static str> {
    let after = line.partition_point(|entry| entry.0 <= s);
    line[after - 1].1
}

fn snapshot(lines: &[Timeline], s: f64, with_times: bool) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (n, line) in lines.iter().enumerate() {
        let after = line.partition_point(|entry| entry.0 <= s);
        let (since, state) = line[after - 1];
        if let Some(state) = state {
            snapshot.push(AgentState {
                agent: &format!("agent-{n}"),
                by_username: false,
                state,
                since: with_times.then(|| wall(since)),
            });
        }
    }
    snapshot
}

/// The moments at which somebody looked and the journal took what was seen.
type Looks = Vec<f64>;

fn run(seed: u64) -> (Vec<Timeline>, Scenario, Looks) {
    let mut rng = Rng::with_seed(seed);
    let lines: Vec<Timeline> = (0..AGENTS).map(|_| timeline(&mut rng)).collect();
    let with_times = rng.bool();
    let mut scenario = Scenario::with(RealtimeOptions {
        snapshot: SnapshotKind::Full,
        missing_agent: MissingAgent::LoggedOut,
        ..RealtimeOptions::default()
    });
    let mut looks = Looks::new();
    let mut s = 0.0;
    while s < HORIZON_S - 200.0 {
        let mut answer = snapshot(&lines, s, with_times);
        match rng.u32(..100) {
            0..80 => {
                scenario = scenario.snapshot_at(s, &answer);
                looks.push(s);
            }
            80..85 => {
                let reason = RejectReason::Malformed;
                answer.rejected.push(reason, String::new);
                scenario = scenario.snapshot_at(s, &answer);
                looks.push(s);
            }
            85..90 => scenario = scenario.fail_at(s, FailureKind::Unavailable),
            // The store did not take it.
            90..94 => drop(scenario.finish(s, Ok(&answer))),
            94..97 => scenario = scenario.restart(),
            _ => s += 100.0 * rng.f64(),
        }
        s += 15.0;
    }
    // Whom an incomplete answer after a gap does not list is settled by the next complete one.
    let scenario = scenario.snapshot_at(s, &snapshot(&lines, s, with_times));
    looks.push(s);
    scenario.check();
    (lines, scenario, looks)
}

fn true_change_within(line: &Timeline, t: &StateTransaction) -> bool {
    let Some(earliest) = t.earliest_at else {
        return true;
    };
    let inside =
        |entry: &&(f64, Option<&str>)| earliest <= wall(entry.0) && wall(entry.0) <= t.observed_at;
    line.iter().any(|entry| inside(&entry))
}

#[test]
fn what_is_written_of_random_timelines_is_true() {
    for seed in 0..60 {
        let (lines, scenario, looks) = run(seed);
        let mut by_agent: HashMap<AgentId, Vec<StateTransaction>> = HashMap::new();
        for t in transactions(&scenario.journal) {
            by_agent.entry(t.agent.clone()).or_default().push(t.clone());
        }
        for (n, line) in lines.iter().enumerate() {
            let id = AgentId::new(&format!("agent-{n}")).unwrap();
            let written = by_agent.remove(&id).unwrap_or_default();
            check_bounds(seed, line, &written);
            check_claims(seed, line, &written, &looks);
        }
    }
}

/// A change that polls bound did happen between them, and a logout before it was inferred.
fn check_bounds(seed: u64, line: &Timeline, written: &[StateTransaction]) {
    for t in written {
        if matches!(
            t.origin,
            Origin::Observed | Origin::Source | Origin::Inferred
        ) {
            assert!(true_change_within(line, t), "seed {seed}: {t:?}");
        }
    }
}

/// At every look the journal says what was seen; and where two looks lie more than two periods
/// apart, the journal claims nothing for the time between.
fn check_claims(seed: u64, line: &Timeline, written: &[StateTransaction], looks: &Looks) {
    let claimed = |at: WallTime| {
        let after = written.partition_point(|t| t.started_at <= at);
        after.checked_sub(1).map(|last| &written[last])
    };
    for pair in looks.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if to - from <= 30.5 {
            continue;
        }
        let middle = wall(f64::midpoint(from, to));
        let Some(claim) = claimed(middle) else {
            continue;
        };
        // Who was seen at neither end was gone at both; everybody else is unknown, or the source
        // itself said that the state began before this moment.
        let listed = at(line, from).is_some() || at(line, to).is_some();
        let truth = at(line, f64::midpoint(from, to));
        let by_source = claim.origin == Origin::Resync && truth == Some(claim.state.as_str());
        assert!(
            !listed || by_source || claim.category == Category::Unknown,
            "seed {seed}: {claim:?} is claimed between the looks at {from} and {to}"
        );
    }
    // The last look is a complete one or the last answered one; who is listed is as written.
    if let Some(last) = looks.last()
        && let (Some(state), Some(claim)) = (at(line, *last), claimed(wall(*last)))
    {
        assert_eq!(claim.state.as_str(), state, "seed {seed} at {last}");
    }
}
