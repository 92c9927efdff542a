//! UMAP: a layout of few dimensions in which near rows stay near.
//!
//! Stages, one file each: nearest neighbours (`knn`), `smooth_knn`, `fuzzy_set`, `spectral` with `eigen`, the `curve`,
//! and the descent in `layout`. Source: the UMAP paper, arXiv 1802.03426, and umap-learn 0.5.12, with which the golden
//! tests compare each stage.
#![allow(clippy::needless_pass_by_value, reason = "a view is a handle")]

mod copies;
mod curve;
mod eigen;
mod fuzzy_set;
mod layout;
mod params;
mod sampling;
mod smooth_knn;
mod spectral;
mod transform;

pub use params::{Checked, Params, ParamsError};

use ndarray::{Array2, ArrayView2};

use self::{curve::Curve, fuzzy_set::FuzzySet, layout::Descent, smooth_knn::smooth_knn};
use super::{
    knn::{self, Graph},
    watch::{self, Cancelled, Watch},
};

/// Why there is no layout.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// A row has no neighbours to speak of.
    #[error(transparent)]
    Neighbours(#[from] knn::Error),
    /// The graph was made of other rows.
    #[error("the graph has `{graph}` rows but the array has {rows}; make the graph from the same rows")]
    OtherRows {
        /// Rows of the graph.
        graph: usize,
        /// Rows of the array.
        rows: usize,
    },
    /// The labels are those of other rows.
    #[error("there are `{labels}` labels but {rows} rows; give each row a label or none")]
    OtherLabels {
        /// How many labels.
        labels: usize,
        /// How many rows.
        rows: usize,
    },
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::Neighbours(knn::Error::Cancelled(cancelled))
    }
}

/// A layout and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Umap {
    /// `n × n_components`.
    pub layout: Array2<f32>,
}

/// Lays out `rows` (`n × d`) by their own nearest neighbours.
///
/// The same seed gives the same bits on any number of threads. With few rows the neighbourhood is all of them; a single
/// row lies at the origin; no rows give an empty layout.
pub fn fit(rows: ArrayView2<'_, f32>, params: &Checked, watch: &dyn Watch) -> Result<Umap, Error> {
    let Params { n_neighbors, metric, .. } = *params.params();
    // The row itself is the first of its neighbours.
    let graph = knn::nearest(rows, n_neighbors - 1, metric, watch)?;
    fit_graph(&graph, rows, params, watch)
}

/// As [`fit`], drawn towards what is known: `labels` has a label, or none, for each row, and rows of different labels
/// are kept apart as `target_weight` says.
///
/// Source: supervised and semi-supervised UMAP, `UMAP.fit(X, y)` of umap-learn with its categorical target metric.
pub fn fit_supervised(
    rows: ArrayView2<'_, f32>,
    labels: &[Option<u32>],
    params: &Checked,
    watch: &dyn Watch,
) -> Result<Umap, Error> {
    if labels.len() != rows.nrows() {
        return Err(Error::OtherLabels { labels: labels.len(), rows: rows.nrows() });
    }
    let Params { n_neighbors, metric, .. } = *params.params();
    let graph = knn::nearest(rows, n_neighbors - 1, metric, watch)?;
    lay_out(&graph, rows, Some(labels), params.params(), watch)
}

/// Lays out rows whose nearest neighbours are known: `graph` of `rows` (`n × d`) holds the `n_neighbors − 1` nearest
/// others of each row, or more, of which the nearest count.
pub fn fit_graph(
    graph: &Graph,
    rows: ArrayView2<'_, f32>,
    params: &Checked,
    watch: &dyn Watch,
) -> Result<Umap, Error> {
    if graph.n() != rows.nrows() {
        return Err(Error::OtherRows { graph: graph.n(), rows: rows.nrows() });
    }
    lay_out(graph, rows, None, params.params(), watch)
}

fn lay_out(
    graph: &Graph,
    rows: ArrayView2<'_, f32>,
    labels: Option<&[Option<u32>]>,
    params: &Params,
    watch: &dyn Watch,
) -> Result<Umap, Error> {
    let n = rows.nrows();
    if n < 2 {
        return Ok(Umap { layout: Array2::zeros((n, params.n_components)) });
    }
    watch::check(watch)?;
    watch.progress("fuzzy set", 0, 1);
    let graph = graph.nearest(params.n_neighbors - 1);
    let usual = if n <= 10_000 { 500 } else { 200 };
    let n_epochs = params.n_epochs.unwrap_or(usual);
    // A handful of epochs would leave a handful of edges.
    let sampled_in = if n_epochs > 10 { n_epochs } else { usual };
    let mut set = FuzzySet::union(&graph, &smooth_knn(&graph.distances));
    if let Some(labels) = labels {
        set = set.towards(labels, params.target_weight);
    }
    let set = set.without_weak(sampled_in);
    let curve = Curve::fit(params.min_dist, params.spread);
    let mut layout = spectral::initial(&set, rows, params.metric, params.n_components, params.seed, watch)?;
    Descent { graph: &set, curve, params, n_epochs }.run(&mut layout, watch)?;
    Ok(Umap { layout })
}

#[cfg(test)]
mod tests;
