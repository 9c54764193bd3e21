//! Finds the rows of an answer, whatever they are wrapped in.
//!
//! An object is searched for `objects | data | rows | results | items`; where none is there, it is
//! a map of id to row. What looked like such a map and then turns out to be an envelope's other
//! members is forgotten again, so that the order of members does not matter.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::names::normalise;
use super::row::RowSeed;
use super::rows::{Parse, RowSink};
use super::slots::{Scalar, Slots};

/// The members that hold the rows of an envelope, normalised.
const ENVELOPES: [&str; 5] = ["objects", "data", "rows", "results", "items"];
/// How deep envelopes may nest, for example `{"data": {"objects": []}}`.
pub(super) const ENVELOPE_DEPTH_MAX: usize = 3;

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
pub(super) use ignore_scalars;

/// What holds rows: an array, an envelope, or a map of id to row.
pub(super) struct ContainerSeed<'a, 'p, 'de, S> {
    pub(super) path: String,
    pub(super) depth: usize,
    pub(super) parse: &'a mut Parse<'p, 'de, S>,
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
