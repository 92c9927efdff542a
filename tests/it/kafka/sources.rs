//! Several topics, headers as fields, and where a group begins.

use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};

use super::broker::Sent;
use super::daemon::{Cluster, document, ids, write_documents};
use super::with_broker;
use crate::topicd::{Home, wait_for};

/// Writes documents `from..to` to `topic`, with their texts in the field `body`.
fn write_posts(cluster: &Cluster<'_>, topic: &str, from: usize, to: usize) {
    let posts: Vec<Vec<u8>> = (from..to)
        .map(|n| {
            let mut post = document(n);
            let text = post.as_object_mut().unwrap().remove("text").unwrap();
            post["body"] = text;
            post.to_string().into_bytes()
        })
        .collect();
    let keys: Vec<String> = (from..to).map(|n| n.to_string()).collect();
    let records = keys.iter().zip(&posts).map(|(key, post)| (key.as_str(), post.as_slice()));
    cluster.broker.write(&cluster.topic(topic), records, None);
}

/// What a command that fails says.
fn refused(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn topics_by_name_and_by_pattern_are_read_once_and_new_ones_too() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "many" };
        let machine = |instance| {
            cluster
                .machine(instance)
                .set("refit.first_documents=150")
                .set("kafka.topics.documents=many-documents, ^many-posts-")
                .set("source.topic_fields={ \"^many-posts-\" = { text = \"body\" } }")
        };
        let said = refused(&machine("a").set("kafka.topics.documents=^many-"), &["run"]);
        assert!(said.contains("no topic matches `^many-`"), "{said}");
        broker.create(&cluster.topic("documents"), 1);
        broker.create(&cluster.topic("posts-a"), 3);
        write_documents(&cluster, 0, 100);
        write_posts(&cluster, "posts-a", 100, 200);
        let (a, b) = (machine("a"), machine("b"));
        let said = a.good(&["check", "--connect"]);
        assert!(said.contains("100 records of the documents wait in partition `many-documents/0`"), "{said}");
        assert!(said.contains("`many-posts-a` has 3 partitions"), "{said}");
        assert_eq!(said.matches("wait in partition `many-posts-a/").count(), 3, "{said}");
        let (daemon, other) = (a.start(), b.start());
        cluster.settle(&daemon, 200, 0, &[&a, &b]);
        broker.create(&cluster.topic("posts-b"), 2);
        write_posts(&cluster, "posts-b", 200, 250);
        cluster.settle(&daemon, 250, 0, &[&a, &b]);
        drop(other);
        write_documents(&cluster, 250, 300);
        write_posts(&cluster, "posts-a", 300, 350);
        write_posts(&cluster, "posts-b", 350, 400);
        let outcome = cluster.settle(&daemon, 400, 1, &[&a, &b]);
        outcome.check_exactly_once(&ids(400));
        let places: std::collections::BTreeSet<(&str, u64)> = outcome
            .assignments
            .iter()
            .map(|record| (record["partition"].as_str().unwrap(), record["offset"].as_u64().unwrap()))
            .collect();
        assert!(places.contains(&("many-documents/0", 149)), "{places:?}");
        assert!(places.iter().any(|(partition, _)| *partition == "many-posts-b/1"), "{places:?}");
        let metrics = daemon.get("/metrics").unwrap();
        for topic in ["many-documents", "many-posts-a", "many-posts-b"] {
            let lag = format!("topicd_kafka_lag_records{{partition=\"0\",topic=\"{topic}\"}} 0");
            assert!(metrics.contains(&lag), "{lag}: {metrics}");
        }
        // It also says that the state is in use.
        let said = String::from_utf8(a.run(&["check", "--connect"]).stdout).unwrap();
        assert!(
            said.contains("`many-assignments` has 3 partitions"),
            "as the largest topic of documents: {said}"
        );
    });
}

