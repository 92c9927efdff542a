//! What a message carries comes out again; what is no document goes to the dead letters as it came.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use serde_json::Value;

use super::broker::Sent;
use super::daemon::{Cluster, document, ids, write_documents};
use super::exactly_once::kill_after;
use super::with_broker;
use crate::topicd::wait_for;

#[test]
fn envelopes_dead_letters_and_nested_fields() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "messages" };
        broker.create(&cluster.topic("documents"), 2);
        let mut good = document(0);
        let text = good["text"].take();
        good["body"] = serde_json::json!({ "plain": text });
        good.as_object_mut().unwrap().remove("id");
        let good = good.to_string().into_bytes();
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("t-1") });
        let records = [("named by its key", &good[..]), ("bad", b"not json"), ("broken", b"\xff\xfe")];
        broker.write(&cluster.topic("documents"), records, Some(&headers));
        let home = cluster.machine("a").set("source.fields.text=body.plain");
        let daemon = home.start();
        let letters = wait_for("two dead letters and an assignment", || {
            let letters = broker.read(&cluster.topic("dead_letters"));
            let assigned = broker.read(&cluster.topic("assignments")).len();
            (letters.len() == 2 && assigned == 1).then_some(letters)
        });
        for (key, reason, value) in
            [("bad", "not_json", &b"not json"[..]), ("broken", "not_utf8", b"\xff\xfe")]
        {
            let letter = letters.iter().find(|letter| letter.key.as_deref() == Some(key)).unwrap();
            assert_eq!(letter.value.as_deref(), Some(value), "unchanged");
            assert_eq!(letter.header("topicd.reason"), Some(reason));
            assert_eq!(letter.header("trace"), Some("t-1"));
            assert!(letter.header("topicd.partition").unwrap().starts_with("messages-documents/"));
            assert!(!letter.header("topicd.detail").unwrap().is_empty());
        }
        let [assigned] = &broker.read(&cluster.topic("assignments"))[..] else { panic!("one assignment") };
        assert_eq!(assigned.key.as_deref(), Some("named by its key"));
        assert_eq!(
            (assigned.header("trace"), assigned.header("topicd.key")),
            (Some("t-1"), assigned.key.as_deref())
        );
        assert!(assigned.timestamp.is_some());
        let record = assigned.json();
        assert_eq!((&record["id"], &record["revision"]), (&"named by its key".into(), &1.into()));
        assert!(record["partition"].as_str().unwrap().starts_with("messages-documents/"), "{record}");
        let metrics = daemon.get("/metrics").unwrap();
        assert!(metrics.contains("topicd_documents_total{outcome=\"rejected\"} 2"), "{metrics}");
    });
}

/// A document with the id `id`.
fn called(id: &str) -> Vec<u8> {
    let mut document = document(1);
    document["id"] = id.into();
    document.to_string().into_bytes()
}

/// A message, and the reason for which it is refused; none where it is good.
struct Case {
    reason: Option<&'static str>,
    key: String,
    value: Vec<u8>,
    /// Bytes of its header `trace`.
    header: usize,
    timestamp: Option<i64>,
}

fn legal_messages() -> Vec<Case> {
    let case = |reason: Option<&'static str>, key: &str, value: Vec<u8>, header: usize| Case {
        reason,
        key: key.to_owned(),
        value,
        header,
        timestamp: None,
    };
    let (long, nameless) = ("k".repeat(800_000), br#"{"text":"no id"}"#.to_vec());
    vec![
        case(Some("id_too_long"), "long id", called(&long), 1),
        case(Some("headers_too_long"), "headers", called("short"), 1_500_000),
        case(Some("headers_too_long"), &long, called("short"), 1),
        case(Some("headers_too_long"), &long, nameless.clone(), 1),
        case(Some("id_too_long"), &long[..5000], nameless, 1),
        case(Some("too_long"), "no json", vec![b'x'; 3_000_000], 250_000),
        Case { timestamp: Some(4_000_000_000_000), ..case(None, "ahead", called("ahead"), 1) },
        case(None, "good", called("short"), 200_000),
    ]
}

#[test]
fn no_legal_message_stops_the_stream() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "legal" };
        let far = i64::MAX.to_string();
        let any = [("max.message.bytes", "16777216"), ("message.timestamp.after.max.ms", far.as_str())];
        broker.create_with(&cluster.topic("documents"), 1, &any);
        let cases = legal_messages();
        let records = cases.iter().map(|case| {
            let value = vec![b'h'; case.header];
            let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(&value) });
            Sent {
                key: Some(case.key.as_bytes()),
                value: Some(&case.value),
                headers: Some(headers),
                timestamp: case.timestamp,
            }
        });
        broker.send(&cluster.topic("documents"), records);
        let home = cluster.machine("a");
        let _daemon = home.start();
        let assigned = wait_for("the good ones", || {
            let assigned = broker.read(&cluster.topic("assignments"));
            (assigned.len() == 2).then_some(assigned)
        });
        let keys: Vec<_> = assigned.iter().map(|record| record.key.as_deref().unwrap()).collect();
        assert_eq!(keys, ["ahead", "short"]);
        assert_eq!(assigned[1].header("trace").unwrap().len(), 200_000);
        let letters = broker.read(&cluster.topic("dead_letters"));
        let refused: Vec<&str> = cases.iter().filter_map(|case| case.reason).collect();
        assert_eq!(letters.len(), refused.len());
        for (offset, (letter, reason)) in letters.iter().zip(refused).enumerate() {
            assert_eq!(letter.header("topicd.reason"), Some(reason), "{:?}", letter.header("topicd.detail"));
            assert_eq!(letter.header("topicd.partition"), Some("legal-documents/0"));
            assert_eq!(letter.header("topicd.offset"), Some(offset.to_string().as_str()));
        }
        assert_eq!(letters[0].value.as_ref(), Some(&cases[0].value), "whole");
        assert_eq!(letters[1].header("topicd.headers_left_out"), Some("1, 1500015 bytes"));
        assert_eq!((letters[1].value.as_ref(), letters[1].header("trace")), (Some(&cases[1].value), None));
        assert_eq!(letters[2].header("topicd.key_cut_from_bytes"), Some("800000"));
        assert_eq!(letters[2].key.as_ref().unwrap().len(), 4096);
        assert_eq!(letters[5].header("topicd.cut_from_bytes"), Some("3000000"));
        assert_eq!(letters[5].header("trace").unwrap().len(), 250_000);
    });
}

