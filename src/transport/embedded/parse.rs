//! One line in, one document or one rejection out.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::time;
use crate::checkpoint::Position;
use crate::document::{Document, MOST_ID_BYTES, Reason, Rejection};

/// How many bytes of a line that is too long are kept with its rejection.
pub(super) const KEPT_BYTES: usize = 4096;

/// What stands in a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object.
    #[default]
    Json,
    /// A text and nothing else.
    Lines,
}

/// The names of the fields of a JSON object; an empty name is never looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// A string or a number that is unique in the stream.
    pub id: String,
    /// The text; the only field that must be there.
    pub text: String,
    /// A title, put before the text unless the text starts with it.
    pub title: String,
    /// RFC 3339, a date, or a number of seconds or ms since 1970.
    pub timestamp: String,
    /// An array of numbers.
    pub embedding: String,
    /// A string, or an array of strings of which the first is taken.
    pub labels: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            id: "id".into(),
            text: "text".into(),
            title: "title".into(),
            timestamp: "timestamp".into(),
            embedding: "embedding".into(),
            labels: "label".into(),
        }
    }
}

/// Turns lines into documents.
#[derive(Debug, Clone)]
pub struct Parser {
    /// What stands in a line.
    pub format: Format,
    /// The names of a JSON object's fields.
    pub fields: Fields,
    /// The longest line that is read, in bytes.
    pub max_document_bytes: u64,
    /// How many numbers an embedding must have; `None` takes any.
    pub dimension: Option<usize>,
}

impl Parser {
    /// Reads one line without its line end.
    ///
    /// A JSON field that is `null` counts as missing, unless it is the text. Fields with other names are ignored;
    /// of two fields with the same name the last counts. The bare tokens `NaN`, `Infinity` and `-Infinity`, which
    /// are not JSON but which Python's `json` writes, are read as `null`. Where the input has no id, one is made
    /// from the position (`news.jsonl@5120`), so that it is the same each time the file is read.
    ///
    /// # Errors
    /// A [`Rejection`] with the reason and the line's bytes (the first 4 KiB of them if the line is too long).
    pub fn parse(&self, line: &[u8], position: Position) -> Result<Document, Rejection> {
        let named = made_id(&position);
        self.parse_as(line, position, named)
    }

    /// Likewise, with `named` for an id where the input has none.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_as(&self, line: &[u8], position: Position, named: Arc<str>) -> Result<Document, Rejection> {
        if line.len() as u64 > self.max_document_bytes {
            return Err(self.too_long(line, line.len() as u64, position));
        }
        self.read(line, &position, named).map_err(|reason| Rejection {
            position,
            reason,
            bytes: line.to_vec(),
        })
    }

    /// The rejection of a line of `bytes` bytes of which only the start is known.
    pub(super) fn too_long(&self, start: &[u8], bytes: u64, position: Position) -> Rejection {
        let reason = Reason::TooLong { bytes, max: self.max_document_bytes };
        Rejection { position, reason, bytes: start[..start.len().min(KEPT_BYTES)].to_vec() }
    }

    fn read(&self, line: &[u8], position: &Position, named: Arc<str>) -> Result<Document, Reason> {
        let line = std::str::from_utf8(line).map_err(|e| Reason::NotUtf8 { at: e.valid_up_to() })?;
        let document = match self.format {
            Format::Json => self.read_json(line, position, named)?,
            Format::Lines if line.trim().is_empty() => return Err(Reason::EmptyText),
            Format::Lines => Document {
                id: named,
                text: line.trim().to_owned(),
                timestamp_ms: None,
                label: None,
                embedding: None,
                position: position.clone(),
            },
        };
        match document.id.len() {
            bytes if bytes > MOST_ID_BYTES => Err(Reason::LongId { bytes }),
            _ => Ok(document),
        }
    }

    fn read_json(&self, line: &str, position: &Position, named: Arc<str>) -> Result<Document, Reason> {
        let not_json = |e: serde_json::Error| Reason::NotJson { detail: e.to_string() };
        let cleaned;
        let object: Object<'_> = match serde_json::from_str(line) {
            Ok(object) => object,
            Err(first) => {
                cleaned = nan_as_null(line).ok_or_else(|| not_json(first))?;
                serde_json::from_str(&cleaned).map_err(not_json)?
            }
        };
        let field = |name: &str| match lookup(&object, name).map(Value::of) {
            Some(value) if !name.is_empty() && !matches!(value, Value::Null) => Some(value),
            _ => None,
        };
        let Fields { id, text, title, timestamp, embedding, labels } = &self.fields;
        let body = match lookup(&object, text).map(Value::of) {
            None => return Err(Reason::NoText { field: text.clone() }),
            Some(Value::Text(body)) if body.trim().is_empty() => return Err(Reason::EmptyText),
            Some(Value::Text(body)) => body,
            Some(other) => return Err(other.instead_of("a string", text)),
        };
        let heading = field(title).map(|value| value.into_text("a string", title)).transpose()?;
        Ok(Document {
            id: match field(id) {
                Some(Value::Number(number)) => Arc::from(number),
                Some(Value::Text(name)) if !name.is_empty() => Arc::from(name),
                Some(Value::Text(_)) | None => named,
                Some(other) => return Err(other.instead_of("a string or a number", id)),
            },
            text: titled(heading.as_deref().unwrap_or_default(), &body),
            timestamp_ms: field(timestamp).map(|value| value.into_ms(timestamp)).transpose()?,
            label: field(labels).map(|value| value.into_label(labels)).transpose()?.flatten(),
            embedding: field(embedding)
                .map(|value| value.into_unit(self.dimension, embedding))
                .transpose()?,
            position: position.clone(),
        })
    }
}

