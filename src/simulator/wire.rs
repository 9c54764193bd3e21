//! Truth into JSON, written straight into the text: a list of 20,000 agents is one allocation.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};

use super::speech::{
    ConfigurationSpeech, Envelope, HistoricalSpeech, List, Names, RealtimeSpeech, Since, Times,
    Totals,
};
use super::{AgentNow, Centre, QUARTER_HOUR_S, Queue, QueueVolume, State, User};

/// Rows under construction.
struct Rows {
    text: String,
    envelope: Envelope,
    count: usize,
}

impl Rows {
    fn new(envelope: Envelope) -> Self {
        let text = match envelope {
            Envelope::Array => "[",
            Envelope::Objects => r#"{"objects":["#,
            Envelope::Data => r#"{"data":["#,
            Envelope::Rows => r#"{"rows":["#,
            Envelope::Results => r#"{"results":["#,
            Envelope::Items => r#"{"items":["#,
            Envelope::Map => "{",
        };
        Self {
            text: text.to_owned(),
            envelope,
            count: 0,
        }
    }

    fn row(&mut self, key: &str, write: impl FnOnce(&mut Row<'_>)) {
        if self.count > 0 {
            self.text.push(',');
        }
        if self.envelope == Envelope::Map {
            string(&mut self.text, key);
            self.text.push(':');
        }
        self.text.push('{');
        write(&mut Row {
            text: &mut self.text,
            first: true,
        });
        self.text.push('}');
        self.count += 1;
    }

    fn finish(mut self) -> String {
        self.text.push_str(match self.envelope {
            Envelope::Array => "]",
            Envelope::Map => "}",
            _ => "]}",
        });
        self.text
    }
}

/// The fields of one row.
struct Row<'a> {
    text: &'a mut String,
    first: bool,
}

impl Row<'_> {
    fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.text, value);
    }

    fn number(&mut self, name: &str, value: i64) {
        self.name(name);
        write!(self.text, "{value}").expect("a String takes everything");
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text.push_str(json);
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.text.push(',');
        }
        self.first = false;
        string(self.text, name);
        self.text.push(':');
    }
}

fn string(text: &mut String, value: &str) {
    if value.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

/// The agent states at a moment.
pub(super) struct StatesAsked {
    /// When.
    pub(super) at_ms: i64,
    /// Changes after then only, where the list is one of changes.
    pub(super) after_ms: Option<i64>,
    /// Everybody, or changes.
    pub(super) list: List,
    /// Agents to leave out, as a share.
    pub(super) vanished_share: f64,
    /// Whether to add rows that cannot be taken.
    pub(super) bad_rows: bool,
}

/// The answer to a realtime poll.
pub(super) fn states(centre: &Centre, speech: &RealtimeSpeech, asked: &StatesAsked) -> String {
    let mut rows = Rows::new(speech.envelope);
    let agents = centre.agents_at(asked.at_ms);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small number"
    )]
    let vanished = (agents.len() as f64 * asked.vanished_share.clamp(0.0, 1.0)) as usize;
    for agent in agents.iter().skip(vanished) {
        let changed = match (asked.list, asked.after_ms) {
            (List::Delta, Some(after)) => agent.since_ms.is_some_and(|since| since > after),
            _ => true,
        };
        let listed =
            speech.logged_out || asked.list == List::Delta || agent.state != State::LoggedOut;
        if changed && listed {
            rows.row(&agent.id, |row| state_row(row, speech, agent));
        }
    }
    if asked.bad_rows {
        rows.row("", |row| row.string("agentStatus", "Available"));
        rows.row("bad-1", |row| row.string("agentId", "bad-1"));
    }
    rows.finish()
}

