//! The report: what the settings make of the samples, and what better ones would.

use std::fmt::Write as _;

use serde_json::Value;

use super::infer::{self, finding};
use super::look::{Look, look};
use super::{CallSeen, ColumnSeen, FieldSeen, Finding, ProbeFeed, ProbeReport, Sample};
use crate::domain::call::{HistoricalCall, Rejections, Snapshot};
use crate::domain::record::Run;
use crate::thrio::api::{
    ApiOptions, Envelope, HandleTimeUnit, IntervalFrom, IntervalLabel, QueueFrom,
};
use crate::thrio::wire::{
    self, AgentsParser, HistoricalParser, QueuesParser, RealtimeParser, Shape, WireError,
};

/// How many rows a report shows.
const ROWS_SHOWN: usize = 5;

/// What the samples (several polls for realtime, one answer else) hold under these settings, and
/// which settings would understand them.
pub fn report(feed: ProbeFeed, samples: &[Sample], api: &ApiOptions) -> ProbeReport {
    let mut report = ProbeReport {
        feed,
        calls: samples.iter().map(call_seen).collect(),
        problem: None,
        shape: None,
        fields: Vec::new(),
        unused: Vec::new(),
        rows: Vec::new(),
        rejected: 0,
        rejected_rows: Vec::new(),
        findings: Vec::new(),
        settings: String::new(),
    };
    let Some(first) = samples.iter().find(|s| (200..300).contains(&s.status)) else {
        report.problem = Some(match samples.first() {
            None => "there was no answer".to_owned(),
            Some(sample) => format!("status {}: {}", sample.status, shown(sample)),
        });
        return report;
    };
    if let Err(error) = read(feed, first, api) {
        report.problem = Some(format!("{error}: {}", shown(first)));
    }
    let bodies: Vec<Value> = samples
        .iter()
        .filter_map(|sample| serde_json::from_slice(&sample.body).ok())
        .collect();
    let looks: Vec<Look<'_>> = bodies.iter().filter_map(look).collect();
    let Some(seen) = looks.first() else {
        if report.problem.is_none() {
            let says = "the answer has no rows: probe again when there is something to see";
            report.findings.push(finding("rows", says));
        }
        return report;
    };
    let mut better = api.clone();
    report.fields = infer::fields(&mut better, feed, seen);
    report.findings = match feed {
        ProbeFeed::Historical => infer::historical(&mut better, seen, first),
        ProbeFeed::Realtime => infer::realtime(&mut better, &looks),
        ProbeFeed::Queues | ProbeFeed::Agents => Vec::new(),
    };
    let outcome = read_or_point(feed, first, &mut better, seen);
    report.unused = unused(seen, &report.fields);
    match outcome {
        Ok(taken) => {
            report.findings.insert(0, envelope_finding(&taken.shape));
            report.rejected = taken.rejected.count;
            report.rejected_rows = taken
                .rejected
                .samples
                .iter()
                .map(|(reason, detail)| format!("{reason}: {detail}"))
                .collect();
            report.rows = taken.rows;
            report.shape = Some(taken.shape);
        }
        Err(error) => {
            report.problem = Some(format!(
                "not understood, also with the names found: {error}"
            ));
        }
    }
    report.settings = settings(feed, &mut better, &report.fields);
    report
}

fn call_seen(sample: &Sample) -> CallSeen {
    CallSeen {
        request: sample.request.clone(),
        status: sample.status,
        content_type: sample.content_type.clone(),
        bytes: sample.body.len(),
        took_ms: sample.took_ms,
    }
}

fn shown(sample: &Sample) -> String {
    let head = &sample.body[..sample.body.len().min(4096)];
    wire::excerpt(&String::from_utf8_lossy(head))
}

/// What a parse took.
struct Taken {
    shape: Shape,
    rows: Vec<String>,
    rejected: Rejections,
}

/// Tries the settings; where the rows are not found, the place at which they were seen.
fn read_or_point(
    feed: ProbeFeed,
    sample: &Sample,
    better: &mut ApiOptions,
    seen: &Look<'_>,
) -> Result<Taken, WireError> {
    let found = read(feed, sample, better);
    let finds_all = found
        .as_ref()
        .is_ok_and(|taken| taken.shape.rows_with_fields * 2 >= seen.rows.len() as u64);
    if finds_all || (seen.pointer.is_empty() && !seen.is_map) {
        return found;
    }
    let envelope = if seen.pointer.is_empty() {
        Envelope::Map
    } else {
        Envelope::Pointer(seen.pointer.clone())
    };
    *match feed {
        ProbeFeed::Realtime => &mut better.realtime.envelope,
        ProbeFeed::Historical => &mut better.historical.envelope,
        ProbeFeed::Queues => &mut better.queues.envelope,
        ProbeFeed::Agents => &mut better.agents.envelope,
    } = envelope;
    read(feed, sample, better)
}

