//! Append, read, the state that follows, and all of it again after a restart.

use thrio_edge::domain::batch::CurrentState;
use thrio_edge::domain::ids::{AgentId, Feed, QueueId, RecordSeq, SeqRange};
use thrio_edge::domain::interval::Window;
use thrio_edge::domain::record::{
    AgentChange, CoverageStatus, Record, RosterChange, SequencedRecord,
};
use thrio_edge::store::{
    Commit, DeliveryProgress, OpenOrigin, Quarantined, ReadLimit, Store, StoreError,
};

use crate::support::*;

fn everything() -> Vec<Record> {
    vec![
        queue_change(1, RosterChange::Added),
        agent_change(1, RosterChange::Added),
        state_code("Siesta"),
        transaction(1, "Available", 15),
        transaction(2, "Busy", 15),
        interval(1, 0, 1, 7),
        interval(2, 0, 1, 0),
        coverage(Feed::Historical, 0, CoverageStatus::Fetched),
        transaction(1, "Siesta", 30),
        interval(1, 0, 2, 9),
        interval(1, 1, 1, 4),
    ]
}

fn check_everything(store: &Store) {
    assert_eq!(all(store), everything());
    assert_eq!(store.head(), RecordSeq::new(11));
    let window = Window::new(quarter(0), quarter(1));
    let known = store.known_intervals(&source(), window).unwrap();
    assert_eq!(known.len(), 2);
    let one = known[&(QueueId::new("queue-1").unwrap(), quarter(0))];
    assert_eq!(
        (one.revision, one.figures.entered, one.seq),
        (2, Some(9), RecordSeq::new(10))
    );
    let all_intervals = Window::new(quarter(0), quarter(9));
    let rows = store.intervals(&source(), all_intervals, 100).unwrap();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(_, record)| Record::Interval(record))
        .collect();
    assert_eq!(
        rows,
        [
            interval(1, 0, 2, 9),
            interval(2, 0, 1, 0),
            interval(1, 1, 1, 4)
        ]
    );
    let entries = store.coverage(&source(), Feed::Historical, window).unwrap();
    let entries: Vec<_> = entries.into_iter().map(Record::Coverage).collect();
    assert_eq!(
        entries,
        [coverage(Feed::Historical, 0, CoverageStatus::Fetched)]
    );
    assert!(
        store
            .coverage(&source(), Feed::Realtime, window)
            .unwrap()
            .is_empty()
    );
    let roster = store.roster(&source()).unwrap();
    assert_eq!(
        Record::Queue(roster.queues[0].clone()),
        queue_change(1, RosterChange::Added)
    );
    assert_eq!(
        Record::Agent(roster.agents[0].clone()),
        agent_change(1, RosterChange::Added)
    );
    let codes = store.state_codes(&source()).unwrap();
    assert_eq!(Record::StateCode(codes[0].clone()), state_code("Siesta"));
    let states = store.agent_states(&source()).unwrap();
    let states: Vec<_> = states
        .iter()
        .map(|s| (s.agent.as_str(), s.state.as_str(), s.record_seq.get()))
        .collect();
    assert_eq!(
        states,
        [("agent-00001", "Siesta", 9), ("agent-00002", "Busy", 5)]
    );
}

#[test]
fn records_and_the_state_that_follows_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(&options(folder.path()), at(0)).unwrap();
    assert_eq!(opened.origin, OpenOrigin::New);
    let store = opened.store;
    let all = everything();
    let range = store
        .append(
            &Commit {
                records: &all[..4],
                feed_states: &[],
            },
            at(30),
        )
        .unwrap();
    assert_eq!(
        range,
        Some(SeqRange::new(RecordSeq::new(1), RecordSeq::new(4)))
    );
    append(&store, &all[4..], 31);
    check_everything(&store);
    let (id, installed) = (store.store_id(), store.installed_at());
    drop(store);

    let opened = Store::open(&options(folder.path()), at(900)).unwrap();
    assert_eq!(opened.origin, OpenOrigin::Existing);
    check_everything(&opened.store);
    assert_eq!(opened.store.store_id(), id);
    assert_eq!(opened.store.installed_at(), installed);
    assert_eq!(installed, at(0).wall);
}

