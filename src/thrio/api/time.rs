//! How times are written in requests and rows. All of them are UTC.

use std::fmt::{self, Write as _};

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::timestamp::WallTime;

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TimeFormat {
    /// Seconds since 1970.
    #[default]
    UnixS,
    /// Milliseconds since 1970.
    UnixMs,
    /// `2026-07-25T17:15:00Z`.
    Iso8601,
    /// A chrono pattern, for example `%-m/%-d/%Y %-I:%M:%S %p`.
    Pattern(String),
}

impl TryFrom<String> for TimeFormat {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "unix_s" => Ok(Self::UnixS),
            "unix_ms" => Ok(Self::UnixMs),
            "iso8601" => Ok(Self::Iso8601),
            pattern
                if pattern.contains('%')
                    && !StrftimeItems::new(pattern).any(|item| item == Item::Error) =>
            {
                Ok(Self::Pattern(text))
            }
            _ => Err(format!(
                "\"{text}\" is no time format: unix_s, unix_ms, iso8601, or a pattern such as \
                 \"%Y-%m-%d %H:%M:%S\""
            )),
        }
    }
}

impl From<TimeFormat> for String {
    fn from(format: TimeFormat) -> String {
        format.to_string()
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnixS => "unix_s",
            Self::UnixMs => "unix_ms",
            Self::Iso8601 => "iso8601",
            Self::Pattern(pattern) => pattern,
        })
    }
}

impl TimeFormat {
    /// The time as a request writes it.
    pub fn write(&self, at: WallTime) -> String {
        let date = || DateTime::<Utc>::from_timestamp_millis(at.ms()).unwrap_or_default();
        match self {
            Self::UnixS => at.s().to_string(),
            Self::UnixMs => at.ms().to_string(),
            Self::Iso8601 => date().to_rfc3339_opts(SecondsFormat::AutoSi, true),
            Self::Pattern(pattern) => {
                let mut text = String::new();
                // Only fails for specifiers that the pattern's check has refused.
                let _ = write!(text, "{}", date().format(pattern));
                text
            }
        }
    }

    /// Reads a row's text; none where it is not written so.
    pub fn read(&self, text: &str) -> Option<WallTime> {
        let text = text.trim();
        match self {
            Self::UnixS => text.parse().ok().map(WallTime::from_s),
            Self::UnixMs => text.parse().ok().map(WallTime::from_ms),
            Self::Iso8601 => read_date_text(text),
            Self::Pattern(pattern) => read_pattern(text, pattern),
        }
    }
}

fn read_pattern(text: &str, pattern: &str) -> Option<WallTime> {
    if let Ok(time) = DateTime::parse_from_str(text, pattern) {
        return Some(WallTime::from_ms(time.timestamp_millis()));
    }
    NaiveDateTime::parse_from_str(text, pattern)
        .ok()
        .or_else(|| {
            NaiveDate::parse_from_str(text, pattern)
                .ok()
                .and_then(|date| date.and_hms_opt(0, 0, 0))
        })
        .map(|time| WallTime::from_ms(time.and_utc().timestamp_millis()))
}

/// From here on a number counts milliseconds: as seconds it would lie in the year 5138, and as
/// milliseconds what lies below is before March 1973.
const UNIX_MS_MIN: i64 = 100_000_000_000;

/// A number as a time: seconds or milliseconds by size.
pub(crate) fn by_size(number: i64) -> WallTime {
    if number.unsigned_abs() >= UNIX_MS_MIN.unsigned_abs() {
        WallTime::from_ms(number)
    } else {
        WallTime::from_s(number)
    }
}

/// A text as a time: a number by size, ISO 8601, or `YYYY-MM-DD HH:MM:SS`; without a zone it is UTC.
pub(crate) fn read_text(text: &str) -> Option<WallTime> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(by_size(number));
    }
    read_date_text(text)
}

/// `YYYY-MM-DD?HH:MM:SS`, with or without milliseconds, in UTC: what nearly every row holds, read
/// without chrono's general parser, which costs more than the rest of a realtime row.
fn read_plain(text: &str) -> Option<WallTime> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0_u32, |n, &b| {
            b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0'))
        })
    };
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|b| any.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"T ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (ms, rest) = match bytes.get(19..)? {
        [b'.', _, _, _, rest @ ..] => (number(20, 23)?, rest),
        rest => (0, rest),
    };
    if !matches!(rest, [] | [b'Z']) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(0, 4)?).ok()?,
        number(5, 7)?,
        number(8, 10)?,
    )?;
    let time = date.and_hms_milli_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?, ms)?;
    Some(WallTime::from_ms(time.and_utc().timestamp_millis()))
}

fn read_date_text(text: &str) -> Option<WallTime> {
    if let Some(time) = read_plain(text) {
        return Some(time);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(WallTime::from_ms(time.timestamp_millis()));
    }
    if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return Some(WallTime::from_ms(time.timestamp_millis()));
    }
    [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ]
    .iter()
    .find_map(|pattern| NaiveDateTime::parse_from_str(text, pattern).ok())
    .map(|time| WallTime::from_ms(time.and_utc().timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIBLING: &str = "%-m/%-d/%Y %-I:%M:%S %p";

    fn format(text: &str) -> TimeFormat {
        TimeFormat::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_time_survives_each_format() {
        let at = WallTime::from_s(1_785_000_000);
        for (name, text) in [
            ("unix_s", "1785000000"),
            ("unix_ms", "1785000000000"),
            ("iso8601", "2026-07-25T17:20:00Z"),
            (SIBLING, "7/25/2026 5:20:00 PM"),
            ("%Y-%m-%d %H:%M:%S", "2026-07-25 17:20:00"),
        ] {
            let format = format(name);
            assert_eq!(format.write(at), text);
            assert_eq!(format.read(text), Some(at), "{name}");
            assert_eq!(format.to_string(), name);
        }
    }

    #[test]
    fn noon_and_midnight_are_told_apart_in_twelve_hours() {
        let format = format(SIBLING);
        assert_eq!(format.write(WallTime::from_s(0)), "1/1/1970 12:00:00 AM");
        assert_eq!(
            format.read("1/1/1970 12:00:00 PM"),
            Some(WallTime::from_s(43_200))
        );
    }

    #[test]
    fn an_unknown_format_is_refused() {
        for bad in ["unix", "", "%Q", "yyyy-MM-dd"] {
            assert!(TimeFormat::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_is_seconds_or_milliseconds_by_size() {
        let at = WallTime::from_s(1_785_000_000);
        assert_eq!(by_size(1_785_000_000), at);
        assert_eq!(by_size(1_785_000_000_000), at);
        assert_eq!(read_text(" 1785000000 "), Some(at));
    }

    #[test]
    fn a_text_without_a_zone_is_utc() {
        let at = WallTime::from_s(1_785_000_000);
        for text in [
            "2026-07-25 17:20:00",
            "2026-07-25T17:20:00",
            "2026-07-25T17:20:00Z",
            "2026-07-25T17:20:00.000Z",
            "2026-07-25T17:20:00.0",
            "2026-07-25T19:20:00+02:00",
            "2026-07-25T19:20:00.000+0200",
            "2026-07-25 17:20",
        ] {
            assert_eq!(read_text(text), Some(at), "{text}");
        }
        for bad in [
            "soon",
            "2026-02-30 00:00:00",
            "2026-07-25T25:20:00Z",
            "",
            "2026-07-25T17:20:00ZZ",
        ] {
            assert_eq!(read_text(bad), None, "{bad}");
        }
    }
}
