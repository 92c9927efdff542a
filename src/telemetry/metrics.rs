//! Every metric family once: its name, its help and its buckets.

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::process::Process;

/// Upper bounds of a batch's stages, in seconds: from one document on a fast machine to 64 long ones on a slow.
const BATCH_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of a refit's stages, in seconds.
const REFIT_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// All families, registered under one registry. Labels have the values named here, and no others but where said.
pub(super) struct Metrics {
    registry: Registry,
    /// `outcome`: `assigned`, `outlier`, `rejected`.
    pub documents: IntCounterVec,
    pub embed_seconds: Histogram,
    pub embed: EmbedMetrics,
    pub assign_seconds: Histogram,
    pub commit_seconds: Histogram,
    /// `queue`: the name of the room that takes from it.
    pub queue_batches: IntGaugeVec,
    pub source: SourceMetrics,
    pub outlier_share: Gauge,
    pub outlier_buffer_documents: IntGauge,
    pub sample_documents: IntGauge,
    pub final_outliers: IntCounter,
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
    /// `result`: `delivered`, `gave_up`.
    pub webhook_deliveries: IntCounterVec,
    /// `result`: `answered`, `failed` and asked again, `gave_up`.
    pub label_requests: IntCounterVec,
    /// `reason`: `document::Reason::code`.
    pub dead_letters: IntCounterVec,
}

/// What waits to be read.
pub(super) struct SourceMetrics {
    pub lag_bytes: IntGauge,
    /// `topic` and `partition`: those that this process reads.
    pub kafka_lag: IntGaugeVec,
}

impl SourceMetrics {
    fn new(made: &Maker<'_>) -> Result<Self, Error> {
        Ok(Self {
            lag_bytes: made.gauge("source_lag_bytes", "Bytes of the source that are not read yet")?,
            kafka_lag: made.gauges_by(
                "kafka_lag_records",
                "Records of a partition that this process has not read yet",
                &["topic", "partition"],
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
            truncated: made
                .counter("embed_truncated_documents_total", "Documents with more tokens than were read")?,
            cache: made.counters(
                "embed_cache_texts_total",
                "Texts to embed, by whether they were known from before",
                "result",
            )?,
            tokens: made.counters(
                "embed_tokens_total",
                "Tokens that went through the model, by whether they were text or filled a batch up",
                "kind",
            )?,
            postponed: made
                .counter("embed_postponed_total", "Batches that waited for an encoder out of reach")?,
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
        let made = Maker { registry: &registry };
        let metrics = Self {
            documents: made.counters(
                "documents_total",
                "Documents done, by what became of them",
                "outcome",
            )?,
            embed_seconds: made.histogram("embed_seconds", "Seconds to embed a batch", BATCH_SECONDS)?,
            embed: EmbedMetrics::new(&made)?,
            assign_seconds: made.histogram(
                "assign_seconds",
                "Seconds to find a batch's topics",
                BATCH_SECONDS,
            )?,
            commit_seconds: made.histogram(
                "commit_seconds",
                "Seconds to write and commit a batch",
                BATCH_SECONDS,
            )?,
            queue_batches: made.gauges(
                "queue_batches",
                "Batches that wait in a queue, by who takes them",
                "queue",
            )?,
            source: SourceMetrics::new(&made)?,
            outlier_share: made
                .fraction("outlier_share", "Share of outliers among the last 1000 documents")?,
            outlier_buffer_documents: made
                .gauge("outlier_buffer_documents", "Outliers that wait for the next refit")?,
            final_outliers: made
                .counter("final_outliers_total", "Outliers that left the buffer and stay outliers")?,
            sample_documents: made.gauge("sample_documents", "Documents in the sample of the stream")?,
            refits: made.results("refits_total", "Refits that ended, by what became of them")?,
            refit_stage_seconds: made.histograms(
                "refit_stage_seconds",
                "Seconds of a refit's stage",
                "stage",
            )?,
            refit_running: made.gauge("refit_running", "1 while a refit runs")?,
            topics: made.gauges("topics", "Topics of the version in force", "state")?,
            model_version: made.gauge("model_version", "Number of the version in force")?,
            events: made.counters("events_total", "Events that topics had", "type")?,
            webhook_deliveries: made
                .results("webhook_deliveries_total", "Events posted, by how that ended")?,
            label_requests: made.results("label_requests_total", "Requests for labels, by how they ended")?,
            dead_letters: made.counters(
                "dead_letters_total",
                "Input that was refused, by its reason",
                "reason",
            )?,
            registry: registry.clone(),
        };
        metrics.start(&made)?;
        Ok(metrics)
    }

    /// What is known from the start: the program, its process, and counters at 0.
    fn start(&self, made: &Maker<'_>) -> Result<(), Error> {
        made.gauges("build_info", "1, labelled with the version of topicd", "version")?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        self.registry.register(Box::new(Process::new(jiff::Timestamp::now().as_second())?))?;
        for (family, values) in [
            (&self.documents, &["assigned", "outlier", "rejected"][..]),
            (&self.embed.cache, &["hit", "miss"]),
            (&self.embed.tokens, &["text", "padding"]),
            (&self.refits, &["promoted", "rejected", "failed"]),
            (&self.webhook_deliveries, &["delivered", "gave_up"]),
            (&self.label_requests, &["answered", "failed", "gave_up"]),
        ] {
            for value in values {
                family.with_label_values(&[value]);
            }
        }
        Ok(())
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
}

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, family: Result<C, Error>) -> Result<C, Error> {
        let family = family?;
        self.registry.register(Box::new(family.clone()))?;
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

    fn fraction(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.register(Gauge::with_opts(options(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec, Error> {
        self.gauges_by(name, help, &[label])
    }

    fn gauges_by(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.register(IntGaugeVec::new(options(name, help), labels))
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
