//! The questions of the API: parameters in, one page out.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::super::question::Question;
use super::Desk;
use super::parameters::{Parameters, seq};
use super::problem::Problem;
use crate::domain::ids::{AgentId, DestinationName, Feed, QueueId, SourceName, StateText};
use crate::domain::interval::IntervalStart;

type Answer = Result<Json<Value>, Problem>;

pub(super) async fn agents(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::Agents {
        source: given.optional("source", SourceName::new)?,
        after: given.optional("after", |text| pair(text, AgentId::new))?,
        limit: given.limit()?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn queues(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::Queues {
        source: given.optional("source", SourceName::new)?,
        after: given.optional("after", |text| pair(text, QueueId::new))?,
        limit: given.limit()?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn state_codes(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::StateCodes {
        source: given.optional("source", SourceName::new)?,
        after: given.optional("after", |text| pair(text, StateText::new))?,
        limit: given.limit()?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn intervals(
    State(desk): State<Desk>,
    mut given: Parameters,
) -> Result<Response, Problem> {
    let as_csv = given.optional("format", |text| match text {
        "csv" => Ok(true),
        "json" => Ok(false),
        _ => Err("json or csv"),
    })?;
    let question = Question::Intervals {
        source: given.optional("source", SourceName::new)?,
        queue: given.optional("queue", QueueId::new)?,
        span: given.span(desk.now().await?)?,
        after: given.optional("after", interval_place)?,
        limit: given.limit()?,
    };
    let Json(page) = ask(&desk, given, question).await?;
    if as_csv == Some(true) {
        return Ok(csv_of_intervals(&page));
    }
    Ok(Json(page).into_response())
}

pub(super) async fn coverage(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::Coverage {
        source: given.optional("source", SourceName::new)?,
        feed: given.optional("feed", covered_feed)?,
        span: given.span(desk.now().await?)?,
        after: given.optional("after", coverage_place)?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn transactions(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::Transactions {
        source: given.optional("source", SourceName::new)?,
        agent: given.optional("agent", AgentId::new)?,
        span: given.span(desk.now().await?)?,
        after: given.seq("after")?,
        limit: given.limit()?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn quarantine(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::Quarantine {
        destination: given.optional("destination", DestinationName::new)?,
        after: given.optional("after", |text| {
            let (name, number) = text.split_once('/').ok_or_else(no_place)?;
            let name = DestinationName::new(name).map_err(|error| error.to_string())?;
            Ok::<_, String>((name, seq(number)?))
        })?,
        limit: given.limit()?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn journal(State(desk): State<Desk>, mut given: Parameters) -> Answer {
    let question = Question::Journal {
        from: given.seq("from_seq")?,
        limit: given.limit()?,
    };
    ask(&desk, given, question).await
}

pub(super) async fn sources(State(desk): State<Desk>, given: Parameters) -> Answer {
    ask(&desk, given, Question::Sources).await
}

async fn ask(desk: &Desk, given: Parameters, question: Question) -> Answer {
    given.finish()?;
    Ok(Json(desk.look(question).await?))
}

/// A source and something of it.
fn pair<T, E: ToString>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<(SourceName, T), String> {
    let (source, rest) = text.split_once('/').ok_or_else(no_place)?;
    let source = SourceName::new(source).map_err(|error| error.to_string())?;
    Ok((source, read(rest).map_err(|error| error.to_string())?))
}

fn interval_place(text: &str) -> Result<(SourceName, IntervalStart, QueueId), String> {
    let (source, (start, queue)) = pair(text, |rest| {
        let (start, queue) = rest.split_once('/').ok_or_else(no_place)?;
        let queue = QueueId::new(queue).map_err(|error| error.to_string())?;
        Ok::<_, String>((quarter(start)?, queue))
    })?;
    Ok((source, start, queue))
}

fn coverage_place(text: &str) -> Result<(SourceName, Feed, IntervalStart), String> {
    let (source, (feed, day)) = pair(text, |rest| {
        let (feed, day) = rest.split_once('/').ok_or_else(no_place)?;
        Ok::<_, String>((covered_feed(feed)?, quarter(day)?))
    })?;
    Ok((source, feed, day))
}

fn quarter(text: &str) -> Result<IntervalStart, String> {
    let at = super::parameters::moment(text)?;
    IntervalStart::aligned_s(at.s()).ok_or_else(no_place)
}

fn no_place() -> String {
    "it is no `next` of a page".to_owned()
}

fn covered_feed(text: &str) -> Result<Feed, String> {
    match text {
        "realtime" => Ok(Feed::Realtime),
        "historical" => Ok(Feed::Historical),
        _ => Err("realtime or historical".to_owned()),
    }
}

/// The columns of the CSV, which are the fields of a row.
const COLUMNS: [&str; 19] = [
    "source",
    "queue_id",
    "queue_name",
    "interval_start",
    "interval_s",
    "entered",
    "abandoned",
    "handle_time_s",
    "abandon_rate",
    "aht_per_entered_s",
    "aht_per_handled_s",
    "status",
    "suspect",
    "revision",
    "reason",
    "run",
    "answered_at",
    "final_at",
    "seq",
];

fn csv_of_intervals(page: &Value) -> Response {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut put = |fields: Vec<String>| {
        writer.write_record(fields).expect("memory takes every row");
    };
    put(COLUMNS.iter().map(|&name| name.to_owned()).collect());
    for row in page["rows"].as_array().into_iter().flatten() {
        put(COLUMNS.iter().map(|&name| field(&row[name])).collect());
    }
    let text = writer.into_inner().expect("memory takes every row");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"intervals.csv\"",
        ),
    ];
    let mut response = (headers, text).into_response();
    if let Some(next) = page["next"]
        .as_str()
        .and_then(|next| HeaderValue::try_from(next).ok())
    {
        let name = HeaderName::from_static("x-next");
        response.headers_mut().insert(name, next);
    }
    response
}

/// Texts from outside may begin like a formula, which a spreadsheet would run.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_csv_runs_nothing_in_a_spreadsheet() {
        assert_eq!(field(&json!("=HYPERLINK(1)")), "'=HYPERLINK(1)");
        assert_eq!(field(&json!("Sales, \"A\"")), "Sales, \"A\"");
        assert_eq!(field(&json!(-1)), "-1");
        assert_eq!(field(&Value::Null), "");
    }

    #[test]
    fn a_place_is_read_as_it_was_given() {
        let (source, start, queue) = interval_place("main/900/a/b").unwrap();
        assert_eq!(
            (source.as_str(), start.s(), queue.as_str()),
            ("main", 900, "a/b")
        );
        for text in [
            "",
            "main",
            "main/1/q",
            "main/x/q",
            "MAIN/900/q",
            "main/900/",
        ] {
            assert!(interval_place(text).is_err(), "{text}");
        }
    }
}
