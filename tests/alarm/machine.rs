//! Scenarios of the machine, in virtual time.

use std::time::Duration;

use thrio_edge::domain::alarm::{AlarmOptions, AlarmStep, MessageKind, Severity, Transition, Way};

use crate::rig::{Rig, S, codes, condition, error, warning};

#[test]
fn a_condition_is_raised_after_it_stood_and_cleared_after_it_was_gone() {
    let mut rig = Rig::new();
    let since = rig.now.wall;
    assert_eq!(rig.watch(&[error("feed_held")], 57 * S), []);
    let raised = rig.watch(&[error("feed_held")], 3 * S);
    let [Transition::Raised(alarm)] = raised.as_slice() else {
        panic!("{raised:?}");
    };
    assert_eq!((alarm.since, alarm.cleared_at), (since, None));
    assert_eq!(alarm.raised_at, rig.now.wall);
    assert_eq!(rig.watch(&[], 117 * S), []);
    let cleared = rig.watch(&[], 6 * S);
    let [Transition::Cleared(alarm)] = cleared.as_slice() else {
        panic!("{cleared:?}");
    };
    assert_eq!(alarm.since, since);
    assert!(alarm.cleared_at.is_some());
}

#[test]
fn what_flaps_raises_nothing_and_what_comes_back_is_not_cleared() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        assert_eq!(rig.watch(&[warning("feed_failing")], 45 * S), []);
        assert_eq!(rig.watch(&[], 45 * S), []);
    }
    rig.watch(&[error("feed_held")], 60 * S);
    for _ in 0..100 {
        assert_eq!(rig.watch(&[], 60 * S), []);
        assert_eq!(rig.watch(&[error("feed_held")], 60 * S), []);
    }
    assert_eq!(rig.machine.standing().count(), 1);
}

#[test]
fn changes_that_come_together_go_together_with_all_that_stands() {
    let mut rig = Rig::new();
    rig.watch(&[error("feed_held")], 20 * S);
    let both = [error("feed_held"), warning("clock_off")];
    let told = rig.tell(&both, Duration::from_mins(3));
    let [message] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(message.kind, MessageKind::Change);
    assert_eq!(codes(&message.raised), ["feed_held", "clock_off"]);
    assert_eq!(codes(&message.standing), ["feed_held", "clock_off"]);
    assert_eq!(message.standing_count, 2);
}

#[test]
fn between_two_messages_there_is_a_rest_and_what_comes_meanwhile_is_merged() {
    let mut rig = Rig::new();
    let first = rig.tell(&[error("feed_held")], Duration::from_mins(2));
    assert_eq!(first.len(), 1);
    let mut seen = vec![error("feed_held")];
    for n in 0..5 {
        seen.push(condition(
            Severity::Error,
            "destination_held",
            &format!("d{n}"),
        ));
        assert_eq!(rig.tell(&seen, 36 * S), []);
    }
    let next = rig.tell(&seen, Duration::from_mins(5));
    let [message] = next.as_slice() else {
        panic!("{next:?}");
    };
    assert_eq!(message.raised.len(), 5);
}

#[test]
fn a_failing_receiver_is_tried_again_and_hears_everything_once_it_is_back() {
    let mut rig = Rig::new();
    let told = rig.tell(&[error("feed_held")], Duration::from_mins(2));
    assert_eq!(told.len(), 1);
    let mut attempts = 0;
    let mut seen = Vec::new();
    for minute in 0..360 {
        // One comes and goes every quarter hour; one stays from the second hour on.
        seen.clear();
        if minute % 15 < 5 {
            seen.push(warning("destination_failing"));
        }
        if minute >= 120 {
            seen.push(error("store_full"));
        }
        rig.watch(&seen, Duration::from_mins(1));
        if rig.message().is_some() {
            attempts += 1;
            rig.fails();
        }
    }
    assert!((30..=200).contains(&attempts), "{attempts} in six hours");
    let (_, status) = rig.machine.ways().next().unwrap();
    assert_eq!(status.failures, attempts);
    assert_eq!(status.last_error.as_deref(), Some("the receiver is down"));
    let told = rig.tell(&[error("store_full")], Duration::from_mins(30));
    let [message] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(codes(&message.raised), ["store_full"]);
    assert_eq!(codes(&message.cleared), ["feed_held"]);
    assert_eq!(message.passed.len(), 24);
    let (_, status) = rig.machine.ways().next().unwrap();
    assert_eq!((status.failures, status.waiting), (0, 0));
}

#[test]
fn an_error_that_stands_is_told_again_and_a_warning_is_not() {
    let options = AlarmOptions {
        remind: Duration::from_hours(1),
        ..AlarmOptions::default()
    };
    let mut rig = Rig::with(options, &[Way::Webhook]);
    let told = rig.tell(&[warning("gaps")], Duration::from_hours(3));
    assert_eq!(told.len(), 1);
    let both = [warning("gaps"), error("feed_held")];
    let told = rig.tell(&both, Duration::from_mins(3 * 60 + 10));
    let kinds: Vec<MessageKind> = told.iter().map(|m| m.kind).collect();
    let again = MessageKind::Reminder;
    assert_eq!(kinds, [MessageKind::Change, again, again, again]);
    assert_eq!(codes(&told[3].standing), ["feed_held", "gaps"]);
    let told = rig.tell(&[], Duration::from_hours(5));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].cleared.len(), 2);
}

