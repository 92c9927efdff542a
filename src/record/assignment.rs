//! Which topic a document has. The newest revision of a document's id is its topic; it is published at once on
//! arrival (`revision` 1) and again whenever a refit finds another.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Position;
use crate::document::Fields;
use crate::kernel::dot::dot;
use crate::model::evidence::Judged;
use crate::model::state::adopt::Revision;
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;

/// Further topics of a document, at most: a text may have a thousand windows.
const MOST_FURTHER: usize = 100;

/// One line of `assignments.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssignmentRecord {
    /// The document's id.
    pub id: String,
    /// The topic's id, or −1 for an outlier.
    pub topic: i64,
    /// The topic's name at that time; empty for an outlier.
    pub label: String,
    /// Cosine to the topic's centroid, or for an outlier to the nearest one.
    pub similarity: f32,
    /// Share of the neighbours' votes that the topic won, in [0, 1]; absent in revisions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<f32>,
    /// The other topics of a long document whose windows were judged one by one, best first, 100 at most; absent where
    /// there are none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub further: Vec<FurtherTopic>,
    /// The model version that decided it.
    pub version: u64,
    /// 1 on arrival, one more for each change.
    pub revision: u16,
    /// True in the last record of an outlier that no refit will look at again; absent otherwise.
    #[serde(rename = "final", skip_serializing_if = "std::ops::Not::not", default)]
    pub settled: bool,
    /// The topic's id before; absent on arrival.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous: Option<i64>,
    /// Its kept fields; absent where there are none.
    #[serde(skip_serializing_if = "Fields::is_empty", default)]
    pub fields: Fields,
    /// Where the document came from.
    #[serde(flatten)]
    pub position: Position,
}

/// A topic of a part of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherTopic {
    /// The topic's id.
    pub topic: u32,
    /// The topic's name at that time.
    pub label: String,
    /// The best cosine of a part to the topic's centroid.
    pub similarity: f32,
}

impl AssignmentRecord {
    /// The assignment on arrival; `model` is the version that judged it.
    pub fn on_arrival(judged: &Judged, model: &TopicModel) -> Self {
        let assignment = &judged.assignment;
        let further = judged.further.iter().take(MOST_FURTHER).map(|(id, similarity)| FurtherTopic {
            topic: id.0,
            label: name(model, Some(*id)),
            similarity: *similarity,
        });
        Self {
            id: judged.document.id.to_string(),
            topic: TopicId::to_record(assignment.topic),
            label: name(model, assignment.topic),
            similarity: assignment.similarity,
            weight: Some(assignment.weight),
            further: further.collect(),
            version: model.number,
            revision: 1,
            settled: false,
            previous: None,
            fields: judged.document.fields.clone(),
            position: judged.document.position.clone(),
        }
    }

    /// A later assignment, by the version `model`.
    pub fn revised(revision: &Revision, model: &TopicModel) -> Self {
        let topic = revision.topic.and_then(|id| model.topics.get(&id));
        let similarity = match topic {
            Some(topic) => dot(&topic.centroid, &revision.embedding),
            None => model.nearest_topics(&revision.embedding).first().map_or(0.0, |(_, cosine)| *cosine),
        };
        Self {
            id: revision.id.to_string(),
            topic: TopicId::to_record(revision.topic),
            label: name(model, revision.topic),
            similarity,
            weight: None,
            further: Vec::new(),
            version: model.number,
            revision: revision.revision,
            settled: revision.settled,
            previous: Some(TopicId::to_record(revision.before)),
            fields: revision.fields.clone(),
            position: revision.position.clone(),
        }
    }
}

/// The last line of a forgotten document: whoever holds an assignment of it must drop it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TombstoneRecord {
    /// The document's id.
    pub id: String,
    /// Always `null`: it has no topic, and is no outlier either.
    pub topic: Option<i64>,
    /// Always true.
    pub forgotten: bool,
    /// The model version from which on it is forgotten.
    pub version: u64,
    /// 65535, above every other revision.
    pub revision: u16,
}

impl TombstoneRecord {
    /// The record of the document `id`, by the version `model`.
    pub fn new(id: &str, model: &TopicModel) -> Self {
        Self { id: id.to_owned(), topic: None, forgotten: true, version: model.number, revision: u16::MAX }
    }
}

fn name(model: &TopicModel, topic: Option<TopicId>) -> String {
    topic.and_then(|id| model.topics.get(&id)).map_or_else(String::new, |topic| topic.name.clone())
}
