//! The HTTP destination against upstreams on real sockets, driven by the real worker: what is
//! acknowledged, what is sent again, what is held, and that nothing is lost or doubled.

#[path = "../support/authority.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod authority;
#[path = "../support/check.rs"]
mod check;
#[path = "../support/forwarding_box.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod forwarding_box;
mod tls;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use check::check_connect;
use forwarding_box::{ForwardingBox, agent, copy_files};
use secrecy::SecretString;
use serde_json::json;
use thrio_edge::clock::SystemClock;
use thrio_edge::destination::http::{
    Acknowledge, Compression, Credentials, Format, Header, HttpDestination, HttpOptions,
};
use thrio_edge::destination::{Destination, Secret, SendError};
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::domain::ids::Feed;
use upstream::{Manner, Reply, Request, Upstream};

fn options(upstream: &Upstream) -> HttpOptions {
    let mut options = HttpOptions::new(upstream.url());
    options.call_timeout = Duration::from_secs(20);
    options
}

fn destination(options: HttpOptions) -> Box<dyn Destination> {
    with_credentials(options, Credentials::default())
}

fn with_credentials(options: HttpOptions, credentials: Credentials) -> Box<dyn Destination> {
    let clock = Arc::new(SystemClock::new());
    Box::new(HttpDestination::new(options, credentials, clock))
}

fn secret(text: &'static str) -> Secret {
    Secret::new(Arc::new(move || Ok(SecretString::from(text))))
}

fn is_batch(request: &Request) -> bool {
    request.headers.contains_key("thrio-edge-range")
}

fn seqs(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

#[test]
fn a_batch_is_cloud_events_with_a_label_and_comes_in_every_compression() {
    for (compression, encoding) in [
        (Compression::Gzip, "gzip"),
        (Compression::Zstd, "zstd"),
        (Compression::None, ""),
    ] {
        let upstream = Upstream::start();
        let options = HttpOptions {
            compression,
            ..options(&upstream)
        };
        let mut sender = ForwardingBox::new(destination(options));
        sender.journal_transactions(40);
        sender.journal(&[agent("main", "a-1")]);
        sender.run_until_delivered();
        assert_eq!(upstream.held(), seqs(41));
        let store = sender.store.store_id();
        let batch = &upstream.batches()[0];
        assert_eq!(batch.header("content-encoding"), encoding);
        assert_eq!(
            batch.header("content-type"),
            "application/cloudevents-batch+json"
        );
        let range = batch.header("thrio-edge-range");
        assert_eq!(batch.header("idempotency-key"), format!("{store}:{range}"));
        let event = &batch.events()[0];
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["id"], format!("{store}:1"));
        assert_eq!(event["source"], "/thrio-edge/box-1/main");
        assert_eq!(event["type"], "thrio-edge.transaction");
        assert_eq!(event["data"]["agent"], "agent \"1\"");
        assert_eq!(event["data"]["state"], "Bereit für Ä");
        let last = upstream.batches().last().expect("a batch").events();
        assert_eq!(last.last().expect("an event")["type"], "thrio-edge.agent");
    }
}

#[test]
fn claim_and_heartbeat_travel_beside_without_a_seq() {
    let upstream = Upstream::start();
    let mut sender = ForwardingBox::new(destination(options(&upstream)));
    sender.journal_transactions(1);
    sender.run_until_delivered();
    let seen = upstream.seen();
    let kinds: Vec<_> = seen.beside.iter().map(|e| e["type"].as_str()).collect();
    assert!(kinds.starts_with(&[Some("thrio-edge.claim"), Some("thrio-edge.heartbeat")]));
    assert_eq!(seen.beside[0]["data"]["sources"], json!(["main"]));
    assert_eq!(seen.beside[1]["data"]["box_id"], "box-1");
}

#[test]
fn a_batch_that_is_applied_before_the_connection_breaks_is_sent_no_second_time() {
    let upstream = Upstream::start();
    let mut broken = 0;
    upstream.meet(move |request| {
        if is_batch(request) && broken < 3 {
            broken += 1;
            return Manner::ApplyAndReset;
        }
        Manner::Well
    });
    let options_ = DeliveryOptions {
        batch_records: 50,
        ..DeliveryOptions::default()
    };
    let mut sender = ForwardingBox::with_options(options_, destination(options(&upstream)));
    sender.journal_transactions(400);
    sender.run_until_delivered();
    assert_eq!(upstream.held(), seqs(400));
    let twice = upstream.seen().sent.values().filter(|n| **n > 1).count();
    assert_eq!(twice, 0, "the receipt says what was applied");
}

