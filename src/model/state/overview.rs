//! What the outside may see of the state between two versions: counts that move with every batch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::event::Event;
use crate::model::refit::report::Report;
use crate::model::state::{State, Totals};
use crate::model::topic::{Life, TopicId};
use crate::model::trend::Signal;

/// What was told last, oldest first; bounded, and cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct News {
    /// What happened to the topics.
    pub events: VecDeque<Arc<Event>>,
    /// What the refits decided.
    pub reports: VecDeque<Arc<Report>>,
}

impl News {
    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.events.back().map_or(0, |event| event.number)
    }

    /// The events numbered above `after`: at most `limit`, the newest of them.
    pub fn events_after(&self, after: u64, limit: usize) -> impl Iterator<Item = &Arc<Event>> {
        let first = self.events.partition_point(|event| event.number <= after);
        self.events.range(first.max(self.events.len().saturating_sub(limit))..)
    }
}

/// Counts at one moment; small enough to be made after every batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// Counts the moments of this process: of two overviews the later has the higher number.
    pub moment: u64,
    /// Counters of the whole stream.
    pub totals: Totals,
    /// Documents that sizes and outliers add up to.
    pub documents: u64,
    /// Documents without a topic now.
    pub outliers: u64,
    /// Documents of each topic now.
    pub sizes: BTreeMap<TopicId, u64>,
    /// Documents of each topic per window, oldest first.
    pub histories: BTreeMap<TopicId, Vec<u64>>,
    /// Whether documents come to each topic.
    pub lives: BTreeMap<TopicId, Life>,
    /// Where each topic stands by its own history.
    pub signals: BTreeMap<TopicId, Signal>,
    /// Topics that are neither merged nor split.
    pub pinned: BTreeSet<TopicId>,
    /// The number of documents at which the next refit is due; 0 where nobody refits.
    pub refit_at: u64,
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
            documents: self.counted(),
            outliers: self.outliers.documents,
            buffered: self.held.buffered(),
            sampled: self.held.sampled(),
            ..Overview::default()
        };
        for (id, record) in &self.topics {
            overview.sizes.insert(*id, record.sums.documents);
            overview.lives.insert(*id, record.topic.life);
            overview.signals.insert(*id, record.history.signal(self.window()));
            overview.pinned.extend(record.pinned.then_some(*id));
            overview.histories.insert(*id, record.history.windows().map(|(_, count)| count).collect());
        }
        overview
    }
}
