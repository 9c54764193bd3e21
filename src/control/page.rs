//! The page at `/`: what `status` shows, rendered here, without a script. Every text from outside
//! (an error of Thrio's, a queue's name) is escaped.

use std::fmt::Write;

use axum::http::{HeaderName, HeaderValue, header};

use super::status::{DestinationStatus, FeedStatus, Problem, Status};
use crate::domain::timestamp::WallTime;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#1c2430}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid #d8dee6;vertical-align:top}\
.error{color:#a4161a}.warning{color:#8a5a00}.ok{color:#1b6b3a}small{color:#5a6675}";

/// The page's headers: HTML that may load and run nothing.
pub(super) fn headers() -> [(HeaderName, HeaderValue); 4] {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(policy),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFRESH, HeaderValue::from_static("15")),
    ]
}

/// The page.
pub(super) fn render(status: &Status) -> String {
    let mut page = String::new();
    let written = write_page(&mut page, status);
    written.expect("writing to a string cannot fail");
    page
}

fn write_page(page: &mut String, status: &Status) -> std::fmt::Result {
    let box_id = escape(&status.box_id);
    let (class, ready) = if status.ready {
        ("ok", "ready")
    } else {
        ("error", "not ready")
    };
    write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><title>thrio-edge {box_id}</title>\
         <style>{STYLE}</style><h1>{box_id} <small class={class}>{ready}</small></h1>\
         <p>thrio-edge {} since {}; {} records journaled, seen at {}</p>",
        escape(&status.version),
        status.started_at,
        status.store.last_seq,
        status.at,
    )?;
    write_problems(page, &status.problems)?;
    page.push_str("<h2>Feeds</h2><table><tr><th>feed<th>phase<th>last success<th>behind<th>rows<th>last error");
    for feed in &status.feeds {
        write_feed(page, feed)?;
    }
    page.push_str("</table><h2>Destinations</h2><table><tr><th>destination<th>phase<th>backlog<th>oldest unsent<th>acknowledged<th>quarantined<th>last error");
    for destination in &status.destinations {
        write_destination(page, destination)?;
    }
    page.push_str("</table></html>\n");
    Ok(())
}

fn write_problems(page: &mut String, problems: &[Problem]) -> std::fmt::Result {
    page.push_str("<h2>Problems</h2>");
    if problems.is_empty() {
        page.push_str("<p class=ok>None.</p>");
        return Ok(());
    }
    page.push_str("<ul>");
    for problem in problems {
        write!(
            page,
            "<li class={}><b>{}</b>: {} <small>{}</small>",
            problem.severity.as_str(),
            escape(&problem.subject),
            escape(&problem.message),
            escape(&problem.remedy),
        )?;
    }
    page.push_str("</ul>");
    Ok(())
}

fn write_feed(page: &mut String, feed: &FeedStatus) -> std::fmt::Result {
    write!(
        page,
        "<tr><td>{}/{}<td>{}<td>{}<td>{} s<td>{}<td>{}",
        escape(&feed.source),
        escape(&feed.feed),
        escape(&feed.phase),
        moment(feed.last_success_at),
        feed.lag_s,
        feed.counts.rows_received,
        escape(feed.last_error.as_deref().unwrap_or("")),
    )
}

fn write_destination(page: &mut String, destination: &DestinationStatus) -> std::fmt::Result {
    write!(
        page,
        "<tr><td>{} <small>{}</small><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
        escape(&destination.name),
        escape(&destination.kind),
        escape(&destination.phase),
        destination.backlog,
        moment(destination.oldest_unsent_at),
        destination.acknowledged,
        destination.quarantined,
        escape(destination.last_error.as_deref().unwrap_or("")),
    )
}

fn moment(at: Option<WallTime>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.to_string())
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
