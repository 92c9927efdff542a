//! Messages in the framing of Confluent's schema registry: a zero byte, the number of the schema (32 bits, big-endian),
//! then what the schema describes. Avro and Protobuf become JSON; what has a JSON Schema is JSON already.
//!
//! Source: Confluent's wire format and API (`GET /schemas/ids/{id}`, `GET /subjects/{subject}/versions/{version}`), which
//! Apicurio and Karapace speak too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lru::LruCache;
use serde::Deserialize;

use super::error::Error;
use super::protobuf::Protobuf;
use crate::client::http::header::AUTHORIZATION;
use crate::client::http::{HeaderValue, Request, StatusCode};
use crate::client::{self, Address, Client, Patience, percent};
use crate::document::Reason;
use crate::telemetry::Telemetry;
use crate::transport::brokers;

/// Schemas that are remembered.
const SCHEMAS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);
/// How long the registry may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is believed that a schema cannot be used; one that can is the same for ever.
const DOUBT: Duration = Duration::from_secs(30);
/// Schemas that a schema may rest on, all in all.
const MOST_REFERENCES: usize = 100;
/// Bytes of a schema.
const MOST_BYTES: u64 = 16 << 20;

/// Knows schemas by their numbers.
pub(super) struct Registry {
    params: brokers::Registry,
    client: Client,
    telemetry: Telemetry,
    /// Schemas, or why one cannot be used, by number.
    known: LruCache<u32, Known>,
}

/// A schema, or why it cannot be used, and when it was asked for.
struct Known {
    kind: Result<Arc<Kind>, String>,
    asked: Instant,
}

/// What a schema says of a message.
enum Kind {
    /// It is JSON.
    Json,
    /// It is Avro; the schemas that it rests on come first, its own is the last.
    Avro(Vec<Schema>),
    /// It is in Protocol Buffers.
    Protobuf(Protobuf),
}

/// A schema as the registry tells it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    schema: String,
    #[serde(default = "avro")]
    schema_type: String,
    #[serde(default)]
    references: Vec<Reference>,
}

/// A schema that another rests on.
#[derive(Deserialize)]
struct Reference {
    /// What it is called there.
    #[serde(default)]
    name: String,
    subject: String,
    version: u32,
}

fn avro() -> String {
    "AVRO".to_owned()
}

/// An error as the registry tells it.
#[derive(Deserialize)]
struct Denial {
    error_code: u32,
}

/// What a registry says that has no such subject, version or schema.
const UNKNOWN: [u32; 3] = [40401, 40402, 40403];

/// Why a schema cannot be had.
enum Failure {
    /// Asking again may help.
    Away(client::Error),
    /// The registry has none, or one that is of no use.
    Useless(String),
}

impl Registry {
    /// The registry of `params`, if there is one.
    pub(super) fn new(params: &brokers::Registry, telemetry: Telemetry) -> Option<Self> {
        let client = Client::new(Patience::Whole(PATIENCE));
        let registry = Self { params: params.clone(), client, telemetry, known: LruCache::new(SCHEMAS) };
        Some(registry).filter(|registry| !registry.params.url.is_empty())
    }

    /// `message` as JSON; as it is, if it is not framed. Blocks while the registry is asked.
    ///
    /// # Errors
    /// The registry doesn't answer. Inside: the message is no document.
    pub(super) fn json<'a>(&mut self, message: &'a [u8]) -> Result<Result<Cow<'a, [u8]>, Reason>, Error> {
        let Some((&[0, a, b, c, d], body)) = message.split_first_chunk::<5>() else {
            return Ok(Ok(Cow::Borrowed(message)));
        };
        let id = u32::from_be_bytes([a, b, c, d]);
        let refused = |detail: String| Reason::Schema { id, detail };
        let json = self.kind(id)?.and_then(|kind| match kind.as_ref() {
            Kind::Json => Ok(Cow::Borrowed(body)),
            Kind::Avro(schemas) => decode(schemas, body).map(Cow::Owned),
            Kind::Protobuf(schema) => schema.decode(body).map(Cow::Owned),
        });
        Ok(json.map_err(refused))
    }

    fn kind(&mut self, id: u32) -> Result<Result<Arc<Kind>, String>, Error> {
        if let Some(Known { kind, asked }) = self.known.get(&id)
            && (kind.is_ok() || asked.elapsed() < DOUBT)
        {
            return Ok(kind.clone());
        }
        let kind = match self.fetch(id) {
            Ok(kind) => Ok(Arc::new(kind)),
            Err(Failure::Useless(why)) => Err(why),
            Err(Failure::Away(source)) => {
                let error = Error::Registry { url: self.shown(), source };
                self.telemetry.registry_missed(&error);
                return Err(error);
            }
        };
        self.telemetry.registry_answered();
        self.known.put(id, Known { kind: kind.clone(), asked: Instant::now() });
        Ok(kind)
    }

    fn fetch(&self, id: u32) -> Result<Kind, Failure> {
        let told = self.ask(&format!("schemas/ids/{id}"))?;
        match told.schema_type.as_str() {
            "JSON" => Ok(Kind::Json),
            "AVRO" => {
                let others = self.referenced(told.references)?.into_iter().map(|(_, text)| text);
                let parsed = Schema::parse_str_with_list(&told.schema, others);
                let (own, mut schemas) = parsed.map_err(|error| Failure::Useless(error.to_string()))?;
                schemas.push(own);
                Ok(Kind::Avro(schemas))
            }
            "PROTOBUF" => {
                let others = self.referenced(told.references)?.into_iter().collect();
                Protobuf::compile(told.schema, others).map(Kind::Protobuf).map_err(Failure::Useless)
            }
            other => Err(Failure::Useless(format!("it is of type {other}, not AVRO, JSON or PROTOBUF"))),
        }
    }

    /// The schemas that rest on each other from the `wanted` ones on, each with what it is called.
    fn referenced(&self, mut wanted: Vec<Reference>) -> Result<Vec<(String, String)>, Failure> {
        let mut texts: HashMap<(String, u32), (String, String)> = HashMap::new();
        while let Some(Reference { name, subject, version }) = wanted.pop() {
            if texts.contains_key(&(subject.clone(), version)) {
                continue;
            }
            if texts.len() == MOST_REFERENCES {
                return Err(Failure::Useless(format!("it rests on more than {MOST_REFERENCES} others")));
            }
            let subject_path = percent(&subject);
            let other = self.ask(&format!("subjects/{subject_path}/versions/{version}"))?;
            wanted.extend(other.references);
            texts.insert((subject, version), (name, other.schema));
        }
        Ok(texts.into_values().collect())
    }

    /// Its address, as it may be shown.
    fn shown(&self) -> String {
        Address::parse(self.params.url.reveal()).map(|address| address.to_string()).unwrap_or_default()
    }

    /// The header of basic authentication; `None` for none.
    fn authorization(&self) -> Option<HeaderValue> {
        let pair = format!("{}:{}", self.params.username, self.params.password.reveal());
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
        value.set_sensitive(true);
        Some(value).filter(|_| !self.params.username.is_empty())
    }

    fn ask(&self, path: &str) -> Result<Told, Failure> {
        let url = format!("{}/{path}", self.params.url.reveal().trim_end_matches('/'));
        let address = Address::parse(&url).map_err(|error| Failure::Useless(error.to_string()))?;
        let mut request = Request::new(Vec::new());
        request.headers_mut().extend(self.authorization().map(|value| (AUTHORIZATION, value)));
        let answer = self.client.exchange(&address, request, MOST_BYTES).map_err(Failure::Away)?;
        match answer.status {
            // A page that says 404 comes from something else at this address.
            StatusCode::NOT_FOUND if is_denial(&answer.body) => {
                Err(Failure::Useless(format!("the registry has no {path}")))
            }
            status if !status.is_success() => Err(Failure::Away(client::Error::Status(status))),
            _ => serde_json::from_slice(&answer.body)
                .map_err(|error| Failure::Away(client::Error::NoJson(error))),
        }
    }
}

