//! What `topicd check --connect` finds: brokers, topics, what waits, and everything that `topicd run` would be refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::admin::{Admin, most};
use super::client::{Clients, Consumer, Producer, Refused, Told};
use super::error::{Error, code};
use super::kinds::KINDS;
use super::log::{Found, Log};
use super::offsets::{self, Documents};
use super::produce::{Out, produce, until};
use super::share::list_of;

/// How long a topic may take to say that there is nothing to read.
const READ: Duration = Duration::from_secs(10);
/// How long the broker may take to say what is committed: it waits for the end of a transaction that is open.
const COMMITTED: Duration = Duration::from_secs(5);

/// What was found; nothing is left behind.
#[derive(Debug, Default)]
pub struct Survey {
    /// The brokers, `host:port`.
    pub brokers: Vec<String>,
    /// The topics with their partitions; none for one that `topicd run` makes.
    pub topics: Vec<(String, Option<usize>)>,
    /// Records of each partition of the documents, as `topic/partition`, that wait for the group.
    pub waiting: BTreeMap<String, i64>,
    /// Everything that would not work.
    pub faults: Vec<Error>,
    /// What works, but not well.
    pub blemishes: Vec<Error>,
}

impl Survey {
    /// Looks at everything that `admin` can reach.
    pub(super) async fn make(admin: &Admin<'_>, lockstep: bool) -> Self {
        let mut survey = Self::default();
        if let Err(error) = survey.look(admin, lockstep).await {
            survey.faults.push(error);
        }
        survey
    }

    async fn look(&mut self, admin: &Admin<'_>, lockstep: bool) -> Result<(), Error> {
        let clients = admin.clients;
        let metadata = admin.metadata(None)?;
        self.brokers =
            metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
        let documents = admin.documents(lockstep)?;
        let partitions = most(&documents);
        self.topics.extend(documents.iter().map(|(topic, found)| (topic.clone(), Some(*found))));
        let mut there = Vec::new();
        for kind in &KINDS {
            let (key, topic) = admin.named(kind);
            let found = match admin.partitions(topic) {
                Ok(found) => found,
                Err(error) => {
                    self.faults.push(error);
                    continue;
                }
            };
            self.topics.push((topic.to_owned(), found));
            match found {
                Some(found) => {
                    if kind.single && found != 1 {
                        self.faults.push(Error::Partitions { topic: topic.to_owned(), key, found });
                    }
                    let (faults, blemish) = admin.complaints(topic, kind).await;
                    self.faults.extend(faults);
                    self.blemishes.extend(blemish);
                    there.push(topic);
                }
                None if clients.params.params().create_topics => {
                    self.faults.extend(admin.create(topic, kind, partitions, true).await.err());
                }
                None => self.faults.push(admin.missing(topic, key)),
            }
        }
        tokio::task::block_in_place(|| self.attempt(clients, &there, &documents));
        Ok(())
    }

    /// Tries all that `topicd run` does to the topics that are `there`. Blocks.
    fn attempt(&mut self, clients: &Clients, there: &[&str], documents: &Documents) {
        let topics = &clients.params.params().topics;
        let ours = [&topics.evidence, &topics.model, &topics.state].map(String::as_str);
        let ours = ours.into_iter().filter(|topic| there.contains(topic));
        for topic in documents.keys().map(String::as_str).chain(ours) {
            self.faults.extend(read_end(clients, topic).err());
        }
        match waiting(clients, documents) {
            Ok(waiting) => self.waiting = waiting,
            Err(error) if error.passes() => {}
            Err(error) => self.faults.push(error),
        }
        match Trial::begin(clients) {
            Ok(trial) => {
                self.faults.extend(there.iter().filter_map(|topic| trial.write(topic).err()));
                for group in [clients.params.params().group.clone(), clients.modeler()] {
                    self.faults.extend(trial.commit(clients, &group, documents).err());
                }
            }
            Err(error) => self.faults.push(error),
        }
    }
}

