//! The topics that documents come from, and how each of them is read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use serde_json::value::{RawValue, to_raw_value};

use super::client::{Clients, Consumer, Place, Told};
use super::envelope::Envelope;
use super::error::{Error, code};
use super::log::passes;
use super::share::Share;
use crate::checkpoint::{Partition, Position};
use crate::document::{Document, Rejection};
use crate::telemetry::Telemetry;
use crate::transport::brokers::Checked;
use crate::transport::embedded::{self, Parser};

/// How often it is looked whether there are new topics that a pattern matches.
const LOOK: Duration = Duration::from_secs(5);
/// How long the broker may take to list its topics.
const LISTED: Duration = Duration::from_secs(2);

/// The topics that documents come from.
pub(super) struct SourceTopics {
    params: Checked,
    source: embedded::Params,
    dimension: usize,
    telemetry: Telemetry,
    /// Those that are subscribed to.
    subscribed: BTreeSet<String>,
    /// When it was looked for more; never yet, at the start.
    looked: Option<Instant>,
    /// Those of which something was read.
    known: HashMap<String, Known>,
}

/// What is known of a topic.
struct Known {
    reader: MessageReader,
    partitions: HashMap<i32, (Place, Partition)>,
}

impl SourceTopics {
    pub(super) fn new(clients: &Clients, source: &embedded::Params, dimension: usize) -> Self {
        Self {
            params: clients.params.clone(),
            source: source.clone(),
            dimension,
            telemetry: clients.telemetry.clone(),
            subscribed: BTreeSet::new(),
            looked: None,
            known: HashMap::new(),
        }
    }

    /// What they are called in messages.
    pub(super) fn name(&self) -> &str {
        &self.params.params().topics.documents
    }

    /// Subscribes to the topics that are there; to those that a pattern matches as they come and go.
    pub(super) fn subscribe(&mut self, consumer: &Consumer<Share>, told: &Told) -> Result<(), Error> {
        let subscription = self.params.documents();
        let is_due = self.looked.is_none_or(|at| subscription.has_pattern() && at.elapsed() >= LOOK);
        if !is_due {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let mut topics: BTreeSet<String> = subscription.names().map(ToOwned::to_owned).collect();
        if subscription.has_pattern() {
            match consumer.fetch_metadata(None, LISTED) {
                Ok(metadata) => {
                    let names = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name);
                    topics.extend(names.filter(|name| self.params.takes(name)).map(ToOwned::to_owned));
                }
                // It is looked again.
                Err(error) if passes(&error) => return Ok(()),
                Err(error) => return Err(told.error("list the topics of", self.name(), error)),
            }
        }
        if topics == self.subscribed {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|source| told.error("subscribe to", self.name(), source))?;
        self.telemetry.topics_subscribed(&names);
        self.subscribed = topics;
        Ok(())
    }

    /// True for an error that says that a topic is gone which need not be there.
    pub(super) fn may_go(&self, error: &KafkaError) -> bool {
        let gone = [Code::UnknownTopicOrPartition, Code::UnknownTopic, Code::UnknownPartition];
        self.params.documents().has_pattern() && code(error).is_some_and(|code| gone.contains(&code))
    }

    /// A partition, and the name under which its positions are recorded.
    pub(super) fn place(&mut self, topic: &str, partition: i32) -> (Place, Partition) {
        let names = || {
            let place = Place { topic: Arc::from(topic), partition };
            (place.clone(), place.partition())
        };
        self.known(topic).partitions.entry(partition).or_insert_with(names).clone()
    }

    /// What reads the messages of `topic`.
    pub(super) fn reader(&mut self, topic: &str) -> &MessageReader {
        &self.known(topic).reader
    }

    fn known(&mut self, topic: &str) -> &mut Known {
        let Self { source, dimension, known, .. } = self;
        known.entry_ref(topic).or_insert_with(|| Known {
            reader: MessageReader::new(source.parser_of(topic, Some(*dimension))),
            partitions: HashMap::new(),
        })
    }
}

/// Reads messages as documents.
pub(super) struct MessageReader {
    parser: Parser,
    /// The headers that fields are taken from.
    headers: Vec<String>,
    /// Whether a field may be the message's key.
    takes_key: bool,
}

/// How the name of a field begins that is a header.
const HEADERS: &str = "headers.";
/// The name of the field that is the message's key.
const KEY: &str = "key";

impl MessageReader {
    fn new(parser: Parser) -> Self {
        let names = parser.fields.names();
        let headers = names.iter().filter(|name| name.starts_with(HEADERS)).map(ToString::to_string);
        Self { headers: headers.collect(), takes_key: names.contains(&KEY), parser }
    }

    /// The document of a message. Without an id of its own it has that of the message's key; without one, its place's.
    pub(super) fn read(
        &self,
        payload: &[u8],
        position: &Position,
        envelope: &Envelope,
    ) -> Result<Document, Rejection> {
        let named = envelope.id().map_or_else(|| Arc::from(position.to_string()), Arc::from);
        let beside = self.beside(envelope);
        let mut document = self.parser.parse_beside(payload, &beside, position.clone(), named)?;
        document.timestamp_ms = document.timestamp_ms.or(envelope.timestamp_ms);
        Ok(document)
    }

    /// The fields that stand in the key and the headers; what is not UTF-8 is none.
    fn beside(&self, envelope: &Envelope) -> Vec<(String, Box<RawValue>)> {
        let headers =
            self.headers.iter().filter_map(|name| Some((name, envelope.header(&name[HEADERS.len()..])?)));
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value).ok()?)));
        let key = envelope.id().filter(|_| self.takes_key).map(|key| (KEY, key));
        let texts = headers.chain(key);
        texts.filter_map(|(name, text)| Some((name.to_owned(), to_raw_value(text).ok()?))).collect()
    }
}
