//! The parameters of a question. Each is taken once or refused; what nobody asked for is refused
//! too, so that a misspelt filter never reads as "everything".

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use super::super::question::{PAGE_ROWS_MAX, Span};
use super::super::rfc3339;
use super::problem::Problem;
use crate::domain::ids::RecordSeq;
use crate::domain::timestamp::WallTime;

/// The span where none is given.
const SPAN: Duration = Duration::from_hours(24);
/// The longest span: what `max_backfill_days` may be.
const SPAN_MAX: Duration = Duration::from_hours(400 * 24);
/// Moments outside 1970 to 2200 are typing errors.
const MOMENTS_S: std::ops::Range<i64> = 0..7_258_118_400;

/// What stands behind the `?`.
pub(super) struct Parameters {
    given: BTreeMap<String, String>,
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query())
    }
}

impl Parameters {
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut given = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            if given.insert(name.to_string(), value.to_string()).is_some() {
                let message = format!("the parameter {name:?} is given twice");
                return Err(Problem::bad_request(message));
            }
        }
        Ok(Self { given })
    }

    /// The parameter as this type, if it is given.
    pub(super) fn optional<T, E: ToString>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let given = self.given.remove(name);
        given
            .map(|text| {
                read(&text).map_err(|error| {
                    Problem::bad_request(format!("the parameter {name:?}: {}", error.to_string()))
                })
            })
            .transpose()
    }

    /// `limit`.
    pub(super) fn limit(&mut self) -> Result<usize, Problem> {
        let read = |text: &str| match text.parse() {
            Ok(limit) if (1..=PAGE_ROWS_MAX).contains(&limit) => Ok(limit),
            _ => Err(format!("1 to {PAGE_ROWS_MAX} rows")),
        };
        Ok(self.optional("limit", read)?.unwrap_or(PAGE_ROWS_MAX))
    }

    /// A seq.
    pub(super) fn seq(&mut self, name: &str) -> Result<Option<RecordSeq>, Problem> {
        self.optional(name, seq)
    }

    /// `from` and `to`.
    pub(super) fn span(&mut self, now: WallTime) -> Result<Span, Problem> {
        let to = self.optional("to", moment)?;
        let from = self.optional("from", moment)?;
        let to = to.unwrap_or(now);
        span(from.unwrap_or(to.minus(SPAN)), to)
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.given.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::bad_request(format!("unknown parameter {name:?}"))),
        }
    }
}

/// A span that is the right way round and not too long.
pub(super) fn span(from: WallTime, to: WallTime) -> Result<Span, Problem> {
    let len_ms = to.ms_since(from);
    if len_ms < 0 {
        return Err(Problem::bad_request("`from` lies after `to`"));
    }
    if len_ms > i64::try_from(SPAN_MAX.as_millis()).unwrap_or(i64::MAX) {
        return Err(Problem::bad_request("the span is longer than 400 days"));
    }
    Ok(Span { from, to })
}

/// RFC 3339 or Unix seconds, within what a box can mean.
pub(super) fn moment(text: &str) -> Result<WallTime, String> {
    let at = match text.parse::<i64>() {
        Ok(seconds) if MOMENTS_S.contains(&seconds) => Some(WallTime::from_s(seconds)),
        Ok(_) => None,
        Err(_) => rfc3339::parse(text).ok(),
    };
    at.filter(|at| MOMENTS_S.contains(&at.s())).ok_or_else(|| {
        "a moment from 1970 to 2199 as RFC 3339 (2026-07-25T17:00:00Z) or Unix seconds is needed"
            .to_owned()
    })
}

/// A seq; JavaScript's numbers end at 2^53.
pub(super) fn seq(text: &str) -> Result<RecordSeq, String> {
    match text.parse::<u64>() {
        Ok(number) if number < 1 << 53 => Ok(RecordSeq::new(number)),
        _ => Err("a whole number is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_either_form_and_no_typing_error() {
        for text in [
            "2026-07-25T17:20:00Z",
            "2026-07-25T19:20:00+02:00",
            "1785000000",
        ] {
            assert_eq!(moment(text), Ok(WallTime::from_s(1_785_000_000)), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "-1",
            "99999999999999",
            "0001-01-01T00:00:00Z",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_misspelt_or_doubled_is_refused() {
        assert!(Parameters::parse(Some("a=1&a=2")).is_err());
        let mut parameters = Parameters::parse(Some("queu=q1&limit=5")).unwrap();
        assert_eq!(parameters.limit().unwrap(), 5);
        assert!(parameters.finish().is_err());
        let mut parameters = Parameters::parse(Some("limit=1001")).unwrap();
        assert!(parameters.limit().is_err());
    }
}
