//! The hierarchy without its small branches: which clusters exist, from which density on, and who is in them.

use std::ops::Range;

use super::single_linkage::Merge;

/// Names a cluster of one [`CondensedTree`]. Ancestors have smaller numbers than their descendants; the root is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(u32);

impl ClusterId {
    /// The cluster that all rows belong to.
    pub const ROOT: Self = Self(0);

    /// The cluster's place in arrays with one value a cluster.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A cluster: a set of rows that stays together from density `birth` until it splits or its last row leaves.
///
/// Densities are `λ = 1 / distance`; rows at distance 0 leave at λ = ∞.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The cluster that this one split off from; `None` for the root.
    pub parent: Option<ClusterId>,
    /// The two clusters that this one splits into, if it does.
    pub children: Option<[ClusterId; 2]>,
    /// λ at which it split off its parent; 0 for the root.
    pub birth: f64,
    /// Largest λ at which a row left it on its own or it split; 0 for the root of no rows.
    pub death: f64,
    /// Rows in it at its birth.
    pub size: usize,
    /// Excess of mass: the sum over its rows of how long (in λ) they stayed. Infinite where enough rows for a
    /// cluster, and more than `min_samples`, coincide; never NaN.
    pub stability: f64,
    /// Its part of [`CondensedTree::rows`].
    span: Range<usize>,
}

/// The condensed tree: HDBSCAN\*'s hierarchy of all clusters of at least `min_cluster_size` rows.
///
/// Each row leaves exactly one cluster on its own; it also was in all ancestors of that cluster. Memory: 16 bytes a
/// row and 88 a cluster.
///
/// Source: Campello, Moulavi, Sander 2013, section 3; McInnes & Healy 2017, section 2.3. Where we differ from
/// `hdbscan`: clusters are numbered in the order of their birth, not breadth first, and a cluster never splits at
/// distance 0 (rows at the same place aren't two clusters; `hdbscan` gets stabilities of NaN there).
#[derive(Debug, Clone, PartialEq)]
pub struct CondensedTree {
    clusters: Vec<Cluster>,
    /// Row → the cluster that it left on its own.
    cluster_of: Vec<ClusterId>,
    /// Row → λ at which it left.
    lambda_of: Vec<f64>,
    /// Rows in preorder of the clusters, so that everything below a cluster is one slice.
    rows: Vec<u32>,
}

impl CondensedTree {
    /// Rows of the data.
    pub fn n(&self) -> usize {
        self.cluster_of.len()
    }

    /// All clusters; [`ClusterId::index`] is a cluster's place. Never empty: the root is there even of no rows.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// The names of all clusters, ancestors first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = ClusterId> + ExactSizeIterator + use<> {
        (0..self.clusters.len() as u32).map(ClusterId)
    }

    /// The cluster of that name.
    pub fn cluster(&self, id: ClusterId) -> &Cluster {
        &self.clusters[id.index()]
    }

    /// The rows that were in the cluster at its birth: its own and those of all its descendants.
    pub fn rows_under(&self, id: ClusterId) -> &[u32] {
        &self.rows[self.cluster(id).span.clone()]
    }

    /// The rows that left the cluster on their own, by row number.
    pub fn own_rows(&self, id: ClusterId) -> &[u32] {
        let cluster = self.cluster(id);
        let below: usize = cluster.children.iter().flatten().map(|&child| self.cluster(child).size).sum();
        &self.rows[cluster.span.start..cluster.span.end - below]
    }

    /// The cluster that the row left on its own.
    pub fn cluster_of(&self, row: usize) -> ClusterId {
        self.cluster_of[row]
    }

    /// λ at which the row left [`Self::cluster_of`] it.
    pub fn lambda_of(&self, row: usize) -> f64 {
        self.lambda_of[row]
    }

    /// Each cluster's share of the stability of the tree's best cut: finite and at most 1 for a cluster of that cut.
    ///
    /// As `stability / total`, except that an infinite λ counts as the largest finite one. The shares of clusters on
    /// different trees can be compared, which stabilities (in 1 / distance) can't.
    ///
    /// With an `exponent` above 1, λ is raised to it first: density grows with a power of λ, so late, dense clusters
    /// weigh more against an early one that holds them all. 1 is HDBSCAN\*'s own stability.
    pub fn stability_shares(&self, exponent: f64) -> Vec<f64> {
        let finite = self.lambda_of.iter().copied().filter(|lambda| lambda.is_finite()).fold(0.0, f64::max);
        let stabilities: Vec<f64> = self
            .ids()
            .map(|id| {
                let cluster = self.cluster(id);
                // Relative to the largest, so that no power overflows.
                let mass = |lambda: f64| (lambda.min(finite) / finite).powf(exponent);
                let stay = |lambda: f64| mass(lambda) - mass(cluster.birth);
                let own: f64 = self.own_rows(id).iter().map(|&row| stay(self.lambda_of(row as usize))).sum();
                let children = cluster.children.iter().flatten().map(|&child| self.cluster(child));
                own + children.map(|child| stay(child.birth) * child.size as f64).sum::<f64>()
            })
            .collect();
        let selectable = |id: ClusterId| (id != ClusterId::ROOT).then(|| stabilities[id.index()]);
        let total: f64 = self.select(selectable).into_iter().map(|id| stabilities[id.index()]).sum();
        if total > 0.0 {
            stabilities.into_iter().map(|stability| stability / total).collect()
        } else {
            vec![0.0; self.clusters.len()]
        }
    }
}

