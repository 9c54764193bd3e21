//! What follows from the columns: names, time format, unit, labels, sparse or dense, full or not.

use std::collections::HashSet;

use super::look::{Column, Look, Times, found};
use super::{FieldSeen, Finding, ProbeFeed, Sample};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::timestamp::WallTime;
use crate::thrio::api::{
    ApiOptions, HandleTimeUnit, IntervalFrom, IntervalLabel, Names, QueueFrom, TimeFormat, time,
};

/// A mean handle time per contact outside of these is no contact centre's.
const MEAN_HANDLE_S: std::ops::RangeInclusive<f64> = 5.0..=7200.0;

/// What a field without a known name might be called, and what its values must be.
struct Guess {
    field: &'static str,
    words: &'static [&'static str],
    fits: fn(&Column) -> bool,
}

const REALTIME: [Guess; 4] = [
    Guess {
        field: "agent",
        words: &["agentid", "userid", "employeeid", "agent", "user", "id"],
        fits: is_key,
    },
    Guess {
        field: "username",
        words: &["username", "login", "email"],
        fits: is_key,
    },
    Guess {
        field: "state",
        words: &["status", "state", "presence", "activity", "reason"],
        fits: is_text,
    },
    Guess {
        field: "since",
        words: &["since", "change", "start", "time"],
        fits: Column::is_time,
    },
];
const HISTORICAL: [Guess; 5] = [
    Guess {
        field: "queue",
        words: &["queueid", "queue", "skill", "campaign", "id"],
        fits: is_any,
    },
    Guess {
        field: "interval",
        words: &["interval", "start", "time", "date"],
        fits: Column::is_time,
    },
    Guess {
        field: "handle_time",
        words: &["handle", "aht", "talk", "duration"],
        fits: is_figure,
    },
    Guess {
        field: "entered",
        words: &["enter", "offer", "receiv", "inbound", "calls", "contacts"],
        fits: is_figure,
    },
    Guess {
        field: "abandoned",
        words: &["aband", "lost", "missed"],
        fits: is_figure,
    },
];
const LIST: [Guess; 2] = [
    Guess {
        field: "id",
        words: &["id"],
        fits: is_key,
    },
    Guess {
        field: "name",
        words: &["name"],
        fits: is_text,
    },
];

fn is_any(_: &Column) -> bool {
    true
}

fn is_key(column: &Column) -> bool {
    column.distinct() as u64 == column.rows && !column.is_time()
}

fn is_text(column: &Column) -> bool {
    column.kind() == "text"
}

fn is_figure(column: &Column) -> bool {
    column.is_number() && !column.is_time()
}

/// The names of each field of a feed, in the order of reports.
pub(super) fn fields_of(api: &mut ApiOptions, feed: ProbeFeed) -> Vec<(&'static str, &mut Names)> {
    match feed {
        ProbeFeed::Realtime => {
            let f = &mut api.realtime.fields;
            vec![
                ("agent", &mut f.agent),
                ("username", &mut f.username),
                ("state", &mut f.state),
                ("since", &mut f.since),
            ]
        }
        ProbeFeed::Historical => {
            let f = &mut api.historical.fields;
            vec![
                ("queue", &mut f.queue),
                ("interval", &mut f.interval),
                ("handle_time", &mut f.handle_time),
                ("entered", &mut f.entered),
                ("abandoned", &mut f.abandoned),
            ]
        }
        ProbeFeed::Queues => {
            let f = &mut api.queues.fields;
            vec![
                ("id", &mut f.id),
                ("name", &mut f.name),
                ("description", &mut f.description),
                ("deleted_at", &mut f.deleted_at),
            ]
        }
        ProbeFeed::Agents => {
            let f = &mut api.agents.fields;
            vec![
                ("id", &mut f.id),
                ("username", &mut f.username),
                ("first_name", &mut f.first_name),
                ("last_name", &mut f.last_name),
                ("name", &mut f.name),
                ("email", &mut f.email),
                ("enabled", &mut f.enabled),
                ("time_zone", &mut f.time_zone),
                ("deleted_at", &mut f.deleted_at),
            ]
        }
    }
}

/// Finds each field, guessing where no configured name is there, and writes what it found into
/// `api`.
pub(super) fn fields(api: &mut ApiOptions, feed: ProbeFeed, look: &Look<'_>) -> Vec<FieldSeen> {
    let guesses: &[Guess] = match feed {
        ProbeFeed::Realtime => &REALTIME,
        ProbeFeed::Historical => &HISTORICAL,
        ProbeFeed::Queues | ProbeFeed::Agents => &LIST,
    };
    let mut seen = Vec::new();
    let mut taken: HashSet<String> = HashSet::new();
    let mut fields = fields_of(api, feed);
    for (field, names) in &mut fields {
        let configured = found(&look.columns, names);
        if let Some(column) = configured {
            taken.insert(column.name.clone());
            **names = led_by(column, names);
        }
        seen.push(FieldSeen {
            field,
            found: configured.map(|column| column.name.clone()),
            rows: configured.map_or(0, |column| column.rows),
            proposed: false,
        });
    }
    let has_agent = feed == ProbeFeed::Realtime && seen.iter().take(2).any(|f| f.found.is_some());
    for ((field, names), seen) in fields.into_iter().zip(&mut seen) {
        let needs_none = has_agent && matches!(field, "agent" | "username");
        let guess = guesses.iter().find(|guess| guess.field == field);
        let (None, false, Some(guess)) = (&seen.found, needs_none, guess) else {
            continue;
        };
        if let Some(column) = guessed(guess, &look.columns, &taken) {
            taken.insert(column.name.clone());
            *names = led_by(column, names);
            *seen = FieldSeen {
                field,
                found: Some(column.name.clone()),
                rows: column.rows,
                proposed: true,
            };
        }
    }
    seen
}