#[test]
fn headers_and_the_key_are_fields() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "headers" };
        broker.create(&cluster.topic("documents"), 1);
        let home = cluster
            .machine("a")
            .set("source.fields.id=headers.id")
            .set("source.fields.title=headers.subject")
            .set("source.fields.timestamp=headers.sent")
            .set("source.fields.labels=key");
        let headers = |named: &[(&str, &[u8])]| {
            named.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(*value) })
            })
        };
        let mut own = document(1);
        own["headers.id"] = "the document's own".into();
        let values = [document(0), own, document(2)].map(|value: Value| value.to_string().into_bytes());
        let all: [&[(&str, &[u8])]; 3] = [
            &[("id", b"first"), ("id", b"last"), ("subject", b"Goals"), ("sent", b"2017-01-05")],
            &[("id", b"other")],
            &[("id", b"\xff"), ("sent", b"never")],
        ];
        let records = values.iter().zip(all).map(|(value, named)| Sent {
            key: Some(b"sport"),
            value: Some(value),
            headers: Some(headers(named)),
            timestamp: None,
        });
        broker.send(&cluster.topic("documents"), records);
        let daemon = home.start();
        cluster.settle(&daemon, 3, 0, &[&home]);
        let records = cluster.records("assignments");
        let ids: Vec<&str> = records.iter().map(|record| record["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["last", "the document's own", "sport"]);
        let told = daemon.json("/api/v1/documents").unwrap();
        let texts = told["documents"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap());
        assert!(texts.into_iter().any(|text| text.starts_with("Goals. ")), "{told}");
        let metrics = daemon.get("/metrics").unwrap();
        assert!(metrics.contains("topicd_fields_left_out_total{field=\"headers.sent\"} 1"), "{metrics}");
    });
}

#[test]
fn a_group_without_offsets_begins_where_it_shall_and_goes_on_there() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "begin" };
        broker.create(&cluster.topic("documents"), 2);
        write_documents(&cluster, 0, 40);
        let home = cluster.machine("a").set("kafka.start=end");
        let daemon = home.start();
        drop(daemon);
        // The group has begun, though nothing was read.
        write_documents(&cluster, 40, 60);
        let daemon = home.start();
        let outcome = cluster.settle(&daemon, 20, 0, &[&home]);
        let mut assigned: Vec<&str> =
            outcome.assignments.iter().map(|record| record["id"].as_str().unwrap()).collect();
        assigned.sort_unstable();
        assert_eq!(assigned, (40..60).map(|n| format!("d{n}")).collect::<Vec<_>>());

        let said = refused(&home, &["kafka", "reset", "--to", "beginning"]);
        assert!(said.contains("group `begin` has members") && said.contains("topicd-a"), "{said}");
        let (status, _) = crate::stopping::stopped(&mut { daemon }.child);
        assert_eq!(status, Some(0));
        let ends: Vec<i64> =
            (0..2).map(|partition| broker.end(&cluster.topic("documents"), partition)).collect();
        for (wrong, why) in [
            ("begin-documents/0=99999", "has no offset 99999"),
            ("begin-documents/7=0", "`begin-documents/7` is no partition of the documents"),
        ] {
            let said = refused(&home, &["kafka", "reset", "--to", wrong]);
            assert!(said.contains(why), "{said}");
        }
        let to = format!("begin-documents/0={}", ends[0] - 1);
        // A process with a name leaves the group when its session ends.
        let reset = |to: &str| {
            let output = wait_for("an empty group", || {
                let output = home.run(&["kafka", "reset", "--json", "--to", to]);
                output.status.success().then_some(output)
            });
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        let moved = reset(&to);
        assert_eq!(moved, json!({ "begin-documents/0": ends[0] - 1 }));
        let daemon = home.start();
        let outcome = cluster.settle(&daemon, 21, 0, &[&home]);
        assert_eq!(outcome.assignments.len(), 21, "the last of one partition was read again");
        let (status, _) = crate::stopping::stopped(&mut { daemon }.child);
        assert_eq!(status, Some(0));

        let after = reset("2100-01-01T00:00:00Z");
        let end = json!({ "begin-documents/0": ends[0], "begin-documents/1": ends[1] });
        assert_eq!(after, end, "nothing is later: the end");
        let before = home.table(&["kafka", "reset", "--to", "1970-01-02T00:00:00Z"]);
        assert!(before.iter().all(|row| row["offset"] == "0"), "{before:?}");
        let daemon = home.start();
        cluster.settle(&daemon, 81, 0, &[&home]);
    });
}

