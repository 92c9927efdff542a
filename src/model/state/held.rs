//! The documents that are kept: a bounded uniform sample of the stream, a bounded buffer of outliers, those that came
//! since the last refit, anchors, and the entries of the version in force. One table; why a document is in it is its [`Standing`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::Sequence;
use crate::model::evidence::Kept;
use crate::model::state::change::Standing;

/// Kept documents by number, with the orders in which sample and buffer are cut back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    documents: BTreeMap<Sequence, (Arc<Kept>, Standing)>,
    /// By priority: the last is the first to leave.
    sample: BTreeSet<(u64, Sequence)>,
    /// By priority: the last is the first to leave.
    fresh: BTreeSet<(u64, Sequence)>,
    /// Refitted ones first, then by age: the first is the first to leave.
    buffer: BTreeSet<(bool, Sequence)>,
}

impl Held {
    /// Keeps a document.
    pub fn hold(&mut self, sequence: Sequence, kept: Arc<Kept>, standing: Standing) {
        self.release(sequence);
        self.index(sequence, kept.priority, standing);
        self.documents.insert(sequence, (kept, standing));
    }

    /// Changes the standing of a kept document; nothing happens for one that is not kept.
    pub fn stand(&mut self, sequence: Sequence, standing: Standing) {
        if let Some((kept, _)) = self.documents.get(&sequence).cloned() {
            self.hold(sequence, kept, standing);
        }
    }

    /// Forgets a document.
    pub fn release(&mut self, sequence: Sequence) {
        if let Some((kept, standing)) = self.documents.remove(&sequence) {
            self.sample.remove(&(kept.priority, sequence));
            self.fresh.remove(&(kept.priority, sequence));
            self.buffer.remove(&(standing.refits == 0, sequence));
        }
    }

    fn index(&mut self, sequence: Sequence, priority: u64, standing: Standing) {
        if standing.sampled {
            self.sample.insert((priority, sequence));
        }
        if standing.fresh {
            self.fresh.insert((priority, sequence));
        }
        if standing.buffered {
            self.buffer.insert((standing.refits == 0, sequence));
        }
    }

    /// A kept document with its standing.
    pub fn get(&self, sequence: Sequence) -> Option<(&Arc<Kept>, Standing)> {
        self.documents.get(&sequence).map(|(kept, standing)| (kept, *standing))
    }

    /// Every kept document, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Sequence, &Arc<Kept>, Standing)> {
        self.documents.iter().map(|(sequence, (kept, standing))| (*sequence, kept, *standing))
    }

    /// Kept documents in all.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// True if nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Documents in the uniform sample.
    pub fn sampled(&self) -> usize {
        self.sample.len()
    }

    /// The `index`-th of the sample by rising priority, from 0.
    pub fn sampled_at(&self, index: usize) -> Option<(u64, Sequence)> {
        self.sample.iter().nth(index).copied()
    }

    /// Documents kept because they came since the last refit.
    pub fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// The fresh document with the highest priority, which leaves first.
    pub fn last_fresh(&self) -> Option<(u64, Sequence)> {
        self.fresh.last().copied()
    }

    /// Outliers that wait for a refit.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The sampled document with the highest priority, which leaves first.
    pub fn last_sampled(&self) -> Option<(u64, Sequence)> {
        self.sample.last().copied()
    }

    /// The buffered outlier that leaves first: the oldest that took part in a refit, else the oldest.
    pub fn first_buffered(&self) -> Option<Sequence> {
        self.buffer.first().map(|(_, sequence)| *sequence)
    }
}
