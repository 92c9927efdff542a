//! Groups of a graph in which more edges lie inside groups than chance would put there.
//!
//! The modularity of a partition with resolution `γ` is
//!
//! ```text
//! Σ_c  inside(c) − γ · ends(c)²
//! ```
//!
//! with the share of all edges that lie inside group `c`, and its share of the edges' ends. A larger `γ` makes more
//! groups.
//!
//! Sources: Newman & Girvan 2004; the resolution: Reichardt & Bornholdt 2006; moves of single nodes with a queue: Traag,
//! Waltman, van Eck 2019, "From Louvain to Leiden"; levels and the way back down: Rotta & Noack 2011.

use std::collections::VecDeque;

use crate::cluster::knn::Graph;

/// A gain below this is rounding.
const LEAST_GAIN: f64 = 1e-9;

/// An edge without direction: its two nodes, the smaller first, and its weight.
type Edge = (u32, u32, f64);

/// An undirected graph with weights.
#[derive(Debug, Clone)]
pub struct Network {
    /// Where the neighbours of each node begin.
    first: Vec<usize>,
    /// Neighbours and the weights of their edges.
    near: Vec<(u32, f64)>,
    /// Weight of the edges' ends at each node, those inside it too.
    ends: Vec<f64>,
    /// Weight of all edges' ends.
    all: f64,
}

impl Network {
    /// Nearest neighbours: an edge weighs 1, or 2 if each of its rows is one of the other's nearest. O(edges · log edges).
    pub fn of(graph: &Graph) -> Self {
        let rows = graph.indices.rows().into_iter().enumerate();
        let edge = |row: u32, near: u32| (row.min(near), row.max(near), 1.0);
        let edges = rows.flat_map(|(row, near)| near.into_iter().map(move |near| edge(row as u32, *near)));
        let nodes = graph.indices.nrows();
        let mut network = Self::new(nodes, united(edges.collect()));
        network.ends = (0..nodes).map(|node| network.near(node).map(|(_, weight)| weight).sum()).collect();
        network.all = network.ends.iter().sum();
        network
    }

