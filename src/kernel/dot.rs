//! Dot products and distances: of two rows, and of all pairs of rows of two arrays.
//!
//! One row pair at a time gives the same bits on every CPU; `cross` only on any number of threads of one CPU.

#![allow(clippy::inline_always, reason = "compiled once per instruction set")]
#![allow(clippy::needless_range_loop, reason = "the lanes of several arrays go side by side")]

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::wide::{self, Task};

/// Independent partial sums, two AVX-512 registers wide; their order of summation is part of the result.
const LANES: usize = 32;

/// So few rows are not worth packing the others for a matrix product: measured up to 3 times faster for one row.
const FEW: usize = 4;

/// Fewer multiplications than this are not worth a second thread.
const PARALLEL_FROM: usize = 1 << 20;

/// Dot product of `a` and `b`, summed in `f32` in 32 interleaved partial sums.
///
/// Relative to `|a||b|` the error stays under about `(d / 32 + 6) · 6e-8`. If the lengths differ, the shorter one counts.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    wide::run(Summed::<PRODUCTS> { a, b })
}

/// Squared Euclidean distance of `a` and `b`, summed like [`dot`]. If the lengths differ, the shorter one counts.
#[inline]
pub fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    wide::run(Summed::<SQUARED_DIFFERENCES> { a, b })
}

/// All dot products of the rows of `a` (`n × d`) with the rows of `b` (`m × d`): `a · bᵀ`, `n × m`.
///
/// `2 n m d` operations over all threads; the same bits on any number of threads.
///
/// # Panics
/// If the dimensions differ.
#[expect(clippy::needless_pass_by_value, reason = "a view is a handle")]
pub fn cross(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Array2<f32> {
    assert_eq!(a.ncols(), b.ncols(), "rows of different dimensions have no dot product");
    let mut products = Array2::zeros((a.nrows(), b.nrows()));
    if a.nrows() <= FEW {
        one_by_one(&a, &b, &mut products);
        return products;
    }
    if products.len() * a.ncols() < PARALLEL_FROM {
        ndarray::linalg::general_mat_mul(1.0, &a, &b.t(), 0.0, &mut products);
        return products;
    }
    // Blocks of a fixed size, along the longer side: which thread takes one does not show in the result.
    let axis = Axis(usize::from(b.nrows() > a.nrows()));
    let side = products.len_of(axis).div_ceil(64).clamp(32, 512);
    products.axis_chunks_iter_mut(axis, side).into_par_iter().enumerate().for_each(|(block, mut out)| {
        let from = block * side;
        let rows = from..from + out.len_of(axis);
        if axis == Axis(0) {
            ndarray::linalg::general_mat_mul(1.0, &a.slice(ndarray::s![rows, ..]), &b.t(), 0.0, &mut out);
        } else {
            ndarray::linalg::general_mat_mul(1.0, &a, &b.slice(ndarray::s![rows, ..]).t(), 0.0, &mut out);
        }
    });
    products
}

/// A row of `b` after the other, each with all rows of `a`: `b` is read once, and never packed.
fn one_by_one(a: &ArrayView2<'_, f32>, b: &ArrayView2<'_, f32>, products: &mut Array2<f32>) {
    let (a, b) = (a.as_standard_layout(), b.as_standard_layout());
    let min_len = (PARALLEL_FROM / (a.len() + 1)).max(1);
    products.axis_iter_mut(Axis(1)).into_par_iter().with_min_len(min_len).zip(b.axis_iter(Axis(0))).for_each(
        |(mut products, b)| {
            for (product, a) in products.iter_mut().zip(a.rows()) {
                *product = dot(a.to_slice().unwrap_or_default(), b.to_slice().unwrap_or_default());
            }
        },
    );
}

const PRODUCTS: u8 = 0;
const SQUARED_DIFFERENCES: u8 = 1;

/// The sum of what `TERM` says over all dimensions.
struct Summed<'a, const TERM: u8> {
    a: &'a [f32],
    b: &'a [f32],
}

