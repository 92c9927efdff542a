//! Documents whose schema stands in a registry: Apicurio behind its Confluent-compatible API.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};

use super::broker::free_port;
use super::daemon::{Cluster, document};
use super::with_broker;
use crate::topicd::{cache, wait_for};

/// A registry that keeps its schemas in memory.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start() -> Self {
        let port = free_port();
        let child = Command::new("java")
            .args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"])
            .arg(format!("-Dquarkus.http.port={port}"))
            .args(["-jar", "apicurio-registry-app-2.6.13.Final-runner.jar"])
            .current_dir(cache().join("apicurio"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`java` is there after `deploy/test` has set the machine up");
        let registry = Self { child, port };
        wait_for("the registry", || ureq::get(registry.url("subjects")).call().ok());
        registry
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7/{path}", self.port)
    }

    /// The number under which it knows `schema`.
    fn register(&self, subject: &str, schema: &str, kind: &str) -> u32 {
        let body = json!({ "schema": schema, "schemaType": kind });
        let url = self.url(&format!("subjects/{subject}/versions"));
        let answer = ureq::post(url).content_type("application/json").send(body.to_string());
        let answer: Value = serde_json::from_reader(answer.unwrap().body_mut().as_reader()).unwrap();
        u32::try_from(answer["id"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The port of a door to `port` that is shut in the first visitor's face.
fn door_to(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for visitor in listener.incoming().skip(1).map_while(Result::ok) {
            let inside = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let pairs = [(visitor.try_clone(), inside.try_clone()), (Ok(inside), Ok(visitor))];
            for (from, to) in pairs {
                let (mut from, mut to) = (from.unwrap(), to.unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    door
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

fn avro_schema() -> Value {
    json!({ "type": "record", "name": "Post", "fields": [
        { "name": "text", "type": "string" },
        { "name": "author", "type": ["null", { "type": "record", "name": "Author", "fields": [
            { "name": "name", "type": "string" }] }] },
        { "name": "timestamp", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "embedding", "type": { "type": "array", "items": "float" } },
    ] })
}

/// Document `n` as a datum of [`avro_schema`].
fn avro(n: usize) -> Vec<u8> {
    let document = document(n);
    let schema = apache_avro::Schema::parse_str(&avro_schema().to_string()).unwrap();
    let numbers = document["embedding"].as_array().unwrap().iter();
    let author = Avro::Record(vec![("name".into(), Avro::String("Ada".into()))]);
    let datum = Avro::Record(vec![
        ("text".into(), Avro::String(document["text"].as_str().unwrap().into())),
        ("author".into(), Avro::Union(1, Box::new(author))),
        ("timestamp".into(), Avro::TimestampMillis(1_700_000_000_000)),
        ("embedding".into(), Avro::Array(numbers.map(|x| Avro::Float(x.as_f64().unwrap() as f32)).collect())),
    ]);
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_to_vec(datum).unwrap()
}

const PROTOBUF: &str = r#"syntax = "proto3";
message Author { string name = 1; }
message Post { string text = 1; Author author = 2; repeated float embedding = 3; }
"#;

/// Document `n` as the second type of [`PROTOBUF`].
fn protobuf(n: usize) -> Vec<u8> {
    let document = document(n);
    let text = document["text"].as_str().unwrap();
    let numbers = document["embedding"].as_array().unwrap().iter();
    let numbers: Vec<u8> = numbers.flat_map(|x| (x.as_f64().unwrap() as f32).to_le_bytes()).collect();
    let length = [(numbers.len() & 0x7f) as u8 | 0x80, (numbers.len() >> 7) as u8];
    let text = [&[0x0a, text.len() as u8], text.as_bytes()].concat();
    [&[2, 2], &text[..], b"\x12\x07\x0a\x05Grace\x1a", &length, &numbers].concat()
}

#[test]
fn avro_protobuf_and_json_with_a_schema() {
    let registry = Registry::start();
    let post = registry.register("posts-value", &avro_schema().to_string(), "AVRO");
    let json_schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
    let plain = registry.register("plain-value", &json_schema.to_string(), "JSON");
    let proto = registry.register("proto-value", PROTOBUF, "PROTOBUF");
    // It gives no answer at first: the stream waits.
    let url = format!("http://127.0.0.1:{}/apis/ccompat/v7", door_to(registry.port));
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "registry" };
        broker.create(&cluster.topic("documents"), 1);
        let mut third = document(3);
        third.as_object_mut().unwrap().remove("id");
        let messages = [
            ("avro", framed(post, &avro(1))),
            ("json", framed(plain, third.to_string().as_bytes())),
            ("bare", document(2).to_string().into_bytes()),
            ("proto", framed(proto, &protobuf(4))),
            ("unknown", framed(999, b"x")),
            ("torn", framed(post, &avro(1)[..7])),
        ];
        let records = messages.iter().map(|(key, value)| (*key, value.as_slice()));
        broker.write(&cluster.topic("documents"), records, None);
        let home = cluster
            .machine("a")
            .set(&format!("kafka.registry.url={url}"))
            .set("source.fields.id=author.name");
        let _daemon = home.start();
        let letters = wait_for("four assignments and two dead letters", || {
            let letters = broker.read(&cluster.topic("dead_letters"));
            (letters.len() == 2 && cluster.records("assignments").len() == 4).then_some(letters)
        });
        let ids: Vec<Value> =
            cluster.records("assignments").iter().map(|record| record["id"].clone()).collect();
        assert_eq!(ids, ["Ada", "json", "bare", "Grace"], "the id is a field of a record, or the key");
        for (letter, (key, value)) in letters.iter().zip(&messages[4..]) {
            assert_eq!(
                (letter.key.as_deref(), letter.value.as_ref()),
                (Some(*key), Some(value)),
                "unchanged"
            );
            assert_eq!(letter.header("topicd.reason"), Some("schema"));
        }
        assert!(letters[0].header("topicd.detail").unwrap().contains("schema 999"));
    });
}
