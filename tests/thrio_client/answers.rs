//! What an answer may look like, and what becomes of it.

use std::time::Duration;

use thrio_edge::domain::call::{
    ConfigurationAnswer, ConfigurationCall, FailureKind, HistoricalRow, RealtimeCall, RejectReason,
    Snapshot,
};
use thrio_edge::domain::ids::QueueId;
use thrio_edge::domain::timestamp::WallTime;
use thrio_edge::thrio::api::Method;
use thrio_edge::thrio::error::Cause;

use super::script::*;

const HISTORICAL: &str = "/wfm/community/historical";

#[test]
fn a_window_is_asked_for_half_open_in_unix_seconds() {
    let server = Server::with_data(|_| {
        json(
            r#"{"data":[{"queueId":"q","interval":1785000600,"sumHandleTime":"60","enteredCount":2,"abandonedCount":null}]}"#,
        )
    });
    let bench = Bench::new(&server);
    let answer = value(bench.source().historical(&window_call(9)));
    assert_eq!(
        server.seen()[1].target,
        format!("{HISTORICAL}?startTime={FROM}&endTime={}", FROM + 8100)
    );
    let [HistoricalRow { queue, figures, .. }] = answer.rows.as_slice() else {
        panic!("{answer:?}");
    };
    assert_eq!(queue.as_str(), "q");
    assert_eq!(
        (figures.handle_time_s, figures.entered, figures.abandoned),
        (Some(60), Some(2), None)
    );
}

