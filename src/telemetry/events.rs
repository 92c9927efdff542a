//! What happened, in the past tense: each method logs it at its level and counts it.

mod kafka;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::{debug, error, info, warn};

use super::metrics::{Family, Metrics};
use super::obstacle::Obstacles;
use super::refused::Refused;
use super::window::Window;
use crate::document::{Document, Rejection};
use crate::embed::{self, Counts};
use crate::model::state::Totals;

/// Causes of obstacles.
const ENCODER: &str = "encoder";
/// Causes of nuisances.
const LARGE_BATCH: &str = "large batch";
const KEYWORDS: &str = "keywords";
const LABELS: &str = "labels";

/// Takes note of what happens. Cheap to clone; all clones count into the same metrics.
#[derive(Clone)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    window: Arc<Mutex<Window>>,
    refused: Arc<Mutex<Refused>>,
    /// What keeps documents waiting now.
    obstacles: Arc<Obstacles>,
    /// What is in the way of everything else.
    nuisances: Arc<Obstacles>,
    source: Arc<Mutex<Option<Unread>>>,
    /// When something was committed last; at first, when the daemon started.
    committed: Arc<Mutex<Instant>>,
}

/// Tells how many bytes of the source are not committed, where that is known.
type Unread = Box<dyn Fn() -> Option<u64> + Send>;

/// After this time without a commit while documents wait, the daemon is not ready.
const STALE: Duration = Duration::from_mins(5);

/// How far the daemon is, for people who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// A refit is at work.
    pub refitting: bool,
    /// Bytes of the source that are not read yet; 0 also where nobody knows.
    pub unread_bytes: u64,
}

