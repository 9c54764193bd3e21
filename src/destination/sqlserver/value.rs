//! The domain's values as SQL Server has them.

use std::borrow::Cow;

use tiberius::ColumnData;
use tiberius::time::{Date, DateTime2, Time};

use crate::domain::timestamp::WallTime;

/// A value of a statement or of a row.
pub(super) type Value<'a> = ColumnData<'a>;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Days from 0001-01-01, where `datetime2` begins, to 1970-01-01.
const EPOCH_DAY: i64 = 719_162;
/// Days from 0001-01-01 to 9999-12-31, where it ends.
const LAST_DAY: i64 = 3_652_058;
/// `datetime2(3)`: the columns' own, so that nothing is rounded on the way.
const MS_SCALE: u8 = 3;

/// Stands for a blank at the end of a key. SQL Server takes texts that differ only in blanks at
/// their end for equal, whatever the collation; the domain does not.
const BLANK_SYMBOL: char = '\u{2420}';

pub(super) fn text(text: &str) -> Value<'_> {
    ColumnData::String(Some(Cow::Borrowed(text)))
}

pub(super) fn maybe_text(optional: Option<&str>) -> Value<'_> {
    ColumnData::String(optional.map(Cow::Borrowed))
}

/// A text that is part of a key: a blank at its end shows as its symbol U+2420.
pub(super) fn key(text: &str) -> Value<'_> {
    ColumnData::String(Some(key_text(text)))
}

/// The same where there may be none.
pub(super) fn maybe_key(optional: Option<&str>) -> Value<'_> {
    ColumnData::String(optional.map(key_text))
}

fn key_text(text: &str) -> Cow<'_, str> {
    match text.strip_suffix(' ') {
        Some(rest) => Cow::Owned(format!("{rest}{BLANK_SYMBOL}")),
        None => Cow::Borrowed(text),
    }
}

/// A part of a key as it was before [`key`].
pub(super) fn key_read(text: &str) -> Cow<'_, str> {
    match text.strip_suffix(BLANK_SYMBOL) {
        Some(rest) => Cow::Owned(format!("{rest} ")),
        None => Cow::Borrowed(text),
    }
}

pub(super) fn int(number: i64) -> Value<'static> {
    ColumnData::I64(Some(number))
}

pub(super) fn maybe_int(optional: Option<i64>) -> Value<'static> {
    ColumnData::I64(optional)
}

pub(super) fn bit(truth: bool) -> Value<'static> {
    ColumnData::Bit(Some(truth))
}

/// A moment. What lies outside of the calendar becomes its end; records with such moments are
/// refused before.
pub(super) fn at(time: WallTime) -> Value<'static> {
    ColumnData::DateTime2(Some(moment(time)))
}

pub(super) fn maybe_at(optional: Option<WallTime>) -> Value<'static> {
    ColumnData::DateTime2(optional.map(moment))
}

/// Whether `datetime2` holds the moment.
pub(super) fn is_in_calendar(time: WallTime) -> bool {
    (0..=LAST_DAY).contains(&day(time))
}

fn day(time: WallTime) -> i64 {
    time.ms().div_euclid(DAY_MS) + EPOCH_DAY
}

fn moment(time: WallTime) -> DateTime2 {
    let (day, of_day) = match day(time) {
        ..0 => (0, 0),
        day @ 0..=LAST_DAY => (day, time.ms().rem_euclid(DAY_MS)),
        _ => (LAST_DAY, DAY_MS - 1),
    };
    let date = Date::new(u32::try_from(day).expect("within the calendar"));
    DateTime2::new(date, Time::new(of_day.unsigned_abs(), MS_SCALE))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use tiberius::FromSql as _;

    use super::*;

    fn read_back(ms: i64) -> i64 {
        let value = at(WallTime::from_ms(ms));
        let moment = DateTime::<Utc>::from_sql(&value).expect("a moment");
        moment.expect("not NULL").timestamp_millis()
    }

    #[test]
    fn moments_are_exact_to_the_millisecond_and_end_with_the_calendar() {
        for ms in [
            0,
            -1,
            1,
            1_764_000_000_123,
            -62_135_596_800_000,
            253_402_300_799_999,
        ] {
            assert_eq!(read_back(ms), ms);
            assert!(is_in_calendar(WallTime::from_ms(ms)));
        }
        assert_eq!(read_back(i64::MIN), -62_135_596_800_000);
        assert_eq!(read_back(i64::MAX), 253_402_300_799_999);
        assert!(!is_in_calendar(WallTime::from_ms(-62_135_596_800_001)));
        assert!(!is_in_calendar(WallTime::from_ms(253_402_300_800_000)));
    }

    #[test]
    fn keys_that_differ_in_a_blank_at_their_end_stay_different() {
        let stored = |text| key_text(text).into_owned();
        assert_eq!(stored("a"), "a");
        assert_eq!(stored("a  "), "a \u{2420}");
        for text in ["a", "a ", "a  ", " a", "Bereit für Ä"] {
            assert_eq!(key_read(&stored(text)), text);
        }
    }
}
