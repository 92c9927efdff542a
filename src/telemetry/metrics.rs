//! Every metric family once: its name, its help and its buckets.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::lag::Lags;
use super::process::Process;

/// Upper bounds of a batch's stages, in seconds: from one document on a fast machine to 64 long ones on a slow.
const BATCH_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of a refit's stages, in seconds.
const REFIT_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// What is known of a family before anything is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its full name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// What it says.
    pub help: String,
}

impl Family {
    /// The families of `collector`.
    fn of(collector: &impl Collector) -> Vec<Self> {
        let labels = |name: &str| {
            let desc = collector.desc().into_iter().find(|desc| desc.fq_name == name);
            desc.map(|desc| desc.variable_labels.clone()).unwrap_or_default()
        };
        let family = |family: &MetricFamily| Self {
            name: family.name().to_owned(),
            kind: match family.get_field_type() {
                MetricType::COUNTER => "counter",
                MetricType::HISTOGRAM => "histogram",
                _ => "gauge",
            },
            labels: labels(family.name()),
            help: family.help().to_owned(),
        };
        collector.collect().iter().map(family).collect()
    }
}

/// All families, registered under one registry. Labels have the values named here, and no others but where said.
pub(super) struct Metrics {
    registry: Registry,
    families: Vec<Family>,
    /// `outcome`: `assigned`, `outlier`, `rejected`.
    pub documents: IntCounterVec,
    pub embed: EmbedMetrics,
    pub batch: BatchMetrics,
    /// `result`: `applied`, `refused`.
    pub config_reloads: IntCounterVec,
    /// `loop`: the names of the loops that are started again.
    pub loop_failures: IntCounterVec,
    /// `queue`: the name of the room that takes from it.
    pub queue_batches: IntGaugeVec,
    pub source_lag_bytes: IntGauge,
    pub kafka: KafkaMetrics,
    pub modeler: IntGauge,
    pub outliers: OutlierMetrics,
    pub sample_documents: IntGauge,
    /// `result`: `promoted`, `rejected`, `failed`.
    pub refits: IntCounterVec,
    /// `stage`: the papers' names of the stages, in snake case.
    pub refit_stage_seconds: HistogramVec,
    pub refit_running: IntGauge,
    /// `state`: `live`, `dormant`.
    pub topics: IntGaugeVec,
    pub model_version: IntGauge,
    /// `type`: the events' types.
    pub events: IntCounterVec,
    pub webhook: WebhookMetrics,
    /// `result`: `answered`, `failed` and asked again, `gave_up`.
    pub label_requests: IntCounterVec,
    pub faults: FaultMetrics,
}

/// What is wrong with the input.
pub(super) struct FaultMetrics {
    /// `reason`: `document::Reason::code`.
    pub dead_letters: IntCounterVec,
    /// `field`: the configured names.
    pub fields_left_out: IntCounterVec,
}

impl FaultMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        Ok(Self {
            dead_letters: made.counters(
                "dead_letters_total",
                "Lines or messages that were refused, by reason",
                "reason",
            )?,
            fields_left_out: made.counters(
                "fields_left_out_total",
                "Optional fields that held nothing usable, by field; their documents count without them",
                "field",
            )?,
        })
    }
}

/// Documents without a topic.
pub(super) struct OutlierMetrics {
    pub share: Gauge,
    pub buffer_documents: IntGauge,
    pub final_ones: IntCounter,
}

impl OutlierMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        Ok(Self {
            share: made.number("outlier_share", "Share of outliers among the last 1000 documents")?,
            buffer_documents: made
                .gauge("outlier_buffer_documents", "Outliers that wait for the next refit")?,
            final_ones: made.counter(
                "final_outliers_total",
                "Outliers that left the buffer; no refit looks at them again",
            )?,
        })
    }
}

/// The stages of a batch.
pub(super) struct BatchMetrics {
    pub embed_seconds: Histogram,
    pub assign_seconds: Histogram,
    pub commit_seconds: Histogram,
    pub document_seconds: Histogram,
    pub last_commit: IntGauge,
}

