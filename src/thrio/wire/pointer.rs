//! Walks down a JSON pointer to the rows of an answer.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::container::{ContainerSeed, ignore_scalars};
use super::rows::{Parse, RowSink};

/// Walks down a JSON pointer to the rows.
pub(super) struct PointerSeed<'a, 'p, 'de, S> {
    pub(super) segments: &'a [String],
    pub(super) path: &'a str,
    pub(super) parse: &'a mut Parse<'p, 'de, S>,
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
