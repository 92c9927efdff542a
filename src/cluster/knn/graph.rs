//! Neighbours as two flat arrays.

use ndarray::Array2;

/// The nearest other rows of each row, nearest first; a row is never its own neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// `n × k`: `indices[[i, j]]` is row `i`'s `j`-th nearest.
    pub indices: Array2<u32>,
    /// `n × k`: how far it is, in the metric asked for.
    pub distances: Array2<f32>,
}

impl Graph {
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
