//! The values of one row: borrowed from the body where it is held, copied into one scratch text
//! where it streams or a text is escaped.

use std::borrow::Cow;

use super::names::Target;
use crate::domain::timestamp::WallTime;
use crate::thrio::api::TimeFormat;
use crate::thrio::api::time as time_of;

/// The most fields that a kind of row has (an agent has nine).
pub(super) const FIELDS_MAX: usize = 12;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'de> {
    /// Missing, null or empty.
    Unsaid,
    /// A text of the body.
    Text(&'de str),
    /// A text in the scratch.
    Copied(u32, u32),
    /// A number.
    Unsigned(u64),
    /// A negative number.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// An object or an array.
    Nested,
}

#[derive(Debug, Clone, Copy)]
struct Slot<'de> {
    rank: u8,
    value: Scalar<'de>,
}

const EMPTY: Slot<'static> = Slot {
    rank: u8::MAX,
    value: Scalar::Unsaid,
};

/// The fields of the row that is being read.
#[derive(Debug)]
pub(super) struct Slots<'de> {
    fields: [Slot<'de>; FIELDS_MAX],
    scratch: String,
    said: bool,
    ids_differ: bool,
}

/// A figure that is no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadFigure {
    /// Below zero.
    Negative,
    /// Not a number, or not a whole one where it must be.
    NotANumber,
}

impl<'de> Slots<'de> {
    /// No values.
    pub(super) fn new() -> Self {
        Self {
            fields: [EMPTY; FIELDS_MAX],
            scratch: String::new(),
            said: false,
            ids_differ: false,
        }
    }

    /// Forgets the row before.
    pub(super) fn reset(&mut self) {
        self.fields = [EMPTY; FIELDS_MAX];
        self.scratch.clear();
        self.said = false;
        self.ids_differ = false;
    }

    /// Whether any field was said.
    pub(super) const fn said_anything(&self) -> bool {
        self.said
    }

    /// Whether field 0, the id, was said twice under different names, differently.
    pub(super) const fn ids_differ(&self) -> bool {
        self.ids_differ
    }

    /// Takes a value that lives as long as the body.
    pub(super) fn put(&mut self, targets: &[Target], value: Scalar<'de>) {
        for target in targets {
            let at = usize::from(target.field);
            let slot = self.fields[at];
            if at == 0 && slot.rank != u8::MAX && self.text_of(slot.value) != self.text_of(value) {
                self.ids_differ = true;
            }
            // What cannot be read as a value never hides one that can.
            let rank = match value {
                Scalar::Nested => u8::MAX - 1,
                _ => target.rank,
            };
            if rank < slot.rank {
                self.fields[at] = Slot { rank, value };
                self.said = true;
            }
        }
    }

    /// Takes a text of the body.
    pub(super) fn put_text(&mut self, targets: &[Target], text: &'de str) {
        if is_said(text) {
            self.put(targets, Scalar::Text(text));
        }
    }

    /// Takes a text that is gone after this call.
    pub(super) fn copy_text(&mut self, targets: &[Target], text: &str) {
        if is_said(text) {
            let position = |n: usize| u32::try_from(n).expect("bodies are limited below 4 GiB");
            let from = position(self.scratch.len());
            self.scratch.push_str(text);
            let to = position(self.scratch.len());
            self.put(targets, Scalar::Copied(from, to));
        }
    }

