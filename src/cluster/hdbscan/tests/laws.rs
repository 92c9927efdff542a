use ndarray::Axis;
use proptest::prelude::*;
use rand::{Rng as _, seq::SliceRandom};

use super::*;

fn weight(edges: &[Edge]) -> f64 {
    edges.iter().map(|edge| edge.cost.reachability()).sum()
}

fn tree_and_core(rows: &Array2<f32>, k: usize) -> (KdTree, CoreDistances) {
    let tree = KdTree::new(rows.view());
    let core = core_distances(&tree, k.min(rows.nrows().saturating_sub(1)), &Unwatched).unwrap();
    (tree, core)
}

/// All edges of the mutual reachability graph, cheapest first, and those that join something: Kruskal's algorithm.
fn kruskals_weight(rows: &Array2<f32>, k: usize) -> f64 {
    let n = rows.nrows();
    let distance = |a: usize, b: usize| {
        let squares = rows.row(a).iter().zip(rows.row(b)).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>();
        squares.sqrt()
    };
    let core: Vec<f64> = (0..n)
        .map(|row| {
            let mut others: Vec<f64> =
                (0..n).filter(|&b| b != row).map(|other| distance(row, other)).collect();
            others.sort_by(f64::total_cmp);
            k.min(others.len()).checked_sub(1).map_or(0.0, |last| others[last])
        })
        .collect();
    let mut edges: Vec<(f64, usize, usize)> = (0..n)
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| (distance(a, b).max(core[a]).max(core[b]), a, b))
        .collect();
    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut group: Vec<usize> = (0..n).collect();
    let mut weight = 0.0;
    for (cost, a, b) in edges {
        let (kept, gone) = (group[a], group[b]);
        if kept != gone {
            weight += cost;
            for group in group.iter_mut().filter(|group| **group == gone) {
                *group = kept;
            }
        }
    }
    weight
}

/// Rows on a coarse grid, so that duplicates and equal distances abound, or anywhere.
fn any_rows(most: usize) -> impl Strategy<Value = Array2<f32>> {
    (0..=most, 1_usize..4, any::<bool>(), any::<u64>()).prop_map(|(n, d, coarse, seed)| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut value = || rng.random_range(-4.0_f32..4.0);
        Array2::from_shape_simple_fn((n, d), || if coarse { value().round() } else { value() })
    })
}