/// Condenses the merges over `n` rows (`n − 1` of them, or none for no rows).
///
/// From the root down: a merge of two parts of at least `min_cluster_size` rows each is a split into two clusters;
/// otherwise the small part's rows leave the cluster and the large part goes on as the same cluster. `O(n)` time and
/// memory.
pub(super) fn condense_tree(n: usize, merges: &[Merge], min_cluster_size: usize) -> CondensedTree {
    let mut clusters = vec![Cluster::born(None, 0.0, n)];
    let mut fate = vec![Fate::In(ClusterId::ROOT); n + merges.len()];
    for (number, merge) in merges.iter().enumerate().rev() {
        let [left, right] = [merge.left, merge.right].map(|part| part as usize);
        let own = fate[n + number];
        let Fate::In(cluster) = own else {
            (fate[left], fate[right]) = (own, own);
            continue;
        };
        let lambda = 1.0 / merge.distance;
        let large = [left, right].map(|part| size_of(n, merges, part) >= min_cluster_size);
        if large == [true, true] && lambda.is_finite() {
            let children = [left, right].map(|part| {
                let id = ClusterId(clusters.len() as u32);
                clusters.push(Cluster::born(Some(cluster), lambda, size_of(n, merges, part)));
                fate[part] = Fate::In(id);
                id
            });
            clusters[cluster.index()].children = Some(children);
        } else {
            let left_goes_on = large == [true, false];
            let right_goes_on = large == [false, true];
            fate[left] = if left_goes_on { own } else { Fate::Left(cluster, lambda) };
            fate[right] = if right_goes_on { own } else { Fate::Left(cluster, lambda) };
        }
    }
    fate.truncate(n);
    // A row is In a cluster still only if there was no merge at all, that is if it is the only row.
    let departure = |fate: &Fate| match *fate {
        Fate::In(cluster) => (cluster, 0.0),
        Fate::Left(cluster, lambda) => (cluster, lambda),
    };
    let (cluster_of, lambda_of) = fate.iter().map(departure).unzip();
    let mut tree = CondensedTree { clusters, cluster_of, lambda_of, rows: Vec::new() };
    tree.sum_lambdas();
    tree.place_rows();
    tree
}

/// Where a node of the single linkage tree stands.
#[derive(Clone, Copy)]
enum Fate {
    /// It is the cluster, or what is left of it.
    In(ClusterId),
    /// All its rows left the cluster at this λ.
    Left(ClusterId, f64),
}

fn size_of(n: usize, merges: &[Merge], part: usize) -> usize {
    if part < n { 1 } else { merges[part - n].size as usize }
}

impl Cluster {
    fn born(parent: Option<ClusterId>, birth: f64, size: usize) -> Self {
        Self { parent, children: None, birth, death: 0.0, size, stability: 0.0, span: 0..0 }
    }

    /// `count` rows leave at `lambda`.
    fn lose(&mut self, lambda: f64, count: usize) {
        self.death = self.death.max(lambda);
        self.stability += (lambda - self.birth) * count as f64;
    }
}

impl CondensedTree {
    fn sum_lambdas(&mut self) {
        for (cluster, &lambda) in self.cluster_of.iter().zip(&self.lambda_of) {
            self.clusters[cluster.index()].lose(lambda, 1);
        }
        for index in 1..self.clusters.len() {
            let Cluster { parent, birth, size, .. } = self.clusters[index];
            if let Some(parent) = parent {
                self.clusters[parent.index()].lose(birth, size);
            }
        }
    }

    /// Lays the rows out so that a cluster's own rows come first, then those of one child, then those of the other.
    fn place_rows(&mut self) {
        self.clusters[0].span = 0..self.n();
        for index in 0..self.clusters.len() {
            let Cluster { children, span: Range { end, .. }, .. } = self.clusters[index].clone();
            let mut end = end;
            for child in children.into_iter().flatten().rev() {
                let child = &mut self.clusters[child.index()];
                child.span = end - child.size..end;
                end -= child.size;
            }
        }
        let mut next: Vec<usize> = self.clusters.iter().map(|cluster| cluster.span.start).collect();
        self.rows = vec![0; self.n()];
        for (row, cluster) in self.cluster_of.iter().enumerate() {
            let place = &mut next[cluster.index()];
            self.rows[*place] = row as u32;
            *place += 1;
        }
    }
}
