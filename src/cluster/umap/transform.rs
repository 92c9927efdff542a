//! Places for new rows in a layout that stays as it is.
#![allow(clippy::needless_pass_by_value, reason = "a view is a handle")]

use ndarray::{Array2, ArrayView2, Axis};

use super::{
    Error, Umap,
    curve::Curve,
    fuzzy_set::FuzzySet,
    layout::Descent,
    params::{Checked, Params},
    smooth_knn::smooth_knn_among,
};
use crate::cluster::{knn, watch::Watch};

impl Umap {
    /// Places for `new` (`m × d`) in this layout of `fitted` (`n × d`, the rows it was fitted to), `m × n_components`.
    ///
    /// Each new row starts at the mean of its `n_neighbors` nearest fitted rows, weighted by strength, or upon one at
    /// distance 0, and descends from there for a third of the epochs with a quarter of the learning rate, while the
    /// layout stays. A new row's place depends on its own number among the new rows, but on no other new row. If
    /// nothing was fitted all go to the origin. Time `O(m n d)` for the neighbours.
    ///
    /// Source: `UMAP.transform`, `init_graph_transform` of umap-learn.
    pub fn transform(
        &self,
        fitted: ArrayView2<'_, f32>,
        new: ArrayView2<'_, f32>,
        params: &Checked,
        watch: &dyn Watch,
    ) -> Result<Array2<f32>, Error> {
        if fitted.nrows() != self.layout.nrows() {
            return Err(Error::OtherRows { graph: self.layout.nrows(), rows: fitted.nrows() });
        }
        let params = params.params();
        let graph = knn::nearest_among(new, fitted, params.n_neighbors, params.metric, watch)?;
        if graph.k() == 0 {
            return Ok(Array2::zeros((new.nrows(), self.layout.ncols())));
        }
        let n_epochs = epochs(params, new.nrows());
        let set = FuzzySet::held(&graph, &smooth_knn_among(&graph.distances));
        let mut places = self.means(&graph, &set);
        let params = Params { learning_rate: params.learning_rate / 4.0, ..params.clone() };
        let curve = Curve::fit(params.min_dist, params.spread);
        let set = set.without_weak(n_epochs);
        Descent { graph: &set, curve, params: &params, n_epochs }.run_among(
            &mut places,
            &self.layout,
            watch,
        )?;
        Ok(places)
    }

    /// Where each new row's neighbours are in the mean.
    fn means(&self, graph: &knn::Graph, set: &FuzzySet) -> Array2<f32> {
        let mut places = Array2::zeros((graph.n(), self.layout.ncols()));
        for (i, mut place) in places.axis_iter_mut(Axis(0)).enumerate() {
            if graph.distances[[i, 0]] == 0.0 {
                place.assign(&self.layout.row(graph.indices[[i, 0]] as usize));
                continue;
            }
            let total: f32 = set.edges(i).map(|edge| edge.1).sum();
            for (j, strength) in set.edges(i) {
                place.scaled_add(strength / total, &self.layout.row(j as usize));
            }
        }
        places
    }
}

fn epochs(params: &Params, rows: usize) -> usize {
    params.n_epochs.map_or(if rows <= 10_000 { 100 } else { 30 }, |epochs| (epochs / 3).max(1))
}
