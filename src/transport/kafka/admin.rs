//! The topics: made where they are missing, looked at where they are there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;

use super::client::{Clients, Consumer, Context, Told};
use super::error::Error;
use super::kinds::{Difference, KINDS, Kind, complaints};
use super::log::passes;
use super::offsets::Documents;

/// How long brokers are asked before it is looked whether they refuse.
const SLICE: Duration = Duration::from_secs(2);
/// How long it is listened for a reason after that.
const LISTEN: Duration = Duration::from_millis(50);

/// How many partitions a topic gets that is made beside `documents`.
pub(super) fn most(documents: &Documents) -> usize {
    documents.values().copied().max().unwrap_or(1)
}

/// Looks after the topics.
pub(super) struct Admin<'a> {
    pub(super) clients: &'a Clients,
    client: AdminClient<Context>,
    /// Asks, because an admin client never tells why a connection was refused.
    asking: Consumer,
    told: Arc<Told>,
}

impl<'a> Admin<'a> {
    pub(super) fn new(clients: &'a Clients) -> Result<Self, Error> {
        let (client, _) = clients.make(&clients.settings(&[], &[]), ())?;
        let (asking, told) = clients.reader()?;
        Ok(Self { clients, client, asking, told })
    }

    /// Makes the topics that are missing, if that is allowed, and refuses those under which nothing works. The documents'.
    pub(super) async fn ensure(&self, lockstep: bool) -> Result<Documents, Error> {
        let documents = self.documents(lockstep)?;
        let partitions = most(&documents);
        for kind in &KINDS {
            let (key, topic) = self.named(kind);
            match self.partitions(topic)? {
                Some(found) if kind.single && found != 1 => {
                    return Err(Error::Partitions { topic: topic.to_owned(), key, found });
                }
                Some(_) => {
                    let (faults, blemish) = self.complaints(topic, kind).await;
                    for complaint in faults.iter().chain(&blemish) {
                        self.clients.telemetry.topic_differs(complaint);
                    }
                }
                None if self.clients.params.params().create_topics => {
                    self.create(topic, kind, partitions, false).await?;
                }
                None => return Err(self.missing(topic, key)),
            }
        }
        Ok(documents)
    }

    /// The topics of the documents with their partitions; in lockstep documents must be in one order.
    pub(super) fn documents(&self, lockstep: bool) -> Result<Documents, Error> {
        let subscription = self.clients.params.documents();
        let mut found = Documents::new();
        for topic in subscription.names() {
            let partitions = self.partitions(topic)?.ok_or_else(|| self.missing(topic, "documents"))?;
            found.insert(topic.to_owned(), partitions);
        }
        if subscription.has_pattern() {
            let metadata = self.metadata(None)?;
            let topics = metadata.topics().iter().filter(|topic| self.clients.params.takes(topic.name()));
            found.extend(topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())));
        }
        if found.is_empty() {
            return Err(Error::NoTopics { pattern: subscription.to_string() });
        }
        match found.values().sum() {
            partitions if lockstep && partitions != 1 => {
                Err(Error::Lockstep { topic: subscription.to_string(), found: partitions })
            }
            _ => Ok(found),
        }
    }

    pub(super) fn missing(&self, topic: &str, key: &'static str) -> Error {
        let allowed = self.clients.params.params().create_topics;
        Error::TopicMissing { topic: topic.to_owned(), key, allowed }
    }

    pub(super) fn named<'b>(&'b self, kind: &Kind) -> (&'static str, &'b str) {
        let ours = self.clients.params.params().topics.ours();
        ours.into_iter().find(|(key, _)| *key == kind.key).unwrap_or((kind.key, kind.key))
    }

    /// How many partitions `topic` has; none if it is not there.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<usize>, Error> {
        let metadata = self.metadata(Some(topic))?;
        let Some(found) = metadata.topics().first() else { return Ok(None) };
        match found.error().map(Code::from) {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(self.told.error("look at", topic, KafkaError::MetadataFetch(code))),
            None => Ok(Some(found.partitions().len())),
        }
    }

    /// The brokers, and what they know of `topic`, or of all topics. Waits while they are away, but not while they refuse.
    pub(super) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Error> {
        let started = Instant::now();
        let metadata = tokio::task::block_in_place(|| {
            loop {
                let fetched = self.asking.fetch_metadata(topic, SLICE);
                self.listen();
                let give_up = self.told.shut_out() || started.elapsed() >= self.clients.timeout();
                match fetched {
                    Err(error) if passes(&error) && !give_up => {}
                    fetched => return fetched,
                }
            }
        });
        let subject = topic.unwrap_or(&self.clients.params.params().topics.documents);
        metadata.map_err(|source| self.told.error("look at", subject, source))
    }

    /// Serves the callbacks that say why a connection was refused, each of which a call of its own takes; there is
    /// nothing to read.
    fn listen(&self) {
        let started = Instant::now();
        while let Some(left) = LISTEN.checked_sub(started.elapsed()) {
            drop(self.asking.poll(left));
        }
    }

    /// Makes `topic` beside documents with so many partitions, or only asks whether that would be allowed, for a `trial`.
    pub(super) async fn create(
        &self,
        topic: &str,
        kind: &Kind,
        documents: usize,
        trial: bool,
    ) -> Result<(), Error> {
        let partitions = if kind.single { 1 } else { documents as i32 };
        let replication = TopicReplication::Fixed(self.clients.params.params().replication_factor);
        let new = NewTopic::new(topic, partitions, replication);
        let new = kind.settings.iter().fold(new, |new, setting| new.set(setting.name, setting.value));
        let options =
            AdminOptions::new().operation_timeout(Some(self.clients.timeout())).validate_only(trial);
        let created = self.client.create_topics([&new], &options).await;
        let failed = |source| self.told.error("create", topic, source);
        match created.map_err(failed)?.pop() {
            // Another process was faster.
            None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => {
                if !trial {
                    self.clients.telemetry.topic_created(topic);
                }
                Ok(())
            }
            Some(Err((_, code))) => Err(failed(KafkaError::AdminOp(code))),
        }
    }

    /// What is said of the settings of `topic`: what loses or refuses records, and what is only not well.
    pub(super) async fn complaints(&self, topic: &str, kind: &Kind) -> (Vec<Error>, Option<Error>) {
        complaints(&self.clients.params.params().brokers, topic, self.differences(topic, kind).await)
    }

    /// What is wrong with the settings of `topic`.
    async fn differences(&self, topic: &str, kind: &Kind) -> Vec<Difference> {
        let options = AdminOptions::new().request_timeout(Some(self.clients.timeout()));
        let described = self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        // Who may not look at settings can still work.
        let Some(Ok(resource)) = described.ok().and_then(|mut described| described.pop()) else {
            return Vec::new();
        };
        kind.differences(|name| resource.get(name).and_then(|entry| entry.value.clone()))
    }
}
