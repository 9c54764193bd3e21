//! Finds the rows of an answer, whatever they are wrapped in.
//!
//! An object is searched for `objects | data | rows | results | items`; where none is there, it is
//! a map of id to row. What looked like such a map and then turns out to be an envelope's other
//! members is forgotten again, so that the order of members does not matter.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::names::{Matcher, normalise, unescape};
use super::row::RowSeed;
use super::slots::{Scalar, Slots};
use crate::thrio::api::Envelope;

/// The members that hold the rows of an envelope, normalised.
const ENVELOPES: [&str; 5] = ["objects", "data", "rows", "results", "items"];
/// How deep envelopes may nest, for example `{"data": {"objects": []}}`.
const ENVELOPE_DEPTH_MAX: usize = 3;

/// Scalars in a container's place: they hold no rows.
macro_rules! ignore_scalars {
    () => {
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
    };
}

/// Why a body is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON, or cut.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// JSON, but not of the expected shape.
    #[error("{0}")]
    Shape(String),
    /// More rows than an answer may have.
    #[error("more than {0} rows")]
    TooManyRows(usize),
}

/// How an answer was wrapped, for `probe`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Shape {
    /// Where the rows lay: `array`, `map`, a JSON pointer such as `/objects`, or none found.
    pub envelope: Option<String>,
    /// Rows were keyed by id, in a map.
    pub is_map: bool,
    /// How many rows there were, readable or not.
    pub rows: u64,
    /// How many of them held at least one known field.
    pub rows_with_fields: u64,
    /// The envelope's `total`, where it has one.
    pub total: Option<u64>,
}

/// Takes the rows, one at a time.
pub(super) trait RowSink<'de> {
    /// A row: its fields, and its key where rows are in a map.
    fn row(&mut self, slots: &Slots<'de>, key: Option<&str>);
    /// Something that is no row stood in a row's place.
    fn malformed(&mut self, what: &str);
    /// What came so far were not rows.
    fn forget(&mut self);
    /// Whether the key of a list of rows is their id: else it is an envelope's unknown name, and
    /// taking it for an id would store rows under it.
    fn keys_name_lists(&self) -> bool {
        false
    }
    /// Whether an object without an envelope may be one row itself.
    fn is_single(&self, own: &Slots<'de>) -> bool {
        let _ = own;
        false
    }
}

/// One pass over one body.
pub(super) struct Parse<'p, 'de, S> {
    pub(super) matcher: &'p mut Matcher,
    pub(super) sink: S,
    pub(super) shape: Shape,
    pub(super) slots: Slots<'de>,
}

impl<'p, 'de, S: RowSink<'de>> Parse<'p, 'de, S> {
    pub(super) fn new(matcher: &'p mut Matcher, sink: S) -> Self {
        Self {
            matcher,
            sink,
            shape: Shape::default(),
            slots: Slots::new(),
        }
    }

    /// Reads a whole body. On an error the sink's rows are worthless.
    pub(super) fn run<D: serde_json::de::Read<'de>>(
        &mut self,
        body: &mut serde_json::Deserializer<D>,
        envelope: &Envelope,
    ) -> Result<(), WireError> {
        let is_map = *envelope == Envelope::Map;
        let result = match envelope {
            Envelope::Pointer(pointer) => {
                let segments: Vec<String> = pointer.split('/').skip(1).map(unescape).collect();
                let seed = PointerSeed {
                    segments: &segments,
                    path: pointer,
                    parse: self,
                };
                seed.deserialize(&mut *body)
            }
            Envelope::Auto | Envelope::Map => ContainerSeed {
                path: String::new(),
                depth: if is_map { ENVELOPE_DEPTH_MAX } else { 0 },
                parse: self,
            }
            .deserialize(&mut *body),
        };
        result
            .and_then(|()| body.end())
            .map_err(|error| WireError::Syntax(syntax(&error)))?;
        self.check_shape()
    }

    fn check_shape(&self) -> Result<(), WireError> {
        if self.shape.envelope.is_none() {
            return Err(WireError::Shape("JSON without rows".to_owned()));
        }
        if self.shape.rows > 0 && self.shape.rows_with_fields == 0 {
            let names: Vec<&str> = self.matcher.spellings().map(|(name, _)| name).collect();
            return Err(WireError::Shape(super::excerpt(&format!(
                "no row holds a known field; names seen: {}",
                names.join(", ")
            ))));
        }
        Ok(())
    }

    pub(super) fn take_row(&mut self, key: Option<&str>) {
        self.shape.rows += 1;
        self.shape.rows_with_fields += u64::from(self.slots.said_anything());
        self.sink.row(&self.slots, key);
    }

    pub(super) fn take_malformed(&mut self, what: &str) {
        self.shape.rows += 1;
        self.sink.malformed(what);
    }

    fn forget(&mut self) {
        self.shape.rows = 0;
        self.shape.rows_with_fields = 0;
        self.sink.forget();
    }
}

