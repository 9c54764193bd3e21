//! The protocol word by word: every documented answer, the documents' own examples, and bodies that
//! nobody honest sends.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::site::{Site, token};

pub(crate) const STORE: &str = "0f3c5a7e9b1d2f4a6c8e0a2b4c6d8e0f";
const KIND: (&str, &str) = ("content-type", "application/cloudevents-batch+json");

/// A body and its headers.
pub(crate) struct Body {
    headers: Vec<(&'static str, String)>,
    bytes: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

fn call(method: &str, url: &str, token: &str, headers: &[(&str, String)], body: &[u8]) -> Sent {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent();
    let mut builder = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    let mut answer = agent
        .run(builder.body(body).expect("a request"))
        .expect("an answer");
    let retry_after = answer.headers().get("retry-after");
    Sent {
        status: answer.status().as_u16(),
        retry_after: retry_after.map(|v| v.to_str().expect("a text").to_owned()),
        body: answer.body_mut().read_to_string().expect("a text"),
    }
}

pub(crate) fn post(url: &str, token: &str, body: &Body) -> Sent {
    call("POST", url, token, &body.headers, &body.bytes)
}

fn transaction(seq: u64) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{STORE}:{seq}"),
        "source": "/thrio-edge/front-desk/main",
        "type": "thrio-edge.transaction",
        "data": {
            "source": "main", "agent": "4f1", "started_at": 1_785_000_000_000_u64 + seq,
            "state": "Lunch", "category": "AUX", "previous_state": null, "earliest_at": null,
            "observed_at": 1_785_000_001_000_u64, "origin": "observed", "clamped": false,
            "tied": false,
        },
    })
}

fn with_range(first: u64, last: u64, events: &Value) -> Body {
    Body {
        headers: vec![
            (KIND.0, KIND.1.to_owned()),
            ("thrio-edge-store", STORE.to_owned()),
            ("thrio-edge-range", format!("{first}-{last}")),
        ],
        bytes: events.to_string().into_bytes(),
    }
}

/// A good batch.
pub(crate) fn batch(first: u64, last: u64) -> Body {
    let events: Vec<Value> = (first..=last).map(transaction).collect();
    with_range(first, last, &Value::Array(events))
}

fn beside(event: &Value) -> Body {
    let mut body = with_range(1, 1, &json!([event]));
    body.headers.pop();
    body
}

fn rows(site: &Site) -> i64 {
    site.number(
        "SELECT COUNT(*) FROM wfm_agent_state_transaction WHERE source = ?",
        "main",
    )
}

#[test]
fn a_batch_is_applied_once_however_often_and_however_it_is_cut() {
    let site = Site::start();
    let desk = token("front-desk");
    for (first, last) in [(1, 10), (1, 10), (5, 15), (12, 20)] {
        let answer = post(&site.url(), desk, &batch(first, last));
        assert_eq!(
            (answer.status, &answer.json()),
            (200, &json!({"applied": last - first + 1}))
        );
    }
    assert_eq!(rows(&site), 20);
    let store = [("thrio-edge-store", STORE.to_owned())];
    let answer = call("GET", &site.url(), desk, &store, &[]);
    assert_eq!(
        answer.json(),
        json!({"applied": [{"first": 1, "last": 20}]})
    );
    let other = call("GET", &site.url(), token("north"), &store, &[]);
    assert_eq!(other.json(), json!({"applied": []}), "it is another box's");
}

