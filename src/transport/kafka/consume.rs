//! Documents out of Kafka: one thread polls, and goes on polling whatever happens to what it has read.
//!
//! Messages go into a bounded queue. While it is full the thread waits for room a short while, then pauses its
//! partitions and polls on, so that the group never takes it for dead. After a transaction came to nothing the thread
//! seeks back to what the broker has as committed; messages carry the epoch in which they were read, and those of an
//! older one are dropped wherever they are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::client::{Clients, Consumer, Context, Place, Rebalancing, Told, places};
use super::envelope::Envelope;
use super::error::{Error, code};
use super::log::passes;
use super::transact::Transactor;
use crate::checkpoint::{Partition, Position};
use crate::document::{Document, Rejection};
use crate::transport::embedded::Parser;

/// How long the thread waits for a message before it looks around.
const TICK: Duration = Duration::from_millis(50);
/// How long it waits for room before it pauses. Pausing throws away what was fetched, so it is for long waits.
const HOLD: Duration = Duration::from_secs(1);
/// How long the broker may take to say what is committed, at a time.
const COMMITTED: Duration = Duration::from_secs(5);

/// A message that was read.
pub(super) struct Item {
    pub epoch: u64,
    pub place: Place,
    pub position: Position,
    pub envelope: Envelope,
    pub parsed: Result<Document, Rejection>,
}

/// This process's share of the documents: when a part of it goes, what is open goes too.
pub(super) struct Share(pub Arc<Mutex<Transactor>>);

impl Rebalancing for Share {
    fn assigned(&self, _consumer: &BaseConsumer<Context<Self>>, _places: &[Place]) {}

    fn revoked(&self, _places: &[Place]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drop_uncommitted();
    }
}