/// The parser's message without the text it may quote: only what and where.
fn syntax(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Io => "it could not be read",
        serde_json::error::Category::Syntax | serde_json::error::Category::Data => {
            "unexpected text"
        }
    };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

/// Walks down a JSON pointer to the rows.
struct PointerSeed<'a, 'p, 'de, S> {
    segments: &'a [String],
    path: &'a str,
    parse: &'a mut Parse<'p, 'de, S>,
}

impl<'de, S: RowSink<'de>> DeserializeSeed<'de> for PointerSeed<'_, '_, 'de, S> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.segments.is_empty() {
            return ContainerSeed {
                path: self.path.to_owned(),
                depth: 0,
                parse: self.parse,
            }
            .deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink<'de>> Visitor<'de> for PointerSeed<'_, '_, 'de, S> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object on the way to the rows")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(is_next) = map.next_key_seed(KeyIs(&self.segments[0]))? {
            if is_next {
                map.next_value_seed(PointerSeed {
                    segments: &self.segments[1..],
                    path: self.path,
                    parse: &mut *self.parse,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let wanted = self.segments[0].parse::<usize>().ok();
        let mut at = 0;
        loop {
            let more = if Some(at) == wanted {
                seq.next_element_seed(PointerSeed {
                    segments: &self.segments[1..],
                    path: self.path,
                    parse: &mut *self.parse,
                })?
                .is_some()
            } else {
                seq.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            at += 1;
        }
    }
    ignore_scalars!();
}

struct KeyIs<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// What holds rows: an array, an envelope, or a map of id to row.
struct ContainerSeed<'a, 'p, 'de, S> {
    path: String,
    depth: usize,
    parse: &'a mut Parse<'p, 'de, S>,
}

impl<'de, S: RowSink<'de>> DeserializeSeed<'de> for ContainerSeed<'_, '_, 'de, S> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink<'de>> Visitor<'de> for ContainerSeed<'_, '_, 'de, S> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.parse.shape.envelope = Some(named(self.path, "array"));
        self.parse.shape.is_map = false;
        while seq
            .next_element_seed(RowSeed {
                key: None,
                parse: &mut *self.parse,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut object = Object {
            own: Slots::new(),
            members: 0,
            rows: false,
            list: None,
            enveloped: false,
            path: self.path,
            depth: self.depth,
        };
        let mut key = String::new();
        while map.next_key_seed(KeyInto(&mut key))?.is_some() {
            object.members += 1;
            let is_envelope =
                object.depth < ENVELOPE_DEPTH_MAX && ENVELOPES.contains(&normalise(&key).as_str());
            map.next_value_seed(MemberSeed {
                key: &key,
                is_envelope,
                object: &mut object,
                parse: &mut *self.parse,
            })?;
        }
        object.finish(self.parse);
        Ok(())
    }

    ignore_scalars!();
}

fn named(path: String, root: &str) -> String {
    if path.is_empty() {
        root.to_owned()
    } else {
        path
    }
}

/// An object while its members are read.
struct Object<'de> {
    /// Its own members that are known fields: it may be a single row.
    own: Slots<'de>,
    members: usize,
    /// Some member was a row.
    rows: bool,
    /// Where a list under an unknown name lies.
    list: Option<String>,
    enveloped: bool,
    path: String,
    depth: usize,
}

impl<'de> Object<'de> {
    fn finish<S: RowSink<'de>>(self, parse: &mut Parse<'_, 'de, S>) {
        if self.enveloped {
            return;
        }
        if let Some(list) = self.list {
            parse.shape.envelope = Some(list);
        } else if self.rows || self.members == 0 {
            parse.shape.envelope = Some(named(self.path, "map"));
            parse.shape.is_map = true;
        } else if parse.sink.is_single(&self.own) {
            parse.shape.envelope = Some(named(self.path, "single"));
            parse.shape.rows += 1;
            parse.shape.rows_with_fields += 1;
            parse.sink.row(&self.own, None);
        }
    }
}

/// Copies a key, because it is needed while its value is read.
struct KeyInto<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for KeyInto<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyInto<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(key);
        Ok(())
    }
}

