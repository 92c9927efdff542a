//! Texts to unit rows: any sentence-transformer in ONNX, on the fastest provider and precision that the machine has.
//!
//! `folder` reads what the model says of itself, `tokenize` splits texts, `batch` groups them by length under a budget
//! of tokens, `session` runs a group through ONNX Runtime, `pool` makes one vector of a text's token vectors.
//!
//! An embedding depends on its text alone: order and company in a batch change it by less than 1e-5 in cosine at fp32
//! and 1e-3 at bf16 (a test each), because padding is masked in attention and left out of pooling.

mod batch;
mod error;
mod folder;
mod locate;
mod pool;
mod runtime;
mod session;
mod tokenize;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use ndarray::Array2;
use sha2::{Digest, Sha256};

pub use self::{
    error::Error,
    folder::{Folder, Pooling},
    locate::cache,
    runtime::Provider,
};
use self::{session::Encoder, tokenize::Tokenizer};
use crate::kernel::unit::UnitRows;

/// Which model, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// A folder in the Hugging Face layout, or the name of one under `models/` in the cache.
    pub model: PathBuf,
    /// ONNX Runtime's library or its folder; by default `$ORT_DYLIB_PATH`, else the cache's.
    pub onnxruntime: Option<PathBuf>,
    /// Tokens of a text that count, special ones included; by default what the model was made for. At least 8.
    pub max_tokens: Option<usize>,
    /// Tokens that go through the model at once, padding counted. At least 1. More is slower: ten texts already fill
    /// the multiplications, larger batches leave the CPU's caches and are padded more. Memory grows with it.
    pub batch_tokens: usize,
    /// Threads of inference; 0 for all cores.
    pub threads: usize,
    /// Arithmetic to run in.
    pub precision: Precision,
}

/// Arithmetic of inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where the CPU multiplies it in hardware and the runtime knows how, else fp32.
    #[default]
    Auto,
    /// fp32.
    Fp32,
    /// bf16 where the runtime offers it, hardware or not, else fp32.
    Bf16,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            model: PathBuf::from("all-MiniLM-L6-v2"),
            onnxruntime: None,
            max_tokens: None,
            batch_tokens: 2048,
            threads: 0,
            precision: Precision::Auto,
        }
    }
}

/// [`Params`] whose numbers are in range; only [`Params::check`] makes it.
#[derive(Debug, Clone)]
pub struct Checked(Params);

impl Params {
    /// Checks the numbers. Files are looked at by [`Embedder::open`].
    pub fn check(self) -> Result<Checked, Error> {
        let wrong = |key, value, expected| Err(Error::Setting { key, value, expected });
        match self.max_tokens {
            Some(value @ 0..8) => return wrong("max_tokens", value, "at least 8"),
            _ if self.batch_tokens == 0 => return wrong("batch_tokens", 0, "at least 1"),
            _ if self.threads > 1024 => return wrong("threads", self.threads, "at most 1024"),
            _ => {}
        }
        Ok(Checked(self))
    }
}

/// A loaded model. `Send` and `Sync`; calls from several threads take turns at the model.
pub struct Embedder {
    encoder: Encoder,
    tokenizer: Tokenizer,
    batch_tokens: usize,
    dim: usize,
    name: String,
    report: Report,
}

/// What [`Embedder::open`] chose, for a log line.
#[derive(Debug, Clone)]
pub struct Report {
    /// The model's folder.
    pub model: PathBuf,
    /// The library in use.
    pub onnxruntime: PathBuf,
    /// What the model runs on.
    pub provider: Provider,
    /// Threads of inference.
    pub threads: usize,
    /// Tokens after which a text is cut.
    pub max_tokens: usize,
    /// What did not go as asked.
    pub notes: Vec<Note>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (model, library) = (self.model.display(), self.onnxruntime.display());
        write!(
            f,
            "{} on {} threads, {} tokens of a text; {model}, {library}",
            self.provider, self.threads, self.max_tokens
        )?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// Something that an operator may want to know.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Note {
    /// A faster provider refused the model, or is not in this build of ONNX Runtime; the next one was tried.
    #[error("{provider} is not available: {reason}")]
    ProviderRefused {
        /// Which.
        provider: Provider,
        /// What ONNX Runtime says.
        reason: String,
    },
}