/// A JSON object's fields, each still as JSON: few are looked for, which takes less time than to sort them in.
struct Object<'a>(Vec<(Name<'a>, &'a RawValue)>);

#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Object<'a> {
    /// The field called `name`; the last of several.
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(Name(found), _)| found == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// The field called `name`, or, if there is none and the name has dots, the field of a field: `user.bio`.
fn lookup<'a>(object: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    object.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        let outer: Object<'a> = serde_json::from_str(object.get(outer)?.get()).ok()?;
        lookup(&outer, inner)
    })
}

/// A field's value, read as far as the type needs.
enum Value<'a> {
    Null,
    Text(String),
    Number(&'a str),
    Array(&'a str),
    Other(&'static str),
}

impl<'a> Value<'a> {
    fn of(raw: &'a RawValue) -> Self {
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'n') => Self::Null,
            // The scan that found the string's end lets lone surrogates pass, which are no text.
            Some(b'"') => {
                serde_json::from_str(json).map_or(Self::Other("a string with a lone surrogate"), Self::Text)
            }
            Some(b'[') => Self::Array(json),
            Some(b'{') => Self::Other("an object"),
            Some(b't' | b'f') => Self::Other("a boolean"),
            _ => Self::Number(json),
        }
    }

    fn instead_of(&self, expected: &'static str, field: &str) -> Reason {
        let found = match self {
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Array(_) => "an array",
            Self::Other(found) => found,
        };
        Reason::WrongType { field: field.to_owned(), found, expected }
    }

    fn into_text(self, expected: &'static str, field: &str) -> Result<String, Reason> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.instead_of(expected, field)),
        }
    }

    fn into_ms(self, field: &str) -> Result<i64, Reason> {
        let expected = "an RFC 3339 time, a date, or seconds or ms since 1970";
        let (ms, found) = match &self {
            Self::Text(text) => (time::from_text(text), "a string that is no time"),
            Self::Number(number) => {
                (number.parse().ok().and_then(time::from_number), "a number beyond the year 9999")
            }
            other => return Err(other.instead_of(expected, field)),
        };
        ms.ok_or_else(|| Reason::WrongType { field: field.to_owned(), found, expected })
    }

    /// The first label; `None` if the array is empty.
    fn into_label(self, field: &str) -> Result<Option<String>, Reason> {
        let expected = "a string or an array of strings";
        match self {
            Self::Text(label) => Ok(Some(label)),
            Self::Number(number) => Ok(Some(number.to_owned())),
            Self::Array(json) => match elements(json).first() {
                Some(first) => Value::of(first).into_text(expected, field).map(Some),
                None => Ok(None),
            },
            other => Err(other.instead_of(expected, field)),
        }
    }

    /// The embedding, scaled to length 1; the length is summed in f64, so no f32 overflows it.
    fn into_unit(self, dimension: Option<usize>, field: &str) -> Result<Vec<f32>, Reason> {
        let Self::Array(json) = self else {
            return Err(self.instead_of("an array of numbers", field));
        };
        let elements = elements(json);
        if let Some(expected) = dimension.filter(|expected| *expected != elements.len()) {
            return Err(Reason::EmbeddingLength { found: elements.len(), expected });
        }
        let unusable = |detail: String| Reason::EmbeddingValue { detail };
        let mut numbers = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            match Value::of(element) {
                Value::Null => return Err(unusable(format!("number {index} is null or NaN"))),
                Value::Number(number) => match number.parse::<f32>() {
                    Ok(finite) if finite.is_finite() => numbers.push(finite),
                    _ => return Err(unusable(format!("number {index} is {number}, too large for 32 bits"))),
                },
                other => return Err(other.instead_of("a number", &format!("{field}[{index}]"))),
            }
        }
        let length = numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            return Err(unusable("all its numbers are 0".into()));
        }
        Ok(numbers.into_iter().map(|x| (f64::from(x) / length) as f32).collect())
    }
}

/// The elements of an array that the parser has already accepted.
fn elements(json: &str) -> Vec<&RawValue> {
    serde_json::from_str(json).unwrap_or_default()
}

/// `title`, a full stop where it has no end, and `text`; `text` alone if it starts with the title already.
fn titled(title: &str, text: &str) -> String {
    let (title, text) = (title.trim(), text.trim());
    if text.starts_with(title) {
        return text.to_owned();
    }
    let stop = if title.ends_with(['.', '!', '?', '…', ':', '。', '！', '？']) { "" } else { "." };
    format!("{title}{stop} {text}")
}

fn made_id(position: &Position) -> Arc<str> {
    let partition = Path::new(position.partition.as_str());
    let name =
        partition.file_name().map_or_else(|| partition.to_string_lossy(), |name| name.to_string_lossy());
    Arc::from(format!("{name}@{}", position.offset))
}

/// `line` with `null` in the place of each bare `NaN`, `Infinity` and `-Infinity`; `None` if it has none of them.
fn nan_as_null(line: &str) -> Option<String> {
    let mut cleaned = String::with_capacity(line.len());
    let (mut in_string, mut escaped, mut found) = (false, false, false);
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let token = ["NaN", "Infinity", "-Infinity"].into_iter().find(|token| rest.starts_with(token));
        if let Some(token) = token.filter(|_| !in_string) {
            cleaned.push_str("null");
            rest = &rest[token.len()..];
            found = true;
            continue;
        }
        in_string ^= next == '"' && !escaped;
        escaped = in_string && next == '\\' && !escaped;
        cleaned.push(next);
        rest = &rest[next.len_utf8()..];
    }
    found.then_some(cleaned)
}

#[cfg(test)]
mod tests;
