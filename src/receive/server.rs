//! The routes: who is calling, what is said of the body, and how long anybody waits.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, options};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answers::{busy, later, refused};
use super::body::{About, Encoding};
use super::options::AllowedBox;
use super::tokens::Tokens;
use super::writer::{BODY_BYTES_MAX, Caller, Question, RETRY_AFTER, WriterHandle};
use crate::destination::http::protocol::{EVENTS_TYPE, RANGE, STORE, parse_range};
use crate::domain::ids::{SeqRange, StoreId};

/// Where events are taken.
pub const EVENTS_PATH: &str = "/v1/events";
/// Bodies in memory at once, as they came, over all connections.
const BODIES_KIB_MAX: usize = 64 << 10;
/// How much of a body that is too large is read and thrown away: twice what a box sends at most.
const DISCARDED_BYTES_MAX: usize = 128 << 20;
/// How long an answer may take: less than the 30 s that a box waits, so that it hears why.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// What every route needs.
pub(super) struct Desk {
    boxes: Vec<AllowedBox>,
    tokens: RwLock<Tokens>,
    writer: WriterHandle,
    room: Arc<Semaphore>,
    body_timeout: Duration,
}

impl Desk {
    pub(super) fn new(
        boxes: Vec<AllowedBox>,
        tokens: Tokens,
        writer: WriterHandle,
        body_timeout: Duration,
    ) -> Self {
        Self {
            boxes,
            tokens: RwLock::new(tokens),
            writer,
            room: Arc::new(Semaphore::new(BODIES_KIB_MAX)),
            body_timeout,
        }
    }

    /// Reads the tokens anew; answers what is wrong with them.
    pub(super) fn read_tokens(&self) -> Vec<String> {
        let (tokens, problems) = Tokens::read(&self.boxes);
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        problems
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Box<Response>> {
        let presented = text(headers, header::AUTHORIZATION.as_str())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = presented.and_then(|token| tokens.box_of(token)) {
            return Ok(Caller {
                box_id: self.boxes[at].id.clone(),
                sources: self.boxes[at].sources.clone(),
            });
        }
        let why = "the token is no box's: see token_file there and here";
        let mut response = refused(StatusCode::UNAUTHORIZED, why);
        let scheme = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
        Err(Box::new(response))
    }

    async fn ask(
        &self,
        caller: Caller,
        question: Question,
        room: OwnedSemaphorePermit,
    ) -> Response {
        let Ok(outcome) = self.writer.ask(caller, question, room) else {
            return busy();
        };
        match timeout(ANSWER_TIMEOUT, outcome).await {
            Ok(Ok(outcome)) => outcome.into_response(),
            Ok(Err(_)) => later("the receiver is stopping", RETRY_AFTER),
            Err(_) => later(
                "the database is slow: ask again what is applied",
                RETRY_AFTER,
            ),
        }
    }

    fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).ok()?;
        Arc::clone(&self.room).try_acquire_many_owned(kib).ok()
    }
}

pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route(EVENTS_PATH, get(applied).post(apply))
        .route(EVENTS_PATH, options(known))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(desk)
}

/// Whether it is there and knows the box.
async fn known(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    match desk.caller(&headers) {
        Ok(_) => (
            StatusCode::NO_CONTENT,
            [(header::ALLOW, "GET, POST, OPTIONS")],
        )
            .into_response(),
        Err(response) => *response,
    }
}

async fn ready(State(desk): State<Arc<Desk>>) -> Response {
    match desk.writer.trouble() {
        None => "ready\n".into_response(),
        // Who asks is not known here, so what the database said is for the log.
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not writing\n").into_response(),
    }
}

async fn applied(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let caller = match desk.caller(&headers) {
        Ok(caller) => caller,
        Err(response) => return *response,
    };
    let store_id = match store_of(&headers) {
        Ok(store_id) => store_id,
        Err(response) => return *response,
    };
    let Some(room) = desk.room_for(1) else {
        return busy();
    };
    desk.ask(caller, Question::Applied(store_id), room).await
}

async fn apply(State(desk): State<Arc<Desk>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let caller = match desk.caller(headers) {
        Ok(caller) => caller,
        Err(response) => return *response,
    };
    let about = match about(headers) {
        Ok(about) => about,
        Err(response) => return *response,
    };
    let length = match text(headers, header::CONTENT_LENGTH.as_str()) {
        Some(length) => length.parse().unwrap_or(usize::MAX),
        None => BODY_BYTES_MAX,
    };
    if length > BODY_BYTES_MAX {
        discard(body, desk.body_timeout).await;
        return too_large();
    }
    let Some(room) = desk.room_for(length) else {
        return busy();
    };
    match timeout(desk.body_timeout, to_bytes(body, BODY_BYTES_MAX)).await {
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        Ok(Err(_)) => too_large(),
        Ok(Ok(body)) => {
            desk.ask(caller, Question::Apply(about, body.into()), room)
                .await
        }
    }
}

/// Reads what a client that is still sending has left, for a while: it would not hear the answer
/// otherwise, but see the connection break, and send as much again.
async fn discard(body: Body, limit: Duration) {
    let mut rest = body.into_data_stream();
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = rest.next().await {
            bytes += chunk.len();
            if bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    // Whoever is slower sees it break.
    let _ = timeout(limit, drained).await;
}

fn too_large() -> Response {
    let why = format!("a body has at most {BODY_BYTES_MAX} bytes");
    refused(StatusCode::PAYLOAD_TOO_LARGE, why)
}

fn about(headers: &HeaderMap) -> Result<About, Box<Response>> {
    let kind = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let unsupported = |why: String| Box::new(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    if !kind.eq_ignore_ascii_case(EVENTS_TYPE) {
        return Err(unsupported(format!(
            "this takes {EVENTS_TYPE}: set format = \"cloudevents\""
        )));
    }
    let encoding = text(headers, header::CONTENT_ENCODING.as_str());
    let encoding = Encoding::named(encoding).ok_or_else(|| {
        unsupported("content-encoding is none of gzip, zstd, identity".to_owned())
    })?;
    Ok(About {
        store_id: store_of(headers)?,
        range: range_of(headers)?,
        encoding,
    })
}

fn store_of(headers: &HeaderMap) -> Result<StoreId, Box<Response>> {
    let text = text(headers, STORE).unwrap_or_default();
    StoreId::try_from(text.to_owned())
        .map_err(|why| Box::new(refused(StatusCode::BAD_REQUEST, format!("{STORE}: {why}"))))
}

fn range_of(headers: &HeaderMap) -> Result<Option<SeqRange>, Box<Response>> {
    let Some(text) = text(headers, RANGE) else {
        return Ok(None);
    };
    let why = || format!("{RANGE} is not {{first_seq}}-{{last_seq}}");
    let range =
        parse_range(text).ok_or_else(|| Box::new(refused(StatusCode::BAD_REQUEST, why())))?;
    Ok(Some(range))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
