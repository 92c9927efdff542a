//! What became of documents, into Kafka: assignments, evidence, dead letters and the consumed offsets in one
//! transaction.
//!
//! One thread produces and commits; the thread that polls the consumer comes in when partitions are taken away. Both
//! work on the [`Transactor`] under its lock, so a commit and the loss of a partition never overlap: a transaction
//! that is open then is aborted, and whatever was judged before it is dropped when it arrives, because it carries an
//! older epoch. The next owner of the partition does it again.
//!
//! After an error whose outcome nobody knows the producer is made anew: its initialisation ends whatever the old one
//! left open, and the broker's committed offsets then say what is done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Clients, Consumer, Place, Producer, Refused, Told};
use super::envelope::{Envelope, Envelopes, Letter};
use super::error::{Error, is_final};
use super::produce::{Out, at_most, produce, until};
use super::share::{Readings, Share};
use crate::checkpoint::Checkpoint;
use crate::model::evidence::{Evidence, Outcome};
use crate::model::operate::Erasure;
use crate::record::assignment::AssignmentRecord;
use crate::record::evidence::{ERASURES, ErasuresRecord, EvidenceRecord};
use crate::record::{Broken, line};
use crate::transport::brokers::Guarantee;

/// Bytes of evidence in a record, before it is compressed; topics take a million by default.
const EVIDENCE_BYTES: usize = 512 << 10;
/// Between two attempts to get a working producer.
const RETRY: Duration = Duration::from_millis(500);

/// Time-outs after which an operation is taken to be stuck: one for the attempts, one for the last, and one to spare.
const STUCK: u32 = 3;

/// A judged batch.
pub(super) struct Handed {
    /// The epoch in which its messages were read.
    pub epoch: u64,
    /// The offset after the batch, for each partition.
    pub ends: BTreeMap<Place, i64>,
    /// What became of it.
    pub outcome: Outcome,
    /// What came with the messages beside the documents.
    pub envelopes: Envelopes,
    /// Messages without a value, and what they order.
    pub tombstones: Vec<Option<Erasure>>,
}

/// The open transaction, and the producer that it belongs to.
pub(super) struct Transactor {
    clients: Clients,
    guarantee: Guarantee,
    encoder: String,
    id: String,
    producer: Option<(Arc<Producer>, Arc<Told>)>,
    /// Counts up whenever what was read and not committed has to be read again.
    epoch: Arc<AtomicU64>,
    readings: Readings,
    open: Option<Open>,
}

/// What a transaction holds so far.
struct Open {
    since: Instant,
    /// When the first of its batches was read.
    received: Instant,
    ends: BTreeMap<Place, i64>,
    evidence: Evidence,
    erasures: Vec<Erasure>,
    ignored: usize,
    assigned: usize,
    outliers: usize,
    rejections: Vec<crate::document::Rejection>,
}

/// How a transaction came to fail.
enum Failure {
    /// Abort it and read again.
    Abort(KafkaError),
    /// Nobody knows what the broker did; a new producer finds out.
    Unknown(KafkaError),
    /// It will fail again.
    Final(Error),
}

impl Transactor {
    pub(super) fn new(clients: Clients, guarantee: Guarantee, encoder: &str, readings: Readings) -> Self {
        let id = format!("{}.assigner.{}", clients.params.params().group, clients.instance);
        let epoch = Arc::new(AtomicU64::new(1));
        Self {
            clients,
            guarantee,
            encoder: encoder.to_owned(),
            id,
            producer: None,
            epoch,
            readings,
            open: None,
        }
    }

    /// The epoch of what may be committed.
    pub(super) fn epoch(&self) -> Arc<AtomicU64> {
        self.epoch.clone()
    }

    /// Whatever is not committed is done again, by whoever has the partitions then.
    pub(super) fn drop_uncommitted(&mut self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        if self.open.take().is_none() {
            return;
        }
        if self.guarantee == Guarantee::AtLeastOnce {
            return;
        }
        if let Some((producer, _)) = &self.producer
            && until(self.clients.timeout(), || producer.abort_transaction(self.clients.timeout())).is_err()
        {
            // A new one ends what this one could not.
            self.producer = None;
        }
    }

    /// A producer that works, made anew if need be.
    fn ready(&mut self) -> Result<(), Failure> {
        if self.producer.is_some() {
            return Ok(());
        }
        let transactional = self.guarantee == Guarantee::ExactlyOnce;
        let made = self.clients.producer(transactional.then_some(self.id.as_str()));
        let (producer, told) = made.map_err(Failure::Final)?;
        if transactional {
            let timeout = self.clients.timeout();
            let initialised = until(timeout, || producer.init_transactions(timeout));
            initialised.map_err(|error| self.judge("begin transactions as", &told, error))?;
        }
        self.producer = Some((Arc::new(producer), told));
        Ok(())
    }