#[test]
fn feed_states_ride_in_their_commit_and_others_at_the_latest_after_60_s() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let commit = Commit {
        records: &[],
        feed_states: &[feed_state(Feed::Realtime, 40)],
    };
    assert_eq!(store.append(&commit, at(1)).unwrap(), None);
    store.note_feed_state(feed_state(Feed::Historical, 7));
    let progress = DeliveryProgress {
        done: vec![SeqRange::new(RecordSeq::new(1), RecordSeq::new(5))],
        ..DeliveryProgress::default()
    };
    store.note_progress(&destination("db"), progress.clone());
    assert_eq!(
        store.feed_state(&source(), Feed::Historical),
        Some(feed_state(Feed::Historical, 7))
    );
    store.maintain(at(2), &[]).unwrap();
    store.maintain(at(62), &[]).unwrap();
    drop(store);

    let store = open(folder.path(), 70);
    assert_eq!(
        store.feed_state(&source(), Feed::Realtime),
        Some(feed_state(Feed::Realtime, 40))
    );
    assert_eq!(
        store.feed_state(&source(), Feed::Historical),
        Some(feed_state(Feed::Historical, 7))
    );
    assert_eq!(store.progress(&destination("db")), progress);
    assert_eq!(
        store.progress(&destination("other")),
        DeliveryProgress::default()
    );
}

#[test]
fn a_page_keeps_its_limits_and_says_where_to_go_on_also_in_the_memory_of_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let records: Vec<_> = (0..250).map(|n| transaction(n, "Busy", 15)).collect();
    for chunk in records.chunks(30) {
        append(&store, chunk, 15);
    }
    let mut read = Vec::new();
    let mut from = RecordSeq::ZERO;
    let mut spare = Vec::new();
    loop {
        let limit = ReadLimit {
            records: 70,
            bytes: 20_000,
        };
        let page = store.read(from, limit).unwrap();
        // What the list holds from the page before is none of this one.
        assert_eq!(store.read_into(from, limit, spare).unwrap(), page);
        if page.records.is_empty() {
            break;
        }
        assert!(page.records.len() <= 70);
        read.extend(page.records.iter().cloned());
        spare = page.records;
        from = page.next;
    }
    let expected: Vec<_> = (1..)
        .zip(records)
        .map(|(seq, record)| SequencedRecord {
            seq: RecordSeq::new(seq),
            record,
        })
        .collect();
    assert_eq!(read, expected);
    let one = store
        .read(
            RecordSeq::new(9),
            ReadLimit {
                records: 0,
                bytes: 0,
            },
        )
        .unwrap();
    assert_eq!(one.records, expected[8..9]);
    assert_eq!(
        store.read(RecordSeq::new(251), WHOLE).unwrap().next,
        RecordSeq::new(251)
    );
}

#[test]
fn a_commit_that_is_longer_than_a_block_is_cut_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let records: Vec<_> = (0..12_345)
        .map(|n| interval(n % 400, i64::from(n / 400), 1, u64::from(n) << 40))
        .collect();
    append(&store, &records, 1);
    drop(store);
    assert_eq!(all(&open(folder.path(), 2)), records);
}

