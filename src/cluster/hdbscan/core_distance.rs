//! Core distances: how far a row's `min_samples`-th neighbour is.

use rayon::prelude::*;

use super::kd_tree::{KdTree, LEAF, Node, Visitor};
use crate::cluster::watch::{self, Cancelled, Watch};

/// Core distances and the neighbours that define them, by position in the tree.
pub(super) struct CoreDistances {
    /// Squared distance to the k-th nearest other row; `n` values.
    pub(super) squared: Vec<f32>,
    /// The k nearest other rows, nearest first; `n × k` positions.
    pub(super) neighbours: Vec<u32>,
    pub(super) k: usize,
}

/// Finds the `k < n` nearest other rows of each row, exactly.
///
/// About `O(n k log n)` for few dimensions, towards `O(n² d)` for many; `4 n (k + 1)` bytes. In parallel over leaves;
/// the result doesn't depend on the number of threads.
pub(super) fn core_distances(tree: &KdTree, k: usize, watch: &dyn Watch) -> Result<CoreDistances, Cancelled> {
    let mut squared = vec![0.0; tree.n()];
    let mut neighbours = vec![0; tree.n() * k];
    if k == 0 {
        return Ok(CoreDistances { squared, neighbours, k });
    }
    squared.par_chunks_mut(LEAF).zip(neighbours.par_chunks_mut(LEAF * k)).enumerate().try_for_each_init(
        || (Nearest::new(k), vec![0.0; tree.d()]),
        |(nearest, point), (leaf, (squared, neighbours))| {
            watch::check(watch)?;
            let outputs = squared.iter_mut().zip(neighbours.chunks_exact_mut(k));
            for (position, (squared, neighbours)) in tree.positions(leaf).zip(outputs) {
                tree.read_point(position, point);
                let found = nearest.search(tree, point, Some(position as u32));
                for (neighbour, found) in neighbours.iter_mut().zip(found) {
                    *neighbour = found.position;
                }
                *squared = found.last().map_or(0.0, |last| last.squared_distance);
            }
            Ok(())
        },
    )?;
    Ok(CoreDistances { squared, neighbours, k })
}

/// A row near a point.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Neighbour {
    pub(super) squared_distance: f32,
    pub(super) position: u32,
}

/// The `k` nearest rows of one point after another, in buffers that are used again.
///
/// Candidates gather in a buffer of `2k` that is cut back to the best `k` when it is full: cheaper than a heap,
/// because most candidates are looked at once.
pub(super) struct Nearest {
    k: usize,
    candidates: Vec<Neighbour>,
    /// Squared distance that a candidate must stay below.
    bound: f32,
    /// The position that asks; it is no neighbour of itself.
    asking: Option<u32>,
}

impl Nearest {
    pub(super) fn new(k: usize) -> Self {
        Self { k, candidates: Vec::with_capacity(2 * k + LEAF), bound: f32::INFINITY, asking: None }
    }

    /// The `k` rows of `tree` nearest to `point`, nearest first, ties to the smaller position; fewer if `tree` has
    /// fewer.
    pub(super) fn search(&mut self, tree: &KdTree, point: &[f32], asking: Option<u32>) -> &[Neighbour] {
        self.candidates.clear();
        self.bound = f32::INFINITY;
        self.asking = asking;
        tree.visit(point, self);
        self.cut_back();
        self.candidates.sort_unstable_by(nearer);
        &self.candidates
    }

    fn cut_back(&mut self) {
        if self.candidates.len() >= self.k {
            let (_, last, _) = self.candidates.select_nth_unstable_by(self.k - 1, nearer);
            self.bound = last.squared_distance;
            self.candidates.truncate(self.k);
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as sorting calls it")]
fn nearer(a: &Neighbour, b: &Neighbour) -> std::cmp::Ordering {
    a.squared_distance.total_cmp(&b.squared_distance).then(a.position.cmp(&b.position))
}

impl Visitor for Nearest {
    fn prune(&self, _node: Node, squared_distance: f32) -> bool {
        squared_distance >= self.bound
    }

    fn leaf(&mut self, leaf: usize, squared_distances: &[f32; LEAF]) {
        let first = (leaf * LEAF) as u32;
        for (position, &squared_distance) in (first..).zip(squared_distances) {
            if squared_distance < self.bound && Some(position) != self.asking {
                self.candidates.push(Neighbour { squared_distance, position });
            }
        }
        // Until k candidates stand there is no bound; then each cut tightens it.
        let full = if self.bound.is_finite() { 2 * self.k } else { self.k };
        if self.candidates.len() >= full {
            self.cut_back();
        }
    }
}
