//! The model that `deploy/test` installs, against numbers made without ONNX, and broken models.

mod each;
mod encoders;
mod folders;
mod long;
mod remote_endpoint;
pub(super) mod server;
pub(super) mod tiny;

use std::{path::PathBuf, sync::OnceLock};

use serde::Deserialize;

use super::{choose::least_cosine, *};

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
    FP32.get_or_init(|| open(Params { precision: Precision::Fp32, cache_texts: 0, ..Params::default() }))
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
    assert_eq!(embedded.counts.tokens, known.iter().map(|it| it.tokens).sum::<usize>());
    assert_eq!(embedded.counts.truncated, 1);
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
    let fresh = open(Params { cache_texts: 0, ..Params::default() });
    let alone = texts.iter().map(|text| fresh.embed(&[text]).unwrap().rows.row(0).to_vec());
    let alone = Array2::from_shape_vec((48, auto.dim()), alone.flatten().collect()).unwrap();
    let alone = UnitRows::normalise(alone).unwrap();
    let (precision, company) = (least_cosine(&exact, &together), least_cosine(&alone, &together));
    assert!(precision > 0.999, "{precision} to fp32 on {}", auto.report());
    assert!(company > 0.999, "{company} between one by one and together");
}

#[test]
fn company_order_and_padding_change_nothing_at_fp32() {
    let texts = texts(40);
    let together = fp32().embed(&strs(&texts)).unwrap();
    assert!(together.counts.padding > 0);
    let mut backwards = strs(&texts);
    backwards.reverse();
    let small = open(Params { precision: Precision::Fp32, batch_tokens: 300, ..Params::default() });
    let small = small.embed(&backwards).unwrap();
    assert!(small.counts.padding < together.counts.padding);
    let order: Vec<usize> = (0..40).rev().collect();
    let cosine = least_cosine(&together.rows, &small.rows.select(&order));
    assert!(cosine > 1.0 - 1e-5, "{cosine}");
}

#[test]
fn the_runtimes_own_kernels_agree_with_openvino() {
    let own = open(Params { provider: Choice::OnnxRuntime, ..Params::default() });
    assert!(matches!(own.report().engine, Engine::Encoder { provider: Provider::Cpu, agreement: None, .. }));
    let texts = texts(12);
    let cosine =
        least_cosine(&own.embed(&strs(&texts)).unwrap().rows, &fp32().embed(&strs(&texts)).unwrap().rows);
    assert!(cosine > 1.0 - 1e-5, "{cosine}");
}

#[test]
fn what_is_fast_was_compared_with_fp32() {
    let report = fp32().report();
    let Engine::Encoder { provider, agreement, .. } = &report.engine else { panic!("{report}") };
    assert!(*provider == Provider::Cpu || agreement.is_some_and(|cosine| cosine > 0.9999), "{report}");
}

#[test]
fn a_text_that_comes_again_is_remembered() {
    let embedder = open(Params { cache_texts: 100, precision: Precision::Fp32, ..Params::default() });
    let first = embedder.embed(&["bank", "rates", "bank"]).unwrap();
    assert_eq!((first.counts.pieces, first.counts.cached), (3, 1));
    assert_eq!(first.rows.row(0), first.rows.row(2));
    let again = embedder.embed(&["rates", "science", "bank"]).unwrap();
    assert_eq!((again.counts.pieces, again.counts.cached), (3, 2));
    assert_eq!(again.rows.row(2), first.rows.row(0));
}

#[test]
fn no_texts_give_no_rows() {
    let embedded = fp32().embed(&[]).unwrap();
    assert_eq!((embedded.rows.n(), embedded.rows.dim(), embedded.counts.padding), (0, 384, 0));
}

#[test]
fn a_text_of_50_mb_is_cut_and_embedded() {
    let start = "Neural topic models find themes in large collections of documents. ";
    let huge = start.repeat(50_000_000 / start.len());
    let embedded = fp32().embed(&[&huge, &start.repeat(60)]).unwrap();
    assert_eq!(embedded.rows.row(0), embedded.rows.row(1));
    assert_eq!(embedded.counts.truncated, 2);
}

#[test]
fn max_tokens_cuts_texts_and_has_limits() {
    let short = open(Params { max_tokens: Some(8), precision: Precision::Fp32, ..Params::default() });
    let embedded = short.embed(&["one two three four five six seven eight nine", "one"]).unwrap();
    assert_eq!((embedded.counts.tokens, embedded.counts.truncated), (8 + 3, 1));

    let long = Params { max_tokens: Some(513), ..Params::default() }.check().unwrap();
    let error = Embedder::open(&long).err().unwrap().to_string();
    assert!(error.contains("config.json`: max_position_embeddings is 512 but must be at least"), "{error}");
}

#[test]
fn the_name_holds_folder_and_weights() {
    assert_eq!(fp32().name(), "all-MiniLM-L6-v2@9be78353746e");
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
        error.starts_with("there is no model `no-such-model`") && error.contains("`topicd setup`"),
        "{error}"
    );

    let runtime = Some(PathBuf::from("/nowhere/libonnxruntime.so"));
    let runtime = Params { onnxruntime: runtime, ..Params::default() }.check().unwrap();
    let error = Embedder::open(&runtime).err().unwrap().to_string();
    assert!(error.contains("`/nowhere/libonnxruntime.so`; run `topicd setup`"), "{error}");
}
