use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;
use crate::cluster::watch::Unwatched;

fn random(n: usize, dim: usize, seed: u64) -> Array2<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((n, dim), || rng.random_range(-1.0_f32..1.0))
}

/// By sorting all distances, in `f64`.
fn naive(rows: &Array2<f32>, k: usize, metric: Metric) -> Array2<f64> {
    let distance = |a: usize, b: usize| {
        let (a, b) = (rows.row(a).mapv(f64::from), rows.row(b).mapv(f64::from));
        match metric {
            Metric::Cosine => 1.0 - a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt(),
            Metric::Euclidean => (&a - &b).mapv(|x| x * x).sum().sqrt(),
        }
    };
    let n = rows.nrows();
    let mut nearest = Array2::zeros((n, k));
    for i in 0..n {
        let mut all: Vec<f64> = (0..n).filter(|&j| j != i).map(|j| distance(i, j)).collect();
        all.sort_by(f64::total_cmp);
        nearest.row_mut(i).iter_mut().zip(all).for_each(|(slot, distance)| *slot = distance);
    }
    nearest
}

fn assert_near(graph: &Graph, expected: &Array2<f64>) {
    assert_eq!(graph.distances.dim(), expected.dim());
    for (&ours, &theirs) in graph.distances.iter().zip(expected) {
        assert!((f64::from(ours) - theirs).abs() < 3e-4, "{ours} is not {theirs}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn equals_sorting_all_distances(n in 1_usize..90, dim in 1_usize..40, k in 1_usize..20, seed in any::<u64>()) {
        let rows = random(n, dim, seed);
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let graph = nearest(rows.view(), k, metric, &Unwatched).unwrap();
            assert_near(&graph, &naive(&rows, k.min(n - 1), metric));
        }
    }
}

#[test]
fn equals_sorting_over_several_blocks_on_any_number_of_threads() {
    let rows = random(1_300, 33, 5);
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| nearest(rows.view(), 15, metric, &Unwatched).unwrap())
        };
        let one = on(1);
        assert_near(&one, &naive(&rows, 15, metric));
        assert_eq!(one, on(2));
        assert_eq!(one, on(3));
    }
}

/// `n` rows around a twentieth as many centres, and every hundredth row a copy of the one before.
fn clustered(n: usize, dim: usize, seed: u64) -> Array2<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let centres = random(n / 20 + 1, dim, seed ^ 1);
    let mut rows = Array2::zeros((n, dim));
    for i in 0..n {
        let row = if i % 100 == 99 {
            rows.row(i - 1).to_owned()
        } else {
            let centre = centres.row(rng.random_range(0..centres.nrows())).to_owned();
            centre.mapv_into(|x| x + rng.random_range(-0.4_f32..0.4))
        };
        rows.row_mut(i).assign(&row);
    }
    rows
}

fn assert_well_formed(graph: &Graph) {
    for (i, (indices, distances)) in graph.indices.rows().into_iter().zip(graph.distances.rows()).enumerate()
    {
        let distinct: std::collections::HashSet<u32> = indices.iter().copied().collect();
        assert_eq!(distinct.len(), graph.k(), "row {i} has a neighbour twice");
        assert!(!distinct.contains(&(i as u32)), "row {i} is its own neighbour");
        assert!(distances.iter().is_sorted(), "row {i}: {distances}");
    }
}

#[test]
fn approximate_neighbours_are_nearly_all_of_the_exact_ones() {
    for (metric, dim) in [(Metric::Cosine, 24), (Metric::Euclidean, 9)] {
        let rows = clustered(13_000, dim, 4);
        let by = |method| nearest_by(method, rows.view(), 15, metric, &Unwatched).unwrap();
        let (approximate, exact) = (by(Method::Approximate), by(Method::Exact));
        assert_well_formed(&approximate);
        let recall = approximate.recall(&exact);
        assert!(recall >= 0.98, "{metric:?}: {recall}");
        assert_ne!(approximate.indices, exact.indices, "too small to tell approximate from exact");
    }
}

