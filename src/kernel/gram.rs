//! All dot products among the rows of one array, a block at a time, as fast as the CPU gives them.
#![allow(clippy::needless_pass_by_value, reason = "a view is a handle")]

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use ndarray::s;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
#[cfg(target_arch = "x86_64")]
use rayon::prelude::*;

use super::fixed::FixedRows;
#[cfg(target_arch = "x86_64")]
use super::{
    scalar,
    x86_64::{Amx, STEP, STRIP, TILE, TileRow},
};

/// How exact the products must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As summed in `f32`.
    Single,
    /// Rows have length 1 and may be rounded to what the CPU multiplies fastest: to `bf16` with AMX, which makes the
    /// error about `2e-3 / √d` (1e-4 at 384 dimensions), else to 16-bit fixed point (1.3e-5).
    Half,
}

/// Rows ready to be multiplied with each other.
///
/// Measured on one core at 384 dimensions, with [`Precision::Half`]: 2 Tflop/s with AMX, which keeps two more copies of
/// the rows in `bf16`, `4 n d` bytes; with AVX2 0.07 Tflop/s (the whole search, on a busy machine), which keeps one in
/// fixed point, `2 n d` bytes. With [`Precision::Single`] blocks go through `ndarray`'s matrix product (0.04 Tflop/s).
#[derive(Debug)]
pub struct Gram<'a> {
    rows: ArrayView2<'a, f32>,
    order: &'a [usize],
    kept: Kept,
}

/// The rows as they are multiplied.
#[derive(Debug)]
enum Kept {
    #[cfg(target_arch = "x86_64")]
    Tiles(Tiles),
    Fixed(FixedRows),
    AsTheyAre,
}

impl<'a> Gram<'a> {
    /// Blocks begin at multiples of this.
    pub const ALIGNMENT: usize = 256;

    /// Prepares the rows for [`Self::visit`], in parallel, in the given order: place `i` of the products is row
    /// `order[i]`. Every value must be finite.
    ///
    /// # Panics
    /// If the order names a row that is not there.
    pub fn new(rows: ArrayView2<'a, f32>, order: &'a [usize], precision: Precision) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let (Precision::Half, Some(amx)) = (precision, Amx::new()) {
            return Self { kept: Kept::Tiles(Tiles::pack(amx, &rows, order)), rows, order };
        }
        Self::scattered(rows, order, precision)
    }

    /// The same for [`Self::products`] of rows that don't lie side by side.
    ///
    /// # Panics
    /// If the order names a row that is not there.
    pub fn scattered(rows: ArrayView2<'a, f32>, order: &'a [usize], precision: Precision) -> Self {
        let kept = match precision {
            Precision::Half => Kept::Fixed(FixedRows::new(&rows, order)),
            Precision::Single => Kept::AsTheyAre,
        };
        Self { rows, order, kept }
    }

    /// Whether this CPU multiplies blocks of rows rounded to `bf16` some ten times faster than scattered rows.
    pub fn has_tiles() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            Amx::new().is_some()
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// Products of the rows at the places `left` with those at the places `right`, row-major into `out`.
    ///
    /// # Panics
    /// If a place is not there.
    pub fn products(&self, left: &[u32], right: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.resize(left.len() * right.len(), 0.0);
        if let Kept::Fixed(rows) = &self.kept {
            return rows.products(left, right, out);
        }
        let rows = |places: &[u32]| {
            let order: Vec<usize> = places.iter().map(|&place| self.order[place as usize]).collect();
            self.rows.select(Axis(0), &order)
        };
        if let Ok(mut out) = ArrayViewMut2::from_shape((left.len(), right.len()), out) {
            ndarray::linalg::general_mat_mul(1.0, &rows(left), &rows(right).t(), 0.0, &mut out);
        }
    }

    /// Hands the products of the rows `block.0` with the rows `block.1` to `visit`, a piece at a time, as
    /// `(first row, first column, products)`.
    ///
    /// # Panics
    /// If a range does not begin at a multiple of [`ALIGNMENT`](Self::ALIGNMENT) or ends past the last row.
    pub fn visit(
        &self,
        block: (Range<usize>, Range<usize>),
        mut visit: impl FnMut(usize, usize, ArrayView2<'_, f32>),
    ) {
        assert_eq!((block.0.start % Self::ALIGNMENT, block.1.start % Self::ALIGNMENT), (0, 0));
        #[cfg(target_arch = "x86_64")]
        if let Kept::Tiles(tiles) = &self.kept {
            return tiles.visit(block, visit);
        }
        let places = |range: &Range<usize>| (range.start as u32..range.end as u32).collect::<Vec<u32>>();
        let (left, right) = (places(&block.0), places(&block.1));
        // So many rows at once that fixed-point products stay in the second-level cache until they have been visited.
        let strip = if matches!(self.kept, Kept::Fixed(_)) { 32 } else { Self::ALIGNMENT };
        let mut products = Vec::new();
        for (first, left) in (block.0.start..).step_by(strip).zip(left.chunks(strip)) {
            self.products(left, &right, &mut products);
            if let Ok(products) = ArrayView2::from_shape((left.len(), right.len()), &products) {
                visit(first, block.1.start, products);
            }
        }
    }
}

