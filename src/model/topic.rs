//! A topic, and the id that it keeps for ever.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::keywords::Keyword;
use crate::model::seed::Seed;

/// The name of a topic for machines: from 0, in order of birth, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub u32);

impl TopicId {
    /// How an outlier's topic is written in records, as BERTopic's users know it.
    pub const OUTLIER: i64 = -1;

    /// The number that stands in records: the id, or −1 for no topic.
    pub fn to_record(topic: Option<TopicId>) -> i64 {
        topic.map_or(Self::OUTLIER, |id| i64::from(id.0))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether documents still come to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Documents come.
    Live,
    /// None has come for `refit.dormant_after_documents`; it wakes up with the next one.
    Dormant,
}

/// A document that shows what a topic is about: one of the members nearest to its centroid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Representative {
    /// The document's id.
    pub id: Arc<str>,
    /// The start of its text.
    pub text: String,
}

/// One topic as a model version publishes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its first keywords, or the label that an operator gave it.
    pub name: String,
    /// The label that an operator gave it, or that it was seeded with; wins over every other name.
    pub custom_label: Option<String>,
    /// Documents that were assigned to it so far.
    pub size: u64,
    /// Whether documents still come.
    pub life: Life,
    /// The mean direction of its members, of length 1 (`d` numbers).
    pub centroid: Vec<f32>,
    /// A document whose cosine to the centroid is below this is an outlier whatever its neighbours say.
    pub floor: f32,
    /// By c-TF-IDF, best first.
    pub keywords: Vec<Keyword>,
    /// Members nearest to the centroid, nearest first.
    pub representative: Vec<Representative>,
    /// The version that first held it.
    pub created_version: u64,
    /// The topic that it was split from, if it was.
    pub split_from: Option<TopicId>,
    /// What it was expected to be about before the stream; its own, and those of topics that it took in.
    pub seeds: Vec<Seed>,
}

impl Topic {
    /// Gives it the name that its custom label or else its keywords make.
    pub fn rename(&mut self) {
        self.name = self.custom_label.clone().unwrap_or_else(|| name_of(&self.keywords));
    }
}

/// Keywords that make up a topic's name.
const WORDS_IN_NAME: usize = 4;

/// A name from the best keywords: `trump, ban, travel, court`.
pub fn name_of(keywords: &[Keyword]) -> String {
    let words: Vec<&str> = keywords.iter().take(WORDS_IN_NAME).map(|keyword| &*keyword.term).collect();
    words.join(", ")
}
