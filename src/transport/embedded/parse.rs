//! One line in, one document or one rejection out.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::fields::Fields;
use super::{retry, time};
use crate::checkpoint::Position;
use crate::document::{
    self, Document, LeftOut, MOST_ID_BYTES, MOST_VALUE_BYTES, MOST_VALUES, Original, Reason, Rejection,
};
use crate::record::dead_letter::DeadLetterRecord;

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
    /// A notation of time that is tried before all others, as `strptime` has them; none if empty.
    pub time_format: String,
}

impl Parser {
    /// Reads one line without its line end.
    ///
    /// A JSON field that is `null` counts as missing, and an optional one that holds nothing usable is left out: the
    /// document says so. A title alone is a document if the text is empty. Fields with other names are ignored;
    /// of two fields with the same name the last counts. The bare tokens `NaN`, `Infinity` and `-Infinity`, which
    /// are not JSON but which Python's `json` writes, are read as `null`. Where the input has no id, one is made
    /// from the position (`news.jsonl@5120`), so that it is the same each time the file is read. A line that `topicd
    /// retry` wrote is what it holds.
    ///
    /// # Errors
    /// A [`Rejection`] with the reason and the line's bytes (the first 4 KiB of them if the line is too long).
    pub fn parse(&self, line: &[u8], position: Position) -> Result<Document, Rejection> {
        if let Some(letter) = retry::letter(line) {
            return self.parse_again(letter, position);
        }
        let named = made_id(&position);
        self.parse_as(line, position, named)
    }

    /// A dead letter that is tried again: what it holds, as if it were read where it stood first.
    fn parse_again(&self, letter: DeadLetterRecord, here: Position) -> Result<Document, Rejection> {
        let refusals = letter.tries;
        let Ok(bytes) = letter.original() else {
            let reason = Reason::NotJson { detail: "its `original_base64` is no base64".to_owned() };
            return Err(Rejection {
                position: here,
                reason,
                original: Original { bytes: Vec::new(), refusals },
            });
        };
        let named = made_id(&letter.position);
        match self.parse_as(&bytes, letter.position, named) {
            Ok(mut document) => {
                document.original.refusals = refusals;
                Ok(document)
            }
            Err(mut rejection) => {
                rejection.original.refusals = refusals;
                Err(rejection)
            }
        }
    }

    fn parse_as(&self, line: &[u8], position: Position, named: Arc<str>) -> Result<Document, Rejection> {
        self.parse_beside(line, &[], position, named)
    }

