use std::path::{Path, PathBuf};

use serde_json::Value;

use super::read::read;
use super::write::{Export, ExportedTopic};
use super::*;
use crate::keywords::Keyword;
use crate::model::topic::TopicId;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bertopic")
}

/// `saved/` was written, and `expected.json` read back, by BERTopic 0.17.4; see `make.py` beside them.
#[test]
fn a_saved_model_is_what_python_reads() {
    let saved = read(&fixtures().join("saved")).unwrap();
    let expected = fs_err::read(fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let expected = expected["topics"].as_array().unwrap();
    assert_eq!(saved.embedding_model.as_deref(), Some("test/tiny"));
    assert_eq!(saved.topics.len(), expected.len());
    for (topic, python) in saved.topics.iter().zip(expected) {
        assert_eq!(python["id"], topic.id);
        assert_eq!(python["size"], topic.size);
        let embedding: Vec<f32> =
            python["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(topic.embedding, embedding);
        for (word, python) in topic.words.iter().zip(python["words"].as_array().unwrap()) {
            assert_eq!((&python[0], &python[1]), (&word.0.as_str().into(), &word.1.into()));
        }
        assert!(topic.words.iter().all(|(word, _)| !word.is_empty()), "BERTopic's filling is left out");
    }
    let labels: Vec<&str> = saved.topics.iter().map(|topic| topic.label.as_str()).collect();
    assert_eq!(labels, ["Football", "bank, market, stocks", "orbit, moon, planet"]);
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let topic = |name: &str, at: usize| ExportedTopic {
        name: name.to_owned(),
        size: 10 + at as u64,
        words: vec![Keyword { term: name.to_lowercase(), score: 0.5 }],
        aspects: std::collections::BTreeMap::new(),
        embedding: (0..3).map(|axis| f32::from(u8::from(axis == at))).collect(),
    };
    let mut nine = topic("Nine", 1);
    nine.aspects.insert("KeyBERT".to_owned(), vec![Keyword { term: "ninth".to_owned(), score: 0.25 }]);
    let export = Export {
        dim: 3,
        outliers: topic("outliers", 0),
        topics: vec![(TopicId(9), nine), (TopicId(4), topic("Four", 2))],
        documents: vec![Some(TopicId(4)), None],
    };
    export.write(folder.path(), Some("a/model")).unwrap();
    let saved = read(folder.path()).unwrap();
    assert_eq!(saved.embedding_model.as_deref(), Some("a/model"));
    let found: Vec<_> =
        saved.topics.iter().map(|topic| (topic.id, topic.label.as_str(), topic.size)).collect();
    assert_eq!(found, [(0, "Nine", 11), (1, "Four", 12)]);
    assert_eq!(saved.topics[1].embedding, [0.0, 0.0, 1.0]);
    let topics: Value =
        serde_json::from_slice(&fs_err::read(folder.path().join("topics.json")).unwrap()).unwrap();
    assert_eq!(topics["topics"], serde_json::json!([1, -1]));
    let aspects = serde_json::json!({
        "KeyBERT": { "-1": [["", 1e-5]], "0": [["ninth", 0.25]], "1": [["", 1e-5]] }
    });
    assert_eq!(topics["topic_aspects"], aspects);
}

#[test]
fn what_is_no_saved_model_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("topics.json` cannot be used; name the folder"), "{error}");
    for file in ["topics.json", "config.json", "topic_embeddings.safetensors"] {
        fs_err::copy(fixtures().join("saved").join(file), folder.path().join(file)).unwrap();
    }
    read(folder.path()).unwrap();
    fs_err::write(folder.path().join("topics.json"), "[]").unwrap();
    assert!(matches!(read(folder.path()), Err(Error::Json { .. })));
    fs_err::write(folder.path().join("topics.json"), r#"{"topic_representations": {"0": []}}"#).unwrap();
    assert!(matches!(read(folder.path()), Err(Error::Shape { topics: 1, .. })));
    fs_err::write(folder.path().join("topic_embeddings.safetensors"), "none").unwrap();
    assert!(matches!(read(folder.path()), Err(Error::Tensors { .. })));
}
