//! The zone in which times are written, read from the system's zoneinfo: a table that is compiled
//! in is out of date with the next government's decision.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};

use crate::domain::timestamp::WallTime;

/// UTC, or a zone of the system's.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    /// None is UTC.
    rules: Option<tz::TimeZone>,
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            rules: None,
        }
    }

    /// The moment as RFC 3339 with milliseconds; UTC ends in `Z`, a zone in its offset.
    pub(super) fn text(&self, at: WallTime) -> String {
        let Some(utc) = DateTime::<Utc>::from_timestamp_millis(at.ms()) else {
            return at.to_string();
        };
        let offset = self.rules.as_ref().and_then(|rules| {
            let local = rules.find_local_time_type(at.s()).ok()?;
            FixedOffset::east_opt(local.ut_offset())
        });
        match offset {
            None => utc.to_rfc3339_opts(SecondsFormat::Millis, true),
            Some(offset) => utc
                .with_timezone(&offset)
                .to_rfc3339_opts(SecondsFormat::Millis, false),
        }
    }
}

impl FromStr for Zone {
    /// Follows the key's name in a message.
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.split('/').all(|part| !part.is_empty())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
        if !is_name {
            return Err("is no name of a zone such as \"Europe/Berlin\"".to_owned());
        }
        // The colon says that it is a file and no POSIX rule.
        let rules = tz::TimeZone::from_posix_tz(&format!(":{name}"))
            .map_err(|_| "is not in the system's zoneinfo (Debian's package tzdata)".to_owned())?;
        Ok(Self {
            name: name.to_owned(),
            rules: Some(rules),
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(zone: &str, ms: i64, expected: &str) {
        let zone: Zone = zone.parse().expect("a zone of every system");
        assert_eq!(zone.text(WallTime::from_ms(ms)), expected);
    }

    #[test]
    fn utc_ends_in_z() {
        check("UTC", 1_785_000_000_500, "2026-07-25T17:20:00.500Z");
        check("UTC", 0, "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_apart_by_its_offset() {
        check(
            "Europe/Berlin",
            1_792_886_400_000,
            "2026-10-25T02:00:00.000+02:00",
        );
        check(
            "Europe/Berlin",
            1_792_890_000_000,
            "2026-10-25T02:00:00.000+01:00",
        );
        // Beyond the last transition that zoneinfo lists, its rule holds.
        check(
            "Europe/Berlin",
            4_118_000_000_000,
            "2100-06-30T02:53:20.000+02:00",
        );
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for bad in [
            "",
            "Berlin?",
            "/etc/passwd",
            "../UTC",
            "Europe//Berlin",
            "Mars/Base",
            "CET-1",
        ] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }
}
