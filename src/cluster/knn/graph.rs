//! Neighbours as two flat arrays.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::Metric;
use crate::kernel::{
    dot::{dot, squared_euclidean},
    top_k::Scored,
};

/// The nearest rows of each row, nearest first. Among themselves a row is never its own neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// `n × k`: `indices[[i, j]]` is row `i`'s `j`-th nearest.
    pub indices: Array2<u32>,
    /// `n × k`: how far it is, in the metric asked for.
    pub distances: Array2<f32>,
}

impl Graph {
    /// How many candidates to keep for the `k` nearest: rounding may swap near neighbours, and the true ones are to be
    /// among them.
    pub(super) fn candidates(k: usize) -> usize {
        k + k.div_ceil(2).max(8)
    }

    /// As [`Self::ranked`] for rows among themselves, the candidates standing in `order`: near rows one after the other,
    /// so that the candidates they share are still in the cache.
    pub(super) fn ranked_places(
        rows: &Array2<f32>,
        order: &[usize],
        near: Vec<Vec<Scored>>,
        k: usize,
        metric: Metric,
    ) -> Self {
        let by_place = Self::ranked((rows, rows), order, near, k, metric);
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &row)| places[row] = place);
        Self {
            indices: by_place.indices.select(Axis(0), &places),
            distances: by_place.distances.select(Axis(0), &places),
        }
    }

    /// The `k` nearest of the candidates of each of `queries`, in that order, by their distance in `f32`. The queries are
    /// rows of `of.0`, the candidates of `of.1`, both in standard layout and, for the cosine, of length 1. Each query has
    /// `k` candidates or more.
    pub(super) fn ranked(
        of: (&Array2<f32>, &Array2<f32>),
        queries: &[usize],
        candidates: Vec<Vec<Scored>>,
        k: usize,
        metric: Metric,
    ) -> Self {
        let n = queries.len();
        let mut graph = Self { indices: Array2::zeros((n, k)), distances: Array2::zeros((n, k)) };
        if k == 0 {
            return graph;
        }
        let distance = |i: usize, j: u32| {
            let (a, b) = (
                of.0.row(i).to_slice().unwrap_or_default(),
                of.1.row(j as usize).to_slice().unwrap_or_default(),
            );
            match metric {
                Metric::Cosine => (1.0 - dot(a, b)).max(0.0),
                Metric::Euclidean => squared_euclidean(a, b).sqrt(),
            }
        };
        (graph.indices.axis_iter_mut(Axis(0)).into_par_iter())
            .zip(graph.distances.axis_iter_mut(Axis(0)))
            .zip(queries)
            .zip(candidates)
            .for_each(|(((mut indices, mut distances), &query), mut near)| {
                for near in &mut near {
                    near.score = -distance(query, near.index);
                }
                near.sort_unstable_by(Scored::best_first);
                for ((index, distance), near) in indices.iter_mut().zip(&mut distances).zip(near) {
                    (*index, *distance) = (near.index, -near.score);
                }
            });
        graph
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.indices.nrows()
    }

    /// Neighbours of each row.
    pub fn k(&self) -> usize {
        self.indices.ncols()
    }

    /// The same with the `k` nearest only, or all where there are fewer.
    #[must_use]
    pub fn nearest(&self, k: usize) -> Self {
        let k = k.min(self.k());
        let first = ndarray::s![.., ..k];
        Self {
            indices: self.indices.slice(first).to_owned(),
            distances: self.distances.slice(first).to_owned(),
        }
    }

    /// The share of `exact`'s neighbours that are neighbours here too, from 0 to 1; 1 where there are none to find.
    ///
    /// A neighbour counts by its distance, so that which of several equal rows was taken does not matter.
    pub fn recall(&self, exact: &Self) -> f64 {
        let wanted = exact.indices.len();
        if wanted == 0 {
            return 1.0;
        }
        let found: usize = (0..exact.n())
            .map(|i| {
                let farthest = exact.distances.row(i).last().copied().unwrap_or(f32::INFINITY) + 1e-6;
                self.distances.row(i).iter().take(exact.k()).filter(|&&distance| distance <= farthest).count()
            })
            .sum();
        found as f64 / wanted as f64
    }
}
