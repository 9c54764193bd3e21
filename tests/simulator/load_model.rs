//! Volume, states and roster against the load model of the design.

use std::collections::BTreeMap;
use std::sync::Arc;

use thrio_edge::simulator::{Centre, Preset, QUARTER_HOUR_S, Shape, State};

use crate::{DAY_S, HOUR_S, MONDAY_S};

const LATER_MS: i64 = (MONDAY_S + 60 * DAY_S) * 1_000;

#[test]
fn equal_seeds_give_equal_worlds_whatever_was_asked_before() {
    let ask = |centre: &Centre| {
        let at_ms = (MONDAY_S + 10 * HOUR_S) * 1_000;
        (
            centre.agents_at(at_ms),
            centre
                .volumes(MONDAY_S, MONDAY_S + DAY_S, at_ms)
                .collect::<Vec<_>>(),
            centre.users_at(at_ms),
            centre.queues_at(at_ms),
        )
    };
    let first = Centre::new(Preset::S, 11);
    let second = Centre::new(Preset::S, 11);
    second.agents_at(MONDAY_S * 1_000 - 9 * 86_400_000);
    second.volumes(0, DAY_S, LATER_MS).for_each(drop);
    assert_eq!(ask(&first), ask(&second));
    assert_ne!(ask(&first), ask(&Centre::new(Preset::S, 12)));
}

#[test]
fn a_mean_weekday_brings_the_contacts_of_the_table_spread_over_the_hours_as_given() {
    let centre = Centre::new(Preset::S, 1);
    let weeks = 8;
    let mut by_hour = BTreeMap::<i64, u64>::new();
    for day in (0..weeks * 7).filter(|day| day % 7 < 5) {
        let from_s = MONDAY_S + day * DAY_S;
        for row in centre.volumes(from_s, from_s + DAY_S, LATER_MS) {
            *by_hour.entry((row.start_s - from_s) / HOUR_S).or_default() += row.volume.entered;
        }
    }
    let total = by_hour.values().sum::<u64>() as f64;
    let per_day = total / (weeks * 5) as f64;
    assert!(
        (per_day / 4_000.0 - 1.0).abs() < 0.04,
        "{per_day} contacts a weekday"
    );
    for (hour, percent) in [(7, 2.7), (10, 8.3), (12, 6.2), (16, 7.7), (23, 2.7)] {
        let share = by_hour[&hour] as f64 / total * 100.0;
        assert!(
            (share - percent).abs() < 0.35,
            "hour {hour}: {share:.2} % of {percent}"
        );
    }
}

#[test]
fn volume_varies_more_than_poisson_by_day_and_by_interval() {
    let shape = Shape {
        contacts_per_day: 400_000.0,
        queues: 1,
        ..Shape::default()
    };
    let centre = Centre::with_shape(shape, 5);
    let tuesdays: Vec<f64> = (0..60)
        .map(|week| MONDAY_S + DAY_S + week * 7 * DAY_S)
        .map(|day_s| {
            let noon_s = day_s + 12 * HOUR_S;
            centre
                .volumes(
                    noon_s,
                    noon_s + 8 * QUARTER_HOUR_S,
                    noon_s * 1_000 + 86_400_000,
                )
                .map(|row| row.volume.entered as f64)
                .sum()
        })
        .collect();
    let mean = tuesdays.iter().sum::<f64>() / tuesdays.len() as f64;
    let variance = tuesdays.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / tuesdays.len() as f64;
    let cv = variance.sqrt() / mean;
    // Eight intervals share the day's 7 % and each has 5 % of its own: sqrt(.07^2 + .05^2 / 8).
    assert!(
        (0.055..0.095).contains(&cv),
        "CV of two hours' volume: {cv}"
    );
}

#[test]
fn at_least_thirty_percent_of_queue_intervals_are_true_zeros_at_every_size() {
    for preset in [Preset::S, Preset::M, Preset::L] {
        let centre = Centre::new(preset, 3);
        let rows: Vec<_> = centre
            .volumes(MONDAY_S, MONDAY_S + DAY_S, LATER_MS)
            .collect();
        let zeros = rows.iter().filter(|row| row.volume.is_zero()).count();
        let share = zeros as f64 / rows.len() as f64;
        assert!(share >= 0.30, "{preset:?}: {share}");
        assert_eq!(rows.len(), 96 * centre.shape().queues as usize);
    }
}

