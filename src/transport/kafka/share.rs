//! This process's share of the documents, which changes as members of the group come and go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Clients, Consumer, Context, Place, Rebalancing, STATISTICS_MS, Told, places};
use super::error::Error;
use super::transact::Transactor;
use crate::telemetry::{Reading, Telemetry};

/// This process's share of the documents: when a part of it goes, what is open goes too.
pub(super) struct Share {
    transactor: Arc<Mutex<Transactor>>,
    readings: Readings,
    group: String,
    telemetry: Telemetry,
    lockstep: bool,
}

/// The partitions that this process has, up to what is committed.
pub(super) type Readings = Arc<Mutex<BTreeMap<Place, Reading>>>;

impl Share {
    /// The partitions that this process has.
    pub(super) fn all(&self) -> Vec<Place> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Those of which it is not known where the group goes on.
    pub(super) fn fresh(&self) -> Vec<Place> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = readings.iter().filter(|(_, reading)| !reading.has_begun());
        fresh.map(|(place, _)| place.clone()).collect()
    }

    /// The group goes on in `place` at `offset`.
    pub(super) fn begins(&self, place: &Place, offset: i64) {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        readings.get(place).into_iter().for_each(|reading| reading.begins(offset));
    }

    /// Everything that is not committed is read again.
    pub(super) fn start_over(&self) {
        self.transactor.lock().unwrap_or_else(PoisonError::into_inner).drop_uncommitted();
    }
}

impl Rebalancing for Share {
    /// In lockstep it must be known where the partitions stand, which is found out by going back there.
    fn assigned(&self, _consumer: &BaseConsumer<Context<Self>>, places: &[Place]) {
        self.telemetry.group_joined();
        if places.is_empty() {
            return;
        }
        self.telemetry.share_changed();
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places {
            readings.insert(place.clone(), self.telemetry.partition_read(&place.topic, place.partition));
        }
        drop(readings);
        if self.lockstep {
            self.start_over();
        }
    }

    fn revoked(&self, places: &[Place], lost: bool) {
        if lost {
            self.telemetry.group_left(&self.group);
        }
        self.telemetry.share_changed();
        self.start_over();
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().for_each(|place| drop(readings.remove(place)));
    }
}

/// A member of the assigners' group, not yet subscribed to anything.
pub(super) fn join(
    clients: &Clients,
    transactor: Arc<Mutex<Transactor>>,
    readings: Readings,
    lockstep: bool,
) -> Result<(Arc<Consumer<Share>>, Arc<Told>), Error> {
    let params = clients.params.params();
    let defaults = [
        // A partition of which nothing is committed is told apart from one whose records are gone.
        ("auto.offset.reset", "error"),
        ("queued.max.messages.kbytes", "32768"),
        ("statistics.interval.ms", STATISTICS_MS),
    ];
    let config = clients.member(&params.group, &defaults);
    let (group, telemetry) = (params.group.clone(), clients.telemetry.clone());
    telemetry.group_left(&group);
    let share = Share { transactor, readings, group, telemetry, lockstep };
    let (consumer, told): (Consumer<Share>, _) = clients.make(&config, share)?;
    Ok((Arc::new(consumer), told))
}

/// The partitions `of` the documents with their committed offsets.
pub(super) fn committed(
    consumer: &Consumer<Share>,
    of: &[Place],
    patience: Duration,
) -> KafkaResult<Vec<(Place, Offset)>> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let list = consumer.committed_offsets(list_of(of), patience)?;
    let elements = list.elements();
    let offsets = elements.iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
    Ok(places(&list).into_iter().zip(offsets).collect())
}

/// A list of our own.
pub(super) fn list_of(places: &[Place]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for place in places {
        list.add_partition(&place.topic, place.partition);
    }
    list
}
