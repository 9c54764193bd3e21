//! The simulated contact centre keeps to the load model, and its server to the API.
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a test are far below 2^52"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::simulator::{
    self, Auth, Behaviour, Centre, Envelope, Fault, FaultKind, List, LocationStyle, Names, Preset,
    QUARTER_HOUR_S, Route, Server, Shape, Since, Speech, State, Totals,
};

const DAY_S: i64 = 86_400;
/// Monday 2026-03-02, 00:00 UTC.
const MONDAY_S: i64 = 1_772_409_600;
const HOUR_S: i64 = 3_600;
const LATER_MS: i64 = (MONDAY_S + 60 * DAY_S) * 1_000;

// --- The load model ------------------------------------------------------------------------

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

// --- The server ----------------------------------------------------------------------------

/// A clock whose wall time a test sets, while monotonic time runs.
struct FixedClock(WallTime);

impl Clock for FixedClock {
    fn now(&self) -> Now {
        Now {
            wall: self.0,
            mono: MonoTime::ZERO,
        }
    }
}

const NOON_S: i64 = MONDAY_S + 12 * HOUR_S;

fn server(speech: Speech) -> Server {
    let behaviour = Behaviour {
        speech,
        faults: Vec::new(),
    };
    let clock = Arc::new(FixedClock(WallTime::from_s(NOON_S)));
    let centre = Arc::new(Centre::new(Preset::S, 1));
    simulator::serve("127.0.0.1:0".parse().unwrap(), centre, clock, behaviour).unwrap()
}

struct Answer {
    status: u16,
    date: String,
    retry_after: Option<String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    fn new(server: &Server) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(2)))
            .build();
        Self {
            agent: config.into(),
            base: server.base_url(),
        }
    }

    fn get(&self, path: &str, authorization: &str) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.base);
        read(
            self.agent
                .get(url)
                .header("authorization", authorization)
                .call()?,
        )
    }

    fn post(&self, path: &str, authorization: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(url).header("authorization", authorization);
        read(request.send(body.to_string())?)
    }

    fn login(&self) -> Answer {
        // "kim:secret"
        self.get("/provider/token-with-authorities", "Basic a2ltOnNlY3JldA==")
            .unwrap()
    }

    fn token(&self) -> String {
        self.login().json()["token"].as_str().unwrap().to_owned()
    }

    fn rows(&self, path: &str) -> Vec<Value> {
        let answer = self.get(path, &self.token()).unwrap();
        answer.json().as_array().unwrap().clone()
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Ok(Answer {
        status: response.status().as_u16(),
        date: header("date").unwrap_or_default(),
        retry_after: header("retry-after"),
        body: response.body_mut().read_to_string()?,
    })
}

const REALTIME: &str = "/wfm/community/realTime";
const HISTORICAL: &str = "/wfm/community/historical";

fn last_two_hours() -> String {
    format!(
        "{HISTORICAL}?startTime={}&endTime={}",
        NOON_S - 2 * HOUR_S,
        NOON_S
    )
}

#[test]
fn a_login_buys_a_token_and_tells_where_to_call_and_the_clock_is_the_simulated_one() {
    let server = server(Speech::default());
    let client = Client::new(&server);
    let login = client.login();
    assert_eq!(login.json()["location"], server.base_url());
    assert_eq!(login.date, "Mon, 02 Mar 2026 12:00:00 GMT");
    let token = client.token();
    for authorization in [token.clone(), format!("Bearer {token}")] {
        assert_eq!(client.get(REALTIME, &authorization).unwrap().status, 200);
    }
    assert_eq!(client.get(REALTIME, "made-up").unwrap().status, 401);
    assert_eq!(client.get("/elsewhere", &token).unwrap().status, 404);
    server.forget_tokens();
    assert_eq!(client.get(REALTIME, &token).unwrap().status, 401);
    assert_eq!(server.calls()[&Route::Login], 2);
}