#[test]
fn where_every_row_probes_every_cell_approximate_is_exact() {
    for n in [2, 3, 127, 128, 129, 700, 3_000] {
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let rows = clustered(n, 6, n as u64);
            let by = |method| nearest_by(method, rows.view(), 10, metric, &Unwatched).unwrap();
            let (approximate, exact) = (by(Method::Approximate), by(Method::Exact));
            assert_well_formed(&approximate);
            assert_eq!(approximate.distances, exact.distances, "{n} rows, {metric:?}");
        }
    }
}

#[test]
fn approximate_neighbours_do_not_depend_on_the_threads() {
    let rows = clustered(7_000, 12, 8);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| nearest_by(Method::Approximate, rows.view(), 15, Metric::Cosine, &Unwatched).unwrap())
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}

#[test]
fn equal_rows_have_approximate_neighbours_too() {
    let rows = Array2::from_elem((5_000, 3), 2.0);
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let graph = nearest_by(Method::Approximate, rows.view(), 15, metric, &Unwatched).unwrap();
        assert_well_formed(&graph);
        assert!(graph.distances.iter().all(|&distance| distance < 1e-6));
    }
}

#[test]
fn neighbours_among_others_are_those_among_all() {
    let rows = random(400, 9, 3);
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let own = nearest(rows.view(), 5, metric, &Unwatched).unwrap();
        let among = nearest_among(rows.view(), rows.view(), 6, metric, &Unwatched).unwrap();
        // Each finds itself first.
        assert!((0..400).all(|i| among.indices[[i, 0]] == i as u32));
        assert_eq!(among.indices.slice(ndarray::s![.., 1..]), own.indices);
    }
    let one = nearest_among(
        rows.slice(ndarray::s![..2, ..]),
        random(1, 9, 1).view(),
        5,
        Metric::Cosine,
        &Unwatched,
    );
    assert_eq!(one.unwrap().indices, ndarray::array![[0], [0]]);
    let error =
        nearest_among(random(1, 8, 1).view(), rows.view(), 5, Metric::Cosine, &Unwatched).unwrap_err();
    assert_eq!(error, Error::Dimensions { queries: 8, rows: 9 });
}

#[test]
fn few_rows_are_all_neighbours_and_none_have_none() {
    let graph = nearest(random(4, 3, 1).view(), 15, Metric::Cosine, &Unwatched).unwrap();
    assert_eq!((graph.n(), graph.k()), (4, 3));
    let graph = nearest(random(1, 3, 1).view(), 15, Metric::Cosine, &Unwatched).unwrap();
    assert_eq!((graph.n(), graph.k()), (1, 0));
    let graph = nearest(random(0, 3, 1).view(), 15, Metric::Euclidean, &Unwatched).unwrap();
    assert_eq!((graph.n(), graph.k()), (0, 0));
}

#[test]
fn equal_rows_are_neighbours_at_distance_zero_and_ties_go_to_the_smaller_index() {
    let rows = Array2::from_elem((700, 8), 0.5);
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let graph = nearest(rows.view(), 3, metric, &Unwatched).unwrap();
        assert!(graph.distances.iter().all(|&distance| distance < 1e-6));
        assert_eq!(graph.indices.row(0).to_vec(), [1, 2, 3]);
        assert_eq!(graph.indices.row(699).to_vec(), [0, 1, 2]);
    }
}

#[test]
fn a_row_that_has_no_place_is_named() {
    let mut rows = random(10, 3, 1);
    rows[[7, 1]] = f32::NAN;
    for metric in [Metric::Cosine, Metric::Euclidean] {
        assert_eq!(nearest(rows.view(), 2, metric, &Unwatched).unwrap_err(), Error::NotFinite { row: 7 });
    }
    rows.row_mut(7).fill(0.0);
    assert_eq!(
        nearest(rows.view(), 2, Metric::Cosine, &Unwatched).unwrap_err(),
        Error::ZeroLength { row: 7 }
    );
    assert!(nearest(rows.view(), 2, Metric::Euclidean, &Unwatched).is_ok());
}

#[test]
fn a_cancelled_search_gives_nothing() {
    struct Impatient;
    impl Watch for Impatient {
        fn progress(&self, _: &'static str, _: usize, _: usize) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    let error = nearest(random(10, 3, 1).view(), 2, Metric::Cosine, &Impatient).unwrap_err();
    assert_eq!(error, Error::Cancelled(Cancelled));
}
