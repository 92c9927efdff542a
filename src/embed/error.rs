//! What can be wrong with a model, its runtime, its endpoint or its settings.

use std::{io, path::PathBuf};

use crate::built::Without;
use crate::client;
use crate::kernel::unit;

/// Why texts can't be embedded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model's name that no hub has.
    #[error("`{name}` is no model's name; write it as NAME or OWNER/NAME")]
    Name {
        /// The name given.
        name: String,
    },
    /// The hub has not what was asked for, or is out of reach.
    #[error(
        "cannot {doing} of `{name}`; what was fetched is kept, so try again, or look at name, --revision, --endpoint \
        and --token"
    )]
    Hub {
        /// The model.
        name: String,
        /// What was being done.
        doing: String,
        /// What the client says.
        source: client::Error,
    },
    /// The hub's address is none.
    #[error("`{endpoint}` is no address of a hub; write --endpoint as https://HOST")]
    Endpoint {
        /// As given.
        endpoint: String,
    },
    /// The folder would be replaced, and holds what no pull has made.
    #[error("`{}` holds something that `topicd model pull` did not make; name an empty folder with --into, or \
        delete it yourself", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// What the hub sent is not what it said it would.
    #[error(
        "`{file}` of `{name}` has checksum {found} but must have {expected}; it was thrown away, so try again"
    )]
    Checksum {
        /// The model.
        name: String,
        /// The file.
        file: String,
        /// Of what came.
        found: String,
        /// Of what the hub has.
        expected: String,
    },
    /// The hub's model has no weights that can be used.
    #[error("`{name}` has neither onnx/model.onnx nor model.safetensors; choose another model")]
    NoWeights {
        /// The model.
        name: String,
    },
    /// This binary lacks what the settings or a command ask for.
    #[error(transparent)]
    Without(#[from] Without),
    /// A setting is out of its range.
    #[error("`embed.{key}` is {value} but must be {expected}")]
    Setting {
        /// The key in the section `embed`.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// Neither a folder nor a model in the cache.
    #[error("there is no model `{}`{}; fetch it with `topicd model pull`, or point `embed.model` at a folder in the \
        Hugging Face layout (`topicd setup` fetches all-MiniLM-L6-v2)",
        model.display(), cached.as_ref().map(|path| format!(" (nor {})", path.display())).unwrap_or_default())]
    NoModel {
        /// The model asked for.
        model: PathBuf,
        /// Where the cache would have it, if the name may be one.
        cached: Option<PathBuf>,
    },
    /// The folder holds a model, but not as ONNX.
    #[error("`{}` is missing but `{}` is there; make the one of the other with `topicd model export {}`",
        onnx.display(), weights.display(), folder.display())]
    NoOnnx {
        /// The model's folder.
        folder: PathBuf,
        /// What is missing.
        onnx: PathBuf,
        /// What is there.
        weights: PathBuf,
    },
    /// The folder holds an ONNX file already.
    #[error("`{}` is there already; delete it to make it anew", onnx.display())]
    OnnxThere {
        /// The file.
        onnx: PathBuf,
    },
    /// A file can't be read; the message names it.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A file is not the JSON that it should be.
    #[error("`{}` is not readable as JSON of the expected shape; fetch it again", path.display())]
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
        /// The key, input, output or tensor in it.
        key: String,
        /// What was found.
        found: String,
        /// What topicd can work with.
        expected: String,
    },
    /// The weights are no safetensors, or cut short.
    #[error("`{}` is not readable as safetensors; fetch it again, it may be cut short", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: safetensors::SafeTensorError,
    },
    /// `tokenizer.json` can't be read or used.
    #[error("`{}` is not a usable tokenizer; fetch it again, or choose another model", path.display())]
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
    #[error("there is no ONNX Runtime at `{}`; run `topicd setup`, or set `embed.onnxruntime` or ORT_DYLIB_PATH to \
        libonnxruntime.so (1.24 or later)", place.display())]
    NoRuntime {
        /// The last place looked at.
        place: PathBuf,
    },
    /// The library was found but is not a usable ONNX Runtime.
    #[error("`{}` can't be loaded as ONNX Runtime; run `topicd setup` for one that works", path.display())]
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
    #[error("ONNX Runtime can't use `{}`; it must be a whole ONNX file of an encoder: fetch or export it again",
        path.display())]
    Session {
        /// The ONNX file.
        path: PathBuf,
        /// What it says.
        source: ort::Error,
    },
    /// Every provider that could be tried computes something else than fp32.
    #[error(
        "no provider computes this model as fp32 does; set `embed.provider` and `embed.precision` to \"auto\""
    )]
    NoProvider,
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
    /// The thread that tokenises ended before its work was done.
    #[error("the tokenizer stopped in the middle of a batch")]
    TokeniserGone,
    /// The model returned something that is no direction.
    #[error("the model's output is unusable")]
    Rows(#[from] unit::Error),
    /// The endpoint could not be asked, or could not answer now.
    #[error("`{url}` gave no embeddings after {attempts} attempts: {detail}; see `embed.remote`")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// How often it was asked.
        attempts: u32,
        /// The last attempt's fault.
        detail: String,
    },
    /// The endpoint refused the request.
    #[error("`{url}` refused: {status}, {detail}; see `embed.remote` and the endpoint's log")]
    Refused {
        /// The endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The start of its answer.
        detail: String,
    },
    /// The endpoint answered, but not as `/v1/embeddings` must.
    #[error(
        "`{url}` answered with {found} but must answer with {expected}; is it an OpenAI-compatible endpoint?"
    )]
    Answer {
        /// The endpoint.
        url: String,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
    },
}

impl Error {
    /// True if there was no answer: no text is at fault, and the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// True if this comes from an endpoint, not from a file or a setting here.
    pub fn is_from_an_endpoint(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::Answer { .. })
    }

    /// The error with its causes, on one line.
    pub fn in_full(&self) -> String {
        in_full(self)
    }
}

/// `error` with its causes, on one line.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
