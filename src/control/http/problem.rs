//! Why something was not done, as JSON for the page and for scripts.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::super::protocol::Refusal;
use super::sessions::Denied;
use crate::lifecycle::exit::Exit;

/// An answer that is an error: its status, a stable word, and a sentence.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    problems: Vec<Value>,
    retry_after_s: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            problems: Vec::new(),
            retry_after_s: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(super) fn login_needed() -> Self {
        let message = "log in with the admin token first";
        Self::new(StatusCode::UNAUTHORIZED, "login_needed", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("code".to_owned(), self.code.into());
        body.insert("message".to_owned(), self.message.into());
        if !self.problems.is_empty() {
            body.insert("problems".to_owned(), self.problems.into());
        }
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken => Self::new(
                StatusCode::FORBIDDEN,
                "no_token",
                "no admin token was made yet: run `thrio-edge admin-token` on the box",
            ),
            Denied::Wrong => Self::new(
                StatusCode::UNAUTHORIZED,
                "wrong_token",
                "this is not the admin token; `thrio-edge admin-token --new` makes another",
            ),
            Denied::TooMany(after) => Self {
                retry_after_s: Some(after.as_secs() + 1),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many",
                    format!(
                        "too many wrong tokens: try again in {} s",
                        after.as_secs() + 1
                    ),
                )
            },
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let is_invalid = !refusal.problems.is_empty();
        let (status, code) = match refusal.exit {
            Exit::Usage => (StatusCode::BAD_REQUEST, "bad_request"),
            Exit::Configuration if is_invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Exit::Configuration | Exit::AlreadyRunning => (StatusCode::CONFLICT, "conflict"),
            Exit::Ok | Exit::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Exit::Io => (StatusCode::INTERNAL_SERVER_ERROR, "io"),
        };
        Self {
            problems: refusal.problems,
            ..Self::new(status, code, refusal.message)
        }
    }
}