    /// Likewise, with `named` for an id where the input has none, and with further fields that stand `beside` the line; of
    /// two with the same name, that of the line counts.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_beside(
        &self,
        line: &[u8],
        beside: &[(String, Box<RawValue>)],
        position: Position,
        named: Arc<str>,
    ) -> Result<Document, Rejection> {
        if line.len() as u64 > self.max_document_bytes {
            return Err(self.too_long(line, line.len() as u64, position));
        }
        let original = || Original { bytes: line.to_vec(), refusals: 0 };
        match self.read(line, beside, &position, named) {
            Ok(document) => Ok(Document { original: original(), ..document }),
            Err(reason) => Err(Rejection { position, reason, original: original() }),
        }
    }

    /// The rejection of a line of `bytes` bytes of which only the start is known.
    pub(super) fn too_long(&self, start: &[u8], bytes: u64, position: Position) -> Rejection {
        let reason = Reason::TooLong { bytes, max: self.max_document_bytes };
        let bytes = start[..start.len().min(KEPT_BYTES)].to_vec();
        Rejection { position, reason, original: Original { bytes, refusals: 0 } }
    }

    fn read(
        &self,
        line: &[u8],
        beside: &[(String, Box<RawValue>)],
        position: &Position,
        named: Arc<str>,
    ) -> Result<Document, Reason> {
        let line = std::str::from_utf8(line).map_err(|e| Reason::NotUtf8 { at: e.valid_up_to() })?;
        let not_json = |e: serde_json::Error| Reason::NotJson { detail: e.to_string() };
        let cleaned;
        let (mut object, body): (Object<'_>, _) = match self.format {
            Format::Lines => (Object(Vec::new()), Some(line.to_owned())),
            Format::Json => match serde_json::from_str(line) {
                Ok(object) => (object, None),
                Err(first) => {
                    cleaned = nan_as_null(line).ok_or_else(|| not_json(first))?;
                    (serde_json::from_str(&cleaned).map_err(not_json)?, None)
                }
            },
        };
        object.0.splice(0..0, beside.iter().map(|(name, value)| (Name(Cow::Borrowed(name)), &**value)));
        let document = self.compose(&object, body, position, named)?;
        match document.id.len() {
            bytes if bytes > MOST_ID_BYTES => Err(Reason::LongId { bytes }),
            _ => Ok(document),
        }
    }

    /// The document of an object's fields; its text is `body`, if given.
    fn compose(
        &self,
        object: &Object<'_>,
        body: Option<String>,
        position: &Position,
        named: Arc<str>,
    ) -> Result<Document, Reason> {
        let field = |name: &str| match lookup(object, name).map(Value::of) {
            Some(value) if !name.is_empty() && !matches!(value, Value::Null) => Some(value),
            _ => None,
        };
        let Fields { id, text, title, timestamp, embedding, labels, keep } = &self.fields;
        let mut left_out = Vec::new();
        let heading = usable(field(title).map(|value| value.into_text("a string", title)), &mut left_out);
        let heading = heading.unwrap_or_default();
        let body = match body.map(Value::Text).or_else(|| lookup(object, text).map(Value::of)) {
            None => return Err(Reason::NoText { field: text.clone() }),
            Some(Value::Text(body)) => body,
            Some(Value::Null) if !heading.trim().is_empty() => String::new(),
            Some(other) => return Err(other.instead_of("a string", text).into()),
        };
        if heading.trim().is_empty() && body.trim().is_empty() {
            return Err(Reason::EmptyText);
        }
        let own_id = usable(field(id).map(|value| value.into_id(id)), &mut left_out).flatten();
        let time = field(timestamp).map(|value| value.into_ms(&self.time_format, timestamp));
        let label = field(labels).map(|value| value.into_label(labels));
        let mut fields = document::Fields::default();
        for name in keep {
            let value = usable(field(name).map(|value| value.into_kept(name)), &mut left_out);
            value.into_iter().for_each(|value| fields.push(Arc::clone(name), value));
        }
        Ok(Document {
            id: own_id.unwrap_or(named),
            text: titled(&heading, &body),
            timestamp_ms: usable(time, &mut left_out).flatten(),
            label: usable(label, &mut left_out).flatten(),
            embedding: field(embedding)
                .map(|value| value.into_unit(self.dimension, embedding))
                .transpose()?,
            fields,
            left_out,
            position: position.clone(),
            original: Original::default(),
        })
    }
}

/// The value of an optional field; one that is not usable goes to `left_out`.
fn usable<T>(value: Option<Result<T, LeftOut>>, left_out: &mut Vec<LeftOut>) -> Option<T> {
    value?.map_err(|fault| left_out.push(fault)).ok()
}

impl From<LeftOut> for Reason {
    fn from(LeftOut { field, found, expected }: LeftOut) -> Self {
        Self::WrongType { field, found, expected }
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
    Object(&'a str),
    Boolean(bool),
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
            Some(b'{') => Self::Object(json),
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            _ => Self::Number(json),
        }
    }

    fn instead_of(&self, expected: &'static str, field: &str) -> LeftOut {
        let found = match self {
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
            Self::Boolean(_) => "a boolean",
            Self::Other(found) => found,
        };
        LeftOut { field: field.to_owned(), found, expected }
    }