#[test]
fn a_mapping_file_changes_the_request_whole() {
    let server = Server::with_data(|seen| match seen.path() {
        HISTORICAL => json(
            r#"[{"interval":"2026-07-25 17:30:00","queueID":"7","sumHandleTime":60,"enteredCount":2,"abandonedCount":0}]"#,
        ),
        _ => json(
            r#"[{"uKey":"k","fullName":"Kim","statusCode":"Busy","lastStatusChange":"2026-07-25 17:29:00"}]"#,
        ),
    });
    let mut bench = Bench::new(&server);
    bench.api = toml::from_str(include_str!("../../conf/api/sibling.toml")).unwrap();
    assert_eq!(bench.api.problems(), []);
    let mut call = window_call(1);
    call.queues = vec![QueueId::new("7").unwrap(), QueueId::new("8").unwrap()];

    let answer = value(bench.source().historical(&call));
    let mut snapshot = Snapshot::default();
    let since = Some(WallTime::from_s(1_785_000_000));
    bench
        .source()
        .realtime(&RealtimeCall { since }, &mut snapshot)
        .unwrap();

    assert_eq!(answer.rows.len(), 1);
    let row = snapshot.row(0);
    assert_eq!(
        (row.agent, row.state, row.since),
        ("k", "Busy", Some(WallTime::from_s(1_785_000_540)))
    );
    let seen = server.seen();
    assert_eq!(seen[1].method, "POST");
    let body: serde_json::Value = serde_json::from_str(&seen[1].body).unwrap();
    assert_eq!(body["startTime"], "7/25/2026 5:30:00 PM");
    assert_eq!(body["endTime"], "7/25/2026 5:45:00 PM");
    assert_eq!(body["queueIDs"], serde_json::json!(["7", "8"]));
    assert_eq!(seen[2].body, r#"{"lastRanTime": "7/25/2026 5:20:00 PM"}"#);
}

#[test]
fn the_shipped_defaults_are_the_defaults_of_the_program() {
    let file: thrio_edge::thrio::ApiOptions =
        toml::from_str(include_str!("../../conf/api/community.toml")).unwrap();
    assert_eq!(file, thrio_edge::thrio::ApiOptions::default());
    assert_eq!(file.problems(), []);
}

#[test]
fn the_first_poll_for_changes_reaches_back() {
    let server = Server::with_data(|_| json("[]"));
    let mut bench = Bench::new(&server);
    bench.api.realtime.query = "since={since}".to_owned();
    bench.poll().unwrap();
    assert_eq!(
        server.seen()[1].target,
        format!("{REALTIME}?since={}", START - 86_400)
    );
}

#[test]
fn headers_of_a_mapping_are_sent() {
    let server = Server::with_data(|_| json("[]"));
    let mut bench = Bench::new(&server);
    bench.api.realtime.method = Method::Post;
    bench
        .api
        .realtime
        .headers
        .0
        .insert("X-Tenant".to_owned(), "north".to_owned());
    bench.poll().unwrap();
    assert_eq!(server.seen()[1].body, "{}");
}

#[test]
fn what_is_no_thrio_answer_says_status_type_and_start_and_stores_nothing() {
    let html = format!(
        "<html><body>Please   log in{}</body></html>",
        " x".repeat(200)
    );
    for (body, kind, shown) in [
        (html.as_str(), "text/html", "<html><body>Please log in x x"),
        ("", "application/json", "an empty body"),
        (
            r#"[{"agent-id":"a1","agent-status":"#,
            "application/json",
            "it ends too early",
        ),
        (
            r#"[{"agent-id":"a1","agent-status":NaN}]"#,
            "application/json",
            "not JSON",
        ),
        (
            r#"{"code":"X","message":"no"}"#,
            "application/json",
            "JSON without rows",
        ),
        (r#"[{"foo":1}]"#, "application/json", "names seen: foo"),
    ] {
        let answer = Answer::Http(200, vec![format!("Content-Type: {kind}")], body.into());
        let server = Server::with_data(move |_| answer.clone());
        let bench = Bench::new(&server);
        let mut snapshot = Snapshot::default();
        let error = bench
            .source()
            .realtime(&RealtimeCall::default(), &mut snapshot)
            .unwrap_err();
        let text = error.to_string();
        assert!(snapshot.is_empty());
        assert!(
            matches!(error.cause, Cause::NotThrio { status: 200, .. }),
            "{text}"
        );
        assert!(text.contains(kind) && text.contains(shown), "{text}");
        assert_eq!(error.failure().kind, FailureKind::Unusable);
        assert!(
            !text.contains(&"x ".repeat(60)),
            "at most 80 characters: {text}"
        );
        // The same for the streamed feeds.
        let error = bench.source().historical(&window_call(1)).unwrap_err();
        assert!(
            matches!(error.cause, Cause::NotThrio { .. }),
            "{body}: {error}"
        );
        let error = bench
            .source()
            .configuration(ConfigurationCall::Queues)
            .unwrap_err();
        assert!(
            matches!(error.cause, Cause::NotThrio { .. }),
            "{body}: {error}"
        );
    }
}

#[test]
fn the_parse_decides_and_not_the_content_type() {
    let server = Server::with_data(|_| {
        Answer::Http(
            200,
            vec!["Content-Type: text/html".into()],
            ONE_AGENT.into(),
        )
    });
    assert_eq!(Bench::new(&server).poll().unwrap().0.len(), 1);
}

#[test]
fn a_bad_row_is_rejected_alone_and_shown_with_its_reason() {
    let server = Server::with_data(|_| {
        json(
            r#"[{"interval":1785000600,"enteredCount":1},
                {"queueId":"q","interval":1785000600,"enteredCount":-1},
                {"queueId":"q","interval":1785000600,"enteredCount":"x"},
                {"queueId":"q","interval":1784999700,"enteredCount":1},
                {"queueId":"q","interval":1785000600,"enteredCount":1},
                {"queueId":"q","interval":1785000600,"enteredCount":2}]"#,
        )
    });
    let answer = value(Bench::new(&server).source().historical(&window_call(1)));
    assert_eq!(answer.rows.len(), 1);
    assert_eq!(
        answer.rows[0].figures.entered,
        Some(2),
        "the last duplicate wins"
    );
    let reasons: Vec<_> = answer
        .rejected
        .samples
        .iter()
        .map(|(reason, _)| *reason)
        .collect();
    assert_eq!(
        reasons,
        [
            RejectReason::MissingId,
            RejectReason::Negative,
            RejectReason::NotANumber,
            RejectReason::OutsideWindow,
            RejectReason::Duplicate,
        ]
    );
    assert!(answer.rejected.samples[2].1.contains("entered is \"x\""));
}

fn list(seen: &Seen, len: usize, cap: usize, total: &str) -> Answer {
    let query = seen.target.split_once('?').unwrap().1;
    let number = |name: &str| -> usize {
        let value = query.split('&').find_map(|p| p.strip_prefix(name)).unwrap();
        value.parse().unwrap()
    };
    let (start, rows) = (number("start="), number("rows="));
    let objects: Vec<_> = (start..len)
        .take(rows.min(cap))
        .map(|n| format!(r#"{{"_id":"{n}","userId":"{n}","username":"u{n}"}}"#))
        .collect();
    json(&format!(
        r#"{{"count":"{}",{total}"next":"x","previous":null,"objects":[{}]}}"#,
        objects.len(),
        objects.join(",")
    ))
}

fn agents(server: &Server) -> (usize, bool) {
    let answer = value(
        Bench::new(server)
            .source()
            .configuration(ConfigurationCall::Agents),
    );
    let ConfigurationAnswer::Agents(list) = answer else {
        panic!("agents were asked for");
    };
    (list.entries.len(), list.complete)
}

#[test]
fn lists_are_read_page_by_page_until_the_announced_total() {
    let server = Server::with_data(|seen| list(seen, 230, 60, r#""total":"230","#));
    assert_eq!(agents(&server), (230, true));
    assert_eq!(server.count("/data/api/types/user"), 4);
}

#[test]
fn a_list_shorter_than_announced_is_incomplete() {
    let server = Server::with_data(|seen| list(seen, 150, 100, r#""total":170,"#));
    assert_eq!(agents(&server), (150, false));
}

#[test]
fn a_list_without_a_total_ends_by_itself_also_where_the_server_caps_its_pages() {
    let server = Server::with_data(|seen| list(seen, 130, 50, ""));
    assert_eq!(agents(&server), (130, true));
    assert_eq!(server.count("/data/api/types/user"), 3);
}

#[test]
fn a_failing_page_fails_the_whole_list() {
    let server = Server::with_data(|seen| {
        if seen.nth == 1 {
            status(500, "")
        } else {
            list(seen, 230, 100, r#""total":230,"#)
        }
    });
    let result = Bench::new(&server)
        .source()
        .configuration(ConfigurationCall::Agents);
    assert!(matches!(
        result.unwrap_err().cause,
        Cause::Server { status: 500, .. }
    ));
}

#[test]
fn the_date_header_and_both_clocks_time_the_call() {
    let server =
        Server::with_data(|_| with_header(json(ONE_AGENT), "Date: Sat, 25 Jul 2026 17:20:00 GMT"));
    let (_, timing) = Bench::new(&server).poll().unwrap();
    assert_eq!(timing.server_date, Some(WallTime::from_s(1_785_000_000)));
    assert!(timing.sent.mono < timing.received.mono);
}

#[test]
fn throttling_is_told_with_the_time_that_was_asked_for() {
    for (code, header, expected) in [
        (429, "Retry-After: 7", Some(Duration::from_secs(7))),
        (503, "Retry-After: 9999999", Some(Duration::from_mins(5))),
        (503, "X-Nothing: 1", None),
        (429, "Retry-After: 0", Some(Duration::ZERO)),
        (
            429,
            "Retry-After: Sat, 25 Jul 2020 17:20:00 GMT",
            Some(Duration::ZERO),
        ),
    ] {
        let server = Server::with_data(move |_| with_header(status(code, ""), header));
        let bench = Bench::new(&server);
        let failure = bench.poll().unwrap_err().failure();
        assert_eq!(
            failure.kind,
            FailureKind::Throttled {
                retry_after: expected
            },
            "{header}"
        );
    }
    let server = Server::with_data(|_| with_header(status(429, ""), "Retry-After: 9999999"));
    let failure = Bench::new(&server)
        .source()
        .historical(&window_call(1))
        .unwrap_err()
        .failure();
    assert_eq!(
        failure.kind,
        FailureKind::Throttled {
            retry_after: Some(Duration::from_hours(1))
        }
    );
}

#[test]
fn other_statuses_are_told_apart() {
    for (code, kind) in [
        (400, FailureKind::Unusable),
        (404, FailureKind::Unusable),
        (500, FailureKind::Unavailable),
        (502, FailureKind::Unavailable),
        (408, FailureKind::Unavailable),
    ] {
        let server =
            Server::with_data(move |_| status(code, r#"{"type":"t","message":"because"}"#));
        let error = Bench::new(&server).poll().unwrap_err();
        assert_eq!(error.failure().kind, kind, "{code}");
        let text = error.to_string();
        assert!(
            text.contains(&code.to_string()) && text.contains("because"),
            "{text}"
        );
    }
}
