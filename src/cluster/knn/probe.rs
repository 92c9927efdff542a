//! Neighbours by multiplying each row with the cells nearest to it: where there are too many pairs to multiply all.

use std::{collections::BTreeMap, sync::Mutex};

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{
    Error, Graph, Metric,
    block::{self, Block, Meeting, lock},
    cells::cells,
    descent::Descent,
};
use crate::{
    cluster::watch::{self, Watch},
    kernel::gram::Gram,
};

/// Rows of a cell.
const CELL: usize = 128;
/// Cells that each row is multiplied with.
const PROBES: usize = 24;
/// Cells among which a row finds its own: those nearest to its cell. A quarter as many costs 2 % of ACL's recall.
const CONSIDERED: usize = 16 * PROBES;
/// Passes over neighbours of neighbours.
const PASSES: usize = 2;

/// Most of the `k` nearest others of each of `rows` (`n × d`, standard layout, finite; of length 1 for the cosine).
///
/// Rows lie in cells of 128 near ones. Each row is multiplied with all rows of the 24 cells whose means are nearest to it,
/// and what one finds is offered to the other; then all neighbours of a row are introduced to each other. The best `k`
/// and a few more are ranked by their distances in `f32`. `O(n d (log n + 24 · 128))` time; `O(n (d + k))` memory. The
/// same bits on any number of threads.
///
/// Sources: Jégou, Douze & Schmid 2011, "Product Quantization for Nearest Neighbor Search", section IV (the inverted file
/// with several probes, here of all rows at once); Dong, Charikar & Li 2011 for the introductions.
pub(super) fn nearest(
    rows: &Array2<f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    watch::check(watch)?;
    watch.progress("nearest neighbours", 0, 1);
    let order = cells(rows, CELL);
    let gram = Gram::scattered(rows.view(), &order, metric.precision());
    let block = |(number, rows_here): (usize, &[usize])| {
        let half_squares = rows_here.iter().map(|&row| metric.half_square(rows, row)).collect();
        let places = (number * CELL..number * CELL + rows_here.len()).map(|place| place as u32).collect();
        Mutex::new(Block::new(number * CELL, places, half_squares, Graph::candidates(k)))
    };
    let blocks: Vec<Mutex<Block>> = order.par_chunks(CELL).enumerate().map(block).collect();
    let rounds = rounds(probes(rows, &order, metric), blocks.len());
    blocks.par_iter().for_each(|block| meet_itself(&gram, &mut lock(block)));
    for (number, round) in rounds.iter().enumerate() {
        watch::check(watch)?;
        watch.progress("nearest neighbours", number, rounds.len());
        round.par_iter().for_each(|meeting| meeting.hold(&gram, &blocks));
    }
    let half_squares: Vec<f32> = order.iter().map(|&row| metric.half_square(rows, row)).collect();
    let mut descent = Descent { gram: &gram, half_squares: &half_squares, k, near: block::best(blocks) };
    for _ in 0..PASSES {
        watch::check(watch)?;
        descent.introduce();
    }
    let mut near = descent.near;
    near.par_iter_mut().flatten().for_each(|near| near.index = order[near.index as usize] as u32);
    Ok(Graph::ranked_places(rows, &order, near, k, metric))
}

/// For each cell the other cells that rows of it probe, and which rows (counted within the cell, rising).
type Probes = Vec<BTreeMap<usize, Vec<u32>>>;

