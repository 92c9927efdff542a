//! The topics: made where they are missing, looked at where they are there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::client::{Clients, Consumer, Context, Refused, Told};
use super::error::Error;
use super::log::passes;
use super::produce::{Out, produce, until};
use crate::transport::brokers::LEAST_MESSAGE_BYTES;

/// How a topic of ours must be made.
struct Kind {
    /// Its key below `kafka.topics`.
    key: &'static str,
    /// One partition; else as many as the documents have.
    single: bool,
    settings: &'static [(&'static str, &'static str)],
}

/// Evidence is kept for a week, so that a modeler may be away for days; a record of the state is at most some MB.
/// Events have one partition, so that they are told in the order of their numbers.
const KINDS: [Kind; 7] = [
    Kind { key: "assignments", single: false, settings: &[] },
    Kind { key: "evidence", single: true, settings: &[DELETE, ("retention.ms", "604800000"), LARGE] },
    Kind { key: "model", single: true, settings: &[COMPACT, LARGE] },
    Kind { key: "state", single: true, settings: &[COMPACT, LARGE] },
    Kind { key: "topics", single: true, settings: &[COMPACT] },
    Kind { key: "events", single: true, settings: &[] },
    Kind { key: "dead_letters", single: false, settings: &[] },
];
const COMPACT: (&str, &str) = ("cleanup.policy", "compact");
const DELETE: (&str, &str) = ("cleanup.policy", "delete");
const LARGE: (&str, &str) = ("max.message.bytes", "16777216");
/// How long brokers are asked before it is looked whether they refuse.
const SLICE: Duration = Duration::from_secs(2);
/// How long it is listened for a reason after that.
const LISTEN: Duration = Duration::from_millis(50);

