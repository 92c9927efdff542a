//! A graph whose short walks end near the query: hierarchical navigable small world.

use std::fmt;

use hnsw_rs::prelude::{Distance, Hnsw};

use crate::kernel::dot::dot;
use crate::kernel::unit::UnitRows;

/// Edges an entry keeps (twice as many on the lowest layer).
const EDGES: usize = 16;

/// Layers at most: enough for 16^16 entries.
const LAYERS: usize = 16;

/// Candidates looked at when an entry is inserted.
const BUILD_BREADTH: usize = 128;

/// Candidates looked at when a query is answered, for up to [`USUAL_K`] neighbours; more for more.
///
/// Found all of the 10 nearest of each of 500 queries among 44,949 entries of 384 dimensions (ACL abstracts).
const SEARCH_BREADTH: usize = 256;

/// Neighbours that [`SEARCH_BREADTH`] is meant for.
const USUAL_K: usize = 16;

/// The entries as a graph.
///
/// Built by one thread: inserting from several at once gives another graph each time, while one after another, with
/// the layers drawn by `hnsw_rs` from its fixed seed, the same entries give the same graph.
///
/// Source: Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search using Hierarchical
/// Navigable Small World graphs". Entries can't be removed; the index is built anew for each version of the model.
pub(super) struct Graph(Hnsw<'static, f32, Cosine>);

impl Graph {
    pub(super) fn build(entries: &UnitRows) -> Self {
        let graph = Hnsw::new(EDGES, entries.n(), LAYERS, BUILD_BREADTH, Cosine);
        for index in 0..entries.n() {
            graph.insert((entries.row(index), index));
        }
        Self(graph)
    }

    /// Entries that are probably the `k` nearest, and some more.
    pub(super) fn propose(&self, query: &[f32], k: usize) -> impl Iterator<Item = usize> {
        let breadth = SEARCH_BREADTH * k.div_ceil(USUAL_K).max(1);
        let proposed = self.0.search(query, 2 * k, breadth);
        proposed.into_iter().map(|neighbour| neighbour.get_origin_id())
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Graph of {} entries", self.0.get_nb_point())
    }
}

/// 1 − cosine, never below 0: `hnsw_rs`'s own `DistDot` panics when rounding takes the cosine above 1.
struct Cosine;

impl Distance<f32> for Cosine {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ndarray::Array2;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::{exact, rank};
    use super::*;

    /// Unit rows around thirty directions, as embeddings lie, every tenth of them twice.
    fn clustered(n: usize, d: usize, seed: u64) -> UnitRows {
        let mut rng = SmallRng::seed_from_u64(seed);
        let centres = Array2::from_shape_simple_fn((30, d), || rng.random_range(-1.0_f32..1.0));
        let mut rows = Array2::from_shape_fn((n, d), |(row, column)| {
            centres[[row % 30, column]] + rng.random_range(-1.0_f32..1.0)
        });
        for row in (10..n).step_by(10) {
            let twin = rows.row(row - 1).to_owned();
            rows.row_mut(row).assign(&twin);
        }
        UnitRows::normalise(rows).unwrap()
    }

    #[test]
    fn ninety_nine_of_a_hundred_are_found() {
        let (entries, k) = (clustered(4_000, 48, 1), 10);
        let queries = entries.select(&(0..4_000).step_by(20).collect::<Vec<_>>());
        let graph = Graph::build(&entries);
        let exact = exact::nearest(&entries, &queries, k);
        let found = |(query, exact): (usize, &Vec<super::super::Neighbour>)| {
            let query = queries.row(query);
            let found = rank(&entries, query, k, graph.propose(query, k));
            let found: HashSet<u32> = found.iter().map(|neighbour| neighbour.index).collect();
            exact.iter().filter(|neighbour| found.contains(&neighbour.index)).count()
        };
        let found: usize = exact.iter().enumerate().map(found).sum();
        let recall = found as f64 / (queries.n() * k) as f64;
        assert!(recall >= 0.99, "{recall}");
    }

    #[test]
    fn the_same_entries_give_the_same_graph() {
        let entries = clustered(1_500, 24, 2);
        let proposed = || {
            let graph = Graph::build(&entries);
            (0..100).map(|query| graph.propose(entries.row(query), 10).collect()).collect::<Vec<Vec<usize>>>()
        };
        assert_eq!(proposed(), proposed());
    }
}
