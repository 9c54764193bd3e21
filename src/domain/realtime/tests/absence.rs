//! Rule 6 and the vanish guard: what absence means, and what it does not. Identity of agents.

use std::sync::Arc;

use super::scenario::{Scenario, now, tx, wall};
use crate::domain::agent::AgentDetails;
use crate::domain::ids::{AgentId, SourceName};
use crate::domain::realtime::{MissingAgent, RealtimeOptions, SnapshotKind};
use crate::domain::record::Origin::{Gap, Inferred, Observed, Resync};
use crate::domain::record::{AgentChange, Category, Record, RosterChange};
use crate::domain::roster::Roster;

fn full(missing_agent: MissingAgent) -> Scenario {
    Scenario::with(RealtimeOptions {
        snapshot: SnapshotKind::Full,
        missing_agent,
        ..RealtimeOptions::default()
    })
}

const BOTH: [(&str, &str); 2] = [("a", "Available"), ("b", "Busy")];
const ONE: [(&str, &str); 1] = [("a", "Available")];

#[test]
fn until_somebody_says_what_lists_are_absence_means_nothing() {
    let scenario = Scenario::new().poll_at(0.0, &BOTH).whatever();
    let scenario = (1..20).fold(scenario, |s, n| s.poll_at(f64::from(n) * 15.0, &ONE));
    let scenario = scenario.writes(&[]);
    assert!(scenario.machine.status(now(300.0)).snapshot_unsaid);
}

#[test]
fn absence_from_two_full_lists_is_a_logout_at_the_first() {
    let mut scenario = full(MissingAgent::LoggedOut)
        .poll_at(0.0, &BOTH)
        .poll_at(15.0, &BOTH)
        .whatever()
        .poll_at(30.0, &ONE)
        .writes(&[])
        .poll_at(45.0, &ONE);
    let gone = scenario.new_transactions().remove(0);
    assert_eq!(
        (gone.origin, gone.category),
        (Inferred, Category::LoggedOut)
    );
    assert_eq!(gone.state.as_str(), "Logged out");
    assert_eq!(gone.started_at, wall(30.0));
    assert_eq!(gone.earliest_at, Some(wall(15.0)));
    // It stays so, over a restart too, and the return is a change like any other.
    scenario
        .poll_at(60.0, &ONE)
        .restart()
        .poll_at(75.0, &ONE)
        .poll_at(90.0, &ONE)
        .writes(&[])
        .poll_at(105.0, &BOTH)
        .writes(&[tx("b", "Busy", Observed, 97.5)]);
}

#[test]
fn one_absence_or_an_incomplete_list_proves_nothing() {
    full(MissingAgent::LoggedOut)
        .poll_at(0.0, &BOTH)
        .whatever()
        .poll_at(15.0, &ONE)
        .incomplete_poll_at(30.0, &ONE)
        .poll_at(45.0, &BOTH)
        .incomplete_poll_at(60.0, &ONE)
        .incomplete_poll_at(75.0, &ONE)
        .poll_at(90.0, &BOTH)
        .writes(&[]);
}

#[test]
fn a_missing_agent_may_be_kept_or_unknown() {
    full(MissingAgent::Keep)
        .poll_at(0.0, &BOTH)
        .whatever()
        .poll_at(15.0, &ONE)
        .poll_at(30.0, &ONE)
        .writes(&[]);
    full(MissingAgent::Unknown)
        .poll_at(0.0, &BOTH)
        .whatever()
        .poll_at(15.0, &ONE)
        .poll_at(30.0, &ONE)
        .poll_at(45.0, &ONE)
        .writes(&[tx("b", "(unknown)", Inferred, 15.0)]);
}

#[test]
fn an_agent_that_logged_out_by_its_own_row_and_vanished_stays_as_it_is() {
    full(MissingAgent::LoggedOut)
        .poll_at(0.0, &[("a", "Available"), ("b", "loggedOut")])
        .whatever()
        .poll_at(15.0, &ONE)
        .poll_at(30.0, &ONE)
        .writes(&[])
        // Nobody claimed to see b when the feed went blind.
        .poll_at(100.0, &ONE)
        .writes(&[
            tx("a", "(unknown)", Gap, 30.0),
            tx("a", "Available", Resync, 100.0),
        ]);
}

#[test]
fn who_is_missing_after_a_gap_is_unknown_until_two_lists_lack_him() {
    full(MissingAgent::LoggedOut)
        .poll_at(0.0, &BOTH)
        .poll_at(15.0, &BOTH)
        .whatever()
        .poll_at(100.0, &ONE)
        .writes(&[
            tx("a", "(unknown)", Gap, 15.0),
            tx("a", "Available", Resync, 100.0),
            tx("b", "(unknown)", Gap, 15.0),
        ])
        .poll_at(115.0, &ONE)
        .writes(&[tx("b", "Logged out", Inferred, 100.0)]);
}

#[test]
fn lists_before_and_after_a_gap_are_not_two_in_a_row() {
    full(MissingAgent::LoggedOut)
        .poll_at(0.0, &BOTH)
        .poll_at(15.0, &ONE)
        .whatever()
        .poll_at(100.0, &ONE)
        .writes(&[
            tx("a", "(unknown)", Gap, 15.0),
            tx("a", "Available", Resync, 100.0),
            tx("b", "(unknown)", Gap, 15.0),
        ]);
}

fn crowd(count: usize) -> Vec<(String, &'static str)> {
    (0..count)
        .map(|n| (format!("agent-{n}"), "Available"))
        .collect()
}

