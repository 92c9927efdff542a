//! Documents in, judged documents out.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::document::{Batch, Document, Rejection};
use crate::embed::{self, Embedder, Embedding};
use crate::kernel::unit::UnitRows;
use crate::keywords::Tokenizer;
use crate::model::assign::{self, Assignment, assign};
use crate::model::evidence::{Judged, Outcome};
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;
use crate::pipeline::embed::{beside, embed};
use crate::pipeline::pauses;
use crate::telemetry::Telemetry;
use crate::transport::AssignerPort;

/// Bytes of a text whose words count for keywords; a longer one has long said what it is about.
pub const COUNTED_BYTES: usize = 64 << 10;

/// Embeds and judges batches with the version in force.
pub struct Assigner<P> {
    /// Where documents come from and go to.
    pub port: P,
    /// What judges.
    pub judge: Arc<Judge>,
    /// The version in force.
    pub versions: watch::Receiver<Arc<TopicModel>>,
    /// Where is counted and logged.
    pub telemetry: Telemetry,
}

/// Everything that turns a document into a judged one, but the model.
pub struct Judge {
    /// The encoder.
    pub embedder: Arc<Embedder>,
    /// Splits texts into the words that count.
    pub tokenizer: Tokenizer,
    /// The rule of the vote.
    pub rule: watch::Receiver<assign::Checked>,
}

