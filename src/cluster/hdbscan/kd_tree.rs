//! A kd-tree in flat arrays, searched by visitors.

use ndarray::ArrayView2;
use rayon::prelude::*;

/// Rows in a leaf: a multiple of every SIMD width, so that the distances to a leaf are straight vector code.
pub(super) const LEAF: usize = 32;

/// Below this many leaves a subtree is built without asking another thread.
const LEAVES_WORTH_A_THREAD: usize = 64;

/// Coordinates of the places in the last leaf that hold no row: infinitely far (their square overflows).
const NOWHERE: f32 = 1e30;

/// Largest magnitude of a coordinate: squares of differences stay finite in any sensible dimension.
pub(super) const LARGEST: f32 = 1e17;

/// A kd-tree over `n × d` rows, cut at the median of the widest side until a leaf holds [`LEAF`] rows.
///
/// Rows are renumbered: *position* `p` is the p-th row in tree order, and leaf `i` holds the positions from
/// `LEAF · i`; every leaf but the last is full. So neither nodes nor leaves need pointers: a node is a range of
/// leaves, numbered in preorder (the left child follows its parent; a subtree of m leaves has 2m − 1 nodes).
///
/// Built in `O(n d log n)`, in parallel; `4 (n d + 4 n d / LEAF)` bytes and a `u32` a row. Cuts depend on values and
/// row numbers only, so the tree is the same on any number of threads.
///
/// Source: Bentley 1975; the implicit layout is ours.
pub(super) struct KdTree {
    n: usize,
    d: usize,
    /// Position → row.
    rows: Vec<u32>,
    /// For each leaf, `d × LEAF` coordinates.
    blocks: Vec<f32>,
    /// For each node, its box: `d` lower bounds, `d` upper bounds.
    boxes: Vec<f32>,
}

/// A subtree: its number in preorder and its range of leaves.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) id: usize,
    pub(super) first_leaf: usize,
    pub(super) end_leaf: usize,
}

impl Node {
    fn leaves(self) -> usize {
        self.end_leaf - self.first_leaf
    }

    /// The two halves, or `None` for a leaf.
    pub(super) fn children(self) -> Option<(Self, Self)> {
        if self.leaves() < 2 {
            return None;
        }
        let left_leaves = self.leaves().div_ceil(2);
        let middle = self.first_leaf + left_leaves;
        Some((
            Self { id: self.id + 1, end_leaf: middle, ..self },
            Self { id: self.id + 2 * left_leaves, first_leaf: middle, ..self },
        ))
    }
}

/// What a search does at the nodes of a tree.
pub(super) trait Visitor {
    /// True if nothing in `node`, which lies at least `squared_distance` away, can matter.
    fn prune(&self, node: Node, squared_distance: f32) -> bool;

    /// Looks at a leaf: `squared_distances[lane]` belongs to position `LEAF · leaf + lane`.
    fn leaf(&mut self, leaf: usize, squared_distances: &[f32; LEAF]);
}

impl KdTree {
    /// Builds the tree of `rows` (`n × d`, finite, below [`LARGEST`]).
    pub(super) fn new(rows: ArrayView2<'_, f32>) -> Self {
        let (n, d) = rows.dim();
        let leaves = n.div_ceil(LEAF);
        let standard = rows.as_standard_layout();
        let points = standard.as_slice().unwrap_or_default();
        let mut order: Vec<u32> = (0..n as u32).collect();
        let mut boxes = vec![0.0; (2 * leaves).saturating_sub(1) * 2 * d];
        if n > 0 {
            build(points, d, &mut order, &mut boxes);
        }
        let mut blocks = vec![NOWHERE; leaves * d * LEAF];
        if d > 0 {
            blocks.par_chunks_mut(d * LEAF).zip(order.par_chunks(LEAF)).for_each(|(block, rows)| {
                for (lane, &row) in rows.iter().enumerate() {
                    for axis in 0..d {
                        block[axis * LEAF + lane] = points[row as usize * d + axis];
                    }
                }
            });
        }
        Self { n, d, rows: order, blocks, boxes }
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }

    pub(super) fn d(&self) -> usize {
        self.d
    }

    pub(super) fn leaves(&self) -> usize {
        self.n.div_ceil(LEAF)
    }

    pub(super) fn nodes(&self) -> usize {
        (2 * self.leaves()).saturating_sub(1)
    }

    pub(super) fn root(&self) -> Node {
        Node { id: 0, first_leaf: 0, end_leaf: self.leaves() }
    }