fn probes(rows: &Array2<f32>, order: &[usize], metric: Metric) -> Probes {
    let cells: Vec<&[usize]> = order.chunks(CELL).collect();
    let mut means = Array2::zeros((cells.len(), rows.ncols()));
    means.axis_iter_mut(Axis(0)).into_par_iter().zip(&cells).for_each(|(mut mean, cell)| {
        cell.iter().for_each(|&row| mean += &rows.row(row));
        let scale = match metric {
            Metric::Cosine => mean.dot(&mean).sqrt().max(f32::MIN_POSITIVE).recip(),
            Metric::Euclidean => (cell.len() as f32).recip(),
        };
        mean *= scale;
    });
    let half_squares: Vec<f32> = (0..cells.len()).map(|cell| metric.half_square(&means, cell)).collect();
    (0..cells.len())
        .into_par_iter()
        .map(|own| {
            let considered =
                nearest_cells(&means.row(own).dot(&means.t()).to_vec(), &half_squares, CONSIDERED);
            let members = rows.select(Axis(0), cells[own]);
            let products = members.dot(&means.select(Axis(0), &considered).t());
            let half_squares: Vec<f32> = considered.iter().map(|&cell| half_squares[cell]).collect();
            let mut probes: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            for (row, products) in (0..).zip(products.rows()) {
                for cell in nearest_cells(&products.to_vec(), &half_squares, PROBES) {
                    probes.entry(considered[cell]).or_default().push(row);
                }
            }
            probes.remove(&own);
            probes
        })
        .collect()
}

/// The cells of the `count` largest products less half squares.
fn nearest_cells(products: &[f32], half_squares: &[f32], count: usize) -> Vec<usize> {
    let mut scored: Vec<(f32, usize)> =
        products.iter().zip(half_squares).map(|(product, half)| product - half).zip(0..).collect();
    if count < scored.len() {
        scored.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.truncate(count);
    }
    scored.into_iter().map(|(_, cell)| cell).collect()
}

/// Two cells, the left one's rows that probe the right one, and the other way round.
struct Probing {
    cells: [usize; 2],
    rows: [Vec<u32>; 2],
}

/// Who meets in which round: in none is a cell in two meetings, so no two threads want the same cell.
fn rounds(probes: Probes, cells: usize) -> Vec<Vec<Probing>> {
    let mut pairs: BTreeMap<(usize, usize), [Vec<u32>; 2]> = BTreeMap::new();
    for (own, probes) in probes.into_iter().enumerate() {
        for (other, rows) in probes {
            pairs.entry((own.min(other), own.max(other))).or_default()[usize::from(other < own)] = rows;
        }
    }
    let players = cells.next_multiple_of(2);
    let mut rounds: Vec<Vec<Probing>> = (0..players).map(|_| Vec::new()).collect();
    for ((a, b), rows) in pairs {
        // The round of a tournament in which a meets b: see `block::meetings`.
        rounds[(a + b) % players].push(Probing { cells: [a, b], rows });
    }
    rounds
}

impl Probing {
    fn hold(&self, gram: &Gram<'_>, blocks: &[Mutex<Block>]) {
        let [left, right] = self.cells.map(|cell| &blocks[cell]);
        let (left, right) = (&mut *lock(left), &mut *lock(right));
        let everybody: Vec<u32> = (0..right.len() as u32).collect();
        meet(gram, (left, &self.rows[0]), (right, &everybody));
        let others: Vec<u32> =
            (0..left.len() as u32).filter(|row| self.rows[0].binary_search(row).is_err()).collect();
        meet(gram, (right, &self.rows[1]), (left, &others));
    }
}

/// Offers the products of some rows of one block with some of another to both.
fn meet(gram: &Gram<'_>, left: (&mut Block, &[u32]), right: (&mut Block, &[u32])) {
    let places = |(block, rows): &(&mut Block, &[u32])| -> Vec<u32> {
        rows.iter().map(|row| block.first as u32 + row).collect()
    };
    let (rows, columns) = (places(&left), places(&right));
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let mut meeting = Meeting::new(left, right);
    let mut products = Vec::new();
    gram.products(&rows, &columns, &mut products);
    if let Ok(products) = ArrayView2::from_shape((rows.len(), columns.len()), &products) {
        meeting.offer(0, 0, products);
    }
}

fn meet_itself(gram: &Gram<'_>, block: &mut Block) {
    let places: Vec<u32> = (block.first..block.first + block.len()).map(|place| place as u32).collect();
    let mut products = Vec::new();
    gram.products(&places, &places, &mut products);
    if let Ok(products) = ArrayView2::from_shape((places.len(), places.len()), &products) {
        block.offer_own(0, 0, products);
    }
}