    /// Without ends, which the caller knows.
    fn new(nodes: usize, edges: Vec<Edge>) -> Self {
        let mut first = vec![0; nodes + 1];
        for (a, b, _) in &edges {
            first[*a as usize + 1] += 1;
            first[*b as usize + 1] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let (mut next, mut near) = (first.clone(), vec![(0, 0.0); edges.len() * 2]);
        for (a, b, weight) in edges {
            for (from, to) in [(a, b), (b, a)] {
                near[next[from as usize]] = (to, weight);
                next[from as usize] += 1;
            }
        }
        Self { first, near, ends: Vec::new(), all: 0.0 }
    }

    fn nodes(&self) -> usize {
        self.first.len() - 1
    }

    fn near(&self, node: usize) -> impl Iterator<Item = (usize, f64)> {
        let near = &self.near[self.first[node]..self.first[node + 1]];
        near.iter().map(|(to, weight)| (*to as usize, *weight))
    }

    /// Moves single nodes between `count` groups, each to the one where the modularity gains most, until no move gains. A
    /// node of no group joins one if that gains. O(edges) a round, of which there are few.
    pub fn settle(&self, groups: &mut [Option<u32>], count: usize, resolution: f64) {
        let mut ends = vec![0.0; count];
        for (node, group) in groups.iter().enumerate() {
            group.iter().for_each(|group| ends[*group as usize] += self.ends[node]);
        }
        let mut shared = Shared { weight: vec![0.0; count], groups: Vec::new() };
        // A move changes what the ends of two groups are worth to every node, not only to its neighbours.
        while self.settle_once(groups, &mut ends, &mut shared, resolution) {}
    }

    /// Looks at each node, and again at the neighbours of those that move; whether any did.
    fn settle_once(
        &self,
        groups: &mut [Option<u32>],
        ends: &mut [f64],
        shared: &mut Shared,
        resolution: f64,
    ) -> bool {
        let mut queue: VecDeque<usize> = (0..self.nodes()).collect();
        let mut queued = vec![true; self.nodes()];
        let mut moved = false;
        while let Some(node) = queue.pop_front() {
            queued[node] = false;
            for (near, weight) in self.near(node) {
                groups[near].iter().for_each(|group| shared.add(*group as usize, weight));
            }
            let own = groups[node].map(|group| group as usize);
            own.into_iter().for_each(|group| ends[group] -= self.ends[node]);
            let expected = resolution * self.ends[node] / self.all;
            let worth = |group: usize| shared.weight[group] - expected * ends[group];
            let stay = (own, own.map_or(0.0, worth) + LEAST_GAIN);
            let (best, _) = shared.groups.iter().fold(stay, |best, group| {
                if worth(*group) > best.1 { (Some(*group), worth(*group)) } else { best }
            });
            best.into_iter().for_each(|group| ends[group] += self.ends[node]);
            shared.clear();
            if best != own {
                moved = true;
                groups[node] = best.map(|group| group as u32);
                for (near, _) in self.near(node).filter(|(near, _)| groups[*near] != groups[node]) {
                    if !std::mem::replace(&mut queued[near], true) {
                        queue.push_back(near);
                    }
                }
            }
        }
        moved
    }

    /// Parts of each of the groups `within`, found from single nodes: groups of nodes, then groups of groups as long as
    /// that gains, and from each level down to single nodes again. Each node's part, numbered from 0 without a gap.
    pub fn parts(&self, within: &[u32], resolution: f64) -> Vec<u32> {
        let mut levels: Vec<(Self, Vec<u32>)> = Vec::new();
        let mut network = self.apart(within);
        let top = loop {
            let mut groups: Vec<Option<u32>> = (0..network.nodes() as u32).map(Some).collect();
            network.settle(&mut groups, network.nodes(), resolution);
            let (groups, count) = numbered(groups.into_iter().flatten());
            if count == network.nodes() {
                break groups;
            }
            let next = network.together(&groups, count);
            levels.push((std::mem::replace(&mut network, next), groups));
        };
        let count = top.len();
        let down = |above: Vec<u32>, (network, groups): &(Self, Vec<u32>)| {
            let mut settled: Vec<_> = groups.iter().map(|group| Some(above[*group as usize])).collect();
            network.settle(&mut settled, count, resolution);
            settled.into_iter().flatten().collect()
        };
        let parts: Vec<u32> = levels.iter().rev().fold(top, down);
        numbered(parts.into_iter()).0
    }

    /// The same nodes without the edges from one of `within` to another; chance expects the same.
    fn apart(&self, within: &[u32]) -> Self {
        let (mut first, mut kept) = (vec![0], Vec::with_capacity(self.near.len()));
        for node in 0..self.nodes() {
            let near = self.near[self.first[node]..self.first[node + 1]].iter();
            kept.extend(near.filter(|(near, _)| within[*near as usize] == within[node]));
            first.push(kept.len());
        }
        Self { first, near: kept, ends: self.ends.clone(), all: self.all }
    }

    /// The `count` groups as nodes.
    fn together(&self, groups: &[u32], count: usize) -> Self {
        let mut ends = vec![0.0; count];
        let mut edges = Vec::new();
        for node in 0..self.nodes() {
            let own = groups[node];
            ends[own as usize] += self.ends[node];
            let others = self.near(node).map(|(near, weight)| (groups[near], weight));
            edges
                .extend(others.filter(|(other, _)| *other > own).map(|(other, weight)| (own, other, weight)));
        }
        Self { ends, all: self.all, ..Self::new(count, united(edges)) }
    }
}

/// Weight of one node's edges to each group.
struct Shared {
    weight: Vec<f64>,
    /// The groups to which it has edges.
    groups: Vec<usize>,
}

impl Shared {
    fn add(&mut self, group: usize, weight: f64) {
        if self.weight[group] == 0.0 {
            self.groups.push(group);
        }
        self.weight[group] += weight;
    }

