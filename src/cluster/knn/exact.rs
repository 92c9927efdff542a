//! Neighbours by multiplying every pair of rows once.
//!
//! What was measured on 2 cores for 44,949 × 384, k = 15 is told in `benches/refit.rs`.
#![allow(clippy::inline_always, reason = "compiled once per instruction set")]

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::{Error, Graph, Metric};
use crate::{
    cluster::watch::{self, Watch},
    kernel::{
        dot::cross,
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
/// Rows that look alike are put side by side. Every unordered pair of blocks is multiplied once, each block with itself
/// first, and its products are offered to both blocks' rows; the best `k` and a few more by these products are then
/// ranked by their distances in `f32`. Time `O(n² d)`; memory `O(n (d + k))`.
pub(super) fn nearest(
    rows: &Array2<f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    // Rounding may swap near neighbours: keep enough of them for the true ones to be among them.
    let kept = k + k.div_ceil(2).max(8);
    let (order, precision) = match metric {
        Metric::Cosine => (by_likeness(rows), Precision::Half),
        Metric::Euclidean => ((0..rows.nrows()).collect(), Precision::Single),
    };
    let half_squares = |i: &usize| match metric {
        Metric::Cosine => 0.0,
        Metric::Euclidean => 0.5 * rows.row(*i).dot(&rows.row(*i)),
    };
    let gram = Gram::new(rows.view(), &order, precision);
    let block = |(number, ids): (usize, &[usize])| {
        Mutex::new(Block::new(number * BLOCK, ids, ids.iter().map(half_squares).collect(), kept))
    };
    let blocks: Vec<Mutex<Block>> = order.chunks(BLOCK).enumerate().map(block).collect();
    blocks.par_iter().for_each(|block| meet_itself(&gram, &mut lock(block)));
    let rounds = blocks.len().next_multiple_of(2);
    for round in 0..rounds {
        watch::check(watch)?;
        watch.progress("nearest neighbours", round, rounds);
        let meetings = meetings(round, blocks.len());
        meetings.into_par_iter().for_each(|(a, b)| meet(&gram, &mut lock(&blocks[a]), &mut lock(&blocks[b])));
    }
    let mut candidates = vec![TopK::new(0); rows.nrows()];
    for block in blocks {
        let block = block.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (id, best) in block.ids.into_iter().zip(block.best) {
            candidates[id as usize] = best;
        }
    }
    Ok(Graph::ranked((rows, rows), candidates, k, metric))
}

/// The rows in an order where each block holds rows that are near the same one of as many pivots as there are blocks.
///
/// A block that has met itself then knows many of its rows' neighbours, and most of what comes later ends at the
/// comparison with the floors: measured on 44,949 × 384, it takes a fifth off the whole.
fn by_likeness(rows: &Array2<f32>) -> Vec<usize> {
    let n = rows.nrows();
    let pivots: Vec<usize> = (0..n).step_by(BLOCK).collect();
    if pivots.len() < 3 {
        return (0..n).collect();
    }
    let products = cross(rows.view(), rows.select(Axis(0), &pivots).view());
    let nearest = |products: ArrayView1<'_, f32>| {
        let best =
            |best: (usize, f32), next: (usize, &f32)| if *next.1 > best.1 { (next.0, *next.1) } else { best };
        products.iter().enumerate().fold((0, f32::NEG_INFINITY), best).0
    };
    let nearest: Vec<usize> = products.axis_iter(Axis(0)).into_par_iter().map(nearest).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| nearest[i]);
    order
}

/// Who meets whom in a round of a tournament: over `next_multiple_of(2)` rounds each of `blocks` meets every other once,
/// and within a round no block is in two meetings. So no two threads want the same block.
fn meetings(round: usize, blocks: usize) -> Vec<(usize, usize)> {
    let players = blocks.next_multiple_of(2);
    (0..players)
        .filter_map(|a| {
            // a + b ≡ round (mod players) pairs each a with one b, in some rounds with itself: it rests.
            let b = (round + players - a) % players;
            (a < b && b < blocks).then_some((a, b))
        })
        .collect()
}

/// What one block of rows has found so far.
struct Block {
    /// Place of the block's first row in the order.
    first: usize,
    /// Which rows these are.
    ids: Vec<u32>,
    best: Vec<TopK>,
    /// Of each row the score under which nothing can enter; +∞ past the last row.
    floors: Vec<f32>,
    /// Of each row half its squared length, or 0 for the cosine: a product less this ranks by nearness.
    half_squares: Vec<f32>,
}

impl Block {
    fn new(first: usize, ids: &[usize], mut half_squares: Vec<f32>, kept: usize) -> Self {
        let mut floors = vec![f32::NEG_INFINITY; ids.len()];
        floors.resize(BLOCK, f32::INFINITY);
        half_squares.resize(BLOCK, 0.0);
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        Self { first, best: vec![TopK::new(kept); ids.len()], ids, floors, half_squares }
    }

    fn places(&self) -> Range<usize> {
        self.first..self.first + self.ids.len()
    }

    fn offer(&mut self, row: usize, score: f32, id: u32) {
        self.best[row].offer(score, id);
        self.floors[row] = self.best[row].floor();
    }
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Multiplies the rows of two blocks with each other and offers each pair to both of its rows.
fn meet(gram: &Gram<'_>, left: &mut Block, right: &mut Block) {
    gram.visit((left.places(), right.places()), |row, column, products| {
        let (i, j) = (row - left.first, column - right.first);
        wide::run(OfferBoth { left, right, i, j, products });
    });
}

/// The pairs within one block: few enough to take them one by one.
fn meet_itself(gram: &Gram<'_>, block: &mut Block) {
    gram.visit((block.places(), block.places()), |row, column, products| {
        for (i, products) in (row - block.first..block.ids.len()).zip(products.rows()) {
            for (j, &product) in (column - block.first..block.ids.len()).zip(products) {
                let score = product - block.half_squares[j];
                if score >= block.floors[i] && i != j {
                    block.offer(i, score, block.ids[j]);
                }
            }
        }
    });
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
        let (own, other) = (floor + half_squares[lane], floors[lane] + half_square);
        any |= products[lane] >= if own < other { own } else { other };
    }
    any
}

#[inline(never)]
fn offer_chunk(left: &mut Block, right: &mut Block, i: usize, j: usize, products: &[f32]) {
    for (j, &product) in (j..right.best.len()).zip(products) {
        let (for_left, for_right) = (product - right.half_squares[j], product - left.half_squares[i]);
        if for_left >= left.floors[i] {
            left.offer(i, for_left, right.ids[j]);
        }
        if for_right >= right.floors[j] {
            right.offer(j, for_right, left.ids[i]);
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
                    assert!(busy.insert(b));
                }
            }
            assert_eq!(met.len(), blocks * blocks.saturating_sub(1) / 2);
        }
    }
}
