//! What an attacker or a broken script can do: nothing that the collector would notice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::site::{Site, poll};

/// Runs the attack and holds that realtime polls go on during and after it.
fn while_polling(site: &Site, attack: impl FnOnce(&Site)) {
    site.wait_for_data();
    let before = site.realtime_answers();
    attack(site);
    poll("two more polls", || {
        (site.realtime_answers() >= before + 2).then_some(())
    });
    let status = site.status();
    let realtime = status
        .feeds
        .iter()
        .find(|feed| feed.feed == "realtime")
        .unwrap();
    assert!(
        !realtime.is_stale && realtime.consecutive_failures == 0,
        "{realtime:?}"
    );
    assert!(status.ready);
}

#[test]
fn a_body_of_100_mb_is_refused_before_it_is_read() {
    let site = Site::new();
    while_polling(&site, |site| {
        let mut stream = TcpStream::connect(site.daemon().control_address()).unwrap();
        let head = format!(
            "POST /api/v1/sources HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n",
            site.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = vec![b' '; 1 << 20];
        // It may hang up in the middle, and then nothing more can be written.
        let sent = (0..100)
            .take_while(|_| stream.write_all(&chunk).is_ok())
            .count();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(sent < 100, "all of it was taken");
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 413"),
            "{text}"
        );
    });
    let large = "x".repeat(300 * 1024);
    let bearer = format!("Bearer {}", site.token);
    let refused = site.post_with("/api/v1/sources", &large, &[("authorization", &bearer)]);
    assert_eq!(
        (refused.status, refused.code()),
        (413, "too_large".to_owned())
    );
}

#[test]
fn a_thousand_idle_connections_are_hung_up_on() {
    let site = Site::new();
    while_polling(&site, |site| {
        let address = site.daemon().control_address();
        let mut idle: Vec<TcpStream> = Vec::new();
        for _ in 0..1_000 {
            // Where this process has no more descriptors, the point is made with fewer.
            match TcpStream::connect(address) {
                Ok(stream) => idle.push(stream),
                Err(_) => break,
            }
        }
        assert!(idle.len() > 200, "{}", idle.len());
        let is_closed = |stream: &mut TcpStream| {
            stream
                .set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            matches!(stream.read(&mut [0]), Ok(0))
                || stream.take_error().is_ok_and(|error| error.is_some())
        };
        poll("all of them closed", || {
            idle.retain_mut(|stream| !is_closed(stream));
            idle.is_empty().then_some(())
        });
        poll("an answer again", || {
            (site.get("/healthz").status == 200).then_some(())
        });
    });
}

#[test]
fn what_is_no_request_is_told_what_is_wrong() {
    let site = Site::new();
    let bearer = format!("Bearer {}", site.token);
    let check = |path: &str, body: &str, kind: &str, status: u16, code: &str| {
        let got = site.post_with(
            path,
            body,
            &[("authorization", &bearer), ("content-type", kind)],
        );
        assert_eq!(
            (got.status, got.code().as_str()),
            (status, code),
            "{path} {body}"
        );
    };
    let json = "application/json";
    check("/api/v1/import", "{", json, 400, "bad_request");
    check(
        "/api/v1/import",
        "{\"dry\": true}",
        json,
        400,
        "bad_request",
    );
    check(
        "/api/v1/replay",
        "{\"destination\": \"local\"}",
        json,
        400,
        "bad_request",
    );
    check(
        "/api/v1/backfill",
        "{\"from\": \"x\", \"to\": \"y\"}",
        json,
        400,
        "bad_request",
    );
    check("/api/v1/status", "{}", json, 405, "method");
    check("/api/v2/status", "{}", json, 404, "not_found");
    for query in [
        "limit=0",
        "limit=1001",
        "from=x",
        "nothing=1",
        "limit=1&limit=2",
    ] {
        let got = site.get(&format!("/api/v1/intervals?{query}"));
        assert_eq!(
            (got.status, got.code().as_str()),
            (400, "bad_request"),
            "{query}"
        );
    }
    let got = site.get("/api/v1/transactions?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z");
    assert_eq!(got.code(), "bad_request");
}
