//! Topics that ended, as long as they can be brought back: what each of them held, kept up to date while its
//! documents move on, so that a merge can be undone exactly.
//!
//! A merge publishes no new record for the documents of the topic that ends: their newest record goes on naming it,
//! and the redirect says where they are. So what a topic held is known by the names in the records, and bringing it
//! back needs no more than its own sums.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::document::Sequence;
use crate::keywords::Bag;
use crate::model::evidence::Sums;
use crate::model::profile::Profile;
use crate::model::state::Record;
use crate::model::topic::TopicId;

/// A word counted less often than this is gone.
const NEGLIGIBLE: f64 = 1e-6;

/// A topic that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The topic as it was, with the sums of the documents whose records still name it, or a topic that it took in.
    pub record: Record,
    /// Their words, each occurrence weighed as in the counts of all topics.
    pub words: BTreeMap<String, f64>,
    /// The topic that took it in; none if its documents are outliers now.
    pub into: Option<TopicId>,
    /// Topics that redirected to it when it ended.
    pub took: BTreeSet<TopicId>,
    /// The version that ended it.
    pub version: u64,
    /// The kept documents that voted for it then.
    pub members: BTreeSet<Sequence>,
    /// An operator ended it, so no refit undoes that.
    pub decided: bool,
}

impl Ended {
    /// A document of it came.
    pub(super) fn add(&mut self, window: u64, sums: &Sums, profile: &Profile, words: &Bag, weight: f64) {
        self.record.sums.merge(sums);
        self.record.history.add(window, sums);
        self.record.profile.merge(profile);
        for (word, count) in words.iter() {
            *self.words.entry(word.to_owned()).or_insert(0.0) += f64::from(count) * weight;
        }
    }

    /// A document of it found another topic, or is forgotten.
    pub(super) fn remove(&mut self, window: u64, sums: &Sums, profile: &Profile, words: &Bag, weight: f64) {
        self.record.sums.unmerge(sums);
        self.record.history.remove(window, sums);
        self.record.profile.unmerge(profile);
        words.iter().for_each(|(word, count)| self.take(word, f64::from(count) * weight));
    }

    /// All of another ended topic leaves, because it comes back, with the topics that it had taken in.
    pub(super) fn part(&mut self, other: &Ended) {
        self.took.retain(|id| *id != other.record.topic.id && !other.took.contains(id));
        self.record.sums.unmerge(&other.record.sums);
        self.record.history.unmerge(&other.record.history);
        self.record.profile.unmerge(&other.record.profile);
        other.words.iter().for_each(|(word, count)| self.take(word, *count));
    }

    fn take(&mut self, word: &str, count: f64) {
        if let Some(present) = self.words.get_mut(word) {
            *present -= count;
            if *present < NEGLIGIBLE {
                self.words.remove(word);
            }
        }
    }
}

/// The counts of all topics shrank by `factor`, because time passed; so do the words of topics that ended.
pub(super) fn fade(ended: &mut BTreeMap<TopicId, Ended>, factor: f64) {
    if factor < 1.0 {
        for topic in ended.values_mut() {
            topic.words.retain(|_, count| {
                *count *= factor;
                *count >= NEGLIGIBLE
            });
        }
    }
}

/// The ended topics that hold the documents recorded under `id`: itself, the one that took it in, and so on.
///
/// A topic between two of them may have ended too long ago to be known; the one that took it in remembers its id.
pub fn chain(ended: &BTreeMap<TopicId, Ended>, id: Option<TopicId>) -> Vec<TopicId> {
    let taker = |id: TopicId| {
        let takers = ended.iter().filter(|(_, topic)| topic.took.contains(&id));
        takers.min_by_key(|(_, topic)| topic.version).map(|(taker, _)| *taker)
    };
    let mut chain = Vec::new();
    let mut next = id;
    while let Some(id) = next {
        let holder = if ended.contains_key(&id) { Some(id) } else { taker(id) };
        let Some(holder) = holder.filter(|holder| !chain.contains(holder)) else { break };
        chain.push(holder);
        next = ended[&holder].into;
    }
    chain
}
