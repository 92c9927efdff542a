//! Documents out of Kafka: one thread polls, and goes on polling whatever happens to what it has read.
//!
//! Messages go into a bounded queue. While it is full the thread waits for room a short while, then pauses its
//! partitions and polls on, so that the group never takes it for dead. After a transaction came to nothing the thread
//! seeks back to what the broker has as committed; messages carry the epoch in which they were read, and those of an
//! older one are dropped wherever they are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::client::{Clients, Consumer, Place, Told, places};
use super::envelope::Envelope;
use super::error::{Error, code};
use super::log::passes;
use super::registry::Registry;
use super::share::{Share, committed, list_of};
use super::topics::SourceTopics;
use crate::checkpoint::Position;
use crate::document::{Document, MOST_ID_BYTES, Original, Rejection};
use crate::model::operate::Erasure;
use crate::telemetry::Telemetry;
use crate::transport::brokers::Tombstones;

/// How long the thread waits for a message before it looks around.
const TICK: Duration = Duration::from_millis(50);
/// How long it waits for room before it pauses. Pausing throws away what was fetched, so it is for long waits.
const HOLD: Duration = Duration::from_secs(1);
/// How often it is asked where partitions end of which nothing is fetched.
const LOOK_AHEAD: Duration = Duration::from_secs(5);
/// How long it waits before it asks a schema registry again that gave no answer.
const MISSED: Duration = Duration::from_secs(1);
/// How long the broker may take to say what is committed, at a time.
const COMMITTED: Duration = Duration::from_secs(5);

/// Where a user who can do without what is lost puts the group.
const SKIP: &str = "move the group with `kafka-consumer-groups --reset-offsets`";

/// A message that was read.
pub(super) struct Item {
    pub epoch: u64,
    pub place: Place,
    pub position: Position,
    /// Where what comes before it in its partition ends; none for the first record of all.
    pub before: Option<u64>,
    pub envelope: Envelope,
    pub content: Content,
}

/// What a message says.
pub(super) enum Content {
    Document(Document),
    /// It is no document.
    Refused(Rejection),
    /// Nothing, which may be an order.
    Tombstone(Option<Erasure>),
}

/// What the polling thread works with.
pub(super) struct Receiving {
    consumer: Arc<Consumer<Share>>,
    told: Arc<Told>,
    /// The topics that documents come from.
    topics: SourceTopics,
    registry: Option<Registry>,
    /// Where the message stands of which the registry did not tell what it says.
    missed: Option<Place>,
    telemetry: Telemetry,
    tombstones: Tombstones,
    /// What may be committed.
    epoch: Arc<AtomicU64>,
    /// What is read now; behind `epoch` until the consumer has been sent back.
    label: u64,
    /// Taken by the port; filled here.
    items: mpsc::Sender<Item>,
    /// Read and not taken; more than one only where a partition comes while others are paused.
    waiting: VecDeque<Item>,
    paused: bool,
    /// When it was asked last where the partitions end.
    looked: Instant,
    /// Some partition has no record where it would go on.
    lost: bool,
    /// The first offset read of each partition, for those of which nothing was ever committed.
    starts: BTreeMap<Place, i64>,
    /// Where what was read of each partition ends, or, where nothing was read yet, what is committed.
    ends: BTreeMap<Place, u64>,
}

impl Receiving {
    pub(super) fn new(
        clients: &Clients,
        consumer: Arc<Consumer<Share>>,
        told: Arc<Told>,
        epoch: Arc<AtomicU64>,
        topics: SourceTopics,
        items: mpsc::Sender<Item>,
    ) -> Self {
        let telemetry = clients.telemetry.clone();
        let registry = Registry::new(&clients.params.params().registry, telemetry.clone());
        let tombstones = clients.params.params().tombstones;
        let label = epoch.load(Ordering::SeqCst);
        let (waiting, starts, ends) = Default::default();
        let (paused, lost) = (false, false);
        Self {
            consumer,
            told,
            topics,
            registry,
            missed: None,
            telemetry,
            tombstones,
            epoch,
            label,
            items,
            waiting,
            paused,
            looked: Instant::now(),
            lost,
            starts,
            ends,
        }
    }

