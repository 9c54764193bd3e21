//! What the simulated Thrio answers over HTTP, and its faults.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thrio_edge::clock::{Clock, SystemClock};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::simulator::{
    self, Auth, Behaviour, Centre, Envelope, Fault, FaultKind, List, LocationStyle, Names, Preset,
    Route, Server, Since, Speech, Totals,
};

use crate::{HOUR_S, MONDAY_S};

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
    keep("queues-001.json", r#"{"rows": []}"#);
    keep(
        "call-queues-001.json",
        r#"{"path": "/tenant/queues", "status": 203, "content_type": "text/json"}"#,
    );
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
    let described = client.get("/tenant/queues?offset=0", &token).unwrap();
    assert_eq!(
        (described.status, described.body.as_str()),
        (203, r#"{"rows": []}"#)
    );
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
