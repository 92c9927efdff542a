//! The nearest entries of a fixed set of unit rows, by cosine.
//!
//! Up to [`CROSSOVER`] entries every query is compared with every entry by a matrix product; above, a graph (HNSW)
//! proposes entries (feature `hnsw`; without it the comparison stays exact). Either way what is returned is ranked by [`dot`] of two rows, so that an answer never depends on
//! which other queries came along.

mod exact;
#[cfg(feature = "hnsw")]
mod hnsw;

use crate::kernel::dot::dot;
use crate::kernel::top_k::{Scored, TopK};
use crate::kernel::unit::UnitRows;

/// From this many entries on a graph is built.
///
/// A graph has to earn its construction, and an index lives only as long as a version of the model. Measured on 2
/// shared cores with 384 dimensions and 64 queries at once, both threads: exact 0.02 ms a query at 1,000 entries,
/// 0.11 ms at 10,000, 0.5 ms at 30,000, 0.8 ms at 45,000, where the graph takes 1.5 ms after 69 s of
/// building. The exact time grows with the entries and the graph's hardly, so they meet near 100,000; at 200,000 the
/// graph has earned its five minutes after some 150,000 queries. The state keeps at most some 50,000 entries.
pub const CROSSOVER: usize = 200_000;

/// Entries that can be asked for the nearest to other rows.
///
/// Memory: the rows, `4 n d` bytes; with a graph those twice and some 400 bytes an entry.
#[derive(Debug)]
pub struct Index {
    rows: UnitRows,
    #[cfg(feature = "hnsw")]
    graph: Option<hnsw::Graph>,
}

/// An entry near a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Which entry: its row in what the index was built of.
    pub index: u32,
    /// Cosine of the angle between entry and query, as [`dot`] computes it.
    pub cosine: f32,
}

impl Index {
    /// Takes the entries, `n × d`.
    ///
    /// Free below [`CROSSOVER`]; above about `O(n log n)` comparisons on one thread. The same rows give the same index.
    pub fn build(rows: UnitRows) -> Self {
        Self {
            #[cfg(feature = "hnsw")]
            graph: (rows.n() >= CROSSOVER).then(|| hnsw::Graph::build(&rows)),
            rows,
        }
    }

    /// For each of `m × d` queries its `k` nearest entries, best first, ties to the smaller index; all of them if
    /// there are fewer, none if there are none.
    ///
    /// Exact below [`CROSSOVER`], in `O(m n d)`; above, some 99 of 100 are found, in about `O(m d log n)`. In parallel;
    /// the result has the same bits on any number of threads and for any number of queries at once.
    ///
    /// # Panics
    /// If queries and entries, none of them empty, have different dimensions.
    pub fn nearest(&self, queries: &UnitRows, k: usize) -> Vec<Vec<Neighbour>> {
        let k = k.min(self.rows.n());
        if k == 0 || queries.n() == 0 {
            return vec![Vec::new(); queries.n()];
        }
        #[cfg(feature = "hnsw")]
        if let Some(graph) = &self.graph {
            use rayon::prelude::*;
            let nearest = |query: usize| {
                let query = queries.row(query);
                rank(&self.rows, query, k, graph.propose(query, k))
            };
            return (0..queries.n()).into_par_iter().map(nearest).collect();
        }
        exact::nearest(&self.rows, queries, k)
    }
}

/// The `k` best of the candidates by their exact cosine to the query.
fn rank(
    entries: &UnitRows,
    query: &[f32],
    k: usize,
    candidates: impl Iterator<Item = usize>,
) -> Vec<Neighbour> {
    let mut best = TopK::new(k);
    for index in candidates {
        best.offer(dot(entries.row(index), query), index as u32);
    }
    let neighbour = |scored: Scored| Neighbour { index: scored.index, cosine: scored.score };
    best.into_sorted().into_iter().map(neighbour).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::{Rng as _, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Unit rows; on a coarse grid, so that duplicates and ties abound, or anywhere.
    fn random(n: usize, d: usize, coarse: bool, seed: u64) -> UnitRows {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut value = || rng.random_range(-2.0_f32..2.0);
        let mut rows =
            Array2::from_shape_simple_fn((n, d), || if coarse { value().round() } else { value() });
        rows.column_mut(0).mapv_inplace(|value| if value == 0.0 { 1.0 } else { value });
        UnitRows::normalise(rows).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_nearest_are_those_that_sorting_all_finds(
            (n, m, k) in (0_usize..300, 0_usize..30, 0_usize..20),
            d in 1_usize..40, coarse in any::<bool>(), seed in any::<u64>(),
        ) {
            let (entries, queries) = (random(n, d, coarse, seed), random(m, d, coarse, seed ^ 1));
            let found = Index::build(entries.clone()).nearest(&queries, k);
            prop_assert_eq!(found.len(), m);
            for (query, found) in found.iter().enumerate() {
                let all = rank(&entries, queries.row(query), n, 0..n);
                prop_assert_eq!(&found[..], &all[..k.min(n)]);
            }
        }
    }

    #[test]
    fn other_queries_do_not_show_in_an_answer() {
        let (entries, queries) = (random(3_000, 96, false, 1), random(300, 96, false, 2));
        let index = Index::build(entries);
        let together = index.nearest(&queries, 12);
        for size in [1, 2, 7, 64, 131] {
            let all: Vec<usize> = (0..queries.n()).collect();
            let apart = all.chunks(size).flat_map(|some| index.nearest(&queries.select(some), 12));
            assert_eq!(apart.collect::<Vec<_>>(), together, "{size} at once");
        }
    }

    #[test]
    fn no_entries_are_near_nobody() {
        let queries = random(3, 5, false, 1);
        assert_eq!(Index::build(UnitRows::empty(7)).nearest(&queries, 4), vec![Vec::new(); 3]);
        assert!(Index::build(random(9, 5, false, 2)).nearest(&UnitRows::empty(5), 4).is_empty());
    }
}