impl BatchMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        let seconds = |name: &str, help: &str| made.histogram(name, help, BATCH_SECONDS);
        Ok(Self {
            embed_seconds: seconds("embed_seconds", "Seconds to embed a batch")?,
            assign_seconds: seconds("assign_seconds", "Seconds to find the topics of a batch")?,
            commit_seconds: seconds("commit_seconds", "Seconds to write and commit a batch")?,
            document_seconds: seconds(
                "document_seconds",
                "Seconds from reading a document until its topic is committed",
            )?,
            last_commit: made.gauge(
                "last_commit_timestamp_seconds",
                "When a batch was committed last, in seconds since 1970; at first the start of the process",
            )?,
        })
    }
}

/// What happens between this process and Kafka.
pub(super) struct KafkaMetrics {
    /// `topic` and `partition`: those that this process reads.
    pub lag: Lags,
    pub rebalances: IntCounter,
    pub transactions_failed: IntCounter,
    /// `result`: `ignored`, `forgotten`.
    pub tombstones: IntCounterVec,
}

impl KafkaMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        Ok(Self {
            lag: made.register(Lags::new(options(
                "kafka_lag_records",
                "Committed records of a Kafka partition that this process reads and has not finished",
            )))?,
            rebalances: made.counter(
                "kafka_rebalances_total",
                "Times that this process got partitions of the documents, or had to give some away",
            )?,
            transactions_failed: made.counter(
                "kafka_transactions_failed_total",
                "Transactions that came to nothing; what was in them is done again",
            )?,
            tombstones: made.results(
                "kafka_tombstones_total",
                "Messages without a value: ignored, or handed on so that their document is forgotten",
            )?,
        })
    }
}

/// What it takes to embed.
pub(super) struct EmbedMetrics {
    pub truncated: IntCounter,
    /// `result`: `hit`, `miss`.
    pub cache: IntCounterVec,
    /// `kind`: `text`, `padding`.
    pub tokens: IntCounterVec,
    pub postponed: IntCounter,
}

impl EmbedMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        Ok(Self {
            truncated: made.counter(
                "embed_truncated_documents_total",
                "Documents with more tokens than the encoder read",
            )?,
            cache: made.counters(
                "embed_cache_texts_total",
                "Texts to embed: hit if the embedding was remembered, miss if not",
                "result",
            )?,
            tokens: made.counters(
                "embed_tokens_total",
                "Tokens that went through the model: text, or padding that filled a batch up",
                "kind",
            )?,
            postponed: made.counter(
                "embed_postponed_total",
                "Times that the stream waited for the encoder, which was away or refused everything",
            )?,
        })
    }
}

/// What is told to the webhook.
pub(super) struct WebhookMetrics {
    /// `result`: `delivered`, `failed` and tried again, `gave_up`.
    pub deliveries: IntCounterVec,
    pub outbox: IntGauge,
    pub oldest: Gauge,
}

impl WebhookMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        Ok(Self {
            deliveries: made.results(
                "webhook_deliveries_total",
                "Events posted to the webhook: delivered, failed and tried again, or gave_up",
            )?,
            outbox: made.gauge("outbox_events", "Events that wait for the webhook")?,
            oldest: made.number(
                "outbox_oldest_timestamp_seconds",
                "Since when the oldest event waits for the webhook, in seconds since 1970; 0 if none waits",
            )?,
        })
    }
}