    /// Produces what became of a batch into the open transaction, or into a new one.
    fn take(&mut self, handed: Handed) -> Result<(), Failure> {
        if handed.epoch != self.epoch.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.ready()?;
        let Some((producer, told)) = &self.producer else { return Ok(()) };
        if self.open.is_none() {
            if self.guarantee == Guarantee::ExactlyOnce {
                producer
                    .begin_transaction()
                    .map_err(|error| self.judge("begin a transaction as", told, error))?;
            }
            self.open = Some(Open::new());
        }
        let topics = &self.clients.params.params().topics;
        let produced = arrivals(producer, &topics.assignments, &topics.dead_letters, &handed);
        produced.map_err(|error| self.judge("write to", told, error))?;
        if let Some(open) = &mut self.open {
            open.add(handed);
        }
        Ok(())
    }

    /// Commits the open transaction if it is due, or `now`.
    fn commit(&mut self, consumer: &Consumer<Share>, now: bool) -> Result<(), Failure> {
        let interval = Duration::from_millis(self.clients.params.params().transaction_ms);
        if self.open.as_ref().is_none_or(|open| !now && open.since.elapsed() < interval) {
            return Ok(());
        }
        let (Some(open), Some((producer, told))) = (&mut self.open, &self.producer) else { return Ok(()) };
        let started = Instant::now();
        let ends = open.ends.clone();
        let mut done = Checkpoint::new();
        ends.iter().for_each(|(place, end)| done.advance(place.partition(), *end as u64));
        let learned = std::mem::take(&mut open.evidence);
        let topic = &self.clients.params.params().topics.evidence;
        let records = taught(&self.encoder, learned, &open.erasures, &done)
            .map_err(|source| Failure::Final(Error::Broken { topic: topic.clone(), offset: -1, source }))?;
        for (key, value) in &records {
            let out = Out { topic, partition: Some(0), key: *key, value: Some(value), ..Out::default() };
            produce(producer, &out).map_err(|error| self.judge("write to", told, error))?;
        }
        let committed = match self.guarantee {
            Guarantee::ExactlyOnce => self.commit_transaction(producer, consumer, &ends),
            Guarantee::AtLeastOnce => self.flush(producer, told, consumer, &ends),
        };
        committed.map_err(|error| self.judge("commit a transaction as", told, error))?;
        if let Some(open) = self.open.take() {
            let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
            for (place, end) in &ends {
                readings.get(place).into_iter().for_each(|reading| reading.done(*end));
            }
            drop(readings);
            let telemetry = &self.clients.telemetry;
            telemetry.documents_assigned(open.assigned, open.outliers);
            telemetry.documents_rejected(open.assigned + open.outliers, &open.rejections);
            telemetry.tombstones_read(open.ignored, open.erasures.len());
            telemetry.batch_committed(started.elapsed(), open.assigned + open.outliers, open.received);
        }
        Ok(())
    }

    fn commit_transaction(
        &self,
        producer: &Arc<Producer>,
        consumer: &Consumer<Share>,
        ends: &BTreeMap<Place, i64>,
    ) -> Result<(), KafkaError> {
        let timeout = self.clients.timeout();
        let list = offsets(ends)?;
        // Taken at the last moment: the group may have a new generation in which we still own the partitions.
        let member = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
        // librdkafka (up to 2.14 at least, issues 5456 and 5511) may never return from sending offsets if the group's
        // coordinator dies meanwhile. The producer is then left to it, and a new one of the same name takes over.
        let sender = producer.clone();
        at_most(timeout * STUCK, move || {
            until(timeout, || sender.send_offsets_to_transaction(&list, &member, timeout))
        })?;
        until(timeout, || producer.commit_transaction(timeout))
    }

    fn flush(
        &self,
        producer: &Producer,
        told: &Told,
        consumer: &Consumer<Share>,
        ends: &BTreeMap<Place, i64>,
    ) -> Result<(), KafkaError> {
        producer.flush(self.clients.timeout())?;
        if let Some(code) = told.refusal() {
            return Err(KafkaError::MessageProduction(code));
        }
        consumer.commit(&offsets(ends)?, CommitMode::Sync)
    }

    /// What `error` means for the transaction.
    fn judge(&self, doing: &'static str, told: &Told, error: KafkaError) -> Failure {
        if let Some(Ok(unfit)) = told.refused().map(Refused::for_good) {
            return Failure::Final(unfit);
        }
        match &error {
            KafkaError::Transaction(inner) if inner.txn_requires_abort() => Failure::Abort(error),
            _ if is_final(&error) => Failure::Final(told.error(doing, &self.id, error)),
            _ => Failure::Unknown(error),
        }
    }

    /// Makes good what failed, or says that it cannot be.
    fn recover(&mut self, failure: Failure) -> Result<(), Error> {
        match failure {
            Failure::Final(error) => return Err(error),
            Failure::Abort(error) => self.clients.telemetry.transaction_failed(&error.to_string()),
            Failure::Unknown(error) => {
                self.clients.telemetry.transaction_failed(&error.to_string());
                self.open = None;
                self.producer = None;
            }
        }
        self.drop_uncommitted();
        Ok(())
    }