/// Why an assigner stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error<P: std::error::Error + 'static> {
    /// The port failed.
    #[error("the stream cannot go on")]
    Port(#[source] P),
    /// A worker thread panicked.
    #[error("a batch could not be judged")]
    Worker(#[from] tokio::task::JoinError),
}

impl<P: AssignerPort> Assigner<P> {
    /// Runs until the stream ends, `stop` is cancelled, or the modeler is gone.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error<P::Error>> {
        let ran = self.pump(&stop).await;
        // After an error too: nothing of this run may be at work when the next one begins.
        let closed = self.port.close().await.map_err(Error::Port);
        ran.and(closed)
    }

    async fn pump(&mut self, stop: &CancellationToken) -> Result<(), Error<P::Error>> {
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                batch = self.port.receive() => batch.map_err(Error::Port)?,
            };
            let Some(batch) = batch else { return Ok(()) };
            let Some(outcome) = self.outcome(batch, stop).await? else { return Ok(()) };
            if !self.port.commit(outcome).await.map_err(Error::Port)? {
                return Ok(());
            }
        }
    }

    /// What becomes of `batch`; none if `stop` is cancelled while the encoder embeds nothing. Documents wait for it, they
    /// are not lost.
    async fn outcome(
        &mut self,
        mut batch: Batch,
        stop: &CancellationToken,
    ) -> Result<Option<Outcome>, Error<P::Error>> {
        let received = Instant::now();
        for pause in pauses() {
            let model = self.versions.borrow_and_update().clone();
            let (judge, telemetry) = (self.judge.clone(), self.telemetry.clone());
            let judged =
                tokio::task::spawn_blocking(move || judge.outcome(batch, received, model, &telemetry))
                    .await?;
            match judged {
                Ok(outcome) => return Ok(Some(outcome)),
                Err(postponed) => {
                    self.telemetry.embedding_postponed(&postponed.error);
                    batch = postponed.batch;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(None)
    }
}

/// A batch that could not be embedded now, through no fault of its own.
pub struct Postponed {
    /// The batch, as it was.
    pub batch: Batch,
    /// What stood in the way.
    pub error: embed::Error,
}

impl Judge {
    /// Embeds and judges `batch`, which was read when `received` says, under `model`; a document that cannot be embedded becomes a rejection.
    pub fn outcome(
        &self,
        batch: Batch,
        received: Instant,
        model: Arc<TopicModel>,
        telemetry: &Telemetry,
    ) -> Result<Outcome, Box<Postponed>> {
        let started = Instant::now();
        let mut made = match embed(&self.embedder, &batch.documents) {
            Ok(made) => made,
            Err(error) => return Err(Box::new(Postponed { batch, error })),
        };
        let Batch { documents, mut rejections, checkpoint } = batch;
        telemetry.batch_embedded(documents.len(), made.counts, started.elapsed());
        telemetry.fields_left_out(&documents);
        if let Some(error) = made.divided.take() {
            telemetry.batch_divided(&error);
        }
        let (documents, embeddings) = beside(made, documents, &mut rejections);
        let started = Instant::now();
        let verdicts = self.verdicts(&model, &embeddings);
        telemetry.batch_assigned(started.elapsed());
        let judged = documents.into_iter().zip(verdicts).map(|(document, verdict)| {
            let text = crate::document::start_of(&document.text, COUNTED_BYTES);
            let words = self.tokenizer.count(text);
            let Verdict { embedding, assignment, further } = verdict;
            Judged { document, embedding, words, assignment, further }
        });
        Ok(Outcome { judged: judged.collect(), model, rejections, checkpoint, received })
    }

    /// The documents that have an embedding, given or made, and the embeddings.
    pub fn embed(
        &self,
        documents: Vec<Document>,
        rejections: &mut Vec<Rejection>,
    ) -> Result<(Vec<Document>, UnitRows), embed::Error> {
        let made = embed(&self.embedder, &documents)?;
        let (documents, embeddings) = beside(made, documents, rejections);
        let rows = embeddings.iter().map(|embedding| embedding.row.as_slice());
        Ok((documents, UnitRows::from_rows(self.embedder.dim(), rows)?))
    }

    /// The topics of each embedding under `model`.
    fn verdicts(&self, model: &TopicModel, embeddings: &[Embedding]) -> Vec<Verdict> {
        let rows: Vec<&[f32]> = embeddings.iter().flat_map(Embedding::rows).collect();
        // Every row has length 1: embeddings are checked where they are made, and where they are read. Were one broken
        // all the same, the batch's documents would be outliers, not lost.
        let assignments = UnitRows::from_rows(self.embedder.dim(), rows.iter().copied())
            .map(|unit| assign(model, &unit, &self.rule.borrow().clone()));
        let mut judged = rows.into_iter().zip(assignments.unwrap_or_default());
        let parts =
            embeddings.iter().map(|embedding| judged.by_ref().take(embedding.rows().count()).collect());
        parts.zip(embeddings).map(|(parts, embedding)| Verdict::new(parts, embedding)).collect()
    }
}

/// What is decided of a document.
struct Verdict {
    embedding: Arc<[f32]>,
    assignment: Assignment,
    further: Vec<(TopicId, f32)>,
}

impl Verdict {
    /// Of a document's rows the one that is most similar to its topic speaks for the document; the topics of the
    /// others are its further ones. Where no row has a topic, the document as a whole speaks.
    fn new(parts: Vec<(&[f32], Assignment)>, whole: &Embedding) -> Self {
        let mut topics: Vec<&(&[f32], Assignment)> =
            parts.iter().filter(|(_, assignment)| assignment.topic.is_some()).collect();
        topics.sort_by(|(_, a), (_, b)| b.similarity.total_cmp(&a.similarity));
        let best = topics.first().copied().or(parts.first());
        let outlier = Assignment { topic: None, similarity: 0.0, weight: 0.0 };
        let (row, assignment) = match best {
            Some((row, assignment)) if assignment.topic.is_some() => (*row, assignment.clone()),
            Some((_, assignment)) => (whole.row.as_slice(), assignment.clone()),
            None => (whole.row.as_slice(), outlier),
        };
        let mut further: Vec<(TopicId, f32)> = Vec::new();
        for (_, other) in topics {
            let Some(topic) = other.topic.filter(|topic| Some(*topic) != assignment.topic) else { continue };
            if further.iter().all(|(known, _)| *known != topic) {
                further.push((topic, other.similarity));
            }
        }
        Self { embedding: Arc::from(row), assignment, further }
    }
}
