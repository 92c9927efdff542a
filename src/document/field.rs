//! What a document's own fields hold, beside its text: the values that are kept and counted.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Fields of a document that are kept, at most.
pub const MOST_FIELDS: usize = 16;
/// Bytes of a text that is kept as a value, at most.
pub const MOST_VALUE_BYTES: usize = 256;
/// Values of an array that are kept, at most: the first ones.
pub const MOST_VALUES: usize = 16;

/// The kept fields of a document: name → value, in the configured order. Names are shared between documents.
///
/// JSON has them as an object; a time stands there as RFC 3339.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(Arc<str>, Value)>);

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(Arc<str>),
    /// A number, finite.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A time, in ms since 1970.
    Time(i64),
    /// Several values: strings, numbers, booleans or times.
    Array(Arc<[Value]>),
}

impl Fields {
    /// True if nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a field that is not there.
    pub fn push(&mut self, name: Arc<str>, value: Value) {
        self.0.push((name, value));
    }

    /// The value of the field `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl Value {
    /// Bytes of it, about.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) | Self::Boolean(_) | Self::Time(_) => size_of::<f64>(),
            Self::Array(values) => values.iter().map(Self::size).sum(),
        }
    }

    /// The values of an array, or the value itself.
    pub fn each(&self) -> &[Value] {
        match self {
            Self::Array(values) => values,
            single => std::slice::from_ref(single),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(truth) => truth.fmt(f),
            Self::Time(ms) => match jiff::Timestamp::from_millisecond(*ms) {
                Ok(time) => time.fmt(f),
                Err(_) => ms.fmt(f),
            },
            Self::Array(values) => values.iter().enumerate().try_for_each(|(at, value)| {
                f.write_str(if at > 0 { ", " } else { "" })?;
                value.fmt(f)
            }),
        }
    }
}

/// A value as it is stored, where the format names no types.
#[derive(Serialize, Deserialize)]
enum Stored {
    Text(Arc<str>),
    Number(f64),
    Boolean(bool),
    Time(i64),
    Array(Arc<[Value]>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return match self {
                Self::Text(text) => serializer.serialize_str(text),
                // JSON has no 5.0 apart from 5, and people write 5.
                Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                    serializer.serialize_i64(*number as i64)
                }
                Self::Number(number) => serializer.serialize_f64(*number),
                Self::Boolean(truth) => serializer.serialize_bool(*truth),
                Self::Time(_) => serializer.collect_str(self),
                Self::Array(values) => serializer.collect_seq(values.iter()),
            };
        }
        let stored = match self.clone() {
            Self::Text(text) => Stored::Text(text),
            Self::Number(number) => Stored::Number(number),
            Self::Boolean(truth) => Stored::Boolean(truth),
            Self::Time(ms) => Stored::Time(ms),
            Self::Array(values) => Stored::Array(values),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Plain);
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Text(text) => Self::Text(text),
            Stored::Number(number) => Self::Number(number),
            Stored::Boolean(truth) => Self::Boolean(truth),
            Stored::Time(ms) => Self::Time(ms),
            Stored::Array(values) => Self::Array(values),
        })
    }
}

/// Reads a value out of JSON; a time comes back as the text that it is there.
struct Plain;

impl<'de> Visitor<'de> for Plain {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, a boolean or an array of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Boolean(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(value) = values.next_element()? {
            found.push(value);
        }
        Ok(Value::Array(found.into()))
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;

        impl<'de> Visitor<'de> for Named {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(0).min(MOST_FIELDS));
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_stored_with_their_types_and_written_as_json() {
        let mut fields = Fields::default();
        fields.push("product".into(), Value::Text("phone".into()));
        fields.push("rating".into(), Value::Number(4.0));
        fields.push("price".into(), Value::Number(0.5));
        fields.push("new".into(), Value::Boolean(true));
        fields.push("sold".into(), Value::Time(1_483_610_400_000));
        fields.push("tags".into(), Value::Array([Value::Text("a".into()), Value::Number(2.0)].into()));
        let stored = postcard::to_stdvec(&fields).unwrap();
        assert_eq!(postcard::from_bytes::<Fields>(&stored).unwrap(), fields);
        let json = serde_json::to_value(&fields).unwrap();
        let expected = serde_json::json!({
            "product": "phone", "rating": 4, "price": 0.5, "new": true, "sold": "2017-01-05T10:00:00Z",
            "tags": ["a", 2],
        });
        assert_eq!(json, expected);
        let read: Fields = serde_json::from_value(json).unwrap();
        assert_eq!(read.get("sold"), Some(&Value::Text("2017-01-05T10:00:00Z".into())));
        assert_eq!(read.get("tags"), fields.get("tags"));
    }
}
