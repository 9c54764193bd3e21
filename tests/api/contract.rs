//! `docs/openapi.yaml` against the server, both ways.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::site::Site;

const METHODS: [&str; 2] = ["get", "post"];

fn contract() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The value that a `$ref` stands for.
fn resolved<'a>(contract: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => resolved(contract, contract.pointer(&place[1..]).unwrap()),
        None => value,
    }
}

/// What of the value the schema does not allow, by its place.
fn offences(contract: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let schema = resolved(contract, schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| {
            let mut wrong = Vec::new();
            offences(contract, choice, value, place, &mut wrong);
            wrong.is_empty()
        });
        if !fits {
            found.push(format!("{place}: {value} fits no choice"));
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_a(value, kind)) {
        found.push(format!("{place}: {value} is no {kinds:?}"));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{place}: {value} is none of {words:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{place}: `{name}` is missing"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name);
        let schema = known.or(schema.get("additionalProperties"));
        if let Some(schema) = schema.filter(|schema| schema.is_object()) {
            offences(contract, schema, inner, &format!("{place}/{name}"), found);
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (at, inner) in values.iter().enumerate().take(50) {
            offences(contract, items, inner, &format!("{place}/{at}"), found);
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

fn hold(contract: &Value, path: &str, method: &str, status: u16, value: &Value) {
    let responses = &contract["paths"][path][method]["responses"];
    let response = responses
        .get(status.to_string())
        .unwrap_or(&responses["default"]);
    let schema = &resolved(contract, response)["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} {status} has no schema");
    let mut found = Vec::new();
    offences(contract, schema, value, "", &mut found);
    assert!(found.is_empty(), "{method} {path}: {found:#?}");
}

#[test]
fn a_wrong_answer_would_be_found() {
    let contract = contract();
    let schema = json!({"$ref": "#/components/schemas/Quarter"});
    let mut found = Vec::new();
    let wrong = json!({"start": 7, "shown": "rain", "status": null});
    offences(&contract, &schema, &wrong, "", &mut found);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn every_route_of_the_server_is_in_the_contract_and_the_other_way_round() {
    let contract = contract();
    let mut written = BTreeSet::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for method in METHODS
            .into_iter()
            .filter(|method| item.get(method).is_some())
        {
            written.insert(format!("{method} {path}"));
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/http/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, api) = source.split_once("fn api()").unwrap();
    let mut served = BTreeSet::new();
    for (text, prefix) in [(&source[..source.len() - api.len()], ""), (api, "/api/v1")] {
        for route in text.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            let handlers = route.split_once(',').unwrap().1;
            let handlers = handlers.split("\n        .").next().unwrap();
            let handlers = handlers.split("\n}").next().unwrap();
            for method in METHODS {
                if handlers.contains(&format!("{method}(")) {
                    served.insert(format!("{method} {prefix}{path}"));
                }
            }
        }
    }
    assert!(served.len() > 20, "{served:?}");
    assert_eq!(served, written);
}

#[test]
fn every_answer_to_a_question_is_as_written() {
    let site = Site::new();
    site.wait_for_data();
    let contract = contract();
    for (path, item) in contract["paths"].as_object().unwrap() {
        let streams = path == "/api/v1/events";
        if item.get("get").is_none() || streams {
            continue;
        }
        let answer = site.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let responses = &item["get"]["responses"]["200"]["content"];
        let kind = answer.header("content-type").split(';').next().unwrap();
        assert!(responses.get(kind).is_some(), "{path} is {kind}");
        if kind == "application/json" {
            hold(&contract, path, "get", 200, &answer.json());
        }
        if item.get("post").is_none() {
            let refused = site.post(path, &json!({}));
            assert_eq!(refused.status, 405, "{path}");
            hold(&contract, path, "get", 405, &refused.json());
        }
    }
    let queue = site.get("/api/v1/queues").ok()["rows"][0]["queue_id"].clone();
    let of_one = site.get(&format!(
        "/api/v1/intervals?queue={}",
        queue.as_str().unwrap()
    ));
    hold(&contract, "/api/v1/intervals", "get", 200, &of_one.ok());
}

#[test]
fn every_answer_to_a_change_is_as_written() {
    let site = Site::new();
    site.wait_for_data();
    let contract = contract();
    let settings = json!({"name": "second", "realtime": {
        "base_url": site.thrio.base_url(), "account": "a@example.com", "password": crate::site::PASSWORD}});
    let changes = [
        ("/api/v1/reload", json!({})),
        ("/api/v1/alarms/test", json!({})),
        ("/api/v1/import", json!({"dry_run": true})),
        (
            "/api/v1/backfill",
            json!({"from": "2026-07-20T00:00:00Z", "to": "2026-07-20T01:00:00Z"}),
        ),
        (
            "/api/v1/replay",
            json!({"destination": "local", "from_seq": 1}),
        ),
        ("/api/v1/replay/stop", json!({"destination": "local"})),
        (
            "/api/v1/destinations/retry",
            json!({"destination": "local"}),
        ),
        (
            "/api/v1/quarantine/retry",
            json!({"destination": "local", "seqs": [1]}),
        ),
        (
            "/api/v1/quarantine/discard",
            json!({"destination": "local", "seqs": null}),
        ),
        (
            "/api/v1/state-mapping",
            json!({"source": "main", "state": "Yoga", "category": "AUX"}),
        ),
        ("/api/v1/sources/check", settings.clone()),
        (
            "/api/v1/sources/probe",
            json!({"settings": settings, "feed": "realtime"}),
        ),
        ("/api/v1/sources", settings),
        ("/api/v1/sources/remove", json!({"name": "second"})),
        ("/api/v1/login", json!({"token": site.token})),
        ("/api/v1/logout", json!({})),
    ];
    let mut left: BTreeSet<&String> = contract["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| item.get("post").is_some())
        .map(|(path, _)| path)
        .collect();
    for (path, body) in &changes {
        let answer = site.post(path, body);
        assert!(answer.status < 500, "{path}: {answer:?}");
        hold(&contract, path, "post", answer.status, &answer.json());
        left.retain(|one| one != path);
        if !matches!(*path, "/api/v1/login" | "/api/v1/logout") {
            let refused = site.post_with(path, &body.to_string(), &[]);
            assert_eq!(refused.status, 401, "{path}");
            hold(&contract, path, "post", 401, &refused.json());
        }
    }
    assert!(left.is_empty(), "not tried: {left:?}");
}
