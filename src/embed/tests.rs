//! The model that `deploy/test` installs, against numbers made without ONNX, and broken models.

use std::{path::PathBuf, sync::OnceLock};

use ndarray::ArrayView1;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Known {
    text: String,
    tokens: usize,
    embedding: Vec<f32>,
}

fn known() -> Vec<Known> {
    serde_json::from_str(include_str!("../../tests/fixtures/embed/known.json")).unwrap()
}

fn open(params: Params) -> Embedder {
    match Embedder::open(&params.check().unwrap()) {
        Ok(embedder) => embedder,
        Err(error) => {
            panic!("{error}\nthe tests need what `deploy/test` sets up; run it, or deploy/setup, once")
        }
    }
}

fn fp32() -> &'static Embedder {
    static FP32: OnceLock<Embedder> = OnceLock::new();
    FP32.get_or_init(|| open(Params { precision: Precision::Fp32, ..Params::default() }))
}

/// Cosine of each row of `one` to the row of `other`, the smallest.
fn least_cosine(one: &UnitRows, other: &UnitRows) -> f32 {
    assert_eq!((one.n(), one.dim()), (other.n(), other.dim()));
    let cosine = |i| ArrayView1::from(one.row(i)).dot(&ArrayView1::from(other.row(i)));
    (0..one.n()).map(cosine).fold(1.0, f32::min)
}

/// `count` texts of 3 to 200 words, so that batches are padded.
fn texts(count: usize) -> Vec<String> {
    let words =
        ["bank", "rates", "rose", "the", "minister", "says", "football", "final", "in", "science", "study"];
    let word = |i: usize, j: usize| words[(i * 7 + j * j + 3 * j) % words.len()];
    (0..count).map(|i| (0..3 + (i * 37) % 198).map(|j| word(i, j)).collect::<Vec<_>>().join(" ")).collect()
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[test]
fn embeddings_are_those_of_the_reference() {
    let known = known();
    let texts: Vec<&str> = known.iter().map(|it| it.text.as_str()).collect();
    let embedded = fp32().embed(&texts).unwrap();
    assert_eq!((embedded.rows.n(), embedded.rows.dim()), (known.len(), fp32().dim()));
    assert_eq!(embedded.tokens, known.iter().map(|it| it.tokens).sum::<usize>());
    assert_eq!(embedded.truncated, 1);
    for (i, it) in known.iter().enumerate() {
        let furthest =
            embedded.rows.row(i).iter().zip(&it.embedding).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 1e-5, "{furthest} for {:?}", it.text);
    }
}

#[test]
fn bf16_stays_within_a_thousandth_whatever_the_batch() {
    let auto = open(Params::default());
    let texts = texts(48);
    let exact = fp32().embed(&strs(&texts)).unwrap().rows;
    let together = auto.embed(&strs(&texts)).unwrap().rows;
    let alone = texts.iter().map(|text| auto.embed(&[text]).unwrap().rows.row(0).to_vec());
    let alone = Array2::from_shape_vec((48, auto.dim()), alone.flatten().collect()).unwrap();
    let alone = UnitRows::normalise(alone).unwrap();
    let (precision, company) = (least_cosine(&exact, &together), least_cosine(&alone, &together));
    assert!(precision > 0.999, "{precision} to fp32 on {:?}", auto.report().provider);
    assert!(company > 0.999, "{company} between one by one and together");
}

#[test]
fn company_order_and_padding_change_nothing_at_fp32() {
    let texts = texts(40);
    let together = fp32().embed(&strs(&texts)).unwrap();
    assert!(together.padding > 0);
    let mut backwards = strs(&texts);
    backwards.reverse();
    let small = open(Params { precision: Precision::Fp32, batch_tokens: 300, ..Params::default() });
    let small = small.embed(&backwards).unwrap();
    assert!(small.padding < together.padding);
    let order: Vec<usize> = (0..40).rev().collect();
    let cosine = least_cosine(&together.rows, &small.rows.select(&order));
    assert!(cosine > 1.0 - 1e-5, "{cosine}");
}

