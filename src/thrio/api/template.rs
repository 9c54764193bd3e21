//! Requests as templates: `{start}`, `{end}`, `{queues}`, `{queue}`, `{since}`, `{offset}` and
//! `{rows}` are filled in; in a path or query they are percent-encoded, in a JSON body escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Method, OptionProblem, TimeFormat};
use crate::domain::timestamp::WallTime;

/// Every placeholder that some request knows.
pub const PLACEHOLDERS: [&str; 7] = ["start", "end", "queues", "queue", "since", "offset", "rows"];

/// Headers that are ours: a mapping file must not replace the credentials or the framing.
const OWN_HEADERS: [&str; 6] = [
    "authorization",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
];

/// One request, to be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTemplate<'a> {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
    /// The JSON body of a POST.
    pub body: &'a str,
    /// Headers sent beside ours.
    pub headers: &'a BTreeMap<String, String>,
    /// How times are written.
    pub time_format: &'a TimeFormat,
}

/// What placeholders stand for in one call. One that is `None` is filled in with nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// The first moment asked for.
    pub start: Option<WallTime>,
    /// The first moment not asked for.
    pub end: Option<WallTime>,
    /// The queues: joined by commas in a query, an array in a body.
    pub queues: &'a [&'a str],
    /// The one queue.
    pub queue: Option<&'a str>,
    /// The last poll.
    pub since: Option<WallTime>,
    /// Rows received so far.
    pub offset: Option<u64>,
    /// Rows wanted.
    pub rows: Option<u32>,
}

impl RequestTemplate<'_> {
    /// Path and query with these values.
    pub fn path_and_query(&self, values: &Values<'_>) -> String {
        let mut target = self.fill(self.path, values, Escape::Url);
        if !self.query.is_empty() {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&self.fill(self.query, values, Escape::Url));
        }
        target
    }

    /// The body with these values; none for a GET.
    pub fn body(&self, values: &Values<'_>) -> Option<String> {
        match self.method {
            Method::Get => None,
            Method::Post if self.body.trim().is_empty() => Some("{}".to_owned()),
            Method::Post => Some(self.fill(self.body, values, Escape::Json)),
        }
    }

    /// Whether the placeholder occurs anywhere.
    pub fn uses(&self, placeholder: &str) -> bool {
        let wanted = format!("{{{placeholder}}}");
        let body = match self.method {
            Method::Get => "",
            Method::Post => self.body,
        };
        [self.path, self.query, body]
            .iter()
            .any(|template| template.contains(&wanted))
    }

    fn fill(&self, template: &str, values: &Values<'_>, escape: Escape) -> String {
        let mut filled = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            filled.push_str(&rest[..open]);
            let after = &rest[open + 1..];
            let name = after
                .find('}')
                .map(|close| &after[..close])
                .filter(|name| PLACEHOLDERS.contains(name));
            if let Some(name) = name {
                self.push_value(&mut filled, name, values, escape);
                rest = &after[name.len() + 1..];
            } else {
                filled.push('{');
                rest = after;
            }
        }
        filled.push_str(rest);
        filled
    }

    fn push_value(&self, out: &mut String, name: &str, values: &Values<'_>, escape: Escape) {
        let time = |at: Option<WallTime>| at.map(|at| self.time_format.write(at));
        match name {
            "start" => escape.push(out, &time(values.start).unwrap_or_default()),
            "end" => escape.push(out, &time(values.end).unwrap_or_default()),
            "since" => escape.push(out, &time(values.since).unwrap_or_default()),
            "queue" => escape.push(out, values.queue.unwrap_or_default()),
            "queues" => escape.push_list(out, values.queues),
            "offset" => push_number(out, values.offset),
            _ => push_number(out, values.rows.map(u64::from)),
        }
    }

    /// Adds what cannot work. `known` are the placeholders that this request fills in.
    pub(super) fn check(&self, table: &str, known: &[&str], problems: &mut Vec<OptionProblem>) {
        let mut problem = |field: &str, value: &str, hint: String| {
            problems.push(OptionProblem::new(format!("{table}.{field}"), value, hint));
        };
        if !self.path.starts_with('/') || self.path.starts_with("//") {
            problem(
                "path",
                self.path,
                "a path below the tenant's host, starting with one '/'".to_owned(),
            );
        }
        for (field, template) in [
            ("path", self.path),
            ("query", self.query),
            ("body", self.body),
        ] {
            for name in placeholders(template).filter(|name| !known.contains(name)) {
                let list = known.iter().map(|k| format!("{{{k}}}")).collect::<Vec<_>>();
                problem(
                    field,
                    template,
                    format!(
                        "{{{name}}} is not known here; known are {}",
                        list.join(", ")
                    ),
                );
            }
        }
        if self.method == Method::Get && !self.body.trim().is_empty() {
            problem(
                "body",
                self.body,
                "a body needs method = \"POST\"".to_owned(),
            );
        }
        if let Some(body) = self.body(&sample_values())
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&body)
        {
            problem(
                "body",
                self.body,
                format!(
                    "filled in, it is not JSON ({error}); times in text need quotes around them"
                ),
            );
        }
        for (name, value) in self.headers {
            check_header(name, value, &mut problem);
        }
    }
}

