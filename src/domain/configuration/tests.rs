//! Rule 10 as sentences.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::{ConfigurationMachine, ConfigurationOptions, KnownRoster, WISHED_IMPORTS_APART};
use crate::domain::agent::{AgentDetails, AgentEntry};
use crate::domain::call::{
    CallFailure, ConfigurationAnswer, ConfigurationCall, Decision, Do, FailureKind, RejectReason,
    Rejections, RosterList, Timing,
};
use crate::domain::health::FeedState;
use crate::domain::ids::{AgentId, QueueId, SourceName};
use crate::domain::queue::{QueueDetails, QueueEntry};
use crate::domain::record::{AgentChange, QueueChange, Record, RosterChange};
use crate::domain::roster::{provisional_agent, provisional_queue};
use crate::domain::timestamp::{MonoTime, Now, WallTime};

const BASE_S: i64 = 1_784_995_200;

fn now(s: u64) -> Now {
    Now {
        wall: WallTime::from_s(BASE_S).plus(Duration::from_secs(s)),
        mono: MonoTime::new(Duration::from_secs(s)),
    }
}

/// A source's roster, imported into a journal in memory.
struct Box_ {
    machine: ConfigurationMachine,
    journal: Vec<Record>,
    stored: FeedState,
    last: Option<Decision>,
}

/// A roster that can always be shown.
struct Known(Vec<AgentChange>, Vec<QueueChange>);

impl KnownRoster for Known {
    type Error = Infallible;

    fn agents(&self, look: &mut dyn FnMut(&AgentChange)) -> Result<(), Infallible> {
        self.0.iter().for_each(look);
        Ok(())
    }

    fn queues(&self, look: &mut dyn FnMut(&QueueChange)) -> Result<(), Infallible> {
        self.1.iter().for_each(look);
        Ok(())
    }
}

fn agent(id: &str, name: &str) -> AgentEntry {
    AgentEntry {
        id: AgentId::new(id).unwrap(),
        details: Arc::new(AgentDetails {
            username: Some(format!("{id}@example.com")),
            display_name: Some(name.to_owned()),
            is_active: true,
            ..AgentDetails::default()
        }),
    }
}

fn queue(id: &str, is_active: bool) -> QueueEntry {
    QueueEntry {
        id: QueueId::new(id).unwrap(),
        details: QueueDetails {
            name: Some(id.to_owned()),
            description: None,
            is_active,
        },
    }
}

fn whole<T>(entries: Vec<T>) -> RosterList<T> {
    RosterList {
        entries,
        complete: true,
        rejected: Rejections::default(),
    }
}

fn agents(names: &[(&str, &str)]) -> RosterList<AgentEntry> {
    whole(names.iter().map(|(id, name)| agent(id, name)).collect())
}

fn ten() -> Vec<AgentEntry> {
    (0..10).map(|n| agent(&format!("a{n}"), "Kim")).collect()
}

impl Box_ {
    fn new() -> Self {
        let source = SourceName::new("main").unwrap();
        let options = ConfigurationOptions::default();
        let machine = ConfigurationMachine::new(source, options, None, Rng::with_seed(3));
        Self {
            stored: machine.feed_state(),
            machine,
            journal: Vec::new(),
            last: None,
        }
    }

    /// One whole import.
    fn import(
        self,
        s: u64,
        queues: RosterList<QueueEntry>,
        agents: RosterList<AgentEntry>,
    ) -> Self {
        self.answer(s, &ConfigurationAnswer::Queues(queues))
            .answer(s + 1, &ConfigurationAnswer::Agents(agents))
    }

    fn import_agents(self, s: u64, list: RosterList<AgentEntry>) -> Self {
        self.import(s, whole(Vec::new()), list)
    }

    fn answer(mut self, s: u64, answer: &ConfigurationAnswer) -> Self {
        let expected = match answer {
            ConfigurationAnswer::Queues(_) => ConfigurationCall::Queues,
            ConfigurationAnswer::Agents(_) => ConfigurationCall::Agents,
        };
        assert_eq!(self.machine.begin(now(s)), Do::Call(expected));
        self.finish(s, Ok(answer));
        self
    }