impl Metrics {
    /// Registers every family. Families with a fixed set of label values start with all of them at 0, so that a rate
    /// over the first event is right.
    ///
    /// # Errors
    /// Never for the names that stand here.
    pub(super) fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let made = Maker { registry: &registry, families: RefCell::default() };
        let mut metrics = Self {
            families: Vec::new(),
            documents: made.counters(
                "documents_total",
                "Documents processed: assigned to a topic, outlier, or rejected as no document",
                "outcome",
            )?,
            embed: EmbedMetrics::new(&made)?,
            batch: BatchMetrics::new(&made)?,
            config_reloads: made.results(
                "config_reloads_total",
                "Times that the configuration was read anew: applied, or refused as a whole",
            )?,
            loop_failures: made.counters(
                "loop_failures_total",
                "Failures of a loop beside the stream, which is then started again",
                "loop",
            )?,
            queue_batches: made.gauges(
                "queue_batches",
                "Batches that wait in a queue; the label is the stage that takes them",
                "queue",
            )?,
            source_lag_bytes: made
                .gauge("source_lag_bytes", "Bytes of the source file whose documents are not committed")?,
            kafka: KafkaMetrics::new(&made)?,
            modeler: made.gauge("modeler", "1 if this process is the modeler")?,
            outliers: OutlierMetrics::new(&made)?,
            sample_documents: made
                .gauge("sample_documents", "Documents that are kept in the sample of the stream")?,
            refits: made
                .results("refits_total", "Refits: promoted into force, rejected by the policy, or failed")?,
            refit_stage_seconds: made.histograms(
                "refit_stage_seconds",
                "Seconds of a stage of a refit",
                "stage",
            )?,
            refit_running: made.gauge("refit_running", "1 while a refit runs")?,
            topics: made.gauges("topics", "Topics of the version in force: live or dormant", "state")?,
            model_version: made.gauge("model_version", "Number of the version in force")?,
            events: made.counters("events_total", "Events, by their type", "type")?,
            webhook: WebhookMetrics::new(&made)?,
            label_requests: made.results(
                "label_requests_total",
                "Requests for labels: answered, failed and asked again, or gave_up for a topic that gets none",
            )?,
            faults: FaultMetrics::new(&made)?,
            registry: registry.clone(),
        };
        metrics.start(&made)?;
        metrics.families = made.families.into_inner();
        Ok(metrics)
    }

    /// What is known from the start: the program, its process, and counters at 0.
    fn start(&self, made: &Maker<'_>) -> Result<(), Error> {
        made.gauges("build_info", "1, labelled with the version of topicd", "version")?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        let now = jiff::Timestamp::now().as_second();
        self.batch.last_commit.set(now);
        let process = Process::new(now)?;
        made.families.borrow_mut().extend(Family::of(&process));
        self.registry.register(Box::new(process))?;
        for (family, values) in [
            (&self.documents, &["assigned", "outlier", "rejected"][..]),
            (&self.embed.cache, &["hit", "miss"]),
            (&self.embed.tokens, &["text", "padding"]),
            (&self.config_reloads, &["applied", "refused"]),
            (&self.kafka.tombstones, &["ignored", "forgotten"]),
            (&self.refits, &["promoted", "rejected", "failed"]),
            (&self.webhook.deliveries, &["delivered", "failed", "gave_up"]),
            (&self.label_requests, &["answered", "failed", "gave_up"]),
        ] {
            for value in values {
                family.with_label_values(&[value]);
            }
        }
        Ok(())
    }

    /// Every family, in the order in which it was made.
    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// Everything in Prometheus's text format.
    ///
    /// # Errors
    /// A family cannot be written.
    pub(super) fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Makes families and registers them; the prefix stands here only.
struct Maker<'a> {
    registry: &'a Registry,
    families: RefCell<Vec<Family>>,
}

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, family: Result<C, Error>) -> Result<C, Error> {
        let family = family?;
        self.registry.register(Box::new(family.clone()))?;
        self.families.borrow_mut().extend(Family::of(&family));
        Ok(family)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, Error> {
        self.register(IntCounterVec::new(options(name, help), &[label]))
    }

    fn results(&self, name: &str, help: &str) -> Result<IntCounterVec, Error> {
        self.counters(name, help, "result")
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.register(IntCounter::with_opts(options(name, help)))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.register(IntGauge::with_opts(options(name, help)))
    }

    fn number(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.register(Gauge::with_opts(options(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, Error> {
        self.register(IntGaugeVec::new(options(name, help), &[label]))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options))
    }

    fn histograms(&self, name: &str, help: &str, label: &str) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::from(options(name, help)).buckets(REFIT_SECONDS.to_vec());
        self.register(HistogramVec::new(options, &[label]))
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("topicd")
}
