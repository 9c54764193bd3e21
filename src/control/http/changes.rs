//! The changes of the API: a JSON body in, what came of it out. Each becomes one
//! [`Request`](super::super::Request), as a command's would.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::protocol::{GivenSettings, QuarantineChoice, ReplayFrom, Request};
use super::Desk;
use super::parameters::{moment, span};
use super::problem::Problem;
use crate::domain::ids::{DestinationName, QueueId, SourceName, StateText};
use crate::domain::record::Category;

type Answer = Result<Json<Value>, Problem>;

/// The most records of one retry or discard.
const SEQS_MAX: usize = 1_000;
/// The most polls of one test.
const POLLS_MAX: u32 = 10;

/// A JSON body as this type.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        // The guard has read it already.
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| Problem::bad_request("the body cannot be read"))?;
        if !is_json {
            let message = "the body must be application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "not_json", message));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // serde quotes values; a body may hold a password.
            let place = format!("line {} column {}", error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => "the body does not fit, see openapi.yaml",
                _ => "the body is no JSON",
            };
            Problem::bad_request(format!("{what} ({place})"))
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

pub(super) async fn reload(State(desk): State<Desk>) -> Answer {
    desk.perform(Request::Reload).await
}

pub(super) async fn test_alarms(State(desk): State<Desk>) -> Answer {
    desk.perform(Request::AlarmTest).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    source: Option<SourceName>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    confirm: bool,
}

pub(super) async fn import(
    State(desk): State<Desk>,
    Body(Import {
        source,
        dry_run,
        confirm,
    }): Body<Import>,
) -> Answer {
    let source = source.map(|name| name.to_string());
    desk.perform(Request::Import {
        source,
        dry_run,
        confirm,
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backfill {
    source: Option<SourceName>,
    from: String,
    to: String,
    queue: Option<QueueId>,
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn backfill(State(desk): State<Desk>, Body(given): Body<Backfill>) -> Answer {
    let at = |name: &str, text: &str| {
        moment(text).map_err(|error| Problem::bad_request(format!("{name}: {error}")))
    };
    let span = span(at("from", &given.from)?, at("to", &given.to)?)?;
    desk.perform(Request::Backfill {
        source: given.source.map(|name| name.to_string()),
        from: span.from,
        to: span.to,
        queue: given.queue.map(|queue| queue.to_string()),
        dry_run: given.dry_run,
        follow: false,
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfQuarantine {
    destination: DestinationName,
    seqs: Option<Vec<u64>>,
}

impl OfQuarantine {
    fn records(seqs: Option<Vec<u64>>) -> Result<QuarantineChoice, Problem> {
        match seqs {
            None => Ok(QuarantineChoice::All),
            Some(seqs) if (1..=SEQS_MAX).contains(&seqs.len()) => Ok(QuarantineChoice::Seqs(seqs)),
            Some(_) => {
                let message = format!("seqs: 1 to {SEQS_MAX} of them");
                Err(Problem::bad_request(message))
            }
        }
    }
}

pub(super) async fn retry_quarantined(
    State(desk): State<Desk>,
    Body(given): Body<OfQuarantine>,
) -> Answer {
    desk.perform(Request::QuarantineRetry {
        destination: given.destination.to_string(),
        records: OfQuarantine::records(given.seqs)?,
    })
    .await
}

pub(super) async fn discard_quarantined(
    State(desk): State<Desk>,
    Body(given): Body<OfQuarantine>,
) -> Answer {
    desk.perform(Request::QuarantineDiscard {
        destination: given.destination.to_string(),
        records: OfQuarantine::records(given.seqs)?,
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    destination: DestinationName,
    from_seq: Option<u64>,
    from: Option<String>,
}

pub(super) async fn replay(State(desk): State<Desk>, Body(given): Body<Replay>) -> Answer {
    let from = match (given.from_seq, given.from) {
        (Some(seq), None) => ReplayFrom::Seq(seq),
        (None, Some(text)) => ReplayFrom::Time(moment(&text).map_err(Problem::bad_request)?),
        _ => return Err(Problem::bad_request("give from_seq or from")),
    };
    let destination = given.destination.to_string();
    desk.perform(Request::Replay { destination, from }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfDestination {
    destination: DestinationName,
}

pub(super) async fn stop_replay(
    State(desk): State<Desk>,
    Body(OfDestination { destination }): Body<OfDestination>,
) -> Answer {
    let destination = destination.to_string();
    desk.perform(Request::ReplayStop { destination }).await
}

pub(super) async fn retry_destination(
    State(desk): State<Desk>,
    Body(OfDestination { destination }): Body<OfDestination>,
) -> Answer {
    let destination = destination.to_string();
    desk.perform(Request::DestinationRetry { destination })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    source: SourceName,
    state: StateText,
    #[serde(deserialize_with = "Option::deserialize")]
    category: Option<Category>,
}

pub(super) async fn map_state(State(desk): State<Desk>, Body(given): Body<Mapping>) -> Answer {
    if matches!(given.category, Some(Category::Unmapped | Category::Unknown)) {
        let message = "only the program itself gives UNMAPPED and UNKNOWN";
        return Err(Problem::bad_request(message));
    }
    desk.perform(Request::MapState {
        source: given.source,
        state: given.state.to_string(),
        category: given.category,
    })
    .await
}

pub(super) async fn save_source(
    State(desk): State<Desk>,
    Body(given): Body<Map<String, Value>>,
) -> Answer {
    let settings = settings(given)?;
    desk.perform(Request::SourceSave { settings }).await
}

pub(super) async fn check_source(
    State(desk): State<Desk>,
    Body(given): Body<Map<String, Value>>,
) -> Answer {
    let settings = settings(given)?;
    desk.perform(Request::SourceCheck { settings }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    settings: Map<String, Value>,
    feed: ProbedFeed,
    #[serde(default = "one")]
    polls: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProbedFeed {
    Realtime,
    Historical,
    Queues,
    Agents,
}

impl ProbedFeed {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Historical => "historical",
            Self::Queues => "queues",
            Self::Agents => "agents",
        }
    }
}

const fn one() -> u32 {
    1
}

pub(super) async fn probe_source(State(desk): State<Desk>, Body(given): Body<Probe>) -> Answer {
    if !(1..=POLLS_MAX).contains(&given.polls) {
        return Err(Problem::bad_request(format!("polls: 1 to {POLLS_MAX}")));
    }
    desk.perform(Request::SourceProbe {
        settings: settings(given.settings)?,
        feed: given.feed.as_str().to_owned(),
        polls: given.polls,
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfSource {
    name: SourceName,
}

pub(super) async fn remove_source(
    State(desk): State<Desk>,
    Body(OfSource { name }): Body<OfSource>,
) -> Answer {
    desk.perform(Request::SourceRemove { name }).await
}

/// Settings under a name that can be one: what else is wrong with them is told all at once.
fn settings(map: Map<String, Value>) -> Result<GivenSettings, Problem> {
    let given = GivenSettings(map);
    SourceName::new(given.name())
        .map_err(|error| Problem::bad_request(format!("settings.name: {error}")))?;
    Ok(given)
}
