//! What BERTopic 0.17.4 itself makes of BBC, and what this room makes of it.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;

use super::params;
use crate::keywords::{Counts, Keyword, Params, Weights, keybert, mmr};

#[derive(Deserialize)]
struct Parity {
    weights: Vec<Case>,
    reranked: Reranked,
}

#[expect(clippy::struct_excessive_bools, reason = "the switches of the settings")]
#[derive(Deserialize)]
struct Case {
    n_gram_range: (usize, usize),
    stop_words: bool,
    seed_words: Vec<String>,
    min_df: u32,
    max_df: f64,
    max_features: usize,
    strip_accents: bool,
    bm25_weighting: bool,
    reduce_frequent_words: bool,
    vocabulary: usize,
    idf: f64,
    counts: Vec<f64>,
    scores: Vec<f64>,
    keywords: Vec<Vec<(String, f64)>>,
}

#[derive(Deserialize)]
struct Reranked {
    sampled: Vec<Vec<usize>>,
    representative: Vec<Vec<usize>>,
    keybert: Vec<Vec<(String, f64)>>,
    mmr: BTreeMap<String, Vec<Vec<String>>>,
    #[serde(rename = "mmr_0.3_in_the_old_order")]
    in_the_old_order: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct Line {
    text: String,
    label: String,
}

/// BBC's texts with the topics of the fixture; `None`, with a word, where the shared data is absent.
fn bbc() -> Option<Vec<(i32, String)>> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    let Some(file) =
        folders.map(|folder| folder.join("shared/data/bbc-news.jsonl.gz")).find(|file| file.exists())
    else {
        eprintln!("skipped: no ../shared/data/bbc-news.jsonl.gz");
        return None;
    };
    let lines =
        std::io::BufReader::new(flate2::read::GzDecoder::new(fs_err::File::open(file).unwrap())).lines();
    let lines: Vec<Line> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let labels: std::collections::BTreeSet<String> = lines.iter().map(|line| line.label.clone()).collect();
    let topic = |label: &String| labels.iter().position(|other| other == label).unwrap() as i32;
    let topics = lines.iter().enumerate().map(|(i, line)| if i % 10 == 0 { -1 } else { topic(&line.label) });
    Some(topics.zip(lines.iter().map(|line| line.text.clone())).collect())
}

fn parity() -> Parity {
    serde_json::from_str(include_str!("../../../tests/fixtures/keywords/parity.json")).unwrap()
}

fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Every term with a weight of its own.
fn checksum<'t>(terms: impl Iterator<Item = (&'t str, f64)>) -> f64 {
    terms.map(|(term, value)| value * unit(fnv(term))).sum()
}

fn assert_near(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= 1e-6_f64.min(theirs.abs() * 1e-9), "{what}: {ours} {theirs}");
}

/// BERTopic joins a topic's documents before it counts, so that its n-grams span two of them; so does this test.
fn counts_of_joined(texts: &[(i32, String)], params: &Params) -> Counts<i32> {
    let tokenizer = params.clone().check().unwrap().tokenizer();
    let mut joined: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    texts.iter().for_each(|(topic, text)| joined.entry(*topic).or_default().push(text));
    let mut counts = Counts::new(usize::MAX);
    for (topic, texts) in joined {
        counts.add(topic, &tokenizer.count(&texts.join(" ")), 1.0);
    }
    counts
}

#[test]
fn counts_idf_and_scores_are_those_of_bertopic_for_each_option() {
    let Some(texts) = bbc() else { return };
    for case in parity().weights {
        let params = Params {
            seed_words: case.seed_words.clone(),
            min_df: case.min_df,
            max_df: case.max_df,
            max_features: case.max_features,
            strip_accents: case.strip_accents,
            bm25_weighting: case.bm25_weighting,
            reduce_frequent_words: case.reduce_frequent_words,
            ..params(case.n_gram_range, case.stop_words)
        };
        let counts = counts_of_joined(&texts, &params);
        let weights = Weights::new(&counts, &params);
        let known = || weights.idf().iter().enumerate().filter_map(|(id, idf)| Some((id as u32, (*idf)?)));
        assert_eq!(known().count(), case.vocabulary, "{params:?}");
        assert_near(checksum(known().map(|(id, idf)| (weights.text(id), idf))), case.idf, "idf");
        for (row, (topic, _)) in counts.by_class().enumerate() {
            let counted = counts.terms(topic).filter(|(term, _)| weights.of(term).is_some());
            assert_near(checksum(counted), case.counts[row], "counts");
            let all = weights.keywords(topic, usize::MAX);
            assert_near(
                checksum(all.iter().map(|word| (word.term.as_str(), word.score))),
                case.scores[row],
                "c-TF-IDF",
            );
            for (ours, theirs) in all.iter().zip(&case.keywords[row]) {
                assert_eq!(ours.term, theirs.0);
                assert_near(ours.score, theirs.1, "keyword");
            }
        }
    }
}

