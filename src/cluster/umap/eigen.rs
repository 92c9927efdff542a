//! The leading eigenvectors of a normalised graph, and the small dense eigenproblems on the way.
#![allow(clippy::needless_range_loop, reason = "the lanes of several arrays go side by side")]

use rand::{Rng, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

use super::fuzzy_set::FuzzySet;
use crate::{
    cluster::watch::{self, Cancelled, Watch},
    kernel::wide::{self, Task},
};

/// Columns of a block are a multiple of this, for the registers.
const PANEL: usize = 8;
/// Rows that one task takes; sums run over such chunks in order, so the threads don't show.
const CHUNK: usize = 1024;
/// `|Mx − θx|` of a unit vector that counts as an eigenvector; umap-learn asks its solver for as much.
const TOLERANCE: f32 = 1e-4;
/// Degree of the filter between two orthonormalisations, at least.
const DEGREE: usize = 24;
/// Degree at most, so that a caller who wants to stop is not kept waiting.
const MOST_DEGREE: usize = 512;
/// What one filter makes of a vector of eigenvalue 1 against the block's smallest: `cosh` of this. Eigenvalues that crowd
/// nearer to 1 need a higher degree for it, else the rounds make no headway (160,000 rows: 840 products instead of 290).
const REACH: f32 = 3.0;
/// Filters at most; if reached the vectors are as good as they got, which is enough to start a layout from.
const ROUNDS: usize = 40;

/// The graph as the matrix `M = D^-½ W D^-½`, whose eigenvalues lie in `[−1, 1]`; the largest is 1.
pub(super) struct Normalised<'a> {
    graph: &'a FuzzySet,
    values: Vec<f32>,
    /// The eigenvector of eigenvalue 1, of length 1: `√degree`.
    trivial: Vec<f32>,
}

impl<'a> Normalised<'a> {
    pub(super) fn new(graph: &'a FuzzySet) -> Self {
        let degrees: Vec<f32> = (0..graph.n()).map(|i| graph.edges(i).map(|edge| edge.1).sum()).collect();
        let roots: Vec<f32> = degrees.iter().map(|degree| degree.sqrt()).collect();
        let values = (0..graph.n())
            .flat_map(|i| graph.edges(i).map(move |(j, strength)| (i, j as usize, strength)))
            .map(|(i, j, strength)| strength / (roots[i] * roots[j]))
            .collect();
        let length =
            degrees.iter().map(|&degree| f64::from(degree)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let trivial = roots.iter().map(|&root| (f64::from(root) / length) as f32).collect();
        Self { graph, values, trivial }
    }

    /// `α (M x − c x) − β before`, a block of `width` columns.
    fn step(
        &self,
        x: &[f32],
        before: &[f32],
        (alpha, c, beta): (f32, f32, f32),
        width: usize,
        out: &mut [f32],
    ) {
        out.par_chunks_mut(CHUNK * width).enumerate().for_each(|(chunk, out)| {
            wide::run(Step {
                matrix: self,
                x,
                before,
                factors: (alpha, c, beta),
                width,
                first: chunk * CHUNK,
                out,
            });
        });
    }
}

struct Step<'a> {
    matrix: &'a Normalised<'a>,
    x: &'a [f32],
    before: &'a [f32],
    factors: (f32, f32, f32),
    width: usize,
    first: usize,
    out: &'a mut [f32],
}

impl Task for Step<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "compiled once per instruction set")]
    #[inline(always)]
    fn run(self) {
        let Self { matrix, x, before, factors: (alpha, c, beta), width, first, out } = self;
        for (i, out) in (first..).zip(out.chunks_exact_mut(width)) {
            for (panel, out) in out.chunks_exact_mut(PANEL).enumerate() {
                let at = |row: usize| row * width + panel * PANEL;
                let mut sum = [0.0_f32; PANEL];
                let range = matrix.graph.starts[i]..matrix.graph.starts[i + 1];
                for (&j, &value) in matrix.graph.neighbours[range.clone()].iter().zip(&matrix.values[range]) {
                    let row = &x[at(j as usize)..at(j as usize) + PANEL];
                    for lane in 0..PANEL {
                        sum[lane] += value * row[lane];
                    }
                }
                let (own, old) = (&x[at(i)..at(i) + PANEL], &before[at(i)..at(i) + PANEL]);
                for lane in 0..PANEL {
                    out[lane] = alpha * (sum[lane] - c * own[lane]) - beta * old[lane];
                }
            }
        }
    }
}

