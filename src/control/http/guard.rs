//! What stands before every answer: the host's name, the origin, the login, the body's size, and
//! the headers that keep a browser from doing more with an answer than showing it.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::Desk;
use super::problem::Problem;
use super::sessions::Asker;

/// The largest body: a source's settings with every mapping are a few KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Up to this size one that is too large is read to its end.
const BODY_BYTES_DRAINED: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read without a login on any address. The page's own files hold nothing of the box.
const OPEN: [&str; 5] = [
    "/",
    "/healthz",
    "/readyz",
    "/api/v1/session",
    "/api/v1/logout",
];
/// What is changed without a login: it is how one logs in and out.
const OPEN_CHANGES: [&str; 2] = ["/api/v1/login", "/api/v1/logout"];

/// Lets through what may be asked.
pub(super) async fn guard(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let mut response = match admit(&desk, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    protect(response.headers_mut());
    response
}

async fn admit(desk: &Desk, request: Request) -> Result<Request, Problem> {
    let headers = request.headers();
    let (path, method) = (request.uri().path(), request.method());
    let host = host(&request).unwrap_or_default().to_owned();
    if desk.is_loopback && !is_loopback_name(&host) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "foreign_host",
            "this server answers under localhost only",
        ));
    }
    let is_change = !matches!(*method, Method::GET | Method::HEAD);
    if is_change && !is_same_origin(headers, &host, desk.is_secure) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "a change must come from the box's own page",
        ));
    }
    let needs_login = if is_change {
        !OPEN_CHANGES.contains(&path)
    } else {
        !desk.is_loopback && !OPEN.contains(&path) && !path.starts_with("/page/")
    };
    let asker = match desk.sessions.asker(headers) {
        Ok(asker) => asker,
        // Who needs no login is not turned away for a wrong one.
        Err(_) if !needs_login => Asker::Anyone,
        Err(denied) => return Err(denied.into()),
    };
    if needs_login && asker == Asker::Anyone {
        return Err(if desk.sessions.token_exists() {
            Problem::login_needed()
        } else {
            super::sessions::Denied::NoToken.into()
        });
    }
    let mut request = with_whole_body(request).await?;
    request.extensions_mut().insert(asker);
    Ok(request)
}

/// Reads the body before anything is done with it, so that a slow or endless one holds nothing.
async fn with_whole_body(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let too_large = || {
        let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let announced = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        // Who is still sending does not hear an answer: a body that is a little too large is let in
        // and thrown away, another is hung up on.
        if announced.is_some_and(|length| length <= BODY_BYTES_DRAINED as u64) {
            let _ = timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_DRAINED)).await;
        }
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "bad_request",
            "the body did not arrive in time",
        )),
    }
}

/// The host that is asked, with its port.
fn host(request: &Request) -> Option<&str> {
    let from_uri = request
        .uri()
        .authority()
        .map(axum::http::uri::Authority::as_str);
    let header = || request.headers().get(header::HOST)?.to_str().ok();
    from_uri.or_else(header)
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A browser says where a change comes from; what says nothing is no browser, and has no cookie
/// that somebody else could use.
fn is_same_origin(headers: &HeaderMap, host: &str, is_secure: bool) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = HeaderName::from_static("sec-fetch-site");
    let site_fits = text(site).is_none_or(|site| site == "same-origin" || site == "none");
    let scheme = if is_secure { "https" } else { "http" };
    let own = format!("{scheme}://{host}");
    let origin_fits = text(header::ORIGIN).is_none_or(|origin| origin.eq_ignore_ascii_case(&own));
    site_fits && origin_fits
}

fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        // The page says its own.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_this_box() {
        for host in [
            "localhost",
            "LOCALHOST:8640",
            "127.0.0.1:1",
            "[::1]:8640",
            "[::1]",
        ] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:80",
            "192.0.2.1",
            "localhost.x",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn a_change_comes_from_the_own_page_or_from_no_browser() {
        let check = |origin: Option<&str>, site: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::try_from(origin).unwrap());
            }
            if let Some(site) = site {
                headers.insert("sec-fetch-site", HeaderValue::try_from(site).unwrap());
            }
            is_same_origin(&headers, "localhost:8640", false)
        };
        assert!(check(None, None));
        assert!(check(Some("http://localhost:8640"), Some("same-origin")));
        for (origin, site) in [
            (Some("http://localhost:3000"), Some("same-site")),
            (Some("https://localhost:8640"), None),
            (Some("http://evil.example"), None),
            (Some("null"), None),
            (None, Some("cross-site")),
        ] {
            assert!(!check(origin, site), "{origin:?} {site:?}");
        }
    }
}
