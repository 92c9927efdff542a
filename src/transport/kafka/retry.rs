//! Dead letters back into the topics that they came from.
//!
//! One transaction holds some of them and a mark in each partition of the dead letters that says how far this went. The
//! marks stay as long as the letters do, so nothing is tried again twice, whatever is killed; the offsets of a group
//! would be forgotten after a week.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Clients, Place, Producer, Refused, Told};
use super::error::Error;
use super::produce::{Out, produce, until};
use crate::transport::retry::{Sorted, is_asked};
use crate::transport::start::topic_and_partition;

/// Letters in a transaction, at most: what is done to them must not take longer than it may be open.
const LETTERS: usize = 1000;
/// What begins the names of headers that topicd adds.
const OURS: &str = "topicd.";
/// The number of tries, with this one.
const TRIES: &str = "topicd.tries";
/// In a mark: everything before this offset was tried again, if it has one of the reasons in headers of the other name,
/// or, without these, is no duplicate.
const BEFORE: &str = "topicd.retried_before";
const FOR: &str = "topicd.retried_for";
/// The headers of a letter that is not the whole message.
const CUT: [&str; 3] = ["topicd.cut_from_bytes", "topicd.key_cut_from_bytes", "topicd.headers_left_out"];

/// How far dead letters were tried again before: partition, offset, reasons.
type Mark = (i32, i64, Vec<String>);

/// Tries those with `reasons` again, of all in the `partitions` of the dead letters. Blocks.
pub(super) fn retry(clients: &Clients, partitions: usize, reasons: &[String]) -> Result<Sorted, Error> {
    let timeout = clients.timeout();
    let id = format!("{}.retry", clients.params.params().group);
    // What another process of this kind left open comes to an end now, and so does that process.
    let (producer, told) = clients.producer(Some(&id))?;
    until(timeout, || producer.init_transactions(timeout))
        .map_err(|source| told.error("begin transactions as", &id, source))?;
    let mut marks = Vec::new();
    read(clients, partitions, |message| {
        marks.extend(mark(message));
        Ok(())
    })?;
    let mut again = Again { clients, producer, told, id, reasons, reached: BTreeMap::new(), open: 0 };
    let mut sorted = Sorted::default();
    read(clients, partitions, |message| {
        let Some(reason) = header(message, "topicd.reason") else { return Ok(()) };
        let is_marked = |(partition, before, reasons): &Mark| {
            *partition == message.partition() && message.offset() < *before && is_asked(&reason, reasons)
        };
        if marks.iter().any(is_marked) {
            return Ok(());
        }
        let from = header(message, "topicd.partition").unwrap_or_default();
        let Some(origin) = place(clients, &from) else {
            *sorted.left_out.entry(format!("from `{from}`")).or_default() += 1;
            return Ok(());
        };
        let whole = CUT.iter().all(|name| header(message, name).is_none());
        if sorted.take(&reason, whole, reasons) { again.send(message, &origin) } else { Ok(()) }
    })?;
    again.commit()?;
    Ok(sorted)
}

/// Calls `take` with each record that is in the dead letters now.
fn read(
    clients: &Clients,
    partitions: usize,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let topic = &clients.params.params().topics.dead_letters;
    let (consumer, told) = clients.reader()?;
    let failed = |source| told.error("read", topic, source);
    let mut list = TopicPartitionList::with_capacity(partitions);
    for partition in 0..partitions as i32 {
        list.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    let mut ended = 0;
    while ended < partitions {
        match consumer.poll(clients.timeout()) {
            Some(Ok(message)) => take(&message)?,
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) if super::log::passes(&error) => {}
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(failed(KafkaError::MessageConsumption(Code::OperationTimedOut))),
        }
    }
    Ok(())
}

/// Where a letter came from, if documents come from there.
fn place(clients: &Clients, name: &str) -> Option<Place> {
    let (topic, partition) = topic_and_partition(name)?;
    clients.params.takes(topic).then(|| Place { topic: Arc::from(topic), partition })
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    headers(message).find(|header| header.key == name).map(|header| text(&header))
}

fn headers<'a>(message: &'a BorrowedMessage<'_>) -> impl Iterator<Item = Header<'a, &'a [u8]>> {
    message.headers().into_iter().flat_map(|headers| headers.iter())
}

fn text(header: &Header<'_, &[u8]>) -> String {
    String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned()
}

fn mark(message: &BorrowedMessage<'_>) -> Option<Mark> {
    let before = header(message, BEFORE)?.parse().ok()?;
    let reasons = headers(message).filter(|header| header.key == FOR).map(|header| text(&header));
    Some((message.partition(), before, reasons.collect()))
}

/// Letters on their way back.
struct Again<'a> {
    clients: &'a Clients,
    producer: Producer,
    told: Arc<Told>,
    id: String,
    reasons: &'a [String],
    /// Behind the last letter of each partition in the open transaction.
    reached: BTreeMap<i32, i64>,
    /// Letters in it.
    open: usize,
}

impl Again<'_> {
    fn send(&mut self, message: &BorrowedMessage<'_>, origin: &Place) -> Result<(), Error> {
        if self.open == 0 {
            self.producer.begin_transaction().map_err(|source| self.failed(source))?;
        }
        let tries: u32 = header(message, TRIES).and_then(|tries| tries.parse().ok()).unwrap_or(1);
        let tries = (tries + 1).to_string();
        let theirs = headers(message).filter(|header| !header.key.starts_with(OURS));
        let headers = theirs.fold(OwnedHeaders::new(), OwnedHeaders::insert);
        let out = Out {
            topic: &origin.topic,
            partition: Some(origin.partition),
            key: message.key(),
            value: message.payload(),
            headers: Some(headers.insert(Header { key: TRIES, value: Some(&tries) })),
            timestamp: message.timestamp().to_millis(),
            ..Out::default()
        };
        produce(&self.producer, &out).map_err(|source| self.failed(source))?;
        self.reached.insert(message.partition(), message.offset() + 1);
        self.open += 1;
        if self.open < LETTERS { Ok(()) } else { self.commit() }
    }

    /// Ends the open transaction, if there is one.
    fn commit(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.open) == 0 {
            return Ok(());
        }
        for (partition, before) in std::mem::take(&mut self.reached) {
            let before = before.to_string();
            let headers = OwnedHeaders::new().insert(Header { key: BEFORE, value: Some(&before) });
            let reasons = self.reasons.iter().map(|reason| Header { key: FOR, value: Some(reason) });
            let out = Out {
                topic: &self.clients.params.params().topics.dead_letters,
                partition: Some(partition),
                key: Some(BEFORE.as_bytes()),
                value: Some(b""),
                headers: Some(reasons.fold(headers, OwnedHeaders::insert)),
                ..Out::default()
            };
            produce(&self.producer, &out).map_err(|source| self.failed(source))?;
        }
        let timeout = self.clients.timeout();
        until(timeout, || self.producer.commit_transaction(timeout)).map_err(|source| self.failed(source))
    }

    /// Ends the transaction without a trace, so that no reader waits for its end.
    fn failed(&self, source: KafkaError) -> Error {
        let timeout = self.clients.timeout();
        // If that fails too, the next one of this name, or the broker, ends it.
        drop(until(timeout, || self.producer.abort_transaction(timeout)));
        match self.told.refused() {
            Some(refused) => match refused.for_good() {
                Ok(unfit) => unfit,
                Err(Refused { place, code, .. }) => {
                    self.told.error("write to", place, KafkaError::MessageProduction(code))
                }
            },
            None => self.told.error("try dead letters again as", &self.id, source),
        }
    }
}
