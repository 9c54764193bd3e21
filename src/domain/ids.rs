//! Names and positions, each a type of its own so that none can stand for another.
//!
//! Ids are opaque: they are compared and carried whole, never cut, parsed or compared ignoring case.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// The longest agent or queue id, in characters, that a neutral table can hold.
pub const ID_CHARS_MAX: usize = 128;
/// The longest state text, in characters, that a neutral table can hold.
pub const STATE_CHARS_MAX: usize = 500;
/// The longest name of a source, a destination or a box, in characters.
pub const NAME_CHARS_MAX: usize = 32;

/// Why a text cannot be an id or a name. The text itself is kept, cut to what a log line bears.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing, or only blanks.
    #[error("{what} is empty")]
    Empty {
        /// The kind of id, for example `agent id`.
        what: &'static str,
    },
    /// More characters than the neutral tables hold.
    #[error("{what} has {chars} characters, at most {max} are kept: \"{start}…\"")]
    TooLong {
        /// The kind of id.
        what: &'static str,
        /// How many characters it has.
        chars: usize,
        /// How many it may have.
        max: usize,
        /// Its first characters.
        start: String,
    },
    /// A name with a character outside `[a-z0-9-]`.
    #[error(
        "{what} \"{text}\" may only hold lower-case letters, digits and '-' (at most {max} characters)"
    )]
    BadName {
        /// The kind of name.
        what: &'static str,
        /// What was given.
        text: String,
        /// How many characters it may have.
        max: usize,
    },
}

fn opaque(what: &'static str, text: &str, max: usize) -> Result<Arc<str>, IdError> {
    if text.trim().is_empty() {
        return Err(IdError::Empty { what });
    }
    // Bytes bound characters from above, so the count is only taken where it can matter.
    if text.len() > max {
        let chars = text.chars().count();
        if chars > max {
            let start = text.chars().take(24).collect();
            return Err(IdError::TooLong {
                what,
                chars,
                max,
                start,
            });
        }
    }
    Ok(Arc::from(text))
}

fn name(what: &'static str, text: &str, max: usize) -> Result<Arc<str>, IdError> {
    let fits = !text.is_empty()
        && text.len() <= max
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        Ok(Arc::from(text))
    } else {
        Err(IdError::BadName {
            what,
            text: text.chars().take(40).collect(),
            max,
        })
    }
}

macro_rules! text_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $type(Arc<str>);

        // Derived by way of `String`, this would copy the text: a drain writes millions of them.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl $type {
            /// Checks the text and takes it over unchanged.
            pub fn new(text: &str) -> Result<Self, IdError> {
                $check($what, text, $max).map(Self)
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_type!(
    /// An agent of the contact centre, by Thrio's id (or, provisionally, by username).
    AgentId, "agent id", opaque, ID_CHARS_MAX
);
text_type!(
    /// A queue of the contact centre, by Thrio's id. The id `(all)` is a source's total.
    QueueId, "queue id", opaque, ID_CHARS_MAX
);
text_type!(
    /// An agent state exactly as the source wrote it.
    StateText, "state text", opaque, STATE_CHARS_MAX
);
text_type!(
    /// One Thrio tenant connection, by the name in the configuration.
    SourceName, "source name", name, NAME_CHARS_MAX
);
text_type!(
    /// One destination, by the name in the configuration.
    DestinationName, "destination name", name, NAME_CHARS_MAX
);
text_type!(
    /// The machine that the program runs on.
    BoxId, "box id", opaque, ID_CHARS_MAX
);

impl QueueId {
    /// The id under which a source's total is kept where its rows name no queue.
    pub fn all() -> Self {
        Self(Arc::from("(all)"))
    }
}

impl StateText {
    /// The text of a span that nobody saw (origin `gap`).
    pub fn unknown() -> Self {
        Self(Arc::from("(unknown)"))
    }
}

/// One kind of data of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// Agent states.
    Realtime,
    /// 15-minute contact volume.
    Historical,
    /// Queues and agents.
    Configuration,
}

impl Feed {
    /// Every feed, in the order in which reports list them.
    pub const ALL: [Self; 3] = [Self::Realtime, Self::Historical, Self::Configuration];

    /// The name in tables, metrics and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Historical => "historical",
            Self::Configuration => "configuration",
        }
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place of a record in the journal: 1 is the first; 0 means "before the first".
///
/// Sequence numbers are contiguous and never reused within a [`StoreId`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RecordSeq(u64);

impl RecordSeq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The position with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position `count` further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// How many records lie after `earlier`, up to and including this one; 0 if none.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for RecordSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A closed range of positions, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeqRange {
    /// The first position.
    pub first: RecordSeq,
    /// The last position, not before the first.
    pub last: RecordSeq,
}

impl SeqRange {
    /// The range of both ends included.
    ///
    /// # Panics
    /// Where `last` lies before `first`: an empty range is a programmer's error.
    pub fn new(first: RecordSeq, last: RecordSeq) -> Self {
        assert!(first <= last, "empty range of seqs {first}..={last}");
        Self { first, last }
    }

    /// How many positions it holds.
    pub const fn count(self) -> u64 {
        self.last.0 - self.first.0 + 1
    }

    /// Whether the position lies in it.
    pub const fn contains(self, seq: RecordSeq) -> bool {
        self.first.0 <= seq.0 && seq.0 <= self.last.0
    }
}

/// The identity of one journal: a new store, a restore and a salvage each take a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreId(u128);

impl StoreId {
    /// The identity with these 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for StoreId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.len() != 32 {
            return Err(format!("store id \"{text}\" is not 32 hexadecimal digits"));
        }
        u128::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| format!("store id \"{text}\" is not 32 hexadecimal digits"))
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_whole_and_bounded() {
        assert_eq!(AgentId::new(" Ä-1 ").unwrap().as_str(), " Ä-1 ");
        assert!(matches!(AgentId::new("  "), Err(IdError::Empty { .. })));
        assert!(AgentId::new(&"ä".repeat(ID_CHARS_MAX)).is_ok());
        assert!(matches!(
            AgentId::new(&"ä".repeat(ID_CHARS_MAX + 1)),
            Err(IdError::TooLong { chars: 129, .. })
        ));
    }

    #[test]
    fn a_source_name_is_lower_case_letters_digits_and_dashes() {
        assert!(SourceName::new("north-2").is_ok());
        for bad in ["", "North", "a b", "ä", &"a".repeat(33)] {
            assert!(SourceName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_store_id_survives_its_text_form() {
        let id = StoreId::from_bits(0x1f);
        assert_eq!(StoreId::try_from(id.to_string()), Ok(id));
        assert!(StoreId::try_from("1f".to_owned()).is_err());
    }

    #[test]
    fn a_range_of_seqs_holds_both_ends() {
        let range = SeqRange::new(RecordSeq::new(3), RecordSeq::new(5));
        assert_eq!(range.count(), 3);
        assert!(range.contains(RecordSeq::new(5)) && !range.contains(RecordSeq::new(6)));
    }
}
