//! The delivery loop over a real store, with a destination that answers from a script.
//!
//! Time is virtual: a test steps the worker and moves the clock to where it wants to wake.

#[path = "delivery/box_under_test.rs"]
mod box_under_test;
#[path = "delivery/scripted.rs"]
mod scripted;
#[path = "delivery/to_sqlite.rs"]
mod to_sqlite;

use std::time::Duration;

use box_under_test::{Box_, START, seq};
use scripted::{Called, Scripted};
use thrio_edge::destination::SendError;
use thrio_edge::domain::delivery::{DeliveryOptions, DeliveryPhase, StartAt};
use thrio_edge::domain::ids::{Feed, SourceName};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::forwarder::{ForwardCommand, Obeyed};

fn options() -> DeliveryOptions {
    DeliveryOptions {
        batch_records: 8,
        ..DeliveryOptions::default()
    }
}

fn down() -> SendError {
    SendError::Retry {
        message: "connection refused".to_owned(),
        retry_after: None,
        unreachable: true,
    }
}

fn held() -> SendError {
    SendError::Held {
        reason: "wrong password".to_owned(),
        remedy: "set another".to_owned(),
    }
}

fn busy(retry_after: Option<Duration>) -> SendError {
    SendError::Retry {
        message: "busy".to_owned(),
        retry_after,
        unreachable: false,
    }
}

#[test]
fn everything_journaled_arrives_once_and_the_books_balance() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.journal_transactions(50);
    under_test.run_until_delivered();
    assert_eq!(
        under_test.destination.held_seqs(),
        (1..=50).collect::<Vec<_>>()
    );
    assert_eq!(under_test.destination.sent_twice(), 0);
    let balance = under_test.check_balance();
    assert_eq!((balance.backlog, balance.counts.acknowledged), (0, 50));
}

#[test]
fn whatever_error_comes_when_nothing_is_lost_and_the_books_balance() {
    for run in 0..40_u64 {
        let seed = 1_000 + run;
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut under_test = Box_::new(options(), Scripted::default());
        for _ in 0..rng.usize(3..12) {
            under_test.journal_transactions(rng.u64(1..30));
            for _ in 0..rng.usize(0..4) {
                let error = match rng.u8(0..5) {
                    0 => down(),
                    1 => held(),
                    2 => busy(Some(Duration::from_secs(7))),
                    3 => busy(None),
                    _ => SendError::TooLarge {
                        message: "413".to_owned(),
                    },
                };
                under_test.destination.fail_next(error, rng.bool());
            }
            if rng.u8(0..4) == 0 {
                let head = under_test.store.head().get();
                under_test.destination.refuse(rng.u64(1..=head + 5));
            }
            if rng.u8(0..4) == 0 {
                under_test.restart(rng.bool());
            }
            under_test.run_for(Duration::from_secs(rng.u64(0..40)));
            under_test.check_balance();
        }
        under_test.destination.heal();
        under_test.run_until_delivered();
        under_test.check_balance();
        let quarantined = under_test.quarantined();
        let mut all = under_test.destination.held_seqs();
        all.extend(&quarantined);
        all.sort_unstable();
        all.dedup();
        let head = under_test.store.head().get();
        assert_eq!(all, (1..=head).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_destination_that_is_down_is_probed_every_ten_seconds_and_found_again() {
    let mut under_test = Box_::new(
        DeliveryOptions {
            backoff_min: Duration::from_mins(10),
            backoff_max: Duration::from_mins(10),
            ..options()
        },
        Scripted::default(),
    );
    under_test.destination.down_for(Duration::from_mins(2));
    under_test.journal_transactions(3);
    under_test.run_for(Duration::from_mins(3));
    let probes = under_test.destination.times_of(&Called::Probe);
    assert!(probes.len() >= 11, "{probes:?}");
    let apart = |pair: &[Duration]| pair[1].saturating_sub(pair[0]) <= Duration::from_secs(10);
    assert!(probes.windows(2).all(apart), "{probes:?}");
    assert_eq!(under_test.destination.held_seqs(), [1, 2, 3]);
}

#[test]
fn what_a_destination_asks_for_wins_over_the_backoff() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.run_for(Duration::from_secs(1));
    let before = under_test.elapsed();
    let error = busy(Some(Duration::from_secs(90)));
    under_test.destination.fail_next(error, false);
    under_test.journal_transactions(1);
    under_test.run_until_delivered();
    let waited = under_test.elapsed().saturating_sub(before);
    assert!(waited >= Duration::from_secs(90), "{waited:?}");
    assert!(waited <= Duration::from_secs(93), "{waited:?}");
}

#[test]
fn a_held_destination_loses_nothing_and_says_why() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.run_for(Duration::from_secs(1));
    under_test.journal_transactions(20);
    under_test.destination.fail_next(held(), false);
    under_test.run_for(Duration::from_secs(5));
    let status = under_test.status();
    let DeliveryPhase::Held { reason, remedy, .. } = &status.phase else {
        panic!("{status:?}");
    };
    assert_eq!(
        (reason.as_str(), remedy.as_str()),
        ("wrong password", "set another")
    );
    assert_eq!(status.balance.backlog, 20);
    under_test.handle.send(ForwardCommand::RetryNow);
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.held_seqs().len(), 20);
}

