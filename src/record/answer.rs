//! Answers to questions about a text: which topics are near to it, and which it belongs to.

use serde::{Deserialize, Serialize};

use crate::kernel::unit::UnitRows;
use crate::keywords::Keyword;
use crate::model::assign::{Checked, assign, distribution};
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;

/// A topic near to a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundRecord {
    /// Its id.
    pub id: u32,
    /// Cosine of the text or document to its centroid, in [-1, 1]; asked by keyword, the keyword's c-TF-IDF in it.
    pub similarity: f32,
    /// Its name.
    pub name: String,
    /// Documents that it has.
    pub size: u64,
    /// By c-TF-IDF, best first.
    pub keywords: Vec<Keyword>,
}

/// What is said of a document that is asked for and not kept.
pub fn not_kept(id: &str) -> String {
    format!(
        "document `{id}` is not among those that the state keeps (a sample, outliers and anchors); give its text instead"
    )
}

/// The `limit` topics nearest to `row` (`d` numbers, length 1), nearest first.
pub fn find(model: &TopicModel, row: &[f32], limit: usize) -> Vec<FoundRecord> {
    found(model, model.nearest_topics(row).into_iter().take(limit))
}

/// Topics of `model` that were found otherwise, in their order.
pub fn found(model: &TopicModel, topics: impl Iterator<Item = (TopicId, f32)>) -> Vec<FoundRecord> {
    topics
        .filter_map(|(id, similarity)| {
            let topic = model.topics.get(&id)?;
            Some(FoundRecord {
                id: id.0,
                similarity,
                name: topic.name.clone(),
                size: topic.size,
                keywords: topic.keywords.clone(),
            })
        })
        .collect()
}

/// What the stream's own rule says about a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssignedRecord {
    /// The topic's id, or −1 for an outlier.
    pub topic: i64,
    /// The topic's name; empty for an outlier.
    pub label: String,
    /// Cosine to the topic's centroid, or for an outlier to the nearest one.
    pub similarity: f32,
    /// Topics by share of the neighbours' votes, best first; what is missing to 1 voted for none.
    pub weights: Vec<WeightRecord>,
}

/// A topic's share of the votes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightRecord {
    /// The topic's id.
    pub topic: u32,
    /// Its name.
    pub label: String,
    /// Its share, in [0, 1].
    pub weight: f32,
}

/// The topics of each row of `rows`; nothing is stored.
pub fn assigned(model: &TopicModel, rows: &UnitRows, params: &Checked) -> Vec<AssignedRecord> {
    let name = |id: TopicId| model.topics.get(&id).map_or_else(String::new, |topic| topic.name.clone());
    let judged = assign(model, rows, params).into_iter().zip(distribution(model, rows, params));
    judged
        .map(|(assignment, shares)| AssignedRecord {
            topic: TopicId::to_record(assignment.topic),
            label: assignment.topic.map(name).unwrap_or_default(),
            similarity: assignment.similarity,
            weights: (shares.into_iter())
                .map(|(id, weight)| WeightRecord { topic: id.0, label: name(id), weight })
                .collect(),
        })
        .collect()
}
