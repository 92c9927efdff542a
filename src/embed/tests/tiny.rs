//! Encoders of a few numbers: weights that are a formula of their names, as in `tests/fixtures/embed/tiny.py`.

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

pub(crate) const TOKENIZER: &str = include_str!("../../../tests/fixtures/embed/tiny/tokenizer.json");
const HIDDEN: usize = 8;

/// What the references made.
#[derive(Deserialize)]
pub(crate) struct Known {
    pub(crate) texts: Vec<String>,
    pub(crate) onnx_of_bert: String,
    /// Family → pooling → a row for each text.
    pub(crate) families:
        std::collections::BTreeMap<String, std::collections::BTreeMap<String, Vec<Vec<f32>>>>,
}

pub(crate) fn known() -> Known {
    serde_json::from_str(include_str!("../../../tests/fixtures/embed/tiny/encoders.json")).unwrap()
}

/// Numbers of `count` values for the tensor `name`.
fn values(name: &str, count: usize) -> Vec<f32> {
    let start: usize = name.bytes().map(usize::from).sum();
    let one = if name.to_lowercase().ends_with("norm.weight") { 1.0 } else { 0.0 };
    (0..count).map(|at| (((start * 31 + at * 17 + at / 7 * 5) % 23) as f32 - 11.0) / 32.0 + one).collect()
}

/// Names and shapes of the tensors of `family`.
fn shapes(family: &str) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![20, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![40, HIDDEN]),
    ];
    match family {
        "bert" => shapes.push(("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN])),
        "roberta" => shapes.push(("embeddings.token_type_embeddings.weight".to_owned(), vec![1, HIDDEN])),
        "mpnet" => shapes.push(("encoder.relative_attention_bias.weight".to_owned(), vec![32, 2])),
        _ => {}
    }
    let norm =
        |name: &str| [(format!("{name}.weight"), vec![HIDDEN]), (format!("{name}.bias"), vec![HIDDEN])];
    let linear = |name: &str, rows: usize, columns: usize| {
        [(format!("{name}.weight"), vec![rows, columns]), (format!("{name}.bias"), vec![rows])]
    };
    shapes.extend(norm("embeddings.LayerNorm"));
    for layer in 0..2 {
        let at = if family == "distilbert" {
            format!("transformer.layer.{layer}")
        } else {
            format!("encoder.layer.{layer}")
        };
        let (square, norms, wide, narrow) = match family {
            "distilbert" => (
                ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"],
                ["sa_layer_norm", "output_layer_norm"],
                "ffn.lin1",
                "ffn.lin2",
            ),
            "mpnet" => (
                ["attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"],
                ["attention.LayerNorm", "output.LayerNorm"],
                "intermediate.dense",
                "output.dense",
            ),
            _ => (
                [
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                    "attention.output.dense",
                ],
                ["attention.output.LayerNorm", "output.LayerNorm"],
                "intermediate.dense",
                "output.dense",
            ),
        };
        square.iter().for_each(|name| shapes.extend(linear(&format!("{at}.{name}"), HIDDEN, HIDDEN)));
        norms.iter().for_each(|name| shapes.extend(norm(&format!("{at}.{name}"))));
        shapes.extend(linear(&format!("{at}.{wide}"), 16, HIDDEN));
        shapes.extend(linear(&format!("{at}.{narrow}"), HIDDEN, 16));
    }
    shapes
}

/// The weights of `family` as safetensors, in half precision if `half`, each name after `prefix`.
pub(crate) fn weights(family: &str, half: bool, prefix: &str) -> Vec<u8> {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes(family)
        .into_iter()
        .map(|(name, shape)| {
            let values = values(&name, shape.iter().product());
            let bytes = if half {
                values.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect()
            } else {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            };
            (format!("{prefix}{name}"), shape, bytes)
        })
        .collect();
    let dtype = if half { Dtype::F16 } else { Dtype::F32 };
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

pub(crate) fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

/// A folder with everything but an ONNX file.
pub(crate) fn folder(family: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = match family {
        "distilbert" => json!({
            "model_type": family, "dim": HIDDEN, "n_heads": 2, "n_layers": 2, "max_position_embeddings": 40,
        }),
        _ => json!({
            "model_type": family, "hidden_size": HIDDEN, "num_attention_heads": 2, "num_hidden_layers": 2,
            "max_position_embeddings": 40, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 1,
        }),
    };
    write(dir.path(), "config.json", config.to_string());
    write(dir.path(), "tokenizer.json", TOKENIZER);
    write(dir.path(), "model.safetensors", weights(family, false, ""));
    dir
}

/// Makes the folder's pooling `pooling`: `mean`, `cls`, `max` or `last`.
pub(crate) fn pool(dir: &Path, pooling: &str) {
    let modules = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
    write(dir, "modules.json", modules);
    let mode = match pooling {
        "cls" => "cls_token",
        "last" => "lasttoken",
        "max" => "max_tokens",
        _ => "mean_tokens",
    };
    let config = json!({ "word_embedding_dimension": HIDDEN, format!("pooling_mode_{mode}"): true });
    write(dir, "1_Pooling/config.json", config.to_string());
}
