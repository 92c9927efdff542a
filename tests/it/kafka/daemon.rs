//! Daemons of a cluster, what they are given, and what they made of it.

use serde_json::{Value, json};

use super::broker::{Broker, Record};
use crate::outcome::Outcome;
use crate::topicd::{Daemon, Home, wait_or_explain};

/// Topics of one test, told apart by a prefix, on one broker.
pub(crate) struct Cluster<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) prefix: &'static str,
}

impl Cluster<'_> {
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// A machine with a folder of its own; `instance` is its name in the group. Its refits are small: they take what
    /// others leave of the cores, which may be little where tests run side by side, and many small ones show more.
    pub(crate) fn machine(&self, instance: &str) -> Home {
        let log = format!("{}-{}.log", self.prefix, if instance.is_empty() { "unnamed" } else { instance });
        let mut home = Home::new("")
            .log_to(&log)
            .set("refit.remembered=1000")
            .set("refit.sample=1000")
            .set("refit.outlier_buffer=1000")
            .set("refit.n_epochs=50")
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

    /// The records of a topic that have a value, as JSON.
    pub(crate) fn records(&self, name: &str) -> Vec<Value> {
        let records = self.broker.read(&self.topic(name));
        records.iter().filter(|record| record.value.is_some()).map(Record::json).collect()
    }

    /// What has become of `documents` once all are assigned and learned, under version `version` or a later one, and
    /// nothing has moved while it was read. If that is waited for in vain, the test fails with what is missing and with
    /// the ends of the logs of `homes`.
    pub(crate) fn settle(&self, daemon: &Daemon, documents: usize, version: u64, homes: &[&Home]) -> Outcome {
        let settled = wait_or_explain(|| self.outcome(daemon, documents, version));
        settled.unwrap_or_else(|lacking| {
            let logs: String = homes.iter().map(|home| home.end_of_log()).collect();
            panic!("waited too long for {documents} documents: {lacking}{logs}")
        })
    }

    /// What [`settle`](Self::settle) waits for, or what is missing of it.
    fn outcome(&self, daemon: &Daemon, documents: usize, version: u64) -> Result<Outcome, String> {
        let tell = || daemon.json("/api/topics").ok_or_else(|| "the daemon gives no answer".to_owned());
        let topics = tell()?;
        if topics["documents"] != documents || topics["version"].as_u64() < Some(version) {
            let (learned, version, lags) = (&topics["documents"], &topics["version"], lags(daemon));
            return Err(format!("{learned} are learned, under version {version}; lags: {lags}"));
        }
        let (assignments, events) = (self.records("assignments"), self.records("events"));
        // What a dead process left open hides what others have committed after it, for half a minute at most.
        let arrived = assignments.iter().filter(|record| record["revision"] == 1).count();
        if arrived < documents {
            return Err(format!(
                "all are learned, but {arrived} assignments can be read; lags: {}",
                lags(daemon)
            ));
        }
        if tell()? != topics {
            return Err("topics changed while the assignments were read".to_owned());
        }
        Ok(Outcome { assignments, events, topics })
    }
}

/// How far behind the daemon is, by partition.
fn lags(daemon: &Daemon) -> String {
    let metrics = daemon.get("/metrics").unwrap_or_default();
    let lags = metrics.lines().filter_map(|line| line.strip_prefix("topicd_kafka_lag_records"));
    lags.collect::<Vec<_>>().join(" ")
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
