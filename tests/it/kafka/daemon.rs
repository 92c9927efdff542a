//! Daemons of a cluster, what they are given, and what must be true of what they made of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::broker::{Broker, Record};
use crate::schemas;
use crate::topicd::{Daemon, Home};

/// Topics of one test, told apart by a prefix, on one broker.
pub(crate) struct Cluster<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) prefix: &'static str,
}

impl Cluster<'_> {
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// A machine with a folder of its own; `instance` is its name in the group.
    pub(crate) fn machine(&self, instance: &str) -> Home {
        let mut home = Home::new("")
            .set("source.type=kafka")
            .set(&format!("kafka.brokers={}", self.broker.address()))
            .set(&format!("kafka.group={}", self.prefix))
            .set(&format!("kafka.instance={instance}"))
            .set("kafka.settings={ \"session.timeout.ms\" = 6000 }");
        for name in
            ["documents", "assignments", "evidence", "model", "state", "topics", "events", "dead_letters"]
        {
            home = home.set(&format!("kafka.topics.{name}={}", self.topic(name)));
        }
        home
    }

    /// The records of a topic, as JSON.
    pub(crate) fn records(&self, name: &str) -> Vec<Value> {
        self.broker.read(&self.topic(name)).iter().map(Record::json).collect()
    }

    /// What has become of `documents` once all are assigned and learned, under version `version` or a later one, and
    /// nothing has moved while it was read.
    pub(crate) fn outcome(&self, daemon: &Daemon, documents: usize, version: u64) -> Option<Outcome> {
        let topics = daemon.json("/api/topics")?;
        if topics["documents"] != documents || topics["version"].as_u64()? < version {
            return None;
        }
        let (assignments, events) = (self.records("assignments"), self.records("events"));
        (daemon.json("/api/topics")? == topics).then_some(Outcome { assignments, events, topics })
    }
}

/// Everything that a run brought out.
pub(crate) struct Outcome {
    pub(crate) assignments: Vec<Value>,
    pub(crate) events: Vec<Value>,
    /// As the API tells them.
    pub(crate) topics: Value,
}

/// Document number `n`, about one of four subjects, with an embedding near to its subject's.
pub(crate) fn document(n: usize) -> Value {
    const SUBJECTS: [&str; 4] = ["football goal", "stocks market", "medicine virus", "planet orbit"];
    let mut state = n as u64 + 1;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let subject = n % SUBJECTS.len();
    let embedding: Vec<f32> = (0..384)
        .map(|at| random() * 0.15 + if at % SUBJECTS.len() == subject { 0.1 } else { 0.0 })
        .map(|value| (value * 1e4).round() / 1e4)
        .collect();
    json!({ "id": format!("d{n}"), "text": format!("{} number {}", SUBJECTS[subject], n % 50), "embedding": embedding })
}

/// Writes documents `from..to`, keyed by their ids.
pub(crate) fn write_documents(cluster: &Cluster<'_>, from: usize, to: usize) {
    let documents: Vec<(String, Vec<u8>)> =
        (from..to).map(|n| (format!("d{n}"), document(n).to_string().into_bytes())).collect();
    let records = documents.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
    cluster.broker.write(&cluster.topic("documents"), records, None);
}

impl Outcome {
    /// What must hold whoever died: one first assignment a document, events and versions without a gap, and counts that are
    /// those of the assignments.
    pub(crate) fn check_exactly_once(&self, documents: usize) {
        let Self { assignments, events, topics } = self;
        schemas::check("assignment", assignments);
        schemas::check("event", events);
        let mut arrivals: BTreeMap<String, u32> = BTreeMap::new();
        let mut newest: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        for record in assignments {
            let id = record["id"].as_str().unwrap().to_owned();
            let (revision, topic) = (record["revision"].as_u64().unwrap(), record["topic"].as_i64().unwrap());
            if revision == 1 {
                *arrivals.entry(id.clone()).or_default() += 1;
            }
            let before = newest.entry(id).or_insert((0, topic));
            assert!(revision != before.0, "revision {revision} of {} twice", record["id"]);
            *before = (*before).max((revision, topic));
        }
        let missing: Vec<usize> =
            (0..documents).filter(|n| !arrivals.contains_key(&format!("d{n}"))).collect();
        assert!(missing.is_empty(), "no assignment of {missing:?}");
        assert_eq!(arrivals.len(), documents);
        let twice: Vec<&String> =
            arrivals.iter().filter(|(_, count)| **count != 1).map(|(id, _)| id).collect();
        assert!(twice.is_empty(), "several first assignments of {twice:?}");

        let numbers: Vec<u64> =
            events.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "no event is missing or doubled");
        let versions: Vec<u64> = (events.iter())
            .filter(|event| event["type"] == "model.published")
            .map(|event| event["data"]["version"].as_u64().unwrap())
            .collect();
        assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "versions have no gap");

        let merged: BTreeMap<i64, i64> = (events.iter())
            .filter(|event| event["type"] == "topic.merged")
            .flat_map(|event| {
                let into = event["data"]["topic"]["id"].as_i64().unwrap();
                let from = event["data"]["merged"].as_array().unwrap().clone();
                from.into_iter().map(move |topic| (topic["id"].as_i64().unwrap(), into))
            })
            .collect();
        let mut sizes: BTreeMap<i64, u64> = BTreeMap::new();
        for (_, topic) in newest.values() {
            let mut topic = *topic;
            while let Some(into) = merged.get(&topic) {
                topic = *into;
            }
            *sizes.entry(topic).or_default() += 1;
        }
        assert_eq!(topics["documents"], documents);
        assert_eq!(topics["outliers"], sizes.remove(&-1).unwrap_or(0));
        for topic in topics["topics"].as_array().unwrap() {
            let counted = sizes.remove(&topic["id"].as_i64().unwrap()).unwrap_or(0);
            assert_eq!(topic["size"], counted, "the count of topic {} is that of its records", topic["id"]);
        }
        assert_eq!(sizes, BTreeMap::new(), "no record names a topic that is not there");
    }
}