#[test]
fn every_event_that_cannot_be_taken_is_named_with_its_reason_and_nothing_is_applied() {
    let site = Site::start();
    let good = transaction(1);
    let change = |at: &str, value: Value| {
        let mut event = transaction(2);
        *event.pointer_mut(at).expect("a field") = value;
        event
    };
    let missing = |at: &str| {
        let mut event = transaction(2);
        event["data"].as_object_mut().expect("an object").remove(at);
        event
    };
    let elsewhere = "ffffffffffffffffffffffffffffffff:2";
    for (bad, reason) in [
        (change("/specversion", json!("0.3")), "specversion"),
        (change("/id", json!("2")), "store_id"),
        (change("/id", json!(elsewhere)), "of store ffff"),
        (change("/id", json!(format!("{STORE}:9"))), "outside"),
        (change("/id", json!(format!("{STORE}:1"))), "twice"),
        (change("/type", json!("thrio-edge.surprise")), "not known"),
        (change("/type", json!("thrio-edge.heartbeat")), "not known"),
        (change("/data/category", json!("NAPPING")), "NAPPING"),
        (change("/data/started_at", json!("noon")), "noon"),
        (change("/data/source", json!("No Name")), "No Name"),
        (change("/data/agent", json!("x".repeat(129))), "129"),
        (missing("state"), "state"),
        (json!(7), "invalid type"),
    ] {
        let body = with_range(1, 2, &json!([good, bad]));
        let answer = post(&site.url(), token("front-desk"), &body);
        assert_eq!(answer.status, 422, "{answer:?}");
        let errors = answer.json()["errors"].clone();
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
        let said = errors[0]["reason"].as_str().expect("a reason");
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert_eq!(site.tables(), 0, "nothing was applied");
    for bytes in ["", "{}", "[{]", "[] []", "null"] {
        let mut body = batch(1, 1);
        body.bytes = bytes.as_bytes().to_vec();
        let answer = post(&site.url(), token("front-desk"), &body);
        assert_eq!(answer.status, 422, "{bytes}: {answer:?}");
    }
}

#[test]
fn a_roster_cannot_smuggle_another_tenants_agents() {
    let site = Site::start();
    let agent = json!({
        "source": "main", "agent": "a-1", "change": "added", "valid_from": 1, "first_seen": 1,
        "provisional": false, "details": {"username": null, "first_name": null,
            "last_name": null, "display_name": "Kim", "email": null, "time_zone": null,
            "is_active": true},
    });
    let event = json!({
        "specversion": "1.0", "id": "x", "source": "/", "type": "thrio-edge.roster",
        "data": {"source": "tenant-s", "agents": [agent], "queues": []},
    });
    let answer = post(&site.url(), token("south"), &beside(&event));
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("an entry of main"), "{answer:?}");
}