#[test]
fn credentials_schemes_locations_and_lockout_are_as_set() {
    let server = server(Speech {
        password: Some("right".to_owned()),
        auth: Auth::Bearer,
        location_style: LocationStyle::BareHost,
        lockout_after: Some(2),
        ..Speech::default()
    });
    let client = Client::new(&server);
    // "kim:right"
    let right = || {
        client
            .get("/provider/token-with-authorities", "Basic a2ltOnJpZ2h0")
            .unwrap()
    };
    let login = right().json();
    assert_eq!(login["location"], server.address().to_string());
    let token = login["token"].as_str().unwrap();
    assert_eq!(client.get(REALTIME, token).unwrap().status, 401);
    assert_eq!(
        client
            .get(REALTIME, &format!("Bearer {token}"))
            .unwrap()
            .status,
        200
    );
    assert_eq!(client.login().status, 401);
    assert_eq!(client.login().status, 401);
    assert_eq!(right().status, 401, "locked, even with the right password");
}

#[test]
fn realtime_lists_everybody_in_the_words_that_are_set() {
    let speech = |realtime| Speech {
        realtime,
        ..Speech::default()
    };
    let default = Speech::default().realtime;
    let everybody = server(speech(default.clone()));
    let rows = Client::new(&everybody).rows(REALTIME);
    assert_eq!(rows.len(), 60);
    assert!(rows.iter().any(|row| row["agentStatus"] == "Logged out"));

    let present = server(speech(simulator::RealtimeSpeech {
        logged_out: false,
        camel_case_states: true,
        names: Names::Dashed,
        since: Since::Milliseconds,
        ids: false,
        ..default.clone()
    }));
    let rows = Client::new(&present).rows(REALTIME);
    assert!(rows.len() > 10 && rows.len() < 60);
    for row in &rows {
        assert!(row["agent-status"] != "loggedOut" && row["username"].is_string());
        assert!(row["since"].as_i64().unwrap() <= NOON_S * 1_000);
    }

    let mapped = server(speech(simulator::RealtimeSpeech {
        envelope: Envelope::Map,
        ..default
    }));
    let client = Client::new(&mapped);
    let answer = client.get(REALTIME, &client.token()).unwrap().json();
    assert_eq!(answer.as_object().unwrap().len(), 60);
}

#[test]
fn a_list_of_changes_holds_those_since_the_time_asked_with() {
    let mut speech = Speech::default();
    speech.realtime.list = List::Delta;
    let server = server(speech);
    let client = Client::new(&server);
    assert_eq!(client.rows(REALTIME).len(), 60, "the first poll of a token");
    let since_s = NOON_S - 300;
    let rows = client.rows(&format!("{REALTIME}?since={since_s}"));
    let truth = Centre::new(Preset::S, 1);
    let mut expected: Vec<_> = truth
        .changes(since_s * 1_000, NOON_S * 1_000)
        .into_iter()
        .map(|c| c.id)
        .collect();
    expected.sort();
    expected.dedup();
    assert!(!expected.is_empty() && rows.len() == expected.len());
    let token = client.token();
    client.get(REALTIME, &token).unwrap();
    assert_eq!(
        client.get(REALTIME, &token).unwrap().body,
        "[]",
        "nothing since the last poll"
    );
}

