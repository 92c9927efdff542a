//! The vote among the members of a fit: the rule of [`assign`](crate::model::assign) before there is a version.

use crate::ann::Index;
use crate::cluster::knn::Graph;
use crate::kernel::unit::UnitRows;
use crate::model::assign::{Checked, Tally, tally};
use crate::model::refit::membership::below;

/// Neighbours that are looked up for each that votes, since not all rows vote.
const LOOKED_UP: usize = 2;

/// What one row votes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    Cluster(u32),
    Noise,
    /// Outliers that are kept only because they are outliers would make noise look denser than it is.
    Silent,
}

/// What each row votes for, and by which rule.
pub(super) struct Voters<'a> {
    voices: Vec<Voice>,
    rule: &'a Checked,
    /// Share of the votes' weight that a cluster must win.
    needed: f32,
}

impl<'a> Voters<'a> {
    /// Rows in `clusters` vote for them, the others for noise if they belong to the uniform sample.
    pub(super) fn new(clusters: &[Option<u32>], sampled: &[bool], rule: &'a Checked) -> Self {
        let voice = |(cluster, sampled): (&Option<u32>, &bool)| match cluster {
            Some(cluster) => Voice::Cluster(*cluster),
            None if *sampled => Voice::Noise,
            None => Voice::Silent,
        };
        Self { voices: clusters.iter().zip(sampled).map(voice).collect(), rule, needed: rule.vote() }
    }

    /// The same, where a cluster must win `vote` of the votes' weight, if it is given.
    pub(super) fn needing(self, vote: Option<f32>) -> Self {
        Self { needed: vote.unwrap_or(self.needed), ..self }
    }

    /// The least share of the votes' weight that leaves `share` of the sampled rows without a cluster.
    /// O(rows · (k + log rows)).
    pub(super) fn vote_for(&self, share: f32, sampled: &[bool], graph: &Graph) -> f32 {
        let near = graph.indices.rows().into_iter().zip(graph.distances.rows());
        let strongest =
            near.zip(sampled).filter(|(_, sampled)| **sampled).map(|((neighbours, distances), _)| {
                let near = neighbours.iter().zip(distances).map(|(row, distance)| (*row, 1.0 - distance));
                self.tally(near).strongest().map_or(0.0, |(_, weight)| weight)
            });
        let bound = below(strongest.collect(), share);
        bound.map_or(self.needed, |bound| bound.clamp(f32::MIN_POSITIVE, 1.0))
    }

    /// The cluster of each of `others` by the vote of its nearest of `rows`, the voters' embeddings.
    pub(super) fn on(&self, others: &UnitRows, rows: UnitRows) -> Vec<Option<u32>> {
        let near = Index::build(rows).nearest(others, self.rule.neighbours() * LOOKED_UP);
        near.iter().map(|near| self.winner(near.iter().map(|near| (near.index, near.cosine)))).collect()
    }

    fn winner(&self, near: impl Iterator<Item = (u32, f32)>) -> Option<u32> {
        self.tally(near).winner(self.needed).map(|(cluster, _)| cluster)
    }

    fn tally(&self, near: impl Iterator<Item = (u32, f32)>) -> Tally<u32> {
        let votes = near.filter_map(|(row, cosine)| match self.voices[row as usize] {
            Voice::Cluster(cluster) => Some((Some(cluster), cosine)),
            Voice::Noise => Some((None, cosine)),
            Voice::Silent => None,
        });
        tally(votes.take(self.rule.neighbours()))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::model::assign::Params;

    fn rule(neighbours: usize) -> Checked {
        Params { neighbours, vote: 0.6, ..Params::default() }.check().unwrap()
    }

    #[test]
    fn outliers_outside_the_sample_do_not_speak_for_the_noise() {
        let rows = || {
            UnitRows::normalise(array![[1.0, 0.1], [1.0, 0.2], [1.0, 0.3], [1.0, 0.4], [1.0, 0.5]]).unwrap()
        };
        let others = UnitRows::normalise(array![[1.0, 0.0]]).unwrap();
        let clusters = [None, None, None, Some(0), Some(0)];
        let rule = rule(3);
        assert_eq!(Voters::new(&clusters, &[true; 5], &rule).on(&others, rows()), [None]);
        assert_eq!(Voters::new(&clusters, &[false; 5], &rule).on(&others, rows()), [Some(0)]);
    }

    #[test]
    fn the_vote_holds_the_outlier_share_that_is_asked_for() {
        // Row i has i of its ten neighbours in the cluster.
        let indices = Array2::from_shape_fn((11, 10), |(row, near)| 11 + u32::from(near >= row));
        let graph = Graph { distances: Array2::from_elem((11, 10), 0.5), indices };
        let mut clusters = vec![None; 13];
        clusters[11] = Some(0);
        let rule = rule(10);
        let voters = Voters::new(&clusters, &[true; 13], &rule);
        assert_eq!(voters.vote_for(0.2, &[true; 13], &graph), 0.2);
        assert_eq!(voters.vote_for(0.5, &[true; 13], &graph), 0.5);
    }

    #[test]
    fn a_row_gets_the_cluster_of_those_around_it() {
        let rows = array![[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0], [0.1, 0.9]];
        let rows = UnitRows::normalise(rows).unwrap();
        let clusters = [Some(0), Some(0), Some(0), Some(1), Some(1)];
        let rule = rule(3);
        let voters = Voters::new(&clusters, &[true; 5], &rule);
        let others = UnitRows::normalise(array![[0.95, 0.05], [0.5, 0.5]]).unwrap();
        assert_eq!(voters.on(&others, rows), [Some(0), Some(0)]);
    }
}
