//! What every client has in common: settings, logging, and the last reason that a broker gave.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::error::{Error, code};
use super::log::passes;
use super::pulse::Pulse;
use crate::checkpoint::{Partition, Position};
use crate::telemetry::{Heard, Telemetry};
use crate::transport::brokers::Checked;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl Place {
    /// The name under which its positions are recorded.
    pub(super) fn partition(&self) -> Partition {
        Partition::new(&self.to_string())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Copied at once: a list of librdkafka's that outlives its consumer hangs the consumer's end.
pub(super) fn places(list: &TopicPartitionList) -> Vec<Place> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| Place { topic: Arc::from(element.topic()), partition: element.partition() })
        .collect()
}

/// What a consumer does when its share of a topic changes; called on the thread that polls.
pub(super) trait Rebalancing: Send + Sync + 'static {
    /// These partitions came; none where the others of the group have them all.
    fn assigned(&self, consumer: &BaseConsumer<Context<Self>>, places: &[Place])
    where
        Self: Sized;

    /// These partitions go as soon as this returns, or are `lost` already, with the place in the group.
    fn revoked(&self, places: &[Place], lost: bool);
}

/// For clients that are in no group.
impl Rebalancing for () {
    fn assigned(&self, _consumer: &BaseConsumer<Context<Self>>, _places: &[Place]) {}

    fn revoked(&self, _places: &[Place], _lost: bool) {}
}

/// What librdkafka told, where no call's result says it.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last error callback.
    reason: Mutex<Option<(Code, String)>>,
    /// The first record that a broker refused.
    refused: Mutex<Option<Refused>>,
}

/// Where the document stands that a record is about, on its way through librdkafka.
pub(super) type About = Box<Option<Position>>;

/// A record that a broker, or librdkafka, refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub place: Place,
    pub bytes: usize,
    pub code: Code,
    /// What the record is about.
    pub about: String,
}

impl Refused {
    /// What it means for the user, if the record would be refused again.
    pub(super) fn for_good(self) -> Result<Error, Self> {
        let Self { place, bytes, code, about } = self;
        match code {
            Code::MessageSizeTooLarge => Ok(Error::TooLarge { place: place.to_string(), bytes, about }),
            Code::InvalidRecord | Code::InvalidTimestamp | Code::PolicyViolation => {
                Ok(Error::Unfit { place: place.to_string(), code, about })
            }
            code => Err(Self { place, bytes, code, about }),
        }
    }
}

/// Characters of a record's key in a message.
const QUOTED: usize = 60;

impl Told {
    fn reason(&self) -> Option<(Code, String)> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if a broker, or this side, refused the connection for good.
    pub(super) fn shut_out(&self) -> bool {
        self.reason().is_some_and(|(code, _)| SHUT_OUT.contains(&code))
    }

    fn forget_reason(&self) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A record came to nothing, because of `error`.
    pub(super) fn refuse(
        &self,
        place: Place,
        bytes: usize,
        error: &KafkaError,
        key: Option<&[u8]>,
        about: Option<&Position>,
    ) {
        let purged = [Code::PurgeQueue, Code::PurgeInflight];
        let Some(code) = code(error).filter(|code| !purged.contains(code)) else { return };
        let about = match (about, key) {
            (Some(position), _) => format!("document `{position}`"),
            (None, Some(key)) => {
                format!("`{}`", String::from_utf8_lossy(key).chars().take(QUOTED).collect::<String>())
            }
            (None, None) => "no document".to_owned(),
        };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert(Refused { place, bytes, code, about });
    }

    /// Why a record was refused, if one was; it stays there for [`refused`](Self::refused).
    pub(super) fn refusal(&self) -> Option<Code> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().map(|refused| refused.code)
    }

    /// The first record that was refused since the last call, if any.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// `source` with what is known about it.
    pub(super) fn error(&self, doing: &'static str, subject: impl ToString, source: KafkaError) -> Error {
        let subject = subject.to_string();
        let said = self.reason();
        // A call whose connection was refused says only that there is none.
        let source = match &said {
            Some((code, _)) if SHUT_OUT.contains(code) && passes(&source) => KafkaError::Global(*code),
            _ => source,
        };
        let fenced = [Code::Fenced, Code::ProducerFenced, Code::FencedInstanceId];
        if code(&source).is_some_and(|code| fenced.contains(&code)) {
            return Error::Fenced { id: subject };
        }
        let (source, reason) = (Box::new(source), said.map(|(_, reason)| reason));
        Error::Kafka { doing, subject, source, reason }
    }
}