#[test]
fn a_captive_portal_swallows_nothing_and_a_person_is_told() {
    let portal =
        || Reply::new(200, "<html>Please log in</html>").header("content-type", "text/html");
    for acknowledge in [Acknowledge::Applied, Acknowledge::Status] {
        let upstream = Upstream::start();
        let options = HttpOptions {
            acknowledge,
            ..options(&upstream)
        };
        let mut sender = ForwardingBox::new(destination(options));
        sender.journal_transactions(10);
        upstream.meet(move |_| Manner::Say(portal()));
        let reason = sender.run_until_held();
        assert!(
            reason.contains("Please log in") && reason.contains("5 times"),
            "{reason}"
        );
        assert!(reason.contains("captive portal"), "{reason}");
        assert_eq!(sender.status().balance.counts.acknowledged, 0);
        upstream.meet(|_| Manner::Well);
        sender.run_until_delivered();
        assert_eq!(upstream.held(), seqs(10));
    }
}

#[test]
fn a_redirect_is_not_followed_and_held_with_its_target() {
    let (upstream, elsewhere) = (Upstream::start(), Upstream::start());
    let target = elsewhere.url().to_string();
    upstream.meet(move |_| Manner::Say(Reply::new(307, "").header("location", &target)));
    let mut sender = ForwardingBox::new(destination(options(&upstream)));
    sender.journal_transactions(10);
    let reason = sender.run_until_held();
    assert!(reason.contains("redirects to http://localhost"), "{reason}");
    assert!(elsewhere.seen().requests.is_empty());
}

#[test]
fn an_upstream_that_takes_one_in_a_thousand_leaves_the_others_in_quarantine_with_its_reasons() {
    let upstream = Upstream::start();
    upstream.meet(|request| {
        if !is_batch(request) {
            return Manner::Well;
        }
        let id = |event: &serde_json::Value| event["id"].as_str().expect("an id").to_owned();
        let errors: Vec<_> = request
            .events()
            .iter()
            .map(id)
            .filter(|id| !id.ends_with(":1000"))
            .map(|id| json!({"id": id, "reason": "no room for this agent"}))
            .collect();
        if errors.is_empty() {
            return Manner::Well;
        }
        let body = json!({"message": "not all", "errors": errors});
        Manner::Say(Reply::json(422, &body))
    });
    let mut sender = ForwardingBox::new(destination(options(&upstream)));
    sender.journal_transactions(1000);
    sender.run_until_delivered();
    assert_eq!(upstream.held(), [1000]);
    let quarantine = sender.quarantine();
    assert_eq!(quarantine.keys().copied().collect::<Vec<_>>(), seqs(999));
    assert_eq!(quarantine[&7], "no room for this agent");
}

#[test]
fn a_refusal_without_reasons_is_narrowed_down_to_the_one_record() {
    let upstream = Upstream::start();
    upstream.meet(|request| {
        let has_bad =
            |e: &serde_json::Value| e["id"].as_str().is_some_and(|id| id.ends_with(":37"));
        if is_batch(request) && request.events().iter().any(has_bad) {
            return Manner::Say(Reply::new(400, "malformed"));
        }
        Manner::Well
    });
    let mut sender = ForwardingBox::new(destination(options(&upstream)));
    sender.journal_transactions(100);
    sender.run_until_delivered();
    assert_eq!(
        sender.quarantine().keys().copied().collect::<Vec<_>>(),
        [37]
    );
    assert_eq!(upstream.held().len(), 99);
}

#[test]
fn batches_shrink_until_the_upstream_takes_them() {
    let upstream = Upstream::start();
    upstream.meet(|request| {
        if is_batch(request) && request.events().len() > 30 {
            return Manner::Say(Reply::new(413, "too much"));
        }
        Manner::Well
    });
    let mut sender = ForwardingBox::new(destination(options(&upstream)));
    sender.journal_transactions(300);
    sender.run_until_delivered();
    assert_eq!(upstream.held(), seqs(300));
    assert!(sender.quarantine().is_empty());
}