#[test]
fn evidence_of_long_texts_fits_into_a_topic_as_brokers_make_it() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "words" };
        broker.create(&cluster.topic("documents"), 1);
        broker.create_with(&cluster.topic("evidence"), 1, &[("max.message.bytes", "1000000")]);
        let documents: Vec<Vec<u8>> = (0..64)
            .map(|n| {
                let mut long = document(n);
                let words: Vec<String> =
                    (0..6000).map(|_| format!("{:09x}", rand::random::<u32>())).collect();
                long["text"] = words.join(" ").into();
                long.to_string().into_bytes()
            })
            .collect();
        broker.write(&cluster.topic("documents"), documents.iter().map(|value| ("", value.as_slice())), None);
        let home = cluster.machine("a").set("kafka.transaction_ms=2000");
        let daemon = home.start();
        cluster.settle(&daemon, 64, 0, &[&home]);
    });
}

/// A tombstone for the document `id`.
fn tombstone(id: &str) -> Sent<'_> {
    Sent { key: Some(id.as_bytes()), ..Sent::default() }
}

#[test]
fn tombstones_are_ignored_unless_they_shall_erase() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "ignored" };
        broker.create(&cluster.topic("documents"), 1);
        write_documents(&cluster, 0, 10);
        broker.send(&cluster.topic("documents"), [tombstone("d1"), Sent::default()]);
        let home = cluster.machine("a");
        let daemon = home.start();
        let ignored = "topicd_kafka_tombstones_total{result=\"ignored\"} 2\n";
        wait_for("two tombstones", || daemon.get("/metrics").filter(|metrics| metrics.contains(ignored)));
        cluster.settle(&daemon, 10, 0, &[&home]);
        assert_eq!(cluster.records("assignments").len(), 10);
        assert!(broker.read(&cluster.topic("dead_letters")).is_empty());
    });
}

#[test]
fn tombstones_erase_documents_once_whoever_dies() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "erased" };
        broker.create(&cluster.topic("documents"), 2);
        write_documents(&cluster, 0, 400);
        let settings = ["kafka.tombstones=forget", "refit.first_documents=300", "refit.every_documents=5000"];
        let home = settings.iter().fold(cluster.machine("a"), |home, setting| home.set(setting));
        let daemon = home.start();
        cluster.settle(&daemon, 400, 1, &[&home]);
        drop(daemon);
        // The last one has no document, and one comes again after it was erased.
        let orders: Vec<String> = ids(20).into_iter().chain(["nobody".to_owned()]).collect();
        broker.send(&cluster.topic("documents"), orders.iter().map(|id| tombstone(id)));
        write_documents(&cluster, 7, 8);
        for pause in [800, 1500, 2500] {
            kill_after(&home, &[], Duration::from_millis(pause));
        }
        let daemon = home.start();
        let forgotten = |records: &[Value]| -> Vec<String> {
            let forgotten = records.iter().filter(|record| record["forgotten"] == true);
            forgotten.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
        };
        let assignments = wait_for("the last records of the documents", || {
            let assignments = cluster.records("assignments");
            (forgotten(&assignments).len() == orders.len()).then_some(assignments)
        });
        crate::schemas::check("assignment", &assignments);
        // Twenty of 401 are not counted any more.
        cluster.settle(&daemon, 381, 2, &[&home]);
        let mut told = forgotten(&cluster.records("assignments"));
        told.sort();
        let mut expected = orders.clone();
        expected.sort();
        assert_eq!(told, expected, "each once");
        let events = cluster.records("events");
        let mut told: Vec<&str> = (events.iter().filter(|event| event["type"] == "document.forgotten"))
            .map(|event| event["data"]["document"].as_str().unwrap())
            .collect();
        told.sort_unstable();
        assert_eq!(told.len(), 20, "of what was held: {told:?}");
        assert!(daemon.get("/api/explain?id=d3").is_none());
        assert!(
            daemon.get("/api/explain?id=d7").is_some(),
            "what came after its tombstone is another document"
        );
        let forgotten: u64 = (daemon.json("/api/topics").unwrap()["topics"].as_array().unwrap().iter())
            .map(|topic| topic["size"].as_u64().unwrap())
            .sum();
        assert!(forgotten <= 381, "{forgotten} documents are counted");
    });
}
