//! What can be wrong with a model, its runtime or its settings.

use std::{io, path::PathBuf};

use crate::kernel::unit;

/// Why texts can't be embedded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of its range.
    #[error("`embed.{key}` is {value} but must be {expected}")]
    Setting {
        /// The key in the section `embed`.
        key: &'static str,
        /// What it was set to.
        value: usize,
        /// What is allowed.
        expected: &'static str,
    },
    /// Neither a folder nor a model in the cache.
    #[error("there is no model `{}`{}; run deploy/setup, or point `embed.model` at a folder in the Hugging Face layout",
        model.display(), cached.as_ref().map(|path| format!(" (nor {})", path.display())).unwrap_or_default())]
    NoModel {
        /// The model asked for.
        model: PathBuf,
        /// Where the cache would have it, if the name is a bare one.
        cached: Option<PathBuf>,
    },
    /// A file can't be read; the message names it.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A file is not the JSON that it should be.
    #[error("`{}` is not readable as JSON of the expected shape", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A file of the model lacks something or asks for something that topicd can't do.
    #[error("`{}`: {key} is {found} but must be {expected}; choose another model", path.display())]
    Model {
        /// The file at fault.
        path: PathBuf,
        /// The key, input or output in it.
        key: String,
        /// What was found.
        found: String,
        /// What topicd can work with.
        expected: String,
    },
    /// `tokenizer.json` can't be read or used.
    #[error("`{}` is not a usable tokenizer", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library says.
        source: tokenizers::Error,
    },
    /// A text can't be tokenised.
    #[error("text {text} of the batch can't be tokenised")]
    Tokenise {
        /// Its index among the texts given.
        text: usize,
        /// What the tokenizer library says, if it said anything: a text may also have no tokens at all.
        source: Option<tokenizers::Error>,
    },
    /// ONNX Runtime is nowhere.
    #[error("there is no ONNX Runtime at `{}`; run deploy/setup, or set `embed.onnxruntime` or ORT_DYLIB_PATH to \
        libonnxruntime.so (1.24 or later)", place.display())]
    NoRuntime {
        /// The last place looked at.
        place: PathBuf,
    },
    /// The library was found but is not a usable ONNX Runtime.
    #[error("`{}` can't be loaded as ONNX Runtime; run deploy/setup for one that works", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        source: ort::LoadDynamicError,
    },
    /// A process can load one ONNX Runtime only.
    #[error("`{}` can't be loaded because this process already uses `{}`; restart it", asked.display(), loaded.display())]
    OtherRuntime {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for now.
        asked: PathBuf,
    },
    /// ONNX Runtime refuses the model.
    #[error("ONNX Runtime can't use `{}`", path.display())]
    Session {
        /// The ONNX file.
        path: PathBuf,
        /// What it says.
        source: ort::Error,
    },
    /// Inference failed.
    #[error(
        "inference failed on a batch of {rows} texts of {tokens} tokens; try a smaller `embed.batch_tokens`"
    )]
    Run {
        /// Texts in the batch.
        rows: usize,
        /// Tokens of each, with padding.
        tokens: usize,
        /// What ONNX Runtime says.
        source: ort::Error,
    },
    /// The model returned something that is no direction.
    #[error("the model's output is unusable")]
    Rows(#[from] unit::Error),
}
