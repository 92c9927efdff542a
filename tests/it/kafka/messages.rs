//! What a message carries comes out again; what is no document goes to the dead letters as it came.

use rdkafka::message::{Header, OwnedHeaders};

use super::daemon::{Cluster, document};
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
