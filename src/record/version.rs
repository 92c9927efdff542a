//! The versions that are kept, as the API and `--json` list them.

use serde::{Deserialize, Serialize};

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