    /// A text, or a number or flag as a text; none for what was not said or is nested.
    pub(super) fn text(&self, field: usize) -> Option<Cow<'_, str>> {
        self.text_of(self.fields[field].value)
    }

    fn text_of(&self, value: Scalar<'de>) -> Option<Cow<'_, str>> {
        match value {
            Scalar::Text(text) => Some(Cow::Borrowed(text)),
            Scalar::Copied(from, to) => {
                Some(Cow::Borrowed(&self.scratch[from as usize..to as usize]))
            }
            Scalar::Unsigned(n) => Some(Cow::Owned(n.to_string())),
            Scalar::Signed(n) => Some(Cow::Owned(n.to_string())),
            Scalar::Float(n) => Some(Cow::Owned(n.to_string())),
            Scalar::Flag(flag) => Some(Cow::Borrowed(if flag { "true" } else { "false" })),
            Scalar::Unsaid | Scalar::Nested => None,
        }
    }

    /// A text of its own, for what is kept.
    pub(super) fn owned_text(&self, field: usize) -> Option<String> {
        self.text(field).map(Cow::into_owned)
    }

    /// A figure that is not negative, as a float where it has a fraction; none where not said.
    pub(super) fn figure(&self, field: usize) -> Result<Option<Figure>, BadFigure> {
        match self.fields[field].value {
            Scalar::Unsaid => Ok(None),
            Scalar::Unsigned(n) => Ok(Some(Figure::Whole(n))),
            Scalar::Signed(_) => Err(BadFigure::Negative),
            Scalar::Float(n) => Figure::of_float(n).map(Some),
            Scalar::Flag(_) | Scalar::Nested => Err(BadFigure::NotANumber),
            Scalar::Text(_) | Scalar::Copied(..) => {
                let text = self.text(field).unwrap_or_default();
                let text = text.trim();
                match text.parse::<u64>() {
                    Ok(n) => Ok(Some(Figure::Whole(n))),
                    Err(_) => text
                        .parse::<f64>()
                        .map_err(|_| BadFigure::NotANumber)
                        .and_then(Figure::of_float)
                        .map(Some),
                }
            }
        }
    }

    /// A moment; `Ok(None)` where not said, `Err` where it is not readable.
    pub(super) fn time(
        &self,
        field: usize,
        format: Option<&TimeFormat>,
    ) -> Result<Option<WallTime>, ()> {
        let number = match self.fields[field].value {
            Scalar::Unsaid => return Ok(None),
            Scalar::Unsigned(n) => i64::try_from(n).map_err(|_| ())?,
            Scalar::Signed(n) => n,
            Scalar::Float(n) => whole(n).ok_or(())?,
            Scalar::Flag(_) | Scalar::Nested => return Err(()),
            Scalar::Text(_) | Scalar::Copied(..) => {
                let text = self.text(field).unwrap_or_default();
                let time = match format {
                    Some(format) => format.read(&text),
                    None => time_of::read_text(&text),
                };
                return time.map(Some).ok_or(());
            }
        };
        Ok(Some(match format {
            Some(TimeFormat::UnixS) => WallTime::from_s(number),
            Some(TimeFormat::UnixMs) => WallTime::from_ms(number),
            _ => time_of::by_size(number),
        }))
    }

    /// A flag: true or false, as such, as text, or as 1 or 0.
    pub(super) fn flag(&self, field: usize) -> Option<bool> {
        match self.fields[field].value {
            Scalar::Flag(flag) => Some(flag),
            Scalar::Unsigned(n) => Some(n != 0),
            Scalar::Text(_) | Scalar::Copied(..) => {
                match self.text(field)?.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" | "yes" => Some(true),
                    "false" | "0" | "no" => Some(false),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A figure that is not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Figure {
    /// A whole number.
    Whole(u64),
    /// One with a fraction.
    Fraction(f64),
}

/// Above this a float no longer tells whole numbers apart, and no figure of a quarter hour lies.
const FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

impl Figure {
    fn of_float(n: f64) -> Result<Self, BadFigure> {
        if n < 0.0 {
            return Err(BadFigure::Negative);
        }
        if n.is_nan() || n > FLOAT_MAX {
            return Err(BadFigure::NotANumber);
        }
        Ok(match whole(n) {
            Some(n) => Self::Whole(n.unsigned_abs()),
            None => Self::Fraction(n),
        })
    }

    /// A count: it must be whole.
    pub(super) fn count(self) -> Result<u64, BadFigure> {
        match self {
            Self::Whole(n) => Ok(n),
            Self::Fraction(_) => Err(BadFigure::NotANumber),
        }
    }

    /// Divided and rounded to whole units, half up.
    pub(super) fn rounded(self, divisor: u64) -> u64 {
        match self {
            Self::Whole(n) => {
                n / divisor + u64::from(n % divisor >= divisor.div_ceil(2).max(1) && divisor > 1)
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "bounded by FLOAT_MAX and not negative"
            )]
            Self::Fraction(n) => (n / divisor as f64).round() as u64,
        }
    }
}

fn whole(n: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded by FLOAT_MAX and without a fraction"
    )]
    (n.abs() <= FLOAT_MAX && n.fract() == 0.0).then_some(n as i64)
}

/// Null and empty mean "not said"; so does a text of blanks, which no id or state is.
fn is_said(text: &str) -> bool {
    match text.as_bytes().first() {
        None => false,
        Some(first) if *first > b' ' && first.is_ascii() => true,
        Some(_) => !text.trim().is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [Target; 1] = [Target { field: 0, rank: 1 }];
    const BETTER: [Target; 1] = [Target { field: 0, rank: 0 }];

    fn figure(value: Scalar<'static>) -> Result<Option<Figure>, BadFigure> {
        let mut slots = Slots::new();
        slots.put(&ID, value);
        slots.figure(0)
    }

    #[test]
    fn the_better_name_wins_in_either_order() {
        for (first, second) in [(ID, BETTER), (BETTER, ID)] {
            let mut slots = Slots::new();
            slots.put_text(&first, if first == BETTER { "better" } else { "other" });
            slots.copy_text(&second, if second == BETTER { "better" } else { "other" });
            assert_eq!(slots.text(0).as_deref(), Some("better"));
            assert!(slots.ids_differ());
        }
    }

    #[test]
    fn an_empty_better_name_leaves_the_other_standing() {
        let mut slots = Slots::new();
        slots.put_text(&BETTER, "  ");
        slots.put_text(&ID, "other");
        assert_eq!(slots.text(0).as_deref(), Some("other"));
    }

    #[test]
    fn figures_are_read_leniently_and_refused_plainly() {
        for (value, expected) in [
            (Scalar::Unsigned(7), Ok(Some(Figure::Whole(7)))),
            (Scalar::Text(" 7 "), Ok(Some(Figure::Whole(7)))),
            (Scalar::Text("7.0"), Ok(Some(Figure::Whole(7)))),
            (Scalar::Float(7.5), Ok(Some(Figure::Fraction(7.5)))),
            (Scalar::Unsaid, Ok(None)),
            (Scalar::Signed(-1), Err(BadFigure::Negative)),
            (Scalar::Text("-0.5"), Err(BadFigure::Negative)),
            (Scalar::Text("NaN"), Err(BadFigure::NotANumber)),
            (Scalar::Text("inf"), Err(BadFigure::NotANumber)),
            (Scalar::Text("1,234"), Err(BadFigure::NotANumber)),
            (Scalar::Flag(true), Err(BadFigure::NotANumber)),
            (Scalar::Nested, Err(BadFigure::NotANumber)),
        ] {
            assert_eq!(figure(value), expected, "{value:?}");
        }
    }

    #[test]
    fn milliseconds_round_to_the_nearest_second() {
        for (ms, s) in [(0, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2)] {
            assert_eq!(Figure::Whole(ms).rounded(1000), s, "{ms}");
        }
        assert_eq!(Figure::Whole(7).rounded(1), 7);
        assert_eq!(Figure::Fraction(7.5).rounded(1), 8);
        assert_eq!(Figure::Fraction(1_499.9).rounded(1000), 1);
    }
}
