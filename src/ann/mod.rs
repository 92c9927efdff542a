//! Nearest entries of a fixed set of unit rows.

use crate::kernel::dot::dot;
use crate::kernel::top_k::TopK;
use crate::kernel::unit::UnitRows;
use rayon::prelude::*;

/// x
#[derive(Debug, Clone)]
pub struct Index {
    rows: UnitRows,
}

/// x
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// x
    pub index: u32,
    /// x
    pub cosine: f32,
}

impl Index {
    /// x
    pub fn build(rows: UnitRows) -> Self {
        Self { rows }
    }

    /// x
    pub fn nearest(&self, queries: &UnitRows, k: usize) -> Vec<Vec<Neighbour>> {
        (0..queries.n())
            .into_par_iter()
            .map(|query| {
                let mut best = TopK::new(k);
                for row in 0..self.rows.n() {
                    best.offer(dot(self.rows.row(row), queries.row(query)), row as u32);
                }
                best.into_sorted()
                    .into_iter()
                    .map(|s| Neighbour { index: s.index, cosine: s.score })
                    .collect()
            })
            .collect()
    }
}
