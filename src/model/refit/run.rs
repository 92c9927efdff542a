//! One fit: layout, clusters, the cut that continues the version in force, and the vote.
//!
//! 1. The nearest neighbours of every member, from which UMAP makes a layout.
//! 2. HDBSCAN's condensed tree of the layout, of which [`cut`](super::cut) chooses the clusters.
//! 3. Every member gets its topic by the rule that newcomers are judged by ([`assign`](crate::model::assign)): the
//!    vote of its nearest other members. That takes outliers of the fit into clusters, and members that the layout put
//!    among strangers out of them.
//!
//! Cost: that of UMAP and HDBSCAN on the members; no topic, no member: an empty answer.

use ndarray::ArrayView1;

use crate::cluster::hdbscan;
use crate::cluster::knn::{self, Graph, Metric};
use crate::cluster::umap;
use crate::cluster::watch::{Cancelled, Watch};
use crate::document::Sequence;
use crate::kernel::unit::{self, UnitRows};
use crate::model::assign::{self, tally};
use crate::model::refit::Checked;
use crate::model::refit::cut::cut;
use crate::model::refit::select::Snapshot;
use crate::model::topic::TopicId;

/// Clusters found among the members of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The members, as in the snapshot.
    pub members: Vec<Fit>,
    /// How many clusters.
    pub clusters: u32,
    /// HDBSCAN's `min_cluster_size`.
    pub min_cluster_size: usize,
}

/// What a fit says about one member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The member.
    pub sequence: Sequence,
    /// Its topic before.
    pub before: Option<TopicId>,
    /// Its cluster, numbered from 0 without a gap.
    pub cluster: Option<u32>,
}

/// Why a fit gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// An embedding is broken.
    #[error("a kept document's embedding is broken; restore a backup of the state")]
    Embedding(#[from] unit::Error),
    /// The neighbours could not be found.
    #[error("no nearest neighbours")]
    Neighbours(#[source] knn::Error),
    /// UMAP refused.
    #[error("umap failed")]
    Umap(#[source] umap::Error),
    /// HDBSCAN refused.
    #[error("hdbscan failed")]
    Hdbscan(#[source] hdbscan::Error),
    /// A parameter is out of range for this fit.
    #[error("parameters do not fit the algorithm: {0}")]
    Params(String),
}

/// Fits anew, and judges every member as `judging` says.
pub fn run(
    snapshot: &Snapshot,
    params: &Checked,
    judging: &assign::Checked,
    watch: &dyn Watch,
) -> Result<Fitted, Error> {
    let n = snapshot.members.len();
    let min_cluster_size = params.cluster_size(n);
    let rows = UnitRows::from_rows(snapshot.dim, snapshot.members.iter().map(|member| &*member.embedding))?;
    if n < min_cluster_size * 2 {
        return Ok(fitted(snapshot, &vec![None; n], 0, min_cluster_size));
    }
    let k = judging.neighbours().max(params.n_neighbors - 1);
    let graph = knn::nearest(rows.view(), k, Metric::Cosine, watch).map_err(Error::Neighbours)?;
    let layout = umap::Params {
        n_neighbors: params.n_neighbors.min(n - 1),
        n_components: params.n_components,
        seed: params.seed,
        ..umap::Params::default()
    };
    let layout = layout.check().map_err(|error| Error::Params(error.to_string()))?;
    let layout = umap::fit_graph(&graph, rows.view(), &layout, watch).map_err(Error::Umap)?.layout;
    let trees = hdbscan::Params {
        min_cluster_size,
        min_samples: Some(params.min_samples),
        ..hdbscan::Params::default()
    };
    let trees = trees.check().map_err(|error| Error::Params(error.to_string()))?;
    let tree = hdbscan::fit(layout.view(), &trees, watch).map_err(Error::Hdbscan)?.condensed_tree;

    let before: Vec<Option<TopicId>> = snapshot.members.iter().map(|member| member.topic).collect();
    let selected = cut(&tree, &graph.nearest(judging.neighbours()), &before, params.continuity);
    let voted = vote(&tree.labels_of(&selected), &graph, judging);
    let (clusters, count) = without_small(voted, selected.len(), min_cluster_size.div_ceil(2));
    Ok(fitted(snapshot, &clusters, count, min_cluster_size))
}

fn fitted(snapshot: &Snapshot, clusters: &[Option<u32>], count: u32, min_cluster_size: usize) -> Fitted {
    let members = (snapshot.members.iter().zip(clusters)).map(|(member, cluster)| Fit {
        sequence: member.sequence,
        before: member.topic,
        cluster: *cluster,
    });
    Fitted { members: members.collect(), clusters: count, min_cluster_size }
}

/// Each member's cluster by the vote of its nearest others.
fn vote(clusters: &[Option<u32>], graph: &Graph, judging: &assign::Checked) -> Vec<Option<u32>> {
    let judge = |(neighbours, distances): (ArrayView1<'_, u32>, ArrayView1<'_, f32>)| {
        let votes = neighbours.iter().zip(distances).take(judging.neighbours());
        let votes = votes.map(|(neighbour, distance)| (clusters[*neighbour as usize], 1.0 - distance));
        tally(votes).winner(judging.vote()).map(|(cluster, _)| cluster)
    };
    graph.indices.rows().into_iter().zip(graph.distances.rows()).map(judge).collect()
}

/// The same without clusters that the vote left fewer than `least` members, numbered without a gap; and how many.
fn without_small(mut clusters: Vec<Option<u32>>, count: usize, least: usize) -> (Vec<Option<u32>>, u32) {
    let mut sizes = vec![0; count];
    clusters.iter().flatten().for_each(|cluster| sizes[*cluster as usize] += 1);
    let mut kept = 0;
    let numbers: Vec<Option<u32>> = (sizes.iter())
        .map(|size| {
            (*size >= least).then(|| {
                kept += 1;
                kept - 1
            })
        })
        .collect();
    clusters.iter_mut().for_each(|cluster| *cluster = cluster.and_then(|cluster| numbers[cluster as usize]));
    (clusters, kept)
}
