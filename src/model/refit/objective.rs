//! What a group of documents is worth: the one number behind every "do these belong together?" of a refit.
//!
//! ```text
//! worth(c) = n · ( inside(c) − γ · ends(c)² ) + information(c)
//! ```
//!
//! where `inside(c)` is the share of the nearest-neighbour graph's edges inside group `c` of the `n` documents, `ends(c)`
//! its share of the edges' ends, and `information(c)` what the group tells about time, in nats ([`Moments`]). The first
//! part is the modularity (Newman & Girvan 2004) with a resolution (Reichardt & Bornholdt 2006), in documents: the
//! documents whose neighbours lie in their group, beyond those that chance would put there.
//!
//! The resolution `γ` is the granularity times [`√n / 60`](ROOTS), at least times 1. With it the number of topics grows
//! with the root of the documents at most; a graph of ever more documents is ever more local, and would be cut into ever
//! more groups. 60 was measured on newsgroups, BBC and AG news, question titles, news stories and papers.

use crate::model::refit::moments::{Counts, Moments, information};

/// Square roots of documents for a resolution of 1.
const ROOTS: f64 = 60.0;

/// Documents that a change of the topics in force must gain, for a topic to part. With 10, new subjects were found late
/// on newsgroups (`rec.autos` 6,561 documents after its 100th).
pub(super) const SPLIT: f64 = 5.0;
/// The same, for topics to become one. With 5, news stories reached AMI 0.885 instead of 0.905; newsgroups, question
/// titles and BBC news hardly differed.
pub(super) const JOIN: f64 = 20.0;

/// How groups of documents are weighed.
pub(super) struct Objective<'a> {
    resolution: f64,
    documents: f64,
    moments: Moments<'a>,
}

impl<'a> Objective<'a> {
    /// For members, oldest first, that belong to the uniform sample or not.
    pub(super) fn new(granularity: f64, sampled: &'a [bool]) -> Self {
        let documents = sampled.len() as f64;
        let resolution = granularity * (documents.sqrt() / ROOTS).max(1.0);
        Self { resolution, documents, moments: Moments::new(sampled) }
    }

    /// `γ`.
    pub(super) fn resolution(&self) -> f64 {
        self.resolution
    }

    /// When the members came.
    pub(super) fn moments(&self) -> &Moments<'a> {
        &self.moments
    }

    /// What a group is worth that holds the share `inside` of all edges and `ends` of their ends, with `counts` of its
    /// members in each window of time; in documents.
    pub(super) fn worth(&self, inside: f64, ends: f64, counts: &Counts) -> f64 {
        self.documents * (inside - self.resolution * ends * ends) + information(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refit::moments::WINDOWS;

    #[test]
    fn the_resolution_grows_with_the_root_of_the_documents() {
        let of = |documents| Objective::new(1.0, &vec![true; documents]).resolution();
        assert_eq!([of(0), of(100), of(3600), of(14_400)], [1.0, 1.0, 1.0, 2.0]);
        assert_eq!(Objective::new(3.0, &[true; 14_400]).resolution(), 6.0);
    }

    #[test]
    fn a_group_is_worth_its_neighbours_beyond_chance_in_documents() {
        let objective = Objective::new(1.0, &[false; 100]);
        let nothing = [0.0; WINDOWS];
        assert!((objective.worth(0.5, 0.5, &nothing) - 25.0).abs() < 1e-9);
        assert_eq!(objective.worth(1.0, 1.0, &nothing), 0.0);
    }
}