    /// Waits for a producer that works.
    fn make_ready(&mut self) -> Result<(), Error> {
        while let Err(failure) = self.ready() {
            match failure {
                Failure::Final(error) => return Err(error),
                Failure::Abort(error) | Failure::Unknown(error) => {
                    self.clients.telemetry.transaction_failed(&error.to_string());
                    std::thread::park_timeout(RETRY);
                }
            }
        }
        Ok(())
    }
}

impl Open {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            received: Instant::now(),
            ends: BTreeMap::new(),
            evidence: Evidence::default(),
            erasures: Vec::new(),
            ignored: 0,
            assigned: 0,
            outliers: 0,
            rejections: Vec::new(),
        }
    }

    fn add(&mut self, handed: Handed) {
        let Handed { ends, outcome, tombstones, .. } = handed;
        self.received = self.received.min(outcome.received);
        outcome.teach(&mut self.evidence, outcome.model.sampling);
        self.ends.extend(ends);
        self.ignored += tombstones.iter().filter(|tombstone| tombstone.is_none()).count();
        self.erasures.extend(tombstones.into_iter().flatten());
        let assigned = outcome.judged.iter().filter(|judged| judged.assignment.topic.is_some()).count();
        self.assigned += assigned;
        self.outliers += outcome.judged.len() - assigned;
        self.rejections.extend(outcome.rejections);
    }
}

/// Produces until `handed` ends, and commits what is open then.
pub(super) fn run(
    transactor: &Mutex<Transactor>,
    consumer: &Consumer<Share>,
    handed: &Receiver<Handed>,
) -> Result<(), Error> {
    let lock = || transactor.lock().unwrap_or_else(PoisonError::into_inner);
    let tick = Duration::from_millis(lock().clients.params.params().transaction_ms);
    // What a process of this name left open is ended now: it hides the offsets where this one goes on.
    lock().make_ready()?;
    loop {
        let next = handed.recv_timeout(tick);
        let mut transactor = lock();
        let ended = matches!(next, Err(RecvTimeoutError::Disconnected));
        let taken = next.map_or(Ok(()), |handed| transactor.take(handed));
        let committed = taken.and_then(|()| transactor.commit(consumer, ended));
        let came_to_nothing = committed.is_err();
        if let Err(failure) = committed {
            transactor.recover(failure)?;
        }
        if ended {
            return if came_to_nothing { Err(Error::Uncommitted) } else { Ok(()) };
        }
        // Offsets are asked for only once nothing is open any more, so a new producer comes first.
        transactor.make_ready()?;
    }
}

/// A record of evidence: its key, if it has one, and its value.
type Taught = (Option<&'static [u8]>, Vec<u8>);

/// What was learned, and what is to be erased after that.
fn taught(
    encoder: &str,
    learned: Evidence,
    erasures: &[Erasure],
    done: &Checkpoint,
) -> Result<Vec<Taught>, Broken> {
    let ends = if erasures.is_empty() { done.clone() } else { Checkpoint::new() };
    let evidence = EvidenceRecord::cut(encoder, learned, ends, EVIDENCE_BYTES);
    let evidence = evidence.iter().map(|record| Ok((None, record.encode()?)));
    let erasures = ErasuresRecord::cut(erasures, done, EVIDENCE_BYTES);
    let erasures = erasures.iter().map(|record| Ok((Some(ERASURES), record.encode()?)));
    evidence.chain(erasures).collect()
}

fn arrivals(
    producer: &Producer,
    assignments: &str,
    dead_letters: &str,
    handed: &Handed,
) -> Result<(), KafkaError> {
    let (outcome, now_ms) = (&handed.outcome, jiff::Timestamp::now().as_millisecond());
    for judged in &outcome.judged {
        let record = AssignmentRecord::on_arrival(judged, &outcome.model);
        let envelope = handed.envelopes.get(&judged.document.position);
        let value = line(&record);
        let out = Out {
            topic: assignments,
            key: Some(record.id.as_bytes()),
            value: Some(&value),
            headers: envelope.and_then(Envelope::carried),
            timestamp: envelope.and_then(|envelope| envelope.time(now_ms)),
            source: Some(&record.position),
            ..Out::default()
        };
        produce(producer, &out)?;
    }
    let none = Envelope::default();
    for rejection in &outcome.rejections {
        let envelope = handed.envelopes.get(&rejection.position).unwrap_or(&none);
        let Letter { key, value, headers } = Letter::of(rejection, envelope);
        let out = Out {
            topic: dead_letters,
            key,
            value: Some(value),
            headers: Some(headers),
            timestamp: envelope.time(now_ms),
            source: Some(&rejection.position),
            ..Out::default()
        };
        produce(producer, &out)?;
    }
    Ok(())
}

fn offsets(ends: &BTreeMap<Place, i64>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(ends.len());
    for (place, end) in ends {
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*end))?;
    }
    Ok(list)
}
