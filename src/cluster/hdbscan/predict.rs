//! Labels for rows that weren't there when the clusters were found.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::condensed_tree::ClusterId;
use super::core_distance::Nearest;
use super::kd_tree::KdTree;
use super::{Error, Hdbscan, check_rows};

/// What `approximate_predict` needs of the fitted rows: a tree over them and their core distances.
///
/// Memory: the rows once more, and 8 bytes a row.
pub struct Predictor<'a> {
    fitted: &'a Hdbscan,
    tree: KdTree,
    /// Squared, by position.
    core_distances: Vec<f32>,
    labels_of_clusters: Vec<Option<u32>>,
    /// λ below which a row is noise whatever its cluster: that of the least dense row in a single cluster, else 0.
    least_lambda: f64,
}

/// Where a new row belongs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Place of its cluster in [`Hdbscan::selection`]; `None` is noise.
    pub label: Option<u32>,
    /// As the fitted rows' [`Hdbscan::probabilities`].
    pub probability: f64,
    /// The fitted row that it is nearest to by mutual reachability.
    pub connects_to: u32,
}

impl<'a> Predictor<'a> {
    /// Prepares predictions; `rows` are those that `fitted` was made of. As costly as the core distances of a fit.
    pub fn new(rows: ArrayView2<'_, f32>, fitted: &'a Hdbscan) -> Result<Self, Error> {
        check_rows(rows)?;
        if rows.nrows() != fitted.condensed_tree.n() {
            let (rows, fitted) = (rows.nrows(), fitted.condensed_tree.n());
            return Err(Error::NotTheFittedRows { rows, fitted });
        }
        let tree = KdTree::new(rows);
        // The row itself counts here, though it doesn't when fitting: so does `hdbscan`, and a prediction is to agree.
        let others = fitted.min_samples.saturating_sub(1);
        let mut core_distances = vec![0.0; tree.n()];
        if others > 0 {
            core_distances.par_iter_mut().enumerate().for_each_init(
                || (Nearest::new(others), vec![0.0; tree.d()]),
                |(nearest, point), (position, core)| {
                    tree.read_point(position, point);
                    let found = nearest.search(&tree, point, Some(position as u32));
                    *core = found.last().map_or(0.0, |last| last.squared_distance);
                },
            );
        }
        let labels_of_clusters = fitted.condensed_tree.labels_of_clusters(&fitted.selection);
        let least_lambda = if fitted.selection == [ClusterId::ROOT] { least_lambda(fitted) } else { 0.0 };
        Ok(Self { fitted, tree, core_distances, labels_of_clusters, least_lambda })
    }

    /// Says for each of `m × d` new rows to which cluster it would belong, without changing the clusters.
    ///
    /// Noise for everything if nothing was fitted. About `O(m · min_samples · log n)`, in parallel; each answer is
    /// independent of the other rows.
    ///
    /// Source: `hdbscan`'s `approximate_predict`. Where we differ: it calls everything noise if the root is the only
    /// cluster; here a row as dense as the least dense row of that cluster is in it.
    pub fn predict(&self, points: ArrayView2<'_, f32>) -> Result<Vec<Prediction>, Error> {
        check_rows(points)?;
        if self.tree.n() == 0 {
            return Ok(vec![Prediction { label: None, probability: 0.0, connects_to: 0 }; points.nrows()]);
        }
        if points.ncols() != self.tree.d() {
            return Err(Error::OtherDimension { points: points.ncols(), fitted: self.tree.d() });
        }
        let points = points.as_standard_layout();
        let predict = |nearest: &mut Nearest, point: usize| {
            let point = points.row(point);
            self.predict_one(nearest, point.as_slice().unwrap_or_default())
        };
        let predictions = (0..points.nrows())
            .into_par_iter()
            .map_init(|| Nearest::new((2 * self.fitted.min_samples).max(1)), predict)
            .collect();
        Ok(predictions)
    }

    fn predict_one(&self, nearest: &mut Nearest, point: &[f32]) -> Prediction {
        let neighbours = nearest.search(&self.tree, point, None);
        let core = neighbours
            .get(self.fitted.min_samples)
            .or(neighbours.last())
            .map_or(0.0, |last| last.squared_distance);
        let reachability = |neighbour: &super::core_distance::Neighbour| {
            let other = self.core_distances[neighbour.position as usize];
            (core.max(other).max(neighbour.squared_distance), neighbour.position)
        };
        let (squared, position) =
            neighbours.iter().map(reachability).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0));
        let row = self.tree.rows()[position as usize];
        let lambda = 1.0 / f64::from(squared).sqrt();
        let cluster = self.cluster_at(row, lambda);
        let label = self.labels_of_clusters[cluster.index()].filter(|_| lambda >= self.least_lambda);
        let probability = label.map_or(0.0, |label| {
            let death = self.fitted.condensed_tree.cluster(self.fitted.selection[label as usize]).death;
            if death == 0.0 || lambda >= death { 1.0 } else { lambda / death }
        });
        Prediction { label, probability, connects_to: row }
    }

    /// The cluster that `row` was in at density `lambda`.
    fn cluster_at(&self, row: u32, lambda: f64) -> ClusterId {
        let tree = &self.fitted.condensed_tree;
        let mut id = tree.cluster_of(row as usize);
        if tree.lambda_of(row as usize) > lambda {
            while let (Some(parent), true) = (tree.cluster(id).parent, tree.cluster(id).birth >= lambda) {
                id = parent;
            }
        }
        id
    }
}

fn least_lambda(fitted: &Hdbscan) -> f64 {
    let labelled = (0..).zip(&fitted.labels).filter(|(_, label)| label.is_some());
    labelled.map(|(row, _)| fitted.condensed_tree.lambda_of(row)).fold(f64::INFINITY, f64::min)
}
