//! What happens between this process and Kafka.

use std::ops::Range;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::Telemetry;
use crate::telemetry::lag::{Heard, Reading};

/// Causes of obstacles.
const REGISTRY: &str = "registry";
const BROKERS: &str = "kafka brokers";
const GROUP: &str = "kafka group";
const MODEL: &str = "kafka model";

impl Telemetry {
    /// librdkafka wrote a line to its log, at a level of syslog's.
    pub fn kafka_logged(&self, level: i32, facility: &str, message: &str) {
        // Why a connection failed is told by the error callback as well.
        let is_news = level <= 4 && facility != "FAIL";
        if is_news { warn!(facility, "{message}") } else { debug!(facility, "{message}") }
    }

    /// A broker, or the way to it, is not as it should be; the client tries on.
    pub fn kafka_complained(&self, reason: &str) {
        warn!(reason, "kafka complained");
    }

    /// No broker answers since this moment, in ms since 1970; without one, some broker does.
    pub fn brokers_answer(&self, silent_since_ms: Option<i64>) {
        let Some(ms) = silent_since_ms else {
            if let Some(waited) = self.obstacles.gone(BROKERS) {
                info!(?waited, "brokers answer");
            }
            return;
        };
        let since =
            jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |ms| format!("{ms:.0}"));
        let why = format!("no Kafka broker answers since {since}");
        if self.obstacles.stands(BROKERS, &why, Instant::now()) {
            error!("{why}");
        }
    }

    /// This process is no member of the group of assigners, yet or any more.
    pub fn group_left(&self, group: &str) {
        self.obstacle(GROUP, Some(format!("the group `{group}` has given this process no partitions yet")));
    }

    /// The group has given this process its partitions, which may be none.
    pub fn group_joined(&self) {
        self.obstacle(GROUP, None);
    }

    /// The model is read from its topic; without one, it is read to its end.
    pub fn model_awaited(&self, topic: Option<&str>) {
        self.obstacle(
            MODEL,
            topic.map(|topic| format!("the model's topic `{topic}` is not read to its end yet")),
        );
    }

    /// The schema registry does not tell what a message says; the stream waits.
    pub fn registry_missed(&self, error: &dyn std::error::Error) {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let why = format!("{error}{cause}");
        if self.obstacles.stands(REGISTRY, &why, Instant::now()) {
            error!(why, "schema registry missed");
        }
    }

    /// The schema registry told what a message says, or is not asked any more.
    pub fn registry_answered(&self) {
        if let Some(waited) = self.obstacles.gone(REGISTRY) {
            info!(?waited, "schema registry answers");
        }
    }

    /// This process reads a partition, until what is returned is dropped.
    pub fn partition_read(&self, topic: &str, partition: i32) -> Reading {
        self.metrics.kafka.lag.read(topic, partition)
    }

    /// What a client heard of a partition.
    pub fn partition_heard(&self, topic: &str, partition: i32, heard: Heard) {
        self.metrics.kafka.lag.hear(topic, partition, heard);
    }

    /// Where a partition ends, of which nothing is fetched now.
    pub fn partition_ends(&self, topic: &str, partition: i32, end: i64) {
        self.metrics.kafka.lag.ends(topic, partition, end);
    }

    /// Partitions of a topic came to this process.
    pub fn partitions_assigned(&self, partitions: usize) {
        info!(partitions, "partitions assigned");
    }

    /// Partitions of a topic went to another process.
    pub fn partitions_revoked(&self, partitions: usize) {
        info!(partitions, "partitions revoked");
    }

    /// This process's share of the documents changed.
    pub fn share_changed(&self) {
        self.metrics.kafka.rebalances.inc();
    }

    /// A transaction came to nothing; what was in it is done again.
    pub fn transaction_failed(&self, why: &str) {
        self.metrics.kafka.transactions_failed.inc();
        warn!(why, "transaction failed");
    }

    /// Messages without a value were read and committed: some order nothing, some that a document is erased.
    pub fn tombstones_read(&self, ignored: usize, forgotten: usize) {
        self.metrics.kafka.tombstones.with_label_values(&["ignored"]).inc_by(ignored as u64);
        self.metrics.kafka.tombstones.with_label_values(&["forgotten"]).inc_by(forgotten as u64);
    }

    /// A topic of ours was missing and is there now.
    pub fn topic_created(&self, topic: &str) {
        info!(topic, "topic created");
    }

    /// A topic of ours has other settings than it should have.
    pub fn topic_differs(&self, what: &impl std::fmt::Display) {
        warn!("{what}");
    }

    /// Evidence that Kafka does not hold any more is given up: it was to be learned from offset `wanted` on, and `there` is
    /// what is left.
    pub fn evidence_given_up(&self, partition: &str, wanted: i64, there: &Range<i64>) {
        let (from, goes_on_at) = (wanted, there.start);
        if wanted < there.start {
            let to = there.start - 1;
            warn!(partition, from, to, goes_on_at, "evidence given up; its documents are counted nowhere");
        } else {
            warn!(partition, from, goes_on_at, "evidence given up; the topic was made anew");
        }
    }

    /// This process stands for modeler.
    pub fn standing_by(&self) {
        info!("waiting to be the modeler");
    }

    /// This process is the modeler from now on; so many keys of the state came from Kafka.
    pub fn leading(&self, restored: usize, took: Duration) {
        self.modeler_is_here(true);
        info!(restored, ?took, "this process is the modeler");
    }

    /// Whether this process is the modeler.
    pub fn modeler_is_here(&self, is_here: bool) {
        self.metrics.modeler.set(i64::from(is_here));
    }

    /// A role stopped and will start again.
    pub fn role_interrupted(&self, role: &str, why: &str) {
        warn!(role, why, "starting again");
    }
}