/// A member of the assigners' group, subscribed to the documents.
pub(super) fn join(
    clients: &Clients,
    transactor: Arc<Mutex<Transactor>>,
) -> Result<(Arc<Consumer<Share>>, Arc<Told>), Error> {
    let params = clients.params.params();
    let ours = [
        ("group.id", params.group.as_str()),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
    ];
    let defaults = [
        ("session.timeout.ms", "10000"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("auto.offset.reset", "earliest"),
        ("queued.max.messages.kbytes", "32768"),
    ];
    let mut config = clients.settings(&defaults, &ours);
    if !params.instance.is_empty() {
        config.set("group.instance.id", &params.instance);
    }
    let (consumer, told): (Consumer<Share>, _) = clients.make(&config, Share(transactor))?;
    let documents = &params.topics.documents;
    consumer.subscribe(&[documents]).map_err(|source| told.error("subscribe to", documents, source))?;
    Ok((Arc::new(consumer), told))
}

/// What the polling thread works with.
pub(super) struct Receiving {
    consumer: Arc<Consumer<Share>>,
    told: Arc<Told>,
    documents: String,
    parser: Parser,
    /// What may be committed.
    epoch: Arc<AtomicU64>,
    /// What is read now; behind `epoch` until the consumer has been sent back.
    label: u64,
    /// Taken by the port; filled here.
    items: mpsc::Sender<Item>,
    /// Read and not taken; more than one only where a partition comes while others are paused.
    waiting: VecDeque<Item>,
    paused: bool,
    names: HashMap<(String, i32), (Place, Partition)>,
    /// The first offset read of each partition, for those of which nothing was ever committed.
    starts: BTreeMap<Place, i64>,
}

impl Receiving {
    pub(super) fn new(
        clients: &Clients,
        consumer: Arc<Consumer<Share>>,
        told: Arc<Told>,
        epoch: Arc<AtomicU64>,
        parser: Parser,
        items: mpsc::Sender<Item>,
    ) -> Self {
        let documents = clients.params.params().topics.documents.clone();
        let label = epoch.load(Ordering::SeqCst);
        let (waiting, names, starts) = Default::default();
        Self { consumer, told, documents, parser, epoch, label, items, waiting, paused: false, names, starts }
    }

    /// Polls until `stop`, or until nobody takes documents any more.
    pub(super) fn run(
        mut self,
        runtime: &tokio::runtime::Handle,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        while !stop.is_cancelled() && !self.items.is_closed() {
            if self.epoch.load(Ordering::SeqCst) != self.label {
                self.go_back();
            }
            self.hand_over(runtime);
            let wait = if self.waiting.is_empty() { TICK } else { Duration::ZERO };
            let consumer = self.consumer.clone();
            match consumer.poll(wait) {
                None => {}
                Some(Ok(message)) => self.take(&message),
                // The group took this member for dead; polling on joins it again.
                Some(Err(error)) if passes(&error) || code(&error) == Some(Code::PollExceeded) => {}
                Some(Err(error)) => return Err(self.told.error("read", &self.documents, error)),
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let key = (message.topic(), message.partition());
        let known = self.names.iter().find(|((topic, partition), _)| (topic.as_str(), *partition) == key);
        let (place, partition) = match known {
            Some((_, names)) => names.clone(),
            None => self.name(message),
        };
        self.starts.entry(place.clone()).or_insert(message.offset());
        let position = Position { partition, offset: message.offset() as u64 };
        let envelope = Envelope::of(message);
        let parsed = parse(&self.parser, message, &position, &envelope);
        let item = Item { epoch: self.label, place, position, envelope, parsed };
        if self.paused {
            self.pause();
        } else if self.waiting.is_empty() {
            match self.items.try_send(item) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(item)) => return self.waiting.push_back(item),
            }
        }
        self.waiting.push_back(item);
    }

    fn name(&mut self, message: &BorrowedMessage<'_>) -> (Place, Partition) {
        let place = Place { topic: Arc::from(message.topic()), partition: message.partition() };
        let partition = Partition::new(&place.to_string());
        let names = (place, partition);
        self.names.insert((message.topic().to_owned(), message.partition()), names.clone());
        names
    }

    /// Gives what waits to the port; waits a while for room, then pauses.
    fn hand_over(&mut self, runtime: &tokio::runtime::Handle) {
        while !self.waiting.is_empty() {
            let wait = if self.paused { TICK } else { HOLD };
            let items = self.items.clone();
            match runtime.block_on(async { tokio::time::timeout(wait, items.reserve()).await }) {
                Ok(Ok(permit)) => {
                    if let Some(item) = self.waiting.pop_front() {
                        permit.send(item);
                    }
                }
                Ok(Err(_closed)) => return,
                Err(_elapsed) => {
                    if !self.paused {
                        self.pause();
                    }
                    return;
                }
            }
        }
        if self.paused {
            self.paused = false;
            drop(self.consumer.resume(&self.assignment()));
        }
    }

    fn pause(&mut self) {
        self.paused = true;
        // If it fails, more is read than can be given away, and the next message comes here again.
        drop(self.consumer.pause(&self.assignment()));
    }

    /// The assigned partitions, in a list of our own.
    fn assignment(&self) -> TopicPartitionList {
        let assigned = self.consumer.assignment().map(|list| places(&list)).unwrap_or_default();
        let mut list = TopicPartitionList::with_capacity(assigned.len());
        for place in assigned {
            list.add_partition(&place.topic, place.partition);
        }
        list
    }

    /// Reads again from what is committed. If that cannot be done now, what is read meanwhile belongs to nobody, and
    /// the next round tries again.
    fn go_back(&mut self) {
        self.waiting.clear();
        let epoch = self.epoch.load(Ordering::SeqCst);
        if self.seek_committed().is_ok() {
            self.label = epoch;
        }
    }

    fn seek_committed(&self) -> KafkaResult<()> {
        let assignment = self.assignment();
        if assignment.count() == 0 {
            return Ok(());
        }
        let committed: Vec<(Place, Offset)> = {
            let list = self.consumer.committed_offsets(assignment, COMMITTED)?;
            let elements = list.elements();
            let offsets = elements.iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
            places(&list).into_iter().zip(offsets).collect()
        };
        for (place, offset) in committed {
            let offset = match offset {
                Offset::Offset(offset) => Some(offset),
                _ => self.starts.get(&place).copied(),
            };
            if let Some(offset) = offset {
                self.consumer.seek(&place.topic, place.partition, Offset::Offset(offset), COMMITTED)?;
            }
        }
        Ok(())
    }
}

/// The document of a message. Without an id of its own it has that of the message's key; without one, its place's.
fn parse(
    parser: &Parser,
    message: &BorrowedMessage<'_>,
    position: &Position,
    envelope: &Envelope,
) -> Result<Document, Rejection> {
    let key = envelope.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let named = key.filter(|key| !key.is_empty()).map_or_else(|| Arc::from(position.to_string()), Arc::from);
    let mut document = parser.parse_as(message.payload().unwrap_or_default(), position.clone(), named)?;
    document.timestamp_ms = document.timestamp_ms.or(envelope.timestamp_ms);
    Ok(document)
}
