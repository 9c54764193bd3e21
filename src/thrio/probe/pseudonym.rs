//! Answers that can be shown elsewhere: no secret, no name, no id of the tenant.
//!
//! What is kept is what a mapping is made of: names of fields, shapes, times, figures, state texts.
//! Every other text becomes a numbered stand-in, the same one for the same text wherever it comes
//! in one probe; every other number becomes 0. Nothing of the original can be computed from them.
//!
//! # What `--save` writes
//! For each call two files: the body as `realtime-001.json`, `historical-001.json`,
//! `queues-001.json` or `users-001.json`, and beside it `call-realtime-001.json`, a [`SavedCall`]:
//! method, path, query and body as templates, status, content type, the window asked for. The host
//! and the credentials are nowhere. `simulate --replay DIR` serves the bodies in their order.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::look::look;
use super::{ProbeFeed, Sample};
use crate::thrio::api::{ApiOptions, Names, RequestTemplate, time};
use crate::thrio::wire::normalise;

/// Members of envelopes whose numbers say how many rows there are.
const COUNTS: [&str; 6] = ["count", "total", "start", "rows", "next", "previous"];

/// One call as `--save` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SavedCall {
    /// The file with the body.
    pub body_file: String,
    /// GET or POST.
    pub method: String,
    /// The path as a template.
    pub path: String,
    /// The query as a template.
    pub query: String,
    /// The request's body as a template.
    pub request_body: String,
    /// The status of the answer.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// The first second asked for, in contact volume.
    pub start_s: Option<i64>,
    /// The first second not asked for.
    pub end_s: Option<i64>,
}

impl SavedCall {
    /// The description of a sample, and the names of its two files.
    pub fn new(feed: ProbeFeed, number: usize, sample: &Sample, api: &ApiOptions) -> Self {
        let (prefix, request): (_, RequestTemplate<'_>) = match feed {
            ProbeFeed::Realtime => ("realtime", api.realtime.request()),
            ProbeFeed::Historical => ("historical", api.historical.request()),
            ProbeFeed::Queues => ("queues", api.queues.request()),
            ProbeFeed::Agents => ("users", api.agents.request()),
        };
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&sample.body).is_ok();
        let ending = if is_json { "json" } else { "html" };
        Self {
            body_file: format!("{prefix}-{number:03}.{ending}"),
            method: request.method.as_str().to_owned(),
            path: request.path.to_owned(),
            query: request.query.to_owned(),
            request_body: request.body.to_owned(),
            status: sample.status,
            content_type: sample.content_type.clone(),
            start_s: sample.window.map(|window| window.from.s()),
            end_s: sample.window.map(|window| window.to.s()),
        }
    }

    /// The file of this description.
    pub fn file(&self) -> String {
        let stem = self.body_file.split('.').next().unwrap_or_default();
        format!("call-{stem}.json")
    }
}

/// The stand-ins of one probe.
#[derive(Debug, Default)]
pub struct Pseudonyms {
    texts: HashMap<String, String>,
}

/// What of a feed's rows is kept.
struct Kept {
    /// Figures and times.
    figures: HashSet<String>,
    /// State texts.
    states: HashSet<String>,
    /// Ids, whose numbers stay numbers.
    ids: HashSet<String>,
}

impl Pseudonyms {
    /// No stand-ins yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A body without secrets and names. One that is no JSON is not kept at all: there is no
    /// telling what it holds.
    pub fn body(&mut self, feed: ProbeFeed, body: &[u8], api: &ApiOptions) -> Vec<u8> {
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
            return b"<html>an answer that was no JSON; its text was not kept</html>".to_vec();
        };
        let kept = Kept::of(feed, api);
        let map_at = look(&value)
            .filter(|look| look.is_map)
            .map(|look| look.pointer);
        if let Some(pointer) = map_at
            && let Some(Value::Object(map)) = value.pointer_mut(&pointer)
        {
            let rows = std::mem::take(map);
            *map = rows
                .into_iter()
                .map(|(key, row)| (self.stand_in(&key), row))
                .collect::<Map<_, _>>();
        }
        self.value(&mut value, "", &kept);
        value.to_string().into_bytes()
    }

    fn value(&mut self, value: &mut Value, name: &str, kept: &Kept) {
        match value {
            Value::Object(members) => {
                for (key, member) in members.iter_mut() {
                    self.value(member, &normalise(key), kept);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.value(item, name, kept);
                }
            }
            Value::String(text) => {
                let is_readable =
                    text.trim().parse::<f64>().is_ok() || time::read_text(text).is_some();
                let stays = text.is_empty()
                    || kept.states.contains(name)
                    || (kept.figures.contains(name) && (is_readable || has_no_letters(text)));
                if !stays {
                    *text = self.stand_in(text);
                }
            }
            Value::Number(number) => {
                if kept.ids.contains(name) {
                    let stand_in = self.stand_in(&number.to_string());
                    let digits = stand_in.trim_start_matches(|c: char| !c.is_ascii_digit());
                    *value = Value::from(digits.parse::<u64>().unwrap_or(0));
                } else if !kept.figures.contains(name) {
                    *value = Value::from(0);
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn stand_in(&mut self, text: &str) -> String {
        let next = self.texts.len() + 1;
        self.texts
            .entry(text.to_owned())
            .or_insert_with(|| format!("p{next:05}"))
            .clone()
    }
}

/// Times in a site's own pattern: digits and separators, at most an AM or PM.
fn has_no_letters(text: &str) -> bool {
    let bare = text.replace("AM", "").replace("PM", "");
    !bare.chars().any(char::is_alphabetic)
}

impl Kept {
    fn of(feed: ProbeFeed, api: &ApiOptions) -> Self {
        let names = |lists: &[&Names]| -> HashSet<String> {
            lists
                .iter()
                .flat_map(|list| list.iter())
                .map(last_segment)
                .collect()
        };
        let mut figures: HashSet<String> = COUNTS.iter().map(|&name| name.to_owned()).collect();
        let (mut states, ids) = match feed {
            ProbeFeed::Realtime => {
                let f = &api.realtime.fields;
                figures.extend(names(&[&f.since]));
                (names(&[&f.state]), names(&[&f.agent, &f.username]))
            }
            ProbeFeed::Historical => {
                let f = &api.historical.fields;
                figures.extend(names(&[
                    &f.interval,
                    &f.handle_time,
                    &f.entered,
                    &f.abandoned,
                ]));
                (HashSet::new(), names(&[&f.queue]))
            }
            ProbeFeed::Queues => {
                let f = &api.queues.fields;
                figures.extend(names(&[&f.deleted_at]));
                (HashSet::new(), names(&[&f.id]))
            }
            ProbeFeed::Agents => {
                let f = &api.agents.fields;
                figures.extend(names(&[&f.deleted_at, &f.enabled]));
                (names(&[&f.time_zone]), names(&[&f.id]))
            }
        };
        // An id is never kept, whatever else a mapping says of its name.
        figures.retain(|name| !ids.contains(name));
        states.retain(|name| !ids.contains(name));
        Self {
            figures,
            states,
            ids,
        }
    }
}

fn last_segment(name: &str) -> String {
    normalise(name.rsplit('/').next().unwrap_or(name))
}
