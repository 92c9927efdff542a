//! An encoder's weights out of its safetensors file.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use crate::embed::{Error, table::floats};

/// The tensors of a file, by the names that they have below the model's prefix.
pub(super) struct Weights<'b> {
    path: PathBuf,
    tensors: SafeTensors<'b>,
    prefix: String,
}

/// A tensor as ONNX keeps it.
pub(super) struct Raw {
    /// Its shape.
    pub(super) dims: Vec<usize>,
    /// Its numbers, little-endian `f32`.
    pub(super) bytes: Vec<u8>,
}

impl<'b> Weights<'b> {
    /// The tensors in `bytes`, the contents of `path`. Files made from a model with a head have `prefix` before every
    /// name of the encoder.
    pub(super) fn read(path: &Path, bytes: &'b [u8], prefix: &str) -> Result<Self, Error> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|source| Error::Weights { path: path.to_path_buf(), source })?;
        let prefixed = tensors.names().iter().any(|name| name.starts_with(prefix));
        let prefix = if prefixed { prefix.to_owned() } else { String::new() };
        Ok(Self { path: path.to_path_buf(), tensors, prefix })
    }

    fn values(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), Error> {
        let full = format!("{}{name}", self.prefix);
        let tensor = self.tensors.tensor(&full).map_err(|_| Error::Model {
            path: self.path.clone(),
            key: full.clone(),
            found: "missing".to_owned(),
            expected: "there in a model of this `model_type`".to_owned(),
        })?;
        Ok((tensor.shape().to_vec(), floats(&self.path, &full, &tensor)?))
    }

    /// The tensor `name` as it stands.
    pub(super) fn get(&self, name: &str) -> Result<Raw, Error> {
        let (dims, values) = self.values(name)?;
        Ok(Raw { dims, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() })
    }

    /// The matrix `name`, rows and columns changed: a linear layer is kept as output × input, `MatMul` wants input ×
    /// output.
    pub(super) fn transposed(&self, name: &str) -> Result<Raw, Error> {
        let (rows, columns, values) = self.matrix(name)?;
        let mut bytes = Vec::with_capacity(values.len() * 4);
        for column in 0..columns {
            (0..rows).for_each(|row| bytes.extend(values[row * columns + column].to_le_bytes()));
        }
        Ok(Raw { dims: vec![columns, rows], bytes })
    }

    /// Rows, columns and values of the matrix `name`.
    pub(super) fn matrix(&self, name: &str) -> Result<(usize, usize, Vec<f32>), Error> {
        let (dims, values) = self.values(name)?;
        match dims[..] {
            [rows, columns] => Ok((rows, columns, values)),
            _ => Err(Error::Model {
                path: self.path.clone(),
                key: name.to_owned(),
                found: format!("of shape {dims:?}"),
                expected: "a matrix".to_owned(),
            }),
        }
    }

    /// The tensor `name` has another shape than the model's configuration says.
    pub(super) fn misfit(&self, name: &str, found: &[usize], expected: &[usize]) -> Error {
        Error::Model {
            path: self.path.clone(),
            key: name.to_owned(),
            found: format!("of shape {found:?}"),
            expected: format!("of shape {expected:?}"),
        }
    }
}
