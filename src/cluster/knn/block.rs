//! Blocks of rows that meet: the products of two blocks' rows are offered to both.
#![allow(clippy::inline_always, reason = "compiled once per instruction set")]
#![allow(clippy::needless_range_loop, reason = "the lanes of several arrays go side by side")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::kernel::{
    top_k::{Scored, TopK},
    wide::{self, Task},
};

/// Columns compared with their floors at once.
const LANES: usize = 16;

/// What one block of rows has found so far.
pub(super) struct Block {
    /// Place of the block's first row in the order.
    pub(super) first: usize,
    /// What each row is called when it is offered to others; of equal ones the smaller name is taken.
    names: Vec<u32>,
    best: Vec<TopK>,
    /// Of each row the score under which nothing can enter.
    floors: Vec<f32>,
    /// Of each row half its squared length, or 0 for the cosine: a product less this ranks by nearness.
    half_squares: Vec<f32>,
}

impl Block {
    /// The rows at the places from `first` on, called `names`; each keeps its `kept` best.
    pub(super) fn new(first: usize, names: Vec<u32>, half_squares: Vec<f32>, kept: usize) -> Self {
        let n = names.len();
        Self {
            first,
            names,
            best: (0..n).map(|_| TopK::new(kept)).collect(),
            floors: vec![f32::NEG_INFINITY; n],
            half_squares,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.best.len()
    }

    fn offer(&mut self, row: usize, score: f32, name: u32) {
        self.best[row].offer(score, name);
        self.floors[row] = self.best[row].floor();
    }

    /// Offers a piece of the products of the block's rows with each other, whose first is of `row` and `column`.
    pub(super) fn offer_own(&mut self, row: usize, column: usize, products: ArrayView2<'_, f32>) {
        for (i, products) in (row..self.len()).zip(products.rows()) {
            for (j, &product) in (column..self.len()).zip(products) {
                let score = product - self.half_squares[j];
                if score >= self.floors[i] && i != j {
                    self.offer(i, score, self.names[j]);
                }
            }
        }
    }
}

/// The best of each place, best first, by place.
pub(super) fn best(blocks: Vec<Mutex<Block>>) -> Vec<Vec<Scored>> {
    let best = |block: Mutex<Block>| block.into_inner().unwrap_or_else(PoisonError::into_inner).best;
    let best: Vec<TopK> = blocks.into_iter().flat_map(best).collect();
    best.into_par_iter().map(TopK::into_sorted).collect()
}

/// Who meets whom in a round of a tournament: over `next_multiple_of(2)` rounds each of `blocks` meets every other once,
/// and within a round no block is in two meetings. So no two threads want the same block.
pub(super) fn meetings(round: usize, blocks: usize) -> Vec<(usize, usize)> {
    let players = blocks.next_multiple_of(2);
    (0..players)
        .filter_map(|a| {
            // a + b ≡ round (mod players) pairs each a with one b, in some rounds with itself: it rests.
            let b = (round + players - a) % players;
            (a < b && b < blocks).then_some((a, b))
        })
        .collect()
}

pub(super) fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Some rows of one block and some of another, about to hear of each other.
pub(super) struct Meeting<'a> {
    left: &'a mut Block,
    right: &'a mut Block,
    rows: &'a [u32],
    columns: &'a [u32],
    /// Of each column its floor.
    floors: Vec<f32>,
    half_squares: Vec<f32>,
}

impl<'a> Meeting<'a> {
    /// The `rows` of `left` and the `columns` of `right`, counted within their blocks.
    pub(super) fn new(
        (left, rows): (&'a mut Block, &'a [u32]),
        (right, columns): (&'a mut Block, &'a [u32]),
    ) -> Self {
        let of = |values: &[f32]| columns.iter().map(|&column| values[column as usize]).collect::<Vec<_>>();
        let (floors, half_squares) = (of(&right.floors), of(&right.half_squares));
        Self { left, right, rows, columns, floors, half_squares }
    }

    /// Offers a piece of the products, whose first is of the `row`-th row and the `column`-th column, to both.
    pub(super) fn offer(&mut self, row: usize, column: usize, products: ArrayView2<'_, f32>) {
        wide::run(Offer { meeting: self, row, column, products });
    }

    /// Whether any of the products clears the floor of its row or of its column.
    #[inline(always)]
    fn any_enters(&self, floor: f32, half_square: f32, column: usize, products: &[f32]) -> bool {
        let Ok(products) = <&[f32; LANES]>::try_from(products) else { return true };
        let here = column..column + LANES;
        let Ok(floors) = <&[f32; LANES]>::try_from(&self.floors[here.clone()]) else { return true };
        let Ok(half_squares) = <&[f32; LANES]>::try_from(&self.half_squares[here]) else { return true };
        let mut any = false;
        for lane in 0..LANES {
            // Both floors as floors of the product: the nearer one decides.
            let (own, other) = (floor + half_squares[lane], floors[lane] + half_square);
            any |= products[lane] >= if own < other { own } else { other };
        }
        any
    }

    #[inline(never)]
    fn offer_chunk(&mut self, i: usize, column: usize, products: &[f32]) {
        let (name, half_square) = (self.left.names[i], self.left.half_squares[i]);
        for (column, &product) in (column..self.columns.len()).zip(products) {
            let j = self.columns[column] as usize;
            let (for_left, for_right) = (product - self.half_squares[column], product - half_square);
            if for_left >= self.left.floors[i] {
                self.left.offer(i, for_left, self.right.names[j]);
            }
            if for_right >= self.floors[column] {
                self.right.offer(j, for_right, name);
                self.floors[column] = self.right.floors[j];
            }
        }
    }
}

struct Offer<'a, 'b> {
    meeting: &'a mut Meeting<'b>,
    row: usize,
    column: usize,
    products: ArrayView2<'a, f32>,
}

impl Task for Offer<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { meeting, row, column, products } = self;
        let rows = meeting.rows;
        for (&i, products) in rows[row..].iter().zip(products.rows()) {
            let (i, Some(products)) = (i as usize, products.to_slice()) else { continue };
            for (chunk, products) in products.chunks(LANES).enumerate() {
                let column = column + chunk * LANES;
                if meeting.any_enters(meeting.left.floors[i], meeting.left.half_squares[i], column, products)
                {
                    meeting.offer_chunk(i, column, products);
                }
            }
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
