//! Outcomes as HTTP answers: `docs/upstream-protocol.md`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::writer::{Outcome, RETRY_AFTER};
use crate::destination::http::protocol::NotApplied;

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Self::Ranges(ranges) => Json(ranges).into_response(),
            Self::Applied(applied) => Json(applied).into_response(),
            Self::Refused(why) => (StatusCode::UNPROCESSABLE_ENTITY, Json(why)).into_response(),
            Self::TooLarge(why) => refused(StatusCode::PAYLOAD_TOO_LARGE, why),
            Self::Claimed(why) => (StatusCode::CONFLICT, Json(why)).into_response(),
            Self::Later(why, after) => later(why, after),
        }
    }
}

/// A refusal with its reason.
pub(super) fn refused(status: StatusCode, message: impl Into<String>) -> Response {
    let why = NotApplied {
        message: message.into(),
        ..NotApplied::default()
    };
    (status, Json(why)).into_response()
}

/// 503 with the time after which it may be better.
pub(super) fn later(message: impl Into<String>, after: Duration) -> Response {
    let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, message);
    let seconds = HeaderValue::from(after.as_secs().max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

/// The receiver has all that it can hold.
pub(super) fn busy() -> Response {
    later("the receiver is busy: nothing was applied", RETRY_AFTER)
}
