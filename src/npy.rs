//! Matrices in the files of `numpy.save`.
//!
//! Source: NEP 1 (<https://numpy.org/neps/nep-0001-npy-format.html>), of which a matrix of floats needs little.

use half::f16;
use ndarray::Array2;

/// Bytes that are no matrix of floats.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not this format.
    #[error("it is no `.npy` file; write it with `numpy.save`")]
    NoNpy,
    /// Not a matrix.
    #[error("it has {0} axes; embeddings have two, documents and numbers")]
    Axes(usize),
    /// Columns before rows.
    #[error("it is in Fortran's order; write it with `numpy.save(path, numpy.ascontiguousarray(array))`")]
    Order,
    /// Other numbers.
    #[error("it holds `{0}`, not float16 or float32; convert it with `array.astype(\"float32\")`")]
    Kind(String),
    /// Fewer or more numbers than the header says.
    #[error("it is not whole: {found} numbers are there, {rows} × {columns} should be; write it again")]
    Length {
        /// The numbers that are there.
        found: usize,
        /// The first axis.
        rows: usize,
        /// The second axis.
        columns: usize,
    },
}

/// The matrix in `bytes`, `n × d`: float16 or float32, in C's order.
pub fn parse(bytes: &[u8]) -> Result<Array2<f32>, Error> {
    let (header, data) = split(bytes).ok_or(Error::NoNpy)?;
    let after = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let axes = after("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or(Error::NoNpy)?;
    let axes = axes.0.split(',').map(str::trim).filter(|axis| !axis.is_empty()).map(str::parse);
    let axes: Vec<usize> = axes.collect::<Result<_, _>>().map_err(|_| Error::NoNpy)?;
    let &[rows, columns] = &axes[..] else { return Err(Error::Axes(axes.len())) };
    if !after("fortran_order").is_some_and(|rest| rest.starts_with("False")) {
        return Err(Error::Order);
    }
    let kind = after("descr").and_then(|rest| rest.strip_prefix('\'')?.split('\'').next());
    let values: Vec<f32> = match kind {
        Some("<f2") => data.as_chunks().0.iter().map(|two| f16::from_le_bytes(*two).to_f32()).collect(),
        Some("<f4") => data.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
        other => return Err(Error::Kind(other.unwrap_or_default().to_owned())),
    };
    let found = values.len();
    Array2::from_shape_vec((rows, columns), values).map_err(|_| Error::Length { found, rows, columns })
}

/// A `.npy` file of `shape`, whose little-endian numbers of the type `kind` (`<f4`, `<i4`, `<f8`) are `data`.
pub fn write(kind: &str, shape: &[usize], data: impl Iterator<Item = u8>) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(|axis| format!("{axis},")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", axes.concat());
    // Magic, version, length and header make a multiple of 64 bytes.
    let header = format!("{header:<width$}\n", width = (header.len() + 11).next_multiple_of(64) - 11);
    let mut bytes =
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    bytes.extend(data);
    bytes
}

/// The header's text, and what comes after it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (version, rest) = bytes.strip_prefix(b"\x93NUMPY")?.split_first_chunk::<2>()?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_matrix_is_read_as_it_was_written() {
        let values = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, -6.5]];
        let bytes = write("<f4", &[3, 2], values.iter().flat_map(|value| value.to_le_bytes()));
        assert_eq!(bytes.len(), 128 + 24);
        assert_eq!(parse(&bytes).unwrap(), values);
        let halves = [0.5, -1.0].map(f16::from_f32);
        let bytes = write("<f2", &[1, 2], halves.iter().flat_map(|value| value.to_le_bytes()));
        assert_eq!(parse(&bytes).unwrap(), array![[0.5, -1.0]]);
    }

    #[test]
    fn what_is_none_is_refused_with_the_way_out() {
        let of =
            |kind, shape: &[usize]| parse(&write(kind, shape, [0; 16].into_iter())).unwrap_err().to_string();
        assert!(of("<f8", &[1, 2]).contains("astype"));
        assert!(of("<f4", &[4]).contains("1 axes"));
        assert!(of("<f4", &[2, 3]).contains("4 numbers are there, 2 × 3"));
        assert!(of("<f4", &[usize::MAX, 2]).contains("not whole"));
        let fortran = String::from_utf8_lossy(&write("<f4", &[2, 2], [0; 16].into_iter())[10..])
            .replace("False", "True ");
        let bytes = [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), fortran.as_bytes()].concat();
        assert!(parse(&bytes).unwrap_err().to_string().contains("ascontiguousarray"));
        assert!(parse(b"PK").unwrap_err().to_string().contains("numpy.save"));
    }
}
