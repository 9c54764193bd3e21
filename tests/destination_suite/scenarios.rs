//! The scenarios, each on whatever kind it is given.

use std::sync::Arc;

use fastrand::Rng;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::destination::{Destination, SendError};
use thrio_edge::domain::batch::{Batch, CurrentState};
use thrio_edge::domain::health::{FeedHealth, Heartbeat};
use thrio_edge::domain::ids::{AgentId, BoxId, Feed, SeqRange, StateText};
use thrio_edge::domain::record::{
    AgentChange, Category, Origin, QueueChange, Record, RosterChange, SequencedRecord,
};
use thrio_edge::domain::timestamp::WallTime;

use super::facts::{Copy, assert_same, facts};
use super::history::{self, cut, sources};
use super::records::{self, batch, seq, source};
use super::sqlite::Sqlite;
pub(crate) use super::switch_over::a_switch_over_leaves_no_hole_and_counts_nothing_twice;
use super::{Cells, Kind, Place, TestClock, seed, writer};

/// When the boxes of these tests live, later than their records.
const NOW_MS: i64 = 1_800_000_000_000;

type Opened = Box<dyn Destination>;

fn open_as(place: &dyn Place, box_id: &str, store: u128, clock: Arc<dyn Clock>) -> Opened {
    let mut opened = place.destination(clock);
    opened
        .open(&writer(box_id, store, &sources()))
        .unwrap_or_else(|error| panic!("{error}"));
    opened
}

fn opened(place: &dyn Place) -> Opened {
    open_as(place, "box-1", 1, TestClock::at(NOW_MS))
}

fn sent(to: &mut Opened, batch: &Batch) {
    to.send(batch).unwrap_or_else(|error| panic!("{error}"));
}

fn cell(rows: &[Cells], column: &str) -> Vec<String> {
    let mut cells: Vec<_> = rows
        .iter()
        .map(|row| row[column].clone().unwrap_or_else(|| "NULL".to_owned()))
        .collect();
    cells.sort();
    cells
}