fn any_params() -> impl Strategy<Value = Params> {
    let method = prop_oneof![Just(ClusterSelectionMethod::Eom), Just(ClusterSelectionMethod::Leaf)];
    let epsilon = prop_oneof![Just(0.0), 0.01..2.0_f64];
    (2_usize..12, 1_usize..12, method, epsilon, prop::option::of(12_usize..60), any::<bool>()).prop_map(
        |(min_cluster_size, min_samples, method, epsilon, max_cluster_size, allow_single_cluster)| Params {
            min_cluster_size,
            min_samples: Some(min_samples),
            cluster_selection_method: method,
            cluster_selection_epsilon: epsilon,
            max_cluster_size,
            allow_single_cluster,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_kd_tree_finds_the_same_neighbours_as_sorting(rows in any_rows(150), k in 1_usize..20) {
        let (tree, core) = tree_and_core(&rows, k);
        let n = rows.nrows();
        let mut found = vec![Vec::new(); n];
        for position in 0..n {
            let neighbours = &core.neighbours[position * core.k..(position + 1) * core.k];
            found[tree.rows()[position] as usize] = neighbours.iter().map(|&at| tree.rows()[at as usize]).collect();
        }
        let distance = |a: usize, b: usize| {
            rows.row(a).iter().zip(rows.row(b)).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y))
        };
        for (row, neighbours) in found.iter().enumerate() {
            let mut sorted: Vec<f32> =
                (0..n).filter(|&other| other != row).map(|other| distance(row, other)).collect();
            sorted.sort_by(f32::total_cmp);
            let distances: Vec<f32> = neighbours.iter().map(|&other| distance(row, other as usize)).collect();
            prop_assert_eq!(&distances, &sorted[..core.k]);
            prop_assert!(!neighbours.contains(&(row as u32)));
        }
    }

    #[test]
    fn boruvka_prim_and_kruskal_agree(rows in any_rows(120), k in 1_usize..10) {
        let (tree, core) = tree_and_core(&rows, k);
        let boruvka = boruvka(&tree, &core, &Unwatched).unwrap();
        let prim = prim(&tree, &core, &Unwatched).unwrap();
        prop_assert_eq!(boruvka.len(), rows.nrows().saturating_sub(1));
        prop_assert_eq!(prim.len(), boruvka.len());
        let (boruvka, prim) = (weight(&boruvka), weight(&prim));
        prop_assert!((boruvka - prim).abs() <= 1e-9 * prim.abs(), "{boruvka} against {prim}");
        let kruskal = kruskals_weight(&rows, k);
        prop_assert!((boruvka - kruskal).abs() <= 1e-4 * kruskal.max(1.0), "{boruvka} against {kruskal}");
    }

    #[test]
    fn every_answer_is_well_formed(rows in any_rows(200), params in any_params()) {
        let found = fitted(rows.view(), &params);
        let (n, clusters) = (rows.nrows(), found.selection.len());
        prop_assert_eq!([found.labels.len(), found.probabilities.len(), found.outlier_scores.len()], [n; 3]);
        prop_assert_eq!([found.persistence.len(), found.exemplars.len()], [clusters; 2]);
        for (label, probability) in found.labels.iter().zip(&found.probabilities) {
            prop_assert!((0.0..=1.0).contains(probability), "probability {}", probability);
            prop_assert!(label.is_none_or(|label| (label as usize) < clusters));
            prop_assert!(label.is_some() || *probability == 0.0);
        }
        prop_assert!(found.outlier_scores.iter().all(|score| (0.0..=1.0).contains(score)));
        prop_assert!(found.persistence.iter().all(|persistence| (0.0..=1.0).contains(persistence)));
        for cluster in found.condensed_tree.clusters() {
            prop_assert!(cluster.stability >= 0.0, "stability {}", cluster.stability);
            prop_assert!(cluster.birth.is_finite());
        }
        for exponent in [1.0, 1.5] {
            let shares = found.condensed_tree.stability_shares(exponent);
            prop_assert!(shares.iter().all(|share| share.is_finite() && *share >= 0.0));
        }
        for (label, exemplars) in (0..).zip(&found.exemplars) {
            prop_assert!(!exemplars.is_empty());
            let inside = |&row: &u32| found.condensed_tree.rows_under(found.selection[label]).contains(&row);
            prop_assert!(exemplars.iter().all(inside));
        }
    }

    #[test]
    fn a_cluster_holds_its_own_rows_and_its_childrens(rows in any_rows(200), params in any_params()) {
        let tree = fitted(rows.view(), &params).condensed_tree;
        let sorted = |rows: &[u32]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows
        };
        prop_assert_eq!(sorted(tree.rows_under(ClusterId::ROOT)), (0..rows.nrows() as u32).collect::<Vec<_>>());
        for id in tree.ids() {
            let cluster = tree.cluster(id);
            let own = tree.own_rows(id);
            prop_assert!(own.iter().all(|&row| tree.cluster_of(row as usize) == id));
            let children = cluster.children.iter().flatten();
            let parts = children.flat_map(|&child| tree.rows_under(child)).chain(own).copied();
            prop_assert_eq!(sorted(&parts.collect::<Vec<_>>()), sorted(tree.rows_under(id)));
            prop_assert_eq!(tree.rows_under(id).len(), cluster.size);
            prop_assert!(id == ClusterId::ROOT || cluster.size >= params.min_cluster_size);
            prop_assert!(cluster.parent.is_none_or(|parent| parent < id && tree.cluster(parent).birth <= cluster.birth));
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_show(seed in any::<u64>(), groups in 1_usize..5, params in any_params()) {
        let rows = blobs(groups, 40, 2, seed);
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        order.shuffle(&mut SmallRng::seed_from_u64(seed));
        let (straight, mixed) =
            (fitted(rows.view(), &params), fitted(rows.select(Axis(0), &order).view(), &params));
        let labels: Vec<_> = order.iter().map(|&row| straight.labels[row]).collect();
        prop_assert_eq!(renumbered(&labels), renumbered(&mixed.labels));
        for (&row, (probability, score)) in
            order.iter().zip(mixed.probabilities.iter().zip(&mixed.outlier_scores))
        {
            prop_assert_eq!(straight.probabilities[row], *probability);
            prop_assert_eq!(straight.outlier_scores[row], *score);
        }
    }

    #[test]
    fn scale_does_not_show(seed in any::<u64>(), groups in 1_usize..5, power in -20_i32..20, params in any_params()) {
        // Powers of two change no bit of any mantissa.
        let scale = 2.0_f32.powi(power);
        let rows = blobs(groups, 40, 3, seed);
        let scaled_params = Params {
            cluster_selection_epsilon: params.cluster_selection_epsilon * f64::from(scale),
            ..params.clone()
        };
        let (small, large) = (fitted(rows.view(), &params), fitted((&rows * scale).view(), &scaled_params));
        prop_assert_eq!(small.labels, large.labels);
        prop_assert_eq!(small.probabilities, large.probabilities);
        prop_assert_eq!(small.persistence.len(), large.persistence.len());
        for (a, b) in small.persistence.iter().zip(&large.persistence) {
            prop_assert!((a - b).abs() < 1e-9);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let rows = blobs(8, 400, 5, 3);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fitted(rows.view(), &of_size(20)))
    };
    let one = on(1);
    assert_eq!(one.selection.len(), 8);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}

#[test]
fn no_rows_have_no_clusters() {
    for dimensions in [0, 3] {
        let found = fitted(Array2::zeros((0, dimensions)).view(), &of_size(5));
        assert!(found.labels.is_empty() && found.selection.is_empty() && found.single_linkage.is_empty());
        assert_eq!(found.condensed_tree.clusters().len(), 1);
        let none = Array2::zeros((0, dimensions));
        let predictor = Predictor::new(none.view(), &found).unwrap();
        let predictions = predictor.predict(Array2::ones((2, 3)).view()).unwrap();
        assert!(predictions.iter().all(|prediction| prediction.label.is_none()));
    }
}

#[test]
fn fewer_rows_than_a_cluster_needs_are_noise() {
    for n in 1..5 {
        let rows = blobs(1, n, 2, 1);
        for allow_single_cluster in [false, true] {
            let found = fitted(rows.view(), &Params { allow_single_cluster, ..of_size(5) });
            assert_eq!(found.labels, vec![None; n]);
            assert_eq!(found.probabilities, vec![0.0; n]);
            assert_eq!(found.single_linkage.len(), n - 1);
        }
    }
}

#[test]
fn equal_rows_are_noise_or_the_single_cluster() {
    let rows = Array2::from_elem((40, 3), 0.25);
    let found = fitted(rows.view(), &of_size(5));
    assert_eq!(found.labels, vec![None; 40]);
    let found = fitted(rows.view(), &Params { allow_single_cluster: true, ..of_size(5) });
    assert_eq!(found.labels, vec![Some(0); 40]);
    assert_eq!(found.probabilities, vec![1.0; 40]);
    assert_eq!(found.outlier_scores, vec![0.0; 40]);
    assert_eq!(found.persistence, [1.0]);
}

#[test]
fn two_piles_of_duplicates_are_two_clusters() {
    let rows = Array2::from_shape_fn((60, 2), |(row, _)| if row < 25 { 0.0 } else { 7.0 });
    let found = fitted(rows.view(), &of_size(10));
    assert_eq!(found.selection.len(), 2);
    assert_eq!(found.labels[..25], vec![found.labels[0]; 25]);
    assert_eq!(found.labels[25..], vec![found.labels[25]; 35]);
    assert_ne!(found.labels[0], found.labels[25]);
    assert!(found.selection.iter().all(|&id| found.condensed_tree.cluster(id).stability == f64::INFINITY));
    let shares = found.condensed_tree.stability_shares(1.0);
    let total: f64 = found.selection.iter().map(|id| shares[id.index()]).sum();
    assert!(shares.iter().all(|share| share.is_finite()) && total <= 1.0, "{shares:?}");
    let predictions = Predictor::new(rows.view(), &found).unwrap().predict(rows.view()).unwrap();
    let labels: Vec<_> = predictions.iter().map(|prediction| prediction.label).collect();
    assert_eq!(labels, found.labels);
}

#[test]
fn duplicates_are_the_heart_of_their_cluster() {
    let mut rows = blobs(3, 60, 2, 5);
    for row in 1..10 {
        let first = rows.row(0).to_owned();
        rows.row_mut(row).assign(&first);
    }
    let found = fitted(rows.view(), &Params { min_samples: Some(5), ..of_size(8) });
    let id = found.selection[found.labels[0].unwrap() as usize];
    assert_eq!(found.condensed_tree.cluster(id).stability, f64::INFINITY);
    assert_eq!(found.probabilities[..10], [1.0; 10]);
    assert!((0..10).all(|row| found.exemplars[found.labels[0].unwrap() as usize].contains(&row)));
    assert!(found.probabilities[10..].iter().all(|probability| (0.0..=1.0).contains(probability)));
}

#[test]
fn rows_without_distances_are_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2e17] {
        let mut rows = blobs(2, 20, 3, 2);
        rows[[17, 2]] = bad;
        let error = fit(rows.view(), &of_size(5).check().unwrap(), &Unwatched).unwrap_err();
        assert!(matches!(error, Error::Value { row: 17, column: 2, .. }), "{error}");
        assert!(error.to_string().contains("`17`"));
    }
    let error = fit(Array2::zeros((4, 0)).view(), &of_size(2).check().unwrap(), &Unwatched).unwrap_err();
    assert_eq!(error, Error::NoColumns);
}