#[test]
fn a_time_is_a_place_to_begin() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "since" };
        broker.create(&cluster.topic("documents"), 1);
        let now = jiff::Timestamp::now().as_millisecond();
        let documents: Vec<Vec<u8>> = (0..10).map(|n| document(n).to_string().into_bytes()).collect();
        broker.send(
            &cluster.topic("documents"),
            documents.iter().zip(0..).map(|(value, hour)| Sent {
                value: Some(value),
                timestamp: Some(now + (hour - 10) * 3_600_000),
                ..Sent::default()
            }),
        );
        let time = jiff::Timestamp::from_millisecond(now - 150 * 60_000).unwrap();
        let home = cluster.machine("a").set(&format!("kafka.start={time}"));
        let daemon = home.start();
        let outcome = cluster.settle(&daemon, 2, 0, &[&home]);
        assert_eq!(outcome.assignments.len(), 2);
    });
    let home = Home::new("").set("source.type=kafka").set("kafka.start=yesterday");
    let said = refused(&home, &["run"]);
    assert!(said.contains("`kafka.start` is \"yesterday\"") && said.contains("beginning"), "{said}");
}

/// The reasons and tries of the dead letters, in their order.
fn letters(cluster: &Cluster<'_>) -> Vec<(String, Option<String>)> {
    let letters = cluster.broker.read(&cluster.topic("dead_letters"));
    let reason = |letter: &super::broker::Record| {
        let tries = letter.header("topicd.tries").map(ToOwned::to_owned);
        Some((letter.header("topicd.reason")?.to_owned(), tries))
    };
    letters.iter().filter_map(reason).collect()
}

#[test]
fn dead_letters_go_back_to_where_they_came_from_once() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "again" };
        broker.create(&cluster.topic("documents"), 1);
        let trace = OwnedHeaders::new().insert(Header { key: "trace", value: Some("t-1") });
        write_posts(&cluster, "documents", 0, 10);
        broker.write(&cluster.topic("documents"), [("bad", &b"not json"[..])], Some(&trace));
        let home = cluster.machine("a");
        let mut daemon = home.start();
        wait_for("eleven refusals", || (letters(&cluster).len() == 11).then_some(()));
        assert_eq!(crate::stopping::stopped(&mut daemon.child).0, Some(0));

        let home = home.set("source.fields.text=body");
        let retry = |arguments: &[&str]| {
            let output = home.run(&[&["retry"], arguments].concat());
            assert!(output.stdout.is_empty());
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (status, said) = retry(&["--reason", "no_text"]);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("10 of 11 dead letters are tried again; left out: not_json: 1"), "{said}");
        let daemon = home.start();
        let outcome = cluster.settle(&daemon, 10, 0, &[&home]);
        assert_eq!(outcome.assignments.len(), 10);
        let (status, said) = retry(&["--reason", "no_text"]);
        assert_eq!(status, Some(1), "none is left: {said}");
        let (_, said) = retry(&[]);
        assert!(said.contains("1 of 1 dead letters are tried again"), "{said}");
        wait_for("the second refusal", || (letters(&cluster).len() == 12).then_some(()));
        assert_eq!(letters(&cluster)[11], ("not_json".to_owned(), Some("2".to_owned())));
        let (_, said) = retry(&[]);
        assert!(said.contains("1 of 1 dead letters"), "the new one: {said}");
        wait_for("the third refusal", || (letters(&cluster).len() == 13).then_some(()));
        let last = broker.read(&cluster.topic("dead_letters"));
        let last = last.iter().rev().find(|letter| letter.header("topicd.tries") == Some("3")).unwrap();
        assert_eq!((last.key.as_deref(), last.header("trace")), (Some("bad"), Some("t-1")));
        assert_eq!(last.value.as_deref(), Some(&b"not json"[..]));
        cluster.settle(&daemon, 10, 0, &[&home]);
        assert_eq!(refused(&home, &["retry", "file.jsonl"]).matches("name no file").count(), 1);
    });
}

#[test]
fn what_is_built_in_is_what_the_documentation_says() {
    let config = rdkafka::ClientConfig::new().create_native_config().unwrap();
    let built = config.get("builtin.features").unwrap();
    let built: std::collections::BTreeSet<&str> = built.split(',').collect();
    let documented = ["gzip", "snappy", "lz4", "zstd", "ssl", "sasl_plain", "sasl_scram", "sasl_oauthbearer"];
    assert!(documented.iter().all(|feature| built.contains(feature)), "{built:?}");
    assert!(["sasl_gssapi", "oidc", "http"].iter().all(|feature| !built.contains(feature)), "{built:?}");
}