impl<const TERM: u8> Task for Summed<'_, TERM> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let shorter = self.a.len().min(self.b.len());
        let (a, a_rest) = self.a[..shorter].as_chunks::<LANES>();
        let (b, b_rest) = self.b[..shorter].as_chunks::<LANES>();
        let mut sums = [0.0_f32; LANES];
        for (x, y) in a.iter().zip(b) {
            add::<TERM>(&mut sums, x, y);
        }
        let (mut x, mut y) = ([0.0; LANES], [0.0; LANES]);
        x[..a_rest.len()].copy_from_slice(a_rest);
        y[..b_rest.len()].copy_from_slice(b_rest);
        add::<TERM>(&mut sums, &x, &y);
        // Arrays of a known size all the way: one loop of a varying length and none of this would be vectorised.
        let sums: [f32; 16] = std::array::from_fn(|lane| sums[lane] + sums[lane + 16]);
        let sums: [f32; 8] = std::array::from_fn(|lane| sums[lane] + sums[lane + 8]);
        let sums: [f32; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
        (sums[0] + sums[2]) + (sums[1] + sums[3])
    }
}

#[inline(always)]
fn add<const TERM: u8>(sums: &mut [f32; LANES], x: &[f32; LANES], y: &[f32; LANES]) {
    for lane in 0..LANES {
        sums[lane] += if TERM == PRODUCTS {
            x[lane] * y[lane]
        } else {
            let difference = x[lane] - y[lane];
            difference * difference
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::scalar;
    use super::*;

    fn random(rows: usize, dim: usize, seed: u64) -> Array2<f32> {
        let mut rng = SmallRng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, dim), || rng.random_range(-1.0..1.0))
    }

    proptest! {
        #[test]
        fn wide_sums_equal_their_twins(length in 0_usize..=67, seed in any::<u64>()) {
            let rows = random(2, length, seed);
            let (a, b) = (rows.row(0), rows.row(1));
            let (a, b) = (a.as_slice().unwrap(), b.as_slice().unwrap());
            prop_assert!((f64::from(dot(a, b)) - scalar::dot(a, b)).abs() < 1e-5);
            prop_assert!((f64::from(squared_euclidean(a, b)) - scalar::squared_euclidean(a, b)).abs() < 1e-5);
        }

        #[test]
        fn every_instruction_set_gives_the_same_bits(length in 0_usize..=200, seed in any::<u64>()) {
            let rows = random(2, length, seed);
            let (a, b) = (rows.row(0), rows.row(1));
            let (a, b) = (a.as_slice().unwrap(), b.as_slice().unwrap());
            prop_assert_eq!(dot(a, b), Summed::<PRODUCTS> { a, b }.run());
        }

        #[test]
        fn cross_holds_every_dot(n in 0_usize..40, m in 0_usize..40, d in 0_usize..70, seed in any::<u64>()) {
            let (a, b) = (random(n, d, seed), random(m, d, seed ^ 1));
            let products = cross(a.view(), b.view());
            for ((i, j), &product) in products.indexed_iter() {
                let expected = scalar::dot(&a.row(i).to_vec(), &b.row(j).to_vec());
                prop_assert!((f64::from(product) - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn cross_does_not_depend_on_the_threads() {
        let (a, b) = (random(700, 130, 1), random(1_100, 130, 2));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (cross(a.view(), b.view()), cross(b.view(), a.view())))
        };
        let one = on(1);
        assert_eq!(one, on(2));
        assert_eq!(one, on(3));
        for (i, j) in [(0, 0), (699, 1_099), (333, 777)] {
            let expected = scalar::dot(&a.row(i).to_vec(), &b.row(j).to_vec());
            assert!((f64::from(one.0[[i, j]]) - expected).abs() < 1e-4);
            assert!((f64::from(one.1[[j, i]]) - expected).abs() < 1e-4);
        }
    }
}
