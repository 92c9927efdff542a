//! One fit: layout, clusters, the cut that continues the version in force, and the outliers near to a cluster.
//!
//! 1. UMAP lays the members out, HDBSCAN builds the condensed tree.
//! 2. The cut is the antichain of the tree that maximises `stability(c) / Σ stability + λ · a(c) / labelled`, where
//!    the sum goes over eom's own cut and `a(c) = max over old topics t of |c ∩ t|² / |c ∪ t|`: eom alone now and
//!    then takes a giant cluster where the refit before took the twenty inside it. λ = `continuity`.
//! 3. An outlier of the fit joins the cluster that holds at least `absorb` of the cosine weight of its 15 nearest.
//!
//! Cost: that of UMAP and HDBSCAN on the members; no topic, no member: an empty answer.

use std::collections::BTreeMap;

use crate::ann::Index;
use crate::cluster::hdbscan::{self, ClusterId, CondensedTree};
use crate::cluster::umap;
use crate::cluster::watch::{Cancelled, Watch};
use crate::document::Sequence;
use crate::kernel::unit::{self, UnitRows};
use crate::model::assign::tally;
use crate::model::refit::Checked;
use crate::model::refit::select::Snapshot;
use crate::model::topic::TopicId;

/// Exponent of λ in a cluster's stability.
///
/// With 1, as in HDBSCAN\*, the first cut of 5,000 newsgroup posts was 8 clusters, two of them with 70 % of all
/// posts (ARI 0.22 – 0.26 over two layouts); with 1.5 it was 43 – 45 (0.41 – 0.47), with 2 46 – 49 (0.37 – 0.39). On
/// all 18,000 posts, where HDBSCAN\*'s own cut rarely collapses, 1 and 1.5 are equal (AMI 0.520 and 0.519).
const DENSITY_EXPONENT: f64 = 1.5;

/// Neighbours that decide whether an outlier of the fit is taken into a topic.
const ABSORBING_NEIGHBOURS: usize = 15;

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
    /// HDBSCAN put it there itself; otherwise it was absorbed.
    pub core: bool,
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

/// Fits anew.
pub fn run(snapshot: &Snapshot, params: &Checked, watch: &dyn Watch) -> Result<Fitted, Error> {
    let n = snapshot.members.len();
    let min_cluster_size = params.cluster_size(n);
    let rows = UnitRows::from_rows(snapshot.dim, snapshot.members.iter().map(|member| &*member.embedding))?;
    if n < min_cluster_size * 2 {
        return Ok(fitted(snapshot, vec![None; n], &vec![None; n], 0, min_cluster_size));
    }
    let layout = umap::Params {
        n_neighbors: params.n_neighbors.min(n - 1),
        n_components: params.n_components,
        seed: params.seed,
        ..umap::Params::default()
    };
    let layout = layout.check().map_err(|error| Error::Params(error.to_string()))?;
    let layout = umap::fit(rows.view(), &layout, watch).map_err(Error::Umap)?.layout;
    let trees = hdbscan::Params {
        min_cluster_size,
        min_samples: Some(params.min_samples),
        ..hdbscan::Params::default()
    };
    let trees = trees.check().map_err(|error| Error::Params(error.to_string()))?;
    let clustered = hdbscan::fit(layout.view(), &trees, watch).map_err(Error::Hdbscan)?;

    let before: Vec<Option<TopicId>> = snapshot.members.iter().map(|member| member.topic).collect();
    let selected = cut(&clustered.condensed_tree, &before, params.continuity);
    let core = clustered.condensed_tree.labels_of(&selected);
    let all = absorb(rows, &core, params.absorb);
    Ok(fitted(snapshot, all, &core, selected.len() as u32, min_cluster_size))
}

fn fitted(
    snapshot: &Snapshot,
    clusters: Vec<Option<u32>>,
    core: &[Option<u32>],
    count: u32,
    min_cluster_size: usize,
) -> Fitted {
    let members = snapshot.members.iter().zip(clusters).zip(core).map(|((member, cluster), core)| Fit {
        sequence: member.sequence,
        before: member.topic,
        cluster,
        core: core.is_some(),
    });
    Fitted { members: members.collect(), clusters: count, min_cluster_size }
}

/// The clusters of `tree` that are worth most by stability and by continuing `before`, the members' topics in the
/// version in force.
fn cut(tree: &CondensedTree, before: &[Option<TopicId>], continuity: f64) -> Vec<ClusterId> {
    let shares = tree.stability_shares(DENSITY_EXPONENT);
    let stability = |id: ClusterId| (id != ClusterId::ROOT).then(|| shares[id.index()]);
    let mut sizes: BTreeMap<TopicId, f64> = BTreeMap::new();
    before.iter().flatten().for_each(|topic| *sizes.entry(*topic).or_insert(0.0) += 1.0);
    let labelled: f64 = sizes.values().sum();
    if labelled == 0.0 {
        return tree.select(stability);
    }
    tree.select(|id| {
        let mut shared: BTreeMap<TopicId, f64> = BTreeMap::new();
        for topic in tree.rows_under(id).iter().filter_map(|row| before[*row as usize]) {
            *shared.entry(topic).or_insert(0.0) += 1.0;
        }
        let size: f64 = shared.values().sum();
        let continued = (shared.iter())
            .map(|(topic, shared)| shared * shared / (size + sizes[topic] - shared))
            .fold(0.0, f64::max);
        Some(stability(id)? + continuity * continued / labelled)
    })
}

/// Takes outliers into the cluster of their neighbours.
fn absorb(rows: UnitRows, core: &[Option<u32>], share: f32) -> Vec<Option<u32>> {
    let outliers: Vec<usize> = (0..core.len()).filter(|row| core[*row].is_none()).collect();
    let queries = rows.select(&outliers);
    let index = Index::build(rows);
    let near = index.nearest(&queries, ABSORBING_NEIGHBOURS + 1);
    let mut all = core.to_vec();
    for (row, near) in outliers.iter().zip(near) {
        let others =
            near.iter().filter(|neighbour| neighbour.index as usize != *row).take(ABSORBING_NEIGHBOURS);
        let votes = tally(others.map(|neighbour| (core[neighbour.index as usize], neighbour.cosine)));
        all[*row] = votes.winner(share).map(|(cluster, _)| cluster);
    }
    all
}
