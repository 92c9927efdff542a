//! Dense groups among the documents without a topic: HDBSCAN's clusters of UMAP's layout of them.
//!
//! They are candidates: whether one becomes a topic is for the [objective](crate::model::refit::objective). In a first
//! fit they are found among all documents, later among the outliers, so a refit costs what is new.

use crate::cluster::hdbscan;
use crate::cluster::knn::{self, Metric};
use crate::cluster::umap;
use crate::cluster::watch::Watch;
use crate::kernel::unit::UnitRows;
use crate::model::refit::Checked;
use crate::model::refit::run::Error;

/// The dense group of each of `rows` (`n × d`); none for those that are not `free`, and for noise. Cost: that of UMAP and
/// HDBSCAN on the free rows.
pub(super) fn dense(
    rows: &UnitRows,
    free: &[bool],
    params: &Checked,
    min_cluster_size: usize,
    watch: &dyn Watch,
) -> Result<Vec<Option<u32>>, Error> {
    let mut groups = vec![None; free.len()];
    let free: Vec<usize> = free.iter().enumerate().filter(|(_, free)| **free).map(|(row, _)| row).collect();
    if free.len() < min_cluster_size * 2 {
        return Ok(groups);
    }
    let rows = rows.select(&free);
    let n_neighbors = params.n_neighbors.min(rows.n() - 1);
    let near =
        knn::nearest(rows.view(), n_neighbors - 1, Metric::Cosine, watch).map_err(Error::Neighbours)?;
    let layout = umap::Params {
        n_neighbors,
        n_components: params.n_components,
        n_epochs: (params.n_epochs > 0).then_some(params.n_epochs),
        seed: params.seed,
        ..umap::Params::default()
    };
    let layout = layout.check().map_err(|error| Error::Params(error.to_string()))?;
    let layout = umap::fit_graph(&near, rows.view(), &layout, watch).map_err(Error::Umap)?.layout;
    let clusters = hdbscan::Params {
        min_cluster_size,
        min_samples: Some(params.min_samples),
        ..hdbscan::Params::default()
    };
    let clusters = clusters.check().map_err(|error| Error::Params(error.to_string()))?;
    let found = hdbscan::fit(layout.view(), &clusters, watch).map_err(Error::Hdbscan)?;
    free.into_iter().zip(found.labels).for_each(|(row, label)| groups[row] = label);
    Ok(groups)
}
