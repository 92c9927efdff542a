//! A topic as the outside sees it: in `topics.jsonl` (every topic of each version), in the API and in `--json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keywords::Keyword;
use crate::model::state::overview::Overview;
use crate::model::topic::{Life, Representative, Topic, TopicId};
use crate::model::trend::Signal;
use crate::model::version::TopicModel;

/// One topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Documents that it has.
    pub size: u64,
    /// The label that an operator gave it, or that it was seeded with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub custom_label: Option<String>,
    /// `live` or `dormant`.
    pub state: Life,
    /// `noise`, `weak`, `strong` or `fading`, by its own history.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trend: Option<Signal>,
    /// An operator wants it neither merged nor split.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub pinned: bool,
    /// What a chat endpoint called it, before labels were told apart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// A sentence about it by a chat endpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<String>,
    /// By c-TF-IDF, or what `representation.main` made of it; best first.
    pub keywords: Vec<Keyword>,
    /// Other lists: name → keywords.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub aspects: BTreeMap<String, Vec<Keyword>>,
    /// Members nearest to the centroid, nearest first.
    pub representative: Vec<Representative>,
    /// The version that first held it.
    pub created_version: u64,
    /// The version that this record describes.
    pub version: u64,
    /// The topic that it was split from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub split_from: Option<u32>,
    /// Documents per window of the stream, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub history: Vec<u64>,
}

/// The whole of what is known: a version's topics with the counts of this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicsRecord {
    /// The version in force.
    pub version: u64,
    /// Documents so far.
    pub documents: u64,
    /// Of those, documents without a topic.
    pub outliers: u64,
    /// The number of documents at which the next refit is due; left out where nobody refits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refit_at: Option<u64>,
    /// Topics, largest first.
    pub topics: Vec<TopicRecord>,
}

/// The last record of a topic that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedRecord {
    /// Its id.
    pub id: u32,
    /// `ended`.
    pub state: String,
    /// The topic that took it in; absent if its documents are outliers now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub into: Option<u32>,
    /// The version that ended it.
    pub version: u64,
}

impl EndedRecord {
    /// The record of topic `id`, which `model` does not have any more.
    pub fn new(id: TopicId, model: &TopicModel) -> Self {
        let into = model.redirects.get(&id).map(|into| into.0);
        Self { id: id.0, state: "ended".to_owned(), into, version: model.number }
    }
}

impl TopicRecord {
    /// `topic` as `model` publishes it.
    pub fn new(topic: &Topic, model: &TopicModel) -> Self {
        Self {
            id: topic.id.0,
            name: topic.name.clone(),
            size: topic.size,
            custom_label: topic.custom_label.clone(),
            state: topic.life,
            trend: None,
            pinned: false,
            label: topic.label.as_ref().map(|label| label.text.clone()),
            summary: (topic.label.as_ref().map(|label| label.summary.clone()))
                .filter(|text| !text.is_empty()),
            keywords: topic.keywords.clone(),
            aspects: topic.aspects.clone(),
            representative: topic.representative.clone(),
            created_version: topic.created_version,
            version: model.number,
            split_from: topic.split_from.map(|id| id.0),
            history: Vec::new(),
        }
    }
}

impl TopicsRecord {
    /// The topics of `model` with the counts of `overview`.
    pub fn new(model: &TopicModel, overview: &Overview) -> Self {
        let mut topics: Vec<TopicRecord> = (model.topics.iter())
            .map(|(id, topic)| {
                let mut record = TopicRecord::new(topic, model);
                record.size = overview.sizes.get(id).copied().unwrap_or(record.size);
                record.state = overview.lives.get(id).copied().unwrap_or(record.state);
                record.trend = overview.signals.get(id).copied();
                record.pinned = overview.pinned.contains(id);
                record.history = overview.histories.get(id).cloned().unwrap_or_default();
                record
            })
            .collect();
        topics.sort_by_key(|topic| (std::cmp::Reverse(topic.size), topic.id));
        Self {
            version: model.number,
            documents: overview.documents,
            outliers: overview.outliers,
            refit_at: Some(overview.refit_at).filter(|at| *at > 0),
            topics,
        }
    }
}
