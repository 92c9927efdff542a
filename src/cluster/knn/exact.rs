//! Neighbours by multiplying every pair of rows once.
//!
//! What was measured on 2 cores for 44,949 × 384, k = 15 is told in `benches/refit.rs`.

use std::sync::Mutex;

use ndarray::Array2;
use rayon::prelude::*;

use super::{
    Error, Graph, Metric,
    block::{self, Block, Meeting, lock, meetings},
    cells::cells,
};
use crate::{
    cluster::watch::{self, Watch},
    kernel::gram::Gram,
};

/// Rows of a block: two blocks in `bf16` at 384 dimensions fill half of a 2 MiB second-level cache.
const BLOCK: usize = 2 * Gram::ALIGNMENT;

/// The `k` nearest others of each of `rows` (`n × d`, standard layout, finite; of length 1 for the cosine).
///
/// Rows that look alike are put side by side: a block that has met itself then knows many of its rows' neighbours, and
/// most of what comes later ends at the comparison with the floors (measured on 44,949 × 384, it takes a fifth off the
/// whole). Every unordered pair of blocks is multiplied once, each block with itself first, and its products are offered
/// to both blocks' rows; the best `k` and a few more by these products are then ranked by their distances in `f32`.
/// Time `O(n² d)`; memory `O(n (d + k))`.
pub(super) fn nearest(
    rows: &Array2<f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    let order = cells(rows, BLOCK);
    let gram = Gram::new(rows.view(), &order, metric.precision());
    let block = |(number, rows_here): (usize, &[usize])| {
        let half_squares = rows_here.iter().map(|&row| metric.half_square(rows, row)).collect();
        let names = rows_here.iter().map(|&row| row as u32).collect();
        Mutex::new(Block::new(number * BLOCK, names, half_squares, Graph::candidates(k)))
    };
    let blocks: Vec<Mutex<Block>> = order.par_chunks(BLOCK).enumerate().map(block).collect();
    blocks.par_iter().for_each(|block| meet_itself(&gram, &mut lock(block)));
    let rounds = blocks.len().next_multiple_of(2);
    for round in 0..rounds {
        watch::check(watch)?;
        watch.progress("nearest neighbours", round, rounds);
        let meetings = meetings(round, blocks.len());
        meetings.into_par_iter().for_each(|(a, b)| meet(&gram, &mut lock(&blocks[a]), &mut lock(&blocks[b])));
    }
    Ok(Graph::ranked_places(rows, &order, block::best(blocks), k, metric))
}

/// Multiplies the rows of two blocks with each other and offers each pair to both of its rows.
fn meet(gram: &Gram<'_>, left: &mut Block, right: &mut Block) {
    let everybody: Vec<u32> = (0..BLOCK as u32).collect();
    let (left_first, right_first) = (left.first, right.first);
    let ranges = (left_first..left_first + left.len(), right_first..right_first + right.len());
    let (rows, columns) = (&everybody[..left.len()], &everybody[..right.len()]);
    let mut meeting = Meeting::new((left, rows), (right, columns));
    gram.visit(ranges, |row, column, products| {
        meeting.offer(row - left_first, column - right_first, products);
    });
}

/// The pairs within one block: few enough to take them one by one.
fn meet_itself(gram: &Gram<'_>, block: &mut Block) {
    let (first, range) = (block.first, block.first..block.first + block.len());
    gram.visit((range.clone(), range), |row, column, products| {
        block.offer_own(row - first, column - first, products);
    });
}
