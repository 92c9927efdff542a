//! Model folders, made wrong one file at a time.

use tempfile::TempDir;

use super::*;

fn bert() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "config.json", r#"{"hidden_size": 384, "max_position_embeddings": 512}"#);
    write(&dir, "tokenizer.json", "{}");
    write(&dir, "model.onnx", "");
    dir
}

fn write(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

fn read(dir: &TempDir) -> Result<Folder, String> {
    match Layout::read(dir.path()) {
        Ok(Layout::Encoder(folder)) => Ok(folder),
        Ok(Layout::Static(folder)) => panic!("{folder:?}"),
        Err(error) => Err(error.to_string().replace(dir.path().to_str().unwrap(), "DIR")),
    }
}

const POOLING: &str = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;

#[test]
fn a_plain_transformer_is_pooled_by_the_mean() {
    let folder = read(&bert()).unwrap();
    assert_eq!((folder.pooling, folder.dim, folder.max_tokens), (Pooling::Mean, 384, 512));
    assert!(folder.prompts == Prompts::default() && folder.onnx.ends_with("model.onnx"));
}

#[test]
fn what_sentence_transformers_wrote_is_read() {
    let dir = bert();
    write(&dir, "modules.json", POOLING);
    write(
        &dir,
        "1_Pooling/config.json",
        r#"{"pooling_mode_cls_token": true, "word_embedding_dimension": 768}"#,
    );
    write(&dir, "sentence_bert_config.json", r#"{"max_seq_length": 128, "do_lower_case": false}"#);
    write(&dir, "onnx/model.onnx", "");
    let prompts =
        r#"{"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "passage"}"#;
    write(&dir, "config_sentence_transformers.json", prompts);
    let folder = read(&dir).unwrap();
    assert_eq!((folder.pooling, folder.dim, folder.max_tokens), (Pooling::Cls, 768, 128));
    assert_eq!(folder.prompts, Prompts { document: "passage: ".to_owned(), query: "query: ".to_owned() });
    assert!(folder.onnx.ends_with("onnx/model.onnx"));
}

#[test]
fn what_is_missing_or_strange_is_named() {
    let cases: [(&str, &str, &str); 6] = [
        (
            "config.json",
            "{",
            "`DIR/config.json` is not readable as JSON of the expected shape; fetch it again",
        ),
        (
            "modules.json",
            r#"[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#,
            "`DIR/modules.json`: type is `sentence_transformers.models.Dense` but must be Transformer, Pooling, \
             Normalize or StaticEmbedding; choose another model",
        ),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true}"#,
            "`DIR/1_Pooling/config.json`: pooling_mode is cls_token and max_tokens but \
             must be exactly one of cls_token, mean_tokens, max_tokens or lasttoken; choose another model",
        ),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_weightedmean_tokens": true}"#,
            "`DIR/1_Pooling/config.json`: pooling_mode is weightedmean_tokens but must be exactly one \
             of cls_token, mean_tokens, max_tokens or lasttoken; choose another model",
        ),
        (
            "config_sentence_transformers.json",
            r#"{"prompts": {"query": "q"}, "default_prompt_name": "passage"}"#,
            "`DIR/config_sentence_transformers.json`: default_prompt_name is `passage` but must be one of the \
             prompts [\"query\"]; choose another model",
        ),
        (
            "sentence_bert_config.json",
            r#"{"max_seq_length": -1}"#,
            "`DIR/sentence_bert_config.json` is not readable as JSON of the expected shape; fetch it again",
        ),
    ];
    for (file, text, expected) in cases {
        let dir = bert();
        write(&dir, "modules.json", POOLING);
        write(&dir, "1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#);
        write(&dir, file, text);
        assert_eq!(read(&dir).unwrap_err(), expected);
    }
    for file in ["config.json", "tokenizer.json", "model.onnx"] {
        let dir = bert();
        fs_err::remove_file(dir.path().join(file)).unwrap();
        let error = read(&dir).unwrap_err();
        assert!(error.contains(&format!("DIR/{}", file.replace("model", "onnx/model"))), "{error}");
    }
}

#[test]
fn the_default_prompt_stands_where_no_other_is_named() {
    let dir = bert();
    let of = |text: &str| {
        write(&dir, "config_sentence_transformers.json", text);
        read(&dir).unwrap().prompts
    };
    let prompts = |document: &str, query: &str| Prompts { document: document.into(), query: query.into() };
    assert_eq!(of(r#"{"prompts": {"query": "q: ", "corpus": "c: "}}"#), prompts("c: ", "q: "));
    assert_eq!(
        of(r#"{"prompts": {"query": "q: ", "cluster": "t: "}, "default_prompt_name": "cluster"}"#),
        prompts("t: ", "q: ")
    );
    assert_eq!(
        of(r#"{"prompts": {"query": "", "document": null}, "default_prompt_name": null}"#),
        prompts("", "")
    );
}

#[test]
fn weights_without_an_onnx_file_name_the_way_out() {
    let dir = bert();
    fs_err::rename(dir.path().join("model.onnx"), dir.path().join("model.safetensors")).unwrap();
    assert_eq!(
        read(&dir).unwrap_err(),
        "`DIR/onnx/model.onnx` is missing but `DIR/model.safetensors` is there; make the one of the other with \
         `topicd model export DIR`"
    );
}

#[test]
fn a_broken_tokenizer_or_graph_is_named() {
    let dir = bert();
    let params = Params { model: dir.path().to_path_buf(), ..Params::default() };
    let error = Embedder::open(&params.clone().check().unwrap()).err().unwrap().to_string();
    assert!(
        error.ends_with("tokenizer.json` is not a usable tokenizer; fetch it again, or choose another model"),
        "{error}"
    );
    let good = locate::model(&Params::default().model).unwrap();
    fs_err::copy(good.join("tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
    write(&dir, "model.onnx", "this is no graph");
    let error = Embedder::open(&params.clone().check().unwrap()).err().unwrap().to_string();
    assert!(
        error.starts_with("ONNX Runtime can't use")
            && error.contains("model.onnx`; it must be a whole ONNX file"),
        "{error}"
    );

    fs_err::copy(good.join("onnx/model.onnx"), dir.path().join("model.onnx")).unwrap();
    write(&dir, "config.json", r#"{"hidden_size": 512, "max_position_embeddings": 512}"#);
    let error = Embedder::open(&params.check().unwrap()).err().unwrap().to_string();
    assert!(error.contains("last_hidden_state is of dimension 384 but must be 512"), "{error}");
}