/// One member of an object that may be an envelope, a map of id to row, or a row.
struct MemberSeed<'a, 'p, 'de, S> {
    key: &'a str,
    is_envelope: bool,
    object: &'a mut Object<'de>,
    parse: &'a mut Parse<'p, 'de, S>,
}

impl<'de, S: RowSink<'de>> MemberSeed<'_, '_, 'de, S> {
    fn below(&self) -> String {
        let escaped = self.key.replace('~', "~0").replace('/', "~1");
        format!("{}/{escaped}", self.object.path)
    }

    /// The first envelope that holds rows counts.
    fn may_enter(&self) -> bool {
        self.is_envelope && (!self.object.enveloped || self.parse.shape.envelope.is_none())
    }

    /// The rows lie in this member; what came before it were other members.
    fn enter(&mut self) {
        self.object.enveloped = true;
        self.object.rows = false;
        self.parse.forget();
    }

    /// A scalar: a count of the envelope, or a field of a single row.
    fn scalar(self, value: Scalar<'de>) {
        let hit = self.parse.matcher.find(0, usize::MAX, self.key);
        self.object.own.put(self.parse.matcher.targets(hit), value);
        if normalise(self.key) == "total" {
            let total = match value {
                Scalar::Unsigned(n) => Some(n),
                Scalar::Text(text) => text.trim().parse().ok(),
                _ => None,
            };
            self.parse.shape.total = total.or(self.parse.shape.total);
        }
    }
}

impl<'de, S: RowSink<'de>> DeserializeSeed<'de> for MemberSeed<'_, '_, 'de, S> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink<'de>> Visitor<'de> for MemberSeed<'_, '_, 'de, S> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member of an envelope or of a map of id to row")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        if self.may_enter() {
            self.enter();
            let container = ContainerSeed {
                path: self.below(),
                depth: self.object.depth + 1,
                parse: self.parse,
            };
            return container.visit_map(map);
        }
        if self.object.enveloped {
            return drain_map(map);
        }
        self.object.rows = true;
        RowSeed {
            key: Some(self.key),
            parse: self.parse,
        }
        .visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.may_enter() {
            self.enter();
            let container = ContainerSeed {
                path: self.below(),
                depth: self.object.depth + 1,
                parse: self.parse,
            };
            return container.visit_seq(seq);
        }
        if self.object.enveloped {
            return drain_seq(seq);
        }
        self.object.rows = true;
        let is_keyed = self.parse.sink.keys_name_lists();
        if !is_keyed {
            self.object.list = Some(self.below());
        }
        while seq
            .next_element_seed(RowSeed {
                key: is_keyed.then_some(self.key),
                parse: &mut *self.parse,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        // `"objects": null` is an envelope without rows.
        if self.may_enter() {
            self.enter();
            self.parse.shape.envelope = Some(self.below());
        }
        Ok(())
    }
    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<(), E> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.scalar(Scalar::Text(text));
        Ok(())
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let hit = self.parse.matcher.find(0, usize::MAX, self.key);
        let targets = self.parse.matcher.targets(hit);
        self.object.own.copy_text(targets, text);
        if normalise(self.key) == "total" {
            self.parse.shape.total = text.trim().parse().ok().or(self.parse.shape.total);
        }
        Ok(())
    }
    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.scalar(Scalar::Flag(flag));
        Ok(())
    }
    fn visit_u64<E>(self, n: u64) -> Result<(), E> {
        self.scalar(Scalar::Unsigned(n));
        Ok(())
    }
    fn visit_i64<E>(self, n: i64) -> Result<(), E> {
        self.scalar(Scalar::Signed(n));
        Ok(())
    }
    fn visit_f64<E>(self, n: f64) -> Result<(), E> {
        self.scalar(Scalar::Float(n));
        Ok(())
    }
}

pub(super) fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(super) fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads `body` from memory.
pub(super) fn from_text<'de, S: RowSink<'de>>(
    parse: &mut Parse<'_, 'de, S>,
    body: &'de str,
    envelope: &Envelope,
) -> Result<(), WireError> {
    parse.run(&mut serde_json::Deserializer::from_str(body), envelope)
}

/// Reads a body while it streams; nothing of it is borrowed.
pub(super) fn from_reader<'de, S: RowSink<'de>, R: std::io::Read>(
    parse: &mut Parse<'_, 'de, S>,
    body: R,
    envelope: &Envelope,
) -> Result<(), WireError> {
    parse.run(&mut serde_json::Deserializer::from_reader(body), envelope)
}
