//! `[kafka]` and `[processing]`: where the brokers are, how the topics are called, what is promised.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::client::{Address, AddressError};
use crate::secret::Secret;
use crate::transport::start::Start;
use crate::transport::subscription::Subscription;

/// A parameter has a value that it cannot have.
#[derive(Debug, thiserror::Error)]
#[error("`kafka.{key}` is {value} but must be {must}")]
pub struct Error {
    /// The parameter's name below `kafka`.
    key: String,
    /// The value found.
    value: String,
    /// What it must be.
    must: String,
}

impl Error {
    fn new(key: &str, value: String, must: &str) -> Self {
        Self { key: key.to_owned(), value, must: must.to_owned() }
    }
}

/// How to reach Kafka.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Brokers to start from, `host:port`, separated by commas.
    pub brokers: String,
    /// The assigners' consumer group; the modelers' has `.modeler` added, and so begin the transactional ids.
    pub group: String,
    /// This process's name, unique in the group; empty for another one at each start.
    pub instance: String,
    /// Where a group begins of which nothing is committed; see [`Start`].
    pub start: String,
    /// Create the topics that are missing, all but the documents'.
    pub create_topics: bool,
    /// Replicas of a topic that is created; −1 for the broker's default.
    pub replication_factor: i32,
    /// What becomes of a message without a value.
    pub tombstones: Tombstones,
    /// How long a transaction stays open for further batches, in ms.
    pub transaction_ms: u64,
    /// How long a broker may be away before an operation fails, in ms.
    pub timeout_ms: u64,
    /// The topics' names.
    pub topics: Topics,
    /// Where the schemas of messages stand.
    pub registry: Registry,
    /// librdkafka's own settings, for every client.
    pub settings: BTreeMap<String, Setting>,
}

/// The names of the topics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// Input; see [`Subscription`].
    pub documents: String,
    /// Documents with their topics.
    pub assignments: String,
    /// What assigners teach the modeler; one partition.
    pub evidence: String,
    /// The model, for assigners; one partition, compacted.
    pub model: String,
    /// The modeler's state; one partition, compacted.
    pub state: String,
    /// The newest record of each topic, for people; compacted.
    pub topics: String,
    /// What happened to the topics.
    pub events: String,
    /// What could not be processed.
    pub dead_letters: String,
}

/// A schema registry with Confluent's API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// `http://host:8081`; empty for none.
    pub url: Secret,
    /// For basic authentication; empty for none.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// A value of librdkafka's, or a table of them: `ssl.ca.location` may be written with or without quotes.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A fraction.
    Fraction(f64),
    /// Anything else.
    Text(Secret),
    /// Values whose names go on after a dot.
    Table(BTreeMap<String, Setting>),
}

/// What a message without a value means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tombstones {
    /// Nothing.
    #[default]
    Ignore,
    /// The document whose id is the message's key is to be erased.
    Forget,
}

impl fmt::Debug for Setting {
    /// A password may be a number too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is promised when something dies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Each document has one first assignment, and is counted once.
    #[default]
    ExactlyOnce,
    /// Each has at least one: no transactions on the assigner's side, so a record is seen at once.
    AtLeastOnce,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            documents: "documents".into(),
            assignments: "topicd.assignments".into(),
            evidence: "topicd.evidence".into(),
            model: "topicd.model".into(),
            state: "topicd.state".into(),
            topics: "topicd.topics".into(),
            events: "topicd.events".into(),
            dead_letters: "topicd.dead-letters".into(),
        }
    }
}

impl Topics {
    /// The topics of the documents, where each topic has one purpose.
    fn documents(&self) -> Result<Subscription, Error> {
        let refused = |key: &str, name: &str, must: &str| {
            Error::new(&format!("topics.{key}"), format!("\"{name}\""), must)
        };
        let documents = Subscription::parse(&self.documents);
        let documents = documents.map_err(|must| refused("documents", &self.documents, &must))?;
        let topics: Vec<(&str, &str)> =
            documents.names().map(|name| ("documents", name)).chain(self.ours()).collect();
        for (at, (key, name)) in topics.iter().enumerate() {
            let one = Subscription::parse(name).map_err(|must| refused(key, name, &must))?;
            if !one.names().eq([*name]) {
                return Err(refused(key, name, "the name of one topic"));
            }
            if let Some((other, _)) = topics[..at].iter().find(|(_, before)| before == name) {
                return Err(refused(key, name, &format!("another topic than `kafka.topics.{other}`")));
            }
        }
        Ok(documents)
    }

    /// Each key of a topic that topicd writes, with the topic's name.
    pub(super) fn ours(&self) -> [(&'static str, &str); 7] {
        [
            ("assignments", &self.assignments),
            ("evidence", &self.evidence),
            ("model", &self.model),
            ("state", &self.state),
            ("topics", &self.topics),
            ("events", &self.events),
            ("dead_letters", &self.dead_letters),
        ]
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".into(),
            group: "topicd".into(),
            instance: String::new(),
            start: "beginning".into(),
            create_topics: true,
            replication_factor: -1,
            tombstones: Tombstones::default(),
            transaction_ms: 100,
            timeout_ms: 60_000,
            topics: Topics::default(),
            registry: Registry::default(),
            settings: BTreeMap::new(),
        }
    }
}

/// What a record may have, in bytes, at least: what topicd writes is bounded by it.
pub(super) const LEAST_MESSAGE_BYTES: u64 = 1_000_000;