    fn fail(mut self, s: u64, kind: FailureKind) -> Self {
        assert!(matches!(self.machine.begin(now(s)), Do::Call(_)));
        let failure = CallFailure {
            kind,
            message: "no answer".to_owned(),
        };
        self.finish(s, Err(&failure));
        self
    }

    fn finish(&mut self, s: u64, outcome: Result<&ConfigurationAnswer, &CallFailure>) {
        let timing = Timing {
            sent: now(s),
            received: now(s),
            server_date: None,
        };
        let known = Known(self.agents(), self.queues());
        let Ok(decision) = self.machine.finish(&timing, outcome, &known);
        let parts = decision.parts();
        for (n, (records, counts)) in parts.iter().enumerate() {
            let last = n + 1 == parts.len();
            let mut state = if last {
                self.machine.feed_state()
            } else {
                self.machine.feed_state_between()
            };
            state.counts = state.counts.plus(*counts);
            self.journal.extend_from_slice(records);
            self.stored = state;
            self.check_balance();
            if last {
                self.machine.committed(now(s));
            } else {
                self.machine.part_committed();
            }
        }
        assert_eq!(self.machine.feed_state(), self.stored);
        self.last = Some(decision);
    }

    fn check_balance(&self) {
        let counts = self.stored.counts;
        assert!(counts.rows_balance(), "{counts:?}");
        assert_eq!(counts.records(), self.journal.len() as u64, "{counts:?}");
    }

    fn agents(&self) -> Vec<AgentChange> {
        let mut last: Vec<AgentChange> = Vec::new();
        for record in &self.journal {
            if let Record::Agent(change) = record {
                last.retain(|known| known.agent != change.agent);
                last.push(change.clone());
            }
        }
        last
    }

    fn queues(&self) -> Vec<QueueChange> {
        let mut last: Vec<QueueChange> = Vec::new();
        for record in &self.journal {
            if let Record::Queue(change) = record {
                last.retain(|known| known.queue != change.queue);
                last.push(change.clone());
            }
        }
        last
    }

    /// The versions of one agent: what happened, and its name from then on.
    fn history(&self, id: &str) -> Vec<(RosterChange, Option<String>)> {
        let mut valid_from = None;
        let changes = self.journal.iter().filter_map(|record| match record {
            Record::Agent(change) if change.agent.as_str() == id => Some(change),
            _ => None,
        });
        changes
            .map(|change| {
                assert!(valid_from < Some(change.valid_from), "versions in order");
                valid_from = Some(change.valid_from);
                (change.change, change.details.display_name.clone())
            })
            .collect()
    }

