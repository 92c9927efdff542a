//! What a batch of assigned documents teaches the modeler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, Position};
use crate::document::{Document, Fields, Rejection, start_of};
use crate::keywords::Bag;
use crate::model::assign::Assignment;
use crate::model::profile::Profile;
use crate::model::topic::TopicId;
use crate::model::version::{Sampling, TopicModel};

/// A document that has been embedded and judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The document.
    pub document: Document,
    /// Its embedding, of length 1.
    pub embedding: Arc<[f32]>,
    /// The words of its text that count for keywords.
    pub words: Bag,
    /// What the vote said.
    pub assignment: Assignment,
    /// The other topics of a long document whose windows were judged one by one, best first; none of most.
    pub further: Vec<(TopicId, f32)>,
}

/// What becomes of one batch: every document judged by one model version.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The version that judged.
    pub model: Arc<TopicModel>,
    /// Documents in source order.
    pub judged: Vec<Judged>,
    /// Input that was refused.
    pub rejections: Vec<Rejection>,
    /// The source's position after the batch.
    pub checkpoint: Checkpoint,
    /// When the batch was read.
    pub received: Instant,
}

/// How many documents, and the sum of their embeddings: adds up exactly, in any order.
///
/// The sum of squares needs no number of its own: every embedding has length 1, so it is `documents`, and the variance
/// around the mean is `1 − |sum / documents|²`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// How many documents.
    pub documents: u64,
    /// Sum of their embeddings (`d` numbers; empty for no documents).
    pub sum: Vec<f64>,
}

impl Sums {
    /// Adds one document.
    pub fn add(&mut self, embedding: &[f32]) {
        self.documents += 1;
        self.sum.resize(embedding.len(), 0.0);
        self.sum.iter_mut().zip(embedding).for_each(|(sum, value)| *sum += f64::from(*value));
    }

    /// Takes one document away that was added before.
    pub fn remove(&mut self, embedding: &[f32]) {
        self.documents = self.documents.saturating_sub(1);
        self.sum.iter_mut().zip(embedding).for_each(|(sum, value)| *sum -= f64::from(*value));
    }

    /// Adds all that `other` knows.
    pub fn merge(&mut self, other: &Sums) {
        self.documents += other.documents;
        self.sum.resize(self.sum.len().max(other.sum.len()), 0.0);
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum += value);
    }

    /// Takes away all that `other` knows, which was added before.
    pub fn unmerge(&mut self, other: &Sums) {
        self.documents = self.documents.saturating_sub(other.documents);
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum -= value);
    }

    /// What one document adds.
    pub fn of(embedding: &[f32]) -> Self {
        let mut sums = Self::default();
        sums.add(embedding);
        sums
    }

    /// Mean cosine of the documents to their centroid, in [0, 1]; 0 for no documents. The nearer to 1, the closer
    /// they lie together.
    pub fn cohesion(&self) -> f64 {
        let length = self.sum.iter().map(|value| value * value).sum::<f64>().sqrt();
        if self.documents == 0 { 0.0 } else { (length / self.documents as f64).min(1.0) }
    }

    /// The mean direction (`d` numbers of length 1), or none if the sum has no direction.
    pub fn centroid(&self) -> Option<Vec<f32>> {
        let length = self.sum.iter().map(|value| value * value).sum::<f64>().sqrt();
        (length > 1e-9).then(|| self.sum.iter().map(|value| (value / length) as f32).collect())
    }
}

/// What a batch says about one topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Its documents and their embeddings.
    pub sums: Sums,
    /// Their words.
    pub words: Bag,
    /// Their times and fields, with every value.
    pub profile: Profile,
}

/// A document that the modeler keeps for a while, with all that a refit needs of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its id.
    pub id: Arc<str>,
    /// The start of its text, for people.
    pub text: String,
    /// Its embedding, of length 1.
    pub embedding: Arc<[f32]>,
    /// The words of its text that count for keywords.
    pub words: Bag,
    /// When it was written, in ms since 1970, if known.
    pub timestamp_ms: Option<i64>,
    /// Where it stands in its source.
    pub position: Position,
    /// Documents absorbed in all when it came; 0 until it is absorbed.
    pub arrived: u64,
    /// Its place in the uniform sample: [`Sampling::priority`] of its id.
    pub priority: u64,
    /// Its kept fields.
    pub fields: Fields,
}

/// What the modeler learns from a batch: sums per topic, and the documents worth keeping.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Sums per topic; under none, the outliers'.
    pub learned: BTreeMap<Option<TopicId>, Learned>,
    /// Outliers and sampled documents, in source order, with their topic.
    pub kept: Vec<(Kept, Option<TopicId>)>,
    /// Hashes of all ids in the batch, in source order.
    pub ids: Vec<u128>,
    /// How many pieces of input were refused.
    pub rejected: u64,
}

/// Bytes of a text that are kept for people to read.
pub const KEPT_TEXT_BYTES: usize = 2048;

impl Outcome {
    /// What this batch teaches, when `sampling` decides which documents are sampled.
    pub fn evidence(&self, sampling: Sampling) -> Evidence {
        let mut evidence = Evidence::default();
        self.teach(&mut evidence, sampling);
        evidence
    }

    /// Adds what this batch teaches to what earlier ones taught.
    pub fn teach(&self, evidence: &mut Evidence, sampling: Sampling) {
        evidence.rejected += self.rejections.len() as u64;
        self.judged.iter().for_each(|judged| judged.teach(evidence, sampling));
    }
}

impl Judged {
    /// Adds what this document teaches to what earlier ones taught.
    pub fn teach(&self, evidence: &mut Evidence, sampling: Sampling) {
        let topic = self.assignment.topic;
        let id = &self.document.id;
        evidence.ids.push(xxhash_rust::xxh3::xxh3_128(id.as_bytes()));
        let learned = evidence.learned.entry(topic).or_default();
        learned.sums.add(&self.embedding);
        learned.words.merge(&self.words);
        learned.profile.add(self.document.timestamp_ms, &self.document.fields);
        if topic.is_none() || sampling.takes(id) {
            evidence.kept.push((self.keep(), topic));
        }
    }

    fn keep(&self) -> Kept {
        Kept {
            id: self.document.id.clone(),
            text: start_of(&self.document.text, KEPT_TEXT_BYTES).to_owned(),
            embedding: self.embedding.clone(),
            words: self.words.clone(),
            timestamp_ms: self.document.timestamp_ms,
            position: self.document.position.clone(),
            arrived: 0,
            priority: Sampling::priority(&self.document.id),
            fields: self.document.fields.clone(),
        }
    }
}
