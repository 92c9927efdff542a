//! The minimum spanning tree of the mutual reachability graph.

use rayon::prelude::*;

use super::core_distance::CoreDistances;
use super::disjoint_set::DisjointSet;
use super::kd_tree::{KdTree, LEAF, Node, Visitor};
use crate::cluster::watch::{self, Cancelled, Watch};

/// An edge between two positions, or between two rows once [`super::single_linkage`] has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) cost: Cost,
}

/// Mutual reachability, and the plain distance to decide between the many equal ones.
///
/// A row whose core distance exceeds its distance to several others reaches them all at that same cost. Deciding such
/// ties by distance makes the minimum spanning tree unique unless distances tie too, so that neither the order of the
/// rows nor that of the search shows in the clusters. Both are squared and not negative, so their bits are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(u64);

impl Cost {
    const UNREACHABLE: Self = Self(u64::MAX);

    fn new(squared_reachability: f32, squared_distance: f32) -> Self {
        Self(u64::from(squared_reachability.to_bits()) << 32 | u64::from(squared_distance.to_bits()))
    }

    /// Mutual reachability distance: the largest of the two core distances and the distance.
    pub(super) fn reachability(self) -> f64 {
        f64::from(f32::from_bits((self.0 >> 32) as u32)).sqrt()
    }
}

/// Finds the minimum spanning tree by Borůvka's rounds over a kd-tree: `n − 1` edges between positions.
///
/// The first round is free: the nearest neighbour that is at least as dense is a row's cheapest edge. Later rounds ask
/// each row of each component but the largest for its cheapest edge out of the component, most promising row first. A
/// row's last answer stays true while its other end is foreign, and a lower bound when it isn't, so few rows search.
///
/// About `O(n log n)` for few dimensions; 16 bytes a row besides the edges. In parallel over components; the result
/// doesn't depend on the number of threads.
///
/// Source: McInnes & Healy 2017, "Accelerated Hierarchical Density Based Clustering", section 3; March, Ram, Gray 2010.
/// Where we differ: a tree walk per row, not a dual one (bounds of the component prune enough); the largest component
/// doesn't search, because the others' edges suffice for half of them to vanish each round.
pub(super) fn boruvka(
    tree: &KdTree,
    core: &CoreDistances,
    watch: &dyn Watch,
) -> Result<Vec<Edge>, Cancelled> {
    let mut forest = Forest::new(tree);
    let mut members = nearest_denser_neighbours(tree, core);
    for member in members.iter().filter(|member| member.neighbour != NOBODY) {
        forest.join(member.edge());
    }
    let least_core = least_core_distances(tree, &core.squared);
    while forest.edges.len() + 1 < tree.n() {
        watch::check(watch)?;
        watch.progress("minimum_spanning_tree", forest.edges.len(), tree.n());
        forest.update_components(tree);
        members.par_iter_mut().for_each(|member| {
            member.component = forest.component_of[member.position as usize];
        });
        members.par_sort_unstable_by_key(|member| (member.component, member.bound, member.position));
        let search = Search { tree, core: &core.squared, least_core: &least_core, forest: &forest };
        let largest = forest.largest();
        let edges: Vec<Option<Edge>> = members
            .par_chunk_by_mut(|a, b| a.component == b.component)
            .filter(|component| component.first().is_some_and(|member| member.component != largest))
            .map(|component| search.cheapest_edge(component))
            .collect();
        for edge in edges.into_iter().flatten() {
            forest.join(edge);
        }
    }
    Ok(forest.edges)
}

/// The component that a node doesn't wholly belong to, and the neighbour that isn't there.
const NOBODY: u32 = u32::MAX;

/// What is known of one row's cheapest edge out of its component.
#[derive(Clone, Copy)]
struct Member {
    position: u32,
    component: u32,
    /// Other end of the cheapest edge when it was last searched; [`NOBODY`] if only the bound is known.
    neighbour: u32,
    /// The cost of that edge, and never more than the cost of any edge out of the component.
    bound: Cost,
}

impl Member {
    fn edge(&self) -> Edge {
        Edge { from: self.position, to: self.neighbour, cost: self.bound }
    }
}