#[test]
fn a_refused_record_is_found_and_set_apart_and_its_neighbours_arrive() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.destination.refuse(13);
    under_test.journal_transactions(40);
    under_test.run_until_delivered();
    assert_eq!(under_test.quarantined(), [13]);
    let expected: Vec<u64> = (1..=40).filter(|n| *n != 13).collect();
    assert_eq!(under_test.destination.held_seqs(), expected);
    // The receipt spans it, so that quarantined records make no holes there.
    assert_eq!(under_test.destination.ranges(), 1);
    let balance = under_test.check_balance();
    assert_eq!(balance.counts.quarantined, 1);

    under_test.destination.heal();
    let retry = ForwardCommand::RetryQuarantined(vec![seq(13)]);
    under_test.handle.send(retry);
    under_test.run_for(Duration::from_secs(5));
    assert!(under_test.quarantined().is_empty());
    assert_eq!(
        under_test.destination.held_seqs(),
        (1..=40).collect::<Vec<_>>()
    );
    let balance = under_test.check_balance();
    assert_eq!(
        (balance.counts.quarantined, balance.counts.acknowledged),
        (0, 40)
    );
}

/// A record is refused in a batch whose other records the destination takes only later; meanwhile
/// a person discards it. Its position was not done yet, and after a restart it was sent once more.
#[test]
fn a_discarded_record_stays_discarded_after_a_restart() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.run_for(Duration::from_secs(1));
    under_test.destination.refuse(3);
    under_test.journal_transactions(4);
    under_test.run_until(|under_test| !under_test.quarantined().is_empty());
    under_test
        .destination
        .down_for(under_test.elapsed() + Duration::from_mins(5));
    under_test.run_for(Duration::from_secs(1));
    assert!(under_test.check_balance().backlog > 0, "3 is not done yet");
    let discard = ForwardCommand::DiscardQuarantined(vec![seq(3)]);
    let answer = under_test.handle.ask(discard).expect("the worker is there");
    under_test.run_for(Duration::from_secs(1));
    assert_eq!(answer.try_recv().expect("answered"), Ok(Obeyed::Done));
    assert!(under_test.quarantined().is_empty());

    // Killed: only what was made durable is there.
    under_test.restart(false);
    under_test.destination.heal();
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.held_seqs(), [1, 2, 4]);
    assert!(under_test.quarantined().is_empty());
    let balance = under_test.check_balance();
    assert_eq!(
        (balance.counts.quarantined, balance.counts.acknowledged),
        (1, 3)
    );
    // Nothing is remembered of it once its position is done.
    assert_eq!(under_test.progress().discarded, []);
}

#[test]
fn a_retry_that_was_asked_for_is_made_although_the_process_is_killed() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.destination.refuse(2);
    under_test.journal_transactions(3);
    under_test.run_until_delivered();
    assert_eq!(under_test.quarantined(), [2]);
    under_test.destination.heal();
    under_test
        .destination
        .down_for(under_test.elapsed() + Duration::from_mins(1));
    let retry = ForwardCommand::RetryQuarantined(vec![seq(2)]);
    under_test.handle.send(retry);
    under_test.run_for(Duration::from_secs(2));
    under_test.restart(true);
    under_test.run_for(Duration::from_mins(3));
    assert_eq!(under_test.destination.held_seqs(), [1, 2, 3]);
    assert!(under_test.quarantined().is_empty());
}

#[test]
fn a_destination_that_refuses_everything_is_held_before_all_is_in_quarantine() {
    let mut under_test = Box_::new(options(), Scripted::default());
    for n in 1..=200 {
        under_test.destination.refuse(n);
    }
    under_test.journal_transactions(200);
    under_test.run_for(Duration::from_secs(30));
    assert!(matches!(
        under_test.status().phase,
        DeliveryPhase::Held { .. }
    ));
    assert!(under_test.quarantined().len() <= 20);
}

#[test]
fn too_large_a_batch_is_halved_until_it_fits() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.destination.takes_at_most(2);
    under_test.journal_transactions(30);
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.held_seqs().len(), 30);
    assert!(under_test.quarantined().is_empty());
}

#[test]
fn a_lost_cursor_is_found_in_the_receipt() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.journal_transactions(30);
    under_test.run_until_delivered();
    under_test.forget_progress();
    under_test.journal_transactions(5);
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.sent_twice(), 0);
    assert_eq!(under_test.check_balance().counts.acknowledged, 35);
}

