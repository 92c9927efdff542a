//! Texts with more tokens than the model reads.

use proptest::prelude::*;

use super::{open, tiny, *};
use crate::embed::export::export;

fn embedder(dir: &std::path::Path, long_documents: LongDocuments, max_windows: usize) -> Embedder {
    open(Params {
        model: dir.to_path_buf(),
        precision: Precision::Fp32,
        max_tokens: Some(8),
        window_overlap: 2,
        max_windows,
        long_documents,
        ..Params::default()
    })
}

fn folder() -> tempfile::TempDir {
    let dir = tiny::folder("bert");
    export(dir.path()).unwrap();
    dir
}

const LONG: &str = "bank rates rose fell shares minister football final striker goal";

#[test]
fn the_mean_is_that_of_overlapping_windows() {
    let dir = folder();
    let mean = embedder(dir.path(), LongDocuments::Mean, 10).embed(&[LONG, "bank"]).unwrap();
    assert_eq!((mean.counts.truncated, mean.counts.pieces), (0, 3));
    assert!(mean.windows.is_none());
    let cut = embedder(dir.path(), LongDocuments::Cut, 10);
    // Six words and two special tokens are eight.
    let windows = cut.embed(&[
        "bank rates rose fell shares minister",
        "shares minister football final striker goal",
        "bank",
    ]);
    let windows = windows.unwrap().rows;
    let sum: Vec<f32> = windows.row(0).iter().zip(windows.row(1)).map(|(a, b)| a + b).collect();
    let expected = UnitRows::from_rows(8, [sum.as_slice(), windows.row(2)]).unwrap();
    assert!(least_cosine(&mean.rows, &expected) > 1.0 - 1e-6);
    assert_eq!(cut.embed(&[LONG, "bank"]).unwrap().counts.truncated, 1);
}

#[test]
fn max_sim_keeps_the_windows_and_counts_what_lies_behind_them() {
    let dir = folder();
    let made = embedder(dir.path(), LongDocuments::MaxSim, 2).embed(&["bank", &LONG.repeat(3)]).unwrap();
    let windows = made.windows.unwrap();
    assert_eq!(windows.of_text, [0..1, 1..3]);
    assert_eq!((windows.rows.n(), made.rows.n(), made.counts.truncated), (3, 2, 1));
    assert_eq!(windows.rows.row(0), made.rows.row(0));
}

#[test]
fn prompts_stand_before_each_window() {
    let dir = folder();
    tiny::write(dir.path(), "config_sentence_transformers.json", r#"{"prompts": {"document": "passage: "}}"#);
    let made = embedder(dir.path(), LongDocuments::MaxSim, 10).embed(&[LONG]).unwrap();
    let plain = folder();
    let first =
        embedder(plain.path(), LongDocuments::Cut, 1).embed(&["passage: bank rates rose fell"]).unwrap();
    assert!(least_cosine(&made.windows.unwrap().rows, &first.rows) > 1.0 - 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn windows_are_whole_characters_of_the_text(text in "(bank|é|rose |東京| |final ){0,60}", prompt in "|passage: ") {
        let tokenizer = folder_tokenizer();
        let cutter = Cutter::new(&tokenizer, Windows { overlap: 2, most: 3 }).unwrap();
        let cut = cutter.cut(&text, &prompt).unwrap();
        prop_assert!((1..=3).contains(&cut.ranges.len()));
        prop_assert_eq!(cut.ranges[0].start, 0);
        for range in &cut.ranges {
            prop_assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
        }
        if !cut.truncated {
            prop_assert_eq!(cut.ranges[cut.ranges.len() - 1].end, text.len());
        }
    }
}

fn folder_tokenizer() -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    tiny::write(dir.path(), "tokenizer.json", tiny::TOKENIZER);
    Tokenizer::open(&dir.path().join("tokenizer.json"), 8, true).unwrap()
}