fn state_row(row: &mut Row<'_>, speech: &RealtimeSpeech, agent: &AgentNow) {
    let (id, username, state, since) = match speech.names {
        Names::Community => ("agentId", "username", "agentStatus", "since"),
        Names::Dashed => ("agent-id", "username", "agent-status", "since"),
        Names::Sibling => ("uKey", "fullName", "statusCode", "lastStatusChange"),
    };
    if speech.ids {
        row.string(id, &agent.id);
    } else {
        row.string("username", &agent.username);
    }
    if speech.names == Names::Sibling {
        row.string(username, &agent.username);
    }
    let text = if speech.camel_case_states {
        agent.state.text_in_camel_case()
    } else {
        agent.state.text()
    };
    row.string(state, text);
    match (speech.since, agent.since_ms) {
        (Since::No, _) | (_, None) => {}
        (Since::Seconds, Some(ms)) => row.number(since, ms.div_euclid(1_000)),
        (Since::Milliseconds, Some(ms)) => row.number(since, ms),
    }
}

/// A question for contact volume.
pub(super) struct VolumeAsked {
    /// The first moment, in seconds.
    pub(super) from_s: i64,
    /// The moment after the last, in seconds.
    pub(super) to_s: i64,
    /// Only these queues; empty = all.
    pub(super) queues: Vec<String>,
    /// The moment of asking.
    pub(super) now_ms: i64,
    /// Whether to add rows that cannot be taken.
    pub(super) bad_rows: bool,
}

/// The answer to a question for contact volume: closed and open intervals alike, as the real one
/// may do.
pub(super) fn volumes(centre: &Centre, speech: &HistoricalSpeech, asked: &VolumeAsked) -> String {
    let mut rows = Rows::new(speech.envelope);
    let kept_from_s = asked.now_ms.div_euclid(1_000) - speech.kept_days * 86_400;
    let to_s = asked.to_s.min(asked.now_ms.div_euclid(1_000));
    let volumes = centre
        .volumes(asked.from_s.max(kept_from_s), to_s, asked.now_ms)
        .filter(|row| asked.queues.is_empty() || asked.queues.iter().any(|id| **id == *row.queue));
    if speech.queue_in_row {
        for row in volumes.filter(|row| !(speech.sparse && row.volume.is_zero())) {
            rows.row(&row.queue, |fields| volume_row(fields, speech, &row));
        }
    } else {
        for row in totals(volumes) {
            rows.row("", |fields| volume_row(fields, speech, &row));
        }
    }
    if asked.bad_rows {
        bad_volume_rows(&mut rows, asked);
    }
    rows.finish()
}

/// One row an interval: the sum over its queues.
fn totals(volumes: impl Iterator<Item = QueueVolume>) -> Vec<QueueVolume> {
    let mut sums: Vec<QueueVolume> = Vec::new();
    for row in volumes {
        match sums.last_mut() {
            Some(sum) if sum.start_s == row.start_s => {
                sum.volume.entered += row.volume.entered;
                sum.volume.abandoned += row.volume.abandoned;
                sum.volume.handle_time_s += row.volume.handle_time_s;
            }
            _ => sums.push(row),
        }
    }
    sums
}

fn volume_row(row: &mut Row<'_>, speech: &HistoricalSpeech, of: &QueueVolume) {
    let (queue, interval) = match speech.names {
        Names::Community => ("queueId", "interval"),
        Names::Dashed => ("queue-id", "interval-start"),
        Names::Sibling => ("queueID", "interval"),
    };
    if speech.queue_in_row {
        row.string(queue, &of.queue);
    }
    if speech.interval_in_row {
        let label_s = of.start_s + i64::from(speech.labelled_by_end) * QUARTER_HOUR_S;
        match speech.times {
            Times::UnixS => row.number(interval, label_s),
            Times::UnixMs => row.number(interval, label_s * 1_000),
            Times::Iso8601 => row.string(interval, &iso(label_s)),
            Times::Text => row.string(interval, &text_time(label_s)),
        }
    }
    let unit = if speech.handle_time_in_ms { 1_000 } else { 1 };
    for (name, value) in [
        ("sumHandleTime", of.volume.handle_time_s * unit),
        ("enteredCount", of.volume.entered),
        ("abandonedCount", of.volume.abandoned),
    ] {
        if speech.numbers_as_strings {
            row.string(name, &value.to_string());
        } else {
            row.raw(name, &value.to_string());
        }
    }
}

