//! Each stage against umap-learn's numbers; `tests/fixtures/cluster/golden_umap.py` made them.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;
use rand::{Rng, SeedableRng, rngs::SmallRng};
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
    target: Vec<i32>,
    supervised: Vec<f32>,
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
fn the_intersection_with_labels_is_umap_learns() {
    let golden = golden();
    let labels: Vec<Option<u32>> = golden.target.iter().map(|&label| u32::try_from(label).ok()).collect();
    let set = golden_set().towards(&labels, 0.5);
    assert_eq!(set.neighbours, golden.neighbours);
    for (ours, theirs) in set.strengths.iter().zip(&golden.supervised) {
        assert_close(*ours, *theirs, 1e-4, "strength");
    }
    // Nothing at all joins different labels at full weight.
    let apart = golden_set().towards(&labels, 1.0);
    for i in 0..apart.n() {
        assert!(apart.edges(i).all(|(j, _)| match (labels[i], labels[j as usize]) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }));
    }
}

#[test]
fn labels_draw_one_blob_apart() {
    let (rows, _) = blobs(400, 1, 12, 4);
    let labels: Vec<Option<u32>> = (0..400).map(|i| (i % 10 > 0).then_some(i % 2)).collect();
    let params = checked(Params { n_epochs: Some(100), target_weight: 0.9, ..Params::default() });
    let layout = fit_supervised(rows.view(), &labels, &params, &Unwatched).unwrap().layout;
    let nearest = knn::nearest(layout.view(), 5, Metric::Euclidean, &Unwatched).unwrap();
    let differs = |((i, _), &j): ((usize, usize), &u32)| {
        labels[i].is_some() && labels[j as usize].is_some() && labels[i] != labels[j as usize]
    };
    let strangers = nearest.indices.indexed_iter().filter(|&edge| differs(edge)).count();
    assert!(strangers < 40, "{strangers} of 2000 neighbours have another label");
    let error = fit_supervised(rows.view(), &labels[1..], &params, &Unwatched).unwrap_err();
    assert_eq!(error, Error::OtherLabels { labels: 399, rows: 400 });
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

/// The last round that a stage reported.
#[derive(Default)]
struct LastRound(AtomicUsize);

impl Watch for LastRound {
    fn progress(&self, _stage: &'static str, done: usize, _total: usize) {
        self.0.store(done, Ordering::Relaxed);
    }
}

#[test]
fn eigenvalues_that_crowd_at_one_take_few_rounds() {
    // Those of a long chain: 1 − (πk / 3000)² / 2 for k = 0, 1, 2 …
    let beside = |i: u32| i.checked_sub(1).into_iter().chain((i < 2999).then_some(i + 1));
    let chain = FuzzySet::from_rows((0..3000).map(|i| beside(i).map(|j| (j, 1.0)).collect()).collect());
    let last = LastRound::default();
    eigen::leading(&eigen::Normalised::new(&chain), 3, 1, &last).unwrap();
    let rounds = last.0.into_inner() + 1;
    assert!(rounds <= 8, "{rounds}");
}

/// `n` rows around `centres` points of the unit cube in `dim` dimensions, and whose they are.
fn blobs(n: usize, centres: usize, dim: usize, seed: u64) -> (Array2<f32>, Vec<usize>) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let middle = Array2::from_shape_simple_fn((centres, dim), || rng.random_range(-1.0_f32..1.0));
    let owners: Vec<usize> = (0..n).map(|i| i % centres).collect();
    let rows = Array2::from_shape_fn((n, dim), |(i, d)| middle[[owners[i], d]] + rng.random_range(-0.1..0.1));
    (rows, owners)
}

fn checked(params: Params) -> Checked {
    params.check().unwrap()
}

