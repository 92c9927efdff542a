//! Neighbours by multiplying every pair of rows once.
//!
//! What was measured on 2 cores for 44,949 × 384, k = 15 is told in `benches/refit.rs`.
#![allow(clippy::inline_always, reason = "compiled once per instruction set")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::{Error, Graph, Metric};
use crate::{
    cluster::watch::{self, Watch},
    kernel::{
        gram::{Gram, Precision},
        top_k::TopK,
        wide::{self, Task},
    },
};

/// Rows of a block: two blocks in `bf16` at 384 dimensions fill half of a 2 MiB second-level cache.
const BLOCK: usize = 2 * Gram::ALIGNMENT;

/// Columns compared with their floors at once.
const LANES: usize = 16;

/// The `k` nearest others of each of `rows` (`n × d`, standard layout, finite; of length 1 for the cosine).
///
/// Every unordered pair of blocks is multiplied once and its products are offered to both blocks' rows; the best
/// `k` and a few more by these products are then ranked by their distances in `f32`.
/// Time `O(n² d)`; memory `O(n (d + k))`.
pub(super) fn nearest(
    rows: &Array2<f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    let n = rows.nrows();
    let precision = match metric {
        Metric::Cosine => Precision::Half,
        Metric::Euclidean => Precision::Single,
    };
    let half_squares: Vec<f32> = match metric {
        Metric::Cosine => vec![0.0; n],
        Metric::Euclidean => rows.rows().into_iter().map(|row| 0.5 * row.dot(&row)).collect(),
    };
    // Rounding may swap near neighbours: keep enough of them for the true ones to be among them.
    let kept = k + k.max(16);
    let gram = Gram::new(rows.view(), precision);
    let blocks: Vec<Mutex<Block>> =
        (0..n).step_by(BLOCK).map(|first| Mutex::new(Block::new(first, &half_squares, kept))).collect();
    let rounds = blocks.len().next_multiple_of(2);
    for round in 0..rounds {
        watch::check(watch)?;
        watch.progress("nearest neighbours", round, rounds);
        meetings(round, blocks.len()).into_par_iter().for_each(|(a, b)| meet(&gram, &blocks, a, b));
    }
    drop(gram);
    let blocks = blocks.into_iter().map(|block| block.into_inner().unwrap_or_else(PoisonError::into_inner));
    let candidates: Vec<TopK> = blocks.flat_map(|block| block.best).collect();
    Ok(Graph::ranked((rows, rows), candidates, k, metric))
}

/// Who meets whom in a round of a tournament: over `next_multiple_of(2)` rounds each of `blocks` meets every other once
/// and itself once, and within a round no block is in two meetings. So no two threads want the same block.
fn meetings(round: usize, blocks: usize) -> Vec<(usize, usize)> {
    let players = blocks.next_multiple_of(2);
    (0..players)
        .filter_map(|a| {
            // a + b ≡ round (mod players) pairs each a with one b, in some rounds with itself.
            let b = (round + players - a) % players;
            (a <= b && b < blocks).then_some((a, b))
        })
        .collect()
}

/// What one block of rows has found so far.
struct Block {
    first: usize,
    best: Vec<TopK>,
    /// Of each row the score under which nothing can enter; +∞ past the last row.
    floors: Vec<f32>,
    /// Of each row half its squared length, or 0 for the cosine: a product less this ranks by nearness.
    half_squares: Vec<f32>,
}

impl Block {
    fn new(first: usize, half_squares: &[f32], kept: usize) -> Self {
        let rows = BLOCK.min(half_squares.len() - first);
        let mut floors = vec![f32::INFINITY; BLOCK];
        floors[..rows].fill(f32::NEG_INFINITY);
        let mut padded = half_squares[first..first + rows].to_vec();
        padded.resize(BLOCK, 0.0);
        Self { first, best: vec![TopK::new(kept); rows], floors, half_squares: padded }
    }

