//! Agent states: one body into a reused [`Snapshot`].
//!
//! Which rows are of one agent only the roster can tell (one may go by id, another by user name), so
//! that duplicates are found where snapshots are compared.

use super::names::Matcher;
use super::rows::{Parse, RowSink, Shape, WireError, from_text};
use super::slots::Slots;
use crate::domain::call::{AgentState, RejectReason, Snapshot};
use crate::domain::ids::{ID_CHARS_MAX, STATE_CHARS_MAX};
use crate::domain::timestamp::WallTime;
use crate::thrio::api::{Envelope, RealtimeApi, TimeFormat};

const AGENT: usize = 0;
const USERNAME: usize = 1;
const STATE: usize = 2;
const SINCE: usize = 3;

/// Reads realtime answers. Its buffers and the field names that it has learned serve every poll.
#[derive(Debug, Clone)]
pub struct RealtimeParser {
    matcher: Matcher,
    envelope: Envelope,
    time_format: Option<TimeFormat>,
}

impl RealtimeParser {
    /// A parser for answers of this mapping.
    pub fn new(api: &RealtimeApi) -> Self {
        let fields = &api.fields;
        Self {
            matcher: Matcher::new(&[
                &fields.agent,
                &fields.username,
                &fields.state,
                &fields.since,
            ]),
            envelope: api.envelope.clone(),
            time_format: api.row_time_format.clone(),
        }
    }

    /// Reads a body into `into`, which is cleared first and left empty on an error.
    pub fn parse(&mut self, body: &[u8], into: &mut Snapshot) -> Result<Shape, WireError> {
        into.clear();
        // Checked at once, which is faster than text by text.
        let body = std::str::from_utf8(body).map_err(|error| {
            WireError::Syntax(format!("no UTF-8 at byte {}", error.valid_up_to()))
        })?;
        let body = body.strip_prefix('\u{feff}').unwrap_or(body);
        let sink = Sink {
            into: &mut *into,
            time_format: self.time_format.as_ref(),
        };
        let mut parse = Parse::new(&mut self.matcher, sink);
        let result = from_text(&mut parse, body, &self.envelope);
        let shape = parse.shape;
        if result.is_err() {
            into.clear();
        }
        result.map(|()| shape)
    }

    /// The names that rows have used so far, and whether they are read.
    pub fn names_seen(&self) -> impl Iterator<Item = (&str, bool)> {
        self.matcher.spellings()
    }
}

struct Sink<'a> {
    into: &'a mut Snapshot,
    time_format: Option<&'a TimeFormat>,
}

impl Sink<'_> {
    fn reject(&mut self, reason: RejectReason, detail: &str) {
        self.into.rejected.push(reason, || super::excerpt(detail));
    }
}

impl<'de> RowSink<'de> for Sink<'_> {
    fn row(&mut self, slots: &Slots<'de>, key: Option<&str>) {
        let id = slots.text(AGENT);
        let username = slots.text(USERNAME);
        // The row's own id, else the key of the map (unless the map is keyed by user name), else
        // the user name alone.
        let (agent, by_username) = match (id.as_deref(), key, username.as_deref()) {
            (Some(id), _, _) => (id, false),
            (None, Some(key), Some(name)) if key == name => (name, true),
            (None, Some(key), _) if !key.trim().is_empty() => (key, false),
            (None, _, Some(name)) => (name, true),
            (None, _, None) => {
                return self.reject(RejectReason::MissingId, "a row without an agent");
            }
        };
        let state = slots.text(STATE);
        let Some(state) = state.as_deref() else {
            return self.reject(RejectReason::MissingState, &format!("agent {agent}"));
        };
        if is_longer(agent, ID_CHARS_MAX) || is_longer(state, STATE_CHARS_MAX) {
            return self.reject(RejectReason::TooLong, &format!("agent {agent}: {state}"));
        }
        self.into.push(AgentState {
            agent,
            by_username,
            state,
            since: since(slots, self.time_format),
        });
    }

    fn malformed(&mut self, what: &str) {
        self.reject(RejectReason::Malformed, what);
    }

    fn forget(&mut self) {
        self.into.clear();
    }
}