#[test]
fn blobs_stay_apart_and_new_rows_join_theirs() {
    let (rows, owners) = blobs(600, 6, 20, 3);
    let params = checked(Params { n_epochs: Some(100), ..Params::default() });
    let fitted = fit(rows.view(), &params, &Unwatched).unwrap();
    assert_eq!(fitted.layout.dim(), (600, 5));
    let nearest = knn::nearest(fitted.layout.view(), 5, Metric::Euclidean, &Unwatched).unwrap();
    let strangers = |graph: &Graph| {
        graph.indices.indexed_iter().filter(|((i, _), j)| owners[*i] != owners[**j as usize]).count()
    };
    assert_eq!(strangers(&nearest), 0);
    // The same rows once more, a little off, come as new ones.
    let mut new = rows.clone();
    new += 0.02;
    let places = fitted.transform(rows.view(), new.view(), &params, &Unwatched).unwrap();
    let nearest =
        knn::nearest_among(places.view(), fitted.layout.view(), 5, Metric::Euclidean, &Unwatched).unwrap();
    assert_eq!(strangers(&nearest), 0);
}

#[test]
fn a_seed_gives_the_same_bits_on_any_number_of_threads_and_another_seed_others() {
    let (rows, _) = blobs(1_500, 7, 16, 1);
    let params = |seed| checked(Params { n_epochs: Some(20), seed, ..Params::default() });
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let fitted = fit(rows.view(), &params(seed), &Unwatched).unwrap();
            let places = fitted.transform(rows.view(), rows.view(), &params(seed), &Unwatched).unwrap();
            (fitted, places)
        })
    };
    let one = on(1, 5);
    assert!(one.0.layout.iter().all(|x| x.is_finite()));
    assert_eq!(one, on(2, 5));
    assert_eq!(one, on(3, 5));
    assert_ne!(one.0, on(1, 6).0);
}

#[test]
fn few_or_equal_rows_have_a_finite_layout() {
    for metric in [Metric::Cosine, Metric::Euclidean] {
        for n in [0, 1, 2, 3, 6, 16, 70, 200] {
            for rows in [Array2::from_elem((n, 4), 1.0), blobs(n, 1, 4, 2).0] {
                let params = checked(Params { metric, n_epochs: Some(30), ..Params::default() });
                let fitted = fit(rows.view(), &params, &Unwatched).unwrap();
                assert_eq!(fitted.layout.dim(), (n, 5));
                assert!(fitted.layout.iter().all(|x| x.is_finite()), "{n} rows");
                let new = Array2::from_elem((3, 4), 0.5);
                let places = fitted.transform(rows.view(), new.view(), &params, &Unwatched).unwrap();
                assert!(places.iter().all(|x| x.is_finite()), "{n} rows");
            }
        }
    }
}

#[test]
fn every_number_of_dimensions_is_laid_out() {
    let (rows, _) = blobs(300, 3, 8, 2);
    for n_components in [1, 2, 3, 4, 5, 7, 9, 20, 40, 70] {
        let params = checked(Params { n_components, n_epochs: Some(11), ..Params::default() });
        let layout = fit(rows.view(), &params, &Unwatched).unwrap().layout;
        assert_eq!(layout.dim(), (300, n_components));
        let spread = layout.std_axis(ndarray::Axis(0), 0.0);
        assert!(spread.iter().all(|&spread| spread > 0.01 && spread.is_finite()), "{spread}");
    }
}

#[test]
fn mistakes_are_named() {
    let (mut rows, _) = blobs(20, 2, 4, 2);
    let params = checked(Params::default());
    let graph = knn::nearest(rows.view(), 14, Metric::Cosine, &Unwatched).unwrap();
    let error = fit_graph(&graph, rows.slice(ndarray::s![..7, ..]), &params, &Unwatched).unwrap_err();
    assert_eq!(error, Error::OtherRows { graph: 20, rows: 7 });
    rows[[3, 0]] = f32::NAN;
    let error = fit(rows.view(), &params, &Unwatched).unwrap_err();
    assert_eq!(error, Error::Neighbours(knn::Error::NotFinite { row: 3 }));
}