fn read(feed: ProbeFeed, sample: &Sample, api: &ApiOptions) -> Result<Taken, WireError> {
    match feed {
        ProbeFeed::Realtime => {
            let mut snapshot = Snapshot::default();
            let shape = RealtimeParser::new(&api.realtime).parse(&sample.body, &mut snapshot)?;
            let rows = snapshot.rows().take(ROWS_SHOWN).map(|row| {
                let kind = if row.by_username { "username" } else { "agent" };
                let since = row
                    .since
                    .map_or_else(String::new, |at| format!("  since {at}"));
                format!("{kind} {}  state \"{}\"{since}", row.agent, row.state)
            });
            Ok(Taken {
                rows: rows.collect(),
                shape,
                rejected: snapshot.rejected.clone(),
            })
        }
        ProbeFeed::Historical => read_historical(sample, api),
        ProbeFeed::Queues => {
            let page = QueuesParser::new(&api.queues).parse(&*sample.body)?;
            let rows = page.entries.iter().take(ROWS_SHOWN).map(|entry| {
                let name = entry.details.name.as_deref().unwrap_or("(no name)");
                format!(
                    "queue {}  {name}{}",
                    entry.id,
                    activity(entry.details.is_active)
                )
            });
            Ok(Taken {
                rows: rows.collect(),
                shape: page.shape,
                rejected: page.rejected,
            })
        }
        ProbeFeed::Agents => {
            let page = AgentsParser::new(&api.agents).parse(&*sample.body)?;
            let rows = page.entries.iter().take(ROWS_SHOWN).map(|entry| {
                let name = entry.details.display_name.as_deref().unwrap_or("(no name)");
                format!(
                    "agent {}  {name}{}",
                    entry.id,
                    activity(entry.details.is_active)
                )
            });
            Ok(Taken {
                rows: rows.collect(),
                shape: page.shape,
                rejected: page.rejected,
            })
        }
    }
}

fn activity(is_active: bool) -> &'static str {
    if is_active { "" } else { "  (inactive)" }
}

fn read_historical(sample: &Sample, api: &ApiOptions) -> Result<Taken, WireError> {
    let call = HistoricalCall {
        window: sample
            .window
            .unwrap_or_else(|| match api.historical.interval_from {
                IntervalFrom::Row => infer::any_window(),
                // A saved answer to a question for one interval, which nobody wrote down.
                IntervalFrom::Request => {
                    let any = infer::any_window();
                    crate::domain::interval::Window::new(any.from, any.from.plus(1))
                }
            }),
        queue: None,
        queues: Vec::new(),
        run: Run::Manual,
    };
    let (answer, shape) = HistoricalParser::new(&api.historical).parse(&call, &*sample.body)?;
    let figure = |f: Option<u64>| f.map_or_else(|| "not said".to_owned(), |n| n.to_string());
    let rows = answer.rows.iter().take(ROWS_SHOWN).map(|row| {
        let f = row.figures;
        format!(
            "queue {}  {}  entered {}  abandoned {}  handle_time_s {}",
            row.queue,
            row.interval_start,
            figure(f.entered),
            figure(f.abandoned),
            figure(f.handle_time_s)
        )
    });
    Ok(Taken {
        rows: rows.collect(),
        shape,
        rejected: answer.rejected,
    })
}

fn envelope_finding(shape: &Shape) -> Finding {
    let place = shape.envelope.as_deref().unwrap_or("nowhere");
    let total = shape
        .total
        .map_or_else(String::new, |n| format!(", total {n}"));
    finding(
        "envelope",
        format!("rows found at {place}: {} rows{total}", shape.rows),
    )
}

fn unused(look: &Look<'_>, fields: &[FieldSeen]) -> Vec<ColumnSeen> {
    look.columns
        .iter()
        .filter(|column| {
            !fields
                .iter()
                .any(|f| f.found.as_ref() == Some(&column.name))
        })
        .map(|column| ColumnSeen {
            name: wire::excerpt(&column.name),
            kind: if column.rows == 0 {
                "never said"
            } else {
                column.kind()
            },
            rows: column.rows,
        })
        .collect()
}

/// The settings as lines of TOML: everything that the probe can vouch for.
fn settings(feed: ProbeFeed, api: &mut ApiOptions, fields: &[FieldSeen]) -> String {
    let table = feed.table();
    let mut out = format!("[source.api.{table}]\n");
    let mut line = |key: &str, value: &str| {
        let quoted = Value::from(value);
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{key} = {quoted}");
    };
    let (envelope, row_time_format) = match feed {
        ProbeFeed::Realtime => (&api.realtime.envelope, &api.realtime.row_time_format),
        ProbeFeed::Historical => (&api.historical.envelope, &api.historical.row_time_format),
        ProbeFeed::Queues => (&api.queues.envelope, &None),
        ProbeFeed::Agents => (&api.agents.envelope, &None),
    };
    line("envelope", &envelope.to_string());
    if let Some(format) = row_time_format {
        line("row_time_format", &format.to_string());
    }
    if feed == ProbeFeed::Historical {
        let h = &api.historical;
        line(
            "interval_label",
            match h.interval_label {
                IntervalLabel::Start => "start",
                IntervalLabel::End => "end",
            },
        );
        line(
            "interval_from",
            match h.interval_from {
                IntervalFrom::Row => "row",
                IntervalFrom::Request => "request",
            },
        );
        line(
            "queue_from",
            match h.queue_from {
                QueueFrom::Row => "row",
                QueueFrom::Key => "key",
                QueueFrom::Request => "request",
            },
        );
        line(
            "handle_time_unit",
            match h.handle_time_unit {
                HandleTimeUnit::Seconds => "seconds",
                HandleTimeUnit::Milliseconds => "milliseconds",
            },
        );
    }
    let _ = writeln!(out, "\n[source.api.{table}.fields]");
    for ((name, names), seen) in infer::fields_of(api, feed).into_iter().zip(fields) {
        if seen.found.is_some() {
            let list: Vec<String> = names.iter().map(|n| Value::from(n).to_string()).collect();
            let _ = writeln!(out, "{name} = [{}]", list.join(", "));
        }
    }
    out
}
