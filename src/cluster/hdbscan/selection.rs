//! Flat clusters out of the condensed tree.

use super::condensed_tree::{ClusterId, CondensedTree};
use super::params::{ClusterSelectionMethod, Params};

impl CondensedTree {
    /// The clusters, none inside another, whose values have the largest sum; in ascending order.
    ///
    /// `value` is asked once for each cluster; `None` means that it must not be selected. Bottom-up, a cluster takes
    /// the place of what was selected below it unless that is worth *more*: the ancestor wins a tie. With
    /// [`stability`](super::Cluster::stability) as value (and `None` for the root) this is excess of mass. A value of
    /// NaN never wins. `O(clusters)`.
    ///
    /// Source: Campello, Moulavi, Sander 2013, section 5.
    pub fn select(&self, value: impl Fn(ClusterId) -> Option<f64>) -> Vec<ClusterId> {
        self.best_cut(value).selected
    }

    /// The leaves of the tree, in ascending order; none if the root never splits.
    pub fn leaves(&self) -> Vec<ClusterId> {
        let leaf = |&id: &ClusterId| id != ClusterId::ROOT && self.cluster(id).children.is_none();
        self.ids().filter(leaf).collect()
    }

    fn best_cut(&self, value: impl Fn(ClusterId) -> Option<f64>) -> Cut {
        let mut worth = vec![0.0; self.clusters().len()];
        let mut wins = vec![false; self.clusters().len()];
        for id in self.ids().rev() {
            let children = self.cluster(id).children.iter().flatten();
            let below: f64 = children.map(|child| worth[child.index()]).sum();
            let own = value(id).filter(|&own| own >= below);
            wins[id.index()] = own.is_some();
            worth[id.index()] = own.unwrap_or(below);
        }
        // A winner counts unless an ancestor wins, too.
        let mut covered = vec![false; self.clusters().len()];
        let mut selected = Vec::new();
        for id in self.ids() {
            let above = self.cluster(id).parent.is_some_and(|parent| covered[parent.index()]);
            if wins[id.index()] && !above {
                selected.push(id);
            }
            covered[id.index()] = above || wins[id.index()];
        }
        Cut { selected, worth }
    }

    /// Replaces clusters born below the distance `epsilon` by their closest ancestor born above it.
    ///
    /// Where only the root was, the ancestor just below it, or the root if `allow_single_cluster`. `O(depth)` for
    /// each cluster.
    ///
    /// Source: Malzer & Baum 2020, "A Hybrid Approach To Hierarchical Density-based Cluster Selection".
    pub fn select_above(
        &self,
        selected: &[ClusterId],
        epsilon: f64,
        allow_single_cluster: bool,
    ) -> Vec<ClusterId> {
        let mut replaced: Vec<ClusterId> =
            selected.iter().map(|&id| self.born_above(id, epsilon, allow_single_cluster)).collect();
        replaced.sort_unstable();
        replaced.dedup();
        replaced
    }

    fn born_above(&self, mut id: ClusterId, epsilon: f64, allow_single_cluster: bool) -> ClusterId {
        while 1.0 / self.cluster(id).birth < epsilon {
            match self.cluster(id).parent {
                Some(ClusterId::ROOT) if !allow_single_cluster => return id,
                Some(parent) => id = parent,
                None => return id,
            }
        }
        id
    }
}

/// The best antichain and what each cluster was worth on the way to it.
struct Cut {
    selected: Vec<ClusterId>,
    /// For each cluster its own value, or the sum below it where that was more.
    worth: Vec<f64>,
}

/// The selected clusters, ascending, and the stability that `hdbscan` credits to each cluster.
pub(super) struct Selection {
    pub(super) clusters: Vec<ClusterId>,
    pub(super) credited: Vec<f64>,
}

/// Selects clusters as the parameters ask.
pub(super) fn select_clusters(tree: &CondensedTree, params: &Params) -> Selection {
    let stability = |id: ClusterId| tree.cluster(id).stability;
    let (clusters, credited) = match params.cluster_selection_method {
        ClusterSelectionMethod::Leaf => (tree.leaves(), tree.ids().map(stability).collect()),
        ClusterSelectionMethod::Eom => {
            let cut = tree.best_cut(|id| may_be_selected(tree, params, id).then(|| stability(id)));
            (cut.selected, cut.worth)
        }
    };
    let epsilon = params.cluster_selection_epsilon;
    let clusters = if epsilon > 0.0 && clusters != [ClusterId::ROOT] {
        tree.select_above(&clusters, epsilon, params.allow_single_cluster)
    } else {
        clusters
    };
    Selection { clusters, credited }
}

fn may_be_selected(tree: &CondensedTree, params: &Params, id: ClusterId) -> bool {
    let cluster = tree.cluster(id);
    let allowed = if id == ClusterId::ROOT {
        // The root is there even if it is smaller than any cluster may be.
        params.allow_single_cluster && cluster.size >= params.min_cluster_size
    } else {
        true
    };
    // As in `hdbscan`, the root counts only the rows that are in its children.
    let size = match cluster.children {
        Some(children) if id == ClusterId::ROOT => {
            children.map(|child| tree.cluster(child).size).iter().sum()
        }
        None if id == ClusterId::ROOT => 0,
        _ => cluster.size,
    };
    allowed && params.max_cluster_size.is_none_or(|largest| size <= largest)
}
