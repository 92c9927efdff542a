//! Rows of length 1 in 16-bit fixed point: half the memory of `f32`, and on AVX2 twice the products an instruction.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::scalar;

/// Values taken at once; rows are filled up with zeros to a multiple of it.
pub(super) const STEP: usize = 16;

/// What 1 is as a fixed-point number: of rows of length 1 no sum of products leaves `i32`.
const ONE: f32 = 32_767.0;

/// So many values of a row at once, never across two cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Values(pub(super) [i16; STEP]);

/// `n × d` rows of length 1 or less, every value rounded to a multiple of 1/32767.
///
/// A product is off by about 1.3e-5, whatever `d`. Memory: `2 n d` bytes.
#[derive(Debug)]
pub struct FixedRows {
    values: Vec<Values>,
    steps: usize,
}

impl FixedRows {
    /// Rounds the rows, in parallel, in the given order: place `i` is row `order[i]`.
    ///
    /// # Panics
    /// If the order names a row that is not there.
    pub fn new(rows: &ArrayView2<'_, f32>, order: &[usize]) -> Self {
        let steps = rows.ncols().div_ceil(STEP).max(1);
        let mut values = vec![Values([0; STEP]); order.len() * steps];
        values.par_chunks_mut(steps).zip(order).with_min_len(256).for_each(|(to, &which)| {
            for (dim, &value) in rows.row(which).iter().enumerate() {
                to[dim / STEP].0[dim % STEP] = (value * ONE).round() as i16;
            }
        });
        Self { values, steps }
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.values.len() / self.steps
    }

    /// Dot products of the rows at the places `left` with those at `right`, `left × right` row-major into `out`.
    ///
    /// Sums of integers: the same bits whatever the CPU, and the product of two rows does not depend on which is left.
    ///
    /// # Panics
    /// If a place is `n` or more, or `out` has another length.
    pub fn products(&self, left: &[u32], right: &[u32], out: &mut [f32]) {
        assert_eq!(out.len(), left.len() * right.len());
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = super::x86_64::Avx2::new() {
            avx2.fixed_products((&self.values, self.steps), left, right, (ONE * ONE).recip(), out);
            return;
        }
        self.products_one_by_one(left, right, out);
    }

    fn products_one_by_one(&self, left: &[u32], right: &[u32], out: &mut [f32]) {
        for (out, &a) in out.chunks_exact_mut(right.len().max(1)).zip(left) {
            for (out, &b) in out.iter_mut().zip(right) {
                *out = scalar::fixed_dot(self.row(a), self.row(b)) as f32 * (ONE * ONE).recip();
            }
        }
    }

    fn row(&self, place: u32) -> &[Values] {
        &self.values[place as usize * self.steps..(place as usize + 1) * self.steps]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::super::{dot::dot, unit::UnitRows};
    use super::*;

    fn unit(n: usize, dim: usize, seed: u64) -> Array2<f32> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rows = Array2::from_shape_simple_fn((n, dim), || rng.random_range(-1.0_f32..1.0));
        UnitRows::normalise(rows).unwrap().into_inner()
    }

    proptest! {
        #[test]
        fn products_equal_their_twin_and_are_near_the_dot(
            left in prop::collection::vec(0_u32..9, 0..8),
            right in prop::collection::vec(0_u32..9, 0..40),
            dim in 1_usize..=67,
            seed in any::<u64>(),
        ) {
            let rows = unit(9, dim, seed);
            let order: Vec<usize> = (0..9).rev().collect();
            let fixed = FixedRows::new(&rows.view(), &order);
            let mut products = vec![f32::NAN; left.len() * right.len()];
            let mut twin = products.clone();
            fixed.products(&left, &right, &mut products);
            fixed.products_one_by_one(&left, &right, &mut twin);
            prop_assert_eq!(&products, &twin);
            for (i, a) in left.iter().enumerate() {
                for (j, b) in right.iter().enumerate() {
                    let row = |place: u32| rows.row(8 - place as usize).to_vec();
                    let expected = dot(&row(*a), &row(*b));
                    prop_assert!((products[i * right.len() + j] - expected).abs() < 2e-4);
                }
            }
        }
    }

    #[test]
    fn equal_rows_of_one_value_do_not_overflow() {
        for dim in [1, 4_096] {
            let rows = UnitRows::normalise(Array2::from_elem((2, dim), -1.0)).unwrap().into_inner();
            let mut products = [0.0; 4];
            FixedRows::new(&rows.view(), &[0, 1]).products(&[0, 1], &[0, 1], &mut products);
            assert!(products.iter().all(|product| (product - 1.0).abs() < 2e-3), "{products:?}");
        }
    }
}