/// The name found first, then the others: a field may have two names in one list.
fn led_by(column: &Column, names: &Names) -> Names {
    let is_other = |name: &&str| {
        crate::thrio::wire::normalise(name) != crate::thrio::wire::normalise(&column.name)
    };
    let mut list = vec![column.name.as_str()];
    list.extend(names.iter().filter(is_other));
    Names::new(&list)
}

fn guessed<'a>(
    guess: &Guess,
    columns: &'a [Column],
    taken: &HashSet<String>,
) -> Option<&'a Column> {
    guess.words.iter().find_map(|word| {
        columns.iter().find(|column| {
            column.rows > 0
                && !taken.contains(&column.name)
                && crate::thrio::wire::normalise(&column.name).contains(word)
                && (guess.fits)(column)
        })
    })
}

fn column<'a>(look: &'a Look<'_>, names: &Names) -> Option<&'a Column> {
    found(&look.columns, names)
}

/// Everything of a historical answer beyond its names; changes `api` to what was found.
pub(super) fn historical(api: &mut ApiOptions, look: &Look<'_>, sample: &Sample) -> Vec<Finding> {
    let mut findings = Vec::new();
    let fields = api.historical.fields.clone();
    let h = &mut api.historical;
    match column(look, &fields.interval) {
        None => {
            h.interval_from = IntervalFrom::Request;
            findings.push(finding(
                "interval",
                "no row says its interval: one interval is asked for a call",
            ));
        }
        Some(interval) => {
            h.row_time_format = interval.times().pattern(h.row_time_format.take());
            findings.push(time_finding(interval));
            findings.extend(label(h, interval, sample));
        }
    }
    if column(look, &fields.queue).is_none() {
        let (from, says) = if look.is_map {
            (
                QueueFrom::Key,
                "rows say no queue: the key of the map is taken for it",
            )
        } else {
            (
                QueueFrom::Request,
                "rows say no queue: one queue is asked for a call, or rows are the total \"(all)\"",
            )
        };
        h.queue_from = from;
        findings.push(finding("queue", says));
    }
    findings.extend(handle_time(api, look));
    findings.push(density(api, look));
    findings
}

/// How times are written, and which setting reads them.
fn time_finding(times: &Column) -> Finding {
    let says = match times.times() {
        Times::Unreadable => format!("\"{}\" holds no time that can be read", times.name),
        Times::Plain => format!(
            "\"{}\" is {}, read without a setting",
            times.name,
            times.time_words()
        ),
        Times::Pattern(format) => format!("\"{}\" is written as {format}", times.name),
    };
    finding("time format", says)
}

/// Which end of its interval a row names, told by the window's ends.
fn label(
    h: &mut crate::thrio::api::HistoricalApi,
    interval: &Column,
    sample: &Sample,
) -> Option<Finding> {
    let window = sample.window?;
    let labels: HashSet<i64> = interval
        .values
        .iter()
        .filter_map(|text| read(text, h.row_time_format.as_ref()))
        .map(WallTime::s)
        .collect();
    let (has_first, has_end) = (
        labels.contains(&window.from.s()),
        labels.contains(&window.to.s()),
    );
    let says = match (has_first, has_end) {
        (false, true) => {
            h.interval_label = IntervalLabel::End;
            "rows name the end of their interval: the window's end is there, its start is not"
        }
        (true, false) => {
            h.interval_label = IntervalLabel::Start;
            "rows name the start of their interval"
        }
        (true, true) => "both ends of the window are there: rows outside of it are rejected",
        (false, false) => "neither end of the window has a row: start or end cannot be told yet",
    };
    Some(finding("interval label", says))
}

fn read(text: &str, format: Option<&TimeFormat>) -> Option<WallTime> {
    match format {
        Some(format) => format.read(text),
        None => time::read_text(text),
    }
}