#[test]
fn the_checkpoint_of_agent_states_and_the_records_after_it_make_the_same_states() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    for n in 0..60u32 {
        let s = u64::from(n) * 15 + 15;
        append(
            &store,
            &[transaction(n % 7, ["Busy", "Wrapup"][n as usize % 2], s)],
            s,
        );
        store.maintain(at(s), &[]).unwrap();
    }
    let before = store.agent_states(&source()).unwrap();
    assert_eq!(before.len(), 7);
    assert_eq!(before[3].record_seq, RecordSeq::new(60));
    drop(store);
    let store = open(folder.path(), 1_000);
    assert_eq!(store.agent_states(&source()).unwrap(), before);
    assert!(
        store
            .agent_states(&"none".to_owned().try_into().unwrap())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn agents_come_in_pages_whether_the_checkpoint_has_them_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let mut other = transaction(900, "Busy", 15);
    if let Record::Transaction(other) = &mut other {
        other.source = "other".to_owned().try_into().unwrap();
    }
    // The first seen has the greatest id; another source's agents stand between.
    let first: Vec<_> = (0..40).rev().map(|n| transaction(n, "Busy", 15)).collect();
    append(&store, &first, 15);
    append(&store, &[other, agent_change(39, RosterChange::Added)], 20);
    // Past the checkpoint: some changed again, some are new, some changed back in time.
    append(&store, &[transaction(5, "Wrapup", 400)], 400);
    let late: Vec<_> = [3, 41, 7, 40]
        .map(|n| transaction(n, "Available", 420))
        .to_vec();
    append(&store, &late, 420);
    append(&store, &[transaction(8, "Gone", 10)], 425);

    for limit in [1, 6, 40, 1_000] {
        let mut paged: Vec<(CurrentState, Option<AgentChange>)> = Vec::new();
        loop {
            let after = paged.last().map(|(state, _)| &state.agent);
            let page = store.agent_page(&source(), after, limit).unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        let ids: Vec<&str> = paged.iter().map(|(s, _)| s.agent.as_str()).collect();
        assert_eq!(
            (ids[0], ids[39], ids[40], ids[41]),
            ("agent-00039", "agent-00000", "agent-00041", "agent-00040"),
            "in pages of {limit}: as they were first seen"
        );
        let known: Vec<&str> = paged
            .iter()
            .filter_map(|(_, entry)| entry.as_ref().map(|entry| entry.agent.as_str()))
            .collect();
        assert_eq!(known, ["agent-00039"]);
        let mut states: Vec<_> = paged.into_iter().map(|(state, _)| state).collect();
        states.sort_by(|a, b| a.agent.cmp(&b.agent));
        assert_eq!(states, store.agent_states(&source()).unwrap());
    }
    let nobody = "none".to_owned().try_into().unwrap();
    assert!(store.agent_page(&nobody, None, 10).unwrap().is_empty());
}

#[test]
fn replay_from_a_time_begins_at_the_first_record_about_its_hour() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    append(&store, &[interval(1, 0, 1, 1), interval(1, 8, 1, 1)], 1);
    append(&store, &[interval(1, 40, 1, 1), interval(1, 4, 1, 1)], 2);
    assert_eq!(
        store.seq_at(quarter(-400).start()).unwrap(),
        RecordSeq::new(1)
    );
    assert_eq!(store.seq_at(quarter(8).start()).unwrap(), RecordSeq::new(2));
    assert_eq!(
        store.seq_at(quarter(40).start()).unwrap(),
        RecordSeq::new(3)
    );
    assert_eq!(
        store.seq_at(quarter(400).start()).unwrap(),
        RecordSeq::new(5)
    );
}

#[test]
fn a_quarantined_record_is_kept_whole_until_it_is_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    let refused = |seq: u64| Quarantined {
        destination: destination("db"),
        record: SequencedRecord {
            seq: RecordSeq::new(seq),
            record: interval(1, 0, 1, seq),
        },
        reason: "value out of range".to_owned(),
        at: at(5).wall,
    };
    store
        .quarantine_add(&[refused(300), refused(2)], at(5))
        .unwrap();
    drop(store);
    let store = open(folder.path(), 6);
    let list = |name: &str| {
        store
            .quarantine_list(&destination(name), RecordSeq::ZERO, 10)
            .unwrap()
    };
    assert_eq!(list("db"), [refused(2), refused(300)]);
    assert!(list("d").is_empty());
    store
        .quarantine_remove(&destination("db"), &[RecordSeq::new(2)], at(7))
        .unwrap();
    assert_eq!(list("db"), [refused(300)]);
}

#[test]
fn a_second_opening_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), 0);
    append(&first, &[interval(1, 0, 1, 1)], 1);
    let second = Store::open(&options(folder.path()), at(1));
    assert!(matches!(second, Err(StoreError::InUse { .. })));
    append(&first, &[interval(1, 1, 1, 1)], 2);
    drop(first);
    assert_eq!(all(&open(folder.path(), 3)).len(), 2);
}

#[test]
fn a_new_store_id_lasts_and_seqs_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 0);
    append(&store, &[interval(1, 0, 1, 1)], 1);
    let old = store.store_id();
    let new = store.new_store_id(at(2)).unwrap();
    assert_ne!(old, new);
    append(&store, &[interval(1, 0, 2, 2)], 3);
    drop(store);
    let store = open(folder.path(), 4);
    assert_eq!(store.store_id(), new);
    assert_eq!(all(&store).len(), 2);
    assert_eq!(
        store.agent(&source(), &AgentId::new("x").unwrap()).unwrap(),
        None
    );
}
