//! What a refit decided, for those who ask later.

use serde::{Deserialize, Serialize};

use crate::model::refit::policy::Comparison;
use crate::model::refit::trigger::Trigger;
use crate::model::topic::TopicId;

/// One refit, promoted or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number, from 1.
    pub number: u64,
    /// When it was decided, in ms since 1970.
    pub time_ms: i64,
    /// What asked for it.
    pub trigger: Trigger,
    /// The version in force before it.
    pub before: u64,
    /// The version that it made; the same as `before` if it made none.
    pub after: u64,
    /// Documents that it worked on.
    pub members: usize,
    /// Of those, outliers before it.
    pub outliers_before: usize,
    /// Of those, outliers after it.
    pub outliers_after: usize,
    /// Documents whose topic it changed.
    pub moved: usize,
    /// Clusters that it found.
    pub clusters: u32,
    /// Topics after it.
    pub topics: usize,
    /// HDBSCAN's `min_cluster_size` in it.
    pub min_cluster_size: usize,
    /// How its result compares with the version that was in force.
    pub comparison: Comparison,
    /// Why the result was not promoted, if it was not; the topics in force stayed then.
    pub rejected: Option<String>,
    /// Stage → seconds, in the order in which they ran.
    pub stages: Vec<(String, f64)>,
    /// What became of each topic, or would have.
    pub fates: Vec<(TopicId, Fate)>,
}

/// What became of one topic in a refit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It goes on.
    Kept {
        /// Cosine of its centroid before and after, in [-1, 1].
        similarity: f32,
    },
    /// No cluster held its members; it stays as it was.
    Unseen,
    /// It was born.
    Born,
    /// It was born out of another.
    SplitFrom(TopicId),
    /// It had ended, and is back.
    Restored,
    /// It ended in another.
    MergedInto(TopicId),
    /// No document has come to it for long.
    Dormant,
}
