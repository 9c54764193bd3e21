//! Moments in JSON as RFC 3339 in UTC, for people and their scripts.

use chrono::DateTime;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::domain::timestamp::WallTime;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(super) fn serialize<S: Serializer>(at: &WallTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<WallTime, D::Error> {
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

pub(super) fn parse(text: &str) -> Result<WallTime, chrono::ParseError> {
    DateTime::parse_from_rfc3339(text).map(|time| WallTime::from_ms(time.timestamp_millis()))
}

/// The same for a moment that may not be known.
pub(super) mod option {
    use super::{Deserialize, Deserializer, Error, Serializer, WallTime, parse};

    #[expect(clippy::ref_option, reason = "serde gives a reference")]
    pub(in super::super) fn serialize<S: Serializer>(
        at: &Option<WallTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.collect_str(at),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<WallTime>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}