#[test]
fn the_runtimes_own_kernels_agree_with_openvino() {
    let folder = Folder::read(&locate::model(&Params::default().model).unwrap()).unwrap();
    let environment = runtime::load(&locate::library(None).unwrap()).unwrap();
    let (encoder, provider, notes) = Encoder::open(&environment, &folder, &[Provider::Cpu], 2).unwrap();
    assert_eq!((provider, notes.len()), (Provider::Cpu, 0));
    let texts = texts(12);
    let tokens = Tokenizer::open(&folder, 256).unwrap().encode(&strs(&texts)).unwrap();
    let lengths: Vec<usize> = tokens.iter().map(|tokens| tokens.ids().len()).collect();
    let mut rows = Array2::zeros((12, 384));
    for batch in batch::plan(&lengths, 1000) {
        encoder.run(&batch, &tokens, &mut rows).unwrap();
    }
    let cosine =
        least_cosine(&UnitRows::normalise(rows).unwrap(), &fp32().embed(&strs(&texts)).unwrap().rows);
    assert!(cosine > 1.0 - 1e-5, "{cosine}");
}

#[test]
fn no_texts_give_no_rows() {
    let embedded = fp32().embed(&[]).unwrap();
    assert_eq!((embedded.rows.n(), embedded.rows.dim(), embedded.padding), (0, 384, 0));
}

#[test]
fn a_text_of_50_mb_is_cut_and_embedded() {
    let start = "Neural topic models find themes in large collections of documents. ";
    let huge = start.repeat(50_000_000 / start.len());
    let began = std::time::Instant::now();
    let embedded = fp32().embed(&[&huge, &start.repeat(60)]).unwrap();
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    assert_eq!(embedded.rows.row(0), embedded.rows.row(1));
    assert_eq!(embedded.truncated, 2);
}

#[test]
fn max_tokens_cuts_texts_and_has_limits() {
    let short = open(Params { max_tokens: Some(8), precision: Precision::Fp32, ..Params::default() });
    let embedded = short.embed(&["one two three four five six seven eight nine", "one"]).unwrap();
    assert_eq!((embedded.tokens, embedded.truncated), (8 + 3, 1));

    let long = Params { max_tokens: Some(513), ..Params::default() }.check().unwrap();
    let error = Embedder::open(&long).err().unwrap().to_string();
    assert!(error.contains("config.json`: max_position_embeddings is 512 but must be at least"), "{error}");
}

#[test]
fn the_name_holds_folder_and_weights() {
    assert_eq!(fp32().name(), "all-MiniLM-L6-v2@757a7ba2300b");
}

#[test]
fn params_out_of_range_are_refused() {
    let refused = |params: Params| params.check().unwrap_err().to_string();
    let base = Params::default;
    assert_eq!(
        refused(Params { max_tokens: Some(7), ..base() }),
        "`embed.max_tokens` is 7 but must be at least 8"
    );
    assert_eq!(
        refused(Params { batch_tokens: 0, ..base() }),
        "`embed.batch_tokens` is 0 but must be at least 1"
    );
    assert_eq!(
        refused(Params { threads: 2000, ..base() }),
        "`embed.threads` is 2000 but must be at most 1024"
    );
}

#[test]
fn a_missing_model_or_runtime_names_the_way_out() {
    let model = Params { model: PathBuf::from("no-such-model"), ..Params::default() }.check().unwrap();
    let error = Embedder::open(&model).err().unwrap().to_string();
    assert!(
        error.starts_with("there is no model `no-such-model`") && error.contains("deploy/setup"),
        "{error}"
    );

    let runtime = Some(PathBuf::from("/nowhere/libonnxruntime.so"));
    let runtime = Params { onnxruntime: runtime, ..Params::default() }.check().unwrap();
    let error = Embedder::open(&runtime).err().unwrap().to_string();
    assert!(error.contains("`/nowhere/libonnxruntime.so`; run deploy/setup"), "{error}");
}

/// Model folders, made wrong one file at a time.
mod folders {
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
        Folder::read(dir.path())
            .map_err(|error| error.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
    }

    const POOLING: &str = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;

