//! Login, token, `location`, schemes, renewal, holds.

use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use base64::Engine as _;
use thrio_edge::domain::call::FailureKind;
use thrio_edge::thrio::error::Cause;
use thrio_edge::thrio::{AuthScheme, HOLD_MAX, HOLD_MIN};

use super::script::*;

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_password_buys_a_token_that_later_calls_send_raw_to_location() {
    let tenant = Server::start(|_| json(ONE_AGENT));
    let location = format!("http://localhost:{}/", tenant.address.port());
    let login = Server::start(move |_| granted(&location));
    let bench = Bench::new(&login);

    let (rows, _) = bench.poll().unwrap();

    assert_eq!(rows, [("a1".to_owned(), "Available".to_owned())]);
    let asked = &login.seen()[0];
    let pair = format!("wfm@example.com:{PASSWORD}");
    let basic = base64::engine::general_purpose::STANDARD.encode(pair);
    assert_eq!((asked.method.as_str(), asked.path()), ("GET", LOGIN));
    assert_eq!(asked.authorization, format!("Basic {basic}"));
    let called = &tenant.seen()[0];
    assert_eq!(called.target, REALTIME);
    assert_eq!(called.authorization, TOKEN, "raw, without Bearer");
}

#[test]
fn one_login_serves_many_calls_until_it_is_twenty_hours_old() {
    let server = Server::with_data(|_| json(ONE_AGENT));
    let bench = Bench::new(&server);
    bench.poll().unwrap();
    bench.clock.advance(19 * HOUR);
    bench.poll().unwrap();
    assert_eq!(server.count(LOGIN), 1);
    bench.clock.advance(HOUR);
    bench.poll().unwrap();
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn a_tokens_own_claim_of_a_shorter_life_is_heeded() {
    let claims =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"iat":1000,"exp":4600}"#);
    let server = Server::start(move |seen| match seen.path() {
        LOGIN => json(&format!(r#"{{"token":"h.{claims}.s","location":""}}"#)),
        _ => json(ONE_AGENT),
    });
    let bench = Bench::new(&server);
    bench.poll().unwrap();
    bench.clock.advance(HOUR);
    bench.poll().unwrap();
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn a_renewal_that_fails_for_want_of_a_network_keeps_the_token_that_still_works() {
    let server = Server::start(|seen| match (seen.path(), seen.nth) {
        (LOGIN, 0) => granted(""),
        (LOGIN, _) => status(502, "down"),
        _ => json(ONE_AGENT),
    });
    let bench = Bench::new(&server);
    bench.poll().unwrap();
    bench.clock.advance(21 * HOUR);
    bench.poll().unwrap();
    bench.poll().unwrap();
    assert_eq!(
        server.count(LOGIN),
        2,
        "the renewal is tried again later, not with each call"
    );
}

#[test]
fn the_location_may_be_bare_absent_or_another_one_at_the_next_login() {
    let second = Server::start(|_| json(ONE_AGENT));
    let bare = format!("localhost:{}", second.address.port());
    let server = Server::start(move |seen| match (seen.path(), seen.nth) {
        (LOGIN, 0) => json(&format!(r#"{{"token":"{TOKEN}","location":null}}"#)),
        (LOGIN, _) => granted(&bare),
        (_, 0) => json("[]"),
        _ => status(401, ""),
    });
    let bench = Bench::new(&server);
    assert_eq!(bench.poll().unwrap().0.len(), 0);
    assert_eq!(bench.poll().unwrap().0.len(), 1);
    assert_eq!(second.count(REALTIME), 1);
}

#[test]
fn a_location_outside_the_allowed_domains_never_sees_the_token_and_holds_the_connection() {
    for location in [
        "https://thrio.io.example.com",
        "https://evilthrio.io/",
        "evil.example",
        "http://tenant.thrio.io",
        "https://login.thrio.com@evil.example",
        "ftp://tenant.thrio.io",
    ] {
        let server = Server::start(move |_| granted(location));
        let bench = Bench::new(&server);
        let error = bench.poll().unwrap_err();
        assert!(
            matches!(error.cause, Cause::HostNotAllowed { .. }),
            "{location}: {error}"
        );
        assert!(matches!(
            error.failure().kind,
            FailureKind::ConnectionHeld { .. }
        ));
        bench.poll().unwrap_err();
        assert_eq!(server.seen().len(), 1, "{location}: held");
        assert!(bench.connection.held().is_some());
    }
}

#[test]
fn a_token_that_ended_costs_one_login_and_one_more_call() {
    let server = Server::start(|seen| match (seen.path(), seen.nth) {
        (LOGIN, n) => json(&format!(r#"{{"token":"t{n}","location":""}}"#)),
        (_, 1) => status(401, r#"{"message":"expired"}"#),
        _ => json(ONE_AGENT),
    });
    let bench = Bench::new(&server);
    bench.poll().unwrap();
    bench.poll().unwrap();
    let tokens: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|s| s.path() != LOGIN)
        .map(|s| s.authorization)
        .collect();
    assert_eq!(tokens, ["t0", "t0", "t1"]);
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn auto_tries_the_other_scheme_once_after_a_fresh_login_and_stays_with_what_worked() {
    let server = Server::start(|seen| match seen.path() {
        LOGIN => json(&format!(r#"{{"token":"t{}","location":""}}"#, seen.nth)),
        _ if seen.authorization.starts_with("Bearer ") && seen.nth != 3 => json(ONE_AGENT),
        _ => status(401, ""),
    });
    let bench = Bench::new(&server);
    bench.poll().unwrap();
    bench.poll().unwrap();
    // The token ends: the scheme that worked stays.
    bench.poll().unwrap();
    let sent: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|s| s.path() != LOGIN)
        .map(|s| s.authorization)
        .collect();
    assert_eq!(
        sent,
        ["t0", "Bearer t0", "Bearer t0", "Bearer t0", "Bearer t1"]
    );
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn a_fixed_scheme_is_never_changed() {
    for (scheme, sent) in [
        (AuthScheme::Raw, TOKEN.to_owned()),
        (AuthScheme::Bearer, format!("Bearer {TOKEN}")),
    ] {
        let server = Server::with_data(|_| status(401, ""));
        let mut options = options(&server.url());
        options.auth_scheme = scheme;
        let bench = Bench::with(options);
        assert!(matches!(bench.poll_cause(), Cause::Unauthorized { .. }));
        assert_eq!(server.count(LOGIN), 1);
        let calls: Vec<_> = server
            .seen()
            .into_iter()
            .skip(1)
            .map(|s| s.authorization)
            .collect();
        assert_eq!(calls, [sent], "a fresh token is not bought again");
    }
}

#[test]
fn a_refused_login_holds_the_connection_with_a_growing_delay() {
    let server = Server::start(|_| status(401, r#"{"code":"bad","message":"Bad credentials"}"#));
    let bench = Bench::new(&server);
    let mut expected = HOLD_MIN;
    for attempt in 1..=6 {
        let error = bench.poll().unwrap_err();
        let FailureKind::ConnectionHeld { until } = error.failure().kind else {
            panic!("{error}");
        };
        assert!(
            error.to_string().contains("bad: Bad credentials"),
            "{error}"
        );
        let delay = until.since(error.timing.received.mono);
        assert!(
            delay.abs_diff(expected) < Duration::from_secs(1),
            "{delay:?}"
        );
        // Other feeds of the connection do not knock meanwhile.
        bench.clock.advance(expected / 2);
        assert_eq!(
            bench.poll().unwrap_err().failure().kind,
            FailureKind::ConnectionHeld { until }
        );
        assert_eq!(server.count(LOGIN), attempt);
        bench.clock.advance(expected);
        expected = (expected * 2).min(HOLD_MAX);
    }
}

#[test]
fn a_fresh_token_that_is_refused_both_ways_holds_the_connection() {
    let server = Server::with_data(|_| status(401, ""));
    let bench = Bench::new(&server);
    assert!(matches!(bench.poll_cause(), Cause::Unauthorized { .. }));
    assert_eq!((server.count(LOGIN), server.count(REALTIME)), (1, 2));
    bench.poll_cause();
    assert_eq!(
        (server.count(LOGIN), server.count(REALTIME)),
        (1, 2),
        "held"
    );
    bench.clock.advance(HOLD_MIN + Duration::from_secs(1));
    bench.poll_cause();
    assert_eq!((server.count(LOGIN), server.count(REALTIME)), (2, 4));
}

#[test]
fn a_new_password_ends_the_hold_and_starts_the_delays_anew() {
    let good = base64::engine::general_purpose::STANDARD.encode("wfm@example.com:better");
    let server = Server::start(move |seen| match seen.path() {
        LOGIN if seen.authorization.ends_with(&good) => granted(""),
        LOGIN => status(401, ""),
        _ => json(ONE_AGENT),
    });
    let bench = Bench::new(&server);
    bench.poll_cause();
    assert!(!bench.connection.end_hold_if_password_changed());
    bench.set_password("better");
    assert!(bench.connection.end_hold_if_password_changed());
    assert_eq!(bench.connection.held(), None);
    bench.poll().unwrap();
}

#[test]
fn an_unreadable_password_is_told_and_read_again() {
    let server = Server::with_data(|_| json(ONE_AGENT));
    let bench = Bench::new(&server);
    *bench.password.lock().unwrap() = Err("password_file /etc/x: not found".to_owned());
    let error = bench.poll().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("password_file /etc/x: not found"),
        "{error}"
    );
    assert!(matches!(
        error.failure().kind,
        FailureKind::ConnectionHeld { .. }
    ));
    assert_eq!(server.seen().len(), 0);
    bench.set_password(PASSWORD);
    bench.poll().unwrap();
}

#[test]
fn threads_that_need_a_token_share_one_login() {
    let server = Server::start(|seen| match seen.path() {
        // Long enough for every thread to come to the door.
        LOGIN => {
            StopWait::pause(Duration::from_millis(200));
            granted("")
        }
        _ => json(ONE_AGENT),
    });
    let bench = Arc::new(Bench::new(&server));
    let door = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (bench, door) = (bench.clone(), door.clone());
            std::thread::spawn(move || {
                door.wait();
                bench.poll().unwrap();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!((server.count(LOGIN), server.count(REALTIME)), (1, 8));
}

#[test]
fn threads_share_a_login_that_fails_too() {
    let server = Server::start(|_| {
        StopWait::pause(Duration::from_millis(300));
        status(500, "no")
    });
    let bench = Arc::new(Bench::new(&server));
    let door = Arc::new(Barrier::new(6));
    let causes: Arc<Mutex<Vec<Cause>>> = Arc::default();
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let (bench, door, causes) = (bench.clone(), door.clone(), causes.clone());
            std::thread::spawn(move || {
                door.wait();
                let cause = bench.poll_cause();
                causes.lock().unwrap().push(cause);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(
        causes
            .lock()
            .unwrap()
            .iter()
            .all(|c| matches!(c, Cause::Server { status: 500, .. }))
    );
    assert_eq!(server.count(LOGIN), 1);
}

#[test]
fn a_token_that_ends_for_all_threads_costs_one_login() {
    let ended = Arc::new(Barrier::new(6));
    let server = Server::start(move |seen| match seen.path() {
        LOGIN => json(&format!(r#"{{"token":"t{}","location":""}}"#, seen.nth)),
        _ if seen.nth == 0 => json(ONE_AGENT),
        _ if seen.authorization == "t0" => {
            ended.wait();
            status(401, "")
        }
        _ => json(ONE_AGENT),
    });
    let bench = Arc::new(Bench::new(&server));
    bench.poll().unwrap();
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let bench = bench.clone();
            std::thread::spawn(move || bench.poll().unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn a_missing_authority_holds_the_feed_and_not_the_connection() {
    let server = Server::with_data(|seen| match seen.path() {
        REALTIME => status(
            403,
            r#"{"code":"AUTH","message":"missing authority WFM_READ"}"#,
        ),
        _ => json("[]"),
    });
    let bench = Bench::new(&server);
    let error = bench.poll().unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::FeedHeld);
    assert!(
        error.to_string().contains("missing authority WFM_READ"),
        "{error}"
    );
    bench.source().historical(&window_call(1)).unwrap();
    bench.poll().unwrap_err();
    assert_eq!(server.count(LOGIN), 1, "no login loop");
    assert_eq!(bench.connection.held(), None);
}

#[test]
fn a_login_that_answers_something_else_is_named_with_its_host() {
    for answer in [
        "<html><title>Sign in</title></html>",
        "",
        "[]",
        r#"{"message":"hello"}"#,
        r#"{"token":"","location":"x"}"#,
        r#"{"token":17}"#,
    ] {
        let server = Server::start(move |_| json(answer));
        let bench = Bench::new(&server);
        let error = bench.poll().unwrap_err();
        assert!(
            matches!(error.cause, Cause::NotThrio { .. }),
            "{answer}: {error}"
        );
        let text = error.to_string();
        assert!(text.contains("not a Thrio API answer"), "{text}");
        assert!(text.contains(&server.address.to_string()), "{text}");
    }
}

/// Real time that a server takes, waited for as the program waits.
struct StopWait;

impl StopWait {
    fn pause(time: Duration) {
        thrio_edge::stop::StopToken::new().wait(time);
    }
}
