//! Shifts whose figures were worked out by hand.

use super::*;

const MIN: i64 = 60_000;
/// Midnight of the day of every test.
const DAY: i64 = 1_785_024_000_000;

/// `"09:30"` of that day.
fn at(clock: &str) -> WallTime {
    let (hour, minute) = clock.split_once(':').expect("a clock");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    WallTime::from_ms(DAY + (number(hour) * 60 + number(minute)) * MIN)
}

fn key() -> AgentKey {
    (
        SourceName::new("main").expect("a name"),
        AgentId::new("a-1").expect("an id"),
    )
}

fn line(from: &str, to: &str, expected: &[Expected]) -> Scheduled {
    Scheduled {
        from: at(from),
        to: at(to),
        expected: expected.to_vec(),
    }
}

fn category(name: &str) -> Category {
    crate::domain::category::category_named(name).expect("a category")
}

/// The figures of a schedule and of what the agent did: moment, state, its category.
fn sums_with(
    thresholds: Thresholds,
    schedule: &[Scheduled],
    did: &[(&str, &str, &str)],
    seen_until: &str,
) -> AdherenceSums {
    let schedule = BTreeMap::from([(key(), schedule.to_vec())]);
    let report = AdherenceReport::new(at("00:00"), at("24:00"), thresholds, schedule);
    let mut report = report.expect("no overlap");
    for (moment, state, name) in did {
        let state = StateText::new(state).expect("a state");
        report.tell(&key(), at(moment), Doing::state(state, category(name)));
    }
    report.finish(|_| Some(at(seen_until)))[&key()]
}

fn sums(schedule: &[Scheduled], did: &[(&str, &str, &str)]) -> AdherenceSums {
    sums_with(Thresholds::default(), schedule, did, "24:00")
}

fn close(given: Option<f64>, expected: f64) {
    let given = given.expect("a figure");
    assert!((given - expected).abs() < 1e-9, "{given} is not {expected}");
}

fn shift() -> Vec<Scheduled> {
    vec![
        line("09:00", "12:00", &[Expected::InService]),
        line("12:00", "12:30", &[Expected::Category(Category::Aux)]),
        line("12:30", "17:00", &[Expected::InService]),
    ]
}

#[test]
fn a_shift_with_a_late_start_and_a_late_lunch() {
    // Out: 09:00 to 09:10, 12:00 to 12:05 and 12:30 to 12:35, 20 of 480 minutes. In service: 09:10 to
    // 12:05 and 12:35 to 17:00, 440 of 450 scheduled minutes.
    let figures = sums(
        &shift(),
        &[
            ("00:00", "Logged Out", "LOGGED_OUT"),
            ("09:10", "Available", "AVAILABLE"),
            ("10:00", "Busy", "BUSY"),
            ("10:07", "Wrap-up", "WRAPUP"),
            ("12:05", "Lunch", "AUX"),
            ("12:35", "Available", "AVAILABLE"),
            ("17:00", "Logged Out", "LOGGED_OUT"),
        ],
    );
    assert_eq!(figures.scheduled_ms, 480 * MIN);
    assert_eq!(figures.out_ms, 20 * MIN);
    assert_eq!(figures.adherent_ms, 460 * MIN);
    assert_eq!(figures.unknown_ms, 0);
    close(figures.adherence(), 100.0 * 460.0 / 480.0);
    close(figures.conformance(), 100.0 * 440.0 / 450.0);
}

#[test]
fn what_nobody_saw_is_neither_kept_nor_broken() {
    let figures = sums(
        &[line("09:00", "12:00", &[Expected::InService])],
        &[
            ("08:55", "Available", "AVAILABLE"),
            ("10:00", "(unknown)", "UNKNOWN"),
            ("11:00", "Available", "AVAILABLE"),
            ("11:45", "Logged Out", "LOGGED_OUT"),
        ],
    );
    assert_eq!(figures.unknown_ms, 60 * MIN);
    assert_eq!(figures.scheduled_ms, 120 * MIN);
    assert_eq!(figures.out_ms, 15 * MIN);
    close(figures.adherence(), 87.5);
    // 08:55 to 10:00 and 11:00 to 11:45 over the 120 that somebody saw.
    close(figures.conformance(), 100.0 * 110.0 / 120.0);
}