/// Seconds or milliseconds, by the mean handle time per contact under each.
fn handle_time(api: &mut ApiOptions, look: &Look<'_>) -> Option<Finding> {
    let fields = &api.historical.fields;
    let sum = |names: &Names| -> Option<f64> {
        let values = &column(look, names)?.values;
        Some(
            values
                .iter()
                .filter_map(|v| v.trim().parse::<f64>().ok())
                .sum(),
        )
    };
    let handled = sum(&fields.handle_time)?;
    let entered = sum(&fields.entered)?;
    let contacts = entered - sum(&fields.abandoned).unwrap_or(0.0);
    let contacts = if contacts > 0.0 { contacts } else { entered };
    if contacts <= 0.0 || handled <= 0.0 {
        return Some(finding(
            "handle time",
            "no contacts: seconds or milliseconds cannot be told yet",
        ));
    }
    let mean = handled / contacts;
    let unit = match (
        MEAN_HANDLE_S.contains(&mean),
        MEAN_HANDLE_S.contains(&(mean / 1000.0)),
    ) {
        (false, false) => None,
        (false, true) => Some(HandleTimeUnit::Milliseconds),
        // Both fit: minutes a contact are usual, hours are not.
        (true, true) if mean > 3600.0 => Some(HandleTimeUnit::Milliseconds),
        (true, _) => Some(HandleTimeUnit::Seconds),
    };
    let verdict = match unit {
        Some(HandleTimeUnit::Seconds) => "seconds",
        Some(HandleTimeUnit::Milliseconds) => "milliseconds",
        None => "neither is plausible: compare with a report of Thrio",
    };
    api.historical.handle_time_unit = unit.unwrap_or_default();
    Some(finding(
        "handle time",
        format!(
            "the mean per contact is {mean:.1} s if seconds, {:.1} s if milliseconds: {verdict}",
            mean / 1000.0
        ),
    ))
}

/// Whether queues without contacts have rows.
fn density(api: &ApiOptions, look: &Look<'_>) -> Finding {
    let fields = &api.historical.fields;
    let zeroes = |names: &Names| {
        column(look, names).map(|c| {
            let is_zero = |v: &&String| v.trim().parse::<f64>().is_ok_and(|n| n == 0.0);
            c.values.iter().filter(is_zero).count()
        })
    };
    let distinct = |names: &Names| column(look, names).map_or(1, Column::distinct);
    let places = distinct(&fields.queue) * distinct(&fields.interval);
    let rows = look.rows.len();
    let zero = zeroes(&fields.entered).unwrap_or(0);
    let verdict = if zero > 0 {
        "dense: queues without contacts have a row that says zero"
    } else if rows < places {
        "sparse: queues without contacts have no row (see missing_means_zero)"
    } else {
        "sparse or dense cannot be told from an answer without a quiet queue"
    };
    finding(
        "rows",
        format!(
            "{rows} rows for {places} queue-intervals seen, {zero} of them say zero entered; {verdict}"
        ),
    )
}

/// Everything of realtime answers beyond their names: time format, full list or changes.
pub(super) fn realtime(api: &mut ApiOptions, looks: &[Look<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let fields = api.realtime.fields.clone();
    if let Some(since) = looks.first().and_then(|look| column(look, &fields.since)) {
        let r = &mut api.realtime;
        r.row_time_format = since.times().pattern(r.row_time_format.take());
        findings.push(time_finding(since));
    } else {
        findings.push(finding(
            "state's start",
            "rows do not say since when: changes are timed between two polls",
        ));
    }
    let names = if looks
        .first()
        .is_some_and(|l| column(l, &fields.agent).is_some())
    {
        &fields.agent
    } else {
        &fields.username
    };
    let listed: Vec<HashSet<&String>> = looks
        .iter()
        .map(|look| {
            column(look, names)
                .map(|c| c.values.iter().collect())
                .unwrap_or_default()
        })
        .collect();
    findings.push(finding("list", full_or_changes(&listed)));
    findings
}

/// A full list stays nearly the same from poll to poll; a list of changes nearly vanishes.
fn full_or_changes(listed: &[HashSet<&String>]) -> String {
    let counts: Vec<String> = listed.iter().map(|l| l.len().to_string()).collect();
    let counts = format!(
        "agents listed by {} polls: {}",
        listed.len(),
        counts.join(", ")
    );
    let Some((first, later)) = listed.split_first() else {
        return "no poll was answered".to_owned();
    };
    if later.is_empty() || first.is_empty() {
        return format!("{counts}; full or changes cannot be told from that: ask for more polls");
    }
    let kept = later
        .iter()
        .map(|l| first.intersection(l).count())
        .min()
        .unwrap_or(0);
    if kept * 10 >= first.len() * 9 {
        format!("{counts}; a full list (snapshot = \"full\" in [source.realtime])")
    } else if kept * 2 < first.len() {
        format!("{counts}; probably changes only (snapshot = \"delta\" in [source.realtime])")
    } else {
        format!("{counts}; unclear: leave snapshot = \"unknown\" and look again at a busy hour")
    }
}

pub(super) fn finding(about: &'static str, says: impl Into<String>) -> Finding {
    Finding {
        about,
        says: says.into(),
    }
}

/// The window that a saved answer without a request is read under: all that its rows may name.
pub(super) fn any_window() -> crate::domain::interval::Window {
    let start = |s: i64| IntervalStart::containing(WallTime::from_s(s));
    crate::domain::interval::Window::new(start(0), start(4_102_444_800 - INTERVAL_S))
}
