//! One partition of one of topicd's own topics, read in order from a known place.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Clients, Consumer, Told};
use super::error::{Error, code};
use super::pulse::Pulse;

/// How long the broker may take to say what a log holds.
const ASKED: Duration = Duration::from_secs(5);
/// How to go on without what is gone.
const SKIP: &str = "start once with `topicd run --accept-gap`";

/// A log, and where its reading began.
pub(super) struct Log {
    consumer: Consumer,
    told: Arc<Told>,
    topic: String,
    from: Offset,
}

/// What the next look at a log found.
#[derive(Debug)]
pub(super) enum Found {
    /// A record.
    Record(Record),
    /// Everything that is committed has been read.
    End,
    /// Nothing within the time.
    Nothing,
}

/// A record of a log.
#[derive(Debug)]
pub(super) struct Record {
    pub offset: i64,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Log {
    /// The log of `topic`, to be read from `from` on.
    pub(super) fn open(clients: &Clients, topic: &str, from: Offset) -> Result<Self, Error> {
        Self::begin(clients.reader()?, topic, from)
    }

    /// The whole log of `topic`, read by the client that feels whether brokers answer.
    pub(super) fn follow(clients: &Clients, topic: &str) -> Result<Self, Error> {
        Self::begin(clients.reader_feeling(Some(Pulse::new()))?, topic, Offset::Beginning)
    }

    fn begin((consumer, told): (Consumer, Arc<Told>), topic: &str, from: Offset) -> Result<Self, Error> {
        let mut list = TopicPartitionList::with_capacity(1);
        let assigned = list.add_partition_offset(topic, 0, from).and_then(|()| consumer.assign(&list));
        assigned.map_err(|source| told.error("read", topic, source))?;
        Ok(Self { consumer, told, topic: topic.to_owned(), from })
    }

    /// Looks for the next record for at most `wait`. Brokers that are away are waited for.
    pub(super) fn next(&self, wait: Duration) -> Result<Found, Error> {
        match self.consumer.poll(wait) {
            None => Ok(Found::Nothing),
            Some(Ok(message)) => Ok(Found::Record(Record {
                offset: message.offset(),
                key: message.key().unwrap_or_default().to_vec(),
                value: message.payload().map(ToOwned::to_owned),
            })),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Found::End),
            Some(Err(error)) if passes(&error) => Ok(Found::Nothing),
            Some(Err(error)) if code(&error) == Some(Code::AutoOffsetReset) => Err(self.gone(error)),
            Some(Err(error)) => Err(self.told.error("read", &self.topic, error)),
        }
    }

    /// `source` with what is known about it.
    pub(super) fn failed(&self, source: KafkaError) -> Error {
        self.told.error("read", &self.topic, source)
    }

    /// What it means that the log cannot be read from where it was opened.
    fn gone(&self, error: KafkaError) -> Error {
        match (self.from, self.consumer.fetch_watermarks(&self.topic, 0, ASKED)) {
            (Offset::Offset(wanted), Ok((first, last))) => {
                Error::Gone { place: format!("{}/0", self.topic), wanted, first, last, skip: SKIP }
            }
            _ => self.told.error("read", &self.topic, error),
        }
    }

    /// Calls `take` with every record up to the end of what is committed now; fails if brokers stay away for longer
    /// than `patience` at a time.
    pub(super) fn read_to_end<E: From<Error>>(
        &self,
        patience: Duration,
        mut take: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            match self.next(patience)? {
                Found::Record(record) => take(record)?,
                Found::End => return Ok(()),
                Found::Nothing => {
                    let source = KafkaError::MessageConsumption(Code::OperationTimedOut);
                    return Err(self.told.error("read", &self.topic, source).into());
                }
            }
        }
    }
}

/// The offsets of what is there of `topic`, which has one partition.
pub(super) fn bounds(clients: &Clients, topic: &str) -> Result<Range<i64>, Error> {
    let (consumer, told) = clients.reader()?;
    let found = consumer.fetch_watermarks(topic, 0, clients.timeout());
    let (first, end) = found.map_err(|source| told.error("look at", topic, source))?;
    Ok(first..end)
}

/// True for an error that goes away when brokers come back; the client tries again by itself.
pub(super) fn passes(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::MessageTimedOut
                | Code::TimedOutQueue
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::BrokerNotAvailable
                | Code::ReplicaNotAvailable
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
                | Code::NetworkException
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::WaitingForCoordinator
                | Code::RebalanceInProgress
                | Code::UnstableOffsetCommit
        )
    )
}
