//! Exactly one modeler: whoever the group of modelers gives the evidence topic's only partition.
//!
//! The membership is the election and nothing else: the partition stays paused here, because what is read and from
//! where is up to the state. A modeler that lost the partition without noticing is stopped by the transactional
//! producer, which its successor has fenced.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client::{Clients, Consumer, Context, Place, Rebalancing, Told};
use super::error::Error;
use super::log::passes;
use super::thread::spawn;

/// How long the thread waits before it looks whether it shall stop.
const TICK: Duration = Duration::from_millis(100);

/// A candidate.
pub(super) struct Election {
    leading: watch::Receiver<bool>,
    stop: CancellationToken,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

/// Says who leads.
struct Seat(watch::Sender<bool>);

impl Rebalancing for Seat {
    fn assigned(&self, consumer: &BaseConsumer<Context<Self>>, places: &[Place]) {
        if places.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for place in places {
            list.add_partition(&place.topic, place.partition);
        }
        // If it cannot be paused its records are read and dropped, which costs traffic only.
        drop(consumer.pause(&list));
        self.0.send_replace(true);
    }

    fn revoked(&self, _places: &[Place], _lost: bool) {
        self.0.send_replace(false);
    }
}

impl Election {
    /// Stands for election until [`close`](Self::close).
    pub(super) fn stand(clients: &Clients) -> Result<Self, Error> {
        let params = clients.params.params();
        let group = clients.modeler();
        let config = clients.member(&group, &[("auto.offset.reset", "latest")]);
        let (seat, leading) = watch::channel(false);
        let (consumer, told): (Consumer<Seat>, _) = clients.make(&config, Seat(seat))?;
        let evidence = params.topics.evidence.clone();
        consumer.subscribe(&[&evidence]).map_err(|source| told.error("subscribe to", &evidence, source))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = spawn("election", move || poll(&consumer, &told, &group, &stopped))?;
        Ok(Self { leading, stop, thread: Some(thread) })
    }

    /// Whether this process leads, now and later.
    pub(super) fn leading(&self) -> watch::Receiver<bool> {
        self.leading.clone()
    }

    /// Waits until this process leads. Cancel safe.
    pub(super) async fn won(&mut self) -> Result<(), Error> {
        let mut leading = self.leading.clone();
        if leading.wait_for(|leading| *leading).await.is_ok() {
            return Ok(());
        }
        // The thread is gone, and says why.
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => Err(error),
            _ => Err(Error::Thread { name: "election" }),
        }
    }

    /// Leaves the group, so that the next one can take over at once. Blocks for a moment.
    pub(super) fn close(mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // What it failed of doesn't matter any more.
            drop(thread.join());
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn poll(
    consumer: &Consumer<Seat>,
    told: &Arc<Told>,
    group: &str,
    stop: &CancellationToken,
) -> Result<(), Error> {
    while !stop.is_cancelled() {
        match consumer.poll(TICK) {
            Some(Err(KafkaError::PartitionEOF(_)) | Ok(_)) | None => {}
            Some(Err(error)) if passes(&error) => {}
            Some(Err(error)) => return Err(told.error("take part in group", group, error)),
        }
    }
    Ok(())
}
