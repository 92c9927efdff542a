//! Rows in cells of one size, so that near rows share a cell.

use ndarray::{Array1, Array2, Axis};

use crate::kernel::dot::dot;

/// Rows that a cut is found from.
const SAMPLE: usize = 512;
/// Steps of 2-means towards the cut.
const LLOYD_STEPS: usize = 4;
/// Below this many rows a part is cut without asking another thread.
const WORTH_A_THREAD: usize = 4096;

/// The rows in an order in which each `size` after another lie in one cell; the last cell may be smaller.
///
/// From all rows down, a part is cut in two between the means that 2-means finds in a sample of it, moved to where both
/// sides fill whole cells and hold a quarter of the part or more: so cells hold rows that are near each other, and however
/// the rows lie, `O(n d log(n / size))` time is enough. `8 n` bytes. The same order on any number of threads.
pub(super) fn cells(rows: &Array2<f32>, size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.nrows()).collect();
    cut(rows, &mut order, size);
    order
}

fn cut(rows: &Array2<f32>, part: &mut [usize], size: usize) {
    let n = part.len();
    if n <= size {
        return;
    }
    let (direction, middle) = between_means(rows, part);
    let mut sides: Vec<(f32, usize)> =
        part.iter().map(|&row| (dot(row_of(rows, row), &direction) - middle, row)).collect();
    let cells = n.div_ceil(size);
    let on_the_left = sides.iter().filter(|(side, _)| *side < 0.0).count();
    let least = (cells / 4).max(1);
    let left = ((on_the_left + size / 2) / size).clamp(least, cells - least) * size;
    sides.select_nth_unstable_by(left, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    part.iter_mut().zip(sides).for_each(|(row, (_, cut))| *row = cut);
    let (left, right) = part.split_at_mut(left);
    if n < WORTH_A_THREAD {
        cut(rows, left, size);
        cut(rows, right, size);
    } else {
        rayon::join(|| cut(rows, left, size), || cut(rows, right, size));
    }
}

/// The direction from one mean to the other of a sample's two, and how far along it their middle is.
fn between_means(rows: &Array2<f32>, part: &[usize]) -> (Vec<f32>, f32) {
    let stride = (part.len() / SAMPLE).max(2);
    let sample: Vec<usize> = part.iter().copied().step_by(stride).collect();
    let mut means = [rows.row(sample[0]).to_owned(), rows.row(sample[sample.len() / 2]).to_owned()];
    for _ in 0..LLOYD_STEPS {
        let (direction, middle) = cut_of(&means);
        let mut sums = [Array1::zeros(rows.ncols()), Array1::zeros(rows.ncols())];
        let mut counts = [0.0_f32; 2];
        for &row in &sample {
            let side = usize::from(dot(row_of(rows, row), &direction) >= middle);
            sums[side] += &rows.row(row);
            counts[side] += 1.0;
        }
        if counts[0] == 0.0 || counts[1] == 0.0 {
            break;
        }
        means = [&sums[0] / counts[0], &sums[1] / counts[1]];
    }
    cut_of(&means)
}

fn cut_of([left, right]: &[Array1<f32>; 2]) -> (Vec<f32>, f32) {
    let direction = right - left;
    let middle = 0.5 * (right.dot(right) - left.dot(left));
    (direction.to_vec(), middle)
}

fn row_of(rows: &Array2<f32>, row: usize) -> &[f32] {
    rows.index_axis(Axis(0), row).to_slice().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_row_has_one_place(n in 0_usize..600, size in 1_usize..70, distinct in 1_u32..300, seed in any::<u64>()) {
            let mut rng = SmallRng::seed_from_u64(seed);
            let rows = Array2::from_shape_simple_fn((n, 3), || rng.random_range(0..distinct) as f32);
            let mut order = cells(&rows, size);
            order.sort_unstable();
            prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn groups_that_fill_whole_cells_share_them() {
        let rows = Array2::from_shape_fn((640, 2), |(row, axis)| {
            let group = row % 5;
            [(group * group) as f32, group as f32][axis] * 10.0 + (row / 5) as f32 * 1e-3
        });
        let order = cells(&rows, 128);
        for cell in order.chunks(128) {
            assert!(cell.iter().all(|row| row % 5 == cell[0] % 5), "{cell:?}");
        }
    }
}