#[test]
fn an_upstream_that_never_answers_is_given_up_after_the_call_timeout() {
    let upstream = Upstream::start();
    let mut hangs = 2;
    upstream.meet(move |request| {
        if is_batch(request) && hangs > 0 {
            hangs -= 1;
            return Manner::Hang;
        }
        Manner::Well
    });
    let options = HttpOptions {
        call_timeout: Duration::from_secs(1),
        ..options(&upstream)
    };
    let mut sender = ForwardingBox::new(destination(options));
    sender.journal_transactions(10);
    sender.run_until("a failure", |status| status.last_error.is_some());
    let error = sender.status().last_error.expect("an error");
    assert!(error.contains("timed out"), "{error}");
    sender.run_until_delivered();
    assert_eq!(upstream.held(), seqs(10));
}

#[test]
fn a_stop_ends_a_call_that_hangs() {
    let upstream = Upstream::start();
    upstream.meet(|_| Manner::Hang);
    let options = HttpOptions {
        call_timeout: Duration::from_mins(10),
        ..options(&upstream)
    };
    let mut hanging = destination(options);
    let interrupt = hanging.interrupter().expect("calls can be cut off");
    let call = std::thread::spawn(move || hanging.probe());
    while upstream.seen().requests.is_empty() {
        std::thread::yield_now();
    }
    interrupt();
    let outcome = call.join().expect("no panic");
    assert!(
        matches!(outcome, Err(SendError::Retry { .. })),
        "{outcome:?}"
    );
}

#[test]
fn retry_after_is_waited_for() {
    let upstream = Upstream::start();
    let mut busy = true;
    upstream.meet(move |request| {
        if is_batch(request) && std::mem::take(&mut busy) {
            return Manner::Say(Reply::new(503, "busy").header("retry-after", "1800"));
        }
        Manner::Well
    });
    let mut sender = ForwardingBox::new(destination(options(&upstream)));
    sender.journal_transactions(1);
    sender.run_until_delivered();
    assert!(
        sender.elapsed() >= Duration::from_mins(30),
        "{:?}",
        sender.elapsed()
    );
}

#[test]
fn what_a_person_must_mend_is_held_and_goes_on_by_itself_afterwards() {
    for (status, remedy) in [
        (401, "token"),
        (403, "allow this box"),
        (404, "path in url"),
        (409, "thrio-edge claim"),
    ] {
        let upstream = Upstream::start();
        upstream.meet(move |request| {
            if request.method == "GET" && status == 404 {
                return Manner::Say(Reply::new(404, ""));
            }
            let body = match status {
                409 => json!({"message": "source main is claimed", "remedy": "thrio-edge claim"}),
                _ => json!({"message": "no"}),
            };
            Manner::Say(Reply::json(status, &body))
        });
        let mut sender = ForwardingBox::new(destination(options(&upstream)));
        sender.journal_transactions(3);
        let reason = sender.run_until_held();
        assert!(
            reason.contains(&status.to_string()) && reason.contains(remedy),
            "{reason}"
        );
        assert_eq!(sender.status().balance.backlog, 3);
        upstream.meet(|_| Manner::Well);
        sender.run_until_delivered();
    }
}

#[test]
fn what_the_filter_leaves_out_is_acknowledged_with_the_range() {
    let upstream = Upstream::start();
    let only_roster = DeliveryOptions {
        feeds: vec![Feed::Configuration],
        ..DeliveryOptions::default()
    };
    let mut sender = ForwardingBox::with_options(only_roster, destination(options(&upstream)));
    sender.journal_transactions(500);
    sender.journal(&[agent("main", "a-1")]);
    sender.journal_transactions(9);
    sender.run_until_delivered();
    assert_eq!(upstream.held(), [501]);
    let ranges: Vec<_> = upstream
        .batches()
        .iter()
        .map(|b| b.header("thrio-edge-range").to_owned())
        .collect();
    assert!(
        ranges.last().is_some_and(|r| r.ends_with("-510")),
        "{ranges:?}"
    );
    // The cursor is lost; the receipt knows what the filter left out.
    let calls = upstream.batches().len();
    sender.restart(destination(options(&upstream)));
    sender.run_until_delivered();
    assert_eq!(upstream.batches().len(), calls);
}

