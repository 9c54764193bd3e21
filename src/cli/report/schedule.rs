//! The schedule of `report adherence`: a CSV that any product for workforce management can export.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime};

use super::super::Failure;
use crate::destination::file::Zone;
use crate::domain::category::category_named;
use crate::domain::ids::StateText;
use crate::domain::report::adherence::{Expected, Scheduled};
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// The columns, in any order; others are ignored.
const COLUMNS: [&str; 4] = ["agent", "start", "end", "expected"];
/// What stands for all categories in which an agent serves contacts.
const IN_SERVICE: &str = "IN_SERVICE";

/// One line: whom it is about, as the file says it, and what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) agent: String,
    pub(super) scheduled: Scheduled,
}

/// Reads the file; every line that cannot be read is named at once.
pub(super) fn read(path: &Path, zone: &Zone) -> anyhow::Result<Vec<Line>> {
    let name = path.display();
    let refuse = |why: String| Failure::new(Exit::Usage, format!("{name}: {why}"));
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    Ok(parse(&text, zone).map_err(|problems| refuse(problems.join("\n")))?)
}

fn parse(text: &str, zone: &Zone) -> Result<Vec<Line>, Vec<String>> {
    // With CR LF, the reader counts the second half of a line's end to the line after it.
    let text = text.replace("\r\n", "\n");
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().cloned().unwrap_or_default();
    let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let places = COLUMNS.map(column);
    let missing: Vec<_> = COLUMNS
        .iter()
        .zip(places)
        .filter(|(_, place)| place.is_none())
        .map(|(name, _)| format!("a column is missing in the first line: {name}"))
        .collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let places = places.map(|place| place.expect("none is missing"));
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        match record {
            Ok(record) => {
                let number = record.position().map_or(0, csv::Position::line);
                let fields = places.map(|place| record.get(place).unwrap_or_default());
                match line(number, fields, zone) {
                    Ok(line) => lines.push(line),
                    Err(why) => problems.push(format!("line {number}: {why}")),
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() {
        Ok(lines)
    } else {
        Err(problems)
    }
}

fn line(number: u64, fields: [&str; 4], zone: &Zone) -> Result<Line, String> {
    let [agent, start, end, expected] = fields;
    if agent.is_empty() {
        return Err("no agent".to_owned());
    }
    let (from, to) = (moment(start, zone)?, moment(end, zone)?);
    if from >= to {
        return Err(format!("it ends ({end}) before it starts ({start})"));
    }
    Ok(Line {
        number,
        agent: agent.to_owned(),
        scheduled: Scheduled {
            from,
            to,
            expected: expected_of(expected)?,
        },
    })
}

/// A moment: RFC 3339, Unix seconds, or what clocks show in the zone.
fn moment(text: &str, zone: &Zone) -> Result<WallTime, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(WallTime::from_ms(at.timestamp_millis()));
    }
    if let Ok(s) = text.parse::<i64>() {
        return Ok(WallTime::from_s(s));
    }
    let patterns = [
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
    ];
    let local = patterns
        .iter()
        .find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok());
    let local = local.ok_or_else(|| {
        format!("\"{text}\" is no time such as 2026-07-25 09:00 or 2026-07-25T09:00:00+02:00")
    })?;
    zone.moment(local)
        .ok_or_else(|| format!("clocks never show {text} in {zone}"))
}

fn expected_of(text: &str) -> Result<Vec<Expected>, String> {
    let one = |word: &str| {
        if word.eq_ignore_ascii_case(IN_SERVICE) {
            return Ok(Expected::InService);
        }
        if let Some(category) = category_named(word) {
            return Ok(Expected::Category(category));
        }
        let state = StateText::new(word);
        state
            .map(Expected::State)
            .map_err(|error| error.to_string())
    };
    let words = text
        .split('|')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let expected = words.map(one).collect::<Result<Vec<_>, _>>()?;
    if expected.is_empty() {
        return Err("nothing is expected".to_owned());
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Category;

    fn berlin() -> Zone {
        "Europe/Berlin".parse().expect("a zone of every system")
    }

    #[test]
    fn a_line_says_who_when_and_what() {
        let text = "\u{feff}Shift,Expected,Agent, Start ,End\r\n\
                    early,IN_SERVICE,ada@example.com,2026-07-25 19:20,2026-07-25T17:50:00Z\r\n\
                    early,\"aux | Team Meeting\",a-7,1785000000,1785001800\r\n";
        let lines = parse(text, &berlin()).expect("a schedule");
        let [first, second] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert_eq!((first.number, first.agent.as_str()), (2, "ada@example.com"));
        assert_eq!(first.scheduled.from, WallTime::from_s(1_785_000_000));
        assert_eq!(first.scheduled.to, WallTime::from_s(1_785_001_800));
        assert_eq!(first.scheduled.expected, [Expected::InService]);
        let meeting = StateText::new("Team Meeting").expect("a state");
        let expected = [Expected::Category(Category::Aux), Expected::State(meeting)];
        assert_eq!(second.scheduled.expected, expected);
    }

    #[test]
    fn every_bad_line_is_named() {
        let text = "agent,start,end,expected\n\
                    a-1,2026-07-25 09:00,2026-07-25 17:00,IN_SERVICE\n\
                    ,2026-07-25 09:00,2026-07-25 17:00,IN_SERVICE\n\
                    a-1,tomorrow,2026-07-25 17:00,IN_SERVICE\n\
                    a-1,2026-07-25 17:00,2026-07-25 09:00,IN_SERVICE\n\
                    a-1,2026-03-29 02:30,2026-03-29 09:00,IN_SERVICE\n\
                    a-1,2026-07-25 09:00,2026-07-25 17:00, |\n";
        let problems = parse(text, &berlin()).expect_err("five bad lines");
        let said = problems.join("\n");
        for part in [
            "line 3: no agent",
            "line 4: \"tomorrow\" is no time",
            "line 5: it ends (2026-07-25 09:00) before",
            "line 6: clocks never show 2026-03-29 02:30 in Europe/Berlin",
            "line 7: nothing is expected",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(problems.len(), 5);
        let said = parse("agent,from,to\n", &berlin()).expect_err("no columns");
        assert_eq!(said.len(), 3, "{said:?}");
    }
}
