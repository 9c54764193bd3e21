//! No secret, and no body beyond its first characters, shows in any error or `Debug` output.

use std::sync::Arc;

use base64::Engine as _;
use thrio_edge::domain::call::{ConfigurationCall, RealtimeCall, Snapshot};
use thrio_edge::thrio::api::Method;

use super::script::*;

const API_KEY: &str = "canary-gateway-key";
const BODY_TAIL: &str = "canary-body-tail";

/// Everything that must not be seen, plain and as it travels.
fn canaries() -> Vec<String> {
    let pair = format!("wfm@example.com:{PASSWORD}");
    vec![
        PASSWORD.to_owned(),
        TOKEN.to_owned(),
        API_KEY.to_owned(),
        BODY_TAIL.to_owned(),
        base64::engine::general_purpose::STANDARD.encode(pair),
        // Cut short, a secret is still one.
        PASSWORD[..12].to_owned(),
        TOKEN[..10].to_owned(),
    ]
}

/// What a careless server sends back: everything that it was sent, and a long tail.
fn echo(seen: &Seen) -> String {
    format!(
        "{} {} {PASSWORD} {TOKEN} {API_KEY}",
        seen.authorization, seen.body
    )
}

fn careless(code: u16, kind: &'static str) -> Server {
    Server::with_data(move |seen| {
        let tail = format!("{}{BODY_TAIL}", " filler".repeat(30));
        let echo = echo(seen).replace('"', "'");
        let text = match kind {
            "json" => format!(r#"{{"code":"C","message":"{echo}{tail}"}}"#),
            "rows" => format!(r#"[{{"{echo}{tail}":1}}]"#),
            _ => format!("<html>{echo}{tail}"),
        };
        Answer::Http(
            code,
            vec![format!("Content-Type: text/{TOKEN}")],
            text.into_bytes(),
        )
    })
}

fn assert_clean(shown: &str, what: &str) {
    for canary in canaries() {
        assert!(!shown.contains(&canary), "{what} shows {canary}: {shown}");
    }
}

#[test]
fn no_failing_data_call_shows_a_secret() {
    for code in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
        for kind in ["json", "rows", "html"] {
            let server = careless(code, kind);
            let mut bench = Bench::new(&server);
            for headers in [
                &mut bench.api.realtime.headers,
                &mut bench.api.historical.headers,
                &mut bench.api.agents.headers,
            ] {
                headers.0.insert("X-Api-Key".to_owned(), API_KEY.to_owned());
            }
            bench.api.realtime.method = Method::Post;
            let mut source = bench.source();
            let mut snapshot = Snapshot::default();
            let errors = [
                source
                    .realtime(&RealtimeCall::default(), &mut snapshot)
                    .unwrap_err(),
                source.historical(&window_call(1)).unwrap_err(),
                source.configuration(ConfigurationCall::Agents).unwrap_err(),
            ];
            for error in errors {
                let what = format!("{code} {kind} {}", error.operation);
                assert_clean(&error.to_string(), &what);
                assert_clean(&format!("{error:?}"), &what);
                assert_clean(&error.failure().message, &what);
            }
            assert_clean(&format!("{:?} {:?}", bench.connection, bench.api), "Debug");
            assert_clean(&format!("{:?}", bench.connection.held()), "the hold");
        }
    }
}

#[test]
fn no_failing_login_shows_a_secret() {
    for code in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
        for kind in ["echo", "html", "cut", "shape"] {
            let server = Server::start(move |seen| {
                let text = match kind {
                    "echo" => echo(seen),
                    "html" => format!("<html>{}", echo(seen)),
                    // A token that we cannot even read.
                    "cut" => format!(r#"{{"location":"x","token":"{TOKEN}"#),
                    _ => format!(r#"{{"token":["{TOKEN}"],"message":"{PASSWORD}"}}"#),
                };
                Answer::Http(code, vec![], text.into_bytes())
            });
            let bench = Bench::new(&server);
            let error = bench.poll().unwrap_err();
            // On the login a token is only a secret where it is one, in an answer that grants it.
            let canaries = canaries()
                .into_iter()
                .filter(|c| code == 200 || !c.starts_with("canary-t"));
            for canary in
                canaries.filter(|c| *c != API_KEY && (kind != "html" || !c.starts_with("canary-t")))
            {
                for shown in [
                    error.to_string(),
                    format!("{error:?}"),
                    format!("{:?}", bench.connection),
                ] {
                    assert!(
                        !shown.contains(&canary),
                        "{code} {kind} shows {canary}: {shown}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_location_or_redirect_with_credentials_shows_none() {
    for (code, header, location) in [
        (
            200,
            "X: y".to_owned(),
            format!("https://me:{PASSWORD}@evil.example/{TOKEN}"),
        ),
        (
            302,
            format!("Location: https://me:{PASSWORD}@evil.example/?token={TOKEN}"),
            String::new(),
        ),
    ] {
        let server = Server::start(move |_| match granted(&location) {
            Answer::Http(_, headers, body) => {
                with_header(Answer::Http(code, headers, body), &header)
            }
            other => other,
        });
        let bench = Bench::new(&server);
        let error = bench.poll().unwrap_err();
        assert_clean(
            &format!("{error} {error:?} {:?}", bench.connection.held()),
            "the refusal",
        );
    }
}

#[test]
fn no_row_that_is_rejected_shows_a_long_text() {
    let server = Server::with_data(|_| {
        json(&format!(
            r#"[{{"agentId":"ok","status":"x"}},{{"agentId":"{}{BODY_TAIL}","status":"x"}}]"#,
            "a".repeat(200)
        ))
    });
    let bench = Bench::new(&server);
    let mut snapshot = Snapshot::default();
    bench
        .source()
        .realtime(&RealtimeCall::default(), &mut snapshot)
        .unwrap();
    assert_eq!(snapshot.rejected.count, 1);
    assert_clean(&format!("{:?}", snapshot.rejected), "the rejected row");
}

#[test]
fn a_password_that_cannot_be_sent_is_not_shown_either() {
    let server = Server::with_data(|_| json("[]"));
    let bench = Bench::new(&server);
    bench.set_password("canary-password-1\r\nX-Injected: 1");
    let shown = match bench.poll() {
        Ok(_) => String::new(),
        Err(error) => format!("{error} {error:?}"),
    };
    assert_clean(&shown, "the login");
    let _ = Arc::clone(&bench.clock);
}
