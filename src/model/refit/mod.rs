//! Fitting anew: when ([`trigger`]), on which documents ([`select`]), how ([`run`]), and what the new clusters mean
//! for the old topics ([`reconcile`]), and whether they take their place ([`policy`]); [`report`] is what can be asked
//! for afterwards.

mod begun;
mod cells;
pub mod coherence;
mod compose;
mod dense;
mod membership;
mod moments;
mod objective;
pub mod policy;
pub mod reconcile;
pub mod report;
pub mod run;
pub mod select;
pub mod trigger;
mod views;
mod vote;

use serde::{Deserialize, Serialize};

/// How refits are triggered and done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Documents before the first fit.
    pub first_documents: u64,
    /// Documents between two refits, at least: a sixtieth of what a refit takes in if that is more.
    pub every_documents: u64,
    /// After a refit, so many times as long as it took pass before documents trigger the next.
    pub rest: f64,
    /// Refits stand at fixed places of the stream: assignment waits for each.
    pub lockstep: bool,
    /// Bound of the outlier buffer, in documents.
    pub outlier_buffer: usize,
    /// Bound of the documents that came since the last refit, which the next one judges once more.
    pub fresh: usize,
    /// Documents kept for a topic that the sample represents with fewer.
    pub anchors: usize,
    /// Documents of the stream's uniform sample that a fit takes in, at most.
    pub sample: usize,
    /// Bound of the stream's uniform sample that is kept and judged anew at each refit, in documents.
    pub remembered: usize,
    /// UMAP's `n_epochs`; 0 as umap-learn chooses: 500 for up to 10,000 documents, 200 for more.
    pub n_epochs: usize,
    /// Smallest group of documents that is a topic.
    pub min_cluster_size: ClusterSize,
    /// HDBSCAN's `min_samples`.
    pub min_samples: usize,
    /// How many topics: 2 makes about twice as many as 1.
    pub granularity: f64,
    /// What words weigh beside embeddings; 0 for embeddings alone.
    pub words: f32,
    /// UMAP's `n_neighbors`.
    pub n_neighbors: usize,
    /// UMAP's `n_components`.
    pub n_components: usize,
    /// The same seed gives the same topics for the same stream.
    pub seed: u64,
    /// Documents of the stream without one for a topic after which it is dormant.
    pub dormant_after_documents: u64,
}

/// `min_cluster_size`: a number, or in proportion to what is refitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterSize {
    /// [`AUTO_SIZE`] times the square root of the refitted documents, at least [`LEAST_AUTO_SIZE`].
    Auto,
    /// Exactly this many documents.
    Documents(usize),
}

/// What `"auto"` multiplies the square root of the documents with: 15 for 10,000, 32 for 45,000.
///
/// It bounds how small a topic may be; how large topics are is for `granularity`. With ten times the documents, chance
/// groups are larger, but not ten times.
pub const AUTO_SIZE: f64 = 0.15;

/// The smallest `min_cluster_size` that `"auto"` gives: below it, chance alone makes clusters.
pub const LEAST_AUTO_SIZE: usize = 10;

impl Serialize for ClusterSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Documents(documents) => serializer.serialize_u64(*documents as u64),
        }
    }
}

impl<'de> Deserialize<'de> for ClusterSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(usize),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(documents) => Ok(Self::Documents(documents)),
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Word(word) => {
                Err(serde::de::Error::custom(format!("`{word}` is neither a number nor \"auto\"")))
            }
        }
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            first_documents: 1000,
            every_documents: 250,
            rest: 3.0,
            lockstep: false,
            outlier_buffer: 20_000,
            fresh: 2500,
            anchors: 40,
            sample: 50_000,
            remembered: 50_000,
            n_epochs: 0,
            min_cluster_size: ClusterSize::Auto,
            min_samples: 5,
            granularity: 1.0,
            words: 0.5,
            n_neighbors: 15,
            n_components: 5,
            seed: 42,
            dormant_after_documents: 10_000,
        }
    }
}

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{name}` is {found} but must be {range}")]
pub struct Error {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub found: String,
    /// What it may be.
    pub range: &'static str,
}

/// Parameters that are known to be in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Params);

impl std::ops::Deref for Checked {
    type Target = Params;

    fn deref(&self) -> &Params {
        &self.0
    }
}

impl Params {
    /// These parameters, if every one is in range; otherwise every mistake.
    pub fn check(self) -> Result<Checked, Vec<Error>> {
        let mut mistakes = Vec::new();
        let mut need = |holds: bool, name, found: String, range| {
            if !holds {
                mistakes.push(Error { name, found, range });
            }
        };
        let counts = [
            ("first_documents", self.first_documents),
            ("every_documents", self.every_documents),
            ("sample", self.sample as u64),
            ("remembered", self.remembered as u64),
            ("outlier_buffer", self.outlier_buffer as u64),
            ("min_samples", self.min_samples as u64),
            ("n_components", self.n_components as u64),
            ("dormant_after_documents", self.dormant_after_documents),
        ];
        for (name, value) in counts {
            need(value >= 1, name, value.to_string(), "at least 1");
        }
        if let ClusterSize::Documents(documents) = self.min_cluster_size {
            need(documents >= 2, "min_cluster_size", documents.to_string(), "at least 2, or \"auto\"");
        }
        need(self.n_neighbors >= 2, "n_neighbors", self.n_neighbors.to_string(), "at least 2");
        let granularity = self.granularity;
        need((0.1..=100.0).contains(&granularity), "granularity", granularity.to_string(), "0.1 to 100");
        let words = self.words;
        need((0.0..=2.0).contains(&words), "words", words.to_string(), "0 to 2");
        let rest = self.rest;
        need((0.0..=1e6).contains(&rest), "rest", rest.to_string(), "0 to 1000000");
        if mistakes.is_empty() { Ok(Checked(self)) } else { Err(mistakes) }
    }

    /// HDBSCAN's `min_cluster_size` for a refit of `documents`.
    pub fn cluster_size(&self, documents: usize) -> usize {
        match self.min_cluster_size {
            ClusterSize::Documents(size) => size,
            ClusterSize::Auto => {
                ((documents as f64).sqrt() * AUTO_SIZE).round().max(LEAST_AUTO_SIZE as f64) as usize
            }
        }
    }
}