/// The rows of some texts, and what was seen on the way.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// One row a text, in the texts' order.
    pub rows: UnitRows,
    /// Texts that went on beyond the last token that counts.
    pub truncated: usize,
    /// Tokens of the texts, special ones included.
    pub tokens: usize,
    /// Tokens that went through the model beside them, to fill batches up.
    pub padding: usize,
}

impl Embedder {
    /// Loads the runtime (once a process) and the model, about a second; picks provider and precision.
    pub fn open(params: &Checked) -> Result<Self, Error> {
        let params = &params.0;
        let folder = Folder::read(&locate::model(&params.model)?)?;
        let max_tokens = params.max_tokens.unwrap_or(folder.max_tokens);
        if max_tokens > folder.positions {
            return Err(Error::Model {
                path: folder.path.join("config.json"),
                key: "max_position_embeddings".to_owned(),
                found: folder.positions.to_string(),
                expected: format!("at least `embed.max_tokens`, {max_tokens}"),
            });
        }
        let threads = match params.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        };
        let library = locate::library(params.onnxruntime.as_deref())?;
        let environment = runtime::load(&library)?;
        let tokenizer = Tokenizer::open(&folder, max_tokens)?;
        let name = name(&folder)?;
        let candidates = Provider::candidates(params.precision);
        let (encoder, provider, notes) = Encoder::open(&environment, &folder, candidates, threads)?;
        let report =
            Report { model: folder.path.clone(), onnxruntime: library, provider, threads, max_tokens, notes };
        Ok(Self { encoder, tokenizer, batch_tokens: params.batch_tokens, dim: folder.dim, name, report })
    }

    /// Length of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Identifies the model across machines and runs, `FOLDER@HASH` with a hash of its weights: rows of two names are
    /// not comparable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was chosen when the model was loaded.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Embeds `texts`; blocks while it computes. No texts give no rows.
    ///
    /// O(n · tokens) at some hundred documents a second; a caller who wants progress or an end gives a thousand at a
    /// time, which already fills batches to under 2 % padding.
    pub fn embed(&self, texts: &[&str]) -> Result<Embedded, Error> {
        let tokens = self.tokenizer.encode(texts)?;
        let lengths: Vec<usize> = tokens.iter().map(|tokens| tokens.ids().len()).collect();
        let mut rows = Array2::zeros((texts.len(), self.dim));
        let mut run = 0;
        for batch in batch::plan(&lengths, self.batch_tokens) {
            self.encoder.run(&batch, &tokens, &mut rows)?;
            run += batch.texts.len() * batch.width;
        }
        let real = lengths.iter().sum();
        Ok(Embedded {
            rows: UnitRows::normalise(rows)?,
            truncated: tokens.iter().filter(|tokens| tokens.truncated()).count(),
            tokens: real,
            padding: run - real,
        })
    }
}

/// `FOLDER@` and 12 hexadecimal digits of the SHA-256 of the weights.
fn name(folder: &Folder) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for file in weights(&folder.onnx) {
        let mut reader = BufReader::with_capacity(1 << 20, fs_err::File::open(file)?);
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            hash.update(chunk);
            let read = chunk.len();
            reader.consume(read);
        }
    }
    let digits = hash.finalize().iter().take(6).fold(0_u64, |digits, &byte| digits << 8 | u64::from(byte));
    let called = fs_err::canonicalize(&folder.path)?;
    let called = called.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(format!("{called}@{digits:012x}"))
}

/// The ONNX file and, for models over 2 GB, the file with its weights.
fn weights(onnx: &Path) -> impl Iterator<Item = PathBuf> {
    let external = onnx.with_file_name("model.onnx_data");
    [onnx.to_path_buf()].into_iter().chain(Some(external).filter(|file| file.is_file()))
}
