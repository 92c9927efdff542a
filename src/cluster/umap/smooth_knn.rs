//! Each row's own measure of distance: how far its nearest neighbour is, and how fast nearness fades beyond.

use ndarray::{Array2, ArrayView1, Axis};
use rayon::prelude::*;

/// The sum of strengths may miss its target by this.
const TOLERANCE: f64 = 1e-5;
/// A bandwidth is at least this share of the mean distance.
const LEAST_SHARE: f64 = 1e-3;
const ITERATIONS: usize = 64;

/// `(ρ, σ)` of one row: `exp(−max(0, d − ρ) / σ)` is the strength of a neighbour at distance `d`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Smoothed {
    /// Distance to the nearest neighbour that is not at distance 0; 0 if there is none.
    pub(super) rho: f32,
    /// Bandwidth: with it the strengths of the neighbours add up to `log₂ n_neighbors`.
    pub(super) sigma: f32,
}

/// Per row of `distances` (`n × k`, rising, without the row itself), in parallel, `O(n k)`.
///
/// Source: the UMAP paper, algorithm 3; `smooth_knn_dist` of umap-learn, with its floor under σ.
/// With `k = 0` every σ is 1.
pub(super) fn smooth_knn(distances: &Array2<f32>) -> Vec<Smoothed> {
    // The row itself, at distance 0, counts in the means as it does in umap-learn.
    let with_itself = distances.ncols() + 1;
    let nearest =
        |distances: ArrayView1<'_, f32>| distances.iter().copied().find(|&d| d > 0.0).unwrap_or(0.0);
    smoothed(distances, nearest, 0, with_itself)
}

/// Per row of `distances` (`n × k`, rising) to other rows' neighbours: nobody is nearest as a matter of course, ρ is 0.
///
/// Source: `smooth_knn_dist` of umap-learn with a local connectivity of 0, which leaves the nearest out of the sum.
pub(super) fn smooth_knn_among(distances: &Array2<f32>) -> Vec<Smoothed> {
    smoothed(distances, |_| 0.0, 1, distances.ncols())
}

fn smoothed(
    distances: &Array2<f32>,
    rho: impl Fn(ArrayView1<'_, f32>) -> f32 + Sync,
    skipped: usize,
    count: usize,
) -> Vec<Smoothed> {
    let sum: f64 = distances.iter().map(|&d| f64::from(d)).sum();
    let mean = sum / (distances.nrows() * count).max(1) as f64;
    let target = (count as f64).log2();
    distances
        .axis_iter(Axis(0))
        .into_par_iter()
        .map(|distances| {
            let rho = rho(distances);
            let excess: Vec<f64> =
                distances.iter().skip(skipped).map(|&d| f64::from(d) - f64::from(rho)).collect();
            let own_mean = distances.iter().map(|&d| f64::from(d)).sum::<f64>() / count as f64;
            let least = LEAST_SHARE * if rho > 0.0 { own_mean } else { mean };
            Smoothed { rho, sigma: bandwidth(&excess, target).max(least) as f32 }
        })
        .collect()
}

/// The σ with `Σ exp(−max(0, excess) / σ) = target`, by bisection.
fn bandwidth(excess: &[f64], target: f64) -> f64 {
    let (mut low, mut high, mut sigma) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..ITERATIONS {
        let sum: f64 = excess.iter().map(|&d| if d > 0.0 { (-d / sigma).exp() } else { 1.0 }).sum();
        if excess.is_empty() || (sum - target).abs() < TOLERANCE {
            break;
        }
        if sum > target {
            high = sigma;
            sigma = f64::midpoint(low, high);
        } else {
            low = sigma;
            sigma = if high.is_infinite() { sigma * 2.0 } else { f64::midpoint(low, high) };
        }
    }
    sigma
}

/// How strongly a row holds on to a neighbour at `distance`, from 0 to 1.
pub(super) fn strength(distance: f32, smoothed: Smoothed) -> f32 {
    let excess = distance - smoothed.rho;
    if excess <= 0.0 || smoothed.sigma == 0.0 { 1.0 } else { (-excess / smoothed.sigma).exp() }
}
