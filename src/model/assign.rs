//! The vote of near members that gives a document its topic.
//!
//! A topic is not a ball: its members vote, each with its cosine to the document, and sampled noise votes for "no
//! topic". The topic with the most weight wins if it holds `vote` of all the weight and the document is not further
//! from its centroid than the topic's floor. A document near a topic's seed goes there before any vote. One rule for the stream, for `fit` and for `assign`; each row is
//! judged alone, so a batch of a thousand and a thousand batches of one give the same answers.
//!
//! Cost: one query of the index per row, O(k) for the vote. No entries: every document is an outlier.

use std::collections::BTreeMap;

use crate::ann::Neighbour;
use crate::kernel::dot::dot;
use crate::kernel::unit::UnitRows;
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;

/// How documents find their topic.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Entries that vote (k); at least 1.
    pub neighbours: usize,
    /// Share of the votes' weight that a topic must win, in (0, 1].
    pub vote: f32,
    /// Share of the stream without a topic that each refit aims at by its own `vote`, in [0, 1); 0 leaves `vote` as it
    /// is.
    pub outlier_share: f32,
}

impl Default for Params {
    fn default() -> Self {
        Self { neighbours: 15, vote: 0.45, outlier_share: 0.0 }
    }
}

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nobody would vote.
    #[error("`neighbours` is 0 but must be at least 1")]
    NoNeighbours,
    /// Not a share.
    #[error("`vote` is {found} but must be above 0 and at most 1")]
    Vote {
        /// The value given.
        found: f32,
    },
    /// Not a share, or everything.
    #[error("`outlier_share` is {found} but must be at least 0 and below 1")]
    OutlierShare {
        /// The value given.
        found: f32,
    },
}

/// Parameters that are known to be in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Params);

impl Params {
    /// These parameters, if every one is in range.
    pub fn check(self) -> Result<Checked, Error> {
        if self.neighbours == 0 {
            return Err(Error::NoNeighbours);
        }
        if !(self.vote > 0.0 && self.vote <= 1.0) {
            return Err(Error::Vote { found: self.vote });
        }
        if !(0.0..1.0).contains(&self.outlier_share) {
            return Err(Error::OutlierShare { found: self.outlier_share });
        }
        Ok(Checked(self))
    }
}

impl Checked {
    /// Entries that vote.
    pub fn neighbours(&self) -> usize {
        self.0.neighbours
    }

    /// Share of the votes' weight that a topic must win, unless the version in force says otherwise.
    pub fn vote(&self) -> f32 {
        self.0.vote
    }

    /// Share of the votes' weight that a topic must win under `model`.
    pub fn needed(&self, model: &TopicModel) -> f32 {
        model.vote.unwrap_or(self.0.vote)
    }

    /// Share of the stream without a topic that refits aim at, if any.
    pub fn outlier_share(&self) -> Option<f32> {
        (self.0.outlier_share > 0.0).then_some(self.0.outlier_share)
    }
}

/// What the vote said about one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The topic, or none for an outlier.
    pub topic: Option<TopicId>,
    /// Cosine to the centroid of that topic; for an outlier, to the nearest centroid; 0 where there is no topic.
    pub similarity: f32,
    /// Share of the votes' weight that went to the strongest topic, in [0, 1].
    pub weight: f32,
}

/// The topic of each row of `rows` (`n × d`) under `model`.
pub fn assign(model: &TopicModel, rows: &UnitRows, params: &Checked) -> Vec<Assignment> {
    let neighbours = model.entries().nearest(rows, params.0.neighbours);
    neighbours.iter().enumerate().map(|(row, near)| judge(model, rows.row(row), near, params)).collect()
}

fn judge(model: &TopicModel, row: &[f32], near: &[Neighbour], params: &Checked) -> Assignment {
    let tally = tally(near.iter().map(|neighbour| (model.owner(neighbour.index), neighbour.cosine)));
    if let Some(topic) = model.seeds.near(row).and_then(|id| model.topics.get(&id)) {
        let weight = tally.shares.get(&topic.id).copied().unwrap_or(0.0);
        return Assignment { topic: Some(topic.id), similarity: dot(&topic.centroid, row), weight };
    }
    let winner = tally.winner(params.needed(model)).and_then(|(id, weight)| {
        let topic = model.topics.get(&id)?;
        let similarity = dot(&topic.centroid, row);
        (similarity >= topic.floor).then_some(Assignment { topic: Some(id), similarity, weight })
    });
    winner.unwrap_or_else(|| Assignment {
        topic: None,
        similarity: model.nearest_topics(row).first().map_or(0.0, |(_, cosine)| *cosine),
        weight: tally.strongest().map_or(0.0, |(_, weight)| weight),
    })
}

/// How the weight of one document's neighbours spreads over topics.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally<K> {
    /// Key → share of all the weight, noise included; in key order.
    pub shares: BTreeMap<K, f32>,
}

/// Counts votes: a key, or none for noise, with the voter's cosine. Negative cosines count as nothing.
pub fn tally<K: Ord + Copy>(votes: impl Iterator<Item = (Option<K>, f32)>) -> Tally<K> {
    let mut total = 0.0;
    let mut shares = BTreeMap::new();
    for (key, cosine) in votes {
        let weight = cosine.max(0.0);
        total += weight;
        if let Some(key) = key {
            *shares.entry(key).or_insert(0.0) += weight;
        }
    }
    if total > 0.0 {
        shares.values_mut().for_each(|share| *share /= total);
    }
    Tally { shares }
}

impl<K: Ord + Copy> Tally<K> {
    /// The key with the largest share, ties to the smaller key.
    pub fn strongest(&self) -> Option<(K, f32)> {
        let mut best: Option<(K, f32)> = None;
        for (key, share) in &self.shares {
            if best.is_none_or(|(_, most)| *share > most) {
                best = Some((*key, *share));
            }
        }
        best
    }

    /// The strongest key if it holds at least `needed` of the weight.
    pub fn winner(&self, needed: f32) -> Option<(K, f32)> {
        self.strongest().filter(|(_, share)| *share >= needed)
    }
}

/// A document's topics as a distribution: share of the votes' weight, best first; what is missing to 1 is noise.
pub fn distribution(model: &TopicModel, rows: &UnitRows, params: &Checked) -> Vec<Vec<(TopicId, f32)>> {
    let neighbours = model.entries().nearest(rows, params.0.neighbours);
    let shares = neighbours.iter().map(|near| {
        let tally = tally(near.iter().map(|neighbour| (model.owner(neighbour.index), neighbour.cosine)));
        let mut shares: Vec<(TopicId, f32)> = tally.shares.into_iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        shares
    });
    shares.collect()
}
