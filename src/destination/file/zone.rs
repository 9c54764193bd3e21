//! The zone in which times are written, read from the system's zoneinfo: a table that is compiled
//! in is out of date with the next government's decision.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, Utc};

use crate::domain::timestamp::WallTime;

const DAY_MS: i64 = 86_400_000;

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
        match self.offset(at) {
            None => utc.to_rfc3339_opts(SecondsFormat::Millis, true),
            Some(offset) => utc
                .with_timezone(&offset)
                .to_rfc3339_opts(SecondsFormat::Millis, false),
        }
    }

    /// The offset from UTC at that moment; none in UTC.
    fn offset(&self, at: WallTime) -> Option<FixedOffset> {
        let local = self.rules.as_ref()?.find_local_time_type(at.s()).ok()?;
        FixedOffset::east_opt(local.ut_offset())
    }

    /// What clocks show there at that moment; none beyond the calendar.
    pub fn local(&self, at: WallTime) -> Option<NaiveDateTime> {
        let utc = DateTime::<Utc>::from_timestamp_millis(at.ms())?;
        let offset = self.offset(at);
        Some(offset.map_or(utc.naive_utc(), |offset| {
            utc.with_timezone(&offset).naive_local()
        }))
    }

    /// When clocks show this there: the first time in an hour that comes twice, none in one that is
    /// left out.
    pub fn moment(&self, local: NaiveDateTime) -> Option<WallTime> {
        let as_utc = WallTime::from_ms(local.and_utc().timestamp_millis());
        // No offset is greater than a day, and none changes twice within two.
        let offsets = [-DAY_MS, DAY_MS].map(|ms| {
            let offset = self.offset(as_utc.plus_ms(ms));
            offset.map_or(0, |offset| i64::from(offset.local_minus_utc()))
        });
        let moments = offsets.map(|offset_s| as_utc.plus_ms(-offset_s * 1000));
        let shows = |at: &WallTime| self.local(*at) == Some(local);
        moments.into_iter().filter(shows).min()
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
    fn what_a_clock_shows_is_one_moment_the_first_of_two_or_none() {
        let berlin: Zone = "Europe/Berlin".parse().expect("a zone of every system");
        let at = |text: &str| {
            let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
            let moment = berlin.moment(local);
            assert!(moment.is_none_or(|at| berlin.local(at) == Some(local)));
            moment.map(WallTime::s)
        };
        assert_eq!(at("2026-07-25 19:20"), Some(1_785_000_000));
        assert_eq!(at("2026-10-25 02:00"), Some(1_792_886_400));
        assert_eq!(at("2026-03-29 02:30"), None);
        assert_eq!(at("2026-03-29 03:00"), Some(1_774_746_000));
        let noon = NaiveDateTime::parse_from_str("1970-01-01 12:00", "%Y-%m-%d %H:%M");
        assert_eq!(
            Zone::utc().moment(noon.expect("a time")).map(WallTime::s),
            Some(43_200)
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
