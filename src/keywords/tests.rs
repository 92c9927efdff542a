//! Golden numbers of scikit-learn and BERTopic, and the laws of counting.

use std::sync::LazyLock;

use ndarray::{Array1, Array2, ArrayView2};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

mod parity;
mod ranking;
mod scripts;

#[derive(Deserialize)]
struct Golden {
    documents: Vec<(i32, String)>,
    tokens: Vec<Vec<String>>,
    weights: Vec<GoldenWeights>,
    reranked: GoldenRanks,
}

#[derive(Deserialize)]
struct GoldenWeights {
    n_gram_range: (usize, usize),
    stop_words: bool,
    bm25_weighting: bool,
    reduce_frequent_words: bool,
    seed_words: Vec<String>,
    vocabulary: usize,
    sum_of_scores: Vec<f64>,
    keywords: Vec<Vec<(String, f64)>>,
    cosines: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct GoldenRanks {
    topic: Vec<f32>,
    words: Vec<Vec<f32>>,
    documents: Vec<Vec<f32>>,
    mmr: std::collections::BTreeMap<String, Vec<usize>>,
    keybert: Vec<(usize, f32)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/fixtures/keywords/golden.json")).unwrap()
}

/// Settings with scikit-learn's own English stop words, or none.
fn params(n_gram_range: (usize, usize), english: bool) -> Params {
    let stop_words = if english { stop_words::scikit_learn_english().collect() } else { Vec::new() };
    Params { languages: Vec::new(), stop_words, n_gram_range, detect_script: false, ..Params::default() }
}

fn tokenizer(params: &Params) -> Tokenizer {
    params.clone().check().unwrap().tokenizer()
}

fn matrix(rows: &[Vec<f32>]) -> Array2<f32> {
    ArrayView2::from_shape((rows.len(), rows[0].len()), &rows.concat()).unwrap().to_owned()
}

#[test]
fn tokens_are_those_of_scikit_learn() {
    let (golden, tokenizer) = (golden(), tokenizer(&params((1, 2), true)));
    for ((_, text), expected) in golden.documents.iter().zip(&golden.tokens) {
        let bag = tokenizer.count(text);
        let tokens: Vec<&str> =
            bag.iter().flat_map(|(term, n)| std::iter::repeat_n(term, n as usize)).collect();
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(tokens, expected, "{text}");
    }
}

#[test]
fn scores_are_those_of_bertopic() {
    let golden = golden();
    for case in &golden.weights {
        let params = Params {
            bm25_weighting: case.bm25_weighting,
            reduce_frequent_words: case.reduce_frequent_words,
            seed_words: case.seed_words.clone(),
            ..params(case.n_gram_range, case.stop_words)
        };
        let tokenizer = tokenizer(&params);
        let mut counts = Counts::new(params.max_vocabulary);
        for (class, text) in &golden.documents {
            counts.add(*class, &tokenizer.count(text), 1.0);
        }
        assert_eq!(counts.vocabulary(), case.vocabulary);
        let weights = Weights::new(&counts, &params);
        for (row, (class, found)) in keywords(&counts, &params).into_iter().enumerate() {
            let vector = weights.class_vector(class);
            assert!((vector.sum() - case.sum_of_scores[row]).abs() < 1e-9);
            assert_eq!(found.len(), case.keywords[row].len());
            for (ours, theirs) in found.iter().zip(&case.keywords[row]) {
                assert!((ours.score - theirs.1).abs() < 1e-9, "{ours:?} {theirs:?}");
                assert_eq!(ours.term, theirs.0);
            }
            for ((_, text), cosines) in golden.documents.iter().zip(&case.cosines) {
                let cosine = weights.document_vector(&tokenizer.count(text)).cosine(&vector);
                assert!((cosine - cosines[row]).abs() < 1e-8);
            }
        }
    }
}

#[test]
fn reranking_is_that_of_bertopic() {
    let GoldenRanks { topic, words, documents, mmr: picks, keybert: ranks } = golden().reranked;
    let (topic, words, documents) = (Array1::from(topic), matrix(&words), matrix(&documents));
    for (diversity, expected) in picks {
        let picked = mmr::select(&topic.view(), &words.view(), diversity.parse().unwrap(), expected.len());
        assert_eq!(picked, expected, "diversity {diversity}");
    }
    for (ours, theirs) in keybert::rank(&documents.view(), &words.view(), ranks.len()).iter().zip(&ranks) {
        assert!(ours.0 == theirs.0 && (ours.1 - theirs.1).abs() < 1e-5, "{ours:?} {theirs:?}");
    }
}

#[test]
fn reranking_of_nothing_is_nothing() {
    let (none, some) = (Array2::<f32>::zeros((0, 3)), Array2::<f32>::zeros((2, 3)));
    let topic = Array1::<f32>::zeros(3);
    assert_eq!(mmr::select(&topic.view(), &none.view(), 0.3, 5), Vec::<usize>::new());
    assert_eq!(mmr::select(&topic.view(), &some.view(), 0.3, 5), [0, 1]);
    assert_eq!(keybert::rank(&none.view(), &some.view(), 5), [(0, 0.0), (1, 0.0)]);
    assert_eq!(keybert::rank(&some.view(), &none.view(), 5), []);
}

#[test]
fn terms_below_min_df_are_as_if_never_counted() {
    let texts = [(0, "cup cup final goal"), (1, "bank bank rate goal"), (1, "rare")];
    let without = [(0, "cup cup goal"), (1, "bank bank goal")];
    let pruned = Params { min_df: 2, ..params((1, 1), false) };
    let plain = Params { min_df: 1, ..pruned.clone() };
    assert_eq!(keywords(&count(&texts), &pruned), keywords(&count(&without), &plain));
}

#[test]
fn a_small_vocabulary_keeps_the_frequent_terms_and_states_its_error() {
    let mut counts = Counts::new(1_000);
    for i in 0..5_000_u32 {
        let mut bag = Bag::default();
        bag.add(&format!("rare{i:04}"), 1);
        bag.add(&format!("often{:02}", i % 50), 1);
        counts.add(i % 3, &bag, 1.0);
    }
    assert!(counts.vocabulary() <= 1_000);
    for i in 0..50 {
        assert_eq!(counts.total(&format!("often{i:02}")), 100.0);
    }
    assert!(counts.missing_at_most() >= 1.0 && counts.missing_at_most() < 100.0);
    let rare = (0..5_000).map(|i| counts.total(&format!("rare{i:04}"))).sum::<f64>();
    assert_eq!(rare as usize, counts.vocabulary() - 50);
}

#[test]
fn a_term_more_frequent_than_a_mean_class_weighs_nothing_in_bm25() {
    let counts = count(&[(0, "cup cup cup cup cup final"), (1, "cup bank")]);
    let params = Params { bm25_weighting: true, ..Params::default() };
    let weights = Weights::new(&counts, &params);
    assert_eq!((weights.of("cup"), weights.of("bank").map(|weight| weight > 0.0)), (Some(0.0), Some(true)));
    assert_eq!(weights.keywords(0, 5).iter().map(|word| word.term.as_str()).collect::<Vec<_>>(), ["final"]);
}

#[test]
fn a_word_counts_half_after_a_half_life() {
    let mut counts = Counts::new(1_000);
    counts.decay_from(0, 100);
    counts.add_at(0, &WORDS.count("old old"), 0);
    counts.add_at(0, &WORDS.count("young"), 100);
    counts.advance(100);
    assert_eq!((counts.total("old"), counts.total("young")), (1.0, 1.0));
    // What was added is taken away whole, however much time has passed.
    counts.add_at(1, &WORDS.count("young"), 250);
    counts.remove_at(0, &WORDS.count("old old"), 0);
    counts.remove_at(0, &WORDS.count("young"), 100);
    assert_eq!((counts.total("old"), counts.classes().collect::<Vec<_>>()), (0.0, vec![1]));
    // What was counted elsewhere since another time weighs the same.
    let mut elsewhere = Counts::new(1_000);
    elsewhere.decay_from(200, 100);
    elsewhere.add_at(1, &WORDS.count("young"), 300);
    counts.merge(&elsewhere);
    counts.advance(300);
    assert!((counts.total("young") - (1.0 + 0.5_f64.sqrt())).abs() < 1e-12);
    // Far away the epoch moves by itself, and numbers stay numbers.
    counts.add_at(2, &WORDS.count("new"), 1_000_000);
    assert_eq!((counts.total("new"), counts.total("young")), (1.0, 0.0));
}

#[test]
fn decay_forgets_old_words() {
    let mut counts = count(&[(0, "old words stay long"), (1, "old")]);
    counts.scale(0.5);
    assert_eq!((counts.total("old"), counts.total("words")), (1.0, 0.5));
    for _ in 0..30 {
        counts.scale(0.5);
    }
    assert_eq!((counts.vocabulary(), counts.classes().len()), (0, 0));
}

static WORDS: LazyLock<Tokenizer> = LazyLock::new(|| tokenizer(&params((1, 1), false)));

fn count(texts: &[(u32, &str)]) -> Counts<u32> {
    let mut counts = Counts::new(1_000);
    for (class, text) in texts {
        counts.add(*class, &WORDS.count(text), 1.0);
    }
    counts
}

/// 100 streams cut at random: the counts of the pieces, decayed or not, are those of the whole.
#[test]
fn a_hundred_random_splits_equal_the_batch() {
    use rand::{Rng, SeedableRng};
    let mut random = rand::rngs::SmallRng::seed_from_u64(7);
    let golden = golden();
    let texts: Vec<(i32, Bag)> =
        golden.documents.iter().map(|(class, text)| (*class, WORDS.count(text))).collect();
    for split in 0..100 {
        let half_life = if split % 2 == 0 { 0 } else { random.random_range(1..40) };
        let stream: Vec<&(i32, Bag)> =
            (0..200).map(|_| &texts[random.random_range(0..texts.len())]).collect();
        let (mut batch, mut pieces) = (Counts::new(10_000), Counts::new(10_000));
        batch.decay_from(0, half_life);
        pieces.decay_from(0, half_life);
        for (at, (class, bag)) in stream.iter().enumerate() {
            batch.add_at(*class, bag, at as u64);
        }
        batch.advance(200);
        let mut at = 0;
        while at < stream.len() {
            let end = (at + random.random_range(1..40)).min(stream.len());
            for (at, (class, bag)) in stream.iter().enumerate().take(end).skip(at) {
                // A document that is first an outlier and moves later.
                pieces.add_at(99, bag, at as u64);
                pieces.add_at(*class, bag, at as u64);
                pieces.remove_at(99, bag, at as u64);
            }
            pieces.advance(end as u64);
            at = end;
        }
        for class in batch.classes() {
            for (term, count) in batch.terms(class) {
                let there =
                    pieces.terms(class).find(|(other, _)| *other == term).map_or(0.0, |(_, count)| count);
                assert!(
                    (there - count).abs() <= 1e-9 * count.max(1.0),
                    "{term}: {there} {count}, half-life {half_life}"
                );
            }
        }
        let (ours, theirs) = (keywords(&pieces, &Params::default()), keywords(&batch, &Params::default()));
        for (ours, theirs) in ours.values().flatten().zip(theirs.values().flatten()) {
            assert!(
                (ours.score - theirs.score).abs() < 1e-9 && ours.term == theirs.term,
                "{ours:?} {theirs:?}"
            );
        }
    }
}

/// Documents of few words out of a small alphabet, in one of three classes.
fn documents() -> impl Strategy<Value = Vec<(u32, String)>> {
    let text = proptest::collection::vec("[a-f]{2}", 0..12).prop_map(|words| words.join(" "));
    proptest::collection::vec((0..3_u32, text), 0..24)
}

fn count_all(documents: &[(u32, String)]) -> Counts<u32> {
    count(&documents.iter().map(|(class, text)| (*class, text.as_str())).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn incremental_is_batch(documents in documents(), gone in documents(), split in 0..24_usize) {
        let gone: Vec<_> = gone.iter().map(|(class, text)| (*class, WORDS.count(text))).collect();
        let (first, second) = documents.split_at(split.min(documents.len()));
        let mut counts = count_all(first);
        for (class, bag) in &gone {
            counts.add(*class, bag, 1.0);
        }
        counts.merge(&count_all(second));
        for (class, bag) in &gone {
            counts.remove(*class, bag, 1.0);
        }
        let batch = count_all(&documents);
        prop_assert_eq!(counts.vocabulary(), batch.vocabulary());
        prop_assert_eq!(keywords(&counts, &Params::default()), keywords(&batch, &Params::default()));
        prop_assert_eq!(counts, batch);
    }

    /// The twin is the pattern itself; the alphabet holds what a reader of bytes could trip over.
    #[test]
    fn words_are_those_of_the_pattern(text in "[a-zA-Z0-9_ éßжİ’—½\u{301}.,-]{0,60}") {
        let pattern = regex::Regex::new(r"[\p{Alphabetic}\p{N}_][\p{Alphabetic}\p{N}_\p{M}]*").unwrap();
        let lower = text.to_lowercase();
        let mut expected = std::collections::BTreeMap::new();
        for word in pattern.find_iter(&lower).map(|word| word.as_str()).filter(|word| word.chars().count() > 1) {
            *expected.entry(word).or_insert(0) += 1;
        }
        let counted = WORDS.count(&text);
        prop_assert_eq!(counted.iter().collect::<std::collections::BTreeMap<_, _>>(), expected);
    }

    #[test]
    fn bags_add_up_and_are_written_as_maps(a in documents(), b in documents()) {
        let text = |documents: &[(u32, String)]| {
            documents.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
        };
        let (a, b) = (text(&a), text(&b) + " a-long-term_that_lies_in_memory_of_its_own");
        let mut sum = WORDS.count(&a);
        sum.merge(&WORDS.count(&b));
        prop_assert_eq!(&sum, &WORDS.count(&[a, b].join(" ")));
        let mut one_by_one = Bag::default();
        sum.iter().collect::<Vec<_>>().into_iter().rev().for_each(|(term, n)| one_by_one.add(term, n));
        prop_assert_eq!(&one_by_one, &sum);
        let map: std::collections::BTreeMap<&str, u32> = sum.iter().collect();
        prop_assert_eq!(postcard::to_stdvec(&sum).unwrap(), postcard::to_stdvec(&map).unwrap());
        let json = serde_json::to_string(&sum).unwrap();
        prop_assert_eq!(&json, &serde_json::to_string(&map).unwrap());
        prop_assert_eq!(&serde_json::from_str::<Bag>(&json).unwrap(), &sum);
    }

    #[test]
    fn merging_commutes(a in documents(), b in documents()) {
        let (mut ab, mut ba) = (count_all(&a), count_all(&b));
        ab.merge(&count_all(&b));
        ba.merge(&count_all(&a));
        prop_assert_eq!(ab, ba);
    }

    #[test]
    fn twice_every_document_is_twice_every_count(documents in documents()) {
        let once = count_all(&documents);
        let twice = count_all(&[documents.clone(), documents].concat());
        for class in once.classes() {
            let doubled = once.terms(class).map(|(term, count)| (term, count * 2.0)).collect::<Vec<_>>();
            prop_assert_eq!(doubled, twice.terms(class).collect::<Vec<_>>());
        }
    }

    #[test]
    fn merged_classes_are_one_class(documents in documents()) {
        let mut counts = count_all(&documents);
        counts.merge_classes(2, 0);
        let relabelled: Vec<_> =
            documents.into_iter().map(|(class, text)| (if class == 2 { 0 } else { class }, text)).collect();
        let expected = count_all(&relabelled);
        prop_assert_eq!(keywords(&counts, &Params::default()), keywords(&expected, &Params::default()));
        prop_assert_eq!(&counts, &expected);
        counts.remove_class(0);
        counts.remove_class(1);
        prop_assert_eq!(counts.vocabulary(), 0);
    }

    #[test]
    fn a_store_survives_being_written(documents in documents()) {
        let mut counts = count_all(&documents);
        counts.scale(0.7);
        let read: Counts<u32> = serde_json::from_str(&serde_json::to_string(&counts).unwrap()).unwrap();
        prop_assert_eq!(&counts, &read);
    }
}

#[test]
fn encoded_data_is_no_word() {
    let text = format!("picture {} of a {}", "Q".repeat(257), "z".repeat(256));
    let counted = tokenizer(&params((1, 1), false)).count(&text);
    let expected = ["of", "picture", &"z".repeat(256)];
    assert_eq!(counted.iter().map(|(word, _)| word).collect::<Vec<_>>(), expected);
}

proptest! {
    #[test]
    fn a_bag_that_is_cut_holds_the_same(words in prop::collection::vec("[a-d]{1,9}", 0..60), bytes in 1_usize..40) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let whole = Bag::of(&words);
        let mut sum = Bag::default();
        for bag in whole.clone().cut(bytes) {
            let size: usize = bag.iter().map(|(word, _)| word.len()).sum();
            prop_assert!(size <= bytes || bag.len() == 1);
            sum.merge(&bag);
        }
        prop_assert_eq!(sum, whole);
    }
}