#[test]
fn a_destination_that_holds_more_than_the_journal_gets_a_new_store_id() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.journal_transactions(10);
    under_test.run_until_delivered();
    let former = under_test.store.store_id();
    // A backup of an earlier day comes back: the destination knows seqs that it does not have.
    under_test.destination.pretend_applied(former, 11, 40);
    under_test.restart(true);
    // Collecting goes on before the destination is asked: the head passes its receipt.
    under_test.journal_transactions(60);
    under_test.run_until_delivered();
    let id = under_test.store.store_id();
    assert_ne!(id, former);
    let sent = under_test.destination.held_seqs_of(id);
    assert_eq!(sent, (11..=70).collect::<Vec<_>>());
    under_test.check_balance();
}

/// The restored box collects past what the destination holds and is restarted before it reaches
/// it: its new records must not pass for those that the destination has under the same seqs.
#[test]
fn a_rolled_back_store_is_noticed_although_it_was_restarted_before_the_destination_came_back() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.journal_transactions(10);
    under_test.run_until_delivered();
    let former = under_test.store.store_id();
    under_test.destination.pretend_applied(former, 11, 40);
    under_test.restart(true);
    under_test
        .destination
        .down_for(under_test.elapsed() + Duration::from_mins(10));
    under_test.run_for(Duration::from_mins(1));
    under_test.journal_transactions(60);
    for _ in 0..3 {
        under_test.restart(false);
        under_test.run_for(Duration::from_mins(1));
        under_test.journal_transactions(5);
    }
    under_test.run_until_delivered();
    let id = under_test.store.store_id();
    assert_ne!(id, former);
    let sent = under_test.destination.held_seqs_of(id);
    assert_eq!(sent, (11..=85).collect::<Vec<_>>());
    under_test.check_balance();
}

/// The other way round: what was sent in this life, though no cursor of it was written before the
/// kill, is no sign of a rolled-back store.
#[test]
fn a_killed_process_knows_its_own_receipt_again() {
    let mut under_test = Box_::new(options(), Scripted::default());
    let id = under_test.store.store_id();
    for _ in 0..10 {
        under_test.journal_transactions(30);
        under_test.run_for(Duration::from_secs(2));
        under_test.restart(false);
    }
    under_test.run_until_delivered();
    assert_eq!(under_test.store.store_id(), id);
    assert_eq!(under_test.destination.sent_twice(), 0);
    under_test.check_balance();
}

#[test]
fn after_an_outage_the_present_comes_first_and_the_backlog_behind_it() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.journal_transactions(4);
    under_test.run_until_delivered();
    under_test.destination.down_for(Duration::from_mins(5));
    under_test.run_for(Duration::from_mins(1));
    under_test.journal_transactions(500);
    under_test.run_for(Duration::from_mins(5));
    let since = under_test
        .destination
        .first_success_after(Duration::from_mins(5));
    assert!(matches!(since.first(), Some(Called::Open)), "{since:?}");
    assert!(
        matches!(since.get(1), Some(Called::Current(_))),
        "{since:?}"
    );
    under_test.run_until_delivered();
    assert_eq!(
        under_test.destination.held_seqs(),
        (1..=504).collect::<Vec<_>>()
    );
    assert_eq!(under_test.destination.ranges(), 1);
}

#[test]
fn a_backlog_is_as_old_as_it_has_waited_not_as_what_it_is_about() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.run_for(Duration::from_secs(2));
    under_test.destination.down_for(Duration::from_hours(1));
    under_test.run_for(Duration::from_mins(9));
    let journaled = START.plus(under_test.elapsed());
    // History, fetched just now.
    under_test.journal_intervals(-40..0);
    under_test.run_for(Duration::from_mins(1));
    under_test.journal_transactions(3);
    under_test.run_for(Duration::from_mins(10));
    let oldest = |under_test: &Box_| under_test.handle.report().and_then(|r| r.oldest_unsent_at);
    assert_eq!(oldest(&under_test), Some(journaled));
    under_test.restart(true);
    under_test.run_for(Duration::from_mins(1));
    assert_eq!(oldest(&under_test), Some(journaled));
    under_test.run_until_delivered();
    under_test.run_for(Duration::from_secs(5));
    assert_eq!(oldest(&under_test), None);
}

#[test]
fn a_live_lane_carries_the_present_while_the_backlog_drains() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.destination.takes(Duration::from_millis(200));
    under_test.journal_transactions(1_000);
    under_test.run_for(Duration::from_secs(2));
    let backlog_end = under_test.store.head().get();
    under_test.journal_transactions(3);
    under_test.run_for(Duration::from_secs(2));
    let arrived = under_test.destination.held_seqs();
    assert!(
        arrived.contains(&(backlog_end + 3)),
        "the newest record is there"
    );
    assert!(
        !arrived.contains(&backlog_end),
        "the backlog is not drained yet"
    );
    assert_eq!(under_test.destination.ranges(), 2);
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.ranges(), 1);
    under_test.check_balance();
}

