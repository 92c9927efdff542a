//! The last versions as they were: to compare them, and to go back to one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::Sequence;
use crate::keywords::Keyword;
use crate::model::operate::Refusal;
use crate::model::state::State;
use crate::model::topic::{Life, TopicId};

/// One version, without its members' texts and embeddings. About 2 KB a topic with 384 numbers, and 5 bytes a kept
/// document on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Archive {
    /// Its number.
    pub number: u64,
    /// When it came into force, in ms since 1970.
    pub time_ms: i64,
    /// What made it, in words.
    pub cause: String,
    /// Documents absorbed then.
    pub documents: u64,
    /// Of those, documents without a topic.
    pub outliers: u64,
    /// Its topics by id.
    pub topics: BTreeMap<TopicId, ArchivedTopic>,
    /// The topic of each document that was kept then, and whether it voted.
    pub labels: Vec<(Sequence, Option<TopicId>, bool)>,
}

/// One topic of an archived version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedTopic {
    /// Its name.
    pub name: String,
    /// The label that an operator had given it.
    pub custom_label: Option<String>,
    /// An operator wanted it neither merged nor split.
    pub pinned: bool,
    /// Its documents then.
    pub size: u64,
    /// Whether documents came.
    pub life: Life,
    /// Its centroid, of length 1.
    pub centroid: Vec<f32>,
    /// Its keywords.
    pub keywords: Vec<Keyword>,
}

impl State {
    /// Version `number`, or the one before the version in force.
    ///
    /// # Errors
    /// It is not kept.
    pub fn archived(&self, number: Option<u64>) -> Result<&Archive, Refusal> {
        let mut archives = self.archives.iter().rev();
        let found = match number {
            Some(number) => archives.find(|archive| archive.number == number),
            None => archives.find(|archive| archive.number < self.totals.version),
        };
        let refused = || number.map_or(Refusal::NoVersionBefore, |version| Refusal::NoVersion { version });
        found.map(AsRef::as_ref).ok_or_else(refused)
    }

    /// The version in force, for the archive.
    pub(super) fn archive(&self, cause: String, now_ms: i64) -> Archive {
        let topics = self.topics.iter().map(|(id, record)| {
            let topic = &record.topic;
            let archived = ArchivedTopic {
                name: topic.name.clone(),
                custom_label: topic.custom_label.clone(),
                pinned: record.pinned,
                size: record.sums.documents,
                life: topic.life,
                centroid: topic.centroid.clone(),
                keywords: topic.keywords.clone(),
            };
            (*id, archived)
        });
        Archive {
            number: self.totals.version,
            time_ms: now_ms,
            cause,
            documents: self.totals.documents,
            outliers: self.outliers.documents,
            topics: topics.collect(),
            labels: (self.held.iter())
                .map(|(sequence, _, standing)| (sequence, standing.topic, standing.entry))
                .collect(),
        }
    }
}
