//! Workers stepped by hand.

use crossbeam_channel::bounded;
use thrio_edge::collector::FeedDetail;
use thrio_edge::collector::configuration::ConfigurationCommand;
use thrio_edge::collector::realtime::RealtimeCommand;
use thrio_edge::domain::call::{FailureKind, HistoricalAnswer, HistoricalRow};
use thrio_edge::domain::category::StateMap;
use thrio_edge::domain::ids::{Feed, QueueId};
use thrio_edge::domain::realtime::RealtimeOptions;
use thrio_edge::domain::record::{Category, Figures, Origin, Record};

use super::bench::{Bench, now, source};

fn origins(bench: &Bench) -> Vec<Origin> {
    let records = bench.records().into_iter();
    let origins = records.filter_map(|record| match record {
        Record::Transaction(t) => Some(t.origin),
        _ => None,
    });
    origins.collect()
}

#[test]
fn a_poll_is_journaled_with_its_counters_and_an_equal_one_is_not() {
    let bench = Bench::new();
    let mut realtime = bench.realtime();
    realtime.poll(10, &[("a", "Busy"), ("b", "Lunch")]).unwrap();
    assert_eq!(bench.commits(), 1);
    // Two agents, two transactions, two codes.
    assert_eq!(bench.records().len(), 6);
    let head = bench.store.head();
    realtime.poll(25, &[("a", "Busy"), ("b", "Lunch")]).unwrap();
    assert_eq!((bench.commits(), bench.store.head()), (1, head));
    // The unchanged poll is known all the same: its counters ride.
    let state = bench.store.feed_state(&source(), Feed::Realtime).unwrap();
    assert_eq!(state.counts.rows_unchanged, 2);
    assert_eq!(state.last_complete_poll_at, Some(now(25).wall));
    bench.is_sound(30);
}

#[test]
fn a_poll_that_the_store_does_not_take_is_compared_anew() {
    let bench = Bench::new();
    let mut realtime = bench.realtime();
    realtime.poll(10, &[("a", "Busy")]).unwrap();
    bench.disk.fail_after(1);
    let refused = realtime.poll(25, &[("a", "Working")]);
    assert!(refused.is_err());
    let report = bench.board.report(Feed::Realtime).unwrap();
    assert!(report.store_error.is_some());
    assert_eq!(report.state.last_complete_poll_at, Some(now(10).wall));
    realtime.poll(40, &[("a", "Working")]).unwrap();
    let report = bench.board.report(Feed::Realtime).unwrap();
    assert_eq!(report.store_error, None);
    // The change is told once, and its bounds reach back to the poll that was kept.
    let records = bench.records();
    let changes: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Transaction(t) if t.state.as_str() == "Working" => Some(t),
            _ => None,
        })
        .collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].earliest_at, Some(now(10).wall));
    bench.is_sound(50);
}

#[test]
fn after_a_power_cut_the_feed_goes_on_from_the_journal() {
    let bench = Bench::new();
    bench
        .realtime()
        .poll(10, &[("a", "Busy"), ("b", "Busy")])
        .unwrap();
    let bench = bench.cut_power(15);
    let mut realtime = bench.realtime();
    realtime
        .poll(25, &[("a", "Busy"), ("b", "Working")])
        .unwrap();
    assert_eq!(origins(&bench)[2..], [Origin::Observed]);
    let bench = bench.cut_power(500);
    let mut realtime = bench.realtime();
    realtime
        .poll(600, &[("a", "Busy"), ("b", "Working")])
        .unwrap();
    let expected = [Origin::Gap, Origin::Resync, Origin::Gap, Origin::Resync];
    assert_eq!(origins(&bench)[3..], expected);
    bench.is_sound(610);
}

#[test]
fn a_failure_is_reported_with_its_reason() {
    let bench = Bench::new();
    let mut realtime = bench.realtime();
    realtime.call(0, 20).unwrap();
    realtime.fail(20, FailureKind::FeedHeld).unwrap();
    let report = bench.board.report(Feed::Realtime).unwrap();
    assert_eq!(report.state.consecutive_failures, 1);
    let FeedDetail::Realtime(status) = report.detail else {
        panic!("the realtime feed reports for itself");
    };
    assert_eq!(status.phase.held(), Some("no answer"));
    assert_eq!(bench.commits(), 0);
}

