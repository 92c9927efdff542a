//! The set of topics in force: immutable, numbered, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ann::Index;
use crate::kernel::unit::UnitRows;
use crate::model::seed::Seeds;
use crate::model::topic::{Topic, TopicId};

/// Everything that an assigner needs; shared behind an `Arc`, never changed.
#[derive(Debug)]
pub struct TopicModel {
    /// 0 before the first fit, then one more for each promoted refit or operator's action.
    pub number: u64,
    /// Topics by id.
    pub topics: BTreeMap<TopicId, Topic>,
    /// Topics that ended → the topic that took them in; never a chain.
    pub redirects: BTreeMap<TopicId, TopicId>,
    /// Which documents are sampled.
    pub sampling: Sampling,
    /// Share of the votes' weight that a topic must win, where the refit set it to hold an outlier share.
    pub vote: Option<f32>,
    /// What goes to a topic before any vote.
    pub seeds: Seeds,
    places: Arc<Places>,
}

/// Where topics and their members lie. Shared by versions that differ in what topics are called.
#[derive(Debug)]
struct Places {
    entries: Index,
    owners: Vec<Option<TopicId>>,
    centroids: UnitRows,
    centroid_ids: Vec<TopicId>,
}

/// Which documents of a stream belong to its uniform sample: those whose priority is low enough.
///
/// A document's priority is a hash of its id, so every assigner decides alike, in any order and after any restart
/// (bottom-k sampling: Cohen & Kaplan, "Summarizing data using bottom-k sketches", 2007).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The highest priority that can still enter the sample; an old bound lets through more than needed, never less.
    pub bound: u64,
}

impl Sampling {
    /// Everything is sampled, as long as the sample is not full.
    pub const ALL: Sampling = Sampling { bound: u64::MAX };

    /// The priority of the document `id`: 64 bits, uniform.
    pub fn priority(id: &str) -> u64 {
        xxhash_rust::xxh3::xxh3_64(id.as_bytes())
    }

    /// True if the document `id` may belong to the sample.
    pub fn takes(self, id: &str) -> bool {
        Self::priority(id) <= self.bound
    }
}

/// A member of the index: its embedding and the topic that it votes for (none: noise).
#[derive(Debug, Clone)]
pub struct Entry {
    /// `d` numbers, of length 1.
    pub embedding: Arc<[f32]>,
    /// Its topic.
    pub topic: Option<TopicId>,
}

/// A row that an entry or a centroid holds is not of length 1; the state was written by something else.
#[derive(Debug, thiserror::Error)]
#[error(
    "model version {version} holds a row that is not of length 1; restore a backup of the state or start afresh"
)]
pub struct BrokenEntry {
    /// The version.
    pub version: u64,
    /// Which row, and why.
    #[source]
    pub source: crate::kernel::unit::Error,
}

impl TopicModel {
    /// The model before the first fit, for embeddings of `dim` numbers: no topics, everything is an outlier.
    pub fn empty(dim: usize, sampling: Sampling) -> Self {
        Self {
            number: 0,
            topics: BTreeMap::new(),
            redirects: BTreeMap::new(),
            sampling,
            vote: None,
            seeds: Seeds::default(),
            places: Arc::new(Places {
                entries: Index::build(UnitRows::empty(dim)),
                owners: Vec::new(),
                centroids: UnitRows::empty(dim),
                centroid_ids: Vec::new(),
            }),
        }
    }

    /// Version `number` of `topics` whose members and sampled noise are `entries`.
    pub fn build(
        number: u64,
        dim: usize,
        topics: BTreeMap<TopicId, Topic>,
        redirects: BTreeMap<TopicId, TopicId>,
        entries: &[Entry],
        sampling: Sampling,
    ) -> Result<Self, BrokenEntry> {
        let broken = |source| BrokenEntry { version: number, source };
        let rows = UnitRows::from_rows(dim, entries.iter().map(|entry| &*entry.embedding)).map_err(broken)?;
        let centroids =
            UnitRows::from_rows(dim, topics.values().map(|topic| &*topic.centroid)).map_err(broken)?;
        Ok(Self {
            number,
            redirects,
            sampling,
            vote: None,
            seeds: Seeds::of(topics.values()),
            places: Arc::new(Places {
                entries: Index::build(rows),
                owners: entries.iter().map(|entry| entry.topic).collect(),
                centroids,
                centroid_ids: topics.keys().copied().collect(),
            }),
            topics,
        })
    }

    /// The same version with its topics described otherwise; documents find the same topics. O(topics).
    #[must_use]
    pub fn described(&self, topics: BTreeMap<TopicId, Topic>) -> Self {
        Self {
            number: self.number,
            topics,
            redirects: self.redirects.clone(),
            sampling: self.sampling,
            vote: self.vote,
            seeds: self.seeds.clone(),
            places: self.places.clone(),
        }
    }

    /// The same version where a topic must win `vote` of the votes' weight, if it is given.
    #[must_use]
    pub fn with_vote(self, vote: Option<f32>) -> Self {
        Self { vote, ..self }
    }

    /// Numbers in an embedding.
    pub fn dim(&self) -> usize {
        self.places.centroids.dim()
    }

    /// The index over members and sampled noise.
    pub fn entries(&self) -> &Index {
        &self.places.entries
    }

    /// The topic that entry `index` votes for.
    pub fn owner(&self, index: u32) -> Option<TopicId> {
        self.places.owners.get(index as usize).copied().flatten()
    }

    /// The topic that `id` is today: itself, or the one that took it in.
    pub fn resolve(&self, id: TopicId) -> TopicId {
        self.redirects.get(&id).copied().unwrap_or(id)
    }

    /// Every topic with the cosine of its centroid to `row`, best first, ties to the older topic.
    pub fn nearest_topics(&self, row: &[f32]) -> Vec<(TopicId, f32)> {
        let mut found: Vec<(TopicId, f32)> = (self.places.centroid_ids.iter().enumerate())
            .map(|(index, id)| (*id, crate::kernel::dot::dot(self.places.centroids.row(index), row)))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }
}
