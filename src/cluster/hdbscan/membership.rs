//! What a selection of clusters says about each row.

use super::condensed_tree::{ClusterId, CondensedTree};

impl CondensedTree {
    /// Labels each row with the place in `selection` of the cluster that it is in; `None` is noise.
    ///
    /// `selection` holds clusters of which none is inside another, as [`Self::select`] returns them. If it is the
    /// root alone, only rows that stay as long as the root lives are in it: otherwise nothing would be noise.
    /// `O(n)`.
    pub fn labels_of(&self, selection: &[ClusterId]) -> Vec<Option<u32>> {
        self.labels_from(selection, self.cluster(ClusterId::ROOT).death)
    }

    /// As [`Self::labels_of`]; rows that leave below `root_lambda` aren't in the root, should it be selected.
    pub(super) fn labels_from(&self, selection: &[ClusterId], root_lambda: f64) -> Vec<Option<u32>> {
        let labels = self.labels_of_clusters(selection);
        let least = if selection == [ClusterId::ROOT] { root_lambda } else { f64::NEG_INFINITY };
        let label = |row: usize| {
            let label = labels[self.cluster_of(row).index()];
            label.filter(|_| self.lambda_of(row) >= least)
        };
        (0..self.n()).map(label).collect()
    }

    /// The label of each cluster: its own place in `selection`, or its closest selected ancestor's.
    pub(super) fn labels_of_clusters(&self, selection: &[ClusterId]) -> Vec<Option<u32>> {
        let mut labels = vec![None; self.clusters().len()];
        for (label, id) in (0..).zip(selection) {
            labels[id.index()] = Some(label);
        }
        for id in self.ids() {
            if let (None, Some(parent)) = (labels[id.index()], self.cluster(id).parent) {
                labels[id.index()] = labels[parent.index()];
            }
        }
        labels
    }

    /// How strongly each row belongs to its cluster: `λ` of the row over the cluster's [`death`](super::Cluster),
    /// at most 1; 0 for noise. `labels` are those of `selection`. `O(n)`.
    pub fn probabilities_of(&self, selection: &[ClusterId], labels: &[Option<u32>]) -> Vec<f64> {
        let probability = |(row, label): (usize, &Option<u32>)| {
            let Some(label) = label else { return 0.0 };
            let death = self.cluster(selection[*label as usize]).death;
            let lambda = self.lambda_of(row);
            if death == 0.0 || lambda.is_infinite() { 1.0 } else { lambda.min(death) / death }
        };
        labels.iter().enumerate().map(probability).collect()
    }

    /// GLOSH outlier scores: how far below the densest part of its cluster each row left, from 0 to (almost) 1.
    /// `O(n)`.
    ///
    /// Source: Campello, Moulavi, Zimek, Sander 2015, section 6.
    pub fn outlier_scores(&self) -> Vec<f64> {
        let mut densest: Vec<f64> = self.clusters().iter().map(|cluster| cluster.death).collect();
        for id in self.ids().rev() {
            if let Some(parent) = self.cluster(id).parent {
                densest[parent.index()] = densest[parent.index()].max(densest[id.index()]);
            }
        }
        let score = |row: usize| {
            let (densest, lambda) = (densest[self.cluster_of(row).index()], self.lambda_of(row));
            match (densest, lambda) {
                (0.0, _) | (_, f64::INFINITY) => 0.0,
                (f64::INFINITY, _) => 1.0,
                _ => (densest - lambda) / densest,
            }
        };
        (0..self.n()).map(score).collect()
    }

    /// The rows in the hearts of each selected cluster: those that stayed longest in each leaf below it.
    pub fn exemplars_of(&self, selection: &[ClusterId]) -> Vec<Vec<u32>> {
        let labels = self.labels_of_clusters(selection);
        let mut exemplars = vec![Vec::new(); selection.len()];
        for id in self.ids() {
            let cluster = self.cluster(id);
            if let (Some(label), None) = (labels[id.index()], cluster.children) {
                let longest = |&&row: &&u32| self.lambda_of(row as usize) == cluster.death;
                exemplars[label as usize].extend(self.own_rows(id).iter().filter(longest));
            }
        }
        exemplars
    }

    /// How long each selected cluster lives, from 0 (ephemeral) to 1 (over all densities): `credited` stability over
    /// rows and the largest λ. Never above 1, though `hdbscan` credits a single cluster with rows that it calls noise.
    pub(super) fn persistence_of(
        &self,
        selection: &[ClusterId],
        labels: &[Option<u32>],
        credited: &[f64],
    ) -> Vec<f64> {
        let largest = self.clusters().iter().map(|cluster| cluster.death).fold(0.0, f64::max);
        let mut sizes = vec![0_usize; selection.len()];
        for &label in labels.iter().flatten() {
            sizes[label as usize] += 1;
        }
        let persistence = |(id, size): (&ClusterId, usize)| {
            if largest == 0.0 || largest.is_infinite() || size == 0 {
                1.0
            } else {
                (credited[id.index()] / (size as f64 * largest)).min(1.0)
            }
        };
        selection.iter().zip(sizes).map(persistence).collect()
    }
}
