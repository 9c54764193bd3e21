//! Statements under way at once on one connection: the server works on one while the next is on
//! its way, and answers in order.

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::super::SendError;
use super::error;
use crate::domain::timestamp::WallTime;

/// The values of one statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];
/// The same, kept until the statement is sent.
pub(super) type OwnedParams<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

type Call<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;

/// `try_join_all` keeps the order of what it is given up to this many.
const CALLS_MAX: usize = 30;

pub(super) struct Pipeline<'a> {
    client: &'a Client,
    prepared: &'a HashMap<&'static str, Statement>,
    place: &'a str,
    calls: Vec<Call<'a>>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(
        client: &'a Client,
        prepared: &'a HashMap<&'static str, Statement>,
        place: &'a str,
    ) -> Self {
        Self {
            client,
            prepared,
            place,
            calls: Vec::new(),
        }
    }

    /// Adds a statement; answers its place among the results.
    pub(super) fn push(&mut self, template: &'static str, params: OwnedParams<'a>) -> usize {
        assert!(self.calls.len() < CALLS_MAX, "at most {CALLS_MAX} at once");
        let statement = self
            .prepared
            .get(template)
            .expect("statements::ALL holds every statement");
        let client = self.client;
        self.calls.push(Box::pin(async move {
            let params: Vec<&(dyn ToSql + Sync)> = params
                .iter()
                .map(|param| &**param as &(dyn ToSql + Sync))
                .collect();
            client.execute(statement, &params).await
        }));
        self.calls.len() - 1
    }

    /// Sends them all; answers how many rows each has changed.
    pub(super) async fn run(self) -> Result<Vec<u64>, SendError> {
        try_join_all(self.calls)
            .await
            .map_err(error::sql(self.place))
    }
}

/// A text as PostgreSQL can hold it: U+0000, which it refuses, shows as its symbol U+2400.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{2400}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same where there may be none.
pub(super) fn maybe_text(optional: Option<&str>) -> Option<Cow<'_, str>> {
    optional.map(text)
}

/// A moment. What lies outside of the calendar is refused by the server, which knows less of it.
pub(super) fn at(time: WallTime) -> DateTime<Utc> {
    let end = if time.ms() < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    DateTime::from_timestamp_millis(time.ms()).unwrap_or(end)
}

/// A column of a table's new rows.
pub(super) fn column<'a, R, T>(
    rows: &'a [R],
    value: impl Fn(&'a R) -> T,
) -> Box<dyn ToSql + Sync + Send + 'a>
where
    T: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(value).collect::<Vec<T>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_shows_as_its_symbol_and_everything_else_travels_whole() {
        assert_eq!(text("Bereit für Ä"), "Bereit für Ä");
        assert_eq!(text("a\0b"), "a\u{2400}b");
    }

    #[test]
    fn moments_are_exact_to_the_millisecond_and_never_wrap() {
        let moment = WallTime::from_ms(1_764_000_000_123);
        assert_eq!(at(moment).timestamp_millis(), 1_764_000_000_123);
        assert_eq!(at(WallTime::from_ms(i64::MAX)), DateTime::<Utc>::MAX_UTC);
        assert_eq!(at(WallTime::from_ms(i64::MIN)), DateTime::<Utc>::MIN_UTC);
    }
}