    fn into_text(self, expected: &'static str, field: &str) -> Result<String, LeftOut> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.instead_of(expected, field)),
        }
    }

    /// `None` if it is empty.
    fn into_id(self, field: &str) -> Result<Option<Arc<str>>, LeftOut> {
        match self {
            Self::Number(number) => Ok(Some(Arc::from(number))),
            Self::Text(name) => Ok(Some(name).filter(|name| !name.is_empty()).map(Arc::from)),
            other => Err(other.instead_of("a string or a number", field)),
        }
    }

    /// `None` if it is empty.
    fn into_ms(self, format: &str, field: &str) -> Result<Option<i64>, LeftOut> {
        let expected =
            "a time; if all have this notation, set `source.time_format` to it, such as \"%d.%m.%Y\"";
        let (ms, found) = match &self {
            Self::Text(text) if text.trim().is_empty() => return Ok(None),
            Self::Text(text) => (time::read(text, format), "a string that is no time"),
            Self::Number(number) => (time::read(number, format), "a number that is no time"),
            Self::Object(json) => (dated(json), "an object that is no time"),
            other => return Err(other.instead_of(expected, field)),
        };
        ms.map(Some).ok_or_else(|| LeftOut { field: field.to_owned(), found, expected })
    }

    /// The first label; `None` if the array is empty.
    fn into_label(self, field: &str) -> Result<Option<String>, LeftOut> {
        let expected = "a string or an array of strings";
        match self {
            Self::Text(label) => Ok(Some(label)),
            Self::Number(number) => Ok(Some(number.to_owned())),
            Self::Array(json) => match elements(json).first().map(|first| Value::of(first)) {
                Some(Self::Text(label)) => Ok(Some(label)),
                Some(Self::Number(number)) => Ok(Some(number.to_owned())),
                Some(other) => Err(other.instead_of(expected, field)),
                None => Ok(None),
            },
            other => Err(other.instead_of(expected, field)),
        }
    }

    /// A value to keep. Strings that begin with a year and a hyphen are times, if they can be read as such.
    fn into_kept(self, field: &str) -> Result<document::Value, LeftOut> {
        let expected = "a string of at most 256 bytes, a finite number, a boolean or an array of them";
        let long = || LeftOut { field: field.to_owned(), found: "a longer string", expected };
        Ok(match self {
            Self::Text(text) if text.len() > MOST_VALUE_BYTES => return Err(long()),
            Self::Text(text) => match begins_with_a_year(&text).then(|| time::read(&text, "")).flatten() {
                Some(ms) => document::Value::Time(ms),
                None => document::Value::Text(text.into()),
            },
            Self::Boolean(truth) => document::Value::Boolean(truth),
            Self::Number(number) => match number.parse::<f64>() {
                Ok(finite) if finite.is_finite() => document::Value::Number(finite),
                _ => return Err(self.instead_of(expected, field)),
            },
            Self::Array(json) => {
                let elements = elements(json).into_iter().take(MOST_VALUES).map(Value::of);
                let single = elements.filter(|element| !matches!(element, Self::Null | Self::Array(_)));
                let values = single.map(|element| element.into_kept(field));
                document::Value::Array(values.collect::<Result<Vec<_>, _>>()?.into())
            }
            Self::Object(json) => match dated(json) {
                Some(ms) => document::Value::Time(ms),
                None => return Err(self.instead_of(expected, field)),
            },
            other => return Err(other.instead_of(expected, field)),
        })
    }

    /// The embedding, scaled to length 1; the length is summed in f64, so no f32 overflows it.
    fn into_unit(self, dimension: Option<usize>, field: &str) -> Result<Vec<f32>, Reason> {
        let Self::Array(json) = self else {
            return Err(self.instead_of("an array of numbers", field).into());
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
                other => return Err(other.instead_of("a number", &format!("{field}[{index}]")).into()),
            }
        }
        let length = numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            return Err(unusable("all its numbers are 0".into()));
        }
        Ok(numbers.into_iter().map(|x| (f64::from(x) / length) as f32).collect())
    }
}

fn begins_with_a_year(text: &str) -> bool {
    text.len() >= "2021-05".len()
        && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && text.as_bytes()[4] == b'-'
}

/// The elements of an array that the parser has already accepted.
fn elements(json: &str) -> Vec<&RawValue> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The time in the extended JSON of `MongoDB`: `{"$date": …}` with a string or ms since 1970, these in `{"$numberLong": "…"}` too.
fn dated(json: &str) -> Option<i64> {
    let object: Object<'_> = serde_json::from_str(json).ok()?;
    match Value::of(object.get("$date")?) {
        Value::Text(text) => time::read(&text, ""),
        Value::Number(ms) => ms.parse().ok(),
        Value::Object(json) => {
            let object: Object<'_> = serde_json::from_str(json).ok()?;
            Value::of(object.get("$numberLong")?).into_text("", "").ok()?.parse().ok()
        }
        _ => None,
    }
}

/// `title`, a full stop where it has no end, and `text`; `text` alone if it starts with the title already.
fn titled(title: &str, text: &str) -> String {
    let (title, text) = (title.trim(), text.trim());
    if text.starts_with(title) {
        return text.to_owned();
    }
    if text.is_empty() {
        return title.to_owned();
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
