//! A model loaded into ONNX Runtime: token ids in, one row a text out.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Axis, Ix3};
use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
    value::{Outlet, Tensor, ValueType},
};

use super::{Error, Folder, Provider, batch::Batch, pool};

/// A loaded model. `run` takes turns: one batch uses all its threads.
pub(super) struct Encoder {
    session: Mutex<Session>,
    folder: Folder,
    takes_types: bool,
    output: String,
}

impl Encoder {
    /// Loads the model on `provider`.
    pub(super) fn open(
        environment: &Environment,
        folder: &Folder,
        provider: Provider,
        threads: usize,
    ) -> Result<Self, Error> {
        let session = commit(environment, folder, provider, threads)
            .map_err(|source| Error::Session { path: folder.onnx.clone(), source })?;
        let names: Vec<&str> = session.inputs().iter().map(Outlet::name).collect();
        for needed in ["input_ids", "attention_mask"] {
            if !names.contains(&needed) {
                return Err(misfit(folder, "inputs", format!("{names:?}"), format!("`{needed}` and others")));
            }
        }
        if let Some(unknown) = names.iter().find(|name| !INPUTS.contains(*name)) {
            return Err(misfit(folder, "inputs", format!("`{unknown}`"), format!("among {INPUTS:?}")));
        }
        let takes_types = names.contains(&INPUTS[2]);
        let output = token_vectors(&session, folder)?;
        Ok(Self { session: Mutex::new(session), folder: folder.clone(), takes_types, output })
    }

    /// Each text's pooled vector (not normalised), in the batch's order.
    pub(super) fn run(&self, batch: &Batch) -> Result<Array2<f32>, Error> {
        let failed = |source| Error::Run { rows: batch.texts.len(), tokens: batch.width, source };
        let (ids, mask) = padded(batch);
        let mut inputs =
            vec![(INPUTS[0], tensor(ids).map_err(failed)?), (INPUTS[1], tensor(mask).map_err(failed)?)];
        if self.takes_types {
            inputs
                .push((INPUTS[2], tensor(Array2::zeros((batch.texts.len(), batch.width))).map_err(failed)?));
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(inputs).map_err(failed)?;
        let vectors = outputs[self.output.as_str()].try_extract_array::<f32>().map_err(failed)?;
        let expected = [batch.texts.len(), batch.width, self.folder.dim];
        let vectors = match vectors.into_dimensionality::<Ix3>() {
            Ok(vectors) if vectors.shape() == expected => vectors,
            _ => {
                return Err(misfit(
                    &self.folder,
                    &self.output,
                    "of another shape".to_owned(),
                    format!("{expected:?}"),
                ));
            }
        };
        let mut rows = Array2::zeros((batch.texts.len(), self.folder.dim));
        for (((_, tokens), vectors), mut row) in
            batch.texts.iter().zip(vectors.axis_iter(Axis(0))).zip(rows.rows_mut())
        {
            if let Some(row) = row.as_slice_mut() {
                pool::pool(&vectors, tokens.ids().len(), self.folder.pooling, row);
            }
        }
        Ok(rows)
    }
}

/// What an encoder of the BERT family may ask for, in the order of this room's tensors.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

fn commit(
    environment: &Environment,
    folder: &Folder,
    provider: Provider,
    threads: usize,
) -> Result<Session, ort::Error> {
    let builder: SessionBuilder = Session::builder(environment)?;
    let mut builder = match provider.dispatch(threads) {
        // OpenVINO has threads of its own; ONNX Runtime's would only spin beside them.
        Some(dispatch) => builder.with_intra_threads(1)?.with_execution_providers([dispatch])?,
        None => builder.with_intra_threads(threads)?,
    };
    builder.commit_from_file(&folder.onnx)
}

/// The name of the output that holds a vector for each token, checked for type and dimension.
fn token_vectors(session: &Session, folder: &Folder) -> Result<String, Error> {
    let is_token_vectors = |outlet: &&Outlet| match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            *ty == ort::value::TensorElementType::Float32 && shape.len() == 3
        }
        _ => false,
    };
    let Some(outlet) = session.outputs().iter().find(is_token_vectors) else {
        let found = session.outputs().iter().map(|outlet| format!("`{}`", outlet.name())).collect::<Vec<_>>();
        return Err(misfit(
            folder,
            "outputs",
            found.join(", "),
            "one of float32, batch × sequence × dim".to_owned(),
        ));
    };
    match outlet.dtype() {
        // -1 is a dimension that the graph leaves open; `run` checks it then.
        ValueType::Tensor { shape, .. } if shape[2] >= 0 && shape[2] as usize != folder.dim => Err(misfit(
            folder,
            outlet.name(),
            format!("of dimension {}", shape[2]),
            format!("{}", folder.dim),
        )),
        _ => Ok(outlet.name().to_owned()),
    }
}

fn misfit(folder: &Folder, key: &str, found: String, expected: String) -> Error {
    Error::Model { path: folder.onnx.clone(), key: key.to_owned(), found, expected }
}

/// `texts × width` ids and mask, padding 0 in both: what stands under a mask of 0 does not matter.
fn padded(batch: &Batch) -> (Array2<i64>, Array2<i64>) {
    let shape = (batch.texts.len(), batch.width);
    let (mut ids, mut mask) = (Array2::zeros(shape), Array2::zeros(shape));
    for (row, (_, tokens)) in batch.texts.iter().enumerate() {
        for (column, &id) in tokens.ids().iter().enumerate() {
            ids[[row, column]] = i64::from(id);
            mask[[row, column]] = 1;
        }
    }
    (ids, mask)
}

fn tensor(values: Array2<i64>) -> Result<Tensor<i64>, ort::Error> {
    Tensor::from_array(values)
}
