//! Records to send.

use std::sync::Arc;

use thrio_edge::domain::agent::AgentDetails;
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SeqRange, SourceName, StateText};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::queue::QueueDetails;
use thrio_edge::domain::record::{
    AgentChange, Category, CoverageEntry, CoverageStatus, Figures, IntervalRecord, Origin,
    QueueChange, Record, RevisionReason, RosterChange, Run, SequencedRecord, StateCode,
    StateTransaction,
};
use thrio_edge::domain::timestamp::WallTime;

pub(crate) fn seq(n: u64) -> RecordSeq {
    RecordSeq::new(n)
}

pub(crate) fn source() -> SourceName {
    SourceName::new("main").expect("a name")
}

/// The records as they lie in the journal from `first` on.
pub(crate) fn batch(first: u64, records: &[Record]) -> Batch {
    let numbered = (first..).zip(records).map(|(n, record)| SequencedRecord {
        seq: seq(n),
        record: record.clone(),
    });
    Batch {
        range: SeqRange::new(seq(first), seq(first + records.len() as u64 - 1)),
        records: numbered.collect(),
    }
}

pub(crate) fn transaction(agent: &str, at_ms: i64, state: &str) -> StateTransaction {
    StateTransaction {
        source: source(),
        agent: AgentId::new(agent).expect("an id"),
        started_at: WallTime::from_ms(at_ms),
        state: StateText::new(state).expect("a state"),
        category: Category::Available,
        previous_state: None,
        earliest_at: Some(WallTime::from_ms(at_ms - 1)),
        observed_at: WallTime::from_ms(at_ms + 1),
        origin: Origin::Observed,
        clamped: false,
        tied: false,
    }
}

pub(crate) fn start(n: i64) -> IntervalStart {
    IntervalStart::aligned_s(1_764_000_000)
        .expect("aligned")
        .plus(n)
}

pub(crate) fn interval(queue: &str, n: i64, revision: u32, answered_at_ms: i64) -> IntervalRecord {
    IntervalRecord {
        source: source(),
        queue: QueueId::new(queue).expect("an id"),
        interval_start: start(n),
        figures: Figures {
            entered: Some(u64::from(revision) * 10),
            abandoned: None,
            handle_time_s: Some(0),
        },
        revision,
        answered_at: WallTime::from_ms(answered_at_ms),
        run: Run::Live,
        reason: if revision == 1 {
            RevisionReason::First
        } else {
            RevisionReason::Late
        },
        suspect: None,
    }
}

pub(crate) fn coverage(n: i64, final_at_ms: Option<i64>) -> CoverageEntry {
    CoverageEntry {
        source: source(),
        feed: Feed::Historical,
        interval_start: start(n),
        status: CoverageStatus::Fetched,
        attempts: 1,
        last_error: None,
        rows: 3,
        fetched_at: Some(WallTime::from_ms(100)),
        final_at: final_at_ms.map(WallTime::from_ms),
        polls_expected: None,
        polls_made: None,
        unknown_s: None,
    }
}

pub(crate) fn agent(id: &str, from_ms: i64, name: &str) -> AgentChange {
    AgentChange {
        source: source(),
        agent: AgentId::new(id).expect("an id"),
        change: RosterChange::Changed,
        details: Arc::new(AgentDetails {
            display_name: Some(name.to_owned()),
            is_active: true,
            ..AgentDetails::default()
        }),
        valid_from: WallTime::from_ms(from_ms),
        first_seen: WallTime::from_ms(1),
        provisional: false,
    }
}

pub(crate) fn queue(id: &str, from_ms: i64, change: RosterChange) -> QueueChange {
    QueueChange {
        source: source(),
        queue: QueueId::new(id).expect("an id"),
        change,
        details: QueueDetails {
            name: Some(format!("{id} since {from_ms}")),
            description: None,
            is_active: true,
        },
        valid_from: WallTime::from_ms(from_ms),
        first_seen: WallTime::from_ms(1),
        provisional: false,
    }
}

/// A journal that writes every table, and most keys more than once.
pub(crate) fn history() -> Vec<Record> {
    let mut records = Vec::new();
    for round in 0..6_u32 {
        let at = i64::from(round) * 4_000_000;
        for n in 0..5_i64 {
            let id = format!("a-{n}");
            records.push(Record::Transaction(transaction(&id, at + n, "Ready")));
            records.push(Record::Transaction(transaction(
                &id,
                at + n + 50,
                "Bereit für Ä",
            )));
        }
        for n in 0..3 {
            let revised = interval("q-1", n, round + 1, at + 100);
            records.push(Record::Interval(revised));
            let final_at = (round == 3).then_some(at + 100);
            let entry = coverage(
                n,
                if round > 3 {
                    Some(3 * 4_000_000 + 100)
                } else {
                    final_at
                },
            );
            records.push(Record::Coverage(entry));
        }
        records.push(Record::Agent(agent("a-1", at + 7, &format!("Kim {round}"))));
        let mut gone = agent("a-2", at + 9, "Lee");
        if round % 2 == 1 {
            gone.change = RosterChange::Closed;
        }
        records.push(Record::Agent(gone));
        let change = match round {
            0 => RosterChange::Added,
            5 => RosterChange::Closed,
            _ => RosterChange::Changed,
        };
        records.push(Record::Queue(queue("q-1", at + 3, change)));
        records.push(Record::StateCode(StateCode {
            source: source(),
            state: StateText::new("Lunch").expect("a state"),
            category: if round < 3 {
                Category::Unmapped
            } else {
                Category::Aux
            },
            first_seen: WallTime::from_ms(5),
            mapped: round >= 3,
        }));
    }
    records
}
