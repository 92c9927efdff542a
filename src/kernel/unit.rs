//! Rows known to be finite and of length 1, so that a cosine is a dot product and NaN is caught once, at the door.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::dot::dot;

/// Squared lengths this close to 1 count as 1: what is left after dividing by the length in `f32`.
const LENGTH_TOLERANCE: f32 = 1e-5;

/// Why rows can't be made unit rows; names the first row at fault.
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
    /// All values of the row are (as good as) zero, so that it has no direction.
    #[error("row `{row}` has length zero, so it has no direction; leave the row out")]
    ZeroLength {
        /// Index of the first such row.
        row: usize,
    },
}

/// `n × d` rows, contiguous, every value finite and every row of length 1.
///
/// `n = 0` is allowed; the dimension is known all the same. Memory: `4 n d` bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitRows {
    rows: Array2<f32>,
}

impl UnitRows {
    /// Divides each row by its length, in parallel, in place where `rows` is contiguous.
    ///
    /// Rows already of length 1 are left as they are, so normalising twice gives the same bits.
    pub fn normalise(rows: Array2<f32>) -> Result<Self, Error> {
        let mut rows = if rows.is_standard_layout() { rows } else { rows.as_standard_layout().into_owned() };
        let first_error = rows
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .enumerate()
            .filter_map(|(row, mut values)| {
                let values = values.as_slice_mut()?;
                normalise_row(values).err().map(|fault| (row, fault))
            })
            .min_by_key(|&(row, _)| row);
        match first_error {
            None => Ok(Self { rows }),
            Some((row, Fault::NotFinite)) => Err(Error::NotFinite { row }),
            Some((row, Fault::ZeroLength)) => Err(Error::ZeroLength { row }),
        }
    }

    /// A copy of the rows, each divided by its length, in parallel: a new array's pages cost as much as the copying.
    pub fn of(rows: ArrayView2<'_, f32>) -> Result<Self, Error> {
        let mut copy = Array2::zeros(rows.dim());
        let pairs = copy.axis_iter_mut(Axis(0)).into_par_iter().zip(rows.axis_iter(Axis(0)));
        pairs.for_each(|(mut to, from)| to.assign(&from));
        Self::normalise(copy)
    }

    /// The given rows of `dim` numbers each, one under the other, normalised where needed; shorter rows are filled
    /// with zeros, longer ones cut.
    pub fn from_rows<'a>(dim: usize, rows: impl IntoIterator<Item = &'a [f32]>) -> Result<Self, Error> {
        let mut values = Vec::new();
        let mut n = 0;
        for row in rows {
            values.extend_from_slice(&row[..row.len().min(dim)]);
            n += 1;
            values.resize(n * dim, 0.0);
        }
        let rows = Array2::from_shape_vec((n, dim), values).unwrap_or_else(|_| Array2::zeros((0, dim)));
        Self::normalise(rows)
    }

    /// No rows, of dimension `dim`.
    pub fn empty(dim: usize) -> Self {
        Self { rows: Array2::zeros((0, dim)) }
    }

    /// The rows as an `n × d` view in standard layout.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.rows.view()
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i ≥ n`.
    pub fn row(&self, i: usize) -> &[f32] {
        let dim = self.dim();
        &self.values()[i * dim..(i + 1) * dim]
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.rows.nrows()
    }

    /// Number of dimensions.
    pub fn dim(&self) -> usize {
        self.rows.ncols()
    }

    /// The rows `indices`, in that order; repeats are allowed.
    ///
    /// # Panics
    /// If an index is `n` or more.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self { rows: self.rows.select(Axis(0), indices) }
    }

    /// The rows as a plain array, in standard layout.
    pub fn into_inner(self) -> Array2<f32> {
        self.rows
    }

    fn values(&self) -> &[f32] {
        // Standard layout is kept by every constructor.
        self.rows.as_slice().unwrap_or_default()
    }
}

enum Fault {
    NotFinite,
    ZeroLength,
}

fn normalise_row(values: &mut [f32]) -> Result<(), Fault> {
    let squared = dot(values, values);
    if !squared.is_finite() {
        return Err(Fault::NotFinite);
    }
    if squared < f32::MIN_POSITIVE {
        return Err(Fault::ZeroLength);
    }
    if (squared - 1.0).abs() > LENGTH_TOLERANCE {
        let scale = squared.sqrt().recip();
        for value in values {
            *value *= scale;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_get_length_one_and_stay_as_they_are_the_second_time() {
        let once = UnitRows::normalise(array![[3.0, 4.0], [0.0, -2.0], [1e-9, 1e-9]]).unwrap();
        assert_eq!(once.row(0), [0.6, 0.8]);
        assert_eq!(once.row(1), [0.0, -1.0]);
        assert!((dot(once.row(2), once.row(2)) - 1.0).abs() < 1e-6);
        assert_eq!(UnitRows::normalise(once.view().to_owned()).unwrap(), once);
    }

    #[test]
    fn the_first_row_at_fault_is_named() {
        let nan = array![[1.0, 0.0], [f32::NAN, 1.0], [0.0, 0.0]];
        assert_eq!(UnitRows::normalise(nan).unwrap_err(), Error::NotFinite { row: 1 });
        let infinite = array![[1.0, 0.0], [1.0, f32::NEG_INFINITY]];
        assert_eq!(UnitRows::normalise(infinite).unwrap_err(), Error::NotFinite { row: 1 });
        let zero = array![[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [f32::NAN, 0.0]];
        assert_eq!(UnitRows::normalise(zero).unwrap_err(), Error::ZeroLength { row: 2 });
    }

    #[test]
    fn columns_first_arrays_are_taken_too() {
        let rows = array![[3.0, 0.0], [4.0, 5.0]].reversed_axes();
        let unit = UnitRows::normalise(rows).unwrap();
        assert_eq!(unit.row(0), [0.6, 0.8]);
        assert_eq!(unit.row(1), [0.0, 1.0]);
    }

    #[test]
    fn no_rows_keep_their_dimension() {
        let none = UnitRows::normalise(Array2::zeros((0, 7))).unwrap();
        assert_eq!((none.n(), none.dim()), (0, 7));
        assert_eq!(none, UnitRows::empty(7));
        assert_eq!(none.select(&[]), none);
    }

    #[test]
    fn select_takes_rows_in_the_order_asked() {
        let unit = UnitRows::normalise(array![[1.0, 0.0], [0.0, 1.0]]).unwrap();
        assert_eq!(unit.select(&[1, 0, 1]).into_inner(), array![[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
    }
}