/// Reads `topic` at its end, where nothing stands.
fn read_end(clients: &Clients, topic: &str) -> Result<(), Error> {
    let log = Log::open(clients, topic, Offset::End)?;
    let started = Instant::now();
    while started.elapsed() < READ.min(clients.timeout()) {
        match log.next(READ)? {
            Found::Record(_) | Found::End => return Ok(()),
            Found::Nothing => {}
        }
    }
    Err(log.failed(KafkaError::MessageConsumption(Code::OperationTimedOut)))
}

/// What waits for the group in each partition of the documents.
fn waiting(clients: &Clients, documents: &Documents) -> Result<BTreeMap<String, i64>, Error> {
    let (consumer, told) = clients.reader()?;
    let list = list_of(&offsets::places(documents));
    let group = &clients.params.params().group;
    let committed = consumer.committed_offsets(list, COMMITTED);
    let committed = committed.map_err(|source| told.error("ask for the offsets of group", group, source))?;
    let mut waiting = BTreeMap::new();
    for element in committed.elements() {
        let place = format!("{}/{}", element.topic(), element.partition());
        let found = consumer.fetch_watermarks(element.topic(), element.partition(), COMMITTED);
        let (first, end) = found.map_err(|source| told.error("look at", &place, source))?;
        let reached = if let Offset::Offset(offset) = element.offset() { offset } else { first };
        waiting.insert(place, (end - reached).max(0));
    }
    Ok(waiting)
}

/// A producer whose transactions are all aborted.
struct Trial {
    producer: Producer,
    told: std::sync::Arc<Told>,
    timeout: Duration,
}

impl Trial {
    fn begin(clients: &Clients) -> Result<Self, Error> {
        let timeout = clients.timeout();
        let id = format!("{}.check.{}", clients.params.params().group, clients.instance);
        let (producer, told) = clients.producer(Some(&id))?;
        until(timeout, || producer.init_transactions(timeout))
            .map_err(|source| told.error("begin transactions as", &id, source))?;
        Ok(Self { producer, told, timeout })
    }

    /// Writes a record to `topic`.
    fn write(&self, topic: &str) -> Result<(), Error> {
        self.aborted(|| {
            let out = Out { topic, key: Some(b"check"), value: Some(b""), ..Out::default() };
            produce(&self.producer, &out).and_then(|()| self.producer.flush(self.timeout))
        })
        .map_err(|source| match self.told.refused() {
            Some(Refused { code, .. }) => {
                self.told.error("write to", topic, KafkaError::MessageProduction(code))
            }
            None => self.told.error("write to", topic, source),
        })
    }

    /// Commits an offset of `group`, which needs the right to be in it.
    fn commit(&self, clients: &Clients, group: &str, documents: &Documents) -> Result<(), Error> {
        let config = clients.settings(&[], &[("group.id", group), ("enable.auto.commit", "false")]);
        let (consumer, _): (Consumer, _) = clients.make(&config, ())?;
        let topic = documents.keys().next().map_or("", String::as_str);
        let committed = self.aborted(|| {
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition_offset(topic, 0, Offset::Offset(0))?;
            let member = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
            until(self.timeout, || self.producer.send_offsets_to_transaction(&list, &member, self.timeout))
        });
        match committed {
            // It has members, and this is none of them; who may not be one hears that first.
            Err(error) if code(&error).is_some_and(|code| STRANGER.contains(&code)) => Ok(()),
            committed => committed.map_err(|source| self.told.error("be in group", group, source)),
        }
    }

    /// What `attempt` comes to in a transaction that is aborted.
    fn aborted(&self, attempt: impl FnOnce() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        self.producer.begin_transaction()?;
        let attempted = attempt();
        let aborted = until(self.timeout, || self.producer.abort_transaction(self.timeout));
        let refused = self.told.refusal().map(KafkaError::MessageProduction);
        attempted.and(refused.map_or(Ok(()), Err)).and(aborted)
    }
}

const STRANGER: [Code; 3] = [Code::UnknownMemberId, Code::IllegalGeneration, Code::FencedInstanceId];
