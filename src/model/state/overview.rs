//! What the outside may see of the state between two versions: counts that move with every batch.

use std::collections::BTreeMap;

use crate::model::state::{State, Totals};
use crate::model::topic::{Life, TopicId};

/// Counts at one moment; small enough to be made after every batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// Counters of the whole stream.
    pub totals: Totals,
    /// Documents without a topic now.
    pub outliers: u64,
    /// Documents of each topic now.
    pub sizes: BTreeMap<TopicId, u64>,
    /// Documents of each topic per window, oldest first.
    pub histories: BTreeMap<TopicId, Vec<u64>>,
    /// Whether documents come to each topic.
    pub lives: BTreeMap<TopicId, Life>,
    /// Outliers that wait for a refit.
    pub buffered: usize,
    /// Documents in the uniform sample.
    pub sampled: usize,
}

impl State {
    /// The counts now. O(topics).
    pub fn overview(&self) -> Overview {
        let mut overview = Overview {
            totals: self.totals,
            outliers: self.outliers.documents,
            buffered: self.held.buffered(),
            sampled: self.held.sampled(),
            ..Overview::default()
        };
        for (id, record) in &self.topics {
            overview.sizes.insert(*id, record.sums.documents);
            overview.lives.insert(*id, record.topic.life);
            overview.histories.insert(*id, record.history.windows().map(|(_, count)| count).collect());
        }
        overview
    }
}
