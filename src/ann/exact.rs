//! Every entry is looked at, a block of queries at a time.
#![allow(clippy::inline_always, reason = "compiled once per instruction set")]

use std::borrow::Cow;

use ndarray::s;
use rayon::prelude::*;

use super::{Neighbour, rank};
use crate::kernel::dot::cross;
use crate::kernel::unit::UnitRows;
use crate::kernel::wide::{self, Task};

/// Queries multiplied at once: enough for the product to run at full speed, and 50 MB of products at 100,000 entries.
const BLOCK: usize = 128;
/// Queries that a thread takes at least: fewer are done sooner than they are handed out.
const SHARE: usize = 16;
/// Products of which the greatest is known.
const LANES: usize = 16;

/// The `k ≤ n` nearest of `n × d` entries for each query.
///
/// The products of a block depend in their last bits on the block's shape. So they only choose candidates, generously
/// enough that every entry of the answer is among them, and [`rank`] decides. `O(m n d)`; `4 n · 128` bytes.
///
/// Measured on 2 shared cores, 384 dimensions, 64 queries at once: 46,000 queries/s among 1,000 entries, 8,700 among
/// 10,000, 2,000 among 30,000; one at a time 2,400, 700 and 100 (a scan with [`dot`](crate::kernel::dot::dot) was no
/// faster).
pub(super) fn nearest(entries: &UnitRows, queries: &UnitRows, k: usize) -> Vec<Vec<Neighbour>> {
    let mut found = Vec::with_capacity(queries.n());
    for from in (0..queries.n()).step_by(BLOCK) {
        let block = from..queries.n().min(from + BLOCK);
        let products = cross(queries.view().slice(s![block.clone(), ..]), entries.view());
        found.par_extend(block.into_par_iter().with_min_len(SHARE).map(|query| {
            let products = products.row(query - from);
            let products = products.to_slice().map_or_else(|| products.to_vec().into(), Cow::Borrowed);
            let candidates = candidates(&products, entries.dim(), k);
            rank(entries, queries.row(query), k, candidates.into_iter())
        }));
    }
    found
}

/// The entries whose exact cosine may be among the `k` largest.
///
/// First only the greatest product of every [`LANES`] is looked at: at least `k` products are as large as the `k`-th of
/// these, so whatever is smaller is out. That leaves little more than `k` of a thousand to be looked at one by one.
fn candidates(products: &[f32], d: usize, k: usize) -> Vec<usize> {
    let margin = 2.0 * error_bound(d);
    let peaks = wide::run(Peaks(products));
    let least = kth(peaks.clone(), k) - margin;
    let (mut indices, mut scores) = (Vec::with_capacity(4 * k), Vec::with_capacity(4 * k));
    let chunks = products.chunks(LANES).zip(&peaks).enumerate();
    for (number, (chunk, _)) in chunks.filter(|(_, (_, peak))| **peak >= least) {
        for (lane, &product) in chunk.iter().enumerate().filter(|(_, product)| **product >= least) {
            indices.push(number * LANES + lane);
            scores.push(product);
        }
    }
    let floor = kth(scores.clone(), k) - margin;
    indices.into_iter().zip(scores).filter(|(_, score)| *score >= floor).map(|(index, _)| index).collect()
}

/// The `k`-th largest value, `k` not 0; −∞ if there are fewer.
fn kth(mut values: Vec<f32>, k: usize) -> f32 {
    if values.len() < k {
        return f32::NEG_INFINITY;
    }
    *values.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
}

/// The greatest of each [`LANES`] values.
struct Peaks<'a>(&'a [f32]);

impl Task for Peaks<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run(self) -> Vec<f32> {
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        let mut peaks = Vec::with_capacity(chunks.len() + 1);
        for chunk in chunks {
            peaks.push(greatest(*chunk));
        }
        if !rest.is_empty() {
            peaks.push(rest.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
        peaks
    }
}

/// By halves, which the registers do side by side.
#[inline(always)]
fn greatest(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = if lanes[lane] > lanes[lane + half] { lanes[lane] } else { lanes[lane + half] };
        }
        half /= 2;
    }
    lanes[0]
}

/// How far apart two ways to sum the products of two unit rows can be: twice `d` roundings of half an ulp each, the
/// bound for any order of summation (Higham 2002, section 3.1), and a little for lengths that aren't quite 1.
fn error_bound(d: usize) -> f32 {
    (d as f32 + 2.0) * f32::EPSILON * 1.01
}
