//! The page: a frame and its modules, embedded as they are written. What it shows it asks of the
//! JSON API; nothing of the box is rendered here, so there is nothing to escape and nothing secret.
//!
//! The browser keeps the files and asks each time whether they changed (`ETag`): an upgrade is
//! seen at once, and a reload costs a handful of 304.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// One embedded file.
struct Asset {
    /// Below `/page/`.
    path: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($path:literal),+ $(,)?) => {
        [$(Asset { path: $path, text: include_str!(concat!("page/", $path)) }),+]
    };
}

static ASSETS: &[Asset] = &assets![
    "index.html",
    "style.css",
    "icon.svg",
    "app.js",
    "api.js",
    "charts.js",
    "dom.js",
    "format.js",
    "judgement.js",
    "live.js",
    "parts.js",
    "records.js",
    "reports.js",
    "session.js",
    "settings.js",
    "views/agents.js",
    "views/configuration.js",
    "views/coverage.js",
    "views/journal.js",
    "views/overview.js",
    "views/quarantine.js",
    "views/volume.js",
];

/// The page may load and run its own files only, may talk to its own box only, and may not be
/// framed. Nothing inline runs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// One tag for all: the files change together, with the program.
static TAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut sum = crc32fast::Hasher::new();
    for asset in ASSETS {
        sum.update(asset.path.as_bytes());
        sum.update(asset.text.as_bytes());
    }
    let tag = format!("\"{:08x}\"", sum.finalize());
    HeaderValue::try_from(tag).expect("hexadecimal digits are a header's value")
});

/// Serves `/` and `/page/...`, whatever the state of the rest.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(|headers: HeaderMap| async move { serve("index.html", &headers) }),
        )
        .route("/page/{*path}", get(show))
}

async fn show(Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&path, &headers)
}

fn serve(path: &str, request: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return (StatusCode::NOT_FOUND, "the page has no such file\n").into_response();
    };
    let headers = headers(path);
    if request.get(IF_NONE_MATCH) == Some(&*TAG) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, asset.text).into_response()
}

fn headers(path: &str) -> [(HeaderName, HeaderValue); 6] {
    let fixed = HeaderValue::from_static;
    [
        (CONTENT_TYPE, fixed(content_type(path))),
        (CONTENT_SECURITY_POLICY, fixed(POLICY)),
        (CACHE_CONTROL, fixed("no-cache")),
        (ETAG, TAG.clone()),
        (REFERRER_POLICY, fixed("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
    ]
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of it, uncompressed: what a browser on the other end of a slow tunnel has to fetch.
    const BYTES_MAX: usize = 150 * 1024;

    fn text(path: &str) -> &'static str {
        let asset = ASSETS.iter().find(|asset| asset.path == path);
        asset.unwrap_or_else(|| panic!("no {path}")).text
    }

    fn fetch(path: &str, known: Option<&HeaderValue>) -> Response {
        let mut request = HeaderMap::new();
        if let Some(tag) = known {
            request.insert(IF_NONE_MATCH, tag.clone());
        }
        serve(path, &request)
    }

    #[test]
    fn the_page_stays_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn every_file_that_is_named_is_there_and_every_file_is_named() {
        let mut named = vec!["index.html".to_owned()];
        for asset in ASSETS {
            for piece in asset.text.split(['"', '\'', '`']) {
                if let Some(path) = piece.strip_prefix("/page/") {
                    named.push(path.replace("${name}", "overview"));
                } else if let Some(path) = piece.strip_prefix("./").or(piece.strip_prefix("../")) {
                    named.push(path.to_owned());
                }
            }
        }
        for name in &named {
            text(name);
        }
        for asset in ASSETS {
            let is_view = asset.path.starts_with("views/");
            assert!(
                is_view || named.iter().any(|name| name == asset.path),
                "nobody names {}",
                asset.path
            );
        }
    }

    #[test]
    fn nothing_inline_and_nothing_from_elsewhere() {
        for asset in ASSETS {
            let path = asset.path;
            for forbidden in [
                " style=",
                "javascript:",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "document.write",
            ] {
                assert!(!asset.text.contains(forbidden), "{path} holds {forbidden}");
            }
            let elsewhere = asset.text.matches("//").count();
            let comments = asset
                .text
                .lines()
                .filter(|line| line.trim_start().starts_with("//"))
                .count();
            let namespace = asset.text.matches("http://www.w3.org/2000/svg").count();
            assert_eq!(
                elsewhere,
                comments + namespace,
                "{path} names an address, or a comment behind code"
            );
        }
        let html = text("index.html");
        assert_eq!(
            html.matches("<script").count(),
            html.matches("<script type=\"module\" src=").count()
        );
        assert!(!html.contains("<style") && !html.contains(" onclick"));
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let first = fetch("index.html", None);
        assert_eq!(first.status(), StatusCode::OK);
        let policy = first.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"));
        let again = fetch("app.js", Some(&first.headers()[ETAG]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            again.headers()[CONTENT_TYPE],
            "text/javascript; charset=utf-8"
        );
        let other = HeaderValue::from_static("\"another\"");
        assert_eq!(fetch("app.js", Some(&other)).status(), StatusCode::OK);
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_not_found() {
        for path in ["../page.rs", "views/", "app.js/", "%2e%2e/mod.rs"] {
            assert_eq!(fetch(path, None).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