#[test]
fn contact_volume_is_the_truth_of_the_window_sparse_or_dense() {
    let truth: Vec<_> = Centre::new(Preset::S, 1)
        .volumes(NOON_S - 2 * HOUR_S, NOON_S, NOON_S * 1_000)
        .collect();
    let with_contacts = truth.iter().filter(|row| !row.volume.is_zero()).count();

    let sparse = server(Speech::default());
    let rows = Client::new(&sparse).rows(&last_two_hours());
    assert_eq!(rows.len(), with_contacts);
    for row in &rows {
        let expected = truth
            .iter()
            .find(|t| row["queueId"] == *t.queue && row["interval"] == t.start_s)
            .unwrap();
        assert_eq!(row["enteredCount"], expected.volume.entered);
        assert_eq!(row["abandonedCount"], expected.volume.abandoned);
        assert_eq!(row["sumHandleTime"], expected.volume.handle_time_s);
    }

    let mut speech = Speech::default();
    speech.historical.sparse = false;
    speech.historical.numbers_as_strings = true;
    speech.historical.handle_time_in_ms = true;
    let dense = server(speech);
    let rows = Client::new(&dense).rows(&last_two_hours());
    assert_eq!(rows.len(), truth.len());
    let sum: u64 = rows
        .iter()
        .map(|row| {
            row["sumHandleTime"]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    let expected: u64 = truth
        .iter()
        .map(|row| row.volume.handle_time_s * 1_000)
        .sum();
    assert_eq!(sum, expected);
}

#[test]
fn the_sibling_contract_is_spoken_too() {
    let server = server(Speech::sibling());
    let client = Client::new(&server);
    let token = client.token();
    let truth: Vec<_> = Centre::new(Preset::S, 1)
        .volumes(NOON_S - 2 * HOUR_S, NOON_S, NOON_S * 1_000)
        .collect();
    let busiest = truth.iter().max_by_key(|row| row.volume.entered).unwrap();
    let body = serde_json::json!({
        "startTime": "3/2/2026 10:00:00 AM",
        "endTime": "3/2/2026 12:00:00 PM",
        "queueIDs": [&*busiest.queue],
    });
    let rows = client.post(HISTORICAL, &token, &body).unwrap().json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row["queueID"] == *busiest.queue));
    assert_eq!(rows[0]["interval"], "2026-03-02 10:00:00");
    let body = serde_json::json!({"lastRanTime": NOON_S - 3_600});
    let rows = client.post(REALTIME, &token, &body).unwrap().json();
    let row = &rows.as_array().unwrap()[0];
    assert!(row["uKey"].is_string() && row["statusCode"].is_string());
    assert!(row["lastStatusChange"].as_i64().unwrap() > NOON_S - 3_600);
}