/// The embedding of the fixture: each word a point that its hash draws, added up.
fn embed(text: &str) -> Vec<f32> {
    let plain = Params { n_gram_range: (1, 1), ..params((1, 1), false) }.check().unwrap().tokenizer();
    let bag = plain.count(text);
    let mut sum = [0.0_f64; 24];
    let mut add = |word: &str, n: u32| {
        let mut state = fnv(word);
        for value in &mut sum {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *value += f64::from(n) * (unit(z ^ (z >> 31)) * 2.0 - 1.0);
        }
    };
    bag.iter().for_each(|(word, n)| add(word, n));
    if bag.is_empty() {
        add(text, 1);
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.iter().map(|value| (value / length) as f32).collect()
}

fn embed_all(texts: &[&str]) -> Array2<f32> {
    let rows: Vec<f32> = texts.iter().flat_map(|text| embed(text)).collect();
    Array2::from_shape_vec((texts.len(), 24), rows).unwrap()
}

fn terms(keywords: &[Keyword]) -> Vec<&str> {
    keywords.iter().map(|keyword| keyword.term.as_str()).collect()
}

#[test]
fn keybert_and_mmr_give_bertopics_words_in_its_order() {
    let Some(texts) = bbc() else { return };
    let Reranked { sampled, representative, keybert: inspired, mmr: picks, in_the_old_order } =
        parity().reranked;
    let params = params((1, 1), true);
    let tokenizer = params.clone().check().unwrap().tokenizer();
    let counts = counts_of_joined(&texts, &params);
    let weights = Weights::new(&counts, &params);
    let position: HashMap<&str, usize> =
        texts.iter().enumerate().map(|(i, (_, text))| (text.as_str(), i)).collect();
    for (row, (topic, _)) in counts.by_class().enumerate() {
        let bags: Vec<_> = sampled[row].iter().map(|i| tokenizer.count(&texts[*i].1)).collect();
        let nearest = keybert::representative(&weights, topic, bags.iter(), 5);
        let mut ours: Vec<usize> =
            nearest.iter().map(|at| position[texts[sampled[row][*at]].1.as_str()]).collect();
        ours.sort_unstable();
        assert_eq!(ours, representative[row]);

        let candidates = weights.keywords(topic, 100);
        let documents: Vec<&str> = ours.iter().map(|i| texts[*i].1.as_str()).collect();
        let ranked = keybert::rank(&embed_all(&documents).view(), &embed_all(&terms(&candidates)).view(), 10);
        let ranked: Vec<&str> = ranked.iter().map(|(at, _)| candidates[*at].term.as_str()).collect();
        assert_eq!(ranked, inspired[row].iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>());

        let thirty = &candidates[..30];
        let (all, words) = (embed(&terms(thirty).join(" ")), embed_all(&terms(thirty)));
        for (diversity, picks) in &picks {
            let picked = mmr::select(&ndarray::aview1(&all), &words.view(), diversity.parse().unwrap(), 10);
            let words: Vec<&str> = picked.iter().map(|at| thirty[*at].term.as_str()).collect();
            assert_eq!(words, picks[row], "diversity {diversity}");
        }
        let mut picked = mmr::select(&ndarray::aview1(&all), &words.view(), 0.3, 10);
        picked.sort_unstable();
        let words: Vec<&str> = picked.iter().map(|at| thirty[*at].term.as_str()).collect();
        assert_eq!(words, in_the_old_order[row]);
    }
}
