//! Values that TOML has no type for: byte sizes, times, times of day, near misses.

use chrono::{DateTime, NaiveTime, Timelike};

use crate::domain::timestamp::WallTime;

/// Units of byte sizes, largest first; the first four are those that a size is written with.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A size such as `8GiB`, `1.5 MB` or `4096`.
pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = (text[..digits].replace('_', ""), text[digits..].trim());
    let factor = if unit.is_empty() {
        1
    } else {
        UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
            .1
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = number.parse::<f64>().ok()? * to_f64(factor);
    // Sizes beyond 2^53 with a fraction make no sense; below it the conversion is exact enough.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie between 0 and 2^53"
    )]
    (bytes.is_finite() && (0.0..9.0e15).contains(&bytes)).then_some(bytes.round() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "units are powers below 2^41")]
fn to_f64(factor: u64) -> f64 {
    factor as f64
}

/// The size as a person would write it.
pub(super) fn show_bytes(bytes: u64) -> String {
    let unit = UNITS[..4]
        .iter()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// RFC 3339.
pub(super) fn parse_time(text: &str) -> Option<WallTime> {
    let time = DateTime::parse_from_rfc3339(text.trim()).ok()?;
    Some(WallTime::from_ms(time.timestamp_millis()))
}

/// A time of day such as `02:30`, in seconds after midnight.
pub(super) fn parse_time_of_day(text: &str) -> Option<u64> {
    let time = NaiveTime::parse_from_str(text.trim(), "%H:%M").ok()?;
    Some(u64::from(time.num_seconds_from_midnight()))
}

/// The text as TOML writes it.
pub(super) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The known word that is nearest to what was written, if it is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    known
        .map(|candidate| {
            let folded = candidate.to_ascii_lowercase().replace('-', "_");
            (distance(&word, &folded), candidate)
        })
        // Up to a third of the letters may be wrong, and one in a very short word.
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, replaced, or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, &a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == right[j - 1] && left[i - 1] == b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        for (text, bytes) in [
            ("8GiB", Some(8 << 30)),
            ("8 gib", Some(8 << 30)),
            ("1.5KiB", Some(1536)),
            ("2MB", Some(2_000_000)),
            ("4096", Some(4096)),
            ("1_000 B", Some(1000)),
            ("8G", None),
            ("", None),
            ("-1KiB", None),
            ("99999999999TiB", None),
            ("1e5", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn a_size_survives_being_shown() {
        for bytes in [0, 1, 1023, 1024, 8 << 30, 3 << 20, 1 << 41, 1_000_000] {
            assert_eq!(parse_bytes(&show_bytes(bytes)), Some(bytes));
        }
        assert_eq!(show_bytes(8 << 30), "8GiB");
    }

    #[test]
    fn the_nearest_word_is_named_only_if_it_may_be_meant() {
        let known = ["base_url", "account", "password_file", "snapshot"];
        for (word, near) in [
            ("base_ulr", Some("base_url")),
            ("base-url", Some("base_url")),
            ("acount", Some("account")),
            ("passwordfile", Some("password_file")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), near, "{word}");
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_mistake() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