    /// The row at each position.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The positions in `leaf`.
    pub(super) fn positions(&self, leaf: usize) -> std::ops::Range<usize> {
        leaf * LEAF..self.n.min((leaf + 1) * LEAF)
    }

    /// Copies the coordinates at `position` to `point` (length `d`).
    pub(super) fn read_point(&self, position: usize, point: &mut [f32]) {
        let (leaf, lane) = (position / LEAF, position % LEAF);
        let block = &self.blocks[leaf * self.d * LEAF..];
        for (axis, value) in point.iter_mut().enumerate() {
            *value = block[axis * LEAF + lane];
        }
    }

    /// Squared distances from `point` to the rows of `leaf`; infinite where the leaf holds no row.
    ///
    /// Summed axis by axis, so that the distance from p to q has the same bits as that from q to p.
    pub(super) fn leaf_distances(&self, leaf: usize, point: &[f32]) -> [f32; LEAF] {
        let block = &self.blocks[leaf * self.d * LEAF..(leaf + 1) * self.d * LEAF];
        let mut sums = [0.0_f32; LEAF];
        for (coordinates, &x) in block.chunks_exact(LEAF).zip(point) {
            for (sum, &coordinate) in sums.iter_mut().zip(coordinates) {
                let difference = coordinate - x;
                *sum += difference * difference;
            }
        }
        sums
    }

    /// Visits the leaves from the nearest child down, leaving out what `visitor` prunes.
    pub(super) fn visit(&self, point: &[f32], visitor: &mut impl Visitor) {
        if self.n > 0 {
            self.visit_node(self.root(), self.box_distance(0, point), point, visitor);
        }
    }

    fn visit_node(&self, node: Node, squared_distance: f32, point: &[f32], visitor: &mut impl Visitor) {
        if visitor.prune(node, squared_distance) {
            return;
        }
        let Some((left, right)) = node.children() else {
            visitor.leaf(node.first_leaf, &self.leaf_distances(node.first_leaf, point));
            return;
        };
        let to_left = self.box_distance(left.id, point);
        let to_right = self.box_distance(right.id, point);
        if to_left <= to_right {
            self.visit_node(left, to_left, point, visitor);
            self.visit_node(right, to_right, point, visitor);
        } else {
            self.visit_node(right, to_right, point, visitor);
            self.visit_node(left, to_left, point, visitor);
        }
    }

    /// Squared distance from `point` to the box of a node; never above the computed distance to a row inside it.
    fn box_distance(&self, node: usize, point: &[f32]) -> f32 {
        let (lower, upper) = self.boxes[node * 2 * self.d..(node + 1) * 2 * self.d].split_at(self.d);
        let mut sum = 0.0;
        for ((&low, &high), &x) in lower.iter().zip(upper).zip(point) {
            let outside = (low - x).max(x - high).max(0.0);
            sum += outside * outside;
        }
        sum
    }
}

/// Orders `rows` into leaves and fills in the boxes of their subtree, in preorder.
fn build(points: &[f32], d: usize, rows: &mut [u32], boxes: &mut [f32]) {
    let (own, below) = boxes.split_at_mut(2 * d);
    let (lower, upper) = own.split_at_mut(d);
    lower.fill(f32::INFINITY);
    upper.fill(f32::NEG_INFINITY);
    for &row in rows.iter() {
        let point = &points[row as usize * d..(row as usize + 1) * d];
        for axis in 0..d {
            lower[axis] = lower[axis].min(point[axis]);
            upper[axis] = upper[axis].max(point[axis]);
        }
    }
    let leaves = rows.len().div_ceil(LEAF);
    if leaves < 2 {
        return;
    }
    let width = |axis: usize| upper[axis] - lower[axis];
    let widest = (1..d).fold(0, |best, axis| if width(axis) > width(best) { axis } else { best });
    let key = |row: u32| points.get(row as usize * d + widest).copied().unwrap_or_default();
    let left_leaves = leaves.div_ceil(2);
    rows.select_nth_unstable_by(left_leaves * LEAF, |&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
    let (left, right) = rows.split_at_mut(left_leaves * LEAF);
    let (left_boxes, right_boxes) = below.split_at_mut((2 * left_leaves - 1) * 2 * d);
    if leaves < LEAVES_WORTH_A_THREAD {
        build(points, d, left, left_boxes);
        build(points, d, right, right_boxes);
    } else {
        rayon::join(|| build(points, d, left, left_boxes), || build(points, d, right, right_boxes));
    }
}
