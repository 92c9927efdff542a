//! What can go wrong between the daemon and Kafka, each with its way out.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::client;

/// What can go wrong between the daemon and Kafka.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka or a broker refused; `reason` is what the client's log said last.
    #[error("cannot {doing} `{subject}`: {source}{}; {}", said(reason.as_deref()), way_out(source))]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// Topic, group, or brokers at fault.
        subject: String,
        /// What librdkafka says.
        source: Box<KafkaError>,
        /// What its error callback said last, which for TLS and SASL is the only place that says it.
        reason: Option<String>,
    },
    /// A topic that is not ours to make is not there.
    #[error("topic `{topic}` is missing; create it, or set `kafka.topics.{key}` to one that is there{}", create_hint(*allowed, key))]
    TopicMissing {
        /// Its name.
        topic: String,
        /// The key that names it.
        key: &'static str,
        /// Whether topics may be created.
        allowed: bool,
    },
    /// No topic is there that a pattern of the documents matches.
    #[error("no topic matches `{pattern}`; create one, or mend `kafka.topics.documents`")]
    NoTopics {
        /// The pattern.
        pattern: String,
    },
    /// The group cannot be moved while somebody is in it.
    #[error(
        "group `{group}` has members{}, so its offsets stay; stop them, and wait until their sessions end (10 s, or \
         `session.timeout.ms`)",
        members_hint(members)
    )]
    GroupLives {
        /// The group.
        group: String,
        /// Who is in it, if that is told.
        members: String,
    },
    /// There is no such partition of the documents.
    #[error("`{place}` is no partition of the documents; `topicd check --connect` lists their topics")]
    NoPlace {
        /// Topic and partition.
        place: String,
    },
    /// There is no such offset in a partition.
    #[error("`{place}` has no offset {wanted}; it holds {first} to {last}")]
    NoOffset {
        /// Topic and partition.
        place: String,
        /// The offset that was asked for.
        wanted: i64,
        /// The first one that is there.
        first: i64,
        /// The one after the last.
        last: i64,
    },
    /// A topic that must have one partition has several.
    #[error(
        "topic `{topic}` has {found} partitions but must have 1; delete it, or name another in `kafka.topics.{key}`"
    )]
    Partitions {
        /// Its name.
        topic: String,
        /// The key that names it.
        key: &'static str,
        /// Its partitions.
        found: usize,
    },
    /// Documents in several partitions have no order.
    #[error(
        "topic `{topic}` has {found} partitions but must have 1 with `refit.lockstep`; set that to false, or name another in \
         `kafka.topics.documents`"
    )]
    Lockstep {
        /// The documents.
        topic: String,
        /// Their partitions.
        found: usize,
    },
    /// A topic has a setting under which records would be lost or refused.
    #[error("topic `{topic}` has `{setting}` = {found} but must have {must}; mend it with `{mend}`")]
    TopicSetting {
        /// Its name.
        topic: String,
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        must: String,
        /// The command that does it.
        mend: String,
    },
    /// A topic has settings under which erased texts stay in it for long.
    #[error(
        "topic `{topic}` has {found}: what was erased or replaced stays in it for longer than need be, and a start takes longer; \
         mend it with `{mend}`"
    )]
    TopicSettings {
        /// Its name.
        topic: String,
        /// The settings, each with what it should be.
        found: String,
        /// The command that does it.
        mend: String,
    },
    /// A record is larger than its topic takes.
    #[error(
        "a record of {bytes} bytes about {about} is too large for `{place}`; set the topic's `max.message.bytes` to at \
         least 1000000"
    )]
    TooLarge {
        /// Topic and partition.
        place: String,
        /// The record's size.
        bytes: usize,
        /// The document, or the record's key.
        about: String,
    },
    /// A topic refuses a record for what it is.
    #[error(
        "`{place}` refuses the record about {about}: {code}; check `cleanup.policy` and `message.timestamp` in the \
         topic's settings"
    )]
    Unfit {
        /// Topic and partition.
        place: String,
        /// The broker's reason.
        code: Code,
        /// The document, or the record's key.
        about: String,
    },
    /// Records were deleted before they were read.
    #[error(
        "`{place}` goes on at offset {wanted}, but holds {first} to {last}: records are gone unread; raise the topic's \
         `retention.ms`, and, to go on without them, {skip}"
    )]
    Gone {
        /// Topic and partition.
        place: String,
        /// The next offset to read.
        wanted: i64,
        /// The first one that is there.
        first: i64,
        /// The one after the last.
        last: i64,
        /// How to go on without what is lost.
        skip: &'static str,
    },
    /// The process ends, and something is not done.
    #[error("the last transaction came to nothing; what was in it is done again at the next start")]
    Uncommitted,
    /// Another process took this one's place.
    #[error("another process has taken the place of `{id}`; give each process its own `kafka.instance`")]
    Fenced {
        /// The transactional id, or the instance.
        id: String,
    },
    /// Another process is the modeler now.
    #[error("another process is the modeler now; this one waits for its turn")]
    NotLeading,
    /// The schema registry is out of reach.
    #[error("the schema registry at `{url}` does not tell a schema; check `kafka.registry`")]
    Registry {
        /// Where it should be.
        url: String,
        /// The reason.
        #[source]
        source: client::Error,
    },
    /// A record in one of topicd's own topics cannot be read.
    #[error(
        "record `{topic}/0@{offset}` cannot be read; was it written by another program or a newer topicd?"
    )]
    Broken {
        /// The topic.
        topic: String,
        /// The record's offset.
        offset: i64,
        /// What is wrong with it.
        #[source]
        source: crate::record::Broken,
    },
    /// The model in Kafka was made with another encoder.
    #[error(
        "topic `{topic}` holds a model of encoder `{found}`, not `{wanted}`; set `embed.model` back, or name other topics"
    )]
    Encoder {
        /// The model's topic.
        topic: String,
        /// The encoder found.
        found: String,
        /// The encoder in use.
        wanted: String,
    },
    /// A thread is gone that must not be.
    #[error("the thread `{name}` is gone; start again, it goes on from the last commit")]
    Thread {
        /// The thread.
        name: &'static str,
    },
    /// The system gives no thread.
    #[error("no thread for `{name}`")]
    NoThread {
        /// The thread.
        name: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// True if another process took this one's place, or seems to have: a member whose answer was lost when a broker died
    /// is fenced by itself.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }

    /// True if it goes away when brokers come back, or when it is tried again.
    pub fn passes(&self) -> bool {
        match self {
            Self::NotLeading | Self::Thread { .. } | Self::Registry { .. } => true,
            Self::Kafka { source, .. } => !is_final(source),
            _ => false,
        }
    }
}

