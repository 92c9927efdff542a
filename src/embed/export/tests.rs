use sha2::{Digest, Sha256};

use super::*;
use crate::embed::tests::tiny;
use crate::embed::{Embedder, Params, Precision};

fn hash(path: &Path) -> String {
    crate::embed::hub::fetch::hexadecimal(&Sha256::digest(fs_err::read(path).unwrap()))
}

#[test]
fn the_file_is_the_very_one_that_the_set_up_makes() {
    let dir = tiny::folder("bert");
    let path = export(dir.path()).unwrap();
    assert_eq!(path, dir.path().join("onnx/model.onnx"));
    assert_eq!(hash(&path), tiny::known().onnx_of_bert);
    assert!(!dir.path().join("onnx/model.onnx.part").exists());
    let again = export(dir.path()).unwrap_err().to_string();
    assert!(again.ends_with("onnx/model.onnx` is there already; delete it to make it anew"), "{again}");
}

#[test]
fn half_precision_and_the_names_of_a_model_with_a_head_are_read() {
    let dir = tiny::folder("bert");
    // The numbers are small fractions, exact in half precision.
    tiny::write(dir.path(), "model.safetensors", tiny::weights("bert", true, "bert."));
    assert_eq!(hash(&export(dir.path()).unwrap()), tiny::known().onnx_of_bert);
}

#[test]
fn what_cannot_be_exported_is_named_with_the_reason() {
    let refused = |file: &str, bytes: &[u8]| {
        let dir = tiny::folder("bert");
        tiny::write(dir.path(), file, bytes);
        let error = export(dir.path()).unwrap_err().to_string();
        assert!(!dir.path().join("onnx").exists(), "nothing is left behind");
        error.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let config = |change: &str| {
        let dir = tiny::folder("bert");
        let text = fs_err::read_to_string(dir.path().join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        change.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
        refused("config.json", config.to_string().as_bytes())
    };
    assert_eq!(
        config(r#"{"model_type": "t5"}"#),
        "`DIR/config.json`: model_type is `t5` but must be `bert`, `roberta`, `xlm-roberta`, `camembert`, \
         `distilbert` or `mpnet`; choose another model"
    );
    assert!(
        config(r#"{"hidden_act": "swish"}"#).contains("hidden_act is `swish` but must be `gelu` or `relu`")
    );
    assert!(config(r#"{"position_embedding_type": "relative_key"}"#).contains("must be `absolute`"));
    assert!(config(r#"{"num_attention_heads": 3}"#).contains("must be a divisor of `hidden_size`"));
    let weights = tiny::weights("bert", false, "");
    assert_eq!(
        refused("model.safetensors", &weights[..weights.len() - 1]),
        "`DIR/model.safetensors` is not readable as safetensors; fetch it again, it may be cut short"
    );
    assert!(refused("model.safetensors", &tiny::weights("distilbert", false, "")).contains(
        "token_type_embeddings.weight is missing but must be there in a model of this `model_type`"
    ));
}

/// What opening the BERT in `dir` says once `change` was done to the bytes of `file`.
fn opened(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let dir = tiny::folder("bert");
    export(dir.path()).unwrap();
    let path = dir.path().join(file);
    fs_err::write(&path, change(fs_err::read(&path).unwrap())).unwrap();
    let params = Params { model: dir.path().to_path_buf(), precision: Precision::Fp32, ..Params::default() };
    let error = Embedder::open(&params.check().unwrap()).err().unwrap().to_string();
    error.replace(dir.path().to_str().unwrap(), "DIR")
}

#[test]
fn a_bad_model_is_told_by_its_file_and_what_was_expected() {
    let renamed = opened("onnx/model.onnx", |bytes| {
        let mut model = onnx::ModelProto::decode(bytes.as_slice()).unwrap();
        let graph = model.graph.as_mut().unwrap();
        graph.input[0].name = "pixels".to_owned();
        let inputs = graph.node.iter_mut().flat_map(|node| &mut node.input);
        inputs.filter(|input| *input == "input_ids").for_each(|input| *input = "pixels".to_owned());
        model.encode_to_vec()
    });
    assert!(
        renamed.starts_with("`DIR/onnx/model.onnx`: inputs is [")
            && renamed.ends_with("must be `input_ids` and others; choose another model"),
        "{renamed}"
    );
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let cut = opened("onnx/model.onnx", half);
    assert!(
        cut.starts_with("ONNX Runtime can't use `DIR/onnx/model.onnx`; it must be a whole ONNX file"),
        "{cut}"
    );
    assert!(opened("tokenizer.json", half).starts_with("`DIR/tokenizer.json` is not a usable tokenizer"));
    assert!(opened("config.json", half).starts_with("`DIR/config.json` is not readable as JSON"));
    let wider = opened("config.json", |bytes| {
        String::from_utf8(bytes).unwrap().replace(r#""hidden_size":8"#, r#""hidden_size":9"#).into_bytes()
    });
    assert_eq!(
        wider,
        "`DIR/onnx/model.onnx`: last_hidden_state is of dimension 8 but must be 9; choose another model"
    );
}
