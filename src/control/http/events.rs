//! What happens, as server-sent events: the picture, and the agents whose state changed.
//!
//! Each listener asks the reader thread by itself, so that a slow one holds nobody up; there are
//! few.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::super::question::Question;
use super::Desk;
use super::parameters::{Parameters, seq};
use super::problem::Problem;
use crate::domain::ids::RecordSeq;

/// Listeners at once.
const LISTENERS_MAX: usize = 16;
/// How often each is told what is new.
const PERIOD: Duration = Duration::from_secs(1);
/// The picture goes with every second look.
const LOOKS_PER_STATUS: u64 = 2;

/// The places of listeners.
#[derive(Clone)]
pub(super) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS_MAX)))
    }
}

struct Listener {
    desk: Desk,
    since: Option<RecordSeq>,
    looks: u64,
    waiting: Vec<Event>,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn events(
    State(desk): State<Desk>,
    headers: HeaderMap,
    mut given: Parameters,
) -> Result<impl IntoResponse, Problem> {
    let asked = given.seq("since_seq")?;
    given.finish()?;
    let seen = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or("");
        seq(text).map_err(|error| Problem::bad_request(format!("Last-Event-ID: {error}")))
    });
    let place = Arc::clone(&desk.places.0).try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable("too many listen already"))?;
    let listener = Listener {
        since: seen.transpose()?.or(asked),
        desk,
        looks: 0,
        waiting: Vec::new(),
        _place: place,
    };
    Ok(Sse::new(stream(listener)).keep_alive(KeepAlive::default()))
}

fn stream(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        loop {
            if let Some(event) = listener.waiting.pop() {
                return Some((Ok(event), listener));
            }
            if listener.looks > 0 {
                sleep(PERIOD).await;
            }
            listener.look().await;
        }
    })
}

impl Listener {
    /// Asks for what is new; where the reader is too busy, the next look brings it.
    async fn look(&mut self) {
        let tells_status = self.looks.is_multiple_of(LOOKS_PER_STATUS);
        self.looks += 1;
        let question = Question::Changes { since: self.since };
        if let Ok(changes) = self.desk.look(question).await {
            self.take(&changes);
        }
        if tells_status && let Ok(status) = self.desk.picture().await {
            let event = Event::default().event("status").json_data(status);
            self.waiting.extend(event);
        }
    }

    fn take(&mut self, changes: &Value) {
        let seq = changes["seq"].as_u64().unwrap_or(0);
        self.since = Some(RecordSeq::new(seq));
        let has_rows = changes["rows"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty());
        let event = if changes["too_many"] == true {
            Event::default().event("reload").data("{}")
        } else if has_rows {
            let rows = serde_json::json!({"rows": changes["rows"]});
            Event::default().event("agents").data(rows.to_string())
        } else {
            return;
        };
        self.waiting.push(event.id(seq.to_string()));
    }
}
