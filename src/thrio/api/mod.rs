//! What is assumed of Thrio's API, all of it a setting: paths, parameters, bodies, names, time
//! formats, units and shapes (`[source.api]`, `api_file`, `conf/api/*.toml`).
//!
//! Every key has the default of `thrio-api.md`; a file names only what differs.

mod fields;
mod template;
pub(crate) mod time;

pub use fields::{AgentFields, HistoricalFields, Names, QueueFields, RealtimeFields};
pub use template::{PLACEHOLDERS, RequestTemplate, Values};
pub use time::TimeFormat;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::options::OptionProblem;

/// The whole mapping of one source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiOptions {
    /// Agent states.
    pub realtime: RealtimeApi,
    /// Contact volume.
    pub historical: HistoricalApi,
    /// The list of queues.
    pub queues: QueuesApi,
    /// The list of users.
    pub agents: AgentsApi,
    /// Which connection serves queues and agents.
    pub configuration_connection: ConfigurationConnection,
}

/// Which of a source's two connections serves the configuration feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigurationConnection {
    /// The one of `[source.historical]`.
    #[default]
    Historical,
    /// The one of `[source.realtime]`.
    Realtime,
}

/// The method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET with a query.
    #[default]
    Get,
    /// POST with a JSON body.
    Post,
}

impl Method {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// Where the rows lie in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Envelope {
    /// Found by the parse: a bare array, an object with `objects | data | rows | results | items`,
    /// or a map of id to row.
    #[default]
    Auto,
    /// A map of id to row, whatever its keys are named.
    Map,
    /// At this JSON pointer; below it the parse decides as for `Auto`.
    Pointer(String),
}

impl TryFrom<String> for Envelope {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "map" => Ok(Self::Map),
            pointer if pointer.starts_with('/') => Ok(Self::Pointer(text)),
            _ => Err(format!(
                "\"{text}\" is no envelope: auto, map, or a JSON pointer such as \"/result/rows\""
            )),
        }
    }
}

impl From<Envelope> for String {
    fn from(envelope: Envelope) -> String {
        envelope.to_string()
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Map => "map",
            Self::Pointer(pointer) => pointer,
        })
    }
}

/// Fixed headers of a request. They may hold a gateway's key: `Debug` shows their names only.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Which end of an interval a row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalLabel {
    /// Its start.
    #[default]
    Start,
    /// Its end: 900 s are taken off.
    End,
}

/// Where a row's interval comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalFrom {
    /// The row says it (or the request asked for one interval only).
    #[default]
    Row,
    /// The request: one interval is asked for a call.
    Request,
}

/// Where a row's queue comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueFrom {
    /// The row says it; in a map of id to row, else the key.
    #[default]
    Row,
    /// The key of a map of id to row.
    Key,
    /// The request: one queue is asked for a call. Where none is, rows are the source's total.
    Request,
}

/// The unit of handle times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandleTimeUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds, rounded to seconds.
    Milliseconds,
}

/// Agent states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealtimeApi {
    /// The method.
    pub method: Method,
    /// The path below the session's `location`.
    pub path: String,
    /// The query as a template; values are percent-encoded.
    pub query: String,
    /// The JSON body of a POST as a template.
    pub body: String,
    /// Headers sent beside ours.
    pub headers: Headers,
    /// How times are written in the request.
    pub time_format: TimeFormat,
    /// How times are written in rows; none = Unix by size, ISO 8601, `YYYY-MM-DD HH:MM:SS`.
    pub row_time_format: Option<TimeFormat>,
    /// Where the rows lie.
    pub envelope: Envelope,
    /// What `{since}` stands for in the first poll: this many seconds ago.
    pub first_since_s: u64,
    /// The names of the fields.
    pub fields: RealtimeFields,
}

impl Default for RealtimeApi {
    fn default() -> Self {
        Self {
            method: Method::Get,
            path: "/wfm/community/realTime".to_owned(),
            query: String::new(),
            body: String::new(),
            headers: Headers::default(),
            time_format: TimeFormat::UnixS,
            row_time_format: None,
            envelope: Envelope::Auto,
            first_since_s: 86_400,
            fields: RealtimeFields::default(),
        }
    }
}

/// Contact volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoricalApi {
    /// The method.
    pub method: Method,
    /// The path below the session's `location`.
    pub path: String,
    /// The query as a template; values are percent-encoded.
    pub query: String,
    /// The JSON body of a POST as a template.
    pub body: String,
    /// Headers sent beside ours.
    pub headers: Headers,
    /// How times are written in the request.
    pub time_format: TimeFormat,
    /// How times are written in rows; none = Unix by size, ISO 8601, `YYYY-MM-DD HH:MM:SS`.
    pub row_time_format: Option<TimeFormat>,
    /// Where the rows lie.
    pub envelope: Envelope,
    /// Which end of an interval a row names.
    pub interval_label: IntervalLabel,
    /// Where a row's interval comes from.
    pub interval_from: IntervalFrom,
    /// Where a row's queue comes from.
    pub queue_from: QueueFrom,
    /// The unit of handle times.
    pub handle_time_unit: HandleTimeUnit,
    /// The names of the fields.
    pub fields: HistoricalFields,
}

impl Default for HistoricalApi {
    fn default() -> Self {
        Self {
            method: Method::Get,
            path: "/wfm/community/historical".to_owned(),
            query: "startTime={start}&endTime={end}".to_owned(),
            body: String::new(),
            headers: Headers::default(),
            time_format: TimeFormat::UnixS,
            row_time_format: None,
            envelope: Envelope::Auto,
            interval_label: IntervalLabel::Start,
            interval_from: IntervalFrom::Row,
            queue_from: QueueFrom::Row,
            handle_time_unit: HandleTimeUnit::Seconds,
            fields: HistoricalFields::default(),
        }
    }
}

