//! How much is kept, and which documents of the stream are worth sending on for it.

use crate::document::Sequence;
use crate::model::state::State;
use crate::model::version::Sampling;

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Documents in the uniform sample of the stream.
    pub sample: usize,
    /// Outliers that wait for a refit.
    pub outliers: usize,
    /// Documents that came since the last refit, for the next one to judge once more.
    pub fresh: usize,
    /// Documents kept for a topic that the sample represents with fewer.
    pub anchors: usize,
    /// Documents in a window of a topic's history.
    pub window: u64,
    /// Ids that are remembered to find duplicates.
    pub seen: usize,
    /// Different words that are counted.
    pub vocabulary: usize,
    /// Versions to which one can go back.
    pub versions: usize,
    /// Documents of the stream after which a word counts half; 0 for always whole.
    pub half_life: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            sample: 50_000,
            outliers: 20_000,
            fresh: 2500,
            anchors: 40,
            window: 500,
            seen: 1_000_000,
            vocabulary: 200_000,
            versions: 10,
            half_life: 0,
        }
    }
}

impl State {
    /// Which documents are sampled from now on, for the uniform sample or as fresh ones.
    pub fn sampling(&self) -> Sampling {
        Sampling { bound: self.sample_bound().max(self.fresh_bound()) }
    }

    /// Likewise, for assigners from a refit on whose snapshot held `documents`. As many are expected until the next
    /// one as since the last; with twice the share that would do, a stream that slows down to half of that still
    /// fills the fresh documents.
    pub(super) fn sampling_after(&self, documents: u64) -> Sampling {
        let expected = documents.saturating_sub(self.totals.refitted_at).max(1);
        let share = 2.0 * self.bounds.fresh as f64 / expected as f64;
        // A float that is too large becomes the largest integer.
        let fresh = (share * u64::MAX as f64) as u64;
        Sampling { bound: self.sample_bound().max(fresh) }
    }

    /// The highest priority that enters the uniform sample.
    pub(super) fn sample_bound(&self) -> u64 {
        bound(self.held.last_sampled(), self.held.sampled(), self.bounds.sample)
    }

    /// The highest priority that enters the fresh documents.
    pub(super) fn fresh_bound(&self) -> u64 {
        bound(self.held.last_fresh(), self.held.fresh(), self.bounds.fresh)
    }
}

/// The highest priority that enters a bottom-k sample of at most `most` documents.
fn bound(last: Option<(u64, Sequence)>, documents: usize, most: usize) -> u64 {
    match last {
        _ if most == 0 => 0,
        Some((priority, _)) if documents >= most => priority,
        _ => u64::MAX,
    }
}
