//! What a run brought out, and what must be true of it whoever died.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::schemas;
use crate::topicd::Home;

/// Everything that a run brought out.
pub(crate) struct Outcome {
    pub(crate) assignments: Vec<Value>,
    pub(crate) events: Vec<Value>,
    /// As the API tells them.
    pub(crate) topics: Value,
}

impl Outcome {
    /// What stands in a folder whose daemon has ended.
    pub(crate) fn of(home: &Home) -> Self {
        let topics = serde_json::from_str(&home.good(&["topics", "--json"])).unwrap();
        Self { assignments: home.records("assignments.jsonl"), events: home.records("events.jsonl"), topics }
    }

    /// Each document has one first assignment and revisions that follow each other, events and versions have no gap,
    /// and counts are those of the assignments, redirects of merged topics followed.
    pub(crate) fn check_exactly_once(&self, ids: &[String]) {
        schemas::check("assignment", &self.assignments);
        schemas::check("event", &self.events);
        let newest = self.newest(ids);
        let numbers = self.events.iter().map(|event| event["id"].as_str().unwrap().parse::<u64>().unwrap());
        assert!(numbers.eq(1..=self.events.len() as u64), "no event is missing or doubled");
        let published = self.events.iter().filter(|event| event["type"] == "model.published");
        let versions: Vec<u64> = published.map(|event| event["data"]["version"].as_u64().unwrap()).collect();
        assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "versions have no gap");

        let merged = self.merged();
        let mut sizes: BTreeMap<i64, u64> = BTreeMap::new();
        for mut topic in newest.into_values() {
            while let Some(into) = merged.get(&topic) {
                topic = *into;
            }
            *sizes.entry(topic).or_default() += 1;
        }
        assert_eq!(self.topics["documents"], ids.len());
        assert_eq!(self.topics["outliers"], sizes.remove(&-1).unwrap_or(0));
        for topic in self.topics["topics"].as_array().unwrap() {
            let counted = sizes.remove(&topic["id"].as_i64().unwrap()).unwrap_or(0);
            assert_eq!(topic["size"], counted, "the count of topic {} is that of its records", topic["id"]);
        }
        assert_eq!(sizes, BTreeMap::new(), "no record names a topic that is not there");
    }

    /// Each document's newest topic.
    fn newest(&self, ids: &[String]) -> BTreeMap<&str, i64> {
        let mut newest: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
        for record in &self.assignments {
            let id = record["id"].as_str().unwrap();
            let (revision, topic) = (record["revision"].as_u64().unwrap(), record["topic"].as_i64().unwrap());
            let before = newest.insert(id, (revision, topic)).map_or(0, |(revision, _)| revision);
            assert_eq!(revision, before + 1, "revisions of {id} follow each other");
        }
        let missing: Vec<&String> = ids.iter().filter(|id| !newest.contains_key(id.as_str())).collect();
        assert!(missing.is_empty(), "no assignment of {missing:?}");
        assert_eq!(newest.len(), ids.len(), "nothing else has an assignment");
        newest.into_iter().map(|(id, (_, topic))| (id, topic)).collect()
    }

    /// Topics that ended, and what took them in.
    fn merged(&self) -> BTreeMap<i64, i64> {
        let events = self.events.iter().filter(|event| event["type"] == "topic.merged");
        let pairs = events.flat_map(|event| {
            let into = event["data"]["topic"]["id"].as_i64().unwrap();
            event["data"]["merged"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |topic| (topic["id"].as_i64().unwrap(), into))
        });
        pairs.collect()
    }

    /// All that a run in lockstep brings out again however often it was killed: everything but times, and places that
    /// have the names of files and topics.
    pub(crate) fn story(&self) -> Story {
        let assignments = self.assignments.iter().map(|record| {
            let mut record = record.clone();
            record.as_object_mut().unwrap().remove("partition");
            (record["id"].to_string(), record["revision"].as_u64().unwrap(), record.to_string())
        });
        let mut assignments: Vec<_> = assignments.collect();
        assignments.sort();
        let events =
            self.events.iter().map(|event| json!([event["id"], event["type"], event["data"]]).to_string());
        let topics = self.topics["topics"].as_array().unwrap();
        let topics = topics
            .iter()
            .map(|topic| json!([topic["id"], topic["name"], topic["size"], topic["keywords"]]).to_string());
        Story { assignments, events: events.collect(), topics: topics.collect() }
    }
}

/// See [`Outcome::story`].
#[derive(PartialEq, Debug)]
pub(crate) struct Story {
    assignments: Vec<(String, u64, String)>,
    events: Vec<String>,
    topics: Vec<String>,
}

impl Story {
    /// Fails with the first difference.
    pub(crate) fn check_same(&self, other: &Self) {
        for (one, two) in self.assignments.iter().zip(&other.assignments) {
            assert_eq!(one, two);
        }
        for (one, two) in self.events.iter().zip(&other.events) {
            assert_eq!(one, two);
        }
        assert_eq!(self.topics, other.topics);
        let lengths = |story: &Self| (story.assignments.len(), story.events.len());
        assert_eq!(lengths(self), lengths(other));
    }
}
