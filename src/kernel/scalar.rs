//! The plain twins of the wide arithmetic: one obvious line each, to be compared with.

use super::fixed::Values;

/// Sum of products, in `f64`.
#[cfg(test)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// Sum of squared differences, in `f64`.
#[cfg(test)]
pub(super) fn squared_euclidean(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum()
}

/// Sum of products of two rows of fixed-point numbers.
pub(super) fn fixed_dot(a: &[Values], b: &[Values]) -> i32 {
    a.iter().flat_map(|a| a.0).zip(b.iter().flat_map(|b| b.0)).map(|(x, y)| i32::from(x) * i32::from(y)).sum()
}

/// `x` in the upper half of an `f32`, rounded to nearest, ties to even. For finite `x`.
pub(super) fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let half_and_ties_to_even = 0x7fff + ((bits >> 16) & 1);
    ((bits + half_and_ties_to_even) >> 16) as u16
}