    #[test]
    fn a_plain_transformer_is_pooled_by_the_mean() {
        let folder = read(&bert()).unwrap();
        assert_eq!((folder.pooling, folder.dim, folder.max_tokens), (Pooling::Mean, 384, 512));
        assert!(folder.prompt.is_empty() && folder.onnx.ends_with("model.onnx"));
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
        assert_eq!(folder.prompt, "passage: ");
        assert!(folder.onnx.ends_with("onnx/model.onnx"));
    }

    #[test]
    fn what_is_missing_or_strange_is_named() {
        let cases: [(&str, &str, &str); 6] = [
            ("config.json", "{", "`DIR/config.json` is not readable as JSON of the expected shape"),
            (
                "modules.json",
                r#"[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#,
                "`DIR/modules.json`: type is `sentence_transformers.models.Dense` but must be Transformer, Pooling or \
                 Normalize; choose another model",
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
                "`DIR/sentence_bert_config.json` is not readable as JSON of the expected shape",
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
    fn a_broken_tokenizer_or_graph_is_named() {
        let dir = bert();
        let params = Params { model: dir.path().to_path_buf(), ..Params::default() };
        let error = Embedder::open(&params.clone().check().unwrap()).err().unwrap().to_string();
        assert!(error.ends_with("tokenizer.json` is not a usable tokenizer"), "{error}");
        let good = locate::model(&Params::default().model).unwrap();
        fs_err::copy(good.join("tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
        write(&dir, "model.onnx", "this is no graph");
        let error = Embedder::open(&params.clone().check().unwrap()).err().unwrap().to_string();
        assert!(error.starts_with("ONNX Runtime can't use") && error.ends_with("model.onnx`"), "{error}");

        fs_err::copy(good.join("onnx/model.onnx"), dir.path().join("model.onnx")).unwrap();
        write(&dir, "config.json", r#"{"hidden_size": 512, "max_position_embeddings": 512}"#);
        let error = Embedder::open(&params.check().unwrap()).err().unwrap().to_string();
        assert!(error.contains("last_hidden_state is of dimension 384 but must be 512"), "{error}");
    }
}

/// Documents a second as the daemon asks for them, 64 at a time. Run it with
/// `cargo test --release --lib embed::tests::throughput -- --ignored --nocapture`.
#[test]
#[ignore = "measures; needs ../shared/data and a quiet machine"]
fn throughput() {
    use std::io::BufRead;
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/acl-abstracts.jsonl.gz");
    let file = flate2::read::GzDecoder::new(fs_err::File::open(data).unwrap());
    let text = |line: Result<String, _>| {
        serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap()["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let texts: Vec<String> = std::io::BufReader::new(file).lines().skip(20_000).take(512).map(text).collect();
    let folder = Folder::read(&locate::model(&Params::default().model).unwrap()).unwrap();
    let environment = runtime::load(&locate::library(None).unwrap()).unwrap();
    let mut embedder = open(Params::default());
    for provider in [Provider::Cpu, Provider::OpenVinoFp32, Provider::OpenVinoBf16] {
        (embedder.encoder, ..) = Encoder::open(&environment, &folder, &[provider], 2).unwrap();
        embedder.embed(&strs(&texts[..64])).unwrap();
        let (began, before) = (std::time::Instant::now(), cpu_seconds());
        let calls: Vec<Embedded> =
            texts.chunks(64).map(|call| embedder.embed(&strs(call)).unwrap()).collect();
        let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - before);
        let padding: usize = calls.iter().map(|call| call.padding).sum();
        let tokens: usize = calls.iter().map(|call| call.tokens).sum();
        println!(
            "{provider:?}: {:.1} documents/s, {:.1} in two seconds of CPU time, padding {:.3}",
            512.0 / wall,
            1024.0 / cpu,
            padding as f64 / tokens as f64,
        );
    }
}

/// CPU time of this process, which a busy machine distorts less than the wall's.
fn cpu_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |field: &str| field.parse::<f64>().unwrap() / 100.0;
    ticks(fields[11]) + ticks(fields[12])
}