#[test]
fn an_idle_box_is_heard_of_every_minute() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.run_for(Duration::from_mins(30));
    let beats = under_test.destination.times_of(&Called::Heartbeat);
    assert!((30..=40).contains(&beats.len()), "{}", beats.len());
    let apart = |pair: &[Duration]| pair[1].saturating_sub(pair[0]) <= Duration::from_mins(1);
    assert!(beats.windows(2).all(apart), "{beats:?}");
}

#[test]
fn a_new_destination_may_begin_now_and_says_what_it_skipped() {
    let at_start = DeliveryOptions {
        start: StartAt::Now,
        ..options()
    };
    let mut under_test = Box_::with_history(30, at_start, Scripted::default());
    under_test.destination.down_for(Duration::from_mins(1));
    under_test.journal_transactions(5);
    under_test.restart(true);
    under_test.run_until_delivered();
    assert_eq!(
        under_test.destination.held_seqs(),
        (31..=35).collect::<Vec<_>>()
    );
    assert_eq!(under_test.check_balance().counts.skipped, 30);
    // The cursor is lost later: what was journaled since the start is not skipped again.
    under_test.forget_progress();
    under_test.journal_transactions(5);
    under_test.run_until_delivered();
    assert_eq!(
        under_test.destination.held_seqs(),
        (31..=40).collect::<Vec<_>>()
    );
    assert_eq!(under_test.check_balance().counts.skipped, 30);
}

#[test]
fn no_byte_of_another_tenant_leaves() {
    let only = SourceName::new("main").expect("a name");
    let filtered = DeliveryOptions {
        sources: vec![only.clone()],
        feeds: vec![Feed::Realtime],
        ..options()
    };
    let mut under_test = Box_::new(filtered, Scripted::default());
    under_test.journal_transactions(10);
    under_test.journal_transactions_of("other", 10);
    under_test.journal_intervals(0..10);
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.sources(), [only]);
    assert_eq!(
        under_test.destination.held_seqs(),
        (1..=10).collect::<Vec<_>>()
    );
    let balance = under_test.check_balance();
    assert_eq!(
        (balance.counts.acknowledged, balance.counts.filtered),
        (30, 20)
    );
}

#[test]
fn facts_from_keeps_earlier_intervals_out_and_starts_agents_at_that_time() {
    let from = IntervalStart::containing(box_under_test::START).plus(1);
    let filtered = DeliveryOptions {
        facts_from: Some(from),
        ..options()
    };
    let mut under_test = Box_::new(filtered, Scripted::default());
    under_test.journal_transactions(1);
    under_test.journal_intervals(0..3);
    under_test.run_until_delivered();
    let earliest = under_test.destination.earliest_fact().expect("facts");
    assert_eq!(earliest, from.start());
    assert_eq!(under_test.check_balance().counts.filtered, 1);
}

#[test]
fn a_replay_sends_again_and_leaves_the_books_alone() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.journal_transactions(25);
    under_test.run_until_delivered();
    let before = under_test.check_balance();
    under_test
        .handle
        .send(ForwardCommand::ReplayFromSeq(seq(11)));
    under_test.run_for(Duration::from_secs(30));
    assert_eq!(under_test.destination.sent_twice(), 15);
    let after = under_test.check_balance();
    assert_eq!(after.counts.replayed, 15);
    assert_eq!(after.counts.acknowledged, before.counts.acknowledged);
}

#[test]
fn a_paused_destination_gets_nothing_and_everything_afterwards() {
    let paused = DeliveryOptions {
        paused: true,
        ..options()
    };
    let mut under_test = Box_::new(paused, Scripted::default());
    under_test.journal_transactions(5);
    under_test.run_for(Duration::from_mins(5));
    assert!(under_test.destination.calls().is_empty());
    let go_on = ForwardCommand::Configure(Box::new(options()), box_under_test::sources());
    under_test.handle.send(go_on);
    under_test.run_until_delivered();
    assert_eq!(under_test.destination.held_seqs().len(), 5);
}

#[test]
fn the_planted_early_cursor_loses_records_and_a_test_can_see_it() {
    let mut under_test = Box_::new(options(), Scripted::default());
    under_test.plant_early_cursor();
    under_test.run_for(Duration::from_secs(1));
    under_test.destination.fail_next(busy(None), false);
    under_test.journal_transactions(6);
    under_test.run_until_delivered();
    assert!(under_test.destination.held_seqs().len() < 6);
}
