//! The graph that the layout is made from: who holds on to whom, and how strongly.

use rayon::prelude::*;

use super::smooth_knn::{Smoothed, strength};
use crate::cluster::knn::Graph;

/// A weighted graph as compressed sparse rows, its columns rising within a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FuzzySet {
    /// `n + 1` places: row `i` has `starts[i]..starts[i + 1]`.
    pub(super) starts: Vec<usize>,
    /// The other end of each edge.
    pub(super) neighbours: Vec<u32>,
    /// Its strength, above 0 and at most 1.
    pub(super) strengths: Vec<f32>,
}

impl FuzzySet {
    /// Number of rows.
    pub(super) fn n(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges of row `i`.
    pub(super) fn edges(&self, i: usize) -> impl Iterator<Item = (u32, f32)> {
        let range = self.starts[i]..self.starts[i + 1];
        self.neighbours[range.clone()].iter().copied().zip(self.strengths[range].iter().copied())
    }

    /// The fuzzy union `a + b − ab` of each edge's strengths seen from its two ends; symmetric. `O(n k log k)`.
    ///
    /// Source: the UMAP paper, algorithm 2; `fuzzy_simplicial_set` of umap-learn.
    pub(super) fn union(graph: &Graph, smoothed: &[Smoothed]) -> Self {
        let held = holders(graph, smoothed);
        let rows: Vec<Vec<(u32, f32)>> = (0..graph.n())
            .into_par_iter()
            .map(|i| {
                let mut row = held.row(i).to_vec();
                row.extend(holds(graph, smoothed, i));
                row.sort_by_key(|&(j, _)| j);
                row.dedup_by(|second, first| {
                    let both = second.0 == first.0;
                    if both {
                        first.1 = first.1 + second.1 - first.1 * second.1;
                    }
                    both
                });
                row.retain(|&(_, strength)| strength > 0.0);
                row
            })
            .collect();
        Self::from_rows(rows)
    }

    /// The strengths as each row of `graph` sees them, towards rows of another array.
    pub(super) fn held(graph: &Graph, smoothed: &[Smoothed]) -> Self {
        Self::from_rows((0..graph.n()).map(|i| holds(graph, smoothed, i).collect()).collect())
    }

    /// Without the edges weaker than `1 / n_epochs` of the strongest, which no epoch would sample.
    #[must_use]
    pub(super) fn without_weak(&self, n_epochs: usize) -> Self {
        let least = self.strongest() / n_epochs as f32;
        let rows =
            (0..self.n()).into_par_iter().map(|i| self.edges(i).filter(|edge| edge.1 >= least).collect());
        Self::from_rows(rows.collect::<Vec<Vec<_>>>())
    }

    /// The same drawn together where rows carry one label and apart where they carry two: an edge between two labels keeps
    /// `exp(−2.5 / (1 − weight))` of its strength, one at a row without a label `exp(−1)`; then each row's strengths
    /// are scaled so that the largest is 1, and the two views of an edge united again. For a symmetric set. `O(edges)`.
    ///
    /// Source: `categorical_simplicial_set_intersection`, `reset_local_connectivity` of umap-learn.
    #[must_use]
    pub(super) fn towards(&self, labels: &[Option<u32>], weight: f32) -> Self {
        const UNKNOWN_DISTANCE: f32 = 1.0;
        let far_distance = 2.5 / (1.0 - weight);
        let factor = |i: usize, j: u32| match (labels[i], labels[j as usize]) {
            (Some(own), Some(other)) if own == other => 1.0,
            (Some(_), Some(_)) => (-far_distance).exp(),
            _ => (-UNKNOWN_DISTANCE).exp(),
        };
        let largest: Vec<f32> = (0..self.n())
            .into_par_iter()
            .map(|i| self.edges(i).map(|(j, strength)| strength * factor(i, j)).fold(0.0, f32::max))
            .collect();
        let row = |i: usize| {
            let seen = |(j, strength): (u32, f32)| {
                let strength = strength * factor(i, j);
                let (here, there) = (strength / largest[i], strength / largest[j as usize]);
                (strength > 0.0).then_some((j, here + there - here * there))
            };
            self.edges(i).filter_map(seen).collect()
        };
        Self::from_rows((0..self.n()).into_par_iter().map(row).collect::<Vec<Vec<_>>>())
    }

    /// The largest strength; 0 without edges.
    pub(super) fn strongest(&self) -> f32 {
        self.strengths.iter().copied().fold(0.0, f32::max)
    }

    pub(super) fn from_rows(rows: Vec<Vec<(u32, f32)>>) -> Self {
        let mut set = Self { starts: vec![0], neighbours: Vec::new(), strengths: Vec::new() };
        let edges = rows.iter().map(Vec::len).sum();
        set.neighbours.reserve(edges);
        set.strengths.reserve(edges);
        for row in rows {
            for (j, strength) in row {
                set.neighbours.push(j);
                set.strengths.push(strength);
            }
            set.starts.push(set.neighbours.len());
        }
        set
    }
}

/// Whom row `i` holds on to.
fn holds<'a>(graph: &'a Graph, smoothed: &'a [Smoothed], i: usize) -> impl Iterator<Item = (u32, f32)> + 'a {
    let distances = graph.distances.row(i).into_iter();
    graph
        .indices
        .row(i)
        .into_iter()
        .zip(distances)
        .map(move |(&j, &distance)| (j, strength(distance, smoothed[i])))
}

/// Who holds on to each row: the transposed graph.
struct Holders {
    starts: Vec<usize>,
    edges: Vec<(u32, f32)>,
}

impl Holders {
    fn row(&self, i: usize) -> &[(u32, f32)] {
        &self.edges[self.starts[i]..self.starts[i + 1]]
    }
}

fn holders(graph: &Graph, smoothed: &[Smoothed]) -> Holders {
    let n = graph.n();
    let mut starts = vec![0; n + 1];
    for &j in &graph.indices {
        starts[j as usize + 1] += 1;
    }
    for i in 0..n {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut edges = vec![(0, 0.0); graph.indices.len()];
    for i in 0..n {
        for (j, strength) in holds(graph, smoothed, i) {
            edges[next[j as usize]] = (i as u32, strength);
            next[j as usize] += 1;
        }
    }
    Holders { starts, edges }
}