/// The `wanted` eigenvectors of the largest eigenvalues but the trivial one, `n × wanted` row-major, best first.
///
/// Subspace iteration with a Chebyshev filter: each round multiplies a block of a few more vectors than wanted by a
/// polynomial of the matrix that is large above the block's smallest eigenvalue and small below.
/// Time `O(rounds · degree · edges · wanted)`; memory `O(n · wanted)`. Needs `n` well above `wanted`.
///
/// Source: Zhou, Saad, Tiago & Chelikowsky 2006, "Self-consistent-field calculations using Chebyshev-filtered subspace
/// iteration", algorithm 4.1. umap-learn calls ARPACK instead; on kNN graphs, whose wanted eigenvalues crowd at 1, the
/// filter needs fewer passes over memory.
pub(super) fn leading(
    matrix: &Normalised<'_>,
    wanted: usize,
    seed: u64,
    watch: &dyn Watch,
) -> Result<Vec<f32>, Cancelled> {
    let n = matrix.graph.n();
    let width = (wanted + 3).next_multiple_of(PANEL);
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut x: Vec<f32> = (0..n * width).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut floor = 0.5;
    for round in 0..ROUNDS {
        watch::check(watch)?;
        watch.progress("spectral layout", round, ROUNDS);
        x = filtered(matrix, x, floor, width);
        for _ in 0..2 {
            orthonormalise(&mut x, &matrix.trivial, width);
        }
        let (values, residuals) = rotate_to_eigenvectors(matrix, &mut x, width);
        if residuals[..wanted].iter().all(|&residual| residual < TOLERANCE) {
            break;
        }
        floor = values[width - 1].clamp(-0.9, 0.99999);
    }
    Ok(x.chunks_exact(width).flat_map(|row| row[..wanted].to_vec()).collect())
}

/// The block multiplied by the Chebyshev polynomial that stays small over `[−1, floor]`, scaled to 1 at 1.
fn filtered(matrix: &Normalised<'_>, x: Vec<f32>, floor: f32, width: usize) -> Vec<f32> {
    let (half, centre) = (f32::midpoint(floor, 1.0), (floor - 1.0) / 2.0);
    let first_scale = half / (1.0 - centre);
    let mut scale = first_scale;
    let degree = ((REACH / (2.0 * (1.0 - floor)).sqrt()) as usize).clamp(DEGREE, MOST_DEGREE);
    let mut before = x;
    let mut now = vec![0.0; before.len()];
    let mut next = vec![0.0; before.len()];
    matrix.step(&before, &before, (scale / half, centre, 0.0), width, &mut now);
    for _ in 1..degree {
        let new_scale = 1.0 / (2.0 / first_scale - scale);
        matrix.step(&now, &before, (2.0 * new_scale / half, centre, scale * new_scale), width, &mut next);
        std::mem::swap(&mut before, &mut now);
        std::mem::swap(&mut now, &mut next);
        scale = new_scale;
    }
    now
}

