//! BERTopic's saved format, the folder that `topic_model.save(folder, serialization="safetensors")` writes: `topics.json`,
//! `config.json`, `topic_embeddings.safetensors`, and with `save_ctfidf=True` `ctfidf_config.json` and
//! `ctfidf.safetensors`.
//!
//! Source: BERTopic 0.17.4, `bertopic/_save_utils.py` and `_bertopic.py` (`save`, `_create_model_from_files`).

pub mod read;
pub mod write;

use std::path::PathBuf;

/// Why a saved model cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("`{}` cannot be used; name the folder that BERTopic's `save` wrote with `serialization=\"safetensors\"`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The folder holds what no export made.
    #[error("`{}` holds something that `topicd export` did not make; name an empty folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`; name a folder that you may write to, on a disk with room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A JSON file is not what BERTopic writes.
    #[error("`{}` is not what BERTopic 0.17 writes; save the model again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The embeddings are not what BERTopic writes.
    #[error("`{}` does not hold topic embeddings; save the model again with `serialization=\"safetensors\"`", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Topics and embeddings do not belong together.
    #[error("`{}` holds {rows} embeddings of {dim} numbers for {topics} topics; save the model again", path.display())]
    Shape {
        /// The embeddings' file.
        path: PathBuf,
        /// Rows found.
        rows: usize,
        /// Numbers in a row.
        dim: usize,
        /// Topics, with −1 if there are outliers.
        topics: usize,
    },
}

#[cfg(test)]
mod tests;
