//! Golden numbers against `hdbscan` 0.8.44, and laws that hold for any rows.

mod golden;
mod laws;

use ndarray::{Array2, ArrayView2};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::boruvka::{Edge, boruvka, prim};
use super::core_distance::{CoreDistances, Nearest, core_distances};
use super::kd_tree::KdTree;
use super::{ClusterId, ClusterSelectionMethod, Error, Hdbscan, Params, Predictor, fit};
use crate::cluster::watch::{Cancelled, Unwatched, Watch};

fn fitted(rows: ArrayView2<'_, f32>, params: &Params) -> Hdbscan {
    fit(rows, &params.check().unwrap(), &Unwatched).unwrap()
}

fn of_size(min_cluster_size: usize) -> Params {
    Params { min_cluster_size, ..Params::default() }
}

/// `groups` blobs of `size` rows and a tenth as many rows of noise.
fn blobs(groups: usize, size: usize, dimensions: usize, seed: u64) -> Array2<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let centres: Vec<Vec<f32>> =
        (0..groups).map(|_| (0..dimensions).map(|_| rng.random_range(-10.0..10.0)).collect()).collect();
    let noise = groups * size / 10;
    Array2::from_shape_fn((groups * size + noise, dimensions), |(row, column)| {
        let near = (0..4).map(|_| rng.random_range(-0.5_f32..0.5)).sum::<f32>();
        centres.get(row / size).map_or_else(|| rng.random_range(-12.0..12.0), |centre| centre[column] + near)
    })
}

/// Labels renumbered by the first row that has them.
fn renumbered(labels: &[Option<u32>]) -> Vec<Option<usize>> {
    let mut seen = Vec::new();
    let mut number = |label: u32| {
        seen.iter().position(|&other| other == label).unwrap_or_else(|| {
            seen.push(label);
            seen.len() - 1
        })
    };
    labels.iter().map(|label| label.map(&mut number)).collect()
}