/// The list of queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueuesApi {
    /// The method.
    pub method: Method,
    /// The path below the session's `location`.
    pub path: String,
    /// The query as a template; without `{offset}` one page is asked for.
    pub query: String,
    /// The JSON body of a POST as a template.
    pub body: String,
    /// Headers sent beside ours.
    pub headers: Headers,
    /// Rows asked for a page.
    pub page_rows: u32,
    /// Where the rows lie.
    pub envelope: Envelope,
    /// The names of the fields.
    pub fields: QueueFields,
}

impl Default for QueuesApi {
    fn default() -> Self {
        Self {
            method: Method::Get,
            path: "/data/api/types/queue".to_owned(),
            query: PAGE_QUERY.to_owned(),
            body: String::new(),
            headers: Headers::default(),
            page_rows: PAGE_ROWS,
            envelope: Envelope::Auto,
            fields: QueueFields::default(),
        }
    }
}

/// The list of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsApi {
    /// The method.
    pub method: Method,
    /// The path below the session's `location`.
    pub path: String,
    /// The query as a template; without `{offset}` one page is asked for.
    pub query: String,
    /// The JSON body of a POST as a template.
    pub body: String,
    /// Headers sent beside ours.
    pub headers: Headers,
    /// Rows asked for a page.
    pub page_rows: u32,
    /// Where the rows lie.
    pub envelope: Envelope,
    /// The names of the fields.
    pub fields: AgentFields,
}

impl Default for AgentsApi {
    fn default() -> Self {
        Self {
            method: Method::Get,
            path: "/data/api/types/user".to_owned(),
            query: PAGE_QUERY.to_owned(),
            body: String::new(),
            headers: Headers::default(),
            page_rows: PAGE_ROWS,
            envelope: Envelope::Auto,
            fields: AgentFields::default(),
        }
    }
}

/// The query of a paged list.
const PAGE_QUERY: &str = "start={offset}&rows={rows}";
/// Rows asked for a page by default.
const PAGE_ROWS: u32 = 100;
/// More rows than any page should hold.
const PAGE_ROWS_MAX: u32 = 10_000;

impl RealtimeApi {
    /// The request, to be filled in.
    pub fn request(&self) -> RequestTemplate<'_> {
        RequestTemplate {
            method: self.method,
            path: &self.path,
            query: &self.query,
            body: &self.body,
            headers: &self.headers.0,
            time_format: &self.time_format,
        }
    }
}

impl HistoricalApi {
    /// The request, to be filled in.
    pub fn request(&self) -> RequestTemplate<'_> {
        RequestTemplate {
            method: self.method,
            path: &self.path,
            query: &self.query,
            body: &self.body,
            headers: &self.headers.0,
            time_format: &self.time_format,
        }
    }
}

impl QueuesApi {
    /// The request, to be filled in.
    pub fn request(&self) -> RequestTemplate<'_> {
        RequestTemplate {
            method: self.method,
            path: &self.path,
            query: &self.query,
            body: &self.body,
            headers: &self.headers.0,
            time_format: &TimeFormat::UnixS,
        }
    }
}

impl AgentsApi {
    /// The request, to be filled in.
    pub fn request(&self) -> RequestTemplate<'_> {
        RequestTemplate {
            method: self.method,
            path: &self.path,
            query: &self.query,
            body: &self.body,
            headers: &self.headers.0,
            time_format: &TimeFormat::UnixS,
        }
    }
}

impl ApiOptions {
    /// Everything that cannot work, each with its key relative to `[source.api]`.
    pub fn problems(&self) -> Vec<OptionProblem> {
        let mut problems = Vec::new();
        self.realtime
            .request()
            .check("realtime", &["since"], &mut problems);
        self.realtime.fields.check("realtime.fields", &mut problems);
        self.historical.request().check(
            "historical",
            &["start", "end", "queues", "queue"],
            &mut problems,
        );
        self.historical
            .fields
            .check("historical.fields", &mut problems);
        self.check_historical_request(&mut problems);
        self.queues
            .request()
            .check("queues", &["offset", "rows"], &mut problems);
        self.queues.fields.check("queues.fields", &mut problems);
        self.agents
            .request()
            .check("agents", &["offset", "rows"], &mut problems);
        self.agents.fields.check("agents.fields", &mut problems);
        for (field, rows) in [
            ("queues.page_rows", self.queues.page_rows),
            ("agents.page_rows", self.agents.page_rows),
        ] {
            if rows == 0 || rows > PAGE_ROWS_MAX {
                problems.push(OptionProblem::new(
                    field,
                    rows.to_string(),
                    format!("between 1 and {PAGE_ROWS_MAX}"),
                ));
            }
        }
        problems
    }

    fn check_historical_request(&self, problems: &mut Vec<OptionProblem>) {
        let request = self.historical.request();
        if !request.uses("start") {
            problems.push(OptionProblem::new(
                "historical.query",
                request.query,
                "the request must say which window it wants: {start} in path, query or body",
            ));
        }
        if self.historical.interval_from == IntervalFrom::Row
            && self.historical.fields.interval.is_empty()
        {
            problems.push(OptionProblem::new(
                "historical.fields.interval",
                "[]",
                "a name, or interval_from = \"request\"",
            ));
        }
    }
}