/// The first round: each row's nearest neighbour whose core distance isn't larger, if it is among its nearest.
fn nearest_denser_neighbours(tree: &KdTree, core: &CoreDistances) -> Vec<Member> {
    let mut members = Vec::with_capacity(tree.n());
    (0..tree.n())
        .into_par_iter()
        .map_init(
            || (vec![0.0; tree.d()], vec![0.0; tree.d()]),
            |(point, other), position| {
                let own = core.squared[position];
                let neighbours = &core.neighbours[position * core.k..(position + 1) * core.k];
                let denser = neighbours.iter().find(|&&neighbour| core.squared[neighbour as usize] <= own);
                tree.read_point(position, point);
                let (neighbour, squared_distance) = denser.map_or((NOBODY, 0.0), |&neighbour| {
                    tree.read_point(neighbour as usize, other);
                    (neighbour, squared_distance(point, other))
                });
                let position = position as u32;
                Member { position, component: position, neighbour, bound: Cost::new(own, squared_distance) }
            },
        )
        .collect_into_vec(&mut members);
    members
}

/// The same sum, in the same order, as [`KdTree::leaf_distances`].
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (&a, &b)| sum + (a - b) * (a - b))
}

/// The smallest core distance (squared) in each node of the tree.
fn least_core_distances(tree: &KdTree, core: &[f32]) -> Vec<f32> {
    fold_up(tree, |positions| core[positions].iter().copied().fold(f32::INFINITY, f32::min), f32::min)
}

/// A value for each node: `of_leaf` of its positions, or `join` of its children's.
fn fold_up<T: Copy>(
    tree: &KdTree,
    of_leaf: impl Fn(std::ops::Range<usize>) -> T,
    join: impl Fn(T, T) -> T,
) -> Vec<T> {
    fn fold<T: Copy>(
        tree: &KdTree,
        node: Node,
        of_leaf: &impl Fn(std::ops::Range<usize>) -> T,
        join: &impl Fn(T, T) -> T,
        values: &mut Vec<T>,
    ) -> T {
        // Preorder: a node's place stands before its children's; it is filled with any value until they are known.
        let first = of_leaf(tree.positions(node.first_leaf));
        values.push(first);
        let Some((left, right)) = node.children() else { return first };
        let left = fold(tree, left, of_leaf, join, values);
        let value = join(left, fold(tree, right, of_leaf, join, values));
        values[node.id] = value;
        value
    }
    let mut values = Vec::with_capacity(tree.nodes());
    if tree.n() > 0 {
        fold(tree, tree.root(), &of_leaf, &join, &mut values);
    }
    values
}

/// The edges so far and the components that they make.
struct Forest {
    edges: Vec<Edge>,
    sets: DisjointSet,
    /// The component of each position.
    component_of: Vec<u32>,
    /// The component that a node of the tree wholly belongs to, or [`NOBODY`].
    component_of_node: Vec<u32>,
}

impl Forest {
    fn new(tree: &KdTree) -> Self {
        Self {
            edges: Vec::with_capacity(tree.n().saturating_sub(1)),
            sets: DisjointSet::new(tree.n()),
            component_of: Vec::new(),
            component_of_node: Vec::new(),
        }
    }

    /// Adds the edge unless it would close a circle.
    ///
    /// Components choose their edges without knowing of each other, so chosen edges of equal cost may form a circle;
    /// leaving out any one of them, the last here, leaves a part of a minimum spanning tree.
    fn join(&mut self, edge: Edge) {
        if self.sets.union(edge.from, edge.to).is_some() {
            self.edges.push(edge);
        }
    }

    fn update_components(&mut self, tree: &KdTree) {
        self.component_of = (0..tree.n() as u32).map(|position| self.sets.find(position)).collect();
        let same = |a: u32, b: u32| if a == b { a } else { NOBODY };
        let component_of = &self.component_of;
        let of_leaf = |positions: std::ops::Range<usize>| {
            let components = &component_of[positions];
            components.iter().copied().reduce(same).unwrap_or(NOBODY)
        };
        self.component_of_node = fold_up(tree, of_leaf, same);
    }

    fn largest(&self) -> u32 {
        let sizes = self.component_of.iter().map(|&component| (self.sets.size(component), component));
        sizes.max().map_or(NOBODY, |(_, component)| component)
    }
}

/// What stays the same during a round.
struct Search<'a> {
    tree: &'a KdTree,
    core: &'a [f32],
    least_core: &'a [f32],
    forest: &'a Forest,
}

