//! Neighbours of some rows among others.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::{Error, Graph, Metric};
use crate::{
    cluster::watch::{self, Watch},
    kernel::{dot::cross, top_k::TopK},
};

/// Rows that the queries are multiplied with at once.
const BLOCK: usize = 2048;
/// Queries at once, for which the products take 16 MiB.
const QUERIES: usize = 2048;

/// The `k` nearest of `rows` for each of `queries`, both in standard layout, finite, of length 1 for the cosine.
pub(super) fn nearest(
    queries: &Array2<f32>,
    rows: &Array2<f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    let half_squares: Vec<f32> = match metric {
        Metric::Cosine => vec![0.0; rows.nrows()],
        Metric::Euclidean => rows.rows().into_iter().map(|row| 0.5 * row.dot(&row)).collect(),
    };
    // Of large numbers a small difference is left, with an error: keep enough for the nearest to be among them.
    let mut best: Vec<TopK> = (0..queries.nrows()).map(|_| TopK::new(k + k.max(16))).collect();
    for (chunk, (queries, best)) in
        queries.axis_chunks_iter(Axis(0), QUERIES).zip(best.chunks_mut(QUERIES)).enumerate()
    {
        watch::check(watch)?;
        watch.progress("nearest neighbours", chunk * QUERIES, half_squares.len());
        for (block, rows) in rows.axis_chunks_iter(Axis(0), BLOCK).enumerate() {
            let products = cross(queries, rows);
            let first = block * BLOCK;
            best.par_iter_mut().zip(products.axis_iter(Axis(0))).for_each(|(best, products)| {
                for ((j, product), half_square) in (first..).zip(products).zip(&half_squares[first..]) {
                    best.offer(product - half_square, j as u32);
                }
            });
        }
    }
    let candidates = best.into_par_iter().map(TopK::into_sorted).collect();
    let all: Vec<usize> = (0..queries.nrows()).collect();
    Ok(Graph::ranked((queries, rows), &all, candidates, k, metric))
}
