//! A model that BERTopic saved.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::Error;

/// A saved model, as far as topicd understands it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The name of its embedding model, if it was given by name.
    pub embedding_model: Option<String>,
    /// Its topics in the order of their ids, without −1.
    pub topics: Vec<SavedTopic>,
}

/// One topic of a saved model.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedTopic {
    /// Its id there.
    pub id: i64,
    /// Its custom label, or its best four words.
    pub label: String,
    /// Its words with their scores, best first.
    pub words: Vec<(String, f64)>,
    /// Its documents.
    pub size: u64,
    /// The mean of its documents' embeddings (`d` numbers); BERTopic does not keep its length at 1.
    pub embedding: Vec<f32>,
}

/// Words that name a topic without a custom label.
const WORDS: usize = 4;

#[derive(Deserialize)]
struct Topics {
    topic_representations: BTreeMap<String, Vec<(String, f64)>>,
    #[serde(default)]
    topic_sizes: BTreeMap<String, u64>,
    #[serde(default)]
    custom_labels: Option<Vec<String>>,
    #[serde(default)]
    topic_labels: BTreeMap<String, String>,
    #[serde(default, rename = "_outliers")]
    outliers: usize,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    embedding_model: Option<String>,
}

/// Reads the folder that BERTopic wrote.
///
/// # Errors
/// A file is missing, is something else, or topics and embeddings do not belong together.
pub fn read(folder: &Path) -> Result<Saved, Error> {
    let topics: Topics = json(&folder.join("topics.json"))?;
    let config: Config = json(&folder.join("config.json"))?;
    let (rows, dim) = embeddings(&folder.join("topic_embeddings.safetensors"))?;
    let mut ids: Vec<i64> = topics.topic_representations.keys().filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    let n = rows.len() / dim.max(1);
    // Row 0 is −1 where there are outliers; custom labels follow the same order.
    if dim == 0 || n != ids.len() || ids.first().is_some_and(|id| (*id < 0) != (topics.outliers > 0)) {
        let path = folder.join("topic_embeddings.safetensors");
        return Err(Error::Shape { path, rows: n, dim, topics: ids.len() });
    }
    let found = ids.iter().zip(rows.chunks(dim.max(1))).enumerate().filter(|(_, (id, _))| **id >= 0);
    let topics = found.map(|(row, (id, embedding))| {
        let words: Vec<(String, f64)> = (topics.topic_representations[&id.to_string()].iter())
            .filter(|(word, _)| !word.is_empty())
            .cloned()
            .collect();
        let best: Vec<&str> = words.iter().take(WORDS).map(|(word, _)| word.as_str()).collect();
        // Where only some topics have a custom label, BERTopic gives the others the label that it makes itself.
        let made = topics.topic_labels.get(&id.to_string());
        let custom = topics.custom_labels.as_ref().and_then(|labels| labels.get(row));
        let custom = custom.filter(|label| Some(*label) != made).cloned();
        SavedTopic {
            id: *id,
            label: custom.unwrap_or_else(|| best.join(", ")),
            size: topics.topic_sizes.get(&id.to_string()).copied().unwrap_or(0),
            embedding: embedding.to_vec(),
            words,
        }
    });
    Ok(Saved { embedding_model: config.embedding_model, topics: topics.collect() })
}

fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&bytes(path)?).map_err(|source| Error::Json { path: path.to_owned(), source })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs_err::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// The tensor `topic_embeddings`, row after row, and the length of a row.
fn embeddings(path: &Path) -> Result<(Vec<f32>, usize), Error> {
    let bytes = bytes(path)?;
    let failed = |source| Error::Tensors { path: path.to_owned(), source };
    let tensors = SafeTensors::deserialize(&bytes).map_err(failed)?;
    let tensor = tensors.tensor("topic_embeddings").map_err(failed)?;
    let shape = || Error::Shape { path: path.to_owned(), rows: 0, dim: 0, topics: 0 };
    let &[_, dim] = tensor.shape() else { return Err(shape()) };
    let data = tensor.data();
    let values = match tensor.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F64 => data
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        _ => return Err(shape()),
    };
    Ok((values, dim))
}