/// The rows rounded to `bf16`, in panels of 16 rows of tiles of 32 dimensions, padded with zeros.
#[cfg(target_arch = "x86_64")]
#[derive(Debug)]
struct Tiles {
    amx: Amx,
    steps: usize,
    /// `[panel][step][row][dimension]`
    left: Vec<TileRow>,
    /// `[panel][step][pair of dimensions][row][dimension of the pair]`
    right: Vec<TileRow>,
}

#[cfg(target_arch = "x86_64")]
impl Tiles {
    fn pack(amx: Amx, rows: &ArrayView2<'_, f32>, order: &[usize]) -> Self {
        let steps = rows.ncols().div_ceil(STEP).max(1);
        let panel = steps * TILE;
        let panels = order.len().next_multiple_of(Gram::ALIGNMENT) / TILE;
        let mut left = vec![TileRow([0; STEP]); panels * panel];
        let mut right = left.clone();
        let packed = left.par_chunks_mut(panel).zip(right.par_chunks_mut(panel));
        packed.enumerate().for_each(|(panel, (left, right))| {
            let here = order.iter().skip(panel * TILE).take(TILE);
            for (row, &which) in here.enumerate() {
                for (dim, &value) in rows.row(which).iter().enumerate() {
                    let (tile, within) = (dim / STEP * TILE, dim % STEP);
                    let value = scalar::bf16(value);
                    left[tile + row].0[within] = value;
                    right[tile + within / 2].0[row * 2 + within % 2] = value;
                }
            }
        });
        Self { amx, steps, left, right }
    }

    fn visit(
        &self,
        block: (Range<usize>, Range<usize>),
        mut visit: impl FnMut(usize, usize, ArrayView2<'_, f32>),
    ) {
        // A strip of 32 × 256 products stays in the first-level cache until it has been visited.
        let mut strip = vec![0.0_f32; STRIP * Gram::ALIGNMENT + STEP];
        let line = strip.as_ptr().align_offset(size_of::<TileRow>());
        let strip = &mut strip[line..line + STRIP * Gram::ALIGNMENT];
        for column in block.1.clone().step_by(Gram::ALIGNMENT) {
            let columns = Gram::ALIGNMENT.min(block.1.end - column);
            let right = &self.right[column * self.steps..(column + Gram::ALIGNMENT) * self.steps];
            for first in block.0.clone().step_by(STRIP) {
                let left = &self.left[first * self.steps..(first + STRIP) * self.steps];
                self.amx.products(left, right, self.steps, strip);
                if let Ok(products) = ArrayView2::from_shape((STRIP, Gram::ALIGNMENT), strip) {
                    // Tiles are whole, blocks need not be.
                    let rows = STRIP.min(block.0.end - first);
                    visit(first, column, products.slice(s![..rows, ..columns]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::dot::dot;
    use super::*;

    fn unit(n: usize, dim: usize) -> Array2<f32> {
        let mut rng = SmallRng::seed_from_u64(7);
        let rows = Array2::from_shape_simple_fn((n, dim), || rng.random_range(-1.0_f32..1.0));
        super::super::unit::UnitRows::normalise(rows).unwrap().into_inner()
    }

    fn largest_error(n: usize, dim: usize, precision: Precision) -> f32 {
        let rows = unit(n, dim);
        let order: Vec<usize> = (0..n).rev().collect();
        let gram = Gram::new(rows.view(), &order, precision);
        let mut worst: f32 = 0.0;
        let mut seen = 0;
        for block in [0..n.min(256), 256..n.max(256)] {
            if block.is_empty() {
                continue;
            }
            gram.visit((0..n, block), |first, column, products| {
                for ((i, j), &product) in products.indexed_iter() {
                    let (i, j) = (first + i, column + j);
                    seen += 1;
                    let expected = dot(&rows.row(order[i]).to_vec(), &rows.row(order[j]).to_vec());
                    worst = worst.max((product - expected).abs());
                }
            });
        }
        assert_eq!(seen, n * n, "every pair once");
        worst
    }

    #[test]
    fn every_pair_is_seen_once_and_right() {
        for (n, dim) in [(1, 1), (31, 3), (256, 32), (300, 65), (520, 384)] {
            assert!(largest_error(n, dim, Precision::Single) < 2e-6, "{n} × {dim}");
            assert!(largest_error(n, dim, Precision::Half) < 0.02 / (dim as f32).sqrt(), "{n} × {dim}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn rounding_to_bf16_is_to_nearest_and_ties_to_even() {
        for (x, expected) in
            [(1.0, 0x3f80), (1.003_906_3, 0x3f80), (1.011_718_8, 0x3f82), (-0.0, 0x8000), (0.3, 0x3e9a)]
        {
            assert_eq!(scalar::bf16(x), expected, "{x}");
        }
    }
}
