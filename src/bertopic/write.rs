//! A model as BERTopic loads it: `BERTopic.load(folder)` gives its topics, and `transform` the nearest of them.
//!
//! BERTopic's topics are numbered from 0 without a gap, −1 for outliers, row `id + 1` of the embeddings; ours have
//! gaps, because an id is never used twice. `topicd.json`, which BERTopic does not read, says which is which.
//! Not written: c-TF-IDF (as after `save(…, save_ctfidf=False)`), which BERTopic then computes from documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use crate::keywords::Keyword;
use crate::model::state::State;
use crate::model::topic::TopicId;

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// Numbers in an embedding.
    pub dim: usize,
    /// The outliers.
    pub outliers: ExportedTopic,
    /// The topics, largest first.
    pub topics: Vec<(TopicId, ExportedTopic)>,
    /// The topic of each document that is kept, oldest first.
    pub documents: Vec<Option<TopicId>>,
}

/// One topic of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedTopic {
    /// Its name.
    pub name: String,
    /// Its documents.
    pub size: u64,
    /// Its keywords.
    pub words: Vec<Keyword>,
    /// Other lists beside them, by name.
    pub aspects: BTreeMap<String, Vec<Keyword>>,
    /// Its centroid, of length 1.
    pub embedding: Vec<f32>,
}

/// What an export holds beside BERTopic's files.
const MADE_HERE: &str = "topicd.json";
/// Words of a label as BERTopic makes it.
const WORDS: usize = 4;

impl Export {
    /// The model of `state`.
    pub fn of(state: &State) -> Self {
        let mut topics: Vec<(TopicId, ExportedTopic)> = (state.topics().iter())
            .map(|(id, record)| {
                let topic = ExportedTopic {
                    name: record.topic.name.clone(),
                    size: record.sums.documents,
                    words: record.topic.keywords.clone(),
                    aspects: record.topic.aspects.clone(),
                    embedding: record.topic.centroid.clone(),
                };
                (*id, topic)
            })
            .collect();
        topics.sort_by_key(|(id, topic)| (std::cmp::Reverse(topic.size), *id));
        let outliers = ExportedTopic {
            name: "outliers".to_owned(),
            size: state.outliers().documents,
            words: Vec::new(),
            aspects: BTreeMap::new(),
            embedding: state.outliers().centroid().unwrap_or_else(|| vec![0.0; state.dim()]),
        };
        let documents = state.held().iter().map(|(.., standing)| standing.topic).collect();
        Self { dim: state.dim(), outliers, topics, documents }
    }

    /// Writes the folder. `embedding_model` is the name by which BERTopic may load the encoder, if it has one.
    ///
    /// # Errors
    /// The folder holds something else, or a file cannot be written.
    pub fn write(&self, folder: &Path, embedding_model: Option<&str>) -> Result<(), Error> {
        let failed = |source| Error::Write { path: folder.to_owned(), source };
        fs_err::create_dir_all(folder).map_err(failed)?;
        let is_empty = fs_err::read_dir(folder).map_err(failed)?.next().is_none();
        if !is_empty && !folder.join(MADE_HERE).exists() {
            return Err(Error::Foreign { folder: folder.to_owned() });
        }
        let ids: BTreeMap<usize, TopicId> =
            self.topics.iter().enumerate().map(|(row, (id, _))| (row, *id)).collect();
        // First, so that what is half written is known again.
        put(&folder.join(MADE_HERE), &json!({ "topics": ids }))?;
        put(&folder.join("topics.json"), &self.topics_json())?;
        put(&folder.join("config.json"), &config_json(embedding_model))?;
        self.write_embeddings(&folder.join("topic_embeddings.safetensors"))
    }

    fn rows(&self) -> impl Iterator<Item = (i64, &ExportedTopic)> {
        let topics = self.topics.iter().map(|(_, topic)| topic);
        (-1..).zip(std::iter::once(&self.outliers).chain(topics))
    }

    fn topics_json(&self) -> Value {
        let numbers: BTreeMap<TopicId, i64> =
            (0..).zip(&self.topics).map(|(row, (id, _))| (*id, row)).collect();
        let by_id = |of: &dyn Fn(i64, &ExportedTopic) -> Value| -> Value {
            self.rows()
                .map(|(id, topic)| (id.to_string(), of(id, topic)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let label = |id: i64, topic: &ExportedTopic| {
            let words: Vec<&str> = topic.words.iter().take(WORDS).map(|word| word.term.as_str()).collect();
            format!("{id}_{}", words.join("_"))
        };
        let documents: Vec<i64> = self
            .documents
            .iter()
            .map(|topic| topic.and_then(|id| numbers.get(&id).copied()).unwrap_or(-1))
            .collect();
        let mapper: Vec<[i64; 2]> = self.rows().map(|(id, _)| [id, id]).collect();
        let names: Vec<&str> = self.rows().map(|(_, topic)| topic.name.as_str()).collect();
        let aspects: BTreeSet<&String> = self.rows().flat_map(|(_, topic)| topic.aspects.keys()).collect();
        // Of every topic in every aspect: BERTopic's tables look each one up.
        let aspects: serde_json::Map<String, Value> = (aspects.into_iter())
            .map(|name| {
                let lists = by_id(&|_, topic| filled(topic.aspects.get(name).map_or(&[], Vec::as_slice)));
                (name.clone(), lists)
            })
            .collect();
        json!({
            "topic_representations": by_id(&|_, topic| filled(&topic.words)),
            "topics": documents,
            "topic_sizes": by_id(&|_, topic| json!(topic.size)),
            "topic_mapper": mapper,
            "topic_labels": by_id(&|id, topic| json!(label(id, topic))),
            "custom_labels": names,
            "_outliers": 1,
            "topic_aspects": aspects,
        })
    }

    fn write_embeddings(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Tensors { path: path.to_owned(), source };
        let bytes: Vec<u8> = self
            .rows()
            .flat_map(|(_, topic)| &topic.embedding)
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let shape = vec![self.topics.len() + 1, self.dim];
        let tensor = TensorView::new(Dtype::F32, shape, &bytes).map_err(failed)?;
        let file = safetensors::serialize([("topic_embeddings", tensor)], None).map_err(failed)?;
        fs_err::write(path, file).map_err(|source| Error::Write { path: path.to_owned(), source })
    }
}

/// A list of words and scores; BERTopic fills one without words like this.
fn filled(keywords: &[Keyword]) -> Value {
    let words: Vec<_> = keywords.iter().map(|keyword| (keyword.term.as_str(), keyword.score)).collect();
    if words.is_empty() { json!([("", 1e-5)]) } else { json!(words) }
}

/// The constructor's parameters, with BERTopic's own defaults.
fn config_json(embedding_model: Option<&str>) -> Value {
    let mut config = json!({
        "calculate_probabilities": false,
        "language": null,
        "low_memory": false,
        "min_topic_size": 10,
        "n_gram_range": [1, 1],
        "nr_topics": null,
        "seed_topic_list": null,
        "top_n_words": 10,
        "verbose": false,
        "zeroshot_min_similarity": 0.7,
        "zeroshot_topic_list": null,
    });
    if let Some(name) = embedding_model {
        config["embedding_model"] = json!(name);
    }
    config
}

fn put(path: &Path, value: &Value) -> Result<(), Error> {
    let bytes = serde_json::to_vec(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    fs_err::write(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
}
