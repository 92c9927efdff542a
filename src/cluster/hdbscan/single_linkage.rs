//! The hierarchy of merges that a minimum spanning tree stands for.

use super::boruvka::Edge;
use super::disjoint_set::DisjointSet;

/// Two clusters become one.
///
/// Numbered as scipy's linkage matrices: below `n` a row, from `n` on the result of merge `number − n`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merge {
    /// The cluster with the smaller number.
    pub left: u32,
    /// The other one.
    pub right: u32,
    /// Mutual reachability distance at which they meet.
    pub distance: f64,
    /// Rows in the result.
    pub size: u32,
}

/// Turns a minimum spanning tree over `n` rows into `n − 1` merges, by rising distance.
///
/// `O(n log n)` for the sort, 24 bytes a merge. Source: Gower & Ross 1969.
pub(super) fn single_linkage(n: usize, mut edges: Vec<Edge>) -> Vec<Merge> {
    edges.sort_unstable_by_key(|edge| (edge.cost, edge.from.min(edge.to), edge.from.max(edge.to)));
    let mut sets = DisjointSet::new(n);
    // The number of the cluster that a set's representative stands for.
    let mut numbers: Vec<u32> = (0..n as u32).collect();
    let mut merges = Vec::with_capacity(edges.len());
    for edge in edges {
        let [a, b] = [edge.from, edge.to].map(|row| numbers[sets.find(row) as usize]);
        if let Some(whole) = sets.union(edge.from, edge.to) {
            numbers[whole as usize] = (n + merges.len()) as u32;
            let (left, right, size) = (a.min(b), a.max(b), sets.size(whole));
            merges.push(Merge { left, right, distance: edge.cost.reachability(), size });
        }
    }
    merges
}