#[test]
fn before_the_first_word_and_after_the_last_poll_nothing_is_known() {
    let schedule = [line("09:00", "12:00", &[Expected::InService])];
    let did = [("10:00", "Available", "AVAILABLE")];
    let figures = sums_with(Thresholds::default(), &schedule, &did, "11:30");
    assert_eq!(figures.unknown_ms, 90 * MIN);
    assert_eq!(figures.scheduled_ms, 90 * MIN);
    close(figures.adherence(), 100.0);
    close(figures.conformance(), 100.0);
    let nothing = sums(&schedule, &[]);
    assert_eq!(nothing.unknown_ms, 180 * MIN);
    assert_eq!((nothing.adherence(), nothing.conformance()), (None, None));
}

#[test]
fn work_outside_of_the_schedule_is_conformance_and_no_adherence() {
    let figures = sums(
        &[line("09:00", "10:00", &[Expected::InService])],
        &[
            ("00:00", "Logged Out", "LOGGED_OUT"),
            ("09:30", "Available", "AVAILABLE"),
            ("11:00", "Logged Out", "LOGGED_OUT"),
        ],
    );
    close(figures.adherence(), 50.0);
    close(figures.conformance(), 150.0);
}

#[test]
fn a_deviation_within_its_threshold_is_forgiven_and_a_longer_one_counts_whole() {
    let thresholds = Thresholds {
        late_start_ms: 5 * MIN,
        early_end_ms: 3 * MIN,
    };
    let out = |start: &str, pause: &str, end: &str| {
        let did = [
            ("00:00", "Logged Out", "LOGGED_OUT"),
            (start, "Available", "AVAILABLE"),
            (pause, "Pause", "AUX"),
            ("10:31", "Available", "AVAILABLE"),
            (end, "Logged Out", "LOGGED_OUT"),
        ];
        let schedule = [line("09:00", "12:00", &[Expected::InService])];
        sums_with(thresholds, &schedule, &did, "24:00").out_ms / MIN
    };
    assert_eq!(out("09:05", "10:31", "11:57"), 0);
    assert_eq!(out("09:06", "10:31", "11:57"), 6);
    assert_eq!(out("09:05", "10:31", "11:56"), 4);
    // A minute in the middle is no late start.
    assert_eq!(out("09:05", "10:30", "11:57"), 1);
}

#[test]
fn who_never_came_was_not_late() {
    let thresholds = Thresholds {
        late_start_ms: 10 * MIN,
        early_end_ms: 10 * MIN,
    };
    let schedule = [line("09:00", "09:10", &[Expected::InService])];
    let did = [("00:00", "Logged Out", "LOGGED_OUT")];
    let figures = sums_with(thresholds, &schedule, &did, "24:00");
    assert_eq!(figures.out_ms, 10 * MIN);
    close(figures.adherence(), 0.0);
    close(figures.conformance(), 0.0);
}

#[test]
fn any_of_what_is_expected_will_do_by_state_or_by_category() {
    let meeting = StateText::new("Team Meeting").expect("a state");
    let expected = [
        Expected::State(meeting),
        Expected::Category(Category::Available),
    ];
    let figures = sums(
        &[line("09:00", "10:00", &expected)],
        &[
            ("08:00", "Lunch", "AUX"),
            ("09:05", "team-meeting", "UNMAPPED"),
            ("09:30", "Available", "AVAILABLE"),
            ("09:50", "Busy", "BUSY"),
        ],
    );
    assert_eq!(figures.adherent_ms, 45 * MIN);
    assert_eq!(figures.out_ms, 15 * MIN);
}

#[test]
fn only_the_span_of_the_report_counts() {
    let schedule = BTreeMap::from([(key(), shift())]);
    let report = AdherenceReport::new(at("11:00"), at("12:15"), Thresholds::default(), schedule);
    let mut report = report.expect("no overlap");
    let state = StateText::new("Busy").expect("a state");
    report.tell(&key(), at("08:00"), Doing::state(state, Category::Busy));
    let figures = report.finish(|_| Some(at("24:00")))[&key()];
    assert_eq!(figures.scheduled_ms, 75 * MIN);
    assert_eq!(figures.out_ms, 15 * MIN);
    assert_eq!(figures.in_service_ms, 75 * MIN);
    close(figures.conformance(), 125.0);
}

#[test]
fn an_agent_cannot_be_at_two_places_at_once() {
    let schedule = vec![
        line("12:00", "13:00", &[Expected::InService]),
        line("09:00", "12:01", &[Expected::InService]),
    ];
    let schedule = BTreeMap::from([(key(), schedule)]);
    let report = AdherenceReport::new(at("00:00"), at("24:00"), Thresholds::default(), schedule);
    let overlap = report.expect_err("they overlap");
    assert_eq!(
        overlap.to_string(),
        format!("two lines of agent a-1 overlap at {}", at("12:00"))
    );
}
