//! The versions that are kept, as the API and `--json` list them.

use serde::{Deserialize, Serialize};

use crate::keywords::Keyword;
use crate::model::state::State;
use crate::model::state::archive::Archive;

/// One kept version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Its number.
    pub version: u64,
    /// When it came into force, RFC 3339.
    pub time: String,
    /// What made it.
    pub cause: String,
    /// Its topics.
    pub topics: usize,
    /// Documents then.
    pub documents: u64,
    /// Of those, documents without a topic.
    pub outliers: u64,
    /// True for the version in force.
    pub in_force: bool,
}

impl VersionRecord {
    fn new(archive: &Archive, in_force: u64) -> Self {
        Self {
            version: archive.number,
            time: super::time(archive.time_ms),
            cause: archive.cause.clone(),
            topics: archive.topics.len(),
            documents: archive.documents,
            outliers: archive.outliers,
            in_force: archive.number == in_force,
        }
    }

    /// The versions that `state` keeps, newest first.
    pub fn all(state: &State) -> Vec<Self> {
        let in_force = state.totals().version;
        state.archives().rev().map(|archive| Self::new(archive, in_force)).collect()
    }
}

/// The topics of one kept version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedRecord {
    /// Its number.
    pub version: u64,
    /// Its topics, by id.
    pub topics: Vec<ArchivedTopicRecord>,
}

/// One topic of a kept version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedTopicRecord {
    /// Its id.
    pub id: u32,
    /// Its name then.
    pub name: String,
    /// Its documents then.
    pub size: u64,
    /// Its keywords then, best first.
    pub keywords: Vec<Keyword>,
}

impl ArchivedRecord {
    /// The topics of `archive`.
    pub fn new(archive: &Archive) -> Self {
        let topics = archive.topics.iter().map(|(id, topic)| ArchivedTopicRecord {
            id: id.0,
            name: topic.name.clone(),
            size: topic.size,
            keywords: topic.keywords.clone(),
        });
        Self { version: archive.number, topics: topics.collect() }
    }
}

/// What came of an operator's action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatedRecord {
    /// The version in force now.
    pub version: u64,
    /// What was done.
    pub summary: String,
    /// Documents whose topic changed by a record of their own.
    pub moved: usize,
    /// For a forgotten document: what was held of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<crate::model::operate::Holding>,
}