    fn wait_s(&mut self, s: u64) -> u64 {
        match self.machine.begin(now(s)) {
            Do::Call(_) => 0,
            Do::WaitUntil(at) => at.since(now(s).mono).as_secs(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "details hold optional names")]
fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn the_first_import_runs_at_once_and_the_next_after_a_day() {
    let mut b = Box_::new().import(
        0,
        whole(vec![queue("q1", true)]),
        agents(&[("a1", "Kim"), ("a2", "Lee")]),
    );
    assert_eq!(b.journal.len(), 3);
    assert_eq!(b.stored.counts.rows_changed, 3);
    assert_eq!(b.stored.last_complete_poll_at, Some(now(1).wall));
    assert_eq!(b.wait_s(1), 86_400);
}

#[test]
fn an_equal_import_writes_nothing() {
    let b = Box_::new()
        .import_agents(0, agents(&[("a1", "Kim")]))
        .import_agents(90_000, agents(&[("a1", "Kim")]));
    assert_eq!(b.journal.len(), 1);
    assert_eq!(b.stored.counts.rows_unchanged, 1);
}

#[test]
fn a_rename_is_a_new_version_and_an_absence_closes_it() {
    let mut nine = ten();
    nine.remove(0);
    let b = Box_::new()
        .import_agents(0, whole(ten()))
        .import_agents(90_000, {
            let mut list = ten();
            Arc::make_mut(&mut list[0].details).display_name = named("Kim Roe");
            whole(list)
        })
        .import_agents(180_000, whole(nine));
    assert_eq!(
        b.history("a0"),
        [
            (RosterChange::Added, named("Kim")),
            (RosterChange::Changed, named("Kim Roe")),
            (RosterChange::Closed, named("Kim Roe")),
        ]
    );
    let plan = b.machine.last_plan().unwrap();
    assert_eq!(plan.agents.closed.first[0].id, "a0");
    assert_eq!(b.stored.counts.roster, 1, "no row stands for it");
    assert_eq!(b.agents().last().unwrap().first_seen, now(1).wall);
}

#[test]
fn a_deleted_entry_is_closed_and_may_come_back() {
    let deleted = |mut entry: AgentEntry| {
        Arc::make_mut(&mut entry.details).is_active = false;
        entry
    };
    let b = Box_::new()
        .import_agents(0, agents(&[("a1", "Kim")]))
        .import_agents(90_000, whole(vec![deleted(agent("a1", "Kim"))]))
        .import_agents(180_000, whole(vec![deleted(agent("a1", "Kim"))]))
        .import_agents(270_000, agents(&[("a1", "Kim")]));
    let kinds: Vec<_> = b
        .history("a1")
        .into_iter()
        .map(|version| version.0)
        .collect();
    assert_eq!(
        kinds,
        [
            RosterChange::Added,
            RosterChange::Closed,
            RosterChange::Changed
        ]
    );
}

#[test]
fn what_is_first_seen_deleted_is_stored_inactive() {
    let b = Box_::new().import(0, whole(vec![queue("old", false)]), whole(Vec::new()));
    let Record::Queue(change) = &b.journal[0] else {
        panic!("a queue");
    };
    assert_eq!(change.change, RosterChange::Added);
    assert!(!change.details.is_active);
}

#[test]
fn an_incomplete_list_closes_nothing_but_adds() {
    let mut part = agents(&[("a0", "Kim"), ("new", "Max")]);
    part.complete = false;
    let b = Box_::new()
        .import_agents(0, whole(ten()))
        .import_agents(90_000, part);
    assert_eq!(b.journal.len(), 11);
    assert_eq!(b.stored.last_complete_poll_at, Some(now(1).wall));
}

#[test]
fn a_great_shrink_waits_for_the_operator() {
    let mut seven = ten();
    seven.truncate(7);
    let mut b = Box_::new()
        .import_agents(0, whole(ten()))
        .import_agents(90_000, whole(seven.clone()));
    assert_eq!(b.journal.len(), 10);
    let held = b.machine.status(now(90_001)).held_agents.unwrap();
    assert_eq!((held.missing, held.open), (3, 10));
    assert!(b.machine.confirm());
    let mut b = b.import_agents(90_010, whole(seven));
    assert_eq!(b.stored.counts.roster, 3);
    assert_eq!(b.machine.status(now(90_020)).held_agents, None);
    assert!(!b.machine.confirm());
}

#[test]
fn a_confirmation_counts_for_what_was_seen_only() {
    let mut seven = ten();
    seven.truncate(7);
    let mut b = Box_::new()
        .import_agents(0, whole(ten()))
        .import_agents(90_000, whole(seven));
    assert!(b.machine.confirm());
    let b = b.import_agents(90_010, whole(Vec::new()));
    assert_eq!(b.stored.counts.roster, 0);
    let held = b.machine.status(now(90_020)).held_agents.unwrap();
    assert_eq!(held.missing, 10);
}

#[test]
fn an_empty_list_never_deletes_everything() {
    let mut b = Box_::new();
    b.machine.set_options(ConfigurationOptions {
        max_shrink_percent: 100,
        ..ConfigurationOptions::default()
    });
    let b = b
        .import_agents(0, whole(ten()))
        .import_agents(90_000, whole(Vec::new()));
    assert_eq!(b.stored.counts.roster, 0);
    assert!(b.machine.status(now(90_001)).held_agents.is_some());
}

#[test]
fn provisional_entries_are_confirmed_by_id_closed_by_username_and_kept_otherwise() {
    let mut b = Box_::new();
    let source = SourceName::new("main").unwrap();
    for id in ["a1", "kim@example.com", "stranger"] {
        let id = AgentId::new(id).unwrap();
        let entry = provisional_agent(&source, &id, None, now(0).wall);
        b.journal.push(Record::Agent(entry));
        b.stored.counts.roster += 1;
    }
    let total = provisional_queue(&source, &QueueId::all(), now(0).wall);
    b.journal.push(Record::Queue(total));
    b.stored.counts.roster += 1;
    // These four came by other feeds: here they only have to be balanced.
    b.machine = ConfigurationMachine::new(
        source,
        ConfigurationOptions::default(),
        Some(b.stored.clone()),
        Rng::with_seed(3),
    );
    let mut kim = agent("a2", "Kim");
    Arc::make_mut(&mut kim.details).username = named("kim@example.com");
    let b = b.import_agents(10, whole(vec![agent("a1", "Ann"), kim]));
    let last = |id: &str| {
        b.agents()
            .into_iter()
            .find(|a| a.agent.as_str() == id)
            .unwrap()
    };
    assert!(!last("a1").provisional);
    assert_eq!(last("a1").first_seen, now(0).wall);
    assert_eq!(last("kim@example.com").change, RosterChange::Closed);
    assert!(last("stranger").provisional);
    assert_eq!(last("stranger").change, RosterChange::Added);
    assert_eq!(b.queues()[0].change, RosterChange::Added);
    assert_eq!(b.machine.last_plan().unwrap().agents.confirmed, 1);
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let mut b = Box_::new().import_agents(0, whole(ten()));
    let before = (b.journal.len(), b.stored.counts.rows_received);
    b.machine.request(true);
    let mut list = ten();
    Arc::make_mut(&mut list[1].details).display_name = named("Lee");
    list.push(agent("new", "Max"));
    let b = b.import_agents(100, whole(list));
    assert_eq!((b.journal.len(), b.stored.counts.rows_received), before);
    let plan = b.machine.last_plan().unwrap();
    assert!(plan.dry_run);
    assert_eq!(plan.agents.new.first[0].id, "new");
    assert_eq!(plan.agents.renamed.first[0].old, named("Kim"));
}

#[test]
fn wishes_of_other_feeds_are_granted_at_most_every_ten_minutes() {
    let mut b = Box_::new().import_agents(0, whole(ten()));
    b.machine.wish();
    assert_eq!(b.wait_s(1), WISHED_IMPORTS_APART.as_secs());
    let mut b = b.import_agents(601, whole(ten()));
    assert_eq!(b.wait_s(602), 86_400, "one wish, one import");
}

#[test]
fn failures_wait_longer_and_keep_the_list_that_is_done() {
    let mut b = Box_::new()
        .answer(
            0,
            &ConfigurationAnswer::Queues(whole(vec![queue("q", true)])),
        )
        .fail(1, FailureKind::Unavailable);
    assert!(b.wait_s(1) <= 15);
    let b = b.answer(20, &ConfigurationAnswer::Agents(agents(&[("a", "Kim")])));
    assert_eq!(b.stored.consecutive_failures, 0);
    let mut b = Box_::new().fail(0, FailureKind::FeedHeld);
    b.machine.wish();
    assert_eq!(b.wait_s(0), 900, "a wish does not hurry a held feed");
}

#[test]
fn a_large_import_is_cut_into_transactions_that_balance_one_by_one() {
    let many: Vec<AgentEntry> = (0..12_000)
        .map(|n| agent(&format!("a{n}"), "Kim"))
        .collect();
    let mut list = whole(many);
    list.rejected
        .push(RejectReason::MissingId, || "no id".to_owned());
    let b = Box_::new().import_agents(0, list);
    let decision = b.last.as_ref().unwrap();
    let sizes: Vec<_> = decision.commits.iter().map(Vec::len).collect();
    assert_eq!(sizes, [5_000, 5_000, 2_000]);
    assert_eq!(b.stored.counts.rows_rejected, 1);
}