/// Looks after the topics.
pub(super) struct Admin<'a> {
    clients: &'a Clients,
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

    /// Makes the topics that are missing, if that is allowed, and refuses those under which nothing works.
    pub(super) async fn ensure(&self, lockstep: bool) -> Result<(), Error> {
        let partitions = self.documents(lockstep)?;
        for kind in &KINDS {
            let (key, topic) = self.named(kind);
            match self.partitions(topic)? {
                Some(found) if kind.single && found != 1 => {
                    return Err(Error::Partitions { topic: topic.to_owned(), key, found });
                }
                Some(_) => {}
                None if self.clients.params.params().create_topics => {
                    self.create(topic, if kind.single { 1 } else { partitions as i32 }, kind).await?;
                }
                None => return Err(self.missing(topic, key)),
            }
        }
        Ok(())
    }

    /// Everything that would not work, without leaving a trace: what is written is aborted.
    pub(super) async fn examine(&self, lockstep: bool) -> Vec<Error> {
        if let Err(error) = self.documents(lockstep) {
            return vec![error];
        }
        let mut faults = Vec::new();
        let mut writable = Vec::new();
        for kind in &KINDS {
            let (key, topic) = self.named(kind);
            match self.partitions(topic) {
                Ok(Some(found)) => {
                    if kind.single && found != 1 {
                        faults.push(Error::Partitions { topic: topic.to_owned(), key, found });
                    }
                    faults.extend(self.settings(topic, kind).await);
                    writable.push(topic);
                }
                Ok(None) if self.clients.params.params().create_topics => {}
                Ok(None) => faults.push(self.missing(topic, key)),
                Err(error) => faults.push(error),
            }
        }
        faults.extend(tokio::task::block_in_place(|| self.try_group()).err());
        faults.extend(tokio::task::block_in_place(|| self.try_writing(&writable)).err());
        faults
    }

    /// How many partitions the documents have; in lockstep they must be in one order.
    fn documents(&self, lockstep: bool) -> Result<usize, Error> {
        let topic = &self.clients.params.params().topics.documents;
        match self.partitions(topic)?.ok_or_else(|| self.missing(topic, "documents"))? {
            found if lockstep && found != 1 => Err(Error::Lockstep { topic: topic.clone(), found }),
            found => Ok(found),
        }
    }

    fn missing(&self, topic: &str, key: &'static str) -> Error {
        let allowed = self.clients.params.params().create_topics;
        Error::TopicMissing { topic: topic.to_owned(), key, allowed }
    }

    fn named(&self, kind: &Kind) -> (&'static str, &str) {
        let named = self.clients.params.params().topics.named();
        named.into_iter().find(|(key, _)| *key == kind.key).unwrap_or((kind.key, kind.key))
    }

    /// How many partitions `topic` has; none if it is not there. Waits while brokers are away, but not while they
    /// refuse.
    fn partitions(&self, topic: &str) -> Result<Option<usize>, Error> {
        let failed = |source| self.told.error("look at", topic, source);
        let started = Instant::now();
        let metadata = tokio::task::block_in_place(|| {
            loop {
                let fetched = self.asking.fetch_metadata(Some(topic), SLICE);
                self.listen();
                let give_up = self.told.shut_out() || started.elapsed() >= self.clients.timeout();
                match fetched {
                    Err(error) if passes(&error) && !give_up => {}
                    fetched => return fetched,
                }
            }
        });
        let metadata = metadata.map_err(failed)?;
        let Some(found) = metadata.topics().first() else { return Ok(None) };
        match found.error().map(Code::from) {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(failed(KafkaError::MetadataFetch(code))),
            None => Ok(Some(found.partitions().len())),
        }
    }

    /// Serves the callbacks that say why a connection was refused, each of which a call of its own takes; there is
    /// nothing to read.
    fn listen(&self) {
        let started = Instant::now();
        while let Some(left) = LISTEN.checked_sub(started.elapsed()) {
            drop(self.asking.poll(left));
        }
    }

    async fn create(&self, topic: &str, partitions: i32, kind: &Kind) -> Result<(), Error> {
        let replication = TopicReplication::Fixed(self.clients.params.params().replication_factor);
        let new = NewTopic::new(topic, partitions, replication);
        let new = kind.settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let options = AdminOptions::new().operation_timeout(Some(self.clients.timeout()));
        let created = self.client.create_topics([&new], &options).await;
        let failed = |source| self.told.error("create", topic, source);
        match created.map_err(failed)?.pop() {
            // Another process was faster.
            None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => {
                self.clients.telemetry.topic_created(topic);
                Ok(())
            }
            Some(Err((_, code))) => Err(failed(KafkaError::AdminOp(code))),
        }
    }

    /// The settings of `topic` under which records would be lost or refused.
    async fn settings(&self, topic: &str, kind: &Kind) -> Vec<Error> {
        let options = AdminOptions::new().request_timeout(Some(self.clients.timeout()));
        let described = self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        // Who may not look at settings can still work.
        let Some(Ok(resource)) = described.ok().and_then(|mut described| described.pop()) else {
            return Vec::new();
        };
        let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
        let fault =
            |setting, found, must| Error::TopicSetting { topic: topic.to_owned(), setting, found, must };
        let mut faults = Vec::new();
        let policy = value("cleanup.policy");
        let wanted = kind.settings.iter().find(|(name, _)| *name == "cleanup.policy");
        if let Some((_, wanted)) = wanted.filter(|(_, wanted)| policy != *wanted) {
            faults.push(fault("cleanup.policy", policy, (*wanted).to_owned()));
        }
        let largest = value("max.message.bytes");
        if largest.parse().is_ok_and(|bytes: u64| bytes < LEAST_MESSAGE_BYTES) {
            faults.push(fault("max.message.bytes", largest, format!("at least {LEAST_MESSAGE_BYTES}")));
        }
        faults
    }

    /// Asks for the group's offsets, which needs the right to be in it.
    fn try_group(&self) -> Result<(), Error> {
        let params = self.clients.params.params();
        let config = self.clients.settings(&[], &[("group.id", &params.group)]);
        let (consumer, told): (Consumer, _) = self.clients.make(&config, ())?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&params.topics.documents, 0);
        let committed = consumer.committed_offsets(list, self.clients.timeout()).map(drop);
        committed.map_err(|source| told.error("join group", &params.group, source))
    }

    /// Writes a record to each topic in a transaction that is aborted.
    fn try_writing(&self, topics: &[&str]) -> Result<(), Error> {
        let timeout = self.clients.timeout();
        let id = format!("{}.check.{}", self.clients.params.params().group, self.clients.instance);
        let (producer, told) = self.clients.producer(Some(&id))?;
        until(timeout, || producer.init_transactions(timeout))
            .map_err(|source| told.error("begin transactions as", &id, source))?;
        producer.begin_transaction().map_err(|source| told.error("begin a transaction as", &id, source))?;
        for topic in topics {
            let out = Out { topic, key: Some(b"check"), value: Some(b""), ..Out::default() };
            produce(&producer, &out).map_err(|source| told.error("write to", topic, source))?;
        }
        let flushed = producer.flush(timeout);
        let refused = told.refused();
        let aborted = until(timeout, || producer.abort_transaction(timeout));
        if let Some(Refused { place, code, .. }) = refused {
            return Err(told.error("write to", &place.topic, KafkaError::MessageProduction(code)));
        }
        flushed.and(aborted).map_err(|source| told.error("write as", &id, source))
    }
}
