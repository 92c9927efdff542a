//! The `k` nearest neighbours of every row among the other rows.
#![allow(clippy::needless_pass_by_value, reason = "a view is a handle")]

mod among;
mod block;
mod cells;
mod descent;
mod exact;
mod graph;
mod probe;

pub use graph::Graph;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::watch::{Cancelled, Watch};
use crate::kernel::{
    gram::{Gram, Precision},
    unit::{self, UnitRows},
};

/// How far two rows are from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// 1 − cosine, from 0 to 2; rows need not have length 1, but must have a direction.
    Cosine,
    /// Length of the difference.
    Euclidean,
}

impl Metric {
    /// How exact the products must be that candidates are ranked by.
    fn precision(self) -> Precision {
        match self {
            Self::Cosine => Precision::Half,
            Self::Euclidean => Precision::Single,
        }
    }

    /// What is taken off a product with `row` so that products rank by nearness.
    fn half_square(self, rows: &Array2<f32>, row: usize) -> f32 {
        match self {
            Self::Cosine => 0.0,
            Self::Euclidean => 0.5 * rows.row(row).dot(&rows.row(row)),
        }
    }
}

/// Why there is no graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value of the row is NaN or infinite, or so large that its square is.
    #[error(
        "row `{row}` holds a value that is not finite (NaN, infinite, or too large to square); leave the row out"
    )]
    NotFinite {
        /// Index of the first such row.
        row: usize,
    },
    /// The row is all zeros, so no cosine is defined.
    #[error(
        "row `{row}` has length zero, so it has no cosine; leave the row out or use the Euclidean metric"
    )]
    ZeroLength {
        /// Index of the first such row.
        row: usize,
    },
    /// A query can't be compared with the rows.
    #[error("queries have `{queries}` dimensions but the rows have {rows}; embed both with the same model")]
    Dimensions {
        /// Dimensions of the queries.
        queries: usize,
        /// Dimensions of the rows.
        rows: usize,
    },
    /// Indices are 32 bits wide.
    #[error("`{rows}` rows are more than 2³¹; draw a sample")]
    TooMany {
        /// How many came.
        rows: usize,
    },
    /// The watcher wanted no result any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<unit::Error> for Error {
    fn from(error: unit::Error) -> Self {
        match error {
            unit::Error::NotFinite { row } => Self::NotFinite { row },
            unit::Error::ZeroLength { row } => Self::ZeroLength { row },
        }
    }
}

/// How neighbours are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every pair of rows is multiplied: `O(n² d)`. Exact up to rounding: candidates come from products that may be
    /// rounded to `bf16` or 16-bit fixed point, their order and distances from `f32`.
    Exact,
    /// Each row is multiplied with the cells of rows nearest to it, then meets its neighbours' neighbours: about
    /// `O(n d log n)`. Recall of 14 neighbours at 384 dimensions: 0.997 of 18,341 newsgroup posts, 0.990 of 44,949 ACL
    /// abstracts, 0.982 of 160,000 drawn from these with noise.
    Approximate,
}

impl Method {
    /// What is faster for `n` rows on this CPU.
    ///
    /// Seconds of processor time on AVX2, exact and approximate: 2.0 and 1.6 for 18,341 × 384, 11 and 5.0 for
    /// 44,949 × 384 (on a busy machine). With AMX, where 44,949 take about a second exactly, the bound is a guess.
    pub fn for_rows(n: usize) -> Self {
        let exact_below = if Gram::has_tiles() { 80_000 } else { 16_000 };
        if n < exact_below { Self::Exact } else { Self::Approximate }
    }
}

/// The `k` nearest other rows of every row of `rows` (`n × d`), by the method that is faster for as many.
///
/// The same bits on any number of threads.
///
/// With fewer than `k` other rows each row gets all of them: the graph is then `n × (n − 1)`. No rows give an empty
/// graph. Equal rows are each other's neighbours at distance 0; ties go to the smaller index.
pub fn nearest(
    rows: ArrayView2<'_, f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    nearest_by(Method::for_rows(rows.nrows()), rows, k, metric, watch)
}

/// As [`nearest`], by the method asked for.
pub fn nearest_by(
    method: Method,
    rows: ArrayView2<'_, f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    let n = rows.nrows();
    if n > i32::MAX as usize {
        return Err(Error::TooMany { rows: n });
    }
    let k = k.min(n.saturating_sub(1));
    let rows = match metric {
        Metric::Cosine => UnitRows::of(rows)?.into_inner(),
        Metric::Euclidean => centred(rows)?,
    };
    match method {
        Method::Approximate if k > 0 => probe::nearest(&rows, k, metric, watch),
        Method::Exact | Method::Approximate => exact::nearest(&rows, k, metric, watch),
    }
}

/// The `k` nearest of `rows` (`n × d`) for every row of `queries` (`m × d`); a query's own twin among the rows counts.
///
/// Exact up to rounding in `f32`; the same bits on any number of threads. Time `O(m n d)`, memory `O(m k)`. With fewer
/// than `k` rows each query gets all of them: the graph is then `m × n`. Errors name the row of `queries` first.
pub fn nearest_among(
    queries: ArrayView2<'_, f32>,
    rows: ArrayView2<'_, f32>,
    k: usize,
    metric: Metric,
    watch: &dyn Watch,
) -> Result<Graph, Error> {
    if queries.ncols() != rows.ncols() {
        return Err(Error::Dimensions { queries: queries.ncols(), rows: rows.ncols() });
    }
    if rows.nrows() > i32::MAX as usize {
        return Err(Error::TooMany { rows: rows.nrows() });
    }
    let k = k.min(rows.nrows());
    let (queries, rows) = match metric {
        Metric::Cosine => (UnitRows::of(queries)?.into_inner(), UnitRows::of(rows)?.into_inner()),
        Metric::Euclidean => {
            refuse_not_finite(queries)?;
            refuse_not_finite(rows)?;
            (queries.as_standard_layout().into_owned(), rows.as_standard_layout().into_owned())
        }
    };
    among::nearest(&queries, &rows, k, metric, watch)
}

/// The rows moved so that their mean is 0: distances stay, but less of them cancels in `|a|² + |b|² − 2ab`.
fn centred(rows: ArrayView2<'_, f32>) -> Result<Array2<f32>, Error> {
    refuse_not_finite(rows)?;
    let mut rows = rows.as_standard_layout().into_owned();
    if let Some(mean) = rows.mapv(f64::from).mean_axis(Axis(0)) {
        rows -= &mean.mapv(|x| x as f32);
    }
    Ok(rows)
}

fn refuse_not_finite(rows: ArrayView2<'_, f32>) -> Result<(), Error> {
    let not_finite = |row: &ArrayView1<'_, f32>| !row.iter().map(|x| x * x).sum::<f32>().is_finite();
    match rows.axis_iter(Axis(0)).into_par_iter().position_first(|row| not_finite(&row)) {
        Some(row) => Err(Error::NotFinite { row }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