const SHUT_OUT: [Code; 3] = [Code::Authentication, Code::SaslAuthenticationFailed, Code::SSL];

/// Takes librdkafka's callbacks.
pub(super) struct Context<R = ()> {
    pub told: Arc<Told>,
    pub rebalancing: R,
    telemetry: Telemetry,
    /// For the one client by which it is known whether brokers answer.
    pulse: Option<Pulse>,
}

impl<R: Rebalancing> ClientContext for Context<R> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The user's settings go to every client; each says which of them are not for its kind.
        if facility == "CONFWARN" && message.contains("property and will be ignored by this") {
            return;
        }
        self.telemetry.kafka_logged(level as i32, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match code(&error) {
            // The end of a partition is no error. That all brokers are down is told after the reason, and again and
            // again, and says less.
            Some(Code::PartitionEOF | Code::AllBrokersDown) => return,
            Some(code) => {
                let mut last = self.told.reason.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some((code, reason.to_owned()));
            }
            None => {}
        }
        self.telemetry.kafka_complained(reason);
    }

    fn stats(&self, statistics: Statistics) {
        if let Some(pulse) = &self.pulse {
            pulse.feel(&statistics.brokers, &self.telemetry);
        }
        for (topic, found) in &statistics.topics {
            for (partition, found) in found.partitions.iter().filter(|(_, found)| found.ls_offset >= 0) {
                let given = found.app_offset;
                let is_empty = found.fetchq_cnt == 0;
                let empty_to = if is_empty { found.eof_offset.max(given) } else { given };
                self.telemetry.partition_heard(
                    topic,
                    *partition,
                    Heard { end: found.ls_offset, given, empty_to },
                );
            }
        }
    }
}

impl<R: Rebalancing> ConsumerContext for Context<R> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            let places = places(list);
            if !places.is_empty() {
                self.rebalancing.revoked(&places, consumer.assignment_lost());
            }
            self.telemetry.partitions_revoked(places.len());
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            self.told.forget_reason();
            let places = places(list);
            self.rebalancing.assigned(consumer, &places);
            self.telemetry.partitions_assigned(places.len());
        }
    }
}

impl<R: Rebalancing> ProducerContext for Context<R> {
    type DeliveryOpaque = About;

    fn delivery(&self, result: &DeliveryResult<'_>, about: About) {
        if let Err((error, message)) = result {
            let place = Place { topic: Arc::from(message.topic()), partition: message.partition() };
            let bytes = message.payload_len() + message.key_len();
            self.told.refuse(place, bytes, error, message.key(), (*about).as_ref());
        }
    }
}

/// How often a consumer tells of its partitions and brokers.
pub(super) const STATISTICS_MS: &str = "2000";

pub(super) type Producer = ThreadedProducer<Context>;
pub(super) type Consumer<R = ()> = BaseConsumer<Context<R>>;

/// Makes clients.
#[derive(Clone)]
pub(super) struct Clients {
    pub params: Checked,
    pub telemetry: Telemetry,
    /// This process's name in the group.
    pub instance: Arc<str>,
}

/// How large a record may be for the client; its topic decides.
const MOST_MESSAGE_BYTES: &str = "16777216";

impl Clients {
    pub(super) fn new(params: Checked, telemetry: Telemetry) -> Self {
        let given = params.params().instance.clone();
        let instance = if given.is_empty() { random_name() } else { given };
        Self { params, telemetry, instance: Arc::from(instance) }
    }

