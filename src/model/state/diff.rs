//! What changed between two versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::agreement::adjusted_mutual_information;
use crate::document::Sequence;
use crate::kernel::dot::dot;
use crate::keywords::Keyword;
use crate::model::operate::Refusal;
use crate::model::state::State;
use crate::model::state::adopt::overlap;
use crate::model::state::archive::Archive;
use crate::model::topic::TopicId;

/// Words that are told of a topic.
const WORDS: usize = 10;

/// Two versions side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The version that is compared.
    pub from: u64,
    /// The version that it is compared with.
    pub to: u64,
    /// Documents kept in both.
    pub documents: usize,
    /// Of those, documents whose topic differs, having none being one more.
    pub moved: usize,
    /// Adjusted mutual information of their topics, having none being one more.
    pub agreement: f64,
    /// Topics that only the second has.
    pub appeared: Vec<One>,
    /// Topics that only the first has.
    pub ended: Vec<One>,
    /// Topics that both have.
    pub kept: Vec<Both>,
}

/// A topic of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct One {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its documents.
    pub size: u64,
    /// The topic of the other version that most of its documents kept in both have there, if one has.
    pub mostly: Option<TopicId>,
}

/// A topic of both versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Both {
    /// Its id.
    pub id: TopicId,
    /// Its name in the first.
    pub name_before: String,
    /// Its name in the second.
    pub name: String,
    /// Its documents in the first.
    pub size_before: u64,
    /// Its documents in the second.
    pub size: u64,
    /// Cosine of its two centroids.
    pub similarity: f32,
    /// Rank-weighted overlap of its keywords, in [0, 1].
    pub overlap: f64,
    /// Keywords that only the second has.
    pub gained: Vec<String>,
    /// Keywords that only the first has.
    pub lost: Vec<String>,
}

/// Compares two versions. O(topics × d + documents kept in both).
pub fn diff(from: &Archive, to: &Archive) -> Diff {
    let before: BTreeMap<Sequence, Option<TopicId>> =
        from.labels.iter().map(|(sequence, topic, _)| (*sequence, *topic)).collect();
    let pairs: Vec<(Option<TopicId>, Option<TopicId>)> = (to.labels.iter())
        .filter_map(|(sequence, topic, _)| Some((*before.get(sequence)?, *topic)))
        .collect();
    let (left, right): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let swapped: Vec<_> = pairs.iter().map(|(from, to)| (*to, *from)).collect();
    let kept = from.topics.iter().filter_map(|(id, before)| {
        let after = to.topics.get(id)?;
        let only = |of: &[Keyword], not_in: &[Keyword]| -> Vec<String> {
            let missing = |keyword: &&Keyword| not_in.iter().all(|other| other.term != keyword.term);
            of.iter().filter(missing).take(WORDS).map(|keyword| keyword.term.clone()).collect()
        };
        Some(Both {
            id: *id,
            name_before: before.name.clone(),
            name: after.name.clone(),
            size_before: before.size,
            size: after.size,
            similarity: dot(&before.centroid, &after.centroid),
            overlap: overlap(&before.keywords, &after.keywords),
            gained: only(&after.keywords, &before.keywords),
            lost: only(&before.keywords, &after.keywords),
        })
    });
    Diff {
        from: from.number,
        to: to.number,
        documents: pairs.len(),
        moved: pairs.iter().filter(|(from, to)| from != to).count(),
        agreement: adjusted_mutual_information(&left, &right).unwrap_or(1.0),
        appeared: only_in(to, from, &swapped),
        ended: only_in(from, to, &pairs),
        kept: kept.collect(),
    }
}

impl State {
    /// Compares two kept versions.
    ///
    /// # Errors
    /// One of them is not kept.
    pub fn compare(&self, from: u64, to: u64) -> Result<Diff, Refusal> {
        Ok(diff(self.archived(Some(from))?, self.archived(Some(to))?))
    }
}

/// Topics of `one` that `other` does not have; `pairs` are (topic in `one`, topic in `other`).
fn only_in(one: &Archive, other: &Archive, pairs: &[(Option<TopicId>, Option<TopicId>)]) -> Vec<One> {
    let mut shared: BTreeMap<TopicId, BTreeMap<Option<TopicId>, usize>> = BTreeMap::new();
    for (from, to) in pairs {
        if let Some(from) = from.filter(|id| !other.topics.contains_key(id)) {
            *shared.entry(from).or_default().entry(*to).or_insert(0) += 1;
        }
    }
    let missing = one.topics.iter().filter(|(id, _)| !other.topics.contains_key(id));
    let found = missing.map(|(id, topic)| {
        let there = shared.remove(id).unwrap_or_default();
        let all: usize = there.values().sum();
        let most = there.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| count * 2 > all);
        One { id: *id, name: topic.name.clone(), size: topic.size, mostly: most.and_then(|(id, _)| id) }
    });
    found.collect()
}