#[test]
fn a_single_blob_is_one_cluster_only_if_allowed() {
    let rows = blobs(1, 200, 2, 9);
    let single = Params { allow_single_cluster: true, ..of_size(60) };
    let found = fitted(rows.view(), &single);
    assert_eq!(found.selection, [ClusterId::ROOT]);
    assert!(found.labels.contains(&None) && found.labels.contains(&Some(0)));
    let found = fitted(rows.view(), &of_size(60));
    assert!(found.selection.is_empty() && found.labels.iter().all(Option::is_none));
}

#[test]
fn rows_fitted_as_a_single_cluster_are_predicted_as_they_were_fitted() {
    let rows = blobs(1, 200, 2, 9);
    let single = Params { allow_single_cluster: true, cluster_selection_epsilon: 0.7, ..of_size(60) };
    let found = fitted(rows.view(), &single);
    let far = Array2::from_elem((1, 2), 500.0);
    let predictor = Predictor::new(rows.view(), &found).unwrap();
    assert_eq!(predictor.predict(far.view()).unwrap()[0].label, None);
    let predictions = predictor.predict(rows.view()).unwrap();
    let same =
        predictions.iter().zip(&found.labels).filter(|(prediction, label)| prediction.label == **label);
    assert!(same.count() >= 215, "the core distance of a new row counts the fitted one too");
}