#[test]
fn lists_come_in_pages_that_cap_rows_and_write_totals_as_strings() {
    let mut speech = Speech::default();
    speech.configuration.page_rows_max = 20;
    let server = server(speech);
    let client = Client::new(&server);
    let token = client.token();
    let truth = Centre::new(Preset::S, 1).users_at(NOON_S * 1_000);
    let mut seen = Vec::new();
    loop {
        let path = format!("/data/api/types/user?start={}&rows=100", seen.len());
        let page = client.get(&path, &token).unwrap().json();
        assert_eq!(page["total"], truth.len().to_string());
        let objects = page["objects"].as_array().unwrap();
        assert!(objects.len() <= 20);
        if objects.is_empty() {
            break;
        }
        seen.extend(
            objects
                .iter()
                .map(|user| user["userId"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(
        seen,
        truth.into_iter().map(|user| user.id).collect::<Vec<_>>()
    );

    server.switch_faults(vec![Fault::new(FaultKind::RepeatPages)]);
    let page = |start| {
        client.get(
            &format!("/data/api/types/queue?start={start}&rows=5"),
            &token,
        )
    };
    assert_eq!(page(0).unwrap().body, page(5).unwrap().body);
}

#[test]
fn totals_may_be_absent() {
    let mut speech = Speech::default();
    speech.configuration.totals = Totals::Absent;
    let server = server(speech);
    let client = Client::new(&server);
    let page = client
        .get("/data/api/types/queue?start=0&rows=100", &client.token())
        .unwrap();
    let page = page.json();
    assert_eq!(page.get("total"), None);
    assert!(page["count"].as_u64().unwrap() >= 10);
}

#[test]
fn every_fault_shows_what_its_name_says() {
    let server = server(Speech::default());
    let client = Client::new(&server);
    let token = client.token();
    let poll = |kind: FaultKind| {
        server.switch_faults(vec![Fault::new(kind).times(1)]);
        client.get(REALTIME, &token)
    };
    let status = |kind| poll(kind).unwrap().status;
    assert_eq!(status(FaultKind::Unauthorized), 401);
    assert_eq!(status(FaultKind::Forbidden), 403);
    assert_eq!(status(FaultKind::Status { status: 502 }), 502);
    assert!(
        poll(FaultKind::NotFoundHtml)
            .unwrap()
            .body
            .contains("<html>")
    );
    let page = poll(FaultKind::LoginPage).unwrap();
    assert!(page.status == 200 && page.body.contains("Log in"));
    assert_eq!(poll(FaultKind::Empty).unwrap().body, "");
    let garbage = poll(FaultKind::Garbage).unwrap();
    assert!(serde_json::from_str::<Value>(&garbage.body).is_err());
    let throttled = poll(FaultKind::Throttle {
        status: 429,
        retry_after: Some("7".to_owned()),
    });
    assert_eq!(throttled.unwrap().retry_after.as_deref(), Some("7"));
    let huge = poll(FaultKind::Huge { bytes: 3_000_000 }).unwrap();
    assert!(huge.body.len() > 3_000_000);
    let early = poll(FaultKind::ClockOffset { offset_s: -90 }).unwrap();
    assert_eq!(early.date, "Mon, 02 Mar 2026 11:58:30 GMT");
    let vanished = poll(FaultKind::Vanish { share: 0.7 }).unwrap().json();
    assert_eq!(vanished.as_array().unwrap().len(), 18);
    assert!(
        poll(FaultKind::Cut).is_err(),
        "half a body is an error of the transport"
    );
    assert!(poll(FaultKind::Reset).is_err());
    assert!(
        poll(FaultKind::Hang).is_err(),
        "the client's time-out ends it"
    );
    assert_eq!(
        client.get(REALTIME, &token).unwrap().status,
        200,
        "all over"
    );
}

#[test]
fn bad_rows_stand_among_the_good_ones() {
    let server = server(Speech::default());
    let client = Client::new(&server);
    let good = client.rows(&last_two_hours()).len();
    server.switch_faults(vec![Fault::new(FaultKind::BadRows).on(Route::Historical)]);
    assert_eq!(client.rows(&last_two_hours()).len(), good + 4);
}

#[test]
fn faults_can_be_switched_on_from_outside_while_it_runs() {
    let server = server(Speech::default());
    let client = Client::new(&server);
    let fault = serde_json::json!([{"kind": "status", "status": 500, "on": "login"}]);
    assert_eq!(
        client.post("/simulator/faults", "", &fault).unwrap().status,
        200
    );
    assert_eq!(client.login().status, 500);
    let nonsense = serde_json::json!([{"kind": "earthquake"}]);
    let refused = client.post("/simulator/faults", "", &nonsense).unwrap();
    assert!(refused.status == 400 && refused.body.contains("earthquake"));
    assert_eq!(client.login().status, 500, "as before");
    client
        .post("/simulator/faults", "", &serde_json::json!([]))
        .unwrap();
    assert_eq!(client.login().status, 200);
}

#[test]
fn kept_answers_are_served_in_order_and_the_last_stays() {
    let directory = tempfile::tempdir().unwrap();
    let keep = |name: &str, body: &str| std::fs::write(directory.path().join(name), body).unwrap();
    keep("realtime-1.json", "[1]");
    keep("realtime-2.html", "<html>2</html>");
    let replay = simulator::Replay::read(directory.path()).unwrap();
    let server = simulator::serve_replay(
        "127.0.0.1:0".parse().unwrap(),
        replay,
        Arc::new(SystemClock::new()),
        Behaviour::default(),
    )
    .unwrap();
    let client = Client::new(&server);
    let token = client.token();
    let bodies: Vec<_> = (0..3)
        .map(|_| client.get(REALTIME, &token).unwrap().body)
        .collect();
    assert_eq!(bodies, ["[1]", "<html>2</html>", "<html>2</html>"]);
    assert_eq!(client.get(&last_two_hours(), &token).unwrap().status, 404);
    let empty = tempfile::tempdir().unwrap();
    assert!(simulator::Replay::read(empty.path()).is_err());
}

#[test]
fn it_listens_on_loopback_only_and_stops_although_a_call_hangs() {
    let centre = Arc::new(Centre::new(Preset::S, 1));
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let clock = Arc::new(SystemClock::new());
    assert!(simulator::serve(everywhere, centre, clock, Behaviour::default()).is_err());

    let server = server(Speech::default());
    let client = Client::new(&server);
    server.switch_faults(vec![Fault::new(FaultKind::Hang)]);
    let hanging = std::thread::spawn(move || client.get(REALTIME, "").is_err());
    while server.calls().is_empty() {
        std::thread::yield_now();
    }
    server.stop();
    assert!(hanging.join().unwrap());
}
