//! Bringing one record out, and waiting for brokers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer as _};

use super::client::{About, Place, Producer};
use super::error::code;
use super::thread::spawn;
use crate::checkpoint::Position;

/// How long a full queue is given to drain before it is tried again.
const QUEUE_WAIT: Duration = Duration::from_millis(5);
/// Between two attempts of an operation that the broker asks to repeat.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// A record on its way out.
#[derive(Debug, Default)]
pub(super) struct Out<'a> {
    pub topic: &'a str,
    /// None: by the key.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// None: a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: Option<OwnedHeaders>,
    pub timestamp: Option<i64>,
    /// Where the document stands that it is about.
    pub source: Option<&'a Position>,
}

/// Hands `out` to the producer; waits while its queue is full, which its own thread drains.
pub(super) fn produce(producer: &Producer, out: &Out<'_>) -> Result<(), KafkaError> {
    let about = Box::new(out.source.cloned());
    let mut record: BaseRecord<'_, [u8], [u8], About> = BaseRecord::with_opaque_to(out.topic, about);
    (record.partition, record.key, record.payload) = (out.partition, out.key, out.value);
    (record.headers, record.timestamp) = (out.headers.clone(), out.timestamp);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((error, back)) if code(&error) == Some(Code::QueueFull) => {
                record = back;
                std::thread::park_timeout(QUEUE_WAIT);
            }
            Err((error, _)) => {
                let bytes = [out.key, out.value].into_iter().flatten().map(<[u8]>::len).sum();
                let place = Place { topic: Arc::from(out.topic), partition: out.partition.unwrap_or(-1) };
                producer.context().told.refuse(place, bytes, &error, out.key, out.source);
                return Err(error);
            }
        }
    }
}

/// Calls `operation` again as long as the broker asks for it, within `patience`.
pub(super) fn until(
    patience: Duration,
    mut operation: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let started = Instant::now();
    loop {
        match operation() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && started.elapsed() < patience => {
                std::thread::park_timeout(RETRY_WAIT);
            }
            result => return result,
        }
    }
}

/// Waits `patience` for `operation`, which librdkafka may never return from; it then goes on in a thread of its own.
pub(super) fn at_most(
    patience: Duration,
    operation: impl FnOnce() -> Result<(), KafkaError> + Send + 'static,
) -> Result<(), KafkaError> {
    let (done, outcome) = std::sync::mpsc::sync_channel(1);
    // Nobody waits for the answer any more if it took too long.
    spawn("offsets", move || drop(done.send(operation()))).map_err(|_| KafkaError::Canceled)?;
    outcome.recv_timeout(patience).unwrap_or(Err(KafkaError::OffsetFetch(Code::OperationTimedOut)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_returns_is_not_waited_for() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let stuck = at_most(Duration::from_millis(20), move || {
            held.recv().unwrap_err();
            Ok(())
        });
        assert_eq!(stuck, Err(KafkaError::OffsetFetch(Code::OperationTimedOut)));
        drop(release);
        assert_eq!(at_most(Duration::from_mins(1), || Ok(())), Ok(()));
        assert_eq!(at_most(Duration::from_mins(1), || Err(KafkaError::Canceled)), Err(KafkaError::Canceled));
    }
}
