//! Where the assigners' group begins, and where it goes on after an order: offsets that are committed while nobody is in
//! the group. Brokers refuse that while somebody is.

use std::collections::BTreeMap;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Clients, Consumer, Place, Told};
use super::error::{Error, code};
use super::share::list_of;
use crate::transport::start::Start;

/// The topics of the documents with their partitions.
pub(super) type Documents = BTreeMap<String, usize>;

/// Commits where `start` is, for a group of which nothing is committed. Blocks.
pub(super) fn begin(clients: &Clients, documents: &Documents, start: &Start) -> Result<(), Error> {
    if *start == Start::Beginning {
        return Ok(());
    }
    let group = Group::new(clients)?;
    let list = list_of(&places(documents));
    let found = group.consumer.committed_offsets(list, clients.timeout());
    let found = found.map_err(|source| group.failed("ask for the offsets of group", source))?;
    if found.elements().iter().any(|element| matches!(element.offset(), Offset::Offset(_))) {
        return Ok(());
    }
    match group.go(&group.find(documents, start)?) {
        // They have begun.
        Err(Error::GroupLives { .. }) => Ok(()),
        gone => gone,
    }
}

/// Moves the group to where `to` is; each partition that was moved, with its offset. Blocks.
pub(super) fn reset(
    clients: &Clients,
    documents: &Documents,
    to: &Start,
) -> Result<BTreeMap<Place, i64>, Error> {
    let group = Group::new(clients)?;
    let offsets = group.find(documents, to)?;
    group.go(&offsets)?;
    Ok(offsets)
}

/// Every partition of the documents.
pub(super) fn places(documents: &Documents) -> Vec<Place> {
    let of = |(topic, partitions): (&String, &usize)| {
        let topic = std::sync::Arc::from(topic.as_str());
        (0..*partitions as i32)
            .map(move |partition| Place { topic: std::sync::Arc::clone(&topic), partition })
    };
    documents.iter().flat_map(of).collect()
}

/// The group, asked from outside of it.
struct Group<'a> {
    clients: &'a Clients,
    consumer: Consumer,
    told: std::sync::Arc<Told>,
}

impl<'a> Group<'a> {
    fn new(clients: &'a Clients) -> Result<Self, Error> {
        let (consumer, told) = clients.reader()?;
        Ok(Self { clients, consumer, told })
    }

    fn name(&self) -> &str {
        &self.clients.params.params().group
    }

    fn failed(&self, doing: &'static str, source: rdkafka::error::KafkaError) -> Error {
        self.told.error(doing, self.name(), source)
    }

    /// The offsets of `start`.
    fn find(&self, documents: &Documents, start: &Start) -> Result<BTreeMap<Place, i64>, Error> {
        let all = places(documents);
        if let Start::Offsets(offsets) = start {
            let named = offsets.iter().map(|(topic, partition, offset)| {
                let place = Place { topic: topic.as_str().into(), partition: *partition };
                if !all.contains(&place) {
                    return Err(Error::NoPlace { place: place.to_string() });
                }
                let (first, last) = self.bounds(&place)?;
                if !(first..=last).contains(offset) {
                    return Err(Error::NoOffset { place: place.to_string(), wanted: *offset, first, last });
                }
                Ok((place, *offset))
            });
            return named.collect();
        }
        let later = if let Start::Time(ms) = start { self.since(&all, *ms)? } else { BTreeMap::new() };
        let offset = |place: Place| {
            let (first, last) = self.bounds(&place)?;
            let offset = match start {
                Start::Beginning => first,
                _ => later.get(&place).copied().unwrap_or(last),
            };
            Ok((place, offset))
        };
        all.into_iter().map(offset).collect()
    }

    /// The first offset of time `ms` or later, where there is one.
    fn since(&self, places: &[Place], ms: i64) -> Result<BTreeMap<Place, i64>, Error> {
        let mut times = TopicPartitionList::with_capacity(places.len());
        let failed = |source| self.failed("look for a time in the documents of group", source);
        for Place { topic, partition } in places {
            times.add_partition_offset(topic, *partition, Offset::Offset(ms)).map_err(failed)?;
        }
        let found = self.consumer.offsets_for_times(times, self.clients.timeout()).map_err(failed)?;
        let elements = found.elements();
        let found = elements.iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => {
                Some((Place { topic: element.topic().into(), partition: element.partition() }, offset))
            }
            _ => None,
        });
        Ok(found.collect())
    }

    /// The first offset, and the one behind the last.
    fn bounds(&self, place: &Place) -> Result<(i64, i64), Error> {
        let found = self.consumer.fetch_watermarks(&place.topic, place.partition, self.clients.timeout());
        found.map_err(|source| self.told.error("look at", place, source))
    }

    /// Commits `offsets` for the group.
    fn go(&self, offsets: &BTreeMap<Place, i64>) -> Result<(), Error> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (Place { topic, partition }, offset) in offsets {
            let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
            added.map_err(|source| self.failed("move group", source))?;
        }
        let foreign = [Code::UnknownMemberId, Code::IllegalGeneration, Code::RebalanceInProgress];
        match self.consumer.commit(&list, CommitMode::Sync) {
            Err(error) if code(&error).is_some_and(|code| foreign.contains(&code)) => {
                Err(Error::GroupLives { group: self.name().to_owned(), members: self.members() })
            }
            committed => committed.map_err(|source| self.failed("move group", source)),
        }
    }

    /// Who is in the group, as far as that is told.
    fn members(&self) -> String {
        let found = self.consumer.fetch_group_list(Some(self.name()), self.clients.timeout());
        let Ok(found) = found else { return String::new() };
        let members = found.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
        let names: Vec<String> =
            members.map(|member| format!("{} at {}", member.client_id(), member.client_host())).collect();
        names.join(", ")
    }
}
