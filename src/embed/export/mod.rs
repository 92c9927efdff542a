//! An ONNX file of an encoder's safetensors weights, so that nobody needs Python for it.
//!
//! `weights` reads `model.safetensors`, `family` knows what each family calls its tensors, `encoder` writes the
//! encoder down layer by layer, `onnx` is the file format. Inputs `input_ids`, `attention_mask`, `token_type_ids`
//! (batch × sequence, int64), output `last_hidden_state` (batch × sequence × hidden, float32), opset 17.

mod encoder;
mod family;
mod onnx;
mod weights;

use std::path::{Path, PathBuf};

use prost::Message;

use self::{encoder::Encoder, family::Plan, weights::Weights};
use super::Error;

/// Protobuf's own bound of a message.
const MOST_BYTES: usize = (1 << 31) - 1;

/// Writes `onnx/model.onnx` of `folder`'s `config.json` and `model.safetensors`, whole or not at all; the path. Refuses to
/// replace one. Needs about three times the weights' size in memory.
pub fn export(folder: &Path) -> Result<PathBuf, Error> {
    let target = folder.join("onnx/model.onnx");
    if target.exists() {
        return Err(Error::OnnxThere { onnx: target });
    }
    let path = folder.join("model.safetensors");
    let bytes = fs_err::read(&path)?;
    let plan = Plan::read(&folder.join("config.json"))?;
    let model = Encoder::new(&plan, Weights::read(&path, &bytes, plan.prefix)?).model()?;
    if model.encoded_len() > MOST_BYTES {
        return Err(Error::Model {
            path,
            key: "size".to_owned(),
            found: format!("{} bytes", bytes.len()),
            expected: "below 2 GiB in fp32".to_owned(),
        });
    }
    let part = folder.join("onnx/model.onnx.part");
    fs_err::create_dir_all(folder.join("onnx"))?;
    fs_err::write(&part, model.encode_to_vec())?;
    fs_err::File::open(&part)?.sync_all()?;
    fs_err::rename(&part, &target)?;
    Ok(target)
}

#[cfg(test)]
mod tests;