/// An unreadable or zero time is none: the state counts for more than its time.
fn since(slots: &Slots<'_>, format: Option<&TimeFormat>) -> Option<WallTime> {
    slots
        .time(SINCE, format)
        .ok()
        .flatten()
        .filter(|at| at.ms() > 0)
}

/// Bytes bound characters from above, so they are counted only where it can matter.
fn is_longer(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (String, bool, String, Option<i64>);

    fn read(body: &str) -> Result<(Vec<Row>, Vec<RejectReason>), WireError> {
        read_with(&RealtimeApi::default(), body)
    }

    fn read_with(
        api: &RealtimeApi,
        body: &str,
    ) -> Result<(Vec<Row>, Vec<RejectReason>), WireError> {
        let mut snapshot = Snapshot::default();
        RealtimeParser::new(api).parse(body.as_bytes(), &mut snapshot)?;
        let rows = snapshot
            .rows()
            .map(|r| {
                let since = r.since.map(WallTime::s);
                (r.agent.to_owned(), r.by_username, r.state.to_owned(), since)
            })
            .collect();
        let rejected = snapshot.rejected.samples.iter().map(|(r, _)| *r).collect();
        Ok((rows, rejected))
    }

    fn row(agent: &str, state: &str) -> Row {
        (agent.to_owned(), false, state.to_owned(), None)
    }

    #[test]
    fn every_envelope_gives_the_same_rows() {
        let rows =
            r#"[{"agent-id":"a","agent-status":"Busy"},{"agent-id":"b","agent-status":"x y"}]"#;
        let expected = vec![row("a", "Busy"), row("b", "x y")];
        for body in [
            rows.to_owned(),
            format!("\u{feff}{rows}"),
            format!(r#"{{"objects":{rows},"total":"2"}}"#),
            format!(r#"{{"meta":{{"page":1}},"Data":{rows},"links":{{"self":"x"}}}}"#),
            format!(r#"{{"result":1,"data":{{"items":{rows}}}}}"#),
            r#"{"a":{"agentStatus":"Busy"},"b":{"agentId":"b","status":"x y"}}"#.to_owned(),
            r#"{"data":{"a":{"agentStatus":"Busy"},"b":{"status":"x y"}}}"#.to_owned(),
            format!(r#"{{"unknownName":{rows}}}"#),
        ] {
            assert_eq!(read(&body).unwrap(), (expected.clone(), vec![]), "{body}");
        }
    }

    #[test]
    fn empty_lists_are_answers_and_other_json_is_none() {
        for body in [
            "[]",
            "{}",
            r#"{"objects":[]}"#,
            r#"{"count":0,"objects":null}"#,
        ] {
            assert_eq!(read(body).unwrap(), (vec![], vec![]), "{body}");
        }
        for body in [
            "",
            "null",
            "17",
            r#""maintenance""#,
            r#"{"code":"E1","message":"no"}"#,
            r#"{"status":500,"message":"no"}"#,
            r#"{"error":{"code":"E1"}}"#,
            "[1,2]",
            r#"[{"foo":1}]"#,
            "<html></html>",
            r#"[{"agentId":"a","status":"x"}"#,
            r#"[{"agentId":"a","status":"x"}] tail"#,
            r#"[{"agentId":"a","status":NaN}]"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn an_error_leaves_nothing_behind() {
        let mut parser = RealtimeParser::new(&RealtimeApi::default());
        let mut snapshot = Snapshot::default();
        let cut = br#"[{"agentId":"a","status":"x"},{"agentId":"#;
        assert!(parser.parse(cut, &mut snapshot).is_err());
        assert!(snapshot.is_empty() && snapshot.rejected.count == 0);
    }

    #[test]
    fn a_row_with_id_and_username_goes_by_its_id() {
        let body = r#"[{"username":"kim","_id":"7","status":"a"},{"username":"lee","status":"b"},
            {"userId":8,"uKey":"k8","status":"c"},{"agentId":null,"_id":"","uKey":"k9","status":"d"}]"#;
        let (rows, rejected) = read(body).unwrap();
        assert_eq!(
            rows,
            [
                row("7", "a"),
                ("lee".to_owned(), true, "b".to_owned(), None),
                row("8", "c"),
                row("k9", "d"),
            ]
        );
        assert_eq!(rejected, []);
    }

    #[test]
    fn a_map_keyed_by_user_name_is_told_by_its_rows() {
        let body = r#"{"kim":{"username":"kim","status":"a"},"7":{"username":"lee","status":"b"}}"#;
        let (rows, _) = read(body).unwrap();
        assert_eq!(
            rows,
            [
                ("kim".to_owned(), true, "a".to_owned(), None),
                row("7", "b")
            ]
        );
    }

    #[test]
    fn the_true_start_is_read_in_every_spelling_and_its_absence_costs_nothing() {
        let row =
            |since: &str| format!(r#"[{{"agentId":"a","status":"b","lastStatusChange":{since}}}]"#);
        for since in [
            "1785000000",
            "1785000000000",
            "\"1785000000\"",
            "\"2026-07-25T17:20:00Z\"",
            "\"2026-07-25 17:20:00\"",
            "1785000000.0",
        ] {
            let (rows, _) = read(&row(since)).unwrap();
            assert_eq!(rows[0].3, Some(1_785_000_000), "{since}");
        }
        for since in ["null", "\"\"", "0", "\"soon\"", "{}", "false"] {
            let (rows, rejected) = read(&row(since)).unwrap();
            assert_eq!((rows[0].3, rejected.len()), (None, 0), "{since}");
        }
    }

    #[test]
    fn a_bad_row_costs_that_row_only() {
        let long = "x".repeat(129);
        let body = format!(
            r#"[{{"status":"a"}},{{"agentId":"1"}},{{"agentId":"2","status":"  "}},7,
                {{"agentId":"{long}","status":"a"}},{{"agentId":"ok","status":"{}"}},
                {{"agentId":"9","status":"{}"}}]"#,
            "s".repeat(500),
            "s".repeat(501),
        );
        let (rows, rejected) = read(&body).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            rejected,
            [
                RejectReason::MissingId,
                RejectReason::MissingState,
                RejectReason::MissingState,
                RejectReason::Malformed,
                RejectReason::TooLong,
                RejectReason::TooLong,
            ]
        );
    }

    #[test]
    fn names_and_pointers_are_settings() {
        let api = RealtimeApi {
            envelope: Envelope::Pointer("/result/1/list".to_owned()),
            fields: toml_like(&["/who/id"], &["/now/0/text", "state"]),
            ..RealtimeApi::default()
        };
        let body = r#"{"result":[{},{"list":[{"who":{"x":1,"id":5},"now":[{"text":"Übung\n"}]},
            {"who":{"id":"6"},"now":[],"STATE":"b"}]}]}"#;
        let (rows, rejected) = read_with(&api, body).unwrap();
        assert_eq!(rows, [row("5", "Übung\n"), row("6", "b")]);
        assert_eq!(rejected, []);
    }

    fn toml_like(agent: &[&str], state: &[&str]) -> crate::thrio::api::RealtimeFields {
        crate::thrio::api::RealtimeFields {
            agent: crate::thrio::api::Names::new(agent),
            state: crate::thrio::api::Names::new(state),
            ..Default::default()
        }
    }

    #[test]
    fn rows_of_changing_shape_are_read_alike() {
        let mut rows = Vec::new();
        for n in 0..100 {
            rows.push(match n % 3 {
                0 => format!(r#"{{"agentId":"{n}","x":[1,{{"agentId":"no"}}],"status":"s"}}"#),
                1 => format!(r#"{{"status":"s","agentId":"{n}"}}"#),
                _ => format!(r#"{{"AGENT_ID":"{n}","Agent-Status":"s","status":null}}"#),
            });
        }
        let (rows, rejected) = read(&format!("[{}]", rows.join(","))).unwrap();
        assert_eq!((rows.len(), rejected.len()), (100, 0));
        assert!(
            rows.iter()
                .enumerate()
                .all(|(n, r)| *r == row(&n.to_string(), "s"))
        );
    }
}