/// True for an error that comes again however often one tries.
pub(super) fn is_final(error: &KafkaError) -> bool {
    match code(error) {
        Some(code) => matches!(
            code,
            Code::Fenced
                | Code::ProducerFenced
                | Code::FencedInstanceId
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::Authentication
                | Code::SSL
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::MessageSizeTooLarge
                | Code::InvalidTransactionTimeout
                | Code::InvalidReplicationFactor
                | Code::OffsetOutOfRange
                | Code::AutoOffsetReset
        ),
        None => matches!(error, KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)),
    }
}

fn said(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

fn members_hint(members: &str) -> String {
    if members.is_empty() { String::new() } else { format!(" ({members})") }
}

fn create_hint(allowed: bool, key: &str) -> &'static str {
    if allowed || key == "documents" { "" } else { ", or set `kafka.create_topics` to true" }
}

/// The error's code, where it has one.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        other => other.rdkafka_error_code(),
    }
}

/// What the user can do about it.
fn way_out(error: &KafkaError) -> &'static str {
    let Some(code) = code(error) else {
        return "check `kafka.settings`";
    };
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "create the topic, or check `kafka.topics`"
        }
        Code::TopicAuthorizationFailed => "give the user the right to read, write and describe the topic",
        Code::GroupAuthorizationFailed => "give the user the right to read the group",
        Code::TransactionalIdAuthorizationFailed => {
            "give the user the right to write the transactional ids that begin with `kafka.group`"
        }
        Code::ClusterAuthorizationFailed => "give the user the right IdempotentWrite on the cluster",
        Code::SaslAuthenticationFailed | Code::Authentication => {
            "check `sasl.mechanism`, `sasl.username` and `sasl.password` in `kafka.settings`"
        }
        Code::SSL => "check `ssl.ca.location` and the other `ssl` keys in `kafka.settings`",
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
            "check that the brokers run, `kafka.brokers`, and `security.protocol`, `sasl` and `ssl` in `kafka.settings`"
        }
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut => {
            "check that the brokers run and `kafka.brokers`, or raise `kafka.timeout_ms`"
        }
        Code::MessageSizeTooLarge => {
            "raise the topic's `max.message.bytes`, and `message.max.bytes` in `kafka.settings`"
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset => {
            "its records are gone: raise the topic's retention, and move the group's offset if they may be skipped"
        }
        Code::Fenced | Code::ProducerFenced | Code::FencedInstanceId | Code::InvalidProducerEpoch => {
            "give each process its own `kafka.instance`"
        }
        Code::InvalidTransactionTimeout => {
            "lower `transaction.timeout.ms` in `kafka.settings` to the broker's `transaction.max.timeout.ms`"
        }
        Code::InvalidReplicationFactor => "set `kafka.replication_factor` to at most the number of brokers",
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "bring brokers back: fewer than `min.insync.replicas` are there"
        }
        _ => "look at the broker's log",
    }
}
