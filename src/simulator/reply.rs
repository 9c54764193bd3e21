//! Answers that say no, and the parts that all answers are made of.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::FaultKind;

/// What stands at a wrong address.
pub(super) const NOT_FOUND_PAGE: &str = "<html><head><title>404 Not Found</title></head></html>";
const LOGIN_PAGE: &str = "<!DOCTYPE html><html><head><title>Log in</title></head>\
    <body><form><input name=\"username\"></form></body></html>";

/// The answer that a fault gives instead of a good one, if it does.
pub(super) fn failure(fault: &FaultKind) -> Option<Response> {
    Some(match fault {
        FaultKind::Unauthorized => problem(StatusCode::UNAUTHORIZED, "invalid token"),
        FaultKind::Forbidden => problem(StatusCode::FORBIDDEN, "missing authority WFM_READ"),
        FaultKind::NotFoundHtml => html(StatusCode::NOT_FOUND, NOT_FOUND_PAGE),
        FaultKind::LoginPage => html(StatusCode::OK, LOGIN_PAGE),
        FaultKind::Status { status } => problem(status_of(*status), "as the fault says"),
        FaultKind::Throttle {
            status,
            retry_after,
        } => {
            let mut response = problem(status_of(*status), "too many requests");
            if let Some(value) = retry_after {
                set(&mut response, header::RETRY_AFTER, value);
            }
            response
        }
        FaultKind::Empty => json_body(StatusCode::OK, String::new()),
        FaultKind::Garbage => json_body(StatusCode::OK, "{\"rows\": [}\u{1}\u{2} ÿ".to_owned()),
        FaultKind::Huge { bytes } => {
            let mut body = String::from(r#"[{"agentId":""#);
            body.extend(std::iter::repeat_n('x', *bytes));
            body.push_str("\"}]");
            json_body(StatusCode::OK, body)
        }
        FaultKind::Redirect { to } => {
            let mut response = html(StatusCode::FOUND, "");
            set(&mut response, header::LOCATION, to);
            response
        }
        FaultKind::Cut
        | FaultKind::BadRows
        | FaultKind::Hang
        | FaultKind::Slow { .. }
        | FaultKind::Reset
        | FaultKind::ClockOffset { .. }
        | FaultKind::RepeatPages
        | FaultKind::ListFull
        | FaultKind::ListDelta
        | FaultKind::Vanish { .. } => return None,
    })
}

/// The status, or 500 where there is no such status.
pub(super) fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error as Thrio writes it.
pub(super) fn problem(status: StatusCode, message: &str) -> Response {
    let body = json!({"code": status.as_u16(), "message": message});
    json_body(status, body.to_string())
}

/// An HTML page.
pub(super) fn html(status: StatusCode, page: &str) -> Response {
    with_type(
        status,
        "text/html; charset=utf-8",
        page.to_owned().into_bytes(),
    )
}

/// A JSON answer.
pub(super) fn json_body(status: StatusCode, body: String) -> Response {
    with_type(status, "application/json", body.into_bytes())
}

/// An answer of any type.
pub(super) fn with_type(status: StatusCode, content_type: &str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, content_type);
    response
}

/// Sets a header.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    // A fault may carry a value that no header can hold; it is then left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// How long the body is.
pub(super) fn body_length(response: &Response) -> Option<u64> {
    use axum::body::HttpBody as _;
    response.body().size_hint().exact()
}
