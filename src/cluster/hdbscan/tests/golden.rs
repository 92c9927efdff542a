use serde::Deserialize;

use super::*;

/// One file of `tests/fixtures/hdbscan`, written by `golden.py` there.
#[derive(Deserialize)]
struct Golden {
    dimensions: usize,
    rows: Vec<f32>,
    points: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    params: CaseParams,
    core_distances: Vec<f64>,
    spanning_tree_weight: f64,
    cluster_births: Vec<f64>,
    cluster_sizes: Vec<usize>,
    lambda_of: Vec<f64>,
    labels: Vec<i32>,
    probabilities: Vec<f64>,
    outlier_scores: Vec<f64>,
    persistence: Vec<f64>,
    exemplars: Vec<Vec<u32>>,
    predicted_labels: Vec<i32>,
    predicted_probabilities: Vec<f64>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct CaseParams {
    min_cluster_size: Option<usize>,
    min_samples: Option<usize>,
    cluster_selection_method: Option<String>,
    #[serde(default)]
    cluster_selection_epsilon: f64,
    max_cluster_size: Option<usize>,
    #[serde(default)]
    allow_single_cluster: bool,
}

impl CaseParams {
    fn params(&self) -> Params {
        let leaf = self.cluster_selection_method.as_deref() == Some("leaf");
        Params {
            min_cluster_size: self.min_cluster_size.unwrap_or(5),
            min_samples: self.min_samples,
            cluster_selection_method: if leaf {
                ClusterSelectionMethod::Leaf
            } else {
                ClusterSelectionMethod::Eom
            },
            cluster_selection_epsilon: self.cluster_selection_epsilon,
            max_cluster_size: self.max_cluster_size,
            allow_single_cluster: self.allow_single_cluster,
        }
    }
}

impl Golden {
    fn array(&self, values: &[f32]) -> Array2<f32> {
        Array2::from_shape_vec((values.len() / self.dimensions, self.dimensions), values.to_vec()).unwrap()
    }
}

/// Hands `check` each case of each file, with the rows, the rows to predict and what was found.
fn for_each_case(check: impl Fn(&Array2<f32>, &Array2<f32>, &Case, &Hdbscan)) {
    let files = [
        include_str!("../../../../tests/fixtures/hdbscan/blobs.json"),
        include_str!("../../../../tests/fixtures/hdbscan/ball.json"),
        include_str!("../../../../tests/fixtures/hdbscan/many_dimensions.json"),
    ];
    for file in files {
        let golden: Golden = serde_json::from_str(file).unwrap();
        let (rows, points) = (golden.array(&golden.rows), golden.array(&golden.points));
        for case in &golden.cases {
            check(&rows, &points, case, &fitted(rows.view(), &case.params.params()));
        }
    }
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], what: &str, case: &Case) {
    assert_eq!(found.len(), expected.len(), "{what}: {:?}", case.params);
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 2e-5 * expected.abs().max(1.0);
        assert!(close, "{what} {i}: {found} instead of {expected}: {:?}", case.params);
    }
}

fn optional(labels: &[i32]) -> Vec<Option<u32>> {
    labels.iter().map(|&label| u32::try_from(label).ok()).collect()
}

/// Our label → theirs, by the rows that carry them.
fn their_labels(case: &Case, found: &Hdbscan) -> Vec<usize> {
    let theirs = |label: u32| {
        let row = found.labels.iter().position(|&other| other == Some(label)).unwrap();
        case.labels[row] as usize
    };
    (0..found.selection.len() as u32).map(theirs).collect()
}

#[test]
fn core_distances_are_hdbscans() {
    for_each_case(|rows, _, case, found| {
        let tree = KdTree::new(rows.view());
        let core = core_distances(&tree, found.min_samples, &Unwatched).unwrap();
        let mut by_row = vec![0.0; rows.nrows()];
        for (&row, &squared) in tree.rows().iter().zip(&core.squared) {
            by_row[row as usize] = f64::from(squared).sqrt();
        }
        assert_close(&by_row, &case.core_distances, "core distance", case);
    });
}

