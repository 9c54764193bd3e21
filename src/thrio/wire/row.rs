//! One row: its fields, at every level that a JSON pointer reaches.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::container::{drain_map, drain_seq};
use super::names::{Hit, Matcher};
use super::rows::{Parse, RowSink};
use super::slots::{Scalar, Slots};

/// One row.
pub(super) struct RowSeed<'a, 'p, 'de, S> {
    pub(super) key: Option<&'a str>,
    pub(super) parse: &'a mut Parse<'p, 'de, S>,
}

impl<'de, S: RowSink<'de>> DeserializeSeed<'de> for RowSeed<'_, '_, 'de, S> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: RowSink<'de>> RowSeed<'_, '_, 'de, S> {
    fn no_row(self, what: &str) {
        self.parse.take_malformed(what);
    }
}

impl<'de, S: RowSink<'de>> Visitor<'de> for RowSeed<'_, '_, 'de, S> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.parse.slots.reset();
        Fields {
            node: 0,
            matcher: &mut *self.parse.matcher,
            slots: &mut self.parse.slots,
        }
        .read(map)?;
        self.parse.take_row(self.key);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        drain_seq(seq)?;
        self.no_row("an array");
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.no_row("null");
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.no_row("a text");
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.no_row("a flag");
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.no_row("a number");
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.no_row("a number");
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.no_row("a number");
        Ok(())
    }
}

/// The fields at one level of a row.
struct Fields<'a, 'de> {
    node: u16,
    matcher: &'a mut Matcher,
    slots: &'a mut Slots<'de>,
}

impl<'de> Fields<'_, 'de> {
    fn read<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(hit) = map.next_key_seed(FieldKey {
            node: self.node,
            position,
            matcher: &mut *self.matcher,
        })? {
            position += 1;
            if hit.is_nothing() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(FieldValue {
                    hit,
                    matcher: &mut *self.matcher,
                    slots: &mut *self.slots,
                })?;
            }
        }
        Ok(())
    }
}

struct FieldKey<'a> {
    node: u16,
    position: usize,
    matcher: &'a mut Matcher,
}

impl<'de> DeserializeSeed<'de> for FieldKey<'_> {
    type Value = Hit;
    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Hit, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldKey<'_> {
    type Value = Hit;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }
    #[inline]
    fn visit_str<E>(self, key: &str) -> Result<Hit, E> {
        Ok(self.matcher.find(self.node, self.position, key))
    }
}

struct FieldValue<'a, 'de> {
    hit: Hit,
    matcher: &'a mut Matcher,
    slots: &'a mut Slots<'de>,
}

impl<'de> FieldValue<'_, 'de> {
    #[inline]
    fn put(self, value: Scalar<'de>) {
        self.slots.put(self.matcher.targets(self.hit), value);
    }
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_, 'de> {
    type Value = ();
    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's value")
    }
    #[inline]
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.slots.put_text(self.matcher.targets(self.hit), text);
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.slots.copy_text(self.matcher.targets(self.hit), text);
        Ok(())
    }
    fn visit_u64<E>(self, n: u64) -> Result<(), E> {
        self.put(Scalar::Unsigned(n));
        Ok(())
    }
    fn visit_i64<E>(self, n: i64) -> Result<(), E> {
        self.put(Scalar::Signed(n));
        Ok(())
    }
    fn visit_f64<E>(self, n: f64) -> Result<(), E> {
        self.put(Scalar::Float(n));
        Ok(())
    }
    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.put(Scalar::Flag(flag));
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.slots
            .put(self.matcher.targets(self.hit), Scalar::Nested);
        if self.hit.child == 0 {
            return drain_map(map);
        }
        Fields {
            node: self.hit.child,
            matcher: self.matcher,
            slots: self.slots,
        }
        .read(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.slots
            .put(self.matcher.targets(self.hit), Scalar::Nested);
        if self.hit.child == 0 {
            return drain_seq(seq);
        }
        // Elements of an array are reached by pointers such as `/phones/0`.
        let mut at: usize = 0;
        loop {
            let hit = self.matcher.find(self.hit.child, at, &at.to_string());
            let seed = FieldValue {
                hit,
                matcher: &mut *self.matcher,
                slots: &mut *self.slots,
            };
            if seq.next_element_seed(seed)?.is_none() {
                return Ok(());
            }
            at += 1;
        }
    }
}