#[test]
fn under_the_least_severity_nothing_is_told() {
    let options = AlarmOptions {
        least: Severity::Error,
        ..AlarmOptions::default()
    };
    let mut rig = Rig::with(options, &[Way::Webhook]);
    assert_eq!(rig.tell(&[warning("gaps")], Duration::from_mins(10)), []);
    let both = [warning("gaps"), error("feed_held")];
    let told = rig.tell(&both, Duration::from_mins(10));
    assert_eq!(codes(&told[0].standing), ["feed_held"]);
    let told = rig.tell(&[], Duration::from_mins(20));
    assert_eq!(told.len(), 1);
    assert_eq!(codes(&told[0].cleared), ["feed_held"]);
}

#[test]
fn a_restart_repeats_nothing_forgets_nothing_and_keeps_since() {
    let mut rig = Rig::new();
    let both = [error("feed_held"), error("store_full")];
    let told = rig.tell(&both, Duration::from_mins(2));
    let since = told[0].raised[0].since;
    rig.restart();
    assert_eq!(rig.machine.since("feed_held", "main/realtime"), Some(since));
    // One is not found again at once, the other is gone.
    rig.watch(&[], 57 * S);
    let told = rig.tell(&[error("feed_held")], Duration::from_mins(20));
    let [message] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(codes(&message.cleared), ["store_full"]);
    assert_eq!(codes(&message.standing), ["feed_held"]);
    assert_eq!(message.raised, []);
    assert_eq!(message.standing[0].since, since);
}

#[test]
fn a_change_that_waited_is_told_after_a_restart_within_the_rest() {
    let mut rig = Rig::new();
    assert_eq!(rig.tell(&[error("feed_held")], 93 * S).len(), 1);
    let told_at = rig.now.wall;
    let both = [error("feed_held"), error("store_full")];
    assert_eq!(rig.tell(&both, 120 * S), []);
    rig.restart();
    let told = rig.tell(&both, Duration::from_mins(10));
    assert_eq!(told.len(), 1);
    assert_eq!(codes(&told[0].raised), ["store_full"]);
    let (_, status) = rig.machine.ways().next().unwrap();
    let apart = status.last_told_at.unwrap().ms_since(told_at);
    assert!((300_000..310_000).contains(&apart), "{apart}");
}

#[test]
fn one_condition_in_two_places_is_one_alarm() {
    let mut rig = Rig::new();
    let mut agents = error("import_held");
    agents.message = "3 of 10 agents".to_owned();
    agents.by = Some(rig.now.wall);
    let told = rig.tell(&[error("import_held"), agents], Duration::from_mins(3));
    let [alarm] = told[0].raised.as_slice() else {
        panic!("{told:?}");
    };
    assert!(alarm.condition.message.ends_with("; 3 of 10 agents"));
    assert!(alarm.condition.by.is_some());
}

#[test]
fn each_way_has_its_own_pace() {
    let mut rig = Rig::with(AlarmOptions::default(), &[Way::Webhook, Way::Command]);
    rig.watch(&[error("feed_held")], 93 * S);
    let mut ways = Vec::new();
    for outcome in [false, true] {
        let step = loop {
            match rig.machine.begin(rig.now) {
                AlarmStep::Beat => rig.machine.beaten(rig.now.mono, Ok(())),
                other => break other,
            }
        };
        let AlarmStep::Tell(way, _) = step else {
            panic!("{step:?}");
        };
        if outcome {
            rig.machine.told(rig.now, way, Ok(()));
        } else {
            rig.fails();
        }
        ways.push(way);
    }
    assert_eq!(ways, [Way::Webhook, Way::Command]);
    rig.pass(Duration::from_mins(1));
    let step = rig.machine.begin(rig.now);
    assert!(matches!(step, AlarmStep::Tell(Way::Webhook, _)), "{step:?}");
}

#[test]
fn the_heartbeat_goes_while_all_is_well_and_only_then() {
    let mut rig = Rig::with(AlarmOptions::default(), &[]);
    let beats_in = |rig: &mut Rig, seen: &[_], ready, time: Duration| {
        let end = rig.now.mono.plus(time);
        let mut beats = 0;
        while rig.now.mono < end {
            rig.pass(3 * S);
            rig.machine.observe(rig.now, seen.to_vec(), ready);
            if rig.machine.begin(rig.now) == AlarmStep::Beat {
                beats += 1;
                rig.machine.beaten(rig.now.mono, Err("nobody".to_owned()));
            }
        }
        beats
    };
    let hour = Duration::from_hours(1);
    let each_minute = 58..=60;
    assert!(each_minute.contains(&beats_in(&mut rig, &[], true, hour)));
    assert_eq!(beats_in(&mut rig, &[], false, hour), 0);
    let with_warning = beats_in(&mut rig, &[warning("gaps")], true, hour);
    assert!(each_minute.contains(&with_warning));
    let held = [error("feed_held")];
    assert!(beats_in(&mut rig, &held, true, hour) <= 2);
    assert_eq!(beats_in(&mut rig, &held, true, hour), 0);
    beats_in(&mut rig, &[], true, Duration::from_mins(3));
    assert!(each_minute.contains(&beats_in(&mut rig, &[], true, hour)));
    // One that starts again and again is not heard.
    for _ in 0..100 {
        rig.restart();
        assert_eq!(beats_in(&mut rig, &[], true, 45 * S), 0);
    }
    beats_in(&mut rig, &[], true, Duration::from_mins(2));
    assert_eq!(rig.machine.heartbeat_error(), Some("nobody"));
}
