//! Each stage against umap-learn's numbers; `tests/fixtures/cluster/golden_umap.py` made them.

use ndarray::Array2;
use serde::Deserialize;

use super::{eigen, *};
use crate::cluster::{knn::Metric, watch::Unwatched};

#[derive(Deserialize)]
struct Golden {
    curves: Vec<GoldenCurve>,
    rows: Vec<Vec<f32>>,
    indices: Vec<Vec<u32>>,
    distances: Vec<Vec<f32>>,
    sigmas: Vec<f32>,
    rhos: Vec<f32>,
    starts: Vec<usize>,
    neighbours: Vec<u32>,
    strengths: Vec<f32>,
    spectral: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct GoldenCurve {
    min_dist: f32,
    spread: f32,
    a: f32,
    b: f32,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/fixtures/cluster/umap.json")).unwrap()
}

fn array<T: Copy>(rows: &[Vec<T>]) -> Array2<T> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn assert_close(ours: f32, theirs: f32, tolerance: f32, what: &str) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs().max(1.0), "{what}: {ours} is not {theirs}");
}

fn golden_set() -> FuzzySet {
    let Golden { starts, neighbours, strengths, .. } = golden();
    FuzzySet { starts, neighbours, strengths }
}

#[test]
fn the_curve_is_umap_learns() {
    for GoldenCurve { min_dist, spread, a, b } in golden().curves {
        let curve = Curve::fit(min_dist, spread);
        assert_close(curve.a, a, 1e-4, "a");
        assert_close(curve.b, b, 1e-4, "b");
    }
}

#[test]
fn neighbours_are_umap_learns() {
    let golden = golden();
    let graph = knn::nearest(array(&golden.rows).view(), 9, Metric::Cosine, &Unwatched).unwrap();
    for (ours, theirs) in graph.distances.iter().zip(&array(&golden.distances)) {
        assert_close(*ours, *theirs, 2e-6, "distance");
    }
    let same =
        graph.indices.iter().zip(&array(&golden.indices)).filter(|(ours, theirs)| ours == theirs).count();
    // Equal distances may come in either order.
    assert!(same >= 1340, "{same} of 1350");
}

#[test]
fn smoothing_and_union_are_umap_learns() {
    let golden = golden();
    let graph = Graph { indices: array(&golden.indices), distances: array(&golden.distances) };
    let smoothed = smooth_knn(&graph.distances);
    for (i, smoothed) in smoothed.iter().enumerate() {
        assert_close(smoothed.rho, golden.rhos[i], 1e-6, "rho");
        assert!(
            (smoothed.sigma / golden.sigmas[i] - 1.0).abs() < 2e-3,
            "{i}: {smoothed:?} {}",
            golden.sigmas[i]
        );
    }
    let set = FuzzySet::union(&graph, &smoothed);
    assert_eq!(set.starts, golden.starts);
    assert_eq!(set.neighbours, golden.neighbours);
    for (ours, theirs) in set.strengths.iter().zip(&golden.strengths) {
        assert_close(*ours, *theirs, 1e-4, "strength");
    }
}

#[test]
fn the_spectral_layout_is_umap_learns_up_to_sign() {
    let golden = golden();
    let theirs = array(&golden.spectral);
    let vectors = eigen::leading(&eigen::Normalised::new(&golden_set()), 3, 1, &Unwatched).unwrap();
    let ours = Array2::from_shape_vec(theirs.dim(), vectors).unwrap();
    for (ours, theirs) in ours.columns().into_iter().zip(theirs.columns()) {
        let cosine = ours.dot(&theirs) / (ours.dot(&ours) * theirs.dot(&theirs)).sqrt();
        assert!(cosine.abs() > 0.9999, "{cosine}");
    }
}
