//! What was chosen when a model was loaded.

use std::{fmt, path::PathBuf};

use super::{Note, Pooling, Provider};

/// What [`Embedder::open`](super::Embedder::open) chose, for a log line.
#[derive(Debug, Clone)]
pub struct Report {
    /// The model's folder, or its name at the endpoint.
    pub model: String,
    /// What makes the embeddings.
    pub engine: Engine,
    /// Tokens after which a text, or a window of it, is cut; only the endpoint knows for a remote model.
    pub max_tokens: Option<usize>,
    /// What did not go as asked.
    pub notes: Vec<Note>,
}

/// What makes embeddings.
#[derive(Debug, Clone)]
pub enum Engine {
    /// An encoder in ONNX Runtime.
    Encoder {
        /// The library in use.
        onnxruntime: PathBuf,
        /// What the model runs on.
        provider: Provider,
        /// Threads of inference.
        threads: usize,
        /// The least cosine to fp32's embeddings over a few texts; `None` for fp32 itself.
        agreement: Option<f32>,
        /// How token vectors become one.
        pooling: Pooling,
    },
    /// A static model's table.
    Table,
    /// An endpoint elsewhere.
    Remote {
        /// Its address.
        url: String,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.model;
        match &self.engine {
            Engine::Encoder { onnxruntime, provider, threads, agreement, .. } => {
                write!(f, "{provider} on {threads} threads")?;
                if let Some(cosine) = agreement {
                    write!(f, ", cosine {cosine:.5} to fp32")?;
                }
                if let Some(tokens) = self.max_tokens {
                    write!(f, ", {tokens} tokens of a text")?;
                }
                write!(f, "; {model}, {}", onnxruntime.display())?;
            }
            Engine::Table => write!(f, "static model {model}")?,
            Engine::Remote { url } => write!(f, "{model} at {url}")?,
        }
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}