    /// How long an operation may wait for brokers.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.params.params().timeout_ms)
    }

    /// The user's settings over `defaults`, and `ours` over them.
    pub(super) fn settings(&self, defaults: &[(&str, &str)], ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        let common = [
            ("topic.metadata.refresh.interval.ms", "30000"),
            ("reconnect.backoff.max.ms", "2000"),
            ("message.max.bytes", MOST_MESSAGE_BYTES),
        ];
        for (name, value) in common.iter().chain(defaults) {
            config.set(*name, *value);
        }
        config.set("client.id", format!("topicd-{}", self.instance));
        for (name, value) in self.params.settings() {
            config.set(name, value);
        }
        for (name, value) in ours {
            config.set(*name, *value);
        }
        config.set("bootstrap.servers", &self.params.params().brokers);
        config
    }

    /// The same for a member of `group` that commits nothing by itself and sees committed records only; a static member
    /// if the process has a name.
    pub(super) fn member(&self, group: &str, defaults: &[(&str, &str)]) -> ClientConfig {
        let common = [
            ("session.timeout.ms", "10000"),
            // A partition changes hands in two rounds, each as long as a heartbeat.
            ("heartbeat.interval.ms", "1000"),
            ("partition.assignment.strategy", "cooperative-sticky"),
        ];
        let ours =
            [("group.id", group), ("enable.auto.commit", "false"), ("isolation.level", "read_committed")];
        let mut config = self.settings(&[&common, defaults].concat(), &ours);
        let instance = &self.params.params().instance;
        if !instance.is_empty() {
            config.set("group.instance.id", instance);
        }
        config
    }

    /// A client made of `config`.
    pub(super) fn make<R, T>(&self, config: &ClientConfig, rebalancing: R) -> Result<(T, Arc<Told>), Error>
    where
        R: Rebalancing,
        T: FromClientConfigAndContext<Context<R>>,
    {
        self.make_feeling(config, rebalancing, None)
    }

    fn make_feeling<R, T>(
        &self,
        config: &ClientConfig,
        rebalancing: R,
        pulse: Option<Pulse>,
    ) -> Result<(T, Arc<Told>), Error>
    where
        R: Rebalancing,
        T: FromClientConfigAndContext<Context<R>>,
    {
        let told = Arc::new(Told::default());
        let context = Context { told: told.clone(), rebalancing, telemetry: self.telemetry.clone(), pulse };
        let made = T::from_config_and_context(config, context);
        let brokers = &self.params.params().brokers;
        made.map(|client| (client, told.clone()))
            .map_err(|source| told.error("make a client for", brokers, source))
    }

    /// The group in which the modeler is chosen, and the transactional id of the one that is.
    pub(super) fn modeler(&self) -> String {
        format!("{}.modeler", self.params.params().group)
    }

    /// A consumer outside of any group that sees committed records only and tells the end of a partition.
    pub(super) fn reader(&self) -> Result<(Consumer, Arc<Told>), Error> {
        self.reader_feeling(None)
    }

    /// Likewise; `pulse` feels whether brokers answer it.
    pub(super) fn reader_feeling(&self, pulse: Option<Pulse>) -> Result<(Consumer, Arc<Told>), Error> {
        let ours = [
            // librdkafka asks for a name even where no group is joined, and brokers for the right to it.
            ("group.id", self.params.params().group.as_str()),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
        ];
        let defaults = [
            ("statistics.interval.ms", STATISTICS_MS),
            // Evidence that waits for the modeler waits in Kafka: what is read ahead is memory, 64 MiB unless said.
            ("queued.max.messages.kbytes", "16384"),
        ];
        self.make_feeling(&self.settings(&defaults, &ours), (), pulse)
    }

    /// A producer; with `id` a transactional one: the older one of the same id is fenced once it is initialised.
    pub(super) fn producer(&self, id: Option<&str>) -> Result<(Producer, Arc<Told>), Error> {
        // A dead producer's open transaction holds every reader back until it times out.
        let defaults = [
            ("compression.type", "zstd"),
            ("compression.level", "1"),
            ("transaction.timeout.ms", "30000"),
            ("linger.ms", "5"),
        ];
        let mut config = self.settings(&defaults, &[("enable.idempotence", "true")]);
        if let Some(id) = id {
            config.set("transactional.id", id);
        }
        self.make(&config, ())
    }
}

fn random_name() -> String {
    format!("{:016x}", rand::random::<u64>())
}
