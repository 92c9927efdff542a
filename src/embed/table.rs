//! Static models: an embedding is the mean of its tokens' rows in a table. A hundred times as fast as an encoder.
//!
//! Source: van Dongen & Tulkens, "Model2Vec: Fast State-of-the-Art Static Embeddings", 2024; the layout is that of
//! the package `model2vec` up to 0.10: `embeddings` (rows × d), and where the vocabulary was quantised `mapping`
//! (token → row) and `weights` (a factor for each token). sentence-transformers' own layout has `embedding.weight`.
//! Differs from the package in one point: it cuts a text's characters before its tokens, here only tokens count.

use std::path::Path;

use half::{bf16, f16};
use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Backend, Error, Run, folder::StaticFolder, tokenize::Tokenizer};

/// A table of rows, and who has which.
pub(super) struct Table {
    tokenizer: Tokenizer,
    rows: Array2<f32>,
    /// Token → row; none where they are the same.
    mapping: Option<Vec<usize>>,
    /// Token → factor; none where all are 1.
    weights: Option<Vec<f32>>,
    unknown: Option<u32>,
}

impl Table {
    /// Loads the table that belongs to `tokenizer`.
    pub(super) fn open(folder: &StaticFolder, tokenizer: Tokenizer) -> Result<Self, Error> {
        let path = &folder.weights;
        let bytes = fs_err::read(path)?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|source| Error::Weights { path: path.clone(), source })?;
        let named = ["embeddings", "embedding.weight"].into_iter().find_map(|name| tensors.tensor(name).ok());
        let Some(rows) = named else {
            let found = format!("{:?}", tensors.names());
            return Err(misfit(path, "tensors", found, "`embeddings` or `embedding.weight`"));
        };
        let [count, dim] = rows.shape()[..] else {
            return Err(misfit(
                path,
                "embeddings",
                format!("of shape {:?}", rows.shape()),
                "rows × dimensions",
            ));
        };
        let rows = Array2::from_shape_vec((count, dim), floats(path, "embeddings", &rows)?)
            .map_err(|error| misfit(path, "embeddings", error.to_string(), "whole"))?;
        let weights = tensors.tensor("weights").ok();
        let weights = weights.map(|weights| floats(path, "weights", &weights)).transpose()?;
        let mapping = tensors.tensor("mapping").ok();
        let mapping = mapping.map(|mapping| indices(path, &mapping)).transpose()?;
        let table = Self { unknown: tokenizer.unknown(), tokenizer, rows, mapping, weights };
        table.check(path)?;
        Ok(table)
    }

    /// Every token must have a row: texts are not asked again.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let tokens = self.tokenizer.vocabulary();
        let expected = "one for each of the tokenizer's tokens";
        match (&self.mapping, &self.weights) {
            (None, _) if self.rows.nrows() < tokens => {
                Err(misfit(path, "embeddings", format!("{} rows", self.rows.nrows()), expected))
            }
            (Some(mapping), _) if mapping.len() < tokens => {
                Err(misfit(path, "mapping", format!("{} numbers", mapping.len()), expected))
            }
            (Some(mapping), _) if mapping.iter().any(|row| *row >= self.rows.nrows()) => {
                Err(misfit(path, "mapping", "beyond the last row".to_owned(), "below the number of rows"))
            }
            (_, Some(weights)) if weights.len() < tokens => {
                Err(misfit(path, "weights", format!("{} numbers", weights.len()), expected))
            }
            _ => Ok(()),
        }
    }

    /// Length of a row.
    pub(super) fn dim(&self) -> usize {
        self.rows.ncols()
    }

    /// The mean row of `tokens`, unknown ones left out.
    fn mean(&self, tokens: &[u32], mut out: ndarray::ArrayViewMut1<'_, f32>) -> usize {
        let mut known = 0;
        for &token in tokens.iter().filter(|token| Some(**token) != self.unknown) {
            let token = token as usize;
            let row = self.mapping.as_ref().map_or(token, |mapping| mapping[token]);
            let weight = self.weights.as_ref().map_or(1.0, |weights| weights[token]);
            let row: ArrayView1<'_, f32> = self.rows.row(row);
            out.scaled_add(weight, &row);
            known += 1;
        }
        let share = (known.max(1) as f32).recip();
        out.mapv_inplace(|value| value * share);
        known
    }
}

impl Backend for Table {
    /// A text without a known token gets a row of zeros, which has no direction and is refused later.
    fn run(&self, texts: &[&str]) -> Result<Run, Error> {
        let tokens = self.tokenizer.encode(texts)?;
        let mut run = Run::new(texts.len(), self.dim());
        let rows = run.rows.axis_iter_mut(ndarray::Axis(0)).into_par_iter();
        run.tokens = rows.zip(&tokens).map(|(row, tokens)| self.mean(tokens.ids(), row)).sum();
        run.truncated = tokens.iter().map(super::tokenize::Tokens::truncated).collect();
        Ok(run)
    }
}

fn misfit(path: &Path, key: &str, found: String, expected: &str) -> Error {
    Error::Model { path: path.to_path_buf(), key: key.to_owned(), found, expected: expected.to_owned() }
}

/// The numbers of a tensor as `f32`.
pub(super) fn floats(path: &Path, name: &str, tensor: &TensorView<'_>) -> Result<Vec<f32>, Error> {
    let bytes = tensor.data();
    let two = |read: fn([u8; 2]) -> f32| bytes.as_chunks().0.iter().map(|it| read(*it)).collect();
    Ok(match tensor.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect(),
        Dtype::F64 => bytes.as_chunks().0.iter().map(|it| f64::from_le_bytes(*it) as f32).collect(),
        Dtype::F16 => two(|it| f16::from_le_bytes(it).to_f32()),
        Dtype::BF16 => two(|it| bf16::from_le_bytes(it).to_f32()),
        Dtype::I8 => bytes.iter().map(|it| f32::from(it.cast_signed())).collect(),
        other => {
            return Err(misfit(path, name, format!("{other:?}"), "F32, F16, BF16, F64 or I8"));
        }
    })
}

fn indices(path: &Path, tensor: &TensorView<'_>) -> Result<Vec<usize>, Error> {
    let bytes = tensor.data();
    Ok(match tensor.dtype() {
        Dtype::I64 => bytes.as_chunks().0.iter().map(|it| i64::from_le_bytes(*it) as usize).collect(),
        Dtype::I32 => bytes.as_chunks().0.iter().map(|it| i32::from_le_bytes(*it) as usize).collect(),
        Dtype::U32 => bytes.as_chunks().0.iter().map(|it| u32::from_le_bytes(*it) as usize).collect(),
        Dtype::U64 => bytes.as_chunks().0.iter().map(|it| u64::from_le_bytes(*it) as usize).collect(),
        other => return Err(misfit(path, "mapping", format!("{other:?}"), "I64, I32, U64 or U32")),
    })
}