    /// Polls until `stop`, or until nobody takes documents any more.
    pub(super) fn run(
        mut self,
        runtime: &tokio::runtime::Handle,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        while !stop.is_cancelled() && !self.items.is_closed() {
            if self.epoch.load(Ordering::SeqCst) != self.label {
                self.go_back()?;
            }
            self.topics.subscribe(&self.consumer, &self.told)?;
            self.hand_over(runtime);
            self.look_ahead();
            let wait = if self.waiting.is_empty() { TICK } else { Duration::ZERO };
            let consumer = self.consumer.clone();
            match consumer.poll(wait) {
                None => {}
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) if code(&error) == Some(Code::AutoOffsetReset) => self.lose(&consumer),
                // The group took this member for dead; polling on joins it again.
                Some(Err(error)) if passes(&error) || code(&error) == Some(Code::PollExceeded) => {}
                Some(Err(error)) if self.topics.may_go(&error) => {}
                Some(Err(error)) => return Err(self.told.error("read", self.topics.name(), error)),
            }
        }
        Ok(())
    }

    /// There is no record where some partition would go on: it is looked where everything stands.
    fn lose(&mut self, consumer: &Consumer<Share>) {
        self.lost = true;
        consumer.context().rebalancing.start_over();
    }

    /// What a message says cannot be found out now: it is read again, and polling goes on meanwhile.
    fn miss(&mut self, place: Place) {
        self.missed = Some(place);
        self.consumer.context().rebalancing.start_over();
        std::thread::park_timeout(MISSED);
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (place, partition) = self.topics.place(message.topic(), message.partition());
        self.starts.entry(place.clone()).or_insert(message.offset());
        let position = Position { partition, offset: message.offset() as u64 };
        let before = self.ends.insert(place.clone(), position.offset + 1);
        if before.is_none() {
            self.consumer.context().rebalancing.begins(&place, message.offset());
        }
        let envelope = Envelope::of(message);
        let content = match message.payload() {
            None => Content::Tombstone(self.erasure(&position, &envelope)),
            Some(payload) => match self.parse(message.topic(), payload, &position, &envelope) {
                Ok(Ok(document)) => Content::Document(document),
                Ok(Err(rejection)) => Content::Refused(rejection),
                // Whoever asked the registry has told that it is away.
                Err(_) => return self.miss(place),
            },
        };
        let item = Item { epoch: self.label, place, position, before, envelope, content };
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

    /// The order that a message without a value is, if it is one and names a document.
    fn erasure(&self, position: &Position, envelope: &Envelope) -> Option<Erasure> {
        let document = envelope.id().filter(|id| id.len() <= MOST_ID_BYTES)?;
        (self.tombstones == Tombstones::Forget)
            .then(|| Erasure { document: Arc::from(document), position: position.clone() })
    }

    /// The document of a message, or why it is none.
    ///
    /// # Errors
    /// The registry doesn't answer.
    fn parse(
        &mut self,
        topic: &str,
        payload: &[u8],
        position: &Position,
        envelope: &Envelope,
    ) -> Result<Result<Document, Rejection>, Error> {
        // A dead letter is the message as it came, whatever was read out of it.
        let original = || Original { bytes: payload.to_vec(), refusals: 0 };
        if let Some(reason) = envelope.too_large() {
            return Ok(Err(Rejection { position: position.clone(), reason, original: original() }));
        }
        let Some(registry) = &mut self.registry else {
            return Ok(self.topics.reader(topic).read(payload, position, envelope));
        };
        let parsed = match registry.json(payload)? {
            Ok(json) => self.topics.reader(topic).read(&json, position, envelope),
            Err(reason) => Err(Rejection { position: position.clone(), reason, original: original() }),
        };
        Ok(match parsed {
            Ok(document) => Ok(Document { original: original(), ..document }),
            Err(rejection) => Err(Rejection { original: original(), ..rejection }),
        })
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

    /// Asks where partitions begin and end, now and then: those of which nothing came yet, and all while none is fetched.
    fn look_ahead(&mut self) {
        if self.looked.elapsed() < LOOK_AHEAD {
            return;
        }
        self.looked = Instant::now();
        let consumer = self.consumer.clone();
        let share = &consumer.context().rebalancing;
        let fresh = share.fresh();
        let committed: BTreeMap<Place, Offset> = match committed(&consumer, &fresh, TICK) {
            Ok(committed) => committed.into_iter().collect(),
            // It is asked again.
            Err(_) => BTreeMap::new(),
        };
        let asked = if self.paused { share.all() } else { fresh };
        for place in asked {
            // Brokers that don't answer are told of elsewhere.
            let Ok((first, end)) = consumer.fetch_watermarks(&place.topic, place.partition, TICK) else {
                return;
            };
            self.telemetry.partition_ends(&place.topic, place.partition, end);
            match committed.get(&place) {
                Some(Offset::Offset(offset)) => share.begins(&place, *offset),
                Some(_) => share.begins(&place, first),
                None => {}
            }
        }
    }

    fn pause(&mut self) {
        self.paused = true;
        // If it fails, more is read than can be given away, and the next message comes here again.
        drop(self.consumer.pause(&self.assignment()));
    }

    /// The assigned partitions.
    fn assignment(&self) -> TopicPartitionList {
        list_of(&self.consumer.assignment().map(|list| places(&list)).unwrap_or_default())
    }

    /// Reads again from what is committed. If that cannot be done now, what is read meanwhile belongs to nobody, and
    /// the next round tries again.
    fn go_back(&mut self) -> Result<(), Error> {
        self.waiting.clear();
        self.ends.clear();
        let epoch = self.epoch.load(Ordering::SeqCst);
        match self.seek_committed() {
            Ok(()) => (self.label, self.lost) = (epoch, false),
            Err(error) if error.passes() => {}
            Err(error) => return Err(error),
        }
        let assigned = self.assignment();
        if self
            .missed
            .take_if(|Place { topic, partition }| assigned.find_partition(topic, *partition).is_none())
            .is_some()
        {
            self.telemetry.registry_answered();
        }
        Ok(())
    }

    fn seek_committed(&mut self) -> Result<(), Error> {
        let (told, documents) = (self.told.clone(), self.topics.name().to_owned());
        let failed = |source| told.error("go back in", &documents, source);
        let mut fresh = Vec::new();
        for (place, offset) in self.committed().map_err(failed)? {
            let Place { topic, partition } = &place;
            match offset {
                Offset::Offset(wanted) => {
                    if self.lost {
                        self.look_for(&place, wanted)?;
                    }
                    let sought = self.consumer.seek(topic, *partition, offset, COMMITTED);
                    sought.map_err(failed)?;
                    self.ends.insert(place, wanted as u64);
                }
                _ if self.lost => fresh.push(place),
                _ => {
                    if let Some(start) = self.starts.get(&place) {
                        let start = Offset::Offset(*start);
                        self.consumer.seek(topic, *partition, start, COMMITTED).map_err(failed)?;
                    }
                }
            }
        }
        self.begin(&fresh).map_err(failed)
    }

    /// Fails if record `wanted` is not there any more.
    fn look_for(&self, place: &Place, wanted: i64) -> Result<(), Error> {
        let found = self.consumer.fetch_watermarks(&place.topic, place.partition, COMMITTED);
        let (first, last) = found.map_err(|source| self.told.error("look at", place, source))?;
        if (first..=last).contains(&wanted) {
            return Ok(());
        }
        Err(Error::Gone { place: place.to_string(), wanted, first, last, skip: SKIP })
    }

    /// Begins with the first record of `fresh` partitions, of which nothing was ever committed. A partition that has
    /// nowhere to go on cannot be sought in, so it is assigned anew.
    fn begin(&self, fresh: &[Place]) -> KafkaResult<()> {
        if fresh.is_empty() {
            return Ok(());
        }
        let (mut old, mut new) = (TopicPartitionList::new(), TopicPartitionList::new());
        for Place { topic, partition } in fresh {
            old.add_partition(topic, *partition);
            new.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        if matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            self.consumer.incremental_unassign(&old)?;
            return self.consumer.incremental_assign(&new);
        }
        for (place, offset) in self.committed()? {
            if matches!(offset, Offset::Offset(_)) {
                new.add_partition_offset(&place.topic, place.partition, offset)?;
            }
        }
        self.consumer.assign(&new)
    }

    /// The assigned partitions with their committed offsets.
    fn committed(&self) -> KafkaResult<Vec<(Place, Offset)>> {
        let assigned = self.consumer.assignment().map(|list| places(&list)).unwrap_or_default();
        committed(&self.consumer, &assigned, COMMITTED)
    }
}