/// One row of each kind that a client must reject without losing the others.
fn bad_volume_rows(rows: &mut Rows, asked: &VolumeAsked) {
    let mut bad = |interval: i64, queue: &str, entered: &str| {
        rows.row(queue, |row| {
            row.string("queueId", queue);
            row.number("interval", interval);
            row.raw("enteredCount", entered);
            row.raw("abandonedCount", "0");
            row.raw("sumHandleTime", "0");
        });
    };
    bad(asked.from_s, "bad-negative", "-4");
    bad(asked.from_s, "bad-number", r#""NaN""#);
    bad(asked.from_s + 1, "bad-alignment", "1");
    bad(asked.from_s - 86_400 * 30, "bad-window", "1");
}

fn moment(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(s, 0).expect("moments of the simulation are years that chrono knows")
}

fn iso(s: i64) -> String {
    moment(s).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn text_time(s: i64) -> String {
    moment(s).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// One page of a configuration list.
pub(super) struct PageAsked {
    /// How many to skip.
    pub(super) start: usize,
    /// How many to return at most.
    pub(super) rows: usize,
    /// Whether to add rows that cannot be taken.
    pub(super) bad_rows: bool,
}

/// A page of queues.
pub(super) fn queues(all: &[Queue], speech: &ConfigurationSpeech, asked: &PageAsked) -> String {
    page(all, speech, asked, |row, queue| {
        row.string("_id", &queue.id);
        row.string("queueId", &queue.id);
        row.string("name", &queue.name);
        if let Some(description) = &queue.description {
            row.string("description", description);
        }
        row.number("createdAt", queue.created_at_ms);
        // Numbers may be strings: this one always is.
        row.string("modifiedAt", &queue.modified_at_ms.to_string());
        if let Some(ms) = queue.deleted_at_ms {
            row.number("deletedAt", ms);
        }
    })
}

/// A page of users, with a field that nobody may read.
pub(super) fn users(all: &[User], speech: &ConfigurationSpeech, asked: &PageAsked) -> String {
    page(all, speech, asked, |row, user| {
        row.string("_id", &user.id);
        row.string("userId", &user.id);
        row.string("username", &user.username);
        row.string("firstName", &user.first_name);
        row.string("lastName", &user.last_name);
        if let Some(name) = &user.name {
            row.string("name", name);
        }
        row.string("emailAddress", &user.email);
        row.raw("enabled", if user.enabled { "true" } else { "false" });
        row.string("timezone", &user.time_zone);
        row.string("password", "never-to-be-read");
        row.number("createdAt", user.created_at_ms);
        row.number("modifiedAt", user.modified_at_ms);
        if let Some(ms) = user.deleted_at_ms {
            row.number("deletedAt", ms);
        }
    })
}

fn page<T>(
    all: &[T],
    speech: &ConfigurationSpeech,
    asked: &PageAsked,
    write: impl Fn(&mut Row<'_>, &T),
) -> String {
    let length = asked.rows.min(speech.page_rows_max);
    let listed = all.iter().skip(asked.start).take(length);
    let mut rows = Rows::new(Envelope::Objects);
    for object in listed {
        rows.row("", |row| write(row, object));
    }
    let count = rows.count;
    if asked.bad_rows {
        rows.row("", |row| row.string("name", "no id"));
    }
    let mut text = rows.finish();
    text.pop();
    let next = asked.start + count;
    for (name, value) in [
        ("count", count),
        ("total", all.len()),
        ("next", next),
        ("previous", asked.start),
    ] {
        let ends = match speech.totals {
            Totals::Strings if name != "count" => write!(text, r#","{name}":"{value}""#),
            Totals::Absent if name != "count" => Ok(()),
            _ => write!(text, r#","{name}":{value}"#),
        };
        ends.expect("a String takes everything");
    }
    text.push('}');
    text
}
