//! What commands share for talking to a person or a script.

use std::io::{IsTerminal, Write, stdout};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// Prints a line; a closed pipe (`| head`) is no failure of ours.
pub(super) fn line(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

/// Prints a value for scripts.
pub(super) fn json(value: &Value) {
    let text = if stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    line(&text.expect("a JSON value can be written"));
}

/// A value as a person reads it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// What is added where a destination's worker has not done it yet.
pub(super) fn later(done: &Value) -> &'static str {
    if done["later"] == Value::Bool(true) {
        " (once the call that is under way has ended)"
    } else {
        ""
    }
}

/// Terminals that are narrower than this wrap lines themselves.
const COLUMNS_MIN: u16 = 50;

/// An empty table with these columns.
pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(columns.to_vec());
    // A terminal that says it has no room, or next to none, gets whole lines: columns of single
    // letters can be read by nobody.
    if table.width().is_some_and(|columns| columns < COLUMNS_MIN) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table
}

/// A span for people: `3 s`, `4 min`, `2 h 5 min`, `3 d 1 h`.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A size for people: `812 B`, `1.5 MiB`.
pub(super) fn bytes(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let Some((power, unit)) = (1_u32..)
        .zip(units)
        .take_while(|(power, _)| size >> (10 * power) > 0)
        .last()
    else {
        return format!("{size} B");
    };
    let tenths = (u128::from(size) * 10) >> (10 * power);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        let check = |seconds, text: &str| assert_eq!(span(seconds), text);
        check(59, "59 s");
        check(61, "1 min");
        check(7_500, "2 h 5 min");
        check(90_000, "1 d 1 h");
    }

    #[test]
    fn a_size_is_told_in_its_largest_unit() {
        let check = |size, text: &str| assert_eq!(bytes(size), text);
        check(0, "0 B");
        check(1_023, "1023 B");
        check(1_024, "1.0 KiB");
        check(1_600_000, "1.5 MiB");
        check(u64::MAX, "16777215.9 TiB");
    }
}