fn claimed(result: Result<impl std::fmt::Debug, SendError>) -> String {
    match result {
        Err(SendError::Claimed { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("{other:?}"),
    }
}

/// Cut anew, doubled and shuffled.
fn shuffled(rng: &mut Rng, records: &[Record]) -> Vec<Batch> {
    let mut batches = Vec::new();
    for piece in cut(rng, 1, records) {
        for _ in 0..=rng.usize(0..2) {
            batches.push(piece.clone());
        }
    }
    rng.shuffle(&mut batches);
    batches
}

pub(crate) fn any_order_of_lanes_replays_and_duplicates_ends_in_the_same_tables(kind: &dyn Kind) {
    let mut rng = Rng::with_seed(seed());
    for round in 0..12 {
        let records = if round % 3 == 0 {
            records::history()
        } else {
            history::random(&mut rng, 150)
        };
        let reference = Sqlite.place();
        sent(&mut opened(reference.as_ref()), &batch(1, &records));
        let expected = facts(reference.as_ref());

        let place = kind.place();
        let mut to = opened(place.as_ref());
        for piece in shuffled(&mut rng, &records) {
            sent(&mut to, &piece);
            if rng.u8(0..8) == 0 {
                to = opened(place.as_ref());
            }
        }
        assert_same(&facts(place.as_ref()), &expected, &format!("round {round}"));
        let receipt = to.open(&writer("box-1", 1, &sources())).expect("opened");
        let all = SeqRange::new(seq(1), seq(records.len() as u64));
        assert_eq!(receipt.applied, [all]);
    }
}

/// What one box does while the sources are its own.
struct Reign {
    box_id: &'static str,
    store: u128,
    from_ms: i64,
    records: Vec<Record>,
    first: u64,
    agents: Vec<AgentChange>,
    queues: Vec<QueueChange>,
}

fn reigns(rng: &mut Rng) -> Vec<Reign> {
    let boxes = [("box-1", 1), ("box-2", 2), ("box-1", 1), ("box-2", 3)];
    let mut firsts = [1_u64; 4];
    let mut from_ms = NOW_MS;
    boxes
        .map(|(box_id, store)| {
            from_ms += 3_600_000;
            let records = history::random(rng, 60);
            let first = firsts[store as usize];
            firsts[store as usize] += records.len() as u64;
            Reign {
                box_id,
                store,
                from_ms,
                records,
                first,
                agents: vec![
                    records::agent("a-1", 10, "Kim"),
                    records::agent("a-9", 20, "Lee"),
                ],
                queues: vec![records::queue("q-1", 10, RosterChange::Changed)],
            }
        })
        .into()
}

type Order<'a> = dyn Fn(&Reign) -> Vec<Batch> + 'a;

fn live_through(place: &dyn Place, reigns: &[Reign], order: &Order) {
    let clock = TestClock::at(NOW_MS);
    for reign in reigns {
        clock.set(reign.from_ms);
        let mut to = place.destination(clock.clone());
        let mut taking = writer(reign.box_id, reign.store, &sources());
        taking.take_over = sources();
        let receipt = to.open(&taking).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(receipt.roster_wanted, sources(), "each claim is a new one");
        let batches = order(reign);
        let (before, after) = batches.split_at(batches.len() / 2);
        for piece in before {
            sent(&mut to, piece);
        }
        to.send_roster(&source(), &reign.agents, &reign.queues)
            .expect("sent");
        for piece in after {
            sent(&mut to, piece);
        }
    }
}

pub(crate) fn boxes_that_take_a_source_from_each_other_end_in_the_same_tables(kind: &dyn Kind) {
    let seed = seed();
    for round in 0..3 {
        let reigns = reigns(&mut Rng::with_seed(seed ^ round));
        let in_order = |reign: &Reign| cut(&mut Rng::with_seed(seed), reign.first, &reign.records);
        let doubled = |reign: &Reign| {
            let mut batches = in_order(reign);
            batches.extend(in_order(reign));
            batches
        };
        let orders: [(&str, &Order); 2] = [("in order", &in_order), ("each twice", &doubled)];
        for (name, order) in orders {
            let (reference, place) = (Sqlite.place(), kind.place());
            live_through(reference.as_ref(), &reigns, order);
            live_through(place.as_ref(), &reigns, order);
            assert_same(&facts(place.as_ref()), &facts(reference.as_ref()), name);
        }
    }
}

pub(crate) fn a_batch_that_is_sent_twice_changes_nothing(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let records = records::history();
    sent(&mut to, &batch(1, &records));
    let once = Copy::whole(place.as_ref());
    sent(&mut to, &batch(1, &records));
    // The applied numbers are the same too: a reader is not told of what did not change.
    assert_eq!(Copy::whole(place.as_ref()).rows(), once.rows());
}

pub(crate) fn a_batch_of_several_sources_writes_each_under_its_own_claim(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let mut foreign = records::transaction("a-1", 10, "Busy");
    foreign.source = sources()[1].clone();
    let own = Record::Transaction(records::transaction("a-1", 10, "Ready"));
    sent(&mut to, &batch(1, &[own, Record::Transaction(foreign)]));
    let rows = place.table("wfm_agent_state_transaction");
    assert_eq!(cell(&rows, "state"), ["Busy", "Ready"]);
    let claims = cell(&rows, "claim_no");
    assert_ne!(claims[0], claims[1]);
    let current = place.table("wfm_agent_state_current");
    assert_eq!(cell(&current, "source"), ["main", "other"]);
}

pub(crate) fn the_newest_record_of_a_key_counts(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let at = |state| Record::Transaction(records::transaction("a-1", 10, state));
    sent(&mut to, &batch(5, &[at("Old"), at("New")]));
    sent(&mut to, &batch(1, &[at("Oldest")]));
    let rows = place.table("wfm_agent_state_transaction");
    assert_eq!(cell(&rows, "state"), ["New"]);
    assert_eq!(cell(&rows, "record_seq"), ["6"]);
}

pub(crate) fn a_reader_that_asks_by_applied_no_misses_nothing(kind: &dyn Kind) {
    let mut rng = Rng::with_seed(seed());
    let place = kind.place();
    let clock: Arc<dyn Clock> = TestClock::at(NOW_MS);
    let mut to = place.destination(clock);
    to.open(&writer("box-1", 1, &[source()])).expect("opened");
    let mut batches = cut(&mut rng, 1, &records::history());
    rng.shuffle(&mut batches);
    let mut copy = Copy::default();
    for piece in batches {
        sent(&mut to, &piece);
        copy.catch_up(place.as_ref());
    }
    assert_eq!(copy.rows(), Copy::whole(place.as_ref()).rows());
}

pub(crate) fn the_status_of_an_interval_follows_from_its_coverage(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let status = || cell(&place.table("wfm_queue_interval"), "status");
    let interval = |revision, at| Record::Interval(records::interval("q-1", 0, revision, at));
    let final_at = |at| Record::Coverage(records::coverage(0, Some(at)));
    sent(&mut to, &batch(1, &[interval(1, 100)]));
    assert_eq!(status(), ["provisional"]);
    sent(&mut to, &batch(2, &[final_at(5_000)]));
    assert_eq!(status(), ["final"]);
    sent(&mut to, &batch(3, &[interval(2, 9_000)]));
    assert_eq!(status(), ["restated"]);
}

pub(crate) fn each_revision_ends_where_the_next_begins_in_any_order(kind: &dyn Kind) {
    let revision = |n: u32| Record::Interval(records::interval("q-1", 0, n, i64::from(n) * 100));
    for order in [
        [1, 2, 3],
        [3, 2, 1],
        [2, 3, 1],
        [1, 3, 2],
        [3, 1, 2],
        [2, 1, 3],
    ] {
        let place = kind.place();
        let mut to = opened(place.as_ref());
        for n in order {
            sent(&mut to, &batch(u64::from(n), &[revision(n)]));
        }
        let mut rows = place.table("wfm_queue_interval_revision");
        rows.sort_by_key(|row| row["revision"].clone());
        let ends: Vec<_> = rows.iter().map(|row| row["replaced_at"].clone()).collect();
        let expected = [Some("200"), Some("300"), None].map(|end| end.map(str::to_owned));
        assert_eq!(ends, expected, "{order:?}");
        let first = cell(&place.table("wfm_queue_interval"), "first_stored_at");
        assert_eq!(first, ["100"], "{order:?}");
    }
}

pub(crate) fn spans_end_where_the_next_transaction_begins(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let change = |at, state| Record::Transaction(records::transaction("a-1", at, state));
    sent(&mut to, &batch(2, &[change(20, "Busy")]));
    sent(&mut to, &batch(1, &[change(10, "Ready")]));
    let spans = place.table("wfm_agent_state_span");
    let mut ends: Vec<_> = spans
        .iter()
        .map(|row| (row["started_at"].clone(), row["ended_at"].clone()))
        .collect();
    ends.sort();
    let at = |ms: &str| Some(ms.to_owned());
    assert_eq!(ends, [(at("10"), at("20")), (at("20"), None)]);
    let live = place.table("wfm_agent_state_live");
    assert_eq!(cell(&live, "state"), ["Busy"]);
}

fn current(state: &str, seq_no: u64) -> CurrentState {
    CurrentState {
        source: source(),
        agent: AgentId::new("a-1").expect("an id"),
        state: StateText::new(state).expect("a state"),
        category: Category::Aux,
        since: WallTime::from_ms(90),
        origin: Origin::Observed,
        record_seq: seq(seq_no),
    }
}

pub(crate) fn fresh_states_are_shown_at_once_and_never_set_back_by_the_backlog(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    to.send_current(&[current("Break", 9)]).expect("sent");
    let old = Record::Transaction(records::transaction("a-1", 10, "Ready"));
    sent(&mut to, &batch(1, &[old]));
    let state = || cell(&place.table("wfm_agent_state_current"), "state");
    assert_eq!(state(), ["Break"]);
    to.send_current(&[current("Earlier", 8)]).expect("sent");
    assert_eq!(state(), ["Break"]);
    let receipt = to.open(&writer("box-1", 1, &sources())).expect("opened");
    assert_eq!(receipt.applied, [SeqRange::new(seq(1), seq(1))]);
}

fn open_agents(place: &dyn Place) -> usize {
    place.rows("wfm_agent", "valid_to IS NULL").len()
}

fn taking(box_id: &str, store: u128) -> thrio_edge::destination::Writer {
    let mut taking = writer(box_id, store, &sources());
    taking.take_over = vec![source()];
    taking
}

pub(crate) fn a_source_belongs_to_one_box_until_a_person_says_otherwise(kind: &dyn Kind) {
    let place = kind.place();
    let mut first = opened(place.as_ref());
    let mut second = place.destination(TestClock::at(NOW_MS));
    let reason = claimed(second.open(&writer("box-2", 2, &sources())));
    assert!(
        reason.contains("box \"box-1\"") && reason.contains("claim --source main"),
        "{reason}"
    );
    let mut taking = writer("box-2", 2, &[source()]);
    taking.take_over = vec![source()];
    second.open(&taking).expect("taken over");
    let late = Record::Agent(records::agent("a-1", 20, "Old name"));
    let reason = claimed(first.send(&batch(2, &[late])));
    assert!(reason.contains("box \"box-2\""), "{reason}");
    assert!(place.table("wfm_agent").is_empty());
}

pub(crate) fn a_claim_goes_to_another_box_and_back(kind: &dyn Kind) {
    let place = kind.place();
    let clock = TestClock::at(NOW_MS);
    let only = |box_id: &str, store| {
        let mut taking = taking(box_id, store);
        taking.sources = vec![source()];
        taking
    };
    let state = |to: &mut Opened, n: u64, state| {
        let record = Record::Transaction(records::transaction("a-1", 10, state));
        to.send(&batch(n, &[record]))
    };
    let mut first = place.destination(clock.clone());
    first.open(&only("box-1", 1)).expect("claimed");
    state(&mut first, 900, "First").expect("sent");
    let mut second = place.destination(clock.clone());
    second.open(&only("box-2", 2)).expect("taken");
    // The other journal counts for itself, and its word is newer all the same.
    state(&mut second, 1, "Second").expect("sent");
    claimed(state(&mut first, 901, "Late"));
    let mut first = place.destination(clock);
    let receipt = first.open(&only("box-1", 1)).expect("taken back");
    assert_eq!(receipt.applied, [SeqRange::new(seq(900), seq(900))]);
    state(&mut first, 901, "Back").expect("sent");
    claimed(state(&mut second, 2, "Late"));
    let rows = place.table("wfm_agent_state_transaction");
    assert_eq!(cell(&rows, "state"), ["Back"]);
    let claims = place.rows("wfm_source_claim", "source = 'main'");
    assert_eq!(claims.len(), 3);
}

pub(crate) fn a_new_store_of_the_same_box_goes_on_and_its_elder_twin_is_held(kind: &dyn Kind) {
    let place = kind.place();
    let mut elder = opened(place.as_ref());
    let record = |state| [Record::Transaction(records::transaction("a-1", 10, state))];
    sent(&mut elder, &batch(500, &record("Ready")));
    let mut younger = place.destination(TestClock::at(NOW_MS));
    let receipt = younger
        .open(&writer("box-1", 2, &sources()))
        .expect("opened");
    assert!(receipt.applied.is_empty());
    sent(&mut younger, &batch(1, &record("Busy")));
    let rows = place.table("wfm_agent_state_transaction");
    assert_eq!(cell(&rows, "state"), ["Busy"]);
    claimed(elder.open(&writer("box-1", 1, &sources())));
}

pub(crate) fn a_claim_closes_the_roster_and_the_roster_opens_it_again(kind: &dyn Kind) {
    let place = kind.place();
    let mut first = opened(place.as_ref());
    let agent = records::agent("a-1", 10, "Kim");
    sent(&mut first, &batch(1, &[Record::Agent(agent.clone())]));
    first
        .send_roster(&source(), std::slice::from_ref(&agent), &[])
        .expect("sent");
    assert_eq!(open_agents(place.as_ref()), 1);
    let mut second = place.destination(TestClock::at(NOW_MS));
    let mut only = taking("box-2", 2);
    only.sources = vec![source()];
    let receipt = second.open(&only).expect("taken over");
    assert_eq!(receipt.roster_wanted, [source()]);
    assert_eq!(open_agents(place.as_ref()), 0, "the former claim's end");
    second.send_roster(&source(), &[agent], &[]).expect("sent");
    assert_eq!(open_agents(place.as_ref()), 1, "opened again");
    let receipt = second.open(&only).expect("opened");
    assert!(receipt.roster_wanted.is_empty(), "it was sent");
}

pub(crate) fn a_version_ends_where_the_next_begins_whichever_comes_first(kind: &dyn Kind) {
    let mut closed = records::agent("a-1", 30, "Kim");
    closed.change = RosterChange::Closed;
    let versions = [
        Record::Agent(records::agent("a-1", 10, "Kim")),
        Record::Agent(records::agent("a-1", 20, "Kim Lee")),
        Record::Agent(closed),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let place = kind.place();
        let mut to = opened(place.as_ref());
        for n in order {
            let only = std::slice::from_ref(&versions[n]);
            sent(&mut to, &batch(n as u64 + 1, only));
        }
        let rows = place.table("wfm_agent");
        let mut spans: Vec<_> = rows
            .iter()
            .map(|row| (row["valid_from"].clone(), row["valid_to"].clone()))
            .collect();
        spans.sort();
        let at = |ms: &str| Some(ms.to_owned());
        let expected = [
            (at("10"), at("20")),
            (at("20"), at("30")),
            (at("30"), at("30")),
        ];
        assert_eq!(spans, expected, "{order:?}");
    }
}

fn beat(at_ms: i64, feed: Feed, polled_at_ms: i64) -> Heartbeat {
    Heartbeat {
        box_id: BoxId::new("box-1").expect("an id"),
        version: "0.1.0".to_owned(),
        started_at: WallTime::from_ms(1),
        at: WallTime::from_ms(at_ms),
        backlog: 5,
        oldest_unsent_at: None,
        alarms: vec!["unmapped_state".to_owned()],
        feeds: vec![FeedHealth {
            source: source(),
            feed,
            last_success_at: Some(WallTime::from_ms(polled_at_ms)),
            last_complete_poll_at: Some(WallTime::from_ms(polled_at_ms)),
            last_data_at: None,
            lag_s: 0,
            consecutive_failures: 0,
            last_error: None,
            clock_offset_ms: Some(-12),
            is_stale: false,
        }],
    }
}

pub(crate) fn an_import_is_seen_by_every_version_that_it_left_as_it_was(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let mut closed = records::agent("a-2", 20, "Lee");
    closed.change = RosterChange::Closed;
    let records = [
        Record::Agent(records::agent("a-1", 10, "Kim")),
        Record::Agent(records::agent("a-2", 10, "Lee")),
        Record::Agent(closed),
    ];
    sent(&mut to, &batch(1, &records));
    let seen = || {
        let rows = place.rows("wfm_agent", "agent_id = 'a-1'");
        (cell(&rows, "last_seen"), cell(&rows, "applied_no"))
    };
    let (before, first_no) = seen();
    assert_eq!(before, ["10"]);
    to.heartbeat(&beat(600, Feed::Configuration, 500))
        .expect("sent");
    let (after, second_no) = seen();
    assert_eq!(after, ["500"]);
    assert_ne!(first_no, second_no);
    to.heartbeat(&beat(700, Feed::Configuration, 500))
        .expect("sent");
    assert_eq!(seen().1, second_no, "the same import is no news");
    let gone = place.rows("wfm_agent", "agent_id = 'a-2'");
    assert_eq!(cell(&gone, "last_seen"), ["10", "20"]);
}

pub(crate) fn a_quiet_agent_is_told_from_a_dead_box(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let change = Record::Transaction(records::transaction("a-1", 10, "Ready"));
    sent(&mut to, &batch(1, &[change]));
    let live = |column| cell(&place.table("wfm_agent_state_live"), column);
    assert_eq!(live("is_stale"), ["1"], "nobody has confirmed it yet");
    // The view asks the database's own clock.
    let now_ms = SystemClock::new().now().wall.ms();
    let beat_at = |at_ms| beat(at_ms, Feed::Realtime, at_ms - 5_000);
    to.heartbeat(&beat_at(now_ms)).expect("sent");
    assert_eq!(live("is_stale"), ["0"]);
    assert_eq!(live("last_confirmed_at"), [(now_ms - 5_000).to_string()]);
    to.heartbeat(&beat_at(now_ms - 600_000)).expect("sent");
    assert_eq!(
        live("is_stale"),
        ["1"],
        "the last heartbeat is ten minutes old"
    );
    let boxes = place.table("wfm_box");
    assert_eq!(cell(&boxes, "backlog"), ["5"]);
    assert_eq!(cell(&boxes, "alarms"), ["[\"unmapped_state\"]"]);
}

pub(crate) fn receipts_are_merged_whatever_their_order(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let record = [Record::Transaction(records::transaction(
        "a-1", 10, "Ready",
    ))];
    let applied = |to: &mut Opened| {
        let receipt = to.open(&writer("box-1", 1, &sources())).expect("opened");
        receipt.applied
    };
    for n in [1, 3, 7] {
        sent(&mut to, &batch(n, &record));
    }
    let single = |n| SeqRange::new(seq(n), seq(n));
    assert_eq!(applied(&mut to), [single(1), single(3), single(7)]);
    sent(&mut to, &batch(2, &record));
    assert_eq!(applied(&mut to), [SeqRange::new(seq(1), seq(3)), single(7)]);
    let nothing = Batch {
        range: SeqRange::new(seq(2), seq(8)),
        records: Vec::new(),
    };
    sent(&mut to, &nothing);
    assert_eq!(applied(&mut to), [SeqRange::new(seq(1), seq(8))]);
}

pub(crate) fn a_record_that_no_database_can_hold_is_named(kind: &dyn Kind) {
    let place = kind.place();
    let mut to = opened(place.as_ref());
    let mut bad = records::interval("q-1", 0, 1, 100);
    bad.figures.entered = Some(u64::MAX);
    let good = records::interval("q-2", 0, 1, 100);
    let both = [Record::Interval(bad), Record::Interval(good.clone())];
    let SendError::Refused { records, .. } = to.send(&batch(1, &both)).expect_err("refused") else {
        panic!("it names the record");
    };
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0, seq(1));
    let rest = Batch {
        range: SeqRange::new(seq(1), seq(2)),
        records: vec![SequencedRecord {
            seq: seq(2),
            record: Record::Interval(good),
        }],
    };
    sent(&mut to, &rest);
}

pub(crate) fn a_probe_writes_nothing(kind: &dyn Kind) {
    let place = kind.place();
    place
        .destination(TestClock::at(NOW_MS))
        .probe()
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(!place.has_tables());
    let mut to = opened(place.as_ref());
    sent(&mut to, &batch(1, &records::history()));
    let before = Copy::whole(place.as_ref());
    to.probe().expect("reached");
    assert_eq!(Copy::whole(place.as_ref()).rows(), before.rows());
}