/// True if the registry itself says that it has no such thing.
fn is_denial(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|Denial { error_code }| UNKNOWN.contains(&error_code))
}

/// The JSON of an Avro datum whose schema is the last of `schemas`.
fn decode(schemas: &[Schema], mut body: &[u8]) -> Result<Vec<u8>, String> {
    let Some(own) = schemas.last() else { return Err("it is empty".to_owned()) };
    let read = || -> Result<serde_json::Value, apache_avro::Error> {
        let reader = GenericDatumReader::builder(own).writer_schemata(schemas.iter().collect())?.build()?;
        serde_json::Value::try_from(reader.read_value(&mut body)?)
    };
    let value = { read }().map_err(|error| error.to_string())?;
    if body.is_empty() { Ok(value.to_string().into_bytes()) } else { Err("bytes are left over".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives each answer once.
    fn server(answers: &'static [(u16, &str)]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for ((status, body), mut stream) in answers.iter().zip(listener.incoming().flatten()) {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                assert!(lines.any(|line| line.unwrap().is_empty()));
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} S\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all((head + body).as_bytes()).unwrap();
            }
        });
        url
    }

    #[test]
    fn only_what_the_registry_itself_denies_is_unknown() {
        const ANSWERS: [(u16, &str); 7] = [
            (401, ""),
            (500, ""),
            (404, "<html>nothing here"),
            (404, r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#),
            (200, "<html>welcome"),
            (200, "{}"),
            (404, r#"{"error_code": 40403, "message": "Schema not found"}"#),
        ];
        let url = server(&ANSWERS);
        let telemetry = Telemetry::new().unwrap();
        let params = brokers::Registry { url: url.as_str().into(), ..brokers::Registry::default() };
        let mut registry = Registry::new(&params, telemetry.clone()).unwrap();
        let message = [0, 0, 0, 0, 7, b'x'];
        for (status, body) in &ANSWERS[..6] {
            assert!(registry.json(&message).is_err(), "{status} {body}");
            assert_eq!(telemetry.obstacles().len(), 1, "{status} {body}");
        }
        let reason = registry.json(&message).unwrap().unwrap_err();
        assert!(matches!(reason, Reason::Schema { id: 7, .. }), "{reason}");
        assert!(telemetry.obstacles().is_empty());
    }

    #[test]
    fn avro_with_references_becomes_json() {
        let person =
            r#"{"type": "record", "name": "Person", "fields": [{"name": "name", "type": "string"}]}"#;
        let own = r#"{"type": "record", "name": "Post", "fields": [
            {"name": "text", "type": "string"}, {"name": "author", "type": ["null", "Person"]},
            {"name": "embedding", "type": {"type": "array", "items": "float"}}]}"#;
        let (own, mut schemas) = Schema::parse_str_with_list(own, [person]).unwrap();
        schemas.push(own);
        let bytes = [&[4, b'h', b'i', 2, 4, b'M', b'e', 2][..], &0.5_f32.to_le_bytes(), &[0]].concat();
        let json: serde_json::Value = serde_json::from_slice(&decode(&schemas, &bytes).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({ "text": "hi", "author": { "name": "Me" }, "embedding": [0.5] }));
        assert!(decode(&schemas, &bytes[..5]).is_err());
        assert!(decode(&schemas, &[&bytes[..], b"x"].concat()).unwrap_err().contains("left over"));
    }
}