impl Search<'_> {
    /// The cheapest edge out of a component; `members` are all its rows, lowest bound first.
    fn cheapest_edge(&self, members: &mut [Member]) -> Option<Edge> {
        let mut cheapest: Option<Edge> = None;
        let mut point = vec![0.0; self.tree.d()];
        for member in members {
            let limit = cheapest.map_or(Cost::UNREACHABLE, |edge| edge.cost);
            if member.bound >= limit {
                break;
            }
            let known = member.neighbour != NOBODY
                && self.forest.component_of[member.neighbour as usize] != member.component;
            if !known {
                self.tree.read_point(member.position as usize, &mut point);
                let core = self.core[member.position as usize];
                let (component, neighbour) = (member.component, NOBODY);
                let mut walk = Walk { search: self, core, component, neighbour, cost: limit };
                self.tree.visit(&point, &mut walk);
                member.neighbour = walk.neighbour;
                member.bound = walk.cost;
            }
            if member.neighbour != NOBODY {
                cheapest = Some(member.edge());
            }
        }
        cheapest
    }
}

/// One row's search for a foreign row that it reaches at less than `cost`.
struct Walk<'a> {
    search: &'a Search<'a>,
    core: f32,
    component: u32,
    neighbour: u32,
    cost: Cost,
}

impl Visitor for Walk<'_> {
    fn prune(&self, node: Node, squared_distance: f32) -> bool {
        self.search.forest.component_of_node[node.id] == self.component || {
            let reachability = squared_distance.max(self.core).max(self.search.least_core[node.id]);
            Cost::new(reachability, squared_distance) >= self.cost
        }
    }

    fn leaf(&mut self, leaf: usize, squared_distances: &[f32; LEAF]) {
        for (position, &squared_distance) in self.search.tree.positions(leaf).zip(squared_distances) {
            if self.search.forest.component_of[position] == self.component {
                continue;
            }
            let reachability = squared_distance.max(self.core).max(self.search.core[position]);
            let cost = Cost::new(reachability, squared_distance);
            if cost < self.cost {
                self.cost = cost;
                self.neighbour = position as u32;
            }
        }
    }
}

/// Finds the minimum spanning tree by Prim's algorithm: for many dimensions, where a kd-tree prunes nothing.
///
/// `O(n² d)` time, in parallel over the rows not yet reached; 16 bytes a row. Source: Prim 1957.
pub(super) fn prim(tree: &KdTree, core: &CoreDistances, watch: &dyn Watch) -> Result<Vec<Edge>, Cancelled> {
    const LEAVES_A_TASK: usize = 32;
    let n = tree.n();
    let mut edges = Vec::with_capacity(n.saturating_sub(1));
    // `from` is the nearest row in the tree; an edge whose `to` is reached already has `from == to`.
    let mut fringe: Vec<Edge> =
        (0..n as u32).map(|to| Edge { from: NOBODY, to, cost: Cost::UNREACHABLE }).collect();
    let mut point = vec![0.0; tree.d()];
    let mut reached = 0;
    while edges.len() + 1 < n {
        if edges.len().is_multiple_of(1024) {
            watch::check(watch)?;
            watch.progress("minimum_spanning_tree", edges.len(), n);
        }
        tree.read_point(reached, &mut point);
        fringe[reached].from = reached as u32;
        let relax = |leaf: usize, fringe: &mut [Edge]| {
            let distances = tree.leaf_distances(leaf, &point);
            for (edge, squared_distance) in fringe.iter_mut().zip(distances) {
                let reachability = squared_distance.max(core.squared[reached]);
                let reachability = reachability.max(core.squared[edge.to as usize]);
                let cost = Cost::new(reachability, squared_distance);
                if cost < edge.cost && edge.from != edge.to {
                    *edge = Edge { from: reached as u32, cost, ..*edge };
                }
            }
        };
        let cheapest = fringe
            .par_chunks_mut(LEAF)
            .with_min_len(LEAVES_A_TASK)
            .enumerate()
            .filter_map(|(leaf, fringe)| {
                relax(leaf, fringe);
                fringe
                    .iter()
                    .filter(|edge| edge.from != edge.to)
                    .min_by_key(|edge| (edge.cost, edge.to))
                    .copied()
            })
            .min_by_key(|edge| (edge.cost, edge.to));
        let Some(edge) = cheapest else { break };
        edges.push(edge);
        reached = edge.to as usize;
    }
    Ok(edges)
}