fn borrowed<'a>(rows: &'a [(String, &'static str)]) -> Vec<(&'a str, &'a str)> {
    rows.iter()
        .map(|(id, state)| (id.as_str(), *state))
        .collect()
}

#[test]
fn a_crowd_that_vanishes_and_returns_leaves_no_trace() {
    let all = crowd(20);
    let scenario = full(MissingAgent::LoggedOut)
        .poll_at(0.0, &borrowed(&all))
        .whatever();
    let scenario = (1..10).fold(scenario, |s, n| {
        s.poll_at(f64::from(n) * 15.0, &borrowed(&all[..9]))
    });
    assert_eq!(scenario.stored.last_complete_poll_at, Some(wall(0.0)));
    assert_eq!(scenario.stored.last_success_at, Some(wall(135.0)));
    let status = scenario.machine.status(now(135.0));
    assert_eq!(status.guarded_since, Some(wall(15.0)));
    let scenario = scenario.poll_at(150.0, &borrowed(&all)).writes(&[]);
    assert_eq!(scenario.machine.status(now(150.0)).guarded_since, None);
}

#[test]
fn under_guard_the_agents_still_listed_are_compared_as_usual() {
    let all = crowd(20);
    let mut some = crowd(9);
    some[0].1 = "Busy";
    full(MissingAgent::LoggedOut)
        .poll_at(0.0, &borrowed(&all))
        .whatever()
        .poll_at(15.0, &borrowed(&some))
        .writes(&[tx("agent-0", "Busy", Observed, 7.5)]);
}

#[test]
fn an_absence_of_five_minutes_is_believed_from_its_first_poll() {
    let all = crowd(20);
    let scenario = full(MissingAgent::LoggedOut)
        .poll_at(0.0, &borrowed(&all))
        .poll_at(15.0, &borrowed(&all))
        .whatever();
    let scenario = (2..22).fold(scenario, |s, n| {
        s.poll_at(f64::from(n) * 15.0, &borrowed(&all[..2]))
    });
    let mut scenario = scenario.writes(&[]).poll_at(330.0, &borrowed(&all[..2]));
    let written = scenario.new_transactions();
    assert_eq!(written.len(), 18);
    assert!(written.iter().all(|t| t.origin == Inferred
        && t.started_at == wall(30.0)
        && t.earliest_at == Some(wall(15.0))));
    assert!(scenario.machine.status(now(330.0)).mass_absence);
    assert_eq!(scenario.stored.last_complete_poll_at, Some(wall(330.0)));
    let scenario = scenario
        .poll_at(345.0, &borrowed(&all[..2]))
        .writes(&[])
        .poll_at(360.0, &borrowed(&all));
    assert!(!scenario.machine.status(now(360.0)).mass_absence);
}

#[test]
fn ten_agents_may_vanish_without_a_guard() {
    let all = crowd(10);
    let mut scenario = full(MissingAgent::LoggedOut)
        .poll_at(0.0, &borrowed(&all))
        .whatever()
        .poll_at(15.0, &[])
        .poll_at(30.0, &[]);
    assert_eq!(scenario.new_transactions().len(), 10);
}

fn imported(id: &str, username: &str) -> Record {
    Record::Agent(AgentChange {
        source: SourceName::new("main").unwrap(),
        agent: AgentId::new(id).unwrap(),
        change: RosterChange::Added,
        details: Arc::new(AgentDetails {
            username: Some(username.to_owned()),
            is_active: true,
            ..AgentDetails::default()
        }),
        valid_from: wall(0.0),
        first_seen: wall(0.0),
        provisional: false,
    })
}

#[test]
fn a_username_is_resolved_through_the_roster() {
    let mut scenario = Scenario::new();
    scenario.roster.apply(&imported("id-7", "kim@example.com"));
    let scenario = scenario
        .poll_at(0.0, &[("kim@example.com", "Busy")])
        .writes(&[tx("id-7", "Busy", Resync, 0.0)]);
    assert_eq!(scenario.counts().roster, 0);
}

#[test]
fn an_unknown_agent_becomes_a_provisional_one_and_asks_for_an_import() {
    let mut scenario = Scenario::new();
    let mut snapshot = crate::domain::call::Snapshot::default();
    snapshot.push(crate::domain::call::AgentState {
        agent: "kim@example.com",
        by_username: true,
        state: "Busy",
        since: None,
    });
    let decision = scenario.finish(0.0, Ok(&snapshot));
    assert!(decision.import_wanted);
    scenario.commit(&decision);
    let standing = scenario.roster.agent("kim@example.com").unwrap();
    assert!(standing.open && standing.provisional);
    assert_eq!(scenario.counts().roster, 1);
    // Once is enough.
    let scenario = scenario.poll_at(15.0, &[("kim@example.com", "Busy")]);
    assert_eq!(scenario.counts().roster, 1);
}

#[test]
fn when_the_import_knows_the_username_the_state_goes_on_under_the_id() {
    let mut scenario = Scenario::new()
        .poll_at(0.0, &[("kim@example.com", "Busy")])
        .whatever();
    scenario.roster.apply(&imported("id-7", "kim@example.com"));
    scenario
        .poll_at(15.0, &[("kim@example.com", "Busy")])
        .writes(&[
            tx("id-7", "Busy", Observed, 7.5),
            tx("kim@example.com", "(unknown)", Inferred, 15.0),
        ]);
}

#[test]
fn an_agent_of_the_roster_is_no_provisional_one() {
    let mut scenario = Scenario::new();
    scenario.roster = Roster::default();
    scenario.roster.apply(&imported("a", "kim"));
    let scenario = scenario.poll_at(0.0, &ONE);
    assert_eq!(scenario.counts().roster, 0);
}