#[test]
fn the_spanning_tree_weighs_as_much_as_hdbscans() {
    for_each_case(|_, _, case, found| {
        let weight = found.single_linkage.iter().map(|merge| merge.distance).sum::<f64>();
        assert_close(&[weight], &[case.spanning_tree_weight], "weight", case);
    });
}

#[test]
fn the_condensed_tree_is_hdbscans() {
    for_each_case(|rows, _, case, found| {
        let tree = &found.condensed_tree;
        let mut clusters: Vec<(f64, usize)> =
            tree.clusters()[1..].iter().map(|cluster| (cluster.birth, cluster.size)).collect();
        let mut expected: Vec<(f64, usize)> =
            case.cluster_births.iter().copied().zip(case.cluster_sizes.iter().copied()).collect();
        for list in [&mut clusters, &mut expected] {
            // Siblings are born at once: by size then, and births to the digits that were written down.
            list.sort_by(|a, b| {
                let [a_birth, b_birth] = [a.0, b.0].map(|birth| (birth * 1e4).round());
                a_birth.total_cmp(&b_birth).then(a.1.cmp(&b.1))
            });
        }
        let (births, sizes): (Vec<f64>, Vec<usize>) = clusters.into_iter().unzip();
        let (expected_births, expected_sizes): (Vec<f64>, Vec<usize>) = expected.into_iter().unzip();
        assert_close(&births, &expected_births, "birth", case);
        assert_eq!(sizes, expected_sizes, "{:?}", case.params);
        let lambdas: Vec<f64> = (0..rows.nrows()).map(|row| tree.lambda_of(row)).collect();
        assert_close(&lambdas, &case.lambda_of, "λ of row", case);
    });
}

#[test]
fn labels_and_probabilities_are_hdbscans() {
    for_each_case(|_, _, case, found| {
        assert_eq!(
            renumbered(&found.labels),
            renumbered(&optional(&case.labels)),
            "labels: {:?}",
            case.params
        );
        assert_close(&found.probabilities, &case.probabilities, "probability", case);
    });
}

#[test]
fn outlier_scores_are_hdbscans() {
    for_each_case(|_, _, case, found| {
        assert_close(&found.outlier_scores, &case.outlier_scores, "outlier score", case);
    });
}

#[test]
fn persistence_and_exemplars_are_hdbscans() {
    for_each_case(|_, _, case, found| {
        let theirs = their_labels(case, found);
        // `hdbscan` credits a single cluster with rows that it calls noise, and so comes to more than 1.
        let expected: Vec<f64> = theirs.iter().map(|&label| case.persistence[label].min(1.0)).collect();
        assert_close(&found.persistence, &expected, "persistence", case);
        for (exemplars, &label) in found.exemplars.iter().zip(&theirs) {
            let mut exemplars = exemplars.clone();
            exemplars.sort_unstable();
            assert_eq!(exemplars, case.exemplars[label], "{:?}", case.params);
        }
    });
}

#[test]
fn predictions_are_hdbscans() {
    for_each_case(|rows, points, case, found| {
        if found.selection == [ClusterId::ROOT] {
            return; // `hdbscan` calls everything noise there; what we say is a law below.
        }
        let predictor = Predictor::new(rows.view(), found).unwrap();
        let predictions = predictor.predict(points.view()).unwrap();
        let theirs = their_labels(case, found);
        let labels: Vec<i32> = predictions
            .iter()
            .map(|prediction| prediction.label.map_or(-1, |label| theirs[label as usize] as i32))
            .collect();
        assert_eq!(labels, case.predicted_labels, "{:?}", case.params);
        let probabilities: Vec<f64> = predictions.iter().map(|prediction| prediction.probability).collect();
        assert_close(&probabilities, &case.predicted_probabilities, "predicted probability", case);
    });
}