    fn clear(&mut self) {
        self.groups.drain(..).for_each(|group| self.weight[group] = 0.0);
    }
}

/// The same edges, each once with all its weight.
fn united(mut edges: Vec<Edge>) -> Vec<Edge> {
    edges.sort_unstable_by_key(|(a, b, _)| (*a, *b));
    edges.dedup_by(|next, edge| {
        let same = (next.0, next.1) == (edge.0, edge.1);
        if same {
            edge.2 += next.2;
        }
        same
    });
    edges
}

/// The same groups in the order of their first nodes, numbered without a gap, and how many.
fn numbered(groups: impl Iterator<Item = u32>) -> (Vec<u32>, usize) {
    let mut numbers = std::collections::HashMap::new();
    let groups = groups.map(|group| {
        let next = numbers.len() as u32;
        *numbers.entry(group).or_insert(next)
    });
    let groups: Vec<u32> = groups.collect();
    let count = groups.iter().max().map_or(0, |last| *last as usize + 1);
    (groups, count)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::{Rng as _, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Rows whose neighbours are of their own `block`, but for the share `strangers`.
    fn blocks(blocks: usize, each: usize, strangers: f64, seed: u64) -> Graph {
        let mut rng = SmallRng::seed_from_u64(seed);
        let n = blocks * each;
        let indices = Array2::from_shape_fn((n, 8), |(row, _)| {
            let own = row / each * each;
            loop {
                let near = if rng.random_bool(strangers) {
                    rng.random_range(0..n)
                } else {
                    own + rng.random_range(0..each)
                };
                if near != row {
                    return near as u32;
                }
            }
        });
        Graph { distances: Array2::zeros(indices.dim()), indices }
    }

    /// By the definition, edge by edge.
    fn modularity(graph: &Graph, groups: &[u32], resolution: f64) -> f64 {
        let mut ends = vec![0.0; groups.len()];
        let (mut inside, all) = (0.0, graph.indices.len() as f64);
        for (row, near) in graph.indices.rows().into_iter().enumerate() {
            for near in near {
                ends[groups[row] as usize] += 0.5 / all;
                ends[groups[*near as usize] as usize] += 0.5 / all;
                inside += if groups[row] == groups[*near as usize] { 1.0 / all } else { 0.0 };
            }
        }
        inside - resolution * ends.iter().map(|ends| ends * ends).sum::<f64>()
    }

    #[test]
    fn blocks_are_found_from_single_nodes() {
        let graph = blocks(12, 40, 0.15, 1);
        let parts = Network::of(&graph).parts(&[0; 480], 1.0);
        let expected: Vec<u32> = (0..480).map(|row| row / 40).collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn parts_stay_within_their_group() {
        let graph = blocks(2, 60, 0.05, 2);
        let within: Vec<u32> = (0..120).map(|row| row % 2).collect();
        let parts = Network::of(&graph).parts(&within, 1.0);
        assert!((0..120).all(|a| (0..120).all(|b| parts[a] != parts[b] || within[a] == within[b])));
    }

    #[test]
    fn a_node_of_no_group_joins_its_neighbours() {
        let graph = blocks(2, 30, 0.0, 3);
        let mut groups: Vec<Option<u32>> = (0..60).map(|row| (row % 30 > 3).then_some(row / 30)).collect();
        Network::of(&graph).settle(&mut groups, 2, 1.0);
        assert!(groups.iter().enumerate().all(|(row, group)| *group == Some(row as u32 / 30)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_move_to_a_neighbours_group_gains_after_settling(seed in any::<u64>(), strangers in 0.2_f64..0.9, resolution in 0.5_f64..3.0) {
            let graph = blocks(4, 12, strangers, seed);
            let start: Vec<u32> = (0..48).map(|row| row % 5).collect();
            let mut settled: Vec<Option<u32>> = start.iter().copied().map(Some).collect();
            Network::of(&graph).settle(&mut settled, 5, resolution);
            let settled: Vec<u32> = settled.into_iter().flatten().collect();
            let found = modularity(&graph, &settled, resolution);
            prop_assert!(found >= modularity(&graph, &start, resolution) - 1e-9);
            for (row, near) in graph.indices.indexed_iter().map(|((row, _), near)| (row, *near as usize)) {
                for (node, group) in [(row, settled[near]), (near, settled[row])] {
                    let mut moved = settled.clone();
                    moved[node] = group;
                    prop_assert!(modularity(&graph, &moved, resolution) <= found + 1e-9);
                }
            }
        }
    }
}