#[test]
fn predictions_do_not_depend_on_each_other() {
    let rows = blobs(3, 50, 3, 4);
    let found = fitted(rows.view(), &of_size(10));
    let predictor = Predictor::new(rows.view(), &found).unwrap();
    let together = predictor.predict(rows.view()).unwrap();
    for (row, prediction) in together.iter().enumerate() {
        let alone = predictor.predict(rows.select(Axis(0), &[row]).view()).unwrap();
        assert_eq!(alone, [*prediction]);
        assert!(found.labels[prediction.connects_to as usize].is_some() || prediction.label.is_none());
    }
}

#[test]
fn predictions_ask_for_the_fitted_rows_and_columns() {
    let rows = blobs(2, 20, 3, 4);
    let found = fitted(rows.view(), &of_size(5));
    let fewer = rows.slice(ndarray::s![1.., ..]);
    assert_eq!(
        Predictor::new(fewer, &found).err(),
        Some(Error::NotTheFittedRows { rows: rows.nrows() - 1, fitted: rows.nrows() })
    );
    let predictor = Predictor::new(rows.view(), &found).unwrap();
    let wide = Array2::zeros((1, 4));
    assert_eq!(predictor.predict(wide.view()).unwrap_err(), Error::OtherDimension { points: 4, fitted: 3 });
}

#[test]
fn a_cancelled_fit_gives_nothing() {
    struct Never;
    impl Watch for Never {
        fn progress(&self, _stage: &'static str, _done: usize, _total: usize) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    let rows = blobs(2, 40, 2, 1);
    let error = fit(rows.view(), &of_size(5).check().unwrap(), &Never).unwrap_err();
    assert_eq!(error, Error::Cancelled(Cancelled));
}

#[test]
fn the_best_cut_can_be_taken_again_by_other_values() {
    let rows = blobs(4, 60, 2, 11);
    let found = fitted(rows.view(), &of_size(10));
    let tree = &found.condensed_tree;
    let stability = |id: ClusterId| (id != ClusterId::ROOT).then(|| tree.cluster(id).stability);
    assert_eq!(tree.select(stability), found.selection);
    assert_eq!(tree.labels_of(&found.selection), found.labels);
    assert!(tree.select(|_| None).is_empty());
    assert_eq!(tree.select(|id| Some(f64::from(u8::from(id == ClusterId::ROOT)))), [ClusterId::ROOT]);
    // A NaN never wins.
    assert!(tree.select(|_| Some(f64::NAN)).is_empty());
}

#[test]
fn nearest_gives_ties_to_the_smaller_position() {
    let rows = Array2::from_elem((50, 2), 1.0);
    let tree = KdTree::new(rows.view());
    let found: Vec<u32> =
        Nearest::new(4).search(&tree, &[1.0, 1.0], Some(1)).iter().map(|found| found.position).collect();
    assert_eq!(found, [0, 2, 3, 4]);
}
