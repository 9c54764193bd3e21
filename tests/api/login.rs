//! Who may read and change: token, session, origin, address.

use std::sync::Arc;

use serde_json::json;
use thrio_edge::control::AdminToken;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::site::{Site, answer};

#[test]
fn reading_is_open_on_loopback_and_changing_is_not() {
    let site = Site::new();
    assert_eq!(site.get("/api/v1/status").status, 200);
    let refused = site.post_with("/api/v1/reload", "", &[]);
    assert_eq!(
        (refused.status, refused.code()),
        (401, "login_needed".to_owned())
    );
    let wrong = site.post_with(
        "/api/v1/reload",
        "",
        &[("authorization", "Bearer nonsense")],
    );
    assert_eq!(
        (wrong.status, wrong.code()),
        (401, "wrong_token".to_owned())
    );
    assert_eq!(site.post("/api/v1/reload", &json!({})).status, 200);
}

#[test]
fn a_browser_logs_in_changes_and_logs_out() {
    let site = Site::new();
    let login = site.post_with(
        "/api/v1/login",
        &json!({"token": site.token}).to_string(),
        &[],
    );
    assert_eq!(login.ok()["logged_in"], true);
    let given = login.header("set-cookie").to_owned();
    assert!(given.contains("HttpOnly; SameSite=Strict"), "{given}");
    let cookie = given.split(';').next().unwrap();
    let session = site.get_with("/api/v1/session", &[("cookie", cookie)]).ok();
    assert_eq!(session["logged_in"], true);
    assert_eq!(session["reading_needs_login"], false);
    let own = site.url("");
    let from_page = [
        ("cookie", cookie),
        ("origin", own.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(site.post_with("/api/v1/reload", "", &from_page).status, 200);
    for foreign in [
        [("cookie", cookie), ("origin", "http://evil.example")],
        [("cookie", cookie), ("sec-fetch-site", "cross-site")],
    ] {
        let refused = site.post_with("/api/v1/reload", "", &foreign);
        assert_eq!(
            (refused.status, refused.code()),
            (403, "foreign_origin".to_owned())
        );
    }
    assert_eq!(site.post_with("/api/v1/logout", "", &from_page).status, 200);
    assert_eq!(site.post_with("/api/v1/reload", "", &from_page).status, 401);
}

#[test]
fn wrong_logins_are_slowed_down_and_the_owner_is_not_locked_out() {
    let site = Site::new();
    let try_it =
        |token: &str| site.post_with("/api/v1/login", &json!({"token": token}).to_string(), &[]);
    let codes: Vec<u16> = (0..8)
        .map(|n| try_it(&format!("guess-{n}")).status)
        .collect();
    assert_eq!(codes[0], 401);
    let limited = try_it("guess");
    assert_eq!(
        (limited.status, limited.code()),
        (429, "too_many".to_owned())
    );
    assert!(!limited.header("retry-after").is_empty());
    assert_eq!(try_it(&site.token).status, 200);
}

#[test]
fn a_new_token_ends_the_sessions_of_the_former() {
    let site = Site::new();
    let login = site.post_with(
        "/api/v1/login",
        &json!({"token": site.token}).to_string(),
        &[],
    );
    let cookie = login
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    AdminToken::of(&site.state_dir()).make().unwrap();
    let refused = site.post_with("/api/v1/reload", "", &[("cookie", &cookie)]);
    assert_eq!(refused.status, 401);
    assert_eq!(site.post("/api/v1/reload", &json!({})).status, 401);
}

#[test]
fn every_answer_tells_a_browser_to_do_nothing_with_it() {
    let site = Site::new();
    for path in [
        "/api/v1/status",
        "/api/v1/nothing",
        "/metrics",
        "/",
        "/healthz",
    ] {
        let answer = site.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        let is_page = path == "/";
        assert_eq!(
            answer.header("cache-control") == "no-store",
            !is_page,
            "{path}"
        );
        assert!(
            answer.header("access-control-allow-origin").is_empty(),
            "{path}"
        );
    }
}

#[test]
fn a_foreign_name_for_this_machine_reads_nothing() {
    let site = Site::new();
    let answer = site.get_with("/api/v1/status", &[("host", "evil.example")]);
    assert_eq!(
        (answer.status, answer.code()),
        (421, "foreign_host".to_owned())
    );
}

#[test]
fn on_another_address_reading_needs_a_login_too_and_travels_by_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("c.pem"), files.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let site = Site::with_control(&format!(
        "listen = \"0.0.0.0:0\"\ncertificate = {certificate:?}\nkey = {key:?}"
    ));
    let root = Certificate::from_pem(made.cert.pem().as_bytes())
        .unwrap()
        .to_owned();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(vec![root])))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .build()
        .into();
    let url = |path: &str| {
        let port = site.daemon().control_address().port();
        format!("https://localhost:{port}{path}")
    };
    let get = |path: &str, bearer: &str| {
        let request = agent.get(url(path));
        answer(if bearer.is_empty() {
            request.call()
        } else {
            request
                .header("authorization", format!("Bearer {bearer}"))
                .call()
        })
    };
    for path in ["/api/v1/status", "/metrics", "/api/v1/agents"] {
        assert_eq!(get(path, "").status, 401, "{path}");
        assert_eq!(get(path, &site.token).status, 200, "{path}");
    }
    for path in ["/", "/healthz", "/api/v1/session"] {
        assert_eq!(get(path, "").status, 200, "{path}");
    }
    let login = agent
        .post(url("/api/v1/login"))
        .header("content-type", "application/json")
        .send(json!({"token": site.token}).to_string());
    assert!(answer(login).header("set-cookie").ends_with("; Secure"));
}