/// Makes the columns orthogonal to `trivial` and to each other, and of length 1.
fn orthonormalise(x: &mut [f32], trivial: &[f32], width: usize) {
    let along: Vec<f64> = reduced(x.len() / width, width, |i, sums| {
        for (sum, &value) in sums.iter_mut().zip(&x[i * width..]) {
            *sum += f64::from(trivial[i]) * f64::from(value);
        }
    });
    x.par_chunks_mut(width).zip(trivial).with_min_len(CHUNK).for_each(|(row, &trivial)| {
        for (value, &along) in row.iter_mut().zip(&along) {
            *value -= (f64::from(trivial) * along) as f32;
        }
    });
    let (values, vectors) = symmetric_eigen(products(x, x, width), width);
    let least = values[0].max(f64::MIN_POSITIVE) * 1e-14;
    let mut turn = vectors;
    for (column, &value) in values.iter().enumerate() {
        let scale = 1.0 / value.max(least).sqrt();
        (0..width).for_each(|row| turn[row * width + column] *= scale);
    }
    multiply(x, &turn, width);
}

/// Turns the block so that its columns are the best eigenvectors in its span; their values, falling, and residuals.
fn rotate_to_eigenvectors(matrix: &Normalised<'_>, x: &mut [f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut image = vec![0.0; x.len()];
    matrix.step(x, x, (1.0, 0.0, 0.0), width, &mut image);
    let (values, vectors) = symmetric_eigen(products(x, &image, width), width);
    multiply(x, &vectors, width);
    multiply(&mut image, &vectors, width);
    let squares = reduced(x.len() / width, width, |i, sums| {
        for column in 0..width {
            let at = i * width + column;
            sums[column] += (f64::from(image[at]) - values[column] * f64::from(x[at])).powi(2);
        }
    });
    let residuals = squares.iter().map(|square| square.sqrt() as f32).collect();
    (values.iter().map(|&value| value as f32).collect(), residuals)
}

/// `xᵀ y`, made symmetric, `width × width`.
fn products(x: &[f32], y: &[f32], width: usize) -> Vec<f64> {
    let sums = reduced(x.len() / width, width * width, |i, sums| {
        let (x, y) = (&x[i * width..(i + 1) * width], &y[i * width..(i + 1) * width]);
        for (sums, &x) in sums.chunks_exact_mut(width).zip(x) {
            for (sum, &y) in sums.iter_mut().zip(y) {
                *sum += f64::from(x) * f64::from(y);
            }
        }
    });
    let both = |a: usize, b: usize| f64::midpoint(sums[a * width + b], sums[b * width + a]);
    (0..width * width).map(|at| both(at / width, at % width)).collect()
}

/// Sums what `add` adds for each of `n` rows: in parallel, but in an order that the threads don't change.
fn reduced(n: usize, size: usize, add: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
    let chunks: Vec<Vec<f64>> = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut sums = vec![0.0; size];
            (chunk * CHUNK..n.min((chunk + 1) * CHUNK)).for_each(|i| add(i, &mut sums));
            sums
        })
        .collect();
    let mut total = vec![0.0; size];
    for sums in chunks {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// `x · turn` in place.
fn multiply(x: &mut [f32], turn: &[f64], width: usize) {
    let turn: Vec<f32> = turn.iter().map(|&value| value as f32).collect();
    x.par_chunks_mut(width).with_min_len(CHUNK).for_each(|row| {
        let mut turned = vec![0.0_f32; width];
        for (&value, turn) in row.iter().zip(turn.chunks_exact(width)) {
            turned.iter_mut().zip(turn).for_each(|(turned, turn)| *turned += value * turn);
        }
        row.copy_from_slice(&turned);
    });
}

/// Eigenvalues, falling, and eigenvectors, as columns, of a symmetric `n × n` matrix, by Jacobi's rotations. `O(n³)` a
/// sweep, some ten sweeps.
pub(super) fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
    let size: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..60 {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| a[at] * a[at]).sum();
        if off <= 1e-28 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&p, &q| a[q * n + q].total_cmp(&a[p * n + p]));
    let values = order.iter().map(|&p| a[p * n + p]).collect();
    let vectors = (0..n * n).map(|at| vectors[at / n * n + order[at % n]]).collect();
    (values, vectors)
}

/// One rotation that makes `a[p, q]` zero.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    if a[p * n + q] == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * a[p * n + q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (vectors[k * n + p], vectors[k * n + q]);
        (vectors[k * n + p], vectors[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
}
