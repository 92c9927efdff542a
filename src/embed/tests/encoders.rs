//! Every family, every pooling and every kind of prompt, on encoders of a few numbers, and static models.

use std::path::Path;

use serde::Deserialize;

use super::{open, tiny, *};
use crate::embed::export::export;

fn at(dir: &Path) -> Params {
    Params { model: dir.to_path_buf(), precision: Precision::Fp32, ..Params::default() }
}

/// The largest difference of two lists of rows.
fn furthest(rows: &UnitRows, expected: &[Vec<f32>]) -> f32 {
    assert_eq!(rows.n(), expected.len());
    let differences = expected
        .iter()
        .enumerate()
        .flat_map(|(at, row)| rows.row(at).iter().zip(row).map(|(a, b)| (a - b).abs()));
    differences.fold(0.0, f32::max)
}

#[test]
fn each_family_and_pooling_gives_the_references_numbers() {
    let known = tiny::known();
    for (family, poolings) in &known.families {
        let dir = tiny::folder(family);
        export(dir.path()).unwrap();
        for (pooling, rows) in poolings {
            tiny::pool(dir.path(), pooling);
            let embedded = open(at(dir.path())).embed(&strs(&known.texts)).unwrap();
            let furthest = furthest(&embedded.rows, rows);
            assert!(furthest < 1e-5, "{furthest} for {family} by {pooling}");
            assert!(embedded.counts.padding > 0);
        }
    }
}

#[test]
fn prompts_stand_before_documents_and_before_queries() {
    let known = tiny::known();
    let dir = tiny::folder("bert");
    export(dir.path()).unwrap();
    let plain = open(at(dir.path()));
    let name = plain.name().to_owned();
    let prompts = r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#;
    tiny::write(dir.path(), "config_sentence_transformers.json", prompts);
    let e5 = open(at(dir.path()));
    let query = e5.embed_queries(&["bank"]).unwrap().rows;
    assert!(furthest(&query, &known.families["bert"]["mean"][3..4]) < 1e-5);
    let document = e5.embed(&["bank"]).unwrap().rows;
    assert_eq!(document, plain.embed(&["passage: bank"]).unwrap().rows);
    assert_ne!(document, query);
    assert_ne!(e5.name(), name, "other prompts make another model");
}

#[derive(Deserialize)]
struct Static {
    texts: Vec<String>,
    rows: std::collections::BTreeMap<String, Vec<Vec<f32>>>,
}

#[test]
fn static_models_give_what_model2vec_gives() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embed/tiny");
    let known: Static =
        serde_json::from_str(&fs_err::read_to_string(tiny.join("static.json")).unwrap()).unwrap();
    for (name, rows) in &known.rows {
        let embedder = open(at(&tiny.join(name)));
        let embedded = embedder.embed(&strs(&known.texts)).unwrap();
        let furthest = furthest(&embedded.rows, rows);
        assert!(furthest < 1e-5, "{furthest} for {name}");
        assert_eq!(embedder.report().max_tokens, Some(512));
        let error = embedder.embed(&["unheard of"]).unwrap_err().to_string();
        assert_eq!(error, "the model's output is unusable");
        // No text has to pass to show that a table is well.
        let mixed = [&strs(&known.texts)[..1], &["unheard of"]].concat();
        let each = embedder.embed_each(&mixed).unwrap().of_text;
        assert!(each[0].is_ok() && each[1].is_err(), "{each:?}");
    }
}

#[test]
fn a_static_model_whose_table_is_too_small_is_named() {
    let dir = tempfile::tempdir().unwrap();
    tiny::write(dir.path(), "config.json", r#"{"model_type": "model2vec"}"#);
    tiny::write(dir.path(), "tokenizer.json", tiny::TOKENIZER);
    let values = [0_u8; 4 * 6];
    let table = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 3], &values).unwrap();
    let bytes = safetensors::serialize([("embeddings", table)], None).unwrap();
    tiny::write(dir.path(), "model.safetensors", &bytes);
    let error = Embedder::open(&at(dir.path()).check().unwrap()).err().unwrap().to_string();
    assert!(error.ends_with(
        "model.safetensors`: embeddings is 2 rows but must be one for each of the tokenizer's tokens; choose another model"
    ), "{error}");
    tiny::write(dir.path(), "model.safetensors", &bytes[..bytes.len() - 3]);
    let error = Embedder::open(&at(dir.path()).check().unwrap()).err().unwrap().to_string();
    assert!(
        error.ends_with(
            "model.safetensors` is not readable as safetensors; fetch it again, it may be cut short"
        )
    );
}