/// Settings that exactly-once rests on, or that have a key of their own.
const OURS: [(&str, &str); 8] = [
    ("bootstrap.servers", "kafka.brokers"),
    ("metadata.broker.list", "kafka.brokers"),
    ("group.id", "kafka.group"),
    ("group.instance.id", "kafka.instance"),
    ("transactional.id", "kafka.instance"),
    ("isolation.level", "processing.guarantee"),
    ("enable.idempotence", "processing.guarantee"),
    ("enable.auto.commit", "processing.guarantee"),
];

/// Parameters that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    params: Params,
    documents: Subscription,
    start: Start,
}

impl Checked {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// True if documents come from `topic`: never from one that topicd writes, nor from one of Kafka's own.
    pub fn takes(&self, topic: &str) -> bool {
        let is_ours = || self.params.topics.ours().iter().any(|(_, ours)| *ours == topic);
        self.documents.takes(topic) && !topic.starts_with("__") && !is_ours()
    }

    /// Where a group begins of which nothing is committed.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The topics that documents come from.
    pub fn documents(&self) -> &Subscription {
        &self.documents
    }

    /// librdkafka's settings, flat.
    #[cfg(feature = "kafka")]
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        flat(&self.params.settings)
    }
}

impl Params {
    /// Checks every parameter; that brokers answer, only `check --connect` does.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(self) -> Result<Checked, Error> {
        let refuse = |key: &str, value: String, must: &str| Err(Error::new(key, value, must));
        if self.brokers.split(',').any(|broker| broker.trim().is_empty()) {
            return refuse("brokers", format!("\"{}\"", self.brokers), "a list of host:port");
        }
        if self.group.is_empty() {
            return refuse("group", "empty".into(), "the name of a consumer group");
        }
        if self.replication_factor == 0 || self.replication_factor < -1 {
            return refuse("replication_factor", self.replication_factor.to_string(), "at least 1, or -1");
        }
        if !(1..=10_000).contains(&self.transaction_ms) {
            return refuse("transaction_ms", self.transaction_ms.to_string(), "1 to 10000");
        }
        if !(1_000..=900_000).contains(&self.timeout_ms) {
            return refuse("timeout_ms", self.timeout_ms.to_string(), "1000 to 900000");
        }
        match Address::parse(self.registry.url.reveal()) {
            Err(AddressError::NoAddress) if !self.registry.url.is_empty() => {
                let must = "a URL that starts with http:// or https://";
                return refuse("registry.url", "something else".into(), must);
            }
            Err(AddressError::NoTls(without)) => {
                return refuse("registry.url", "one of https".into(), &format!("one of http: {without}"));
            }
            _ => {}
        }
        let start = match Start::parse(&self.start) {
            Ok(start) => start,
            Err(must) => return refuse("start", format!("\"{}\"", self.start), must),
        };
        let documents = self.topics.documents()?;
        for (name, value) in flat(&self.settings) {
            if name == "message.max.bytes"
                && value.parse().is_ok_and(|bytes: u64| bytes < LEAST_MESSAGE_BYTES)
            {
                let must = format!("at least {LEAST_MESSAGE_BYTES}");
                return refuse("settings.message.max.bytes", value, &must);
            }
            if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == name) {
                let must = format!("left out; set `{instead}`");
                return refuse(&format!("settings.{name}"), "set".into(), &must);
            }
        }
        Ok(Checked { params: self, documents, start })
    }
}

fn flat(settings: &BTreeMap<String, Setting>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, setting) in settings {
        match setting {
            Setting::Flag(flag) => found.push((name.clone(), flag.to_string())),
            Setting::Number(number) => found.push((name.clone(), number.to_string())),
            Setting::Fraction(fraction) => found.push((name.clone(), fraction.to_string())),
            Setting::Text(text) => found.push((name.clone(), text.reveal().to_owned())),
            Setting::Table(inner) => {
                found.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_never_takes_what_topicd_or_kafka_writes() {
        let topics = Topics { documents: "^.*".into(), ..Topics::default() };
        let checked = Params { topics, ..Params::default() }.check().unwrap();
        assert!(checked.takes("news") && checked.takes("topicd"));
        assert!(!checked.takes("topicd.assignments") && !checked.takes("__consumer_offsets"));
    }

    #[test]
    fn settings_may_be_quoted_or_nested() {
        let text = "\"security.protocol\" = \"ssl\"\nssl.ca.location = \"ca.pem\"\nlinger.ms = 5\n";
        let params = Params { settings: toml::from_str(text).unwrap(), ..Params::default() };
        let settings = params.check().unwrap().settings();
        let expected = [("linger.ms", "5"), ("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")];
        assert_eq!(settings, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_way_out() {
        let refusal = |edit: fn(&mut Params)| {
            let mut params = Params::default();
            edit(&mut params);
            params.check().unwrap_err().to_string()
        };
        let ours = refusal(|p| {
            p.settings.insert("isolation.level".into(), Setting::Text("read_uncommitted".into()));
        });
        assert!(ours.contains("`kafka.settings.isolation.level`") && ours.contains("processing.guarantee"));
        let same = refusal(|p| p.topics.model = p.topics.state.clone());
        assert!(same.contains("kafka.topics.state") && same.contains("kafka.topics.model"), "{same}");
        assert!(refusal(|p| p.topics.events = "a b".into()).contains("\"a b\""));
        assert!(refusal(|p| p.topics.events = "a,b".into()).contains("the name of one topic"));
        assert!(refusal(|p| p.topics.documents = "a,^b(".into()).contains("regular expression"));
        assert!(refusal(|p| p.topics.documents = "a,topicd.model".into()).contains("kafka.topics.documents"));
        assert!(refusal(|p| p.brokers = "a:1,".into()).contains("host:port"));
        assert!(refusal(|p| p.transaction_ms = 0).contains("1 to 10000"));
    }
}