fn check_header(name: &str, value: &str, problem: &mut impl FnMut(&str, &str, String)) {
    let is_token = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let field = format!("headers.{name}");
    if !is_token || value.bytes().any(|b| b < b' ' || b == 127) {
        // The value may be a key: it is not repeated.
        problem(
            &field,
            "(not shown)",
            "a header's name and a one-line value".to_owned(),
        );
    } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        problem(
            &field,
            "(not shown)",
            "this header is set by the program (see auth_scheme for how the token travels)"
                .to_owned(),
        );
    }
}

fn sample_values() -> Values<'static> {
    let at = Some(WallTime::from_s(1_785_000_000));
    Values {
        start: at,
        end: at,
        queues: &["q"],
        queue: Some("q"),
        since: at,
        offset: Some(0),
        rows: Some(100),
    }
}

/// Names in braces: letters only, so that the braces of JSON are none.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|after| {
        let name = &after[..after.find('}')?];
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        is_name.then_some(name)
    })
}

fn push_number(out: &mut String, number: Option<u64>) {
    if let Some(number) = number {
        // Writing into a String cannot fail.
        let _ = write!(out, "{number}");
    }
}

#[derive(Clone, Copy)]
enum Escape {
    Url,
    Json,
}

impl Escape {
    fn push(self, out: &mut String, text: &str) {
        match self {
            Self::Url => {
                for byte in text.bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        out.push(char::from(byte));
                    } else {
                        let _ = write!(out, "%{byte:02X}");
                    }
                }
            }
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
    }

    fn push_list(self, out: &mut String, items: &[&str]) {
        match self {
            Self::Url => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.push(out, item);
                }
            }
            Self::Json => out.push_str(&serde_json::Value::from(items).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ApiOptions;
    use super::*;

    fn sibling() -> ApiOptions {
        let mut api = ApiOptions::default();
        api.historical.method = Method::Post;
        api.historical.query = String::new();
        api.historical.body =
            r#"{"startTime": "{start}", "endTime": "{end}", "queueIDs": {queues}}"#.to_owned();
        api.historical.time_format = TimeFormat::Pattern("%-m/%-d/%Y %-I:%M:%S %p".to_owned());
        api
    }

    fn values() -> Values<'static> {
        Values {
            start: Some(WallTime::from_s(0)),
            end: Some(WallTime::from_s(900)),
            queues: &["q 1", "\"2\""],
            ..Values::default()
        }
    }

    #[test]
    fn the_default_request_asks_for_a_window_in_unix_seconds() {
        let api = ApiOptions::default();
        let request = api.historical.request();
        assert_eq!(
            request.path_and_query(&values()),
            "/wfm/community/historical?startTime=0&endTime=900"
        );
        assert_eq!(request.body(&values()), None);
    }

    #[test]
    fn a_body_keeps_its_own_braces_and_escapes_what_it_takes_in() {
        let api = sibling();
        let body = api.historical.request().body(&values()).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(parsed["startTime"], "1/1/1970 12:00:00 AM");
        assert_eq!(parsed["queueIDs"], serde_json::json!(["q 1", "\"2\""]));
        assert_eq!(api.problems(), []);
    }

    #[test]
    fn a_query_is_percent_encoded_and_lists_are_joined_by_commas() {
        let mut api = ApiOptions::default();
        api.historical.query = "q={queues}&from={start}".to_owned();
        api.historical.time_format = TimeFormat::Iso8601;
        assert_eq!(
            api.historical.request().path_and_query(&values()),
            "/wfm/community/historical?q=q%201,%222%22&from=1970-01-01T00%3A00%3A00Z"
        );
    }

    #[test]
    fn what_cannot_work_is_named_with_its_key() {
        let mut api = sibling();
        api.historical.body = r#"{"startTime": {start}}"#.to_owned();
        api.realtime.query = "last={start}".to_owned();
        api.realtime
            .headers
            .0
            .insert("Authorization".to_owned(), "Basic abc".to_owned());
        api.queues.path = "data".to_owned();
        api.agents.page_rows = 0;
        let problems = api.problems();
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "realtime.query",
                "realtime.headers.Authorization",
                "historical.body",
                "queues.path",
                "agents.page_rows"
            ]
        );
        assert!(!format!("{problems:?}").contains("abc"));
    }
}
