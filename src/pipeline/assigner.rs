//! Documents in, judged documents out.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::document::{Batch, Document, Reason, Rejection};
use crate::embed::{self, Embedder};
use crate::kernel::unit::UnitRows;
use crate::keywords::Tokenizer;
use crate::model::assign::{self, assign};
use crate::model::evidence::{Judged, Outcome};
use crate::model::version::TopicModel;
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
    pub params: assign::Checked,
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
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                batch = self.port.receive() => batch.map_err(Error::Port)?,
            };
            let Some(batch) = batch else { return Ok(()) };
            let model = self.versions.borrow_and_update().clone();
            let (judge, telemetry) = (self.judge.clone(), self.telemetry.clone());
            let outcome =
                tokio::task::spawn_blocking(move || judge.outcome(batch, model, &telemetry)).await?;
            if let Some(lag) = self.port.lag_bytes() {
                self.telemetry.source_advanced(lag);
            }
            if !self.port.commit(outcome).await.map_err(Error::Port)? {
                return Ok(());
            }
        }
    }
}

impl Judge {
    /// Embeds and judges `batch` under `model`; a document that cannot be embedded becomes a rejection.
    pub fn outcome(&self, batch: Batch, model: Arc<TopicModel>, telemetry: &Telemetry) -> Outcome {
        let Batch { documents, mut rejections, checkpoint } = batch;
        let started = Instant::now();
        let (documents, rows) = self.embed(documents, &mut rejections);
        telemetry.batch_embedded(documents.len(), started.elapsed());
        let started = Instant::now();
        let assignments = assign(&model, &rows, &self.params);
        telemetry.batch_assigned(started.elapsed());
        let judged =
            documents.into_iter().zip(assignments).enumerate().map(|(row, (document, assignment))| {
                let text = crate::document::start_of(&document.text, COUNTED_BYTES);
                let words = self.tokenizer.count(text);
                Judged { embedding: Arc::from(rows.row(row)), words, document, assignment }
            });
        Outcome { judged: judged.collect(), model, rejections, checkpoint }
    }

    /// The documents that have an embedding, given or made, and the embeddings.
    pub fn embed(
        &self,
        documents: Vec<Document>,
        rejections: &mut Vec<Rejection>,
    ) -> (Vec<Document>, UnitRows) {
        let without: Vec<usize> =
            (0..documents.len()).filter(|index| documents[*index].embedding.is_none()).collect();
        let texts: Vec<&str> = without.iter().map(|index| documents[*index].text.as_str()).collect();
        let made = self.embed_each(&texts);
        let mut made_for: Vec<Option<Result<Vec<f32>, embed::Error>>> =
            documents.iter().map(|_| None).collect();
        without.iter().zip(made).for_each(|(index, row)| made_for[*index] = Some(row));

        let mut values: Vec<Vec<f32>> = Vec::with_capacity(documents.len());
        let mut embedded = Vec::with_capacity(documents.len());
        for (mut document, made) in documents.into_iter().zip(made_for) {
            match (document.embedding.take(), made) {
                (Some(row), _) | (None, Some(Ok(row))) => {
                    values.push(row);
                    embedded.push(document);
                }
                (None, Some(Err(error))) => rejections.push(refused(document, error.to_string())),
                (None, None) => {
                    rejections.push(refused(document, "the encoder gave no embedding".to_owned()));
                }
            }
        }
        match UnitRows::from_rows(self.embedder.dim(), values.iter().map(Vec::as_slice)) {
            Ok(rows) => (embedded, rows),
            Err(error) => {
                let detail = error.to_string();
                rejections.extend(embedded.into_iter().map(|document| refused(document, detail.clone())));
                (Vec::new(), UnitRows::empty(self.embedder.dim()))
            }
        }
    }

    /// One embedding for each text; when a batch fails, each of its texts is tried alone.
    fn embed_each(&self, texts: &[&str]) -> Vec<Result<Vec<f32>, embed::Error>> {
        match self.embedder.embed(texts) {
            Ok(made) => (0..made.rows.n()).map(|row| Ok(made.rows.row(row).to_vec())).collect(),
            Err(error) if texts.len() == 1 => vec![Err(error)],
            Err(_) => (texts.iter())
                .map(|text| self.embedder.embed(&[text]).map(|made| made.rows.row(0).to_vec()))
                .collect(),
        }
    }
}

fn refused(document: Document, detail: String) -> Rejection {
    Rejection {
        reason: Reason::Embedding { detail },
        bytes: document.text.into_bytes(),
        position: document.position,
    }
}