#[test]
fn figures_settle_entered_first_then_abandoned_then_handle_time_and_never_shrink() {
    let centre = Centre::new(Preset::S, 2);
    let start_s = MONDAY_S + 10 * HOUR_S;
    let known = |after_s: i64| {
        let mut rows = centre.volumes(start_s, start_s + 900, (start_s + after_s) * 1_000);
        rows.next().unwrap().volume
    };
    let ages = [0, 60, 450, 900, 1_000, 2_000, 3_600, 8_100, 14_400, 100_000];
    for pair in ages.windows(2) {
        let (young, old) = (known(pair[0]), known(pair[1]));
        assert!(young.entered <= old.entered && young.abandoned <= old.abandoned);
        assert!(young.handle_time_s <= old.handle_time_s);
    }
    let (closed, final_) = (known(900), known(14_400));
    assert!(known(0).is_zero());
    assert!(closed.entered > 20 && closed.entered == final_.entered);
    assert!(
        closed.handle_time_s < final_.handle_time_s * 9 / 10,
        "{closed:?} {final_:?}"
    );
    assert_eq!(known(14_400), known(86_400));
    let abandon_rate = final_.abandoned as f64 / final_.entered as f64;
    assert!(abandon_rate < 0.25, "{abandon_rate}");
}

#[test]
fn some_figures_are_corrected_by_hand_after_they_were_final() {
    let shape = Shape {
        correction_share: 0.05,
        ..Shape::default()
    };
    let centre = Centre::with_shape(shape, 9);
    let read = |days: i64| {
        let known_ms = (MONDAY_S + (1 + days) * DAY_S) * 1_000;
        centre
            .volumes(MONDAY_S, MONDAY_S + DAY_S, known_ms)
            .collect::<Vec<_>>()
    };
    let (after_a_day, after_a_week, for_good) = (read(1), read(7), read(40));
    let corrected = after_a_day
        .iter()
        .zip(&after_a_week)
        .filter(|(a, b)| a != b)
        .count();
    let with_contacts = after_a_week
        .iter()
        .filter(|row| !row.volume.is_zero())
        .count();
    let portion = corrected as f64 / with_contacts as f64;
    assert!((0.02..0.08).contains(&portion), "{portion}");
    assert_eq!(after_a_week, for_good);
}

#[test]
fn as_many_agents_are_on_at_peak_and_change_as_often_as_the_table_says() {
    for (preset, peak, per_day) in [(Preset::S, 40.0, 12_000.0), (Preset::M, 325.0, 100_000.0)] {
        let centre = Centre::new(preset, 4);
        let tuesday_s = MONDAY_S + DAY_S;
        let on = |at_s: i64| {
            let agents = centre.agents_at(at_s * 1_000);
            agents
                .iter()
                .filter(|agent| agent.state != State::LoggedOut)
                .count()
        };
        let busiest = (0..96).map(|n| on(tuesday_s + n * 900)).max().unwrap() as f64;
        assert!(
            (0.8..1.2).contains(&(busiest / peak)),
            "{preset:?}: {busiest} on at peak"
        );
        let from_ms = tuesday_s * 1_000;
        let changes = centre.changes(from_ms, from_ms + 86_400_000).len() as f64;
        assert!(
            (0.7..1.3).contains(&(changes / per_day)),
            "{preset:?}: {changes} a day"
        );
        assert!(on(tuesday_s + 4 * HOUR_S) == 0, "nobody works at 04:00");
    }
}

/// Domain rule 9: of the states of each kind, the share that no poll at the period falls into.
#[test]
fn polling_loses_short_states_as_measured_on_real_calls() {
    let centre = Centre::new(Preset::M, 6);
    let (from_ms, to_ms) = (MONDAY_S * 1_000, (MONDAY_S + 3 * DAY_S) * 1_000);
    let mut open: BTreeMap<Arc<str>, (State, i64)> = BTreeMap::new();
    let mut talk = Vec::new();
    let mut between_calls = Vec::new();
    for change in centre.changes(from_ms, to_ms) {
        let before = open.insert(change.id, (change.state, change.at_ms));
        match before {
            Some((State::Busy, since)) => talk.push((since, change.at_ms)),
            Some((State::Available, since)) if change.state == State::Busy => {
                between_calls.push((since, change.at_ms));
            }
            _ => {}
        }
    }
    let lost_percent = |spans: &[(i64, i64)], period_s: i64| {
        let period_ms = period_s * 1_000;
        let poll_before = |at_ms: i64| at_ms.div_euclid(period_ms);
        let lost = spans
            .iter()
            .filter(|(from, to)| poll_before(from - 1) == poll_before(to - 1))
            .count();
        lost as f64 / spans.len() as f64 * 100.0
    };
    assert!(talk.len() > 50_000);
    for (period_s, talk_lost, between_lost) in [(5, 1.5, 3.9), (15, 4.0, 23.9), (60, 12.7, 43.9)] {
        let talk_seen = lost_percent(&talk, period_s);
        let between_seen = lost_percent(&between_calls, period_s);
        assert!(
            (talk_seen - talk_lost).abs() < 0.5,
            "talk, {period_s} s: {talk_seen:.2} %"
        );
        assert!(
            (between_seen - between_lost).abs() < 1.0,
            "between calls, {period_s} s: {between_seen:.2} %"
        );
    }
}