    fn offer(&mut self, row: usize, score: f32, other: usize) {
        self.best[row].offer(score, other as u32);
        self.floors[row] = self.best[row].floor();
    }
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Multiplies the rows of block `a` with those of block `b ≥ a` and offers each pair to both of its rows.
fn meet(gram: &Gram<'_>, blocks: &[Mutex<Block>], a: usize, b: usize) {
    let mut left = lock(&blocks[a]);
    let range = |block: &Block| block.first..block.first + block.best.len();
    if a == b {
        gram.visit((range(&left), range(&left)), |row, column, products| {
            offer_within(&mut left, row, column, &products);
        });
        return;
    }
    let mut right = lock(&blocks[b]);
    gram.visit((range(&left), range(&right)), |row, column, products| {
        let (i, j) = (row - left.first, column - right.first);
        wide::run(OfferBoth { left: &mut left, right: &mut right, i, j, products });
    });
}

/// The pairs within one block: few enough to take them one by one.
fn offer_within(block: &mut Block, row: usize, column: usize, products: &ArrayView2<'_, f32>) {
    for ((i, j), &product) in products.indexed_iter() {
        let (i, j) = (row + i - block.first, column + j - block.first);
        if i < j && j < block.best.len() {
            block.offer(i, product - block.half_squares[j], block.first + j);
            block.offer(j, product - block.half_squares[i], block.first + i);
        }
    }
}

/// Offers a piece of products, whose first is of row `i` of `left` and row `j` of `right`, to both.
struct OfferBoth<'a> {
    left: &'a mut Block,
    right: &'a mut Block,
    i: usize,
    j: usize,
    products: ArrayView2<'a, f32>,
}

impl Task for OfferBoth<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { left, right, i, j, products } = self;
        for (i, products) in (i..left.best.len()).zip(products.rows()) {
            let Some(products) = products.to_slice() else { continue };
            for (chunk, products) in products.chunks(LANES).enumerate() {
                let j = j + chunk * LANES;
                if any_enters(left, right, i, j, products) {
                    offer_chunk(left, right, i, j, products);
                }
            }
        }
    }
}

/// Whether any of the products clears the floor of its row or of its column.
#[inline(always)]
fn any_enters(left: &Block, right: &Block, i: usize, j: usize, products: &[f32]) -> bool {
    let Ok(products) = <&[f32; LANES]>::try_from(products) else { return true };
    let Ok(floors) = <&[f32; LANES]>::try_from(&right.floors[j..j + LANES]) else { return true };
    let Ok(half_squares) = <&[f32; LANES]>::try_from(&right.half_squares[j..j + LANES]) else { return true };
    let (floor, half_square) = (left.floors[i], left.half_squares[i]);
    let mut any = false;
    for lane in 0..LANES {
        // Both floors as floors of the product: the nearer one decides.
        let floor = (floor + half_squares[lane]).min(floors[lane] + half_square);
        any |= products[lane] >= floor;
    }
    any
}

#[inline(never)]
fn offer_chunk(left: &mut Block, right: &mut Block, i: usize, j: usize, products: &[f32]) {
    for (j, &product) in (j..right.best.len()).zip(products) {
        let (for_left, for_right) = (product - right.half_squares[j], product - left.half_squares[i]);
        if for_left >= left.floors[i] {
            left.offer(i, for_left, right.first + j);
        }
        if for_right >= right.floors[j] {
            right.offer(j, for_right, left.first + i);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_pair_of_blocks_meets_once_and_nobody_twice_in_a_round() {
        for blocks in 0..9_usize {
            let mut met = HashSet::new();
            for round in 0..blocks.next_multiple_of(2) {
                let mut busy = HashSet::new();
                for (a, b) in meetings(round, blocks) {
                    assert!(met.insert((a, b)), "{a} and {b} met before");
                    assert!(busy.insert(a));
                    assert!(a == b || busy.insert(b));
                }
            }
            assert_eq!(met.len(), blocks * (blocks + 1) / 2);
        }
    }
}
