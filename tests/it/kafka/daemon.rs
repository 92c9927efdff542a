//! Daemons of a cluster, what they are given, and what they made of it.

use serde_json::{Value, json};

use super::broker::{Broker, Record};
use crate::outcome::Outcome;
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
        // What a dead process left open hides what others have committed after it, for half a minute at most.
        let arrived = assignments.iter().filter(|record| record["revision"] == 1).count();
        if arrived < documents {
            return None;
        }
        (daemon.json("/api/topics")? == topics).then_some(Outcome { assignments, events, topics })
    }
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

/// The ids of the first `n` documents.
pub(crate) fn ids(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("d{n}")).collect()
}