#[test]
fn a_quarter_of_a_shift_logs_in_within_a_minute_and_few_forget_to_log_out() {
    let centre = Centre::new(Preset::M, 8);
    let mut logins = 0_u32;
    let mut punctual = 0_u32;
    let mut forgotten = 0_u32;
    let mut unanswered = 0_u32;
    let mut contacts = 0_u32;
    for change in centre.changes(MONDAY_S * 1_000, (MONDAY_S + 5 * DAY_S) * 1_000) {
        let into_quarter_ms = change.at_ms.rem_euclid(QUARTER_HOUR_S * 1_000);
        let local_s = change.at_ms.div_euclid(1_000).rem_euclid(DAY_S);
        match change.state {
            State::LoggedIn => {
                logins += 1;
                punctual += u32::from(into_quarter_ms < 60_000);
            }
            State::LoggedOut => forgotten += u32::from(local_s == 3 * HOUR_S + 1_800),
            State::NoAnswer => unanswered += 1,
            State::Busy => contacts += 1,
            _ => {}
        }
    }
    let share = |part: u32, of: u32| f64::from(part) / f64::from(of);
    assert!(
        (0.21..0.29).contains(&share(punctual, logins)),
        "{punctual} of {logins}"
    );
    assert!(
        (0.001..0.011).contains(&share(forgotten, logins)),
        "{forgotten} of {logins}"
    );
    let offered = unanswered + contacts;
    assert!(
        (0.010..0.020).contains(&share(unanswered, offered)),
        "{unanswered} of {offered}"
    );
}

#[test]
fn changes_and_states_tell_the_same_story() {
    let centre = Centre::new(Preset::S, 10);
    let mut from_ms = (MONDAY_S + 6 * HOUR_S) * 1_000;
    let mut states: BTreeMap<_, _> = centre
        .agents_at(from_ms)
        .into_iter()
        .map(|a| (a.id, a.state))
        .collect();
    for _ in 0..200 {
        let to_ms = from_ms + 431_123;
        for change in centre.changes(from_ms, to_ms) {
            let before = states.insert(change.id, change.state);
            assert_ne!(before, Some(change.state), "a change changes something");
        }
        let now: BTreeMap<_, _> = centre
            .agents_at(to_ms)
            .into_iter()
            .map(|a| (a.id, a.state))
            .collect();
        assert_eq!(states, now);
        from_ms = to_ms;
    }
}

#[test]
fn people_and_queues_come_go_and_change_their_names_and_are_listed_as_deleted_for_a_month() {
    let shape = Shape {
        agent_tenure_days: 60,
        queue_tenure_days: 90,
        ..Shape::default()
    };
    let centre = Centre::with_shape(shape, 13);
    let mut renamed = 0;
    let mut deleted = std::collections::BTreeSet::new();
    let mut names = BTreeMap::new();
    for day in 0..120 {
        let at_ms = (MONDAY_S + day * DAY_S) * 1_000;
        let users = centre.users_at(at_ms);
        let active = users
            .iter()
            .filter(|user| user.deleted_at_ms.is_none())
            .count();
        assert_eq!(active, 60 + 7, "agents and supervisors");
        for user in users {
            let before = names.insert(user.id.clone(), user.last_name.clone());
            renamed += u32::from(before.is_some_and(|name| name != user.last_name));
            if let Some(gone_ms) = user.deleted_at_ms {
                assert!((0..=30 * DAY_S * 1_000).contains(&(at_ms - gone_ms)));
                deleted.insert(user.id);
            }
        }
        let queues = centre.queues_at(at_ms);
        let active = queues
            .iter()
            .filter(|queue| queue.deleted_at_ms.is_none())
            .count();
        assert_eq!(active, 10);
    }
    assert!(
        renamed > 5 && deleted.len() > 60,
        "{renamed} renamed, {} left",
        deleted.len()
    );
}

#[test]
fn states_of_agents_and_the_roster_use_the_same_ids() {
    let centre = Centre::new(Preset::S, 14);
    let at_ms = (MONDAY_S + 11 * HOUR_S) * 1_000;
    let users = centre.users_at(at_ms);
    for agent in centre.agents_at(at_ms) {
        let user = users.iter().find(|user| *user.id == *agent.id).unwrap();
        assert_eq!(*user.username, *agent.username);
        assert!(user.deleted_at_ms.is_none() && user.enabled);
    }
    let queues = centre.queues_at(at_ms);
    for row in centre.volumes(MONDAY_S, MONDAY_S + 900, at_ms) {
        assert!(queues.iter().any(|queue| *queue.id == *row.queue));
    }
}