#[test]
fn what_decompresses_into_too_much_is_refused_without_being_held() {
    let site = Site::start();
    let zeros = vec![b' '; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    for _ in 0..256 {
        gzip.write_all(&zeros).expect("memory");
        zstd.write_all(&zeros).expect("memory");
    }
    for (encoding, bytes) in [
        ("gzip", gzip.finish().expect("memory")),
        ("zstd", zstd.finish().expect("memory")),
    ] {
        assert!(bytes.len() < 1 << 20, "it is small on its way");
        let mut body = batch(1, 1);
        body.headers.push(("content-encoding", encoding.to_owned()));
        body.bytes = bytes;
        let answer = post(&site.url(), token("front-desk"), &body);
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    assert_eq!(
        post(&site.url(), token("front-desk"), &batch(1, 3)).status,
        200
    );
}

/// Path and method to the documented statuses, read by indentation.
fn documented() -> BTreeMap<(String, String), BTreeSet<u16>> {
    let mut all: BTreeMap<(String, String), BTreeSet<u16>> = BTreeMap::new();
    let (mut path, mut method) = (String::new(), String::new());
    let text = read("docs/upstream-openapi.yaml");
    let paths = text.split("\npaths:\n").nth(1).expect("paths");
    for line in paths.lines().take_while(|line| line.starts_with(' ')) {
        let word = line.trim().trim_end_matches(':');
        match line.len() - line.trim_start().len() {
            2 => word.clone_into(&mut path),
            4 => method = word.to_uppercase(),
            8 if word.starts_with('"') => {
                let status = word.trim_matches('"').parse().expect("a status");
                all.entry((path.clone(), method.clone()))
                    .or_default()
                    .insert(status);
            }
            _ => {}
        }
    }
    all
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("a file of the project")
}

#[test]
fn the_openapi_file_says_what_the_server_does() {
    let site = Site::start();
    let documented = documented();
    let mut met: BTreeMap<(String, String), BTreeSet<u16>> = BTreeMap::new();
    let desk = token("front-desk");
    let store = ("thrio-edge-store", STORE.to_owned());
    let mut ask = |path: &str, method: &str, token: &str, body: &Body| {
        let answer = call(
            method,
            &site.url_of(path),
            token,
            &body.headers,
            &body.bytes,
        );
        let key = (path.to_owned(), method.to_owned());
        met.entry(key).or_default().insert(answer.status);
        answer.status
    };
    let events = "/v1/events";
    let empty = |headers| Body {
        headers,
        bytes: Vec::new(),
    };
    assert_eq!(ask(events, "POST", desk, &batch(1, 2)), 200);
    assert_eq!(ask(events, "POST", "nobody", &batch(1, 2)), 401);
    assert_eq!(
        ask(events, "POST", desk, &with_range(2, 1, &json!([]))),
        400
    );
    assert_eq!(ask(events, "POST", token("north"), &batch(1, 2)), 409);
    assert_eq!(
        ask(events, "POST", desk, &with_range(1, 1, &json!([7]))),
        422
    );
    assert_eq!(ask(events, "POST", desk, &empty(vec![store.clone()])), 415);
    let mut large = batch(1, 1);
    large.bytes = vec![b' '; 33 << 20];
    assert_eq!(ask(events, "POST", desk, &large), 413);
    assert_eq!(ask(events, "GET", desk, &empty(vec![store.clone()])), 200);
    assert_eq!(ask(events, "GET", desk, &empty(vec![])), 400);
    assert_eq!(
        ask(events, "GET", "nobody", &empty(vec![store.clone()])),
        401
    );
    assert_eq!(ask(events, "OPTIONS", desk, &empty(vec![])), 204);
    assert_eq!(ask(events, "OPTIONS", "nobody", &empty(vec![])), 401);
    assert_eq!(ask("/healthz", "GET", "nobody", &empty(vec![])), 200);
    assert_eq!(ask("/readyz", "GET", "nobody", &empty(vec![])), 200);
    let held = rusqlite::Connection::open(site.database()).expect("the database");
    held.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    assert_eq!(ask(events, "POST", desk, &batch(3, 4)), 503);
    assert_eq!(ask(events, "GET", desk, &empty(vec![store])), 503);
    assert_eq!(ask("/readyz", "GET", "nobody", &empty(vec![])), 503);
    held.execute_batch("ROLLBACK").expect("released");
    assert_eq!(ask(events, "POST", desk, &batch(3, 4)), 200);
    let key = (events.to_owned(), "POST".to_owned());
    met.entry(key).or_default().insert(status_of_a_stuck_body());
    assert_eq!(met, documented);
}

/// What a client hears whose body does not come to its end.
fn status_of_a_stuck_body() -> u16 {
    let site = Site::start_as(|options| options.body_timeout = Duration::from_millis(50));
    let address = site.url_of("").replace("http://", "");
    let mut line = TcpStream::connect(address).expect("connected");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{}: {}\r\n\
         thrio-edge-store: {STORE}\r\nthrio-edge-range: 1-1\r\ncontent-length: 1000\r\n\r\n[",
        token("front-desk"),
        KIND.0,
        KIND.1,
    );
    line.write_all(head.as_bytes()).expect("written");
    let mut answer = String::new();
    BufReader::new(&line)
        .read_line(&mut answer)
        .expect("an answer");
    let status = answer.split(' ').nth(1).expect("a status");
    status.parse().expect("a number")
}

#[test]
fn the_documents_curl_example_works() {
    let site = Site::start();
    let text = read("docs/upstream-protocol.md");
    let block = text.split("```sh\n").nth(1).expect("an example");
    let script = block.split("```").next().expect("its end");
    let done = Command::new("sh")
        .args(["-ec", script])
        .env("URL", site.url())
        .env("TOKEN", token("front-desk"))
        .output()
        .expect("sh");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(
        said.trim(),
        "{\"applied\":1}{\"applied\":[{\"first\":4711,\"last\":4711}]}"
    );
    assert_eq!(rows(&site), 1);
}