#[test]
fn an_agent_first_seen_in_a_feed_is_provisional_until_the_import_that_it_asks_for() {
    let bench = Bench::new();
    let mut configuration = bench.configuration();
    configuration.import(0, &["q"], &["a"]);
    let mut realtime = bench.realtime();
    realtime
        .poll(10, &[("a", "Busy"), ("new", "Busy")])
        .unwrap();
    assert!(bench.board.roster().agent("new").unwrap().provisional);
    assert!(!bench.board.roster().agent("a").unwrap().provisional);
    // Ten minutes after the last import, not a day.
    let (s, _) = configuration.call(20, 700).expect("the wish is granted");
    assert!((600..=602).contains(&s));
    configuration.import(s, &["q"], &["a", "new"]);
    assert!(!bench.board.roster().agent("new").unwrap().provisional);
    let stored = bench.store.roster(&source()).unwrap();
    assert!(stored.agents.iter().all(|agent| !agent.provisional));
    bench.is_sound(s);
}

#[test]
fn a_person_gets_the_plan_of_the_import_that_she_asked_for() {
    let bench = Bench::new();
    let mut configuration = bench.configuration();
    configuration.import(0, &["q"], &["a"]);
    let head = bench.store.head();
    let (reply, answer) = bounded(1);
    let dry = ConfigurationCommand::Import {
        dry_run: true,
        reply,
    };
    assert!(configuration.handle.send(dry));
    configuration.import(5, &["q"], &["a", "b"]);
    let plan = answer.try_recv().unwrap().unwrap();
    assert!(plan.dry_run);
    assert_eq!(plan.agents.new.count, 1);
    assert_eq!(bench.store.head(), head);

    let (reply, answer) = bounded(1);
    let wet = ConfigurationCommand::Import {
        dry_run: false,
        reply,
    };
    assert!(configuration.handle.send(wet));
    configuration.call(6, 6).unwrap();
    configuration.fail(6, FailureKind::Unavailable).unwrap();
    assert_eq!(answer.try_recv().unwrap(), Err("no answer".to_owned()));
    bench.is_sound(10);
}

#[test]
fn a_held_shrink_is_closed_when_the_operator_confirms() {
    let bench = Bench::new();
    let mut configuration = bench.configuration();
    configuration.import(0, &["q"], &["a", "b", "c"]);
    configuration.import(86_400, &["q"], &["a"]);
    assert!(bench.board.roster().agent("c").unwrap().open);
    let (reply, answer) = bounded(1);
    assert!(
        configuration
            .handle
            .send(ConfigurationCommand::Confirm { reply })
    );
    configuration.import(86_410, &["q"], &["a"]);
    assert!(answer.try_recv().unwrap());
    assert!(!bench.board.roster().agent("c").unwrap().open);
    bench.is_sound(86_420);
}

#[test]
fn states_mapped_anew_are_journaled_with_the_next_poll() {
    let bench = Bench::new();
    let mut realtime = bench.realtime();
    realtime.poll(10, &[("a", "Lunch")]).unwrap();
    let mut states = StateMap::default();
    states.insert("lunch", Category::Aux).unwrap();
    let options = RealtimeOptions {
        states,
        ..RealtimeOptions::default()
    };
    let command = RealtimeCommand::SetOptions(Box::new(options));
    assert!(realtime.handle.send(command));
    realtime.poll(25, &[("a", "Lunch")]).unwrap();
    let codes = bench.store.state_codes(&source()).unwrap();
    assert_eq!(codes[0].category, Category::Aux);
    assert_eq!(codes[0].first_seen, now(10).wall);
    bench.is_sound(30);
}

#[test]
fn contact_volume_is_journaled_once_and_an_unknown_queue_asks_for_an_import() {
    let bench = Bench::new();
    bench.configuration().import(0, &["q"], &["a"]);
    let mut historical = bench.historical(0);
    let mut s = 1;
    let mut answers = 0;
    // The box asks for what it missed and for what has just closed; every answer has two queues.
    while answers < 12
        && let Some((called_at, call)) = historical.call(s, 7_200)
    {
        s = called_at + 1;
        answers += 1;
        let figures = Figures {
            entered: Some(3),
            abandoned: Some(1),
            handle_time_s: Some(600),
        };
        let rows = call.window.starts().flat_map(|interval_start| {
            ["q", "other"].map(|queue| HistoricalRow {
                queue: QueueId::new(queue).unwrap(),
                interval_start,
                figures,
            })
        });
        let answer = HistoricalAnswer {
            rows: rows.collect(),
            ..HistoricalAnswer::default()
        };
        historical.answer(called_at, &answer).unwrap();
    }
    assert!(answers > 1);
    assert!(bench.board.roster().queue("other").unwrap().provisional);
    let records = bench.records();
    let intervals = records.iter().filter_map(|record| match record {
        Record::Interval(r) => Some((r.queue.clone(), r.interval_start, r.revision)),
        _ => None,
    });
    let mut intervals: Vec<_> = intervals.collect();
    let count = intervals.len();
    assert!(count > 0 && intervals.iter().all(|(_, _, revision)| *revision == 1));
    intervals.sort();
    intervals.dedup();
    assert_eq!(intervals.len(), count, "equal figures are written once");
    bench.is_sound(s);
}