/// The metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the metrics: {0}; this is a mistake in the program, please report it")]
pub struct Error(#[from] prometheus::Error);

impl Telemetry {
    /// Everything stands at 0.
    ///
    /// # Errors
    /// Never, unless a metric's definition is wrong; a test makes them all.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            metrics: Arc::new(Metrics::new()?),
            window: Arc::default(),
            refused: Arc::default(),
            obstacles: Arc::default(),
            nuisances: Arc::default(),
            source: Arc::default(),
            committed: Arc::new(Mutex::new(Instant::now())),
        })
    }

    /// Every metric in Prometheus's text format; nothing if one of them cannot be written, which is logged.
    pub fn render(&self) -> String {
        self.metrics.source_lag_bytes.set(self.unread_bytes() as i64);
        self.metrics.render().unwrap_or_else(|error| {
            error!(%error, "metrics cannot be written");
            String::new()
        })
    }

    /// What keeps documents waiting, in words; nothing if the daemon is ready.
    pub fn obstacles(&self) -> Vec<String> {
        let committed = *self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = stale(committed.elapsed(), self.unread_bytes(), self.metrics.kafka.lag.records());
        self.obstacles.all().into_iter().chain(stale).collect()
    }

    /// From now on `unread` tells how much of the source is not committed: whenever somebody asks, whatever hangs.
    pub fn source_opened(&self, unread: impl Fn() -> Option<u64> + Send + 'static) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(unread));
    }

    /// Bytes of the source that are not committed; 0 also where nobody knows.
    fn unread_bytes(&self) -> u64 {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.as_ref().and_then(|unread| unread()).unwrap_or(0)
    }

    /// Documents wait because of `cause`, and `why` says it in words; without words they don't any more.
    pub fn obstacle(&self, cause: &'static str, why: Option<String>) {
        match why {
            Some(why) => drop(self.obstacles.stands(cause, &why, Instant::now())),
            None => drop(self.obstacles.gone(cause)),
        }
    }

    /// How far the daemon is.
    pub fn progress(&self) -> Progress {
        Progress { refitting: self.metrics.refit_running.get() > 0, unread_bytes: self.unread_bytes() }
    }

    /// Every family of metrics, those too that nothing was counted for.
    pub fn families(&self) -> &[Family] {
        self.metrics.families()
    }

    /// The encoder is ready; `report` says what it runs on.
    pub fn encoder_loaded(&self, name: &str, report: &impl fmt::Display) {
        self.obstacle(ENCODER, None);
        info!(encoder = name, %report, "encoder loaded");
    }

    /// The state of the last run, or a new one, is ready.
    pub fn state_opened(&self, totals: &Totals) {
        self.metrics.model_version.set(totals.version as i64);
        let Totals { documents, rejected, version, .. } = totals;
        info!(documents, rejected, version, "state opened");
    }

    /// An output's file `path` is not as topicd left it: it holds `found` bytes, or is not there, where `left` were left.
    /// Results go on in `next`.
    pub fn output_lost(&self, path: &Path, found: Option<u64>, left: u64, next: &str) {
        let path = path.display();
        warn!(
            %path, found, left, next,
            "an output was moved, removed, cut or written to by another program; results go on in the next file"
        );
    }

    /// The source has ended, and everything of it is committed.
    pub fn stream_ended(&self) {
        info!("stream ended");
    }

    /// A batch was embedded; `counts` says what it took.
    pub fn batch_embedded(&self, documents: usize, counts: Counts, took: Duration) {
        if let Some(waited) = self.obstacles.gone(ENCODER) {
            info!(?waited, "embedding goes on");
        }
        self.metrics.batch.embed_seconds.observe(took.as_secs_f64());
        let Counts { truncated, pieces, cached, tokens, padding } = counts;
        self.metrics.embed.truncated.inc_by(truncated as u64);
        self.metrics.embed.cache.with_label_values(&["hit"]).inc_by(cached as u64);
        self.metrics.embed.cache.with_label_values(&["miss"]).inc_by((pieces - cached) as u64);
        self.metrics.embed.tokens.with_label_values(&["text"]).inc_by(tokens as u64);
        self.metrics.embed.tokens.with_label_values(&["padding"]).inc_by(padding as u64);
        debug!(documents, ?counts, ?took, "batch embedded");
    }

    /// The encoder cannot be opened, or embed a batch, and is asked again in a while; the stream waits.
    pub fn embedding_postponed(&self, error: &embed::Error) {
        self.metrics.embed.postponed.inc();
        let why = error.in_full();
        if self.obstacles.stands(ENCODER, &why, Instant::now()) {
            error!(%why, "embedding postponed");
        }
    }

    /// The encoder refused a batch, and took it in parts.
    pub fn batch_divided(&self, error: &embed::Error) {
        let why = error.in_full();
        if self.nuisances.stands(LARGE_BATCH, &why, Instant::now()) {
            warn!(%why, "batch divided");
        }
    }

    /// The topics of a batch were found.
    pub fn batch_assigned(&self, took: Duration) {
        self.metrics.batch.assign_seconds.observe(took.as_secs_f64());
        debug!(?took, "batch assigned");
    }

    /// Documents are read from these topics from now on.
    pub fn topics_subscribed(&self, topics: &[&str]) {
        info!(topics = topics.join(", "), "documents are read from these topics");
    }

    /// What became of a batch's documents is committed.
    pub fn documents_assigned(&self, assigned: usize, outliers: usize) {
        self.metrics.documents.with_label_values(&["assigned"]).inc_by(assigned as u64);
        self.metrics.documents.with_label_values(&["outlier"]).inc_by(outliers as u64);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = window.share_after(assigned, outliers) {
            self.metrics.outliers.share.set(share);
        }
    }

    /// Optional fields held nothing usable, and their documents go on without them.
    pub fn fields_left_out(&self, documents: &[Document]) {
        for document in documents {
            for fault in &document.left_out {
                let counter = self.metrics.faults.fields_left_out.with_label_values(&[&fault.field]);
                counter.inc();
                let (document, position) = (&document.id, &document.position);
                if counter.get() == 1 {
                    warn!(%document, %position, "a field is left out, the first of its name: {fault}");
                } else {
                    debug!(%document, %position, "a field is left out: {fault}");
                }
            }
        }
    }

    /// Input was refused beside the documents that were `taken`; it is in the dead letters.
    pub fn documents_rejected(&self, taken: usize, rejections: &[Rejection]) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let most = refused.share_after(taken, rejections.len());
        drop(refused);
        let Some(first) = rejections.first() else { return };
        if let Some(share) = most {
            let (percent, reason) = ((share * 100.0).round(), first.reason.in_words());
            error!(
                percent,
                reason, "most of the last 1,000 lines were refused; see `source.fields` and `source.format`"
            );
        }
        self.metrics.documents.with_label_values(&["rejected"]).inc_by(rejections.len() as u64);
        for rejection in rejections {
            self.metrics.faults.dead_letters.with_label_values(&[rejection.reason.code()]).inc();
            debug!(position = %rejection.position, reason = rejection.reason.in_words(), "document rejected");
        }
        let (documents, position, reason) = (rejections.len(), &first.position, first.reason.in_words());
        warn!(documents, first = %position, reason, "documents rejected");
    }

    /// A batch and what followed from it are on the disk; that took so long, and `documents` waited since `received`.
    pub fn batch_committed(&self, took: Duration, documents: usize, received: Instant) {
        self.metrics.batch.commit_seconds.observe(took.as_secs_f64());
        let waited = received.elapsed().as_secs_f64();
        (0..documents).for_each(|_| self.metrics.batch.document_seconds.observe(waited));
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.metrics.batch.last_commit.set(jiff::Timestamp::now().as_second());
        debug!(?took, "batch committed");
    }

    /// A refit began on its own thread.
    pub fn refit_started(&self, trigger: &str) {
        self.metrics.refit_running.set(1);
        info!(trigger, "refit started");
    }

    /// A stage of a refit is done.
    pub fn refit_stage_finished(&self, stage: &str, seconds: f64) {
        let label = stage.replace([' ', '-'], "_").to_lowercase();
        self.metrics.refit_stage_seconds.with_label_values(&[&label]).observe(seconds);
        debug!(stage, seconds, "refit stage finished");
    }

    /// A refit's result is in force as version `version`; `revised` documents changed their topic.
    pub fn refit_finished(&self, version: u64, topics: usize, revised: usize, took: Duration) {
        self.refit_ended("promoted");
        info!(version, topics, revised, ?took, "refit promoted");
    }

    /// A refit's result was not better than the version in force, which stays.
    pub fn refit_rejected(&self, why: &str) {
        self.refit_ended("rejected");
        info!(why, "refit rejected");
    }

    /// A refit came to no result; the version in force stays.
    pub fn refit_failed(&self, why: &str) {
        self.refit_ended("failed");
        error!(why, "refit failed");
    }

    fn refit_ended(&self, result: &str) {
        self.metrics.refit_running.set(0);
        self.metrics.refits.with_label_values(&[result]).inc();
    }

    /// How many topics there are, by now, and in which version.
    pub fn topics_changed(&self, live: usize, dormant: usize, version: u64) {
        self.metrics.topics.with_label_values(&["live"]).set(live as i64);
        self.metrics.topics.with_label_values(&["dormant"]).set(dormant as i64);
        self.metrics.model_version.set(version as i64);
    }

    /// How many outliers wait for a refit, and how many documents the sample holds.
    pub fn buffers_changed(&self, outliers: usize, sample: usize) {
        self.metrics.outliers.buffer_documents.set(outliers as i64);
        self.metrics.sample_documents.set(sample as i64);
    }

    /// Outliers left the buffer for good; their last records say so.
    pub fn outliers_settled(&self, outliers: usize) {
        self.metrics.outliers.final_ones.inc_by(outliers as u64);
    }

    /// How many batches wait for the room `queue`.
    pub fn queue_changed(&self, queue: &str, batches: usize) {
        self.metrics.queue_batches.with_label_values(&[queue]).set(batches as i64);
    }

    /// Something happened to a topic and is committed.
    pub fn event_emitted(&self, kind: &str, summary: &str) {
        self.metrics.events.with_label_values(&[kind]).inc();
        info!(kind, "{summary}");
    }

    /// The webhook's receiver took an event.
    pub fn webhook_delivered(&self) {
        self.metrics.webhook.deliveries.with_label_values(&["delivered"]).inc();
        debug!("webhook delivered");
    }

    /// `topics` of version `version` are called or listed otherwise, `labels` of them with a new label.
    pub fn topics_described(&self, version: u64, topics: usize, labels: usize) {
        info!(version, topics, labels, "topics described");
    }

    /// Topics could not be described now; they keep their keywords and names.
    pub fn description_failed(&self, error: &embed::Error) {
        let why = error.in_full();
        if self.nuisances.stands(KEYWORDS, &why, Instant::now()) {
            error!(%why, "topics could not be described");
        }
    }

    /// The chat endpoint gave a label.
    pub fn label_answered(&self) {
        if let Some(waited) = self.nuisances.gone(LABELS) {
            info!(?waited, "labelling goes on");
        }
        self.metrics.label_requests.with_label_values(&["answered"]).inc();
    }

    /// A request for a label failed, and is made again.
    pub fn label_failed(&self, why: &impl fmt::Display) {
        self.metrics.label_requests.with_label_values(&["failed"]).inc();
        debug!(%why, "label asked for again");
    }

    /// The chat endpoint gives no labels now; all of them wait.
    pub fn labels_postponed(&self, why: &impl fmt::Display) {
        self.metrics.label_requests.with_label_values(&["failed"]).inc();
        if self.nuisances.stands(LABELS, &why.to_string(), Instant::now()) {
            warn!(%why, "labels postponed");
        }
    }

    /// The chat endpoint has no label for a topic, which keeps its name from keywords for now.
    pub fn label_refused(&self, why: &impl fmt::Display) {
        self.metrics.label_requests.with_label_values(&["gave_up"]).inc();
        warn!(%why, "label put off");
    }

    /// An event was not taken; it is posted again in a while. `first` of several in a row for its topic.
    pub fn webhook_failed(&self, event: u64, why: &str, first: bool) {
        self.metrics.webhook.deliveries.with_label_values(&["failed"]).inc();
        if first {
            warn!(event, why, "webhook failed; it is tried again");
        } else {
            debug!(event, why, "webhook failed again");
        }
    }

    /// An event was not taken and will not be posted again unless somebody wants it.
    pub fn webhook_gave_up(&self, event: u64, why: &str) {
        self.metrics.webhook.deliveries.with_label_values(&["gave_up"]).inc();
        warn!(event, why, "webhook gave up; `topicd notifications retry` sends the event again");
    }

    /// So many events wait for the webhook, the oldest since this moment, in ms since 1970.
    pub fn outbox_changed(&self, events: usize, oldest_ms: Option<i64>) {
        self.metrics.webhook.outbox.set(events as i64);
        self.metrics.webhook.oldest.set(oldest_ms.unwrap_or_default() as f64 / 1000.0);
    }

    /// A new configuration is in force; these keys changed.
    pub fn config_reloaded(&self, changed: &[String]) {
        self.metrics.config_reloads.with_label_values(&["applied"]).inc();
        info!(?changed, "configuration reloaded");
    }

    /// A new configuration is not in force, and nothing of it.
    pub fn config_refused(&self, why: &impl fmt::Display) {
        self.metrics.config_reloads.with_label_values(&["refused"]).inc();
        error!(%why, "configuration not reloaded");
    }

    /// A loop failed; it is started again in `wait`.
    pub fn loop_failed(&self, name: &str, why: &str, wait: Duration) {
        self.metrics.loop_failures.with_label_values(&[name]).inc();
        error!(name, why, ?wait, "loop failed; it starts again");
    }

    /// The daemon stops without waiting for these loops any longer.
    pub fn loops_late(&self, names: &[&str]) {
        error!(?names, "loops did not end in time");
    }
}

/// Why a daemon that committed something so long ago is not ready, if it isn't.
fn stale(since_commit: Duration, unread_bytes: u64, unread_records: u64) -> Option<String> {
    let seconds = since_commit.as_secs();
    let wait = match (unread_bytes, unread_records) {
        (0, 0) => return None,
        (0, records) => format!("{records} records in Kafka wait"),
        (bytes, _) => format!("{bytes} bytes of the source wait"),
    };
    (since_commit > STALE).then(|| format!("nothing was committed for {seconds} s, and {wait}"))
}

#[cfg(test)]
mod tests;
