//! What a call asks for, read leniently: from the query and a JSON body alike, under the names
//! and in the time formats of both contracts.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

/// The parameters of a call, names in lower case.
#[derive(Debug, Default)]
pub(super) struct Question {
    parameters: BTreeMap<String, String>,
    queues: Vec<String>,
}

const QUEUE_NAMES: [&str; 5] = ["queueids", "queueid", "queues", "queue", "queue_ids"];

impl Question {
    /// Reads a query and a body; what is not understood is as if it were not there.
    pub(super) fn read(query: Option<&str>, body: &[u8]) -> Self {
        let mut question = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            question.add(&name, &Value::from(value.as_ref()));
        }
        if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
            for (name, value) in &fields {
                question.add(name, value);
            }
        }
        question
    }

    fn add(&mut self, name: &str, value: &Value) {
        let name = name.to_ascii_lowercase();
        if QUEUE_NAMES.contains(&name.as_str()) {
            self.add_queues(value);
        } else {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            self.parameters.insert(name, text);
        }
    }

    fn add_queues(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.add_queues(value)),
            Value::String(text) => {
                let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
                self.queues.extend(ids.map(str::to_owned));
            }
            Value::Number(number) => self.queues.push(number.to_string()),
            _ => {}
        }
    }

    /// The queues asked for; none = all.
    pub(super) fn queues(&self) -> &[String] {
        &self.queues
    }

    /// The first of these parameters that is a moment, in milliseconds.
    pub(super) fn moment_ms(&self, names: &[&str]) -> Option<i64> {
        names
            .iter()
            .filter_map(|name| self.parameters.get(*name))
            .find_map(|text| moment_ms(text))
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.parameters.get(name)?.parse().ok()
    }
}

/// Above this a number of the present age is milliseconds.
const MILLISECONDS_ABOVE: i64 = 100_000_000_000;

fn moment_ms(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(if number.abs() > MILLISECONDS_ABOVE {
            number
        } else {
            number * 1_000
        });
    }
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.timestamp_millis());
    }
    ["%m/%d/%Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok())
        .map(|moment| moment.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_written_in_any_way_that_a_contract_knows() {
        for text in [
            "1785000000",
            "1785000000000",
            "2026-07-25T17:20:00Z",
            "2026-07-25T19:20:00+02:00",
            "7/25/2026 5:20:00 PM",
            "2026-07-25 17:20:00",
        ] {
            assert_eq!(moment_ms(text), Some(1_785_000_000_000), "{text}");
        }
        assert_eq!(moment_ms("yesterday"), None);
    }

    #[test]
    fn query_and_body_are_read_alike() {
        let body = br#"{"startTime":"7/25/2026 5:20:00 PM","queueIDs":["a","b"]}"#;
        let question = Question::read(Some("queueId=c,d&rows=100"), body);
        assert_eq!(question.queues(), ["c", "d", "a", "b"]);
        assert_eq!(question.number("rows"), Some(100));
        assert_eq!(question.moment_ms(&["starttime"]), Some(1_785_000_000_000));
    }
}
