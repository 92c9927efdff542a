//! Messages in Protocol Buffers, by the source of their schema: first the place of the message's type in it, then the
//! message.
//!
//! Source: Confluent's wire format ("message indexes": zigzag varints, their number first; a single 0 stands for the
//! first type), and the JSON of Protocol Buffers, with the names of fields as the schema has them.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FileDescriptor, MessageDescriptor, SerializeOptions};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// The name of the schema itself, among those that it imports.
const OWN: &str = "topicd.own.proto";
/// Types that stand in each other, at most.
const MOST_DEPTH: u64 = 100;
/// 64-bit numbers stay numbers, so that a time or an id is one.
const JSON: SerializeOptions =
    SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);

/// A schema.
pub(super) struct Protobuf {
    file: FileDescriptor,
}

/// Schemas by the names under which others import them.
struct Sources(HashMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, source)
    }
}

impl Protobuf {
    /// The schema `source`, which may import `others` by their names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(source: String, mut others: HashMap<String, String>) -> Result<Self, String> {
        others.insert(OWN.to_owned(), source);
        let mut resolver = ChainFileResolver::new();
        resolver.add(Sources(others));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.open_file(OWN).map_err(|error| error.to_string())?;
        let file = compiler.descriptor_pool().get_file_by_name(OWN);
        file.map(|file| Self { file }).ok_or_else(|| "it is empty".to_owned())
    }

    /// The JSON of a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(&self, mut body: &[u8]) -> Result<Vec<u8>, String> {
        let kind = self.kind(&mut body)?;
        let message = DynamicMessage::decode(kind, body).map_err(|error| error.to_string())?;
        let mut json = Vec::new();
        let written = message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &JSON);
        written.map(|()| json).map_err(|error| error.to_string())
    }

    /// The type of a message, which the start of `body` names.
    fn kind(&self, body: &mut &[u8]) -> Result<MessageDescriptor, String> {
        let torn = || "the place of the message's type is torn".to_owned();
        let depth = number(body).ok_or_else(torn)?;
        if depth > MOST_DEPTH {
            return Err(format!("the message's type stands in {depth} others"));
        }
        let first = if depth == 0 { 0 } else { number(body).ok_or_else(torn)? };
        let missing = || "the schema has no type at the place that the message names".to_owned();
        let mut kind = self.file.messages().nth(first as usize).ok_or_else(missing)?;
        for _ in 1..depth {
            let index = number(body).ok_or_else(torn)?;
            // What stands for the entries of a map is no type of the source.
            let inner = kind.child_messages().filter(|inner| !inner.is_map_entry()).nth(index as usize);
            kind = inner.ok_or_else(missing)?;
        }
        Ok(kind)
    }
}

/// A zigzag varint at the start of `body`, without it; none if it is torn or negative.
fn number(body: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value & 1 == 0).then_some(value >> 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        syntax = "proto3";
        package posts;
        import "people.proto";
        import "google/protobuf/timestamp.proto";
        message Other { string other = 1; }
        message Post {
            message Draft { map<string, string> notes = 1; string text = 2; message Part { string text = 1; } }
            string text_of_post = 1;
            people.Author author = 2;
            google.protobuf.Timestamp sent = 3;
            int64 number = 4;
            repeated float embedding = 5;
        }"#;
    const PEOPLE: &str = r#"syntax = "proto3"; package people; message Author { string name = 1; }"#;

    fn schema() -> Protobuf {
        let others = HashMap::from([("people.proto".to_owned(), PEOPLE.to_owned())]);
        Protobuf::compile(SOURCE.to_owned(), others).unwrap()
    }

    fn json(place: &[u8], message: &[u8]) -> Result<serde_json::Value, String> {
        let json = schema().decode(&[place, message].concat())?;
        Ok(serde_json::from_slice(&json).unwrap())
    }

    #[test]
    fn a_message_is_json_with_the_names_of_the_schema() {
        let message = [
            &b"\x0a\x02hi\x12\x05\x0a\x03Ada\x1a\x02\x08\x01\x20\x07\x2a\x08"[..],
            &0.5_f32.to_le_bytes(),
            &(-2_f32).to_le_bytes(),
        ];
        let expected = serde_json::json!({
            "text_of_post": "hi", "author": { "name": "Ada" }, "sent": "1970-01-01T00:00:01Z", "number": 7,
            "embedding": [0.5, -2.0],
        });
        assert_eq!(json(&[2, 2], &message.concat()), Ok(expected));
    }

    #[test]
    fn the_place_of_the_type_is_read() {
        assert_eq!(json(&[0], b"\x0a\x01x"), Ok(serde_json::json!({ "other": "x" })));
        assert_eq!(json(&[4, 2, 0], b"\x12\x01x"), Ok(serde_json::json!({ "text": "x" })));
        assert_eq!(json(&[6, 2, 0, 0], b"\x0a\x01x"), Ok(serde_json::json!({ "text": "x" })));
        for wrong in [&[][..], &[2], &[2, 4], &[4, 0, 0], &[1], &[0x80], &[0xff; 12]] {
            assert!(json(wrong, b"").is_err(), "{wrong:?}");
        }
        assert!(json(&[2, 2], b"\x0a\x09torn").is_err());
    }

    #[test]
    fn a_schema_that_cannot_be_used_says_why() {
        let missing = Protobuf::compile(SOURCE.to_owned(), HashMap::new()).err().unwrap();
        assert!(missing.contains("people.proto"), "{missing}");
        assert!(Protobuf::compile("message {".to_owned(), HashMap::new()).is_err());
    }
}
