//! A message as JSON, as one text for people, and as a program's environment.

use serde_json::{Value, json};

use crate::domain::alarm::{Alarm, Condition, Message, MessageKind};
use crate::domain::ids::BoxId;
use crate::domain::timestamp::WallTime;

/// How many alarms the text names one by one.
const TEXT_ALARMS_MAX: usize = 10;

/// What is posted, and what a program reads from its standard input. `text` is what chat systems
/// show of a webhook's message.
pub(super) fn json(message: &Message, box_id: &BoxId, now: WallTime) -> Value {
    let alarms = |alarms: &[Alarm]| alarms.iter().map(alarm).collect::<Vec<_>>();
    json!({
        "version": 1,
        "kind": message.kind.as_str(),
        "box_id": box_id.as_str(),
        "program": concat!("thrio-edge/", env!("CARGO_PKG_VERSION")),
        "at": now.to_string(),
        "text": text(message, box_id),
        "raised": alarms(&message.raised),
        "cleared": alarms(&message.cleared),
        "passed": alarms(&message.passed),
        "omitted": message.omitted,
        "standing": alarms(&message.standing),
        "standing_count": message.standing_count,
    })
}

fn alarm(alarm: &Alarm) -> Value {
    let Condition {
        severity,
        code,
        subject,
        message,
        remedy,
        at_risk,
        by,
    } = &alarm.condition;
    let moment = |at: Option<WallTime>| at.map(|at| at.to_string());
    json!({
        "id": alarm.id,
        "severity": severity.as_str(),
        "code": code,
        "subject": subject,
        "message": message,
        "remedy": remedy,
        "at_risk": at_risk,
        "by": moment(*by),
        "since": alarm.since.to_string(),
        "raised_at": alarm.raised_at.to_string(),
        "cleared_at": moment(alarm.cleared_at),
    })
}

/// One text for people.
pub(super) fn text(message: &Message, box_id: &BoxId) -> String {
    if message.kind == MessageKind::Test {
        return format!("{box_id}: this is a test of its alarms; nothing is wrong because of it");
    }
    let mut lines = vec![headline(message, box_id)];
    let told = [
        ("raised", &message.raised),
        ("cleared", &message.cleared),
        ("came and went", &message.passed),
    ];
    let mut all: Vec<String> = told
        .iter()
        .flat_map(|(word, alarms)| alarms.iter().map(move |alarm| line(word, alarm)))
        .collect();
    if all.is_empty() {
        all = message
            .standing
            .iter()
            .map(|alarm| line("stands", alarm))
            .collect();
    }
    let more = all.len().saturating_sub(TEXT_ALARMS_MAX);
    all.truncate(TEXT_ALARMS_MAX);
    lines.extend(all);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

fn headline(message: &Message, box_id: &BoxId) -> String {
    let passed = message.passed.len() as u64 + message.omitted;
    let counts = [
        (message.raised.len() as u64, "raised"),
        (message.cleared.len() as u64, "cleared"),
        (passed, "came and went"),
    ];
    let mut parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    parts.push(match message.standing_count {
        0 => "nothing stands".to_owned(),
        1 => "1 stands".to_owned(),
        number => format!("{number} stand"),
    });
    format!("{box_id}: {}", parts.join(", "))
}

fn line(word: &str, alarm: &Alarm) -> String {
    let Condition {
        severity,
        code,
        subject,
        message,
        remedy,
        at_risk,
        by,
    } = &alarm.condition;
    let head = format!("{word}: {} {code} {subject}: {message}", severity.as_str());
    if alarm.cleared_at.is_some() {
        return head;
    }
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    format!("{head} (at risk{by}: {at_risk}; {remedy})")
}

/// What a program finds in its environment, so that a short script needs no JSON.
pub(super) fn environment(message: &Message, box_id: &BoxId) -> Vec<(&'static str, String)> {
    let codes = |alarms: &[Alarm]| {
        let mut codes: Vec<&str> = alarms.iter().map(|a| a.condition.code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes.join(",")
    };
    let worst = message.standing.iter().map(|a| a.condition.severity).min();
    vec![
        ("THRIO_EDGE_ALARM_KIND", message.kind.as_str().to_owned()),
        ("THRIO_EDGE_ALARM_BOX", box_id.to_string()),
        (
            "THRIO_EDGE_ALARM_SEVERITY",
            worst
                .map_or("none", |severity| severity.as_str())
                .to_owned(),
        ),
        ("THRIO_EDGE_ALARM_RAISED", codes(&message.raised)),
        ("THRIO_EDGE_ALARM_CLEARED", codes(&message.cleared)),
        ("THRIO_EDGE_ALARM_PASSED", codes(&message.passed)),
        ("THRIO_EDGE_ALARM_STANDING", codes(&message.standing)),
        ("THRIO_EDGE_ALARM_TEXT", text(message, box_id)),
    ]
}