#[test]
fn credentials_and_headers_travel_and_are_never_shown() {
    let upstream = Upstream::start();
    upstream.meet(|request| {
        let echo = format!("{:?}", request.headers);
        Manner::Say(Reply::json(401, &json!({ "message": echo })))
    });
    let token = Credentials {
        token: Some(secret("token-of-the-box")),
        password: None,
    };
    let basic = Credentials {
        token: None,
        password: Some(secret("correct horse")),
    };
    for (credentials, user, sent) in [
        (token, None, "Bearer token-of-the-box"),
        (basic, Some("wfm"), "Basic d2ZtOmNvcnJlY3QgaG9yc2U="),
    ] {
        let options = HttpOptions {
            username: user.map(str::to_owned),
            headers: vec![Header {
                name: "x-api-key".to_owned(),
                value: SecretString::from("key-of-the-gateway"),
            }],
            ..options(&upstream)
        };
        let shown = format!("{options:?}");
        let mut sender = ForwardingBox::new(with_credentials(options, credentials));
        let reason = sender.run_until_held();
        let last = upstream.seen().requests.last().cloned().expect("a request");
        assert_eq!(last.header("authorization"), sent);
        assert_eq!(last.header("x-api-key"), "key-of-the-gateway");
        for secret in [
            "token-of-the-box",
            "correct horse",
            "key-of-the-gateway",
            "d2ZtOm",
        ] {
            assert!(
                !reason.contains(secret) && !shown.contains(secret),
                "{reason}"
            );
        }
    }
}

#[test]
fn lines_are_taken_on_the_receivers_word_and_a_file_beside_the_store_knows_how_far() {
    let upstream = Upstream::start();
    let beside = tempfile::tempdir().expect("a folder");
    let lines = || {
        destination(HttpOptions {
            format: Format::Ndjson,
            acknowledge: Acknowledge::Status,
            high_water: Some(beside.path().join("http/upstream.json")),
            ..options(&upstream)
        })
    };
    let mut sender = ForwardingBox::new(lines());
    sender.journal_transactions(30);
    let copy = tempfile::tempdir().expect("a folder");
    copy_files(sender.folder.path(), copy.path());
    let former = sender.store.store_id();
    sender.run_until_delivered();
    assert_eq!(upstream.held(), seqs(30));
    let line = upstream.seen().held[&(former.to_string(), 1)].clone();
    assert_eq!(line["kind"], "transaction");
    assert_eq!(line["id"], format!("{former}:1"));
    assert_eq!(
        (&line["box"], &line["source"]),
        (&json!("box-1"), &json!("main"))
    );
    assert!(
        upstream
            .seen()
            .beside
            .iter()
            .all(|line| line["kind"] == "heartbeat")
    );

    // The journal is put back to when it was younger: its new records have seqs that were used.
    sender.journal_transactions(10);
    sender.run_until_delivered();
    sender.restart_from(copy.path(), lines());
    sender.journal_transactions(5);
    sender.run_until_delivered();
    assert_ne!(sender.store.store_id(), former, "the roll-back was noticed");
}

#[test]
fn check_connect_asks_whether_somebody_is_there_and_sends_nothing() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().expect("a folder");
    for format in ["cloudevents", "ndjson"] {
        let (code, said) = check_connect(
            folder.path(),
            &format!(
                "kind = \"http\"\nurl = \"{}\"\ntoken = \"a-token\"\nformat = \"{format}\"\n",
                upstream.url()
            ),
        );
        assert!(code == Some(0) && !said.contains("a-token"), "{said}");
    }
    let seen = upstream.seen();
    let told = seen
        .requests
        .iter()
        .map(|r| (r.method.as_str(), r.body.len()));
    assert_eq!(told.collect::<Vec<_>>(), [("OPTIONS", 0), ("OPTIONS", 0)]);
    assert!(seen.held.is_empty() && seen.beside.is_empty());
}
